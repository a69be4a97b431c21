// Three ways to round, each taken when the one before cannot tell.
//
// 1. Digits and power of ten are both exact as doubles: one multiplication or division rounds once.
// 2. The leading 128 bits of the product of digits and power (D. Lemire, "Number parsing at a
//    gigabyte per second", 2021). The powers are truncated, so the product is one from below; if a
//    carry from what was cut off could change the rounding, it says nothing.
// 3. The exact value against the middle between the two doubles in question, in wide integers.
//
// Digits beyond the 19th first go through the second way as if the 19th were one more, too: when
// both agree, they do not matter.
#include "json/decimal.h"

#include "base/assert.h"
#include "json/powers.h"

#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#define EXPONENT_INFINITE 2047
#define EXACT_DIGITS_MAX (UINT64_C(1) << 53)
#define EXACT_POWER_MAX 22

// A middle between two doubles has at most 767 significant digits; what differs from it only
// further behind is told by whether anything is there.
#define DIGITS_MAX 770u
#define WIDE_WORD_COUNT 64u

struct wide {
    uint32_t count;  // Words in use; the topmost is not 0.
    uint64_t words[WIDE_WORD_COUNT];
};

static double from_bits(uint64_t bits) {
    double value;

    memcpy(&value, &bits, sizeof(value));
    return value;
}

static bool from_exact(uint64_t digits, int64_t exponent, double *value) {
    static const double powers[EXACT_POWER_MAX + 1] = {
        1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
        1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
    };

    if (digits > EXACT_DIGITS_MAX || exponent < -EXACT_POWER_MAX || exponent > EXACT_POWER_MAX)
        return false;
    *value = (double)(int64_t)digits;
    *value = exponent < 0 ? *value / powers[-exponent] : *value * powers[exponent];
    return true;
}

// The leading bits of a product: `high` has bit 63 or 62 set. The product is at least
// (high * 2^64 + low) * 2^`exponent`, and less than 2 more in `low`.
struct product {
    uint64_t high;
    uint64_t low;
    int exponent;
};

static struct product multiply(uint64_t digits, int exponent) {
    const struct cv_power *power = cv_powers_of_ten(exponent);
    int zeros = __builtin_clzll(digits);
    unsigned __int128 upper = (unsigned __int128)(digits << zeros) * power->high;
    unsigned __int128 lower = (unsigned __int128)(digits << zeros) * power->low;
    unsigned __int128 sum = upper + (uint64_t)(lower >> 64);

    return (struct product){
        .high = (uint64_t)(sum >> 64),
        .low = (uint64_t)sum,
        .exponent = cv_powers_log2(exponent) - 63 - zeros,
    };
}

// The double below or equal to the product, as bits, and how many bits of `high` are below its
// last one. Returns false when it is infinite.
static bool truncate(const struct product *product, uint64_t *bits, int *below) {
    int top = (int)(product->high >> 63);
    int biased = product->exponent + 126 + top + EXPONENT_BIAS;

    *below = 62 + top - MANTISSA_BITS;
    if (biased <= 0) {
        // Subnormal: fewer bits, and the exponent of the smallest normal one.
        *below = CV_MIN(*below + 1 - biased, 64);
        *bits = *below == 64 ? 0 : product->high >> *below;
        return true;
    }
    if (biased >= EXPONENT_INFINITE)
        return false;
    uint64_t mantissa = product->high >> *below & ((UINT64_C(1) << MANTISSA_BITS) - 1);
    *bits = (uint64_t)biased << MANTISSA_BITS | mantissa;
    return true;
}

enum rounding { UNSURE, ROUNDED, INFINITE };

// The second way. Adding 1 to the bits of a double gives the next one up, infinity behind the
// largest. `*bits` is the double below when unsure.
static enum rounding round_product(uint64_t digits, int exponent, uint64_t *bits) {
    struct product product = multiply(digits, exponent);
    int below;

    if (!truncate(&product, bits, &below))
        return INFINITE;
    if (below >= 64)
        return UNSURE;
    // What is missing adds less than 2 to `low`, which matters if it carries, and if the rest looks
    // like the middle itself: it may be just above.
    uint64_t middle = UINT64_C(1) << (below - 1);
    uint64_t rest = product.high & ((middle << 1) - 1);
    if (product.low >= UINT64_MAX - 1 || (rest == middle && product.low == 0))
        return UNSURE;
    *bits += rest >= middle;
    return *bits >= (uint64_t)EXPONENT_INFINITE << MANTISSA_BITS ? INFINITE : ROUNDED;
}

// The third way.

static void wide_multiply_add(struct wide *wide, uint64_t factor, uint64_t carry) {
    for (uint32_t i = 0; i < wide->count; i++) {
        unsigned __int128 product = (unsigned __int128)wide->words[i] * factor + carry;

        wide->words[i] = (uint64_t)product;
        carry = (uint64_t)(product >> 64);
    }
    if (carry != 0) {
        CV_ASSERT(wide->count < WIDE_WORD_COUNT);
        wide->words[wide->count++] = carry;
    }
}

