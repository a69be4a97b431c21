// The pass with AVX2. No load touches a byte outside the data: the last block is loaded again from
// the end backwards and its bits shifted into place.
#ifdef __x86_64__

#include <immintrin.h>
#include <string.h>

#include "json/index.h"

static inline __m256i load(const char *data) {
    return _mm256_loadu_si256((const __m256i *)(const void *)data);
}

static inline uint32_t stops_32(__m256i bytes) {
    __m256i quote = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('"'));
    __m256i backslash = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('\\'));
    __m256i control = _mm256_cmpeq_epi8(_mm256_min_epu8(bytes, _mm256_set1_epi8(0x1f)), bytes);

    return (uint32_t)_mm256_movemask_epi8(
        _mm256_or_si256(_mm256_or_si256(quote, backslash), control));
}

// The bits of the last `rest` (1 to 63) of `length` bytes that end at `end`.
static inline uint64_t stops_rest(const char *end, size_t length, size_t rest, __m256i *any) {
    __m256i low, high;
    uint64_t shift = 0, back = 0;

    if (length >= 64) {
        low = load(end - 64);
        high = load(end - 32);
        shift = 32;
        back = 64 - rest;
    } else if (length >= 32) {
        // Fewer than 64 bytes in all: the two halves overlap.
        low = load(end - length);
        high = load(end - 32);
        shift = length - 32;
    } else {
        char block[32] = {0};

        memcpy(block, end - length, length);
        low = load(block);
        high = _mm256_setzero_si256();
        shift = length;
    }
    *any = _mm256_or_si256(*any, _mm256_or_si256(low, high));
    return (stops_32(low) | (uint64_t)stops_32(high) << shift) >> back | ~UINT64_C(0) << rest;
}

static bool fill(const char *data, size_t length, uint64_t *stops) {
    __m256i any = _mm256_setzero_si256();
    size_t word = 0;

    for (; word < length / 64; word++) {
        __m256i low = load(data + word * 64);
        __m256i high = load(data + word * 64 + 32);

        any = _mm256_or_si256(any, _mm256_or_si256(low, high));
        stops[word] = stops_32(low) | (uint64_t)stops_32(high) << 32;
    }
    stops[word] =
        length % 64 == 0 ? ~UINT64_C(0) : stops_rest(data + length, length, length % 64, &any);
    return _mm256_movemask_epi8(any) != 0;
}

const struct cv_index_ops cv_index_avx2 = {fill};

#endif
