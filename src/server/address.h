// Socket addresses as users write them: 127.0.0.1:8000, [::1]:8000, unix:/path.
#ifndef CV_SERVER_ADDRESS_H
#define CV_SERVER_ADDRESS_H

#include <stdbool.h>

#include "base/compiler.h"
#include "server/settings.h"

// Reads an address. Names are not looked up; a port is 1 to 65535. Returns false with a sentence in
// `*reason` (static text) and `*address` unchanged when the text is anything else.
CV_MUST_USE bool cv_address_parse(const char *text, struct cv_address *address,
                                  const char **reason);

// The address a socket is bound to, its text in the form cv_address_parse reads. Returns 0,
// -EAFNOSUPPORT when it is not one of these kinds, or -errno.
CV_MUST_USE int cv_address_of_socket(int fd, struct cv_address *address);

// Do both mean the same address? The texts may differ.
bool cv_address_equal(const struct cv_address *a, const struct cv_address *b);

// An address of this machine alone: 127.0.0.0/8, ::1.
bool cv_address_is_loopback(const struct cv_address *address);

static inline bool cv_address_is_unix(const struct cv_address *address) {
    return address->socket.ss_family == AF_UNIX;
}

// The path of a unix address.
const char *cv_address_path(const struct cv_address *address);

#endif
