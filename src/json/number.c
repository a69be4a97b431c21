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
#include <string.h>

#include "base/assert.h"
#include "json/powers.h"

typedef unsigned __int128 uint128;

#define E8 UINT64_C(100000000)
#define E16 UINT64_C(10000000000000000)
#define ZEROS UINT64_C(0x3030303030303030)
#define DIGITS_MAX 17

// The eight digits of `value` (below 10^8), one a byte, the first one in the lowest: halves, then
// pairs, then digits, each split by a multiplication in place of the division.
static inline uint64_t eight_digits(uint32_t value) {
    uint64_t halves = value / 10000 | (uint64_t)(value % 10000) << 32;
    uint64_t hundreds = (halves * 10486 >> 20) & UINT64_C(0x7f0000007f);
    uint64_t pairs = hundreds | (halves - hundreds * 100) << 16;
    uint64_t tens = (pairs * 103 >> 10) & UINT64_C(0x000f000f000f000f);

    return tens | (pairs - tens * 10) << 8;
}

static inline char *put_word(char *out, uint64_t word) {
    memcpy(out, &word, sizeof(word));
    return out + sizeof(word);
}

// Without leading zeros; one digit at least.
static inline char *put_short(char *out, uint32_t value) {
    uint64_t digits = eight_digits(value);
    unsigned zeros = (unsigned)__builtin_ctzll(digits | UINT64_C(1) << 56) / 8;

    put_word(out, (digits + ZEROS) >> 8 * zeros);
    return out + 8 - zeros;
}

static inline char *put_eight(char *out, uint32_t value) {
    return put_word(out, eight_digits(value) + ZEROS);
}

char *cv_number_write_uint64(char *out, uint64_t value) {
    if (CV_LIKELY(value < E8))
        return put_short(out, (uint32_t)value);
    if (value < E16) {
        out = put_short(out, (uint32_t)(value / E8));
        return put_eight(out, (uint32_t)(value % E8));
    }
    out = put_short(out, (uint32_t)(value / E16));
    out = put_eight(out, (uint32_t)(value / E8 % E8));
    return put_eight(out, (uint32_t)(value % E8));
}

char *cv_number_write_int64(char *out, int64_t value) {
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    *out = '-';
    return cv_number_write_uint64(out + (value < 0), magnitude);
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

// Whether `distance` is inside a half width, both with 64 bits behind the point; see the top.
static inline bool is_within(uint128 distance, uint128 width, bool is_closed) {
    return is_closed ? distance < width + 12 : distance + 12 < width;
}

// The shortest decimal for c * 2^q. `is_power`: c is a power of two and the next lower value is
// only half as far away as the next higher one.
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
    uint128 above_ten = (uint128)(whole % 10) << 64 | fraction;
    bool is_even = (c & 1) == 0;

    // What is on the border reads as the even neighbour.
    if (is_within(above_ten, width_below, is_even))
        return (struct decimal){whole - whole % 10, k};
    if (is_within(((uint128)10 << 64) - above_ten, width, is_even))
        return (struct decimal){whole - whole % 10 + 10, k};
    bool up = fraction > UINT64_C(1) << 63 || (fraction == UINT64_C(1) << 63 && (whole & 1) != 0);
    if (CV_UNLIKELY(is_power) && !is_within(fraction, width_below, is_even))
        up = true;
    return (struct decimal){whole + up, k};
}

// "e+21" and the like, for exponents of at least two places.
static char *put_exponent(char *out, int exponent) {
    *out++ = 'e';
    *out++ = exponent < 0 ? '-' : '+';
    return put_short(out, (uint32_t)(exponent < 0 ? -exponent : exponent));
}

// The decimal 0.d1 d2 ... * 10^point, its digits from `digits`, in the form ECMAScript gives it.
// `digits` may be read up to DIGITS_MAX + 15.
static char *put_digits(char *out, const char *digits, int digit_count, int point) {
    if (point > 0 && point <= 21) {
        if (point >= digit_count) {
            memcpy(out, digits, 16);
            out[16] = digits[16];
            memset(out + digit_count, '0', (size_t)(point - digit_count));
            return out + point;
        }
        memcpy(out, digits, 16);
        memcpy(out + point + 1, digits + point, 16);
        out[point] = '.';
        return out + digit_count + 1;
    }
    if (point > -6 && point <= 0) {
        memcpy(out, "0.000000", 8);
        out += 2 - point;
        memcpy(out, digits, 16);
        out[16] = digits[16];
        return out + digit_count;
    }
    out[0] = digits[0];
    out[1] = '.';
    memcpy(out + 2, digits + 1, 16);
    return put_exponent(out + (digit_count == 1 ? 1 : digit_count + 1), point - 1);
}

