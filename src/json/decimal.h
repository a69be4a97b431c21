// Decimal digits to doubles, correctly rounded (to nearest, ties to even) in every case.
#ifndef CV_JSON_DECIMAL_H
#define CV_JSON_DECIMAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/span.h"

// digits * 10^exponent, as read from `text`, a number that RFC 8259 allows.
struct cv_decimal {
    uint64_t digits;   // The first 19 significant ones at most.
    int64_t exponent;  // Of the last of these.
    bool negative;
    bool truncated;       // There are more of them, not all 0.
    struct cv_span text;  // borrowed
};

// Returns false when the double is infinite; `*value` is then not written. Any thread.
CV_MUST_USE bool cv_decimal_to_double(const struct cv_decimal *decimal, double *value);

#endif
