#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <covet/json.h>

#include "base/compiler.h"

// What the reader makes of a number alone; the C library is asked for the same.

static uint64_t random_state = 88172645463325252;

static uint64_t random_64(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static char scratch[8192];

static void *alloc(void *context, size_t bytes) {
    (void)context;
    return bytes <= sizeof(scratch) ? scratch : NULL;
}

// Returns false when it is refused.
static bool read_double(const char *text, double *number) {
    struct covet_json_memory memory = {alloc, NULL, SIZE_MAX};
    struct covet_json_reader reader;
    struct covet_json_value value;

    covet_json_open(&reader, text, strlen(text), &memory);
    if (covet_json_next(&reader, &value) < COVET_JSON_INT || value.kind > COVET_JSON_DOUBLE)
        return false;
    *number = value.number;
    return covet_json_close(&reader, NULL) == 0;
}

static void check(const char *text) {
    double expected = strtod(text, NULL), number = 0;
    bool is_right = read_double(text, &number);
    uint64_t expected_bits, bits;

    if (isinf(expected)) {
        if (is_right)
            fail_msg("%s was accepted as %a", text, number);
        return;
    }
    memcpy(&expected_bits, &expected, sizeof(expected));
    memcpy(&bits, &number, sizeof(number));
    if (!is_right || bits != expected_bits)
        fail_msg("%s is %a, not %a", text, expected, number);
}

static void test_decimal_reads_hard_cases_as_the_c_library(void **state) {
    static const char long_1[] =
        "179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017"
        "977"
        "587207096330286416692887910946555547851940402630657488671505820681908902000708383676273854"
        "845"
        "817711531764475730270069855571366959622842914819860834936475292719074168444365510704342711"
        "559"
        "699508093042880177904174497791";
    static const char long_2[] =
        "179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017"
        "977"
        "587207096330286416692887910946555547851940402630657488671505820681908902000708383676273854"
        "845"
        "817711531764475730270069855571366959622842914819860834936475292719074168444365510704342711"
        "559"
        "699508093042880177904174497792";
    static const char long_3[] =
        "2."
        "225073858507201136057409796709131975934819546351645648023426109724822222021076945516529523"
        "908135087914149158913039621106870086438694594645527657207407820621743379988141063267329253"
        "552"
        "286881372149012981122451451889849057222307285255133155755015914397476397983411801999323962"
        "548"
        "28901787310189e-308";
    static const char long_4[] =
        "7."
        "410984687618698162648531893023320585475897039214871466383785237510132609053131277979497545"
        "4"
        "2453988216e-44";
    static const char long_5[] =
        "0."
        "000000000000000000000000000000000000000000000000000000000000000000000000000000000000001e9"
        "0";
    static const char *const texts[] = {
        "0",
        "-0",
        "-0.0",
        "0e0",
        "0.0e-999999999999999999999",
        "1",
        "-1",
        "1e22",
        "1e23",
        "123456789012345678",
        "9007199254740993",
        "9007199254740992.9999999",
        "9007199254740993.0000000000000000000000000000000000000000000000000001",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999999999999",
        "0.1",
        "0.30000000000000004",
        "3.14159265358979323846264338327950288",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "1.7976931348623159e308",
        long_1,
        long_2,
        "1e308",
        "1e309",
        "1e400",
        "-1e400",
        "2.2250738585072014e-308",
        "2.2250738585072011e-308",
        long_3,
        "5e-324",
        "4.9406564584124654e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "2.47032822920623272e-324",
        "1e-324",
        "3e-324",
        "1e-400",
        "1e-999999999999999999999999",
        "1e+000000000000000000000000000000000000010",
        "6.9294956446009195e15",
        long_4,
        "8.988465674311580536566680721305029496276241413130815e307",
        "1.00000000000000011102230246251565404236316680908203125",
        "1.00000000000000011102230246251565404236316680908203124",
        "1.00000000000000011102230246251565404236316680908203126",
        "1.00000000000000033306690738754696212708950042724609375",
        long_5,
        "1000000000000000000000000000000000000000000000000000000000000000000000000000000000e-80",
        "12345678.12345678",
        "1234567.1234567",
        "1234567.12345678e3",
        "0.00000001",
    };

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(texts); i++)
        check(texts[i]);
}

// Every double prints to 17 digits that mean it, and to fewer or more that mean it or a neighbour.
static void test_decimal_reads_what_the_c_library_prints(void **state) {
    char text[64];

    (void)state;
    for (int i = 0; i < 1000000; i++) {
        uint64_t bits = random_64();
        double number;

        memcpy(&number, &bits, sizeof(number));
        if (!isfinite(number))
            continue;
        (void)snprintf(text, sizeof(text), "%.*e", 16 + i % 3 - (i % 16 == 0 ? 9 : 0), number);
        check(text);
    }
}

// The middle between two doubles, and a last digit to either side of it.
static void test_decimal_rounds_what_lies_near_the_middle(void **state) {
    static char text[2048];

    (void)state;
    for (int i = 0; i < 3000; i++) {
        uint64_t bits = random_64() & INT64_MAX;
        double number, next;
        long double middle;

        // Every fourth is subnormal.
        bits = i % 4 == 0 ? bits & 0x000fffffffffffff : bits;
        memcpy(&number, &bits, sizeof(number));
        bits++;
        memcpy(&next, &bits, sizeof(next));
        if (!isfinite(next))
            continue;
        // An extended double has 11 bits more, so the middle is one.
        middle = (long double)number + ((long double)next - number) / 2;
        int length = snprintf(text, sizeof(text) - 8, "%.800Le", middle);
        assert_in_range(length, 1, (int)sizeof(text) - 8);
        check(text);
        char *exponent = strchr(text, 'e');
        exponent[-1] = '1';
        check(text);
        // Just below: the last digit that is none of the padding.
        char *last = exponent - 1;
        *last = '0';
        while (*last == '0')
            last--;
        if (*last == '.')
            continue;
        (*last)--;
        check(text);
    }
}

static void test_decimal_reads_random_digits_as_the_c_library(void **state) {
    static char text[1200];

    (void)state;
    for (int i = 0; i < 300000; i++) {
        unsigned whole = (unsigned)(random_64() % 25), fraction = (unsigned)(random_64() % 30);
        size_t at = 0;

        if (i % 1000 == 0)
            fraction = (unsigned)(random_64() % 1000);
        text[at++] = (char)('1' + random_64() % 9);
        while (whole-- > 0)
            text[at++] = (char)('0' + random_64() % 10);
        if (fraction > 0)
            text[at++] = '.';
        while (fraction-- > 0)
            text[at++] = (char)('0' + random_64() % 10);
        if (random_64() % 2 == 0)
            at += (size_t)snprintf(text + at, 16, "%c%+d", i % 2 == 0 ? 'e' : 'E',
                                   (int)(random_64() % 700) - 350);
        text[at] = '\0';
        check(text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decimal_reads_hard_cases_as_the_c_library),
        cmocka_unit_test(test_decimal_reads_what_the_c_library_prints),
        cmocka_unit_test(test_decimal_rounds_what_lies_near_the_middle),
        cmocka_unit_test(test_decimal_reads_random_digits_as_the_c_library),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
