#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/guard.h"
#include "json/utf8.h"

static struct t_guard guard;

static int set_up(void **state) {
    (void)state;
    guard = t_guard_create();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    t_guard_destroy(guard);
    cv_utf8_force(cv_cpu_simd());
    return 0;
}

// Whether the bytes are the UTF-8 form of some code point, by encoding: independent of the ranges
// that the code under test knows.
static size_t encode(uint32_t code_point, char *out) {
    if (code_point < 0x80) {
        out[0] = (char)code_point;
        return 1;
    }
    size_t bytes = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;

    for (size_t i = bytes - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (code_point & 0x3f));
        code_point >>= 6;
    }
    out[0] = (char)((0xf00 >> bytes & 0xff) | code_point);
    return bytes;
}

static bool is_code_point(uint32_t value) {
    return value <= 0x10ffff && !(value >= 0xd800 && value <= 0xdfff);
}

static void check(const char *data, size_t length, bool expected) {
    assert_int_equal(cv_utf8_valid(t_guard_at_end(guard, data, length), length), expected);
    assert_int_equal(cv_utf8_valid(t_guard_at_begin(guard, data, length), length), expected);
}

typedef void (*body_fn)(void);

static void for_each_simd(body_fn body) {
    for (int simd = CV_SIMD_SCALAR; simd <= CV_SIMD_AVX2; simd++) {
        if (cv_utf8_force((enum cv_simd)simd))
            body();
    }
}

static void every_code_point(void) {
    char text[40];

    memset(text, 'x', sizeof(text));
    for (uint32_t value = 0; value < 0x200000; value++) {
        size_t bytes = encode(value, text + 30);

        // The place 30 makes longer ones cross a block of 32.
        if (cv_utf8_valid(text, 30 + bytes) != is_code_point(value))
            fail_msg("U+%X", value);
    }
}

static void test_utf8_takes_every_code_point_and_no_other(void **state) {
    (void)state;
    for_each_simd(every_code_point);
}

static void every_pair(void) {
    char text[70];

    for (size_t at = 28; at < 34; at++) {
        for (unsigned first = 0; first < 256; first++) {
            for (unsigned second = 0; second < 256; second++) {
                bool valid = (first < 0x80 && second < 0x80) ||
                             (first >= 0xc2 && first < 0xe0 && second >= 0x80 && second < 0xc0);

                memset(text, 'x', sizeof(text));
                text[at] = (char)first;
                text[at + 1] = (char)second;
                assert_int_equal(cv_utf8_valid(text, sizeof(text)), valid);
                assert_int_equal(cv_utf8_valid(text, at + 2), valid);
            }
        }
    }
}

static void test_utf8_takes_no_pair_but_the_allowed(void **state) {
    (void)state;
    for_each_simd(every_pair);
}

static void mistakes(void) {
    static const struct {
        const char *text;
        size_t length;
        size_t valid_bytes;
    } cases[] = {
        {"\x80", 1, 0},              // A continuation alone.
        {"\xc3", 1, 0},              // Cut off.
        {"a\xe2\x82", 3, 1},         //
        {"ab\xf0\x9f\x98", 5, 2},    //
        {"\xc0\x80", 2, 0},          // Overlong.
        {"\xc1\xbf", 2, 0},          //
        {"\xe0\x9f\xbf", 3, 0},      //
        {"\xf0\x8f\xbf\xbf", 4, 0},  //
        {"\xed\xa0\x80", 3, 0},      // A surrogate.
        {"\xf4\x90\x80\x80", 4, 0},  // Above U+10FFFF.
        {"\xf5\x80\x80\x80", 4, 0},  //
        {"\xff", 1, 0},              //
        {"\xc3\xa9\xa9", 3, 2},      // One continuation too many.
        {"\xe2\x82\xac\x80", 4, 3},  //
        {"\xf0\x9f\x98\x80\x80", 5, 4},
        {"\xe2\xe2\x82\xac", 4, 0},
    };
    char text[128];

    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        assert_int_equal(cv_utf8_valid_bytes(cases[i].text, cases[i].length), cases[i].valid_bytes);
        for (size_t before = 0; before < 70; before++) {
            memset(text, 'x', sizeof(text));
            memcpy(text + before, cases[i].text, cases[i].length);
            check(text, before + cases[i].length, false);
            check(text, sizeof(text), false);
        }
    }
}

static void test_utf8_refuses_every_kind_of_mistake_at_every_place(void **state) {
    (void)state;
    for_each_simd(mistakes);
}

static void every_length(void) {
    static const char unit[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80";
    char text[330];
    size_t ends[330] = {0};  // 1 where a sequence may end.

    for (size_t at = 0; at < sizeof(text);) {
        static const size_t sizes[] = {1, 2, 3, 4};

        for (size_t k = 0, from = 0; k < 4 && at + sizes[k] <= sizeof(text); from += sizes[k++]) {
            memcpy(text + at, unit + from, sizes[k]);
            ends[at] = 1;
            at += sizes[k];
        }
        if (at + 1 > sizeof(text) - 10)
            break;
    }
    for (size_t length = 0; length < 320; length++)
        check(text, length, length == 0 || ends[length] != 0);
}

static void test_utf8_reads_nothing_outside_any_length(void **state) {
    (void)state;
    for_each_simd(every_length);
}

static void test_utf8_code_paths_agree_on_random_bytes(void **state) {
    uint64_t random = 0x9e3779b97f4a7c15u;
    char text[100];

    (void)state;
    for (int round = 0; round < 300000; round++) {
        size_t length = 0;
        bool by_scalar;

        random = random * 6364136223846793005u + 1442695040888963407u;
        for (uint64_t bits = random; length < random >> 58; bits = bits * 0x2545f4914f6cdd1du + 1)
            length +=
                encode((uint32_t)(bits >> 40) & (0x1fffff >> (bits >> 36 & 15)), text + length);
        if ((random & 1) != 0 && length > 0)
            text[random % length] ^= (char)(1 << (random >> 8) % 8);
        by_scalar = cv_utf8_scalar.is_valid(text, length);
        if (cv_utf8_force(CV_SIMD_AVX2))
            assert_int_equal(cv_utf8_valid(text, length), by_scalar);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8_takes_every_code_point_and_no_other),
        cmocka_unit_test(test_utf8_takes_no_pair_but_the_allowed),
        cmocka_unit_test(test_utf8_refuses_every_kind_of_mistake_at_every_place),
        cmocka_unit_test(test_utf8_reads_nothing_outside_any_length),
        cmocka_unit_test(test_utf8_code_paths_agree_on_random_bytes),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
