// The table of powers, computed at start rather than kept in the tree: 10 kB of digits that nobody
// can check by eye, against two loops.
//
// 10^e is 5^e times a power of two, so the leading bits are those of 5^e. Upward, a wide integer is
// multiplied by 5 again and again; downward, 2^1023 is divided by 5 again and again. Division
// truncates each time and is still exact in the end: floor(floor(x / 5) / 5) is floor(x / 25).
// 5^342 has 795 bits, so 228 bits or more of the quotient are left for the 128 we keep.
#include "json/powers.h"

#include <stddef.h>

#define WORD_COUNT 32u  // Of 32 bits: a product or remainder fits 64.

struct cv_power cv_powers_table[CV_POWERS_EXPONENT_MAX - CV_POWERS_EXPONENT_MIN + 1];

static void multiply_by_5(uint32_t words[WORD_COUNT]) {
    uint64_t carry = 0;

    for (size_t i = 0; i < WORD_COUNT; i++) {
        carry += (uint64_t)words[i] * 5;
        words[i] = (uint32_t)carry;
        carry >>= 32;
    }
}

static void divide_by_5(uint32_t words[WORD_COUNT]) {
    uint64_t rest = 0;

    for (size_t i = WORD_COUNT; i-- > 0;) {
        rest = rest << 32 | words[i];
        words[i] = (uint32_t)(rest / 5);
        rest %= 5;
    }
}

// 64 bits that begin `shift` (0 to 31) bits below the top of words[top]; words below the first
// count as 0.
static uint64_t bits_from(const uint32_t *words, size_t top, unsigned shift) {
    uint32_t word[3];

    for (size_t i = 0; i < 3; i++)
        word[i] = top >= i ? words[top - i] : 0;
    uint64_t bits = (uint64_t)word[0] << 32 | word[1];
    return shift == 0 ? bits : bits << shift | word[2] >> (32 - shift);
}

static void keep_leading_bits(int exponent, const uint32_t words[WORD_COUNT]) {
    struct cv_power *power = &cv_powers_table[exponent - CV_POWERS_EXPONENT_MIN];
    size_t top = WORD_COUNT - 1;

    while (words[top] == 0)
        top--;
    unsigned shift = (unsigned)__builtin_clz(words[top]);
    power->high = bits_from(words, top, shift);
    power->low = top >= 2 ? bits_from(words, top - 2, shift) : 0;
}

__attribute__((constructor)) static void compute(void) {
    uint32_t words[WORD_COUNT] = {1};

    for (int exponent = 0; exponent <= CV_POWERS_EXPONENT_MAX; exponent++) {
        keep_leading_bits(exponent, words);
        multiply_by_5(words);
    }
    for (size_t i = 0; i < WORD_COUNT; i++)
        words[i] = i == WORD_COUNT - 1 ? UINT32_C(1) << 31 : 0;
    for (int exponent = -1; exponent >= CV_POWERS_EXPONENT_MIN; exponent--) {
        divide_by_5(words);
        keep_leading_bits(exponent, words);
    }
}
