// Field lines an application adds to a head or a trailer section, checked one by one so that
// nothing it says becomes protocol, and kept ready to be sent: "name: value\r\n" one after the
// other.
#ifndef CV_APP_LINES_H
#define CV_APP_LINES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/span.h"
#include "mem/arena.h"

#define CV_LINES_BYTES_MAX 65536u

struct cv_lines {
    char *data;  // borrowed from the arena; NULL while empty
    uint32_t length;
    uint32_t capacity;
};

static inline struct cv_span cv_lines_span(const struct cv_lines *lines) {
    return cv_span_make(lines->data, lines->length);
}

// Appends one line. Returns 0, -EBADMSG for a name or value that cannot be sent, -E2BIG beyond
// CV_LINES_BYTES_MAX, or -ENOMEM; nothing is appended then.
CV_MUST_USE int cv_lines_append(struct cv_lines *lines, struct cv_arena *arena, struct cv_span name,
                                struct cv_span value);

// Fields that the server alone writes: Content-Length, Transfer-Encoding, Connection, Date.
bool cv_lines_is_owned(struct cv_span name);

// Fields that mean nothing, or too much, behind a body (RFC 9110 section 6.5.1): framing, routing,
// request modifiers, authentication, content format. The owned ones are among them.
bool cv_lines_is_forbidden_trailer(struct cv_span name);

#endif