static char *put_decimal(char *out, struct decimal decimal) {
    char digits[DIGITS_MAX + 15];
    int digit_count;

    // Doubles have 16 or 17 digits here; floats and the smallest doubles have fewer.
    while (decimal.digits < E16) {
        decimal.digits *= 10;
        decimal.exponent--;
    }
    uint64_t first = eight_digits((uint32_t)(decimal.digits / E8 % E8));
    uint64_t second = eight_digits((uint32_t)(decimal.digits % E8));

    if (second != 0)
        digit_count = DIGITS_MAX - __builtin_clzll(second) / 8;
    else
        digit_count = first == 0 ? 1 : DIGITS_MAX - 8 - __builtin_clzll(first) / 8;
    digits[0] = (char)('0' + decimal.digits / E16);
    put_word(digits + 1, first + ZEROS);
    put_word(digits + 9, second + ZEROS);
    return put_digits(out, digits, digit_count, decimal.exponent + DIGITS_MAX);
}

// What people write: at most three places, below 10^5. A decimal of 15 digits or fewer is the
// shortest for the double it reads as; and n / 1000 is rounded as a reader would round it.
static inline bool find_thousandths(double value, uint32_t *thousandths) {
    if (!(value < 1e5))
        return false;
    *thousandths = (uint32_t)(int32_t)(value * 1000 + 0.5);
    return *thousandths / 1000.0 == value;
}

static char *put_thousandths(char *out, uint32_t thousandths) {
    uint64_t digits = eight_digits(thousandths);
    unsigned zeros = (unsigned)__builtin_ctzll(digits | UINT64_C(1) << 32) / 8;
    uint32_t places = (uint32_t)(digits >> 40);

    put_word(out, (digits + ZEROS) >> 8 * zeros);
    out += 5 - zeros;
    if (places == 0)
        return out;
    put_word(out, ((places | UINT64_C(0x303030)) << 8) | '.');
    return out + 5 - (unsigned)__builtin_clz(places) / 8;
}

char *cv_number_write_double(char *out, double value) {
    uint64_t bits;
    uint32_t thousandths;

    memcpy(&bits, &value, sizeof(bits));
    uint64_t c = bits & (UINT64_MAX >> 12);
    int e = (int)(bits >> 52 & 0x7ff);
    double magnitude = __builtin_fabs(value);

    CV_DEBUG_ASSERT(e != 0x7ff);
    *out = '-';
    out += bits >> 63;
    if (find_thousandths(magnitude, &thousandths))
        return put_thousandths(out, thousandths);
    if (magnitude < 0x1p53 && (double)(int64_t)magnitude == magnitude)
        return cv_number_write_uint64(out, (uint64_t)magnitude);
    if (e == 0)
        return put_decimal(out, shortest(c, -1074, false));
    return put_decimal(out, shortest(c | UINT64_C(1) << 52, e - 1075, c == 0 && e > 1));
}

char *cv_number_write_float(char *out, float value) {
    uint32_t bits;

    memcpy(&bits, &value, sizeof(bits));
    uint32_t c = bits & (UINT32_MAX >> 9);
    int e = (int)(bits >> 23 & 0xff);
    float magnitude = __builtin_fabsf(value);

    CV_DEBUG_ASSERT(e != 0xff);
    *out = '-';
    out += bits >> 31;
    if (magnitude < 0x1p24f && (float)(int32_t)magnitude == magnitude)
        return cv_number_write_uint64(out, (uint64_t)magnitude);
    if (e == 0)
        return put_decimal(out, shortest(c, -149, false));
    return put_decimal(out, shortest(c | UINT32_C(1) << 23, e - 150, c == 0 && e > 1));
}
