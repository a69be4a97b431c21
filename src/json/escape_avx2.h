// The copying of short texts with AVX2, inline for who writes many.
//
// Most strings are shorter than one vector, and their lengths are what a predictor cannot learn. So
// all from 4 to 32 bytes go one way, without a branch on the length: a masked load takes the whole
// words, and the last four bytes, which may overlap them, fill the lanes behind. Every lane then
// holds bytes of the text and is checked like any other. Stores may run past the end, loads do not.
//
// Only files that are compiled for AVX2 may include this.
#ifndef CV_JSON_ESCAPE_AVX2_H
#define CV_JSON_ESCAPE_AVX2_H

#ifdef __AVX2__

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "json/escape.h"

struct cv_escape_avx2_constants {
    char quotes[32];     // At their low nibbles '"' and '\', elsewhere what has another low nibble.
    char space[32];      // The lowest byte that is no control byte.
    int32_t window[16];  // From place 8 - n on: a mask for the first n words.
} __attribute__((aligned(32)));
extern const struct cv_escape_avx2_constants cv_escape_avx2_constants;

// As if the address came from nowhere: a compiler that knows the constants builds them anew for
// every text, in more instructions than the check has.
static inline const struct cv_escape_avx2_constants *cv_escape_avx2_load_constants(void) {
    const struct cv_escape_avx2_constants *constants = &cv_escape_avx2_constants;

    __asm__("" : "+r"(constants));
    return constants;
}

static inline __m256i cv_escape_avx2_load(const void *data) {
    return _mm256_loadu_si256(data);
}

static inline void cv_escape_avx2_store(char *out, __m256i bytes) {
    _mm256_storeu_si256((void *)out, bytes);
}

// All ones where a byte is a quote or backslash: where it finds itself at its low nibble.
static inline __m256i cv_escape_avx2_quotes(const struct cv_escape_avx2_constants *constants,
                                            __m256i bytes) {
    return _mm256_cmpeq_epi8(_mm256_shuffle_epi8(cv_escape_avx2_load(constants->quotes), bytes),
                             bytes);
}

// The high bit is set where a byte is not plain ASCII: as signed numbers, bytes from 0x80 are below
// the space as well.
static inline __m256i cv_escape_avx2_not_plain(const struct cv_escape_avx2_constants *constants,
                                               __m256i bytes) {
    return _mm256_or_si256(_mm256_subs_epi8(bytes, cv_escape_avx2_load(constants->space)),
                           cv_escape_avx2_quotes(constants, bytes));
}

static inline bool cv_escape_avx2_is_plain(__m256i not_plain) {
    return _mm256_movemask_epi8(not_plain) == 0;
}

// copy_plain for texts of any length; the common ones inline.
static inline bool cv_escape_avx2_copy(char *out, const char *data, size_t length) {
    const struct cv_escape_avx2_constants *constants = cv_escape_avx2_load_constants();
    int32_t last;

    if (CV_UNLIKELY(length - 4 > 32 - 4))
        return cv_escape_avx2.copy_plain(out, data, length);
    __m256i mask = cv_escape_avx2_load(constants->window + 8 - length / 4);
    __m256i words = _mm256_maskload_epi32((const int *)(const void *)data, mask);

    memcpy(&last, data + length - 4, sizeof(last));
    __m256i bytes = _mm256_blendv_epi8(_mm256_set1_epi32(last), words, mask);
    cv_escape_avx2_store(out, bytes);
    memcpy(out + length - 4, &last, sizeof(last));
    return cv_escape_avx2_is_plain(cv_escape_avx2_not_plain(constants, bytes));
}

#endif
#endif
