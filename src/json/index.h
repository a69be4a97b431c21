// Where strings stop: the vector pass in front of the JSON reader.
//
// One bit row tells about a stretch of input, bit i % 64 of word i / 64 about byte i: whether it is
// a quotation mark, a backslash or a control byte. Inside a string these are its end, an escape
// and an error, and nothing else matters there; so wherever a string starts, the next set bit says
// where it has to be looked at again. Outside strings the reader looks at every byte anyway. Why
// not the full structural index: docs/notes/0010-json-reader.md.
#ifndef CV_JSON_INDEX_H
#define CV_JSON_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cpu.h"

struct cv_index_ops {
    // Fills the words that cover `data`; every bit from `length` to the end of the word behind
    // the last byte is set. `stops` has length / 64 + 1 words. Returns whether a byte above 0x7f is
    // among `data`. Touches no byte outside of it.
    bool (*fill)(const char *data, size_t length, uint64_t *stops);
};

extern const struct cv_index_ops cv_index_scalar;
extern const struct cv_index_ops cv_index_avx2;

// The best ones for this processor; set before main runs.
extern struct cv_index_ops cv_index_chosen;

// For tests: makes `simd` the chosen one, false when this processor lacks it. Not thread-safe.
bool cv_index_force(enum cv_simd simd);

#endif
