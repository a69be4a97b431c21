// What the fields the server acts on say together: which host is meant, where the body ends,
// whether the connection goes on (RFC 9112 sections 3.2, 6.3 and 9.3, RFC 9110 sections 7.2, 7.8
// and 10.1.1).
#ifndef CV_HTTP_FRAMING_H
#define CV_HTTP_FRAMING_H

#include <stdbool.h>

#include "base/compiler.h"
#include "http/parser.h"

// The known field of this name (ASCII case ignored); CV_FIELD_KNOWN_COUNT when it is none of them.
// `name` is not empty and holds token bytes only.
enum cv_known_field cv_framing_compare(const char *name, uint32_t name_bytes);

// The same, for most names by their length alone.
static inline enum cv_known_field cv_framing_known(const char *name, uint32_t name_bytes) {
    const uint32_t lengths =
        1u << 4 | 1u << 6 | 1u << 7 | 1u << 10 | 1u << 12 | 1u << 14 | 1u << 17;

    if (name_bytes > 17 || (lengths >> name_bytes & 1) == 0)
        return CV_FIELD_KNOWN_COUNT;
    return cv_framing_compare(name, name_bytes);
}

// Judges the fields of a head whose syntax is right, and sets all members from `authority` to
// `upgrade`. Bit k of `repeated` says that known field k came more than once. CV_PARSER_OK or why
// the head is refused; of several reasons, the first one in this order: Host, Content-Length,
// Transfer-Encoding, Connection, Upgrade, Expect.
CV_MUST_USE enum cv_parser_refusal cv_framing_judge(const char *data, struct cv_parser_head *head,
                                                    unsigned repeated);

#endif
