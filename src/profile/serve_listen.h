// The address `covet-prof serve` listens on.
#ifndef CV_PROFILE_SERVE_LISTEN_H
#define CV_PROFILE_SERVE_LISTEN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

#define CV_SERVE_LISTEN_TEXT_BYTES 64u

// Listens on `text`: ADDRESS:PORT or [IPv6]:PORT, numbers only; port 0 lets the kernel choose one.
// What is measured is nobody else's business, so an address that others can reach needs
// `allow_remote`. Returns the descriptor with the address as it is now in `bound`; or -EINVAL when
// `text` is no address, -EPERM when it may not be that one, or -errno, with one line in `message`
// that says what to do.
CV_MUST_USE int cv_serve_listen_open(const char *text, bool allow_remote,
                                     char bound[CV_SERVE_LISTEN_TEXT_BYTES], char *message,
                                     size_t message_bytes);

#endif
