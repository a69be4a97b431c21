#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/guard.h"
#include "json/escape.h"

static struct t_guard guard;

static int set_up(void **state) {
    (void)state;
    guard = t_guard_create();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    t_guard_destroy(guard);
    cv_escape_force(cv_cpu_simd());
    return 0;
}

static bool needs_escape(unsigned char byte) {
    return byte < 0x20 || byte == '"' || byte == '\\';
}

#define LENGTH_MAX 200u

// Both functions on `length` bytes, `special` (or none, when at or behind the end) at place `at`.
static void check(const char *data, size_t length, size_t at) {
    char out[LENGTH_MAX + CV_ESCAPE_SLACK_BYTES + 1];
    bool is_there = at < length;
    bool is_plain =
        !is_there || (!needs_escape((unsigned char)data[at]) && (unsigned char)data[at] < 0x80);
    size_t run = is_there && needs_escape((unsigned char)data[at]) ? at : length;

    memset(out, '#', sizeof(out));
    assert_int_equal(cv_escape_chosen.copy_plain(out, data, length), is_plain);
    if (is_plain)
        assert_memory_equal(out, data, length);
    assert_int_equal(out[length + CV_ESCAPE_SLACK_BYTES], '#');

    memset(out, '#', sizeof(out));
    assert_int_equal(cv_escape_chosen.copy_run(out, data, length), run);
    assert_memory_equal(out, data, run);
    assert_int_equal(out[length + CV_ESCAPE_SLACK_BYTES], '#');
}

static void check_at_both_ends(const char *data, size_t length, size_t at) {
    check(t_guard_at_end(guard, data, length), length, at);
    check(t_guard_at_begin(guard, data, length), length, at);
}

static void every_length(enum cv_simd simd) {
    char data[LENGTH_MAX];

    if (!cv_escape_force(simd))
        skip();
    for (size_t length = 0; length <= LENGTH_MAX; length++) {
        for (size_t i = 0; i < length; i++)
            data[i] = (char)('#' + (i * 7 + length) % 57);
        check_at_both_ends(data, length, length);
    }
}

static void test_escape_scalar_touches_nothing_outside_any_length(void **state) {
    (void)state;
    every_length(CV_SIMD_SCALAR);
}

static void test_escape_avx2_touches_nothing_outside_any_length(void **state) {
    (void)state;
    every_length(CV_SIMD_AVX2);
}

static void every_byte(enum cv_simd simd) {
    static const size_t lengths[] = {1, 2, 3, 4, 5, 7, 8, 13, 16, 31, 32, 33, 40, 64, 65, 97};
    char data[LENGTH_MAX];

    if (!cv_escape_force(simd))
        skip();
    for (size_t k = 0; k < CV_ARRAY_COUNT(lengths); k++) {
        memset(data, 'a', sizeof(data));
        for (size_t at = 0; at < lengths[k]; at++) {
            for (int byte = 0; byte < 256; byte++) {
                data[at] = (char)byte;
                check(data, lengths[k], at);
            }
            data[at] = 'a';
        }
    }
}

static void test_escape_scalar_knows_each_byte_at_each_place(void **state) {
    (void)state;
    every_byte(CV_SIMD_SCALAR);
}

static void test_escape_avx2_knows_each_byte_at_each_place(void **state) {
    (void)state;
    every_byte(CV_SIMD_AVX2);
}

static void test_escape_of_each_byte_is_the_shortest_of_the_rfc(void **state) {
    char out[16];
    char expected[16];

    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        static const char letters[] = "\b\f\n\r\t\"\\";
        static const char names[] = "bfnrt\"\\";
        const char *found = byte == 0 ? NULL : strchr(letters, byte);

        assert_int_equal(cv_escape_is_needed((char)byte), needs_escape((unsigned char)byte));
        if (!needs_escape((unsigned char)byte))
            continue;
        *cv_escape_byte(out, (char)byte) = '\0';
        if (found != NULL)
            snprintf(expected, sizeof(expected), "\\%c", names[found - letters]);
        else
            snprintf(expected, sizeof(expected), "\\u%04x", (unsigned)byte);
        assert_string_equal(out, expected);
    }
}

static void whole_texts(enum cv_simd simd) {
    static const struct {
        const char *text;
        const char *expected;
    } cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"\"", "\\\""},
        {"\n\n\n\n", "\\n\\n\\n\\n"},
        {"C:\\temp\\x", "C:\\\\temp\\\\x"},
        {"caf\xc3\xa9 \xe2\x82\xac \"\x01\"", "caf\xc3\xa9 \xe2\x82\xac \\\"\\u0001\\\""},
        {"a text that is longer than thirty-two bytes\tand has a tab",
         "a text that is longer than thirty-two bytes\\tand has a tab"},
        {"/ \x7f stay", "/ \x7f stay"},
    };
    char out[512];

    if (!cv_escape_force(simd))
        skip();
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        *cv_escape_text(out, cases[i].text, strlen(cases[i].text)) = '\0';
        assert_string_equal(out, cases[i].expected);
    }
}

static void test_escape_scalar_writes_whole_texts(void **state) {
    (void)state;
    whole_texts(CV_SIMD_SCALAR);
}

static void test_escape_avx2_writes_whole_texts(void **state) {
    (void)state;
    whole_texts(CV_SIMD_AVX2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escape_scalar_touches_nothing_outside_any_length),
        cmocka_unit_test(test_escape_avx2_touches_nothing_outside_any_length),
        cmocka_unit_test(test_escape_scalar_knows_each_byte_at_each_place),
        cmocka_unit_test(test_escape_avx2_knows_each_byte_at_each_place),
        cmocka_unit_test(test_escape_of_each_byte_is_the_shortest_of_the_rfc),
        cmocka_unit_test(test_escape_scalar_writes_whole_texts),
        cmocka_unit_test(test_escape_avx2_writes_whole_texts),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
