// Integers eight digits at a time, doubles by one multiplication with a power of ten.
//
// A double is c * 2^q, and what reads back as it is an interval around it, from half of 2^q below
// to half of 2^q above. With k such that 10^k <= 2^q < 10^(k + 1), scale all by 10^-k:
//
//     x = c * 2^q / 10^k    at most 17 digits before the point, and a fraction
//     w = 2^q / 10^k / 2    the half width, 0.5 or more and below 5
//
// So the interval holds an integer, and one multiple of ten at most. If there is one, that has the
// fewest digits; else it is the integer next to x. (Giulietti, The Schubfach way to render doubles,
// 2021, proves the like; taking x and w from one product is Vitaut's and others' later step.)
//
// x and w are known to 64 bits behind the point. That is enough to tell what is inside: over all
// q and all c below 2^53, (2 c - 1) * 2^(q - 1) / 10^k and its counterpart above are a multiple of
// ten or at least 21 * 2^-64 away from one (by the continued fractions of 2^(q - 1) / 10^(k + 1)),
// and we err by less than 12 * 2^-64.
#include "json/number.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "json/powers.h"

typedef unsigned __int128 uint128;

#define E8 UINT64_C(100000000)
#define E16 UINT64_C(10000000000000000)
#define DIGITS_MAX 17

static inline char *put_eight(char *out, uint32_t value) {
    return cv_number_put_word(out, cv_number_digits(value) + CV_NUMBER_ZEROS);
}

char *cv_number_write_long(char *out, uint64_t value) {
    if (value < E16) {
        out = cv_number_write_short(out, (uint32_t)(value / E8));
        return put_eight(out, (uint32_t)(value % E8));
    }
    out = cv_number_write_short(out, (uint32_t)(value / E16));
    out = put_eight(out, (uint32_t)(value / E8 % E8));
    return put_eight(out, (uint32_t)(value % E8));
}

// A decimal: digits * 10^exponent.
struct decimal {
    uint64_t digits;  // At most DIGITS_MAX of them; may end in zeros.
    int exponent;
};

// floor(log10(2^q)), and of 3/4 * 2^q, for q from -1074 to 971.
static inline int floor_log10(int q) {
    return (q * 315653) >> 20;
}

static inline int floor_log10_three_quarters(int q) {
    return (q * 315653 - 131072) >> 20;
}

// The decimal nearest to a border is the border itself or farther away than this; in 2^-64.
#define BORDER UINT64_C(12)

// The shortest decimal for c * 2^q. `is_power`: c is a power of two and the next lower value is
// only half as far away as the next higher one. Next to no branches: nobody can predict them.
static inline struct decimal shortest(uint64_t c, int q, bool is_power) {
    int k = CV_UNLIKELY(is_power) ? floor_log10_three_quarters(q) : floor_log10(q);
    const struct cv_power *power = cv_powers_of_ten(-k);
    int shift = q + cv_powers_log2(-k);  // 0 to 3
    uint128 high = (uint128)power->high * (c << (shift + 1));
    uint128 low = (uint128)power->low * (c << (shift + 1));
    uint128 x = high + (uint64_t)(low >> 64);
    uint128 width = (uint128)power->high << shift;
    uint128 width_below = CV_UNLIKELY(is_power) ? width >> 1 : width;
    uint64_t whole = (uint64_t)(x >> 64);
    uint64_t fraction = (uint64_t)x;
    uint64_t tens = whole - whole % 10;
    uint128 above_tens = x - ((uint128)tens << 64);

    // The nearest integer, the even one of two.
    uint64_t unused;
    uint64_t digits =
        whole + __builtin_add_overflow(fraction, (UINT64_C(1) << 63) - 1 + (whole & 1), &unused);
    // What is on the border reads as the even neighbour.
    uint64_t is_even = ~c & 1;
    uint128 limit = width - BORDER + is_even * 2 * BORDER;
    uint128 limit_below = width_below - BORDER + is_even * 2 * BORDER;

    if (CV_UNLIKELY(is_power) && fraction >= limit_below)
        digits = whole + 1;
    digits = ((uint128)10 << 64) - above_tens < limit ? tens + 10 : digits;
    digits = above_tens < limit_below ? tens : digits;
    return (struct decimal){digits, k};
}

// "e+21" and the like.
static char *put_exponent(char *out, int exponent) {
    out[0] = 'e';
    out[1] = exponent < 0 ? '-' : '+';
    return cv_number_write_four(out + 2, (uint32_t)(exponent < 0 ? -exponent : exponent));
}

