// Byte classes and the vector search behind the request parser.
//
// A head is read once, 64 bytes at a time, into two bit rows: bit i % 64 of word i / 64 tells about
// byte i. Two rows are enough. CR and LF are themselves control bytes, so the first control byte of
// a line is either its CR or an error; the colon is no token byte, so the first byte of a line that
// is none is either the colon or an error. The parser jumps from bit to bit and looks at the byte.
#ifndef CV_HTTP_SCAN_H
#define CV_HTTP_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cpu.h"

#define CV_SCAN_BYTES_MAX 65535u
#define CV_SCAN_WORD_COUNT (CV_SCAN_BYTES_MAX / 64 + 2)  // The last one is the word behind the end.

struct cv_scan_index {
    uint64_t control[CV_SCAN_WORD_COUNT];    // CTL but HTAB: what no field value may hold.
    uint64_t not_token[CV_SCAN_WORD_COUNT];  // Not tchar: what no field name may hold.
};

struct cv_scan_ops {
    // Fills the words that cover `data`, at most CV_SCAN_BYTES_MAX bytes. Every bit from `length`
    // to the end of the word behind it is set in both rows, so a search for the next set bit always
    // ends. Stops early behind four control bytes in a row: in a head these are CRLF CRLF, its end,
    // or hold an error, and the word after the one with the fourth is then all ones.
    void (*index)(const char *data, size_t length, struct cv_scan_index *index);

    // The number of leading bytes that a request target may hold; `*query` is the place of
    // the first '?' among them, or their number when there is none.
    size_t (*target)(const char *data, size_t length, size_t *query);
};

extern const struct cv_scan_ops cv_scan_scalar;
extern const struct cv_scan_ops cv_scan_avx2;

// The best ones for this processor; set before main runs.
extern struct cv_scan_ops cv_scan_chosen;

// For tests: makes `simd` the chosen one, false when this processor lacks it. Not thread-safe.
bool cv_scan_force(enum cv_simd simd);

// Finds four control bytes in a row, word by word from the first on. Starts out zeroed.
struct cv_scan_run {
    uint64_t control;  // The word before, and
    uint64_t pairs;    // its control bytes that follow a control byte.
};

// Whether the next word, `control`, holds the fourth of four.
static inline bool cv_scan_run_ends(struct cv_scan_run *before, uint64_t control) {
    uint64_t pairs = control & (control << 1 | before->control >> 63);
    uint64_t fours = pairs & (pairs << 2 | before->pairs >> 62);

    before->control = control;
    before->pairs = pairs;
    return fours != 0;
}

// Classes of one byte.
enum {
    CV_SCAN_CONTROL = 1 << 0,  // CTL but HTAB (RFC 5234 appendix B.1).
    CV_SCAN_TOKEN = 1 << 1,    // tchar (RFC 9110 section 5.6.2).
    CV_SCAN_TARGET = 1 << 2,   // VCHAR without "#<>\^` (why: see scan_scalar.c).
    CV_SCAN_HOST = 1 << 3,     // reg-name (RFC 3986 section 3.2.2) without '%' and ','.
};
extern const uint8_t cv_scan_class[256];

static inline bool cv_scan_is(char byte, unsigned classes) {
    return (cv_scan_class[(unsigned char)byte] & classes) != 0;
}

#endif
