#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "json/number.h"

static uint64_t random_state = 0x9e3779b97f4a7c15u;

static uint64_t random_bits(void) {
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 0x2545f4914f6cdd1du;
}

static double as_double(uint64_t bits) {
    double value;

    memcpy(&value, &bits, sizeof(value));
    return value;
}

static uint64_t as_bits(double value) {
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static bool is_finite(double value) {
    return value - value == 0;
}

static char text[CV_NUMBER_ROOM_BYTES + 1];

static const char *print_double(double value) {
    char *end;

    memset(text, '#', sizeof(text));
    end = cv_number_write_double(text, value);
    if (end - text > (ptrdiff_t)CV_NUMBER_BYTES_MAX || text[CV_NUMBER_ROOM_BYTES] != '#')
        fail_msg("%a takes %td bytes", value, end - text);
    *end = '\0';
    return text;
}

static void check_reads_back(double value) {
    double back = strtod(print_double(value), NULL);

    if (as_bits(back) != as_bits(value))
        fail_msg("%a became %s", value, text);
}

// The digits that count: from the first that is not 0 to the last.
static size_t digit_count(const char *number) {
    size_t count = 0;
    size_t zeros = 0;

    for (; *number != '\0' && *number != 'e'; number++) {
        if (*number < '0' || *number > '9' || (count == 0 && *number == '0'))
            continue;
        count++;
        zeros = *number == '0' ? zeros + 1 : 0;
    }
    return count - zeros;
}

static void check_is_shortest(double value) {
    char other[64];

    check_reads_back(value);
    for (int digits = 1; digits < (int)digit_count(text); digits++) {
        snprintf(other, sizeof(other), "%.*e", digits - 1, value);
        if (strtod(other, NULL) == value)
            fail_msg("%s for %s", text, other);
    }
    // Of that length it is the closest one, unless that one does not read back.
    snprintf(other, sizeof(other), "%.*e", (int)digit_count(text) - 1, value);
    if (value != 0 && strtod(other, NULL) == value)
        assert_true(strtod(text, NULL) == strtod(other, NULL));
}

static void test_number_prints_integers_of_every_length(void **state) {
    char out[CV_NUMBER_ROOM_BYTES];
    char expected[32];

    (void)state;
    for (uint64_t power = 1; power != 0; power = power > UINT64_MAX / 10 ? 0 : power * 10) {
        for (int step = -2; step <= 2; step++) {
            uint64_t value = power + (uint64_t)step;

            *cv_number_write_uint64(out, value) = '\0';
            snprintf(expected, sizeof(expected), "%llu", (unsigned long long)value);
            assert_string_equal(out, expected);
            *cv_number_write_int64(out, (int64_t)value) = '\0';
            snprintf(expected, sizeof(expected), "%lld", (long long)value);
            assert_string_equal(out, expected);
            *cv_number_write_int64(out, -(int64_t)value) = '\0';
            snprintf(expected, sizeof(expected), "%lld", -(long long)value);
            assert_string_equal(out, expected);
        }
    }
}

static void test_number_prints_the_largest_and_smallest_integers(void **state) {
    char out[CV_NUMBER_ROOM_BYTES];

    (void)state;
    *cv_number_write_uint64(out, UINT64_MAX) = '\0';
    assert_string_equal(out, "18446744073709551615");
    *cv_number_write_int64(out, INT64_MIN) = '\0';
    assert_string_equal(out, "-9223372036854775808");
    *cv_number_write_int64(out, INT64_MAX) = '\0';
    assert_string_equal(out, "9223372036854775807");
}

static void test_number_prints_every_number_of_four_digits(void **state) {
    char out[CV_NUMBER_ROOM_BYTES];
    char expected[32];

    (void)state;
    for (unsigned value = 0; value < 20000; value++) {
        *cv_number_write_uint64(out, value) = '\0';
        snprintf(expected, sizeof(expected), "%u", value);
        assert_string_equal(out, expected);
    }
}

static void test_number_prints_random_integers(void **state) {
    char out[CV_NUMBER_ROOM_BYTES];
    char expected[32];

    (void)state;
    for (int i = 0; i < 300000; i++) {
        uint64_t value = random_bits() >> (i % 64);

        *cv_number_write_uint64(out, value) = '\0';
        snprintf(expected, sizeof(expected), "%llu", (unsigned long long)value);
        assert_string_equal(out, expected);
    }
}

static void test_number_lays_doubles_out_like_ecmascript(void **state) {
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0, "0"},
        {-0.0, "-0"},
        {1, "1"},
        {-1, "-1"},
        {100, "100"},
        {0.1, "0.1"},
        {0.5, "0.5"},
        {1.5, "1.5"},
        {29.99, "29.99"},
        {0.001, "0.001"},
        {99999.999, "99999.999"},
        {100000, "100000"},
        {0.1 + 0.2, "0.30000000000000004"},
        {123456.789, "123456.789"},
        {1e-6, "0.000001"},
        {1.5e-6, "0.0000015"},
        {1e-7, "1e-7"},
        {-1.25e-7, "-1.25e-7"},
        {1e20, "100000000000000000000"},
        {123456789012345680000.0, "123456789012345680000"},
        {1e21, "1e+21"},
        {1.5e21, "1.5e+21"},
        {1e23, "1e+23"},
        {9007199254740991.0, "9007199254740991"},
        {9007199254740992.0, "9007199254740992"},
        {9007199254740994.0, "9007199254740994"},
        {2251799813685248.5, "2251799813685248.5"},
        {5e-324, "5e-324"},
        {2.2250738585072014e-308, "2.2250738585072014e-308"},
        {2.225073858507201e-308, "2.225073858507201e-308"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {-1.234567890123456e-6, "-0.000001234567890123456"},
        // A power of two, whose lower neighbours are nearer than the upper ones.
        {0x1p-44, "5.684341886080802e-14"},
        {9.5367431640625e-7, "9.5367431640625e-7"},
        // Half way between two: the even one.
        {1125899906842624.25, "1125899906842624.2"},
        {1125899906842624.75, "1125899906842624.8"},
    };

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        assert_string_equal(print_double(cases[i].value), cases[i].text);
        check_is_shortest(cases[i].value);
    }
}