static void wide_multiply_power_of_5(struct wide *wide, uint32_t exponent) {
    const uint64_t step = UINT64_C(7450580596923828125);  // 5^27, the largest in a word.

    for (; exponent >= 27; exponent -= 27)
        wide_multiply_add(wide, step, 0);
    for (; exponent > 0; exponent--)
        wide_multiply_add(wide, 5, 0);
}

static void wide_shift_left(struct wide *wide, uint32_t bits) {
    uint32_t words = bits / 64;

    if (wide->count == 0)
        return;
    CV_ASSERT(wide->count + words < WIDE_WORD_COUNT);
    memmove(wide->words + words, wide->words, wide->count * sizeof(wide->words[0]));
    memset(wide->words, 0, words * sizeof(wide->words[0]));
    wide->count += words;
    wide_multiply_add(wide, UINT64_C(1) << bits % 64, 0);
}

static int wide_compare(const struct wide *left, const struct wide *right) {
    if (left->count != right->count)
        return left->count < right->count ? -1 : 1;
    for (uint32_t i = left->count; i-- > 0;) {
        if (left->words[i] != right->words[i])
            return left->words[i] < right->words[i] ? -1 : 1;
    }
    return 0;
}

// The digits of `text` as an integer; returns how many of them count behind the 19 that
// `decimal` knows, so that the exponent can be made to fit.
static uint32_t wide_from_text(struct wide *wide, struct cv_span text) {
    uint64_t chunk = 0, factor = 1;  // Digits go in by 19, what a word holds.
    uint32_t count = 0;
    bool more = false;

    wide->count = 0;
    for (size_t i = 0; i < text.length && text.data[i] != 'e' && text.data[i] != 'E'; i++) {
        uint64_t digit = (uint64_t)(unsigned char)text.data[i] - '0';

        if (digit > 9 || (count == 0 && digit == 0))
            continue;  // The sign, the point, leading zeros.
        if (count == DIGITS_MAX - 1) {
            more = more || digit != 0;
            continue;
        }
        chunk = chunk * 10 + digit;
        factor *= 10;
        if (++count % 19 == 0) {
            wide_multiply_add(wide, factor, chunk);
            chunk = 0;
            factor = 1;
        }
    }
    wide_multiply_add(wide, factor, chunk);
    if (more) {
        wide_multiply_add(wide, 10, 1);
        count++;
    }
    return count > 19 ? count - 19 : 0;
}

// Whether the decimal is below (-1), at (0) or above (1) the middle between the double `bits` and
// the next one up.
static int compare_to_middle(const struct cv_decimal *decimal, uint64_t bits) {
    struct wide left, right = {.count = 1};
    int64_t exponent = decimal->exponent - (int64_t)wide_from_text(&left, decimal->text);
    uint64_t biased = bits >> MANTISSA_BITS;
    uint64_t mantissa = bits & ((UINT64_C(1) << MANTISSA_BITS) - 1);
    int64_t binary = (int64_t)CV_MAX(biased, 1u) - EXPONENT_BIAS - MANTISSA_BITS - 1;

    if (biased > 0)
        mantissa |= UINT64_C(1) << MANTISSA_BITS;
    right.words[0] = 2 * mantissa + 1;
    // left * 10^exponent against right * 2^binary, both made integers.
    if (exponent >= 0)
        wide_multiply_power_of_5(&left, (uint32_t)exponent);
    else
        wide_multiply_power_of_5(&right, (uint32_t)-exponent);
    if (exponent >= binary)
        wide_shift_left(&left, (uint32_t)(exponent - binary));
    else
        wide_shift_left(&right, (uint32_t)(binary - exponent));
    return wide_compare(&left, &right);
}

static CV_NOINLINE bool round_exactly(const struct cv_decimal *decimal, uint64_t *bits) {
    struct product product = multiply(decimal->digits, (int)decimal->exponent);
    int below;

    if (!truncate(&product, bits, &below))
        return false;
    // The product is one from below, and so near that the double below it is the one below the
    // decimal or the one before that.
    int order = compare_to_middle(decimal, *bits);
    *bits += order > 0 || (order == 0 && (*bits & 1) != 0);
    return *bits < (uint64_t)EXPONENT_INFINITE << MANTISSA_BITS;
}

static bool round_bits(const struct cv_decimal *decimal, uint64_t *bits) {
    enum rounding rounding = round_product(decimal->digits, (int)decimal->exponent, bits);

    if (rounding == ROUNDED && decimal->truncated) {
        uint64_t above;

        if (round_product(decimal->digits + 1, (int)decimal->exponent, &above) != ROUNDED ||
            above != *bits)
            rounding = UNSURE;
    }
    if (rounding == UNSURE)
        return round_exactly(decimal, bits);
    return rounding == ROUNDED;
}

bool cv_decimal_to_double(const struct cv_decimal *decimal, double *value) {
    uint64_t bits = 0;

    if (!decimal->truncated && from_exact(decimal->digits, decimal->exponent, value)) {
        *value = decimal->negative ? -*value : *value;
        return true;
    }
    if (decimal->digits != 0 && decimal->exponent >= CV_POWERS_EXPONENT_MIN) {
        if (decimal->exponent > CV_POWERS_EXPONENT_MAX || !round_bits(decimal, &bits))
            return false;
    }
    *value = from_bits(bits | (uint64_t)decimal->negative << 63);
    return true;
}
