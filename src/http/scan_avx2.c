// The search with AVX2: a byte's class from two table look-ups, one per nibble (pshufb), ANDed.
//
// Each bit of a table entry stands for a set of rows (high nibbles) that share a set of columns
// (low nibbles); a byte is in the class when row and column have a bit in common. Bytes from 0x80
// have no row and pshufb gives them no column either, so they are in no class. No load touches a
// byte outside the data: the last block is loaded again from the end backwards and its bits shifted
// into place.
#ifdef __x86_64__

#include <immintrin.h>
#include <string.h>

#include "http/scan.h"

struct bits {
    uint64_t control;
    uint64_t not_token;
};

#define ROWS(...) _mm256_broadcastsi128_si256(_mm_setr_epi8(__VA_ARGS__))

static inline __m256i load(const char *data) {
    return _mm256_loadu_si256((const __m256i *)(const void *)data);
}

static inline uint32_t mask(__m256i matches) {
    return (uint32_t)_mm256_movemask_epi8(matches);
}

// All ones where a byte of `bytes` has no bit in common between its row and its column.
static inline __m256i none_in_common(__m256i bytes, __m256i rows, __m256i columns) {
    __m256i high = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(0x0f));
    __m256i common =
        _mm256_and_si256(_mm256_shuffle_epi8(rows, high), _mm256_shuffle_epi8(columns, bytes));
    return _mm256_cmpeq_epi8(common, _mm256_setzero_si256());
}

static inline uint32_t not_token_32(__m256i bytes) {
    // Bits 1, 2, 4, 8, 16, 32 stand for the rows 2 to 7.
    const __m256i rows = ROWS(0, 0, 1, 2, 4, 8, 16, 32, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m256i columns = ROWS(0x3a, 0x3f, 0x3e, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f,  // Columns 0 to 7.
                                 0x3e, 0x3e, 0x3d, 0x15, 0x34, 0x15, 0x3d, 0x1c);
    return mask(none_in_common(bytes, rows, columns));
}

static inline uint32_t control_32(__m256i bytes) {
    __m256i low = _mm256_cmpeq_epi8(_mm256_min_epu8(bytes, _mm256_set1_epi8(0x1f)), bytes);
    __m256i tab = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('\t'));
    __m256i delete = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(0x7f));
    return mask(_mm256_or_si256(_mm256_andnot_si256(tab, low), delete));
}

static inline uint32_t not_target_32(__m256i bytes) {
    // Bits 1, 2, 4, 8, 16, 32 stand for the rows 2 to 7.
    const __m256i rows = ROWS(0, 0, 1, 2, 4, 8, 16, 32, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m256i columns = ROWS(0x2e, 0x3f, 0x3e, 0x3e, 0x3f, 0x3f, 0x3f, 0x3f,  // Columns 0 to 7.
                                 0x3f, 0x3f, 0x3f, 0x3f, 0x35, 0x3f, 0x35, 0x1f);
    return mask(none_in_common(bytes, rows, columns));
}

static inline struct bits classify(const char *first_half, const char *second_half) {
    __m256i low = load(first_half);
    __m256i high = load(second_half);
    return (struct bits){
        .control = control_32(low) | (uint64_t)control_32(high) << 32,
        .not_token = not_token_32(low) | (uint64_t)not_token_32(high) << 32,
    };
}

// The bits of the last `rest` (1 to 63) of `length` bytes that end at `end`.
static inline struct bits classify_rest(const char *end, size_t length, size_t rest) {
    struct bits bits;
    if (length >= 64) {
        bits = classify(end - 64, end - 32);
        bits.control >>= 64 - rest;
        bits.not_token >>= 64 - rest;
    } else if (length >= 32) {
        // Fewer than 64 bytes in all: the two halves overlap.
        __m256i low = load(end - length);
        __m256i high = load(end - 32);
        unsigned shift = (unsigned)length - 32;
        bits.control = control_32(low) | (uint64_t)control_32(high) << shift;
        bits.not_token = not_token_32(low) | (uint64_t)not_token_32(high) << shift;
    } else {
        char block[32] = {0};
        memcpy(block, end - length, length);
        __m256i low = load(block);
        bits.control = control_32(low);
        bits.not_token = not_token_32(low);
    }
    bits.control |= ~UINT64_C(0) << rest;
    bits.not_token |= ~UINT64_C(0) << rest;
    return bits;
}

static void index_blocks(const char *data, size_t length, struct cv_scan_index *index) {
    size_t word = 0;
    size_t word_count = length / 64;
    struct cv_scan_run run = {0, 0};
    bool ended = false;

    while (word < word_count && !ended) {
        const char *block = data + word * 64;
        struct bits bits = classify(block, block + 32);

        index->control[word] = bits.control;
        index->not_token[word] = bits.not_token;
        ended = cv_scan_run_ends(&run, bits.control);
        word++;
    }
    if (!ended && length % 64 != 0) {
        struct bits bits = classify_rest(data + length, length, length % 64);
        index->control[word] = bits.control;
        index->not_token[word] = bits.not_token;
        word++;
    }
    index->control[word] = ~UINT64_C(0);
    index->not_token[word] = ~UINT64_C(0);
}

static size_t target_bytes(const char *data, size_t length, size_t *query) {
    size_t first_query = SIZE_MAX;
    for (size_t done = 0; length - done >= 32; done += 32) {
        __m256i bytes = load(data + done);
        uint32_t stops = not_target_32(bytes);
        uint32_t queries = mask(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('?')));
        if (queries != 0 && first_query == SIZE_MAX) {
            first_query = done + _tzcnt_u32(queries);
        }
        if (stops != 0) {
            size_t count = done + _tzcnt_u32(stops);
            *query = first_query < count ? first_query : count;
            return count;
        }
    }
    size_t done = length & ~(size_t)31;
    size_t rest_query;
    size_t count = done + cv_scan_scalar.target(data + done, length - done, &rest_query);
    *query = first_query < done ? first_query : done + rest_query;
    return count;
}

const struct cv_scan_ops cv_scan_avx2 = {index_blocks, target_bytes};

#endif
