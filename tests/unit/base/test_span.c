// Spans: comparison, numbers, trimming.
#include "base/span.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/compiler.h"

static void test_span_equal_compares_every_byte(void **state) {
    (void)state;
    assert_true(cv_span_equal(CV_SPAN("abc"), CV_SPAN("abc")));
    assert_true(cv_span_equal(cv_span_make(NULL, 0), CV_SPAN("")));
    assert_false(cv_span_equal(CV_SPAN("abc"), CV_SPAN("abd")));
    assert_false(cv_span_equal(CV_SPAN("abc"), CV_SPAN("ab")));
    assert_false(cv_span_equal(CV_SPAN("abc"), CV_SPAN("ABC")));
    assert_true(cv_span_equal(CV_SPAN("a\0b"), cv_span_make("a\0b", 3)));
}

static void test_span_equal_nocase_folds_ascii_letters_only(void **state) {
    (void)state;
    for (int a = 0; a < 256; a++) {
        for (int b = 0; b < 256; b++) {
            char left = (char)a;
            char right = (char)b;
            bool letters =
                (a >= 'A' && a <= 'Z' && b == a + 32) || (b >= 'A' && b <= 'Z' && a == b + 32);
            bool equal = cv_span_equal_nocase(cv_span_make(&left, 1), cv_span_make(&right, 1));

            assert_int_equal(equal, a == b || letters);
        }
    }
    assert_true(cv_span_equal_nocase(CV_SPAN("Content-Length"), CV_SPAN("cONTENT-lENGTH")));
    assert_true(cv_span_equal_nocase(cv_span_make(NULL, 0), cv_span_make(NULL, 0)));
    assert_false(cv_span_equal_nocase(CV_SPAN("Host"), CV_SPAN("Hos")));
}

static void test_span_to_uint64_takes_digits_up_to_the_limit(void **state) {
    static const struct {
        const char *input;
        uint64_t value_max;
        bool accepted;
        uint64_t value;
    } cases[] = {
        {"0", UINT64_MAX, true, 0},
        {"0", 0, true, 0},
        {"1", 0, false, 0},
        {"7", 5, false, 0},
        {"000012", 12, true, 12},
        {"13", 12, false, 0},
        {"65535", 65535, true, 65535},
        {"65536", 65535, false, 0},
        {"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, false, 0},
        {"99999999999999999999999", UINT64_MAX, false, 0},
        {"", UINT64_MAX, false, 0},
        {"-1", UINT64_MAX, false, 0},
        {"+1", UINT64_MAX, false, 0},
        {" 1", UINT64_MAX, false, 0},
        {"1 ", UINT64_MAX, false, 0},
        {"0x10", UINT64_MAX, false, 0},
        {"1/", UINT64_MAX, false, 0},
        {"1:", UINT64_MAX, false, 0},
        {"\xb2", UINT64_MAX, false, 0},
    };

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        uint64_t value = 4711;
        bool accepted = cv_span_to_uint64(cv_span_of(cases[i].input), cases[i].value_max, &value);

        if (accepted != cases[i].accepted || value != (accepted ? cases[i].value : 4711))
            fail_msg("\"%s\" up to %lu", cases[i].input, (unsigned long)cases[i].value_max);
    }
}

static void test_span_trim_removes_spaces_and_tabs_at_the_ends(void **state) {
    static const struct {
        const char *input;
        const char *expected;
    } cases[] = {
        {"", ""},           {" ", ""},    {" \t \t", ""},       {"a", "a"},
        {" a", "a"},        {"a\t", "a"}, {"\t a b \t", "a b"}, {"\na\r", "\na\r"},
        {"\va\f", "\va\f"},
    };

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        struct cv_span trimmed = cv_span_trim(cv_span_of(cases[i].input));

        if (!cv_span_equal(trimmed, cv_span_of(cases[i].expected)))
            fail_msg("\"%s\" gave \"%.*s\"", cases[i].input, (int)trimmed.length, trimmed.data);
    }
    assert_int_equal(cv_span_trim(cv_span_make(NULL, 0)).length, 0);
}

static void test_span_duplicate_takes_all_and_nothing_behind(void **state) {
    static const char text[4] = {'a', '\0', 'b', 'c'};  // No NUL byte at its end.

    (void)state;
    for (size_t length = 0; length <= sizeof(text); length++) {
        char *copy = cv_span_duplicate(cv_span_make(length > 0 ? text : NULL, length));

        assert_non_null(copy);
        assert_memory_equal(copy, text, length);
        assert_int_equal(copy[length], '\0');
        free(copy);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_span_duplicate_takes_all_and_nothing_behind),
        cmocka_unit_test(test_span_equal_compares_every_byte),
        cmocka_unit_test(test_span_equal_nocase_folds_ascii_letters_only),
        cmocka_unit_test(test_span_to_uint64_takes_digits_up_to_the_limit),
        cmocka_unit_test(test_span_trim_removes_spaces_and_tabs_at_the_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
