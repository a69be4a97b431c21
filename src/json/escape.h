// Text into JSON strings (RFC 8259 section 7): what can be copied as it is, and what cannot.
#ifndef CV_JSON_ESCAPE_H
#define CV_JSON_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cpu.h"

// Behind what they copied, both touch up to this many bytes of `out`.
#define CV_ESCAPE_SLACK_BYTES 32u
// The longest escape, \u001f.
#define CV_ESCAPE_BYTES_MAX 6u

// Neither reads outside of the `length` bytes at `data`.
struct cv_escape_ops {
    // Copies `data` whole, when it is ASCII without anything to escape: the common case. False when
    // it is not; `out` is undefined then.
    bool (*copy_plain)(char *out, const char *data, size_t length);

    // Copies up to the first byte that needs an escape and returns how many bytes those were. Bytes
    // from 0x80 need none.
    size_t (*copy_run)(char *out, const char *data, size_t length);
};

extern const struct cv_escape_ops cv_escape_scalar;
extern const struct cv_escape_ops cv_escape_avx2;

// The best ones for this processor; set before main runs.
extern struct cv_escape_ops cv_escape_chosen;

// For tests: makes `simd` the chosen one, false when this processor lacks it. Not thread-safe.
bool cv_escape_force(enum cv_simd simd);

// A control byte, a quote or a backslash.
static inline bool cv_escape_is_needed(char byte) {
    return (unsigned char)byte < 0x20 || byte == '"' || byte == '\\';
}

// Writes the escape of a byte that needs one, touches 8 bytes, and returns its end.
char *cv_escape_byte(char *out, char byte);

// Writes `data`, which is UTF-8, with escapes. `out` has room for CV_ESCAPE_BYTES_MAX bytes for
// each byte of it and CV_ESCAPE_SLACK_BYTES. Returns the end.
char *cv_escape_text(char *out, const char *data, size_t length);

#endif
