// UTF-8 as RFC 3629 defines it: shortest forms only, no surrogates, nothing above U+10FFFF.
#ifndef CV_JSON_UTF8_H
#define CV_JSON_UTF8_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cpu.h"

struct cv_utf8_ops {
    // Is every byte part of a whole, allowed sequence? True for no bytes. Reads nothing outside.
    bool (*is_valid)(const char *data, size_t length);
};

extern const struct cv_utf8_ops cv_utf8_scalar;
extern const struct cv_utf8_ops cv_utf8_avx2;

// The best one for this processor; set before main runs.
extern struct cv_utf8_ops cv_utf8_chosen;

// For tests: makes `simd` the chosen one, false when this processor lacks it. Not thread-safe.
bool cv_utf8_force(enum cv_simd simd);

static inline bool cv_utf8_valid(const char *data, size_t length) {
    return cv_utf8_chosen.is_valid(data, length);
}

// The bytes before the first one that no valid text begins with; `length` for valid text. Slow, for
// messages.
size_t cv_utf8_valid_bytes(const char *data, size_t length);

#endif
