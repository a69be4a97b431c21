// The check with AVX2, 32 bytes at a time, by the method of Keiser and Lemire (Validating UTF-8 in
// less than one instruction per byte, 2021): every mistake but one shows in two neighbouring
// bytes. Three tables, of the first byte's high and low nibble and of the second byte's high
// nibble, give the mistakes each of them allows for; what all three allow is there. The one left is
// a third or fourth byte that is missing or too many, and follows from the bytes 2 and 3 before.
#ifdef __x86_64__

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "json/utf8.h"

enum {
    SHORT = 1 << 0,       // 11...... then no continuation
    LONG = 1 << 1,        // 0....... then a continuation
    OVERLONG_3 = 1 << 2,  // 11100000 100.....
    LARGE = 1 << 3,       // Above U+10FFFF: 11110100 1001.... and beyond
    SURROGATE = 1 << 4,   // 11101101 101.....
    OVERLONG_2 = 1 << 5,  // 1100000.
    LARGE_1000 = 1 << 6,  // 11110101 1000.... and beyond; with its first byte 11110000
    OVERLONG_4 = 1 << 6,  //                                            an overlong form
    TWO = 1 << 7,         // 10...... 10......: a mistake unless a third or fourth byte is due
    CARRY = SHORT | LONG | TWO,
};

#define TABLE(...) _mm256_broadcastsi128_si256(_mm_setr_epi8(__VA_ARGS__))

static inline __m256i look_up(__m256i table, __m256i nibbles) {
    return _mm256_shuffle_epi8(table, nibbles);
}

static inline __m256i high_nibbles(__m256i bytes) {
    return _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(0x0f));
}

// The mistakes that two neighbours show, `before` being the bytes one place earlier.
static inline __m256i find_in_pairs(__m256i before, __m256i bytes) {
    const __m256i first_high = TABLE(LONG, LONG, LONG, LONG, LONG, LONG, LONG, LONG,  // 0.......
                                     (char)TWO, (char)TWO, (char)TWO, (char)TWO,      // 10......
                                     SHORT | OVERLONG_2, SHORT,                 // 1100.... 1101....
                                     SHORT | OVERLONG_3 | SURROGATE,            // 1110....
                                     SHORT | LARGE | LARGE_1000 | OVERLONG_4);  // 1111....
    const __m256i first_low =
        TABLE((char)(CARRY | OVERLONG_2 | OVERLONG_3 | OVERLONG_4),  // ....0000
              (char)(CARRY | OVERLONG_2), (char)CARRY, (char)CARRY,  // ....0001 0010 0011
              (char)(CARRY | LARGE),                                 // ....0100
              (char)(CARRY | LARGE | LARGE_1000), (char)(CARRY | LARGE | LARGE_1000),
              (char)(CARRY | LARGE | LARGE_1000), (char)(CARRY | LARGE | LARGE_1000),
              (char)(CARRY | LARGE | LARGE_1000), (char)(CARRY | LARGE | LARGE_1000),
              (char)(CARRY | LARGE | LARGE_1000), (char)(CARRY | LARGE | LARGE_1000),
              (char)(CARRY | LARGE | LARGE_1000 | SURROGATE),  // ....1101
              (char)(CARRY | LARGE | LARGE_1000), (char)(CARRY | LARGE | LARGE_1000));
    const __m256i second_high =
        TABLE(SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, SHORT,                  // 0.......
              (char)(LONG | OVERLONG_2 | TWO | OVERLONG_3 | LARGE_1000 | OVERLONG_4),  // 1000....
              (char)(LONG | OVERLONG_2 | TWO | OVERLONG_3 | LARGE),                    // 1001....
              (char)(LONG | OVERLONG_2 | TWO | SURROGATE | LARGE),                     // 1010....
              (char)(LONG | OVERLONG_2 | TWO | SURROGATE | LARGE),                     // 1011....
              SHORT, SHORT, SHORT, SHORT);                                             // 11......
    __m256i first =
        _mm256_and_si256(look_up(first_high, high_nibbles(before)),
                         look_up(first_low, _mm256_and_si256(before, _mm256_set1_epi8(0x0f))));

    return _mm256_and_si256(first, look_up(second_high, high_nibbles(bytes)));
}

// The bytes `places` (a constant, 1 to 3) before those of `bytes`, `previous` being the block
// before.
#define SHIFTED(bytes, previous, places) \
    _mm256_alignr_epi8(bytes, _mm256_permute2x128_si256(previous, bytes, 0x21), 16 - (places))

static inline __m256i find_mistakes(__m256i bytes, __m256i previous) {
    __m256i pairs = find_in_pairs(SHIFTED(bytes, previous, 1), bytes);
    // The high bit is left where a third byte (of a lead from 0xe0) or a fourth (from 0xf0) is due.
    __m256i third = _mm256_subs_epu8(SHIFTED(bytes, previous, 2), _mm256_set1_epi8(0xe0 - 0x80));
    __m256i fourth = _mm256_subs_epu8(SHIFTED(bytes, previous, 3), _mm256_set1_epi8(0xf0 - 0x80));
    __m256i due = _mm256_and_si256(_mm256_or_si256(third, fourth), _mm256_set1_epi8((char)TWO));

    return _mm256_xor_si256(pairs, due);
}

// Not zero where a sequence that begins in the block does not end in it.
static inline __m256i unfinished(__m256i bytes) {
    const __m256i most = _mm256_setr_epi8(-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
                                          -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
                                          -1, (char)(0xf0 - 1), (char)(0xe0 - 1), (char)(0xc0 - 1));

    return _mm256_subs_epu8(bytes, most);
}

static bool is_valid(const char *data, size_t length) {
    __m256i mistakes = _mm256_setzero_si256();
    __m256i previous = _mm256_setzero_si256();
    char rest[32] = {0};
    size_t at = 0;

    for (; length - at >= 32; at += 32) {
        __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)(data + at));

        if (_mm256_movemask_epi8(bytes) == 0)
            mistakes = _mm256_or_si256(mistakes, unfinished(previous));
        else
            mistakes = _mm256_or_si256(mistakes, find_mistakes(bytes, previous));
        previous = bytes;
    }
    // The zeros behind the last byte are no continuation, so what is unfinished there shows too.
    if (length > at)
        memcpy(rest, data + at, length - at);
    mistakes = _mm256_or_si256(
        mistakes, find_mistakes(_mm256_loadu_si256((const __m256i *)(const void *)rest), previous));
    return _mm256_testz_si256(mistakes, mistakes) != 0;
}

const struct cv_utf8_ops cv_utf8_avx2 = {is_valid};

#endif
