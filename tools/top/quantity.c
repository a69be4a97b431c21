// At most seven columns whatever the value, so tables keep their lines; three digits that count.
#include "top/quantity.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/compiler.h"

#define SECONDS_MAX 4e9

static bool is_whole(double value) {
    return value == (double)(uint64_t)value;
}

// Three digits. What would round up to four has one decimal less.
static void three_digits(char *out, double value, const char *suffix) {
    int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
    snprintf(out, TOP_QUANTITY_BYTES, "%.*f%s", decimals, value, suffix);
}

// Divides by `factor` until three digits are enough before the point.
static void scaled(char *out, double value, double factor, double limit) {
    static const char *const suffixes[] = {"k", "M", "G", "T", "P", "E"};
    const size_t last = CV_ARRAY_COUNT(suffixes) - 1;
    size_t i = 0;
    for (value /= factor; value >= limit && i < last; i++) {
        value /= factor;
    }
    three_digits(out, value, factor == 1024 && i == 0 ? "K" : suffixes[i]);
}

static void count(char *out, double value, double decimal_limit) {
    if (value > 0 && value < 0.05) {
        snprintf(out, TOP_QUANTITY_BYTES, "<0.1");
    } else if (value < decimal_limit && !is_whole(value)) {
        snprintf(out, TOP_QUANTITY_BYTES, "%.1f", value);
    } else if (value < 99999.5) {
        snprintf(out, TOP_QUANTITY_BYTES, "%.0f", value);
    } else {
        scaled(out, value, 1000, 999.5);
    }
}

static void bytes(char *out, double value) {
    if (value < 1023.5) {
        snprintf(out, TOP_QUANTITY_BYTES, "%.0f", value);
    } else {
        scaled(out, value, 1024, 999.5);  // 1000K is 0.98M: no fourth digit.
    }
}

static void time_of(char *out, double ns) {
    if (ns < 999.5) {
        snprintf(out, TOP_QUANTITY_BYTES, ns == 0 ? "0" : "%.0fns", ns);
    } else if (ns < 999.5e3) {
        three_digits(out, ns / 1e3, "us");
    } else if (ns < 999.5e6) {
        three_digits(out, ns / 1e6, "ms");
    } else {
        three_digits(out, ns / 1e9, "s");
    }
}

static void duration(char *out, double seconds) {
    if (seconds < 9.95) {
        snprintf(out, TOP_QUANTITY_BYTES, is_whole(seconds) ? "%.0fs" : "%.1fs", seconds);
        return;
    }
    unsigned whole = (unsigned)CV_MIN(seconds + 0.5, SECONDS_MAX);
    if (whole < 60) {
        snprintf(out, TOP_QUANTITY_BYTES, "%us", whole);
    } else if (whole < 3600) {
        snprintf(out, TOP_QUANTITY_BYTES, "%um%02us", whole / 60, whole % 60);
    } else if (whole < 86400) {
        snprintf(out, TOP_QUANTITY_BYTES, "%uh%02um", whole / 3600, whole / 60 % 60);
    } else {
        snprintf(out, TOP_QUANTITY_BYTES, "%ud%02uh", whole / 86400, whole / 3600 % 24);
    }
}

void top_quantity(char out[TOP_QUANTITY_BYTES], enum top_unit unit, double value) {
    if (isnan(value)) {
        snprintf(out, TOP_QUANTITY_BYTES, "-");
        return;
    }
    switch (unit) {
    case TOP_COUNT:
        count(out, value, 9.95);
        break;
    case TOP_RATIO:
        count(out, value, 99.95);
        break;
    case TOP_BYTES:
        bytes(out, value);
        break;
    case TOP_TIME:
        time_of(out, value);
        break;
    case TOP_BELOW:
        if (isinf(value)) {
            snprintf(out, TOP_QUANTITY_BYTES, "long");
        } else {
            out[0] = '<';
            time_of(out + 1, value);
        }
        break;
    case TOP_PERCENT:
        snprintf(out, TOP_QUANTITY_BYTES, value < 99.95 ? "%.1f" : "%.0f", value);
        break;
    case TOP_DURATION:
        duration(out, value);
        break;
    }
}