static void test_number_has_no_form_for_what_is_not_finite(void **state) {
    (void)state;
    assert_null(cv_number_write_double(text, __builtin_inf()));
    assert_null(cv_number_write_double(text, -__builtin_inf()));
    assert_null(cv_number_write_double(text, __builtin_nan("")));
    assert_null(cv_number_write_float(text, __builtin_inff()));
    assert_null(cv_number_write_float(text, __builtin_nanf("")));
}

// COVET_TEST_DOUBLES=1e8 checks more than the suite has time for.
static void test_number_prints_random_doubles_that_read_back(void **state) {
    const char *wish = getenv("COVET_TEST_DOUBLES");
    uint64_t count = wish == NULL ? 1000000 : (uint64_t)strtod(wish, NULL);

    (void)state;
    assert_true(count > 0);
    for (uint64_t i = 0; i < count; i++) {
        double value = as_double(random_bits());

        if (is_finite(value))
            check_reads_back(value);
    }
}

static void test_number_prints_the_shortest_of_random_doubles(void **state) {
    (void)state;
    for (int i = 0; i < 30000; i++) {
        double value = as_double(random_bits());

        if (is_finite(value))
            check_is_shortest(value);
        check_is_shortest((double)(random_bits() >> i % 64));
        check_is_shortest((double)(random_bits() >> i % 64) / 4);
        check_is_shortest((double)(random_bits() >> 11) * 0x1p-53);
    }
}

