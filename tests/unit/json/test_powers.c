#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "json/powers.h"

static void test_powers_of_ten_are_the_known_ones(void **state) {
    // From arbitrary-precision arithmetic elsewhere.
    static const struct {
        int exponent;
        uint64_t high, low;
    } known[] = {
        {-342, 0xeef453d6923bd65a, 0x113faa2906a13b3f},
        {-341, 0x9558b4661b6565f8, 0x4ac7ca59a424c507},
        {-307, 0x8fd0c16206306bab, 0xa5d3b6d479f8e056},
        {-292, 0xff77b1fcbebcdc4f, 0x25e8e89c13bb0f7a},
        {-28, 0xfd87b5f28300ca0d, 0x8bca9d6e188853fc},
        {-27, 0x9e74d1b791e07e48, 0x775ea264cf55347d},
        {-2, 0xa3d70a3d70a3d70a, 0x3d70a3d70a3d70a3},
        {-1, 0xcccccccccccccccc, 0xcccccccccccccccc},
        {0, 0x8000000000000000, 0x0000000000000000},
        {1, 0xa000000000000000, 0x0000000000000000},
        {27, 0xcecb8f27f4200f3a, 0x0000000000000000},
        {28, 0x813f3978f8940984, 0x4000000000000000},
        {55, 0xd0cf4b50cfe20765, 0xfff4b4e3f741cf6d},
        {56, 0x82818f1281ed449f, 0xbff8f10e7a8921a4},
        {100, 0x924d692ca61be758, 0x593c2626705f9c56},
        {308, 0x8e679c2f5e44ff8f, 0x570f09eaa7ea7648},
        {324, 0x9e19db92b4e31ba9, 0x6c07a2c26a8346d1},
    };

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(known); i++) {
        const struct cv_power *power = cv_powers_of_ten(known[i].exponent);
        assert_int_equal(power->high, known[i].high);
        assert_int_equal(power->low, known[i].low);
    }
}

// An extended double has 64 bits of mantissa, and the C library rounds to them correctly.
static void test_powers_of_ten_round_to_what_the_c_library_reads(void **state) {
    (void)state;
    for (int exponent = CV_POWERS_EXPONENT_MIN; exponent <= CV_POWERS_EXPONENT_MAX; exponent++) {
        const struct cv_power *power = cv_powers_of_ten(exponent);
        char text[16];
        uint64_t mantissa;

        (void)snprintf(text, sizeof(text), "1e%d", exponent);
        long double value = strtold(text, NULL);
        memcpy(&mantissa, &value, sizeof(mantissa));
        assert_int_equal(power->high + (power->low >> 63), mantissa);
    }
}

static void test_powers_log2_is_the_exponent_of_the_leading_bit(void **state) {
    (void)state;
    for (int exponent = CV_POWERS_EXPONENT_MIN; exponent <= CV_POWERS_EXPONENT_MAX; exponent++) {
        char text[16];
        uint16_t biased;

        (void)snprintf(text, sizeof(text), "1e%d", exponent);
        long double value = strtold(text, NULL);
        memcpy(&biased, (const char *)&value + 8, sizeof(biased));
        assert_int_equal(cv_powers_log2(exponent), biased - 16383);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_powers_of_ten_are_the_known_ones),
        cmocka_unit_test(test_powers_of_ten_round_to_what_the_c_library_reads),
        cmocka_unit_test(test_powers_log2_is_the_exponent_of_the_leading_bit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
