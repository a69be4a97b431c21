// Numbers as JSON text (RFC 8259 section 6).
//
// Every function writes at `out`, which has CV_NUMBER_ROOM_BYTES of room, and returns the end of
// what it wrote; what is behind that end is undefined. What is common is inline, so that each code
// path of object_walk.h gets its own.
#ifndef CV_JSON_NUMBER_H
#define CV_JSON_NUMBER_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"

// The longest text is "-1.2345678901234567e-100" or "-0.0000012345678901234567".
#define CV_NUMBER_BYTES_MAX 25u
#define CV_NUMBER_ROOM_BYTES 48u

#define CV_NUMBER_ZEROS UINT64_C(0x3030303030303030)

// The eight digits of `value` (below 10^8), one a byte, the first one in the lowest: halves, then
// pairs, then digits. Each step splits every x into a = x / n, found by a multiplication, and
// b = x % n, and puts b so many bits above a: with s = 2^bits, a + b * s is x * s - a * (n * s -
// 1).
static inline uint64_t cv_number_digits(uint32_t value) {
    const uint64_t s4 = UINT64_C(1) << 32;
    uint64_t x = value;
    uint64_t a = x * UINT64_C(3518437209) >> 45;

    x = x * s4 - a * (10000 * s4 - 1);
    a = (x * 10486 >> 20) & UINT64_C(0x7f0000007f);
    x = x * 65536 - a * (100 * 65536 - 1);
    a = (x * 103 >> 10) & UINT64_C(0x000f000f000f000f);
    return x * 256 - a * (10 * 256 - 1);
}

static inline char *cv_number_put_word(char *out, uint64_t word) {
    memcpy(out, &word, sizeof(word));
    return out + sizeof(word);
}

// The four digits of a value below 10^4.
static inline uint32_t cv_number_four_digits(uint32_t value) {
    uint32_t a = value * 10486 >> 20;
    uint32_t x = value * 65536 - a * (100 * 65536 - 1);

    a = (x * 103 >> 10) & 0x000f000fu;
    return x * 256 - a * (10 * 256 - 1);
}

// `value` below 10^4 without leading zeros, one digit at least.
static inline char *cv_number_write_four(char *out, uint32_t value) {
    uint32_t digits = cv_number_four_digits(value);
    unsigned zeros = (unsigned)__builtin_ctz(digits | 1u << 24) / 8;
    uint32_t text = (digits + (uint32_t)CV_NUMBER_ZEROS) >> 8 * zeros;

    memcpy(out, &text, sizeof(text));
    return out + 4 - zeros;
}

// The same below 10^8. Most numbers are small.
static inline char *cv_number_write_short(char *out, uint32_t value) {
    if (CV_LIKELY(value < 10000))
        return cv_number_write_four(out, value);
    uint64_t digits = cv_number_digits(value);
    unsigned zeros = (unsigned)__builtin_ctzll(digits | UINT64_C(1) << 56) / 8;

    cv_number_put_word(out, (digits + CV_NUMBER_ZEROS) >> 8 * zeros);
    return out + 8 - zeros;
}

// `value` from 10^8.
char *cv_number_write_long(char *out, uint64_t value);

static inline char *cv_number_write_uint64(char *out, uint64_t value) {
    if (CV_LIKELY(value < 100000000))
        return cv_number_write_short(out, (uint32_t)value);
    return cv_number_write_long(out, value);
}

static inline char *cv_number_write_int64(char *out, int64_t value) {
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    *out = '-';
    return cv_number_write_uint64(out + (value < 0), magnitude);
}

// What people write: at most three places, from 2^-10 and below 2^16. A decimal of 15 digits or
// fewer is the shortest for the double it reads as; and n / 1000 is rounded as a reader would round
// it. The exponent decides first: that doubles are of this kind, or not, can be predicted.
static inline bool cv_number_is_thousandths(double magnitude, uint32_t *thousandths) {
    uint64_t bits;

    memcpy(&bits, &magnitude, sizeof(bits));
    if ((bits >> 52) - (1023 - 10) >= 26)
        return false;
    *thousandths = (uint32_t)(int32_t)(magnitude * 1000 + 0.5);
    return (int32_t)*thousandths / 1000.0 == magnitude;
}

static CV_ALWAYS_INLINE char *cv_number_write_thousandths(char *out, uint32_t thousandths) {
    uint64_t digits = cv_number_digits(thousandths);
    unsigned zeros = (unsigned)__builtin_ctzll(digits | UINT64_C(1) << 32) / 8;
    uint32_t places = (uint32_t)(digits >> 40);  // The last three digits.
    uint32_t behind_point = (places | UINT32_C(0x303030)) << 8 | '.';

    cv_number_put_word(out, (digits + CV_NUMBER_ZEROS) >> 8 * zeros);
    out += 5 - zeros;
    memcpy(out, &behind_point, sizeof(behind_point));
    // The point goes with the last place.
    return out + (places == 0 ? 0 : 5 - (unsigned)__builtin_clz(places) / 8);
}

// Any double that is not negative.
char *cv_number_write_magnitude(char *out, double magnitude);

// The shortest decimal that reads back as `value`, the one closest to it when there are several,
// in the form of ECMAScript's Number::toString: 1, 0.1, 1e+21, 1e-7. Only minus zero differs: it
// keeps its sign, "-0". NULL for NaN and infinity, which JSON has no form for.
static CV_ALWAYS_INLINE char *cv_number_write_double(char *out, double value) {
    double magnitude = __builtin_fabs(value);
    uint32_t thousandths;

    *out = '-';
    out += __builtin_signbit(value) != 0;
    if (CV_LIKELY(cv_number_is_thousandths(magnitude, &thousandths)))
        return cv_number_write_thousandths(out, thousandths);
    return cv_number_write_magnitude(out, magnitude);
}

// The same for what reads back as the float.
char *cv_number_write_float(char *out, float value);

#endif
