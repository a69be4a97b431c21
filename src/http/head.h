// Writing response heads: status line, the fields every answer carries, and sizes known beforehand,
// so that a head is written with plain copies into memory reserved once.
#ifndef CV_HTTP_HEAD_H
#define CV_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/span.h"

#define CV_HEAD_FIXED_BYTES_MAX 256u  // Everything cv_head_write adds but type, fields and reason.

enum cv_head_body {
    CV_HEAD_LENGTH,   // Content-Length: content_length
    CV_HEAD_CHUNKED,  // Transfer-Encoding: chunked
    CV_HEAD_NONE,     // Neither: 1xx, 204, 304, or a body that ends with the connection
};

struct cv_head {
    uint16_t status;              // 100..999
    struct cv_span content_type;  // Empty: no Content-Type field.
    struct cv_span date;          // 29 bytes of IMF-fixdate; empty for interim answers.
    struct cv_span fields;        // Whole extra field lines, each ending in CRLF; may be empty.
    uint64_t content_length;      // With CV_HEAD_LENGTH.
    enum cv_head_body body;
    bool close;       // Connection: close
    bool keep_alive;  // Connection: keep-alive, for HTTP/1.0 clients; not with `close`.
};

// Upper bound of what cv_head_write will write for `head`.
size_t cv_head_bytes_max(const struct cv_head *head);

// Writes the head, ending in the empty line; `out` has cv_head_bytes_max(head) bytes. Returns the
// bytes written. Always HTTP/1.1 (RFC 9110 section 2.5).
size_t cv_head_write(char *out, const struct cv_head *head);

// The literal's length is known here, so the copy becomes a few moves.
#define CV_HEAD_PUT(out, literal) \
    ((char *)memcpy((out), (literal), sizeof(literal) - 1) + sizeof(literal) - 1)

extern const char cv_head_pairs[201];  // "00" to "99".

// The rest of cv_head_put_decimal.
char *cv_head_put_long_decimal(char *out, uint64_t value);

// Writes a number and returns the place behind it.
static inline char *cv_head_put_decimal(char *out, uint64_t value) {
    if (CV_UNLIKELY(value >= 100))
        return cv_head_put_long_decimal(out, value);
    if (value >= 10)
        return (char *)memcpy(out, cv_head_pairs + value * 2, 2) + 2;
    *out = (char)('0' + value);
    return out + 1;
}

#define CV_HEAD_USUAL_BYTES_MAX 94u  // All that cv_head_put_usual writes but the type.
#define CV_HEAD_USUAL_LENGTH_MAX 9999u
#define CV_HEAD_DATE_LINE_BYTES 41u  // CRLF "Date: " IMF-fixdate CRLF CRLF

// What cv_head_write does for a 200 with a type, a date, a length of at most
// CV_HEAD_USUAL_LENGTH_MAX, and nothing else: most answers are that. `date_line` is the head's end,
// from the CRLF before Date on. Returns the place behind the head.
static inline char *cv_head_put_usual(char *out, uint64_t content_length,
                                      struct cv_span content_type, const char *date_line) {
    out = CV_HEAD_PUT(out, "HTTP/1.1 200 OK\r\nContent-Length: ");
    out = cv_head_put_decimal(out, content_length);
    out = CV_HEAD_PUT(out, "\r\nContent-Type: ");
    out = cv_span_put(out, content_type);
    return (char *)memcpy(out, date_line, CV_HEAD_DATE_LINE_BYTES) + CV_HEAD_DATE_LINE_BYTES;
}

// The registered reason phrase (RFC 9110 section 15), "Unknown" for others. Static.
struct cv_span cv_head_reason(uint16_t status);

// May a response of this status carry content? False for 1xx, 204 and 304 (RFC 9110 section 6.4.1);
// answers to HEAD never do, which is the caller's to know. 205 has none either, but says so with
// Content-Length: 0 (section 15.3.6), so it is true here.
bool cv_head_allows_body(uint16_t status);

#endif
