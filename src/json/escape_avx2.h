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

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "json/escape.h"

static inline __m256i cv_escape_avx2_load(const char *data) {
    return _mm256_loadu_si256((const __m256i *)(const void *)data);
}

static inline void cv_escape_avx2_store(char *out, __m256i bytes) {
    _mm256_storeu_si256((__m256i *)(void *)out, bytes);
}

static inline __m256i cv_escape_avx2_quotes(__m256i bytes) {
    return _mm256_or_si256(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('"')),
                           _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('\\')));
}

// Set where a byte is no plain ASCII: as signed numbers, bytes from 0x80 are below the space too.
static inline __m256i cv_escape_avx2_not_plain(__m256i bytes) {
    return _mm256_or_si256(_mm256_cmpgt_epi8(_mm256_set1_epi8(0x20), bytes),
                           cv_escape_avx2_quotes(bytes));
}

static inline bool cv_escape_avx2_is_zero(__m256i bytes) {
    return _mm256_testz_si256(bytes, bytes) != 0;
}

// The words that `words` (0 to 8) whole words fill: a window into this, from place 8 - `words`.
static const int32_t cv_escape_avx2_window[16] = {-1, -1, -1, -1, -1, -1, -1, -1};

// 4 to 32 bytes; what is behind them are bytes of the text again.
static inline __m256i cv_escape_avx2_load_short(const char *data, size_t length) {
    __m256i mask = cv_escape_avx2_load((const char *)(cv_escape_avx2_window + 8 - length / 4));
    __m256i words = _mm256_maskload_epi32((const int *)(const void *)data, mask);
    int32_t last;

    memcpy(&last, data + length - 4, sizeof(last));
    return _mm256_blendv_epi8(_mm256_set1_epi32(last), words, mask);
}

// copy_plain for texts of any length; the common ones inline.
static inline bool cv_escape_avx2_copy(char *out, const char *data, size_t length) {
    if (CV_UNLIKELY(length - 4 > 32 - 4))
        return cv_escape_avx2.copy_plain(out, data, length);
    __m256i bytes = cv_escape_avx2_load_short(data, length);

    cv_escape_avx2_store(out, bytes);
    memcpy(out + length - 4, data + length - 4, 4);
    return cv_escape_avx2_is_zero(cv_escape_avx2_not_plain(bytes));
}

#endif
