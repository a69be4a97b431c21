// Numbers: few digits in one pass, many again one by one. See token.h.
#include "json/token.h"

#define DIGITS_19 19

static const uint64_t powers[9] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};

// Digits joined to `*digits`, which wraps around above 19 of them.
static CV_ALWAYS_INLINE const char *take_digits(const struct covet_json_reader *reader,
                                                const char *at, uint64_t *digits) {
    uint64_t word = cv_token_word(reader, at);
    unsigned count = cv_token_digit_count(word);

    while (count == 8) {
        *digits = *digits * 100000000 + cv_token_digits(word, 8);
        at += 8;
        word = cv_token_word(reader, at);
        count = cv_token_digit_count(word);
    }
    if (count > 0)
        *digits = *digits * powers[count] + cv_token_digits(word, count);
    return at + count;
}

// The exponent behind 'e', as far as it can matter: a text has fewer than 2^32 digits to make up
// for it.
static const char *take_exponent(struct covet_json_reader *reader, const char *at,
                                 int64_t *exponent) {
    bool negative = *at == '-';
    int64_t value = 0;

    at += *at == '-' || *at == '+';
    if (*at < '0' || *at > '9')
        return cv_token_fail(reader, at, -EBADMSG, "a digit is expected in an exponent");
    for (; *at >= '0' && *at <= '9'; at++)
        value = CV_MIN(value * 10 + (*at - '0'), INT64_C(1) << 40);
    *exponent = negative ? -value : value;
    return at;
}

// Takes the significant digits of more than 19 again, one by one.
static void take_leading_digits(struct cv_decimal *decimal) {
    int64_t count = 0;

    decimal->digits = 0;
    for (size_t i = 0; i < decimal->text.length; i++) {
        char byte = decimal->text.data[i];

        if ((byte | 0x20) == 'e')
            break;
        if (byte < '0' || byte > '9' || (count == 0 && byte == '0'))
            continue;
        count++;
        if (count <= DIGITS_19)
            decimal->digits = decimal->digits * 10 + (uint64_t)(byte - '0');
        else
            decimal->truncated = decimal->truncated || byte != '0';
    }
    decimal->exponent += CV_MAX(count - DIGITS_19, 0);
}

// An integer of `count` digits; false when it does not fit 64 bits with its sign.
static bool take_integer(const char *first, size_t count, struct cv_token_number *number) {
    if (count > DIGITS_19) {
        uint64_t all = 0;

        if (count > DIGITS_19 + 1)
            return false;
        for (size_t i = 0; i < count; i++) {
            if (__builtin_mul_overflow(all, UINT64_C(10), &all) ||
                __builtin_add_overflow(all, (uint64_t)(first[i] - '0'), &all))
                return false;
        }
        number->magnitude = all;
    }
    number->kind = number->magnitude > INT64_MAX ? COVET_JSON_UINT : COVET_JSON_INT;
    if (!number->negative || number->kind == COVET_JSON_INT)
        return true;
    number->kind = COVET_JSON_INT;
    return number->magnitude == (uint64_t)INT64_MAX + 1;
}

// Integer digits, and what follows them.
static const char *take_number(struct covet_json_reader *reader, const char *first,
                               struct cv_token_number *number) {
    struct cv_decimal decimal = {.negative = number->negative};
    uint64_t digits = 0;
    const char *behind = take_digits(reader, first, &digits), *point = behind;

    if (behind == first)
        return cv_token_fail(reader, first, -EBADMSG,
                             number->negative ? "a digit is expected" : "a value is expected");
    if (*first == '0' && behind - first > 1)
        return cv_token_fail(reader, first, -EBADMSG, "a number with a leading zero");
    number->magnitude = digits;
    if (*behind != '.' && (*behind | 0x20) != 'e' &&
        take_integer(first, (size_t)(behind - first), number))
        return behind;
    if (*behind == '.') {
        behind = take_digits(reader, point + 1, &digits);
        if (behind == point + 1)
            return cv_token_fail(reader, behind, -EBADMSG, "a digit is expected behind the point");
        decimal.exponent = point + 1 - behind;
    }
    decimal.digits = digits;
    size_t count = (size_t)(point - first - decimal.exponent);
    if ((*behind | 0x20) == 'e') {
        int64_t exponent = 0;

        behind = take_exponent(reader, behind + 1, &exponent);
        if (behind == NULL)
            return NULL;
        decimal.exponent += exponent;
    }
    decimal.text = cv_span_make(first, (size_t)(behind - first));
    if (count > DIGITS_19)
        take_leading_digits(&decimal);
    number->kind = COVET_JSON_DOUBLE;
    if (!cv_decimal_to_double(&decimal, &number->value))
        return cv_token_fail(reader, first, -EBADMSG, "a number beyond all doubles");
    return behind;
}

const char *cv_token_read_number(struct covet_json_reader *reader, const char *at,
                                 struct cv_token_number *number) {
    const char *behind;

    number->negative = *at == '-';
    at += number->negative;
    behind = cv_token_small_fraction(reader, at, &number->value);
    if (behind == NULL)
        return take_number(reader, at, number);
    number->kind = COVET_JSON_DOUBLE;
    number->value = number->negative ? -number->value : number->value;
    return behind;
}
