// The copying with AVX2, 32 bytes at a time.
//
// Most strings are shorter than one vector, and their lengths are what a predictor cannot learn. So
// all from 4 to 32 bytes go one way, without a branch on the length: a masked load takes the whole
// words, and the last four bytes, which may overlap them, fill the lanes behind. Every lane then
// holds bytes of the text and is checked like any other. Stores may run past the end, loads do not.
#ifdef __x86_64__

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "json/escape.h"

static inline __m256i load(const char *data) {
    return _mm256_loadu_si256((const __m256i *)(const void *)data);
}

static inline void store(char *out, __m256i bytes) {
    _mm256_storeu_si256((__m256i *)(void *)out, bytes);
}

static inline __m256i quotes(__m256i bytes) {
    return _mm256_or_si256(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('"')),
                           _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('\\')));
}

// Set where a byte is no plain ASCII: as signed numbers, bytes from 0x80 are below the space too.
static inline __m256i not_plain(__m256i bytes) {
    return _mm256_or_si256(_mm256_cmpgt_epi8(_mm256_set1_epi8(0x20), bytes), quotes(bytes));
}

static inline uint32_t escapes(__m256i bytes) {
    __m256i control = _mm256_cmpeq_epi8(_mm256_min_epu8(bytes, _mm256_set1_epi8(0x1f)), bytes);

    return (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(control, quotes(bytes)));
}

static inline bool is_zero(__m256i bytes) {
    return _mm256_testz_si256(bytes, bytes) != 0;
}

// The words that `words` (0 to 8) whole words fill: a window into this, from place 8 - `words`.
static const int32_t window[16] = {-1, -1, -1, -1, -1, -1, -1, -1};

// 4 to 32 bytes; what is behind them are bytes of the text again.
static inline __m256i load_short(const char *data, size_t length) {
    __m256i mask = load((const char *)(window + 8 - length / 4));
    __m256i words = _mm256_maskload_epi32((const int *)(const void *)data, mask);
    int32_t last;

    memcpy(&last, data + length - 4, sizeof(last));
    return _mm256_blendv_epi8(_mm256_set1_epi32(last), words, mask);
}

static inline void store_short(char *out, __m256i bytes, const char *data, size_t length) {
    store(out, bytes);
    memcpy(out + length - 4, data + length - 4, 4);
}

static bool copy_plain(char *out, const char *data, size_t length) {
    if (CV_LIKELY(length - 4 <= 32 - 4)) {
        __m256i bytes = load_short(data, length);

        store_short(out, bytes, data, length);
        return is_zero(not_plain(bytes));
    }
    if (length < 4)
        return cv_escape_scalar.copy_plain(out, data, length);

    __m256i last = load(data + length - 32);
    __m256i found = not_plain(last);
    for (size_t at = 0; at < length - 32; at += 32) {
        __m256i bytes = load(data + at);

        store(out + at, bytes);
        found = _mm256_or_si256(found, not_plain(bytes));
    }
    store(out + length - 32, last);
    return is_zero(found);
}

static size_t copy_run(char *out, const char *data, size_t length) {
    size_t at = 0;

    for (; length - at >= 32; at += 32) {
        __m256i bytes = load(data + at);
        uint32_t found = escapes(bytes);

        store(out + at, bytes);
        if (found != 0)
            return at + _tzcnt_u32(found);
    }
    return at + cv_escape_scalar.copy_run(out + at, data + at, length - at);
}

const struct cv_escape_ops cv_escape_avx2 = {copy_plain, copy_run};

#endif
