// A span borrows bytes: a pointer and a length, never ownership. The bytes need not end in NUL.
#ifndef CV_BASE_SPAN_H
#define CV_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct cv_span {
    const char *data;  // Borrowed; may be NULL only when `length` is 0.
    size_t length;     // In bytes.
};

#define CV_SPAN(literal) ((struct cv_span){(literal), sizeof(literal) - 1})

static inline struct cv_span cv_span_make(const char *data, size_t length) {
    return (struct cv_span){data, length};
}

static inline struct cv_span cv_span_of(const char *text) {
    return (struct cv_span){text, strlen(text)};
}

// Copies `text` to `out` and returns the place behind it. Most texts have 8 to 32 bytes: two moves
// that overlap cost less than a call that finds the length out.
static inline char *cv_span_put(char *out, struct cv_span text) {
    const char *data = text.data;
    size_t length = text.length;

    if (length - 16 <= 16) {
        char first[16], last[16];
        memcpy(first, data, 16);
        memcpy(last, data + length - 16, 16);
        memcpy(out, first, 16);
        memcpy(out + length - 16, last, 16);
    } else if (length - 8 <= 8) {
        char first[8], last[8];
        memcpy(first, data, 8);
        memcpy(last, data + length - 8, 8);
        memcpy(out, first, 8);
        memcpy(out + length - 8, last, 8);
    } else if (length > 0) {
        memcpy(out, data, length);
    }
    return out + length;
}

static inline bool cv_span_equal(struct cv_span a, struct cv_span b) {
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

// ASCII case is ignored; other bytes compare exactly.
bool cv_span_equal_nocase(struct cv_span a, struct cv_span b);

// Reads an unsigned decimal of digits only (at least one, nothing else). Returns false, with
// `*value` unchanged, when the text is anything else or exceeds `value_max`.
bool cv_span_to_uint64(struct cv_span text, uint64_t value_max, uint64_t *value);

// A copy that ends in NUL, on the heap, for free(3); NULL without memory. Unlike strndup(3) it
// takes all of the span, and never looks behind it.
char *cv_span_duplicate(struct cv_span text);

// Without the spaces and tabs at both ends (OWS, RFC 9110 section 5.6.3).
struct cv_span cv_span_trim(struct cv_span text);

#endif