// A decimal's digits as text, in registers: a text in memory would be read back before it is there.
struct digits {
    char first;
    uint64_t next;  // Eight, and
    uint64_t last;  // eight more.
    int count;      // Without zeros at the end.
    int point;      // The decimal is 0.digits * 10^point.
};

static inline struct digits spell(struct decimal decimal) {
    // Doubles have 16 or 17 digits here; floats and the smallest doubles have fewer.
    bool is_short = decimal.digits < E16;

    decimal.digits = is_short ? decimal.digits * 10 : decimal.digits;
    decimal.exponent -= is_short;
    while (CV_UNLIKELY(decimal.digits < E16)) {
        decimal.digits *= 10;
        decimal.exponent--;
    }
    uint64_t upper = decimal.digits / E8;
    uint64_t next = cv_number_digits((uint32_t)(upper % E8));
    uint64_t last = cv_number_digits((uint32_t)(decimal.digits % E8));
    int count = DIGITS_MAX - __builtin_clzll(last | 1) / 8;

    if (CV_UNLIKELY(last == 0))
        count = next == 0 ? 1 : DIGITS_MAX - 8 - __builtin_clzll(next) / 8;
    return (struct digits){
        .first = (char)('0' + upper / E8),
        .next = next + CV_NUMBER_ZEROS,
        .last = last + CV_NUMBER_ZEROS,
        .count = count,
        .point = decimal.exponent + DIGITS_MAX,
    };
}

static inline void put_digits(char *out, const struct digits *digits) {
    *out = digits->first;
    cv_number_put_word(out + 1, digits->next);
    cv_number_put_word(out + 9, digits->last);
}

// Lays the digits out as ECMAScript does (Number::toString, radix 10).
static char *put_decimal(char *out, struct decimal decimal) {
    struct digits digits = spell(decimal);
    int count = digits.count;
    int point = digits.point;

    if (point > 0 && point <= 21) {
        put_digits(out, &digits);
        if (point >= count) {
            memset(out + count, '0', (size_t)(point - count));
            return out + point;
        }
        uint128 behind = ((uint128)digits.last << 64 | digits.next) >> 8 * (point - 1);
        out[point] = '.';
        memcpy(out + point + 1, &behind, sizeof(behind));
        return out + count + 1;
    }
    if (point > -6 && point <= 0) {
        memcpy(out, "0.000000", 8);
        put_digits(out + 2 - point, &digits);
        return out + 2 - point + count;
    }
    put_digits(out + 1, &digits);
    out[0] = digits.first;
    out[1] = '.';
    return put_exponent(out + count + (count > 1), point - 1);
}

// A binary number: c * 2^q, of a type whose c has `fraction_bits` and a hidden one above them, and
// whose smallest q is `q_min`. `bits` are its bits without the sign.
static inline char *put_binary(char *out, uint64_t bits, int fraction_bits, int q_min) {
    uint64_t hidden = UINT64_C(1) << fraction_bits;
    uint64_t c = bits & (hidden - 1);
    int e = (int)(bits >> fraction_bits);
    int places = q_min + e - 1 + fraction_bits;  // Bits of c before the point, less the hidden one.

    // Integers have no bit behind it.
    if (places >= 0 && places <= fraction_bits && (c & (hidden - 1) >> places) == 0)
        return cv_number_write_uint64(out, (c | hidden) >> (fraction_bits - places));
    if (CV_UNLIKELY(e == 0)) {
        if (c == 0)
            return cv_number_write_four(out, 0);
        return put_decimal(out, shortest(c, q_min, false));
    }
    return put_decimal(out, shortest(c | hidden, q_min + e - 1, c == 0 && e > 1));
}

char *cv_number_write_magnitude(char *out, double magnitude) {
    uint64_t bits;

    memcpy(&bits, &magnitude, sizeof(bits));
    return bits >> 52 == 0x7ff ? NULL : put_binary(out, bits, 52, -1074);
}

char *cv_number_write_float(char *out, float value) {
    float magnitude = __builtin_fabsf(value);
    uint32_t bits;

    *out = '-';
    out += __builtin_signbit(value) != 0;
    memcpy(&bits, &magnitude, sizeof(bits));
    return bits >> 23 == 0xff ? NULL : put_binary(out, bits, 23, -149);
}
