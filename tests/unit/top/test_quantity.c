// Figures in at most seven columns.
#include "top/quantity.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"

static void test_quantity_is_written_in_its_unit(void **state) {
    static const struct {
        enum top_unit unit;
        double value;
        const char *expected;
    } cases[] = {
        {TOP_COUNT, 0, "0"},
        {TOP_COUNT, 0.04, "<0.1"},
        {TOP_COUNT, 0.5, "0.5"},
        {TOP_COUNT, 3, "3"},
        {TOP_COUNT, 9.94, "9.9"},
        {TOP_COUNT, 9.96, "10"},
        {TOP_COUNT, 1234.4, "1234"},
        {TOP_COUNT, 99999, "99999"},
        {TOP_COUNT, 99999.6, "100k"},
        {TOP_COUNT, 123456, "123k"},
        {TOP_COUNT, 999499, "999k"},
        {TOP_COUNT, 999600, "1.00M"},
        {TOP_COUNT, 1234567, "1.23M"},
        {TOP_COUNT, 12.345e9, "12.3G"},
        {TOP_COUNT, 1.8e19, "18.0E"},
        {TOP_RATIO, 62.51, "62.5"},
        {TOP_RATIO, 99.96, "100"},
        {TOP_RATIO, 1000, "1000"},
        {TOP_BYTES, 0, "0"},
        {TOP_BYTES, 1023, "1023"},
        {TOP_BYTES, 1024, "1.00K"},
        {TOP_BYTES, 12600, "12.3K"},
        {TOP_BYTES, 1024.0 * 1000, "0.98M"},
        {TOP_BYTES, 1024.0 * 1024 * 1024 * 5, "5.00G"},
        {TOP_TIME, 0, "0"},
        {TOP_TIME, 870, "870ns"},
        {TOP_TIME, 1024, "1.02us"},
        {TOP_TIME, 131072, "131us"},
        {TOP_TIME, 999700, "1.00ms"},
        {TOP_TIME, 2.1e9, "2.10s"},
        {TOP_BELOW, 512, "<512ns"},
        {TOP_BELOW, 4194304, "<4.19ms"},
        {TOP_BELOW, INFINITY, "long"},
        {TOP_PERCENT, 0, "0.0"},
        {TOP_PERCENT, 12.34, "12.3"},
        {TOP_PERCENT, 99.96, "100"},
        {TOP_DURATION, 0.5, "0.5s"},
        {TOP_DURATION, 4, "4s"},
        {TOP_DURATION, 59.4, "59s"},
        {TOP_DURATION, 59.6, "1m00s"},
        {TOP_DURATION, 3600, "1h00m"},
        {TOP_DURATION, 86400.0 * 5 + 6 * 3600, "5d06h"},
        {TOP_COUNT, NAN, "-"},
        {TOP_BELOW, NAN, "-"},
        {TOP_DURATION, NAN, "-"},
    };
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        char text[TOP_QUANTITY_BYTES];
        top_quantity(text, cases[i].unit, cases[i].value);
        if (strcmp(text, cases[i].expected) != 0) {
            fail_msg("unit %d, %g: '%s', not '%s'", (int)cases[i].unit, cases[i].value, text,
                     cases[i].expected);
        }
    }
}

static void test_quantity_never_takes_more_than_seven_columns(void **state) {
    static const enum top_unit units[] = {TOP_COUNT, TOP_RATIO, TOP_BYTES, TOP_PERCENT, TOP_BELOW};
    (void)state;
    for (size_t unit = 0; unit < CV_ARRAY_COUNT(units); unit++) {
        // A percentage is at most some hundreds, a time at most centuries.
        double most = units[unit] == TOP_PERCENT ? 1e6 : units[unit] == TOP_BELOW ? 9e13 : 1.8e19;
        double value = 1e-3;
        for (unsigned step = 0; step < 1300 && value < most; step++, value *= 1.0401) {
            char text[TOP_QUANTITY_BYTES];
            top_quantity(text, units[unit], value);
            assert_in_range(strlen(text), 1, 7);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantity_is_written_in_its_unit),
        cmocka_unit_test(test_quantity_never_takes_more_than_seven_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