static void test_number_prints_the_shortest_of_decimals_people_write(void **state) {
    (void)state;
    for (int i = 0; i < 200000; i++) {
        static const double units[] = {1, 10, 100, 1000, 10000, 100000};
        double value = (double)(random_bits() % 200000000) / units[i % 6];

        check_reads_back(value);
        if (i % 16 == 0)
            check_is_shortest(value);
    }
}

static void test_number_prints_every_power_of_two_and_its_neighbours(void **state) {
    (void)state;
    for (int exponent = -1074; exponent < 1024; exponent++) {
        uint64_t bits = as_bits(__builtin_ldexp(1, exponent));

        for (uint64_t near = bits - 2; near != bits + 3; near++) {
            if (is_finite(as_double(near)))
                check_is_shortest(as_double(near));
        }
    }
}

static void test_number_prints_the_smallest_doubles(void **state) {
    (void)state;
    for (uint64_t bits = 1; bits < 5000; bits++)
        check_is_shortest(as_double(bits));
    for (int i = 0; i < 20000; i++)
        check_is_shortest(as_double(random_bits() >> (12 + i % 52)));
}

static void test_number_prints_every_power_of_ten(void **state) {
    char expected[32];

    (void)state;
    for (int exponent = -323; exponent <= 308; exponent++) {
        snprintf(expected, sizeof(expected), "1e%d", exponent);
        double value = strtod(expected, NULL);

        assert_int_equal(digit_count(print_double(value)), 1);
        check_reads_back(value);
    }
}

static void check_float(float value) {
    char other[64];
    char *end = cv_number_write_float(text, value);

    assert_true(end - text <= (ptrdiff_t)CV_NUMBER_BYTES_MAX);
    *end = '\0';
    float back = strtof(text, NULL);
    if (as_bits((double)back) != as_bits((double)value))
        fail_msg("%a became %s", (double)value, text);
    for (int digits = 1; digits < (int)digit_count(text); digits++) {
        snprintf(other, sizeof(other), "%.*e", digits - 1, (double)value);
        if (strtof(other, NULL) == value)
            fail_msg("%s for %s", text, other);
    }
}

static void test_number_prints_floats_as_floats(void **state) {
    (void)state;
    *cv_number_write_float(text, 0.1f) = '\0';
    assert_string_equal(text, "0.1");
    *cv_number_write_float(text, 16777216) = '\0';
    assert_string_equal(text, "16777216");
    *cv_number_write_float(text, -0.0f) = '\0';
    assert_string_equal(text, "-0");
    *cv_number_write_float(text, 3.4028235e38f) = '\0';
    assert_string_equal(text, "3.4028235e+38");
    for (uint32_t bits = 0; bits < 0x7f800000u; bits += 9973) {
        float value;

        memcpy(&value, &bits, sizeof(value));
        check_float(value);
        check_float(-value);
    }
    for (int exponent = -149; exponent < 128; exponent++)
        check_float(__builtin_ldexpf(1, exponent));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_number_prints_integers_of_every_length),
        cmocka_unit_test(test_number_prints_the_largest_and_smallest_integers),
        cmocka_unit_test(test_number_prints_every_number_of_four_digits),
        cmocka_unit_test(test_number_prints_random_integers),
        cmocka_unit_test(test_number_lays_doubles_out_like_ecmascript),
        cmocka_unit_test(test_number_has_no_form_for_what_is_not_finite),
        cmocka_unit_test(test_number_prints_random_doubles_that_read_back),
        cmocka_unit_test(test_number_prints_the_shortest_of_random_doubles),
        cmocka_unit_test(test_number_prints_the_shortest_of_decimals_people_write),
        cmocka_unit_test(test_number_prints_every_power_of_two_and_its_neighbours),
        cmocka_unit_test(test_number_prints_the_smallest_doubles),
        cmocka_unit_test(test_number_prints_every_power_of_ten),
        cmocka_unit_test(test_number_prints_floats_as_floats),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
