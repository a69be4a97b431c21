// The copying with AVX2, 32 bytes at a time; short texts: escape_avx2.h.
#ifdef __x86_64__

#include "json/escape_avx2.h"

static inline uint32_t escapes(__m256i bytes) {
    __m256i control = _mm256_cmpeq_epi8(_mm256_min_epu8(bytes, _mm256_set1_epi8(0x1f)), bytes);

    return (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(control, cv_escape_avx2_quotes(bytes)));
}

// Up to 3 bytes: first, middle and last one are all there are.
static bool copy_tiny(char *out, const char *data, size_t length) {
    if (length == 0)
        return true;
    char first = data[0];
    char middle = data[length / 2];
    char last = data[length - 1];

    out[0] = first;
    out[length / 2] = middle;
    out[length - 1] = last;
    __m128i bytes = _mm_setr_epi8(first, middle, last, 'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x',
                                  'x', 'x', 'x', 'x');
    return cv_escape_avx2_is_zero(cv_escape_avx2_not_plain(_mm256_broadcastsi128_si256(bytes)));
}

static bool copy_plain(char *out, const char *data, size_t length) {
    if (CV_LIKELY(length - 4 <= 32 - 4))
        return cv_escape_avx2_copy(out, data, length);
    if (length < 4)
        return copy_tiny(out, data, length);

    __m256i last = cv_escape_avx2_load(data + length - 32);
    __m256i found = cv_escape_avx2_not_plain(last);
    for (size_t at = 0; at < length - 32; at += 32) {
        __m256i bytes = cv_escape_avx2_load(data + at);

        cv_escape_avx2_store(out + at, bytes);
        found = _mm256_or_si256(found, cv_escape_avx2_not_plain(bytes));
    }
    cv_escape_avx2_store(out + length - 32, last);
    return cv_escape_avx2_is_zero(found);
}

static size_t copy_run(char *out, const char *data, size_t length) {
    size_t at = 0;

    for (; length - at >= 32; at += 32) {
        __m256i bytes = cv_escape_avx2_load(data + at);
        uint32_t found = escapes(bytes);

        cv_escape_avx2_store(out + at, bytes);
        if (found != 0)
            return at + _tzcnt_u32(found);
    }
    return at + cv_escape_scalar.copy_run(out + at, data + at, length - at);
}

const struct cv_escape_ops cv_escape_avx2 = {copy_plain, copy_run};

#endif
