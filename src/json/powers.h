// Powers of ten in 128 bits, what reading and printing doubles rest on.
#ifndef CV_JSON_POWERS_H
#define CV_JSON_POWERS_H

#include <stdint.h>

// Below the first every decimal of 19 digits is 0 as a double, above the last none is finite; the
// ends go as far as the smallest subnormal's own digits need (5e-324 times 1e324).
#define CV_POWERS_EXPONENT_MIN (-342)
#define CV_POWERS_EXPONENT_MAX 324

// The leading 128 bits of 10^exponent, truncated: bit 63 of `high` is set, and with
// m = high * 2^64 + low and b = floor(log2(10^exponent)),
//     m * 2^(b - 127) <= 10^exponent < (m + 1) * 2^(b - 127).
// The left side is an equality exactly for the exponents 0 to 55.
struct cv_power {
    uint64_t high;
    uint64_t low;
};

// Filled before main runs, constant from then on. Use cv_powers_of_ten.
extern struct cv_power cv_powers_table[CV_POWERS_EXPONENT_MAX - CV_POWERS_EXPONENT_MIN + 1];

// `exponent` must be within CV_POWERS_EXPONENT_MIN and _MAX. Any thread.
static inline const struct cv_power *cv_powers_of_ten(int exponent) {
    return &cv_powers_table[exponent - CV_POWERS_EXPONENT_MIN];
}

// floor(log2(10^exponent)), for exponents from -1233 to 1233: 217706 / 2^16 is log2(10) from below,
// close enough for all of them.
static inline int cv_powers_log2(int exponent) {
    return (exponent * 217706) >> 16;
}

#endif
