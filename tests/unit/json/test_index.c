#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/guard.h"
#include "json/index.h"

#define LENGTH_MAX 300u
#define WORDS_MAX (LENGTH_MAX / 64 + 1)

static struct t_guard guard;

static int set_up(void **state) {
    (void)state;
    guard = t_guard_create();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    t_guard_destroy(guard);
    cv_index_force(cv_cpu_simd());
    return 0;
}

static bool is_stop(char byte) {
    return (unsigned char)byte < 0x20 || byte == '"' || byte == '\\';
}

static void check(const char *data, size_t length) {
    uint64_t stops[WORDS_MAX];
    bool any_high = false;

    assert_true(length <= LENGTH_MAX);
    memset(stops, 0x5a, sizeof(stops));
    for (size_t i = 0; i < length; i++)
        any_high = any_high || (unsigned char)data[i] > 0x7f;
    assert_int_equal(cv_index_chosen.fill(data, length, stops), any_high);
    for (size_t i = 0; i < (length / 64 + 1) * 64; i++) {
        bool expected = i >= length || is_stop(data[i]);
        if ((stops[i / 64] >> i % 64 & 1) != expected)
            fail_msg("bit %zu of %zu is not %d", i, length, expected);
    }
}

static void check_all_paths(const char *data, size_t length) {
    for (int simd = CV_SIMD_SCALAR; simd <= (int)cv_cpu_simd(); simd++) {
        assert_true(cv_index_force((enum cv_simd)simd));
        check(t_guard_at_end(guard, data, length), length);
        check(t_guard_at_begin(guard, data, length), length);
    }
}

static void test_index_tells_every_byte_at_every_place(void **state) {
    char data[130];

    (void)state;
    for (size_t place = 0; place < sizeof(data); place += 13) {
        for (int byte = 0; byte < 256; byte++) {
            memset(data, 'a', sizeof(data));
            data[place] = (char)byte;
            check_all_paths(data, sizeof(data));
        }
    }
}

static void test_index_covers_every_length(void **state) {
    char data[LENGTH_MAX];

    (void)state;
    srandom(3);
    for (size_t length = 0; length <= sizeof(data); length++) {
        for (size_t i = 0; i < length; i++)
            data[i] = "aZ\"\\\n\x1f \x7f\x80\xff{"[random() % 11];
        check_all_paths(data, length);
    }
}

static void test_index_knows_plain_text_of_every_length(void **state) {
    char data[LENGTH_MAX];

    (void)state;
    memset(data, ' ', sizeof(data));
    for (size_t length = 0; length <= sizeof(data); length++)
        check_all_paths(data, length);
}

static void test_index_refuses_what_the_processor_lacks(void **state) {
    (void)state;
    assert_false(cv_index_force((enum cv_simd)(CV_SIMD_AVX2 + 1)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_index_tells_every_byte_at_every_place),
        cmocka_unit_test(test_index_covers_every_length),
        cmocka_unit_test(test_index_knows_plain_text_of_every_length),
        cmocka_unit_test(test_index_refuses_what_the_processor_lacks),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
