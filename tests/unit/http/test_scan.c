#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/scan.h"
#include "unit/http/guard.h"

static struct t_guard guard;

static int set_up(void **state) {
    (void)state;
    guard = t_guard_create();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    t_guard_destroy(guard);
    cv_scan_force(cv_cpu_simd());
    return 0;
}

// The sets, spelt out from the RFCs and not from the table under test.
static bool is_alnum(int byte) {
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= 'a' && byte <= 'z');
}

static bool is_control(int byte) {
    return (byte < 0x20 && byte != '\t') || byte == 0x7f;
}

static bool is_token(int byte) {
    return is_alnum(byte) || (byte != 0 && strchr("!#$%&'*+-.^_`|~", byte) != NULL);
}

static bool is_target(int byte) {
    return byte > 0x20 && byte < 0x7f && strchr("\"#<>\\^`", byte) == NULL;
}

static bool is_host(int byte) {
    return is_alnum(byte) || (byte != 0 && strchr("-._~!$&'()*+;=", byte) != NULL);
}

static void test_scan_classes_are_those_of_the_rfcs(void **state) {
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        assert_int_equal(cv_scan_is((char)byte, CV_SCAN_CONTROL), is_control(byte));
        assert_int_equal(cv_scan_is((char)byte, CV_SCAN_TOKEN), is_token(byte));
        assert_int_equal(cv_scan_is((char)byte, CV_SCAN_TARGET), is_target(byte));
        assert_int_equal(cv_scan_is((char)byte, CV_SCAN_HOST), is_host(byte));
    }
}

static bool bit(const uint64_t *words, size_t index) {
    return (words[index / 64] >> index % 64 & 1) != 0;
}

// Checks every bit that the contract promises for `length` bytes.
static void check_index(const char *data, size_t length, const struct cv_scan_index *index) {
    size_t run = 0;
    size_t end = length;

    for (size_t i = 0; i < length && end == length; i++) {
        run = is_control((unsigned char)data[i]) ? run + 1 : 0;
        if (run == 4)
            end = CV_MIN(length, (i / 64 + 1) * 64);
    }
    for (size_t i = 0; i < end; i++) {
        assert_int_equal(bit(index->control, i), is_control((unsigned char)data[i]));
        assert_int_equal(bit(index->not_token, i), !is_token((unsigned char)data[i]));
    }
    for (size_t i = end; i < (end / 64 + 1) * 64; i++) {
        assert_true(bit(index->control, i));
        assert_true(bit(index->not_token, i));
    }
}

static void run_index(const char *data, size_t length) {
    static struct cv_scan_index index;

    memset(&index, 0x55, sizeof(index));
    cv_scan_chosen.index(t_guard_at_end(guard, data, length), length, &index);
    check_index(data, length, &index);
    memset(&index, 0xaa, sizeof(index));
    cv_scan_chosen.index(t_guard_at_begin(guard, data, length), length, &index);
    check_index(data, length, &index);
}

static void each_byte_at_each_place(enum cv_simd simd) {
    static const size_t lengths[] = {64, 128, 191};
    char data[192];

    if (!cv_scan_force(simd))
        skip();
    for (size_t k = 0; k < CV_ARRAY_COUNT(lengths); k++) {
        memset(data, 'a', sizeof(data));
        for (size_t at = lengths[k] - 64; at < lengths[k]; at++) {
            for (int byte = 0; byte < 256; byte++) {
                data[at] = (char)byte;
                run_index(data, lengths[k]);
            }
            data[at] = 'a';
        }
    }
}

static void test_scan_scalar_classifies_each_byte_at_each_place(void **state) {
    (void)state;
    each_byte_at_each_place(CV_SIMD_SCALAR);
}

static void test_scan_avx2_classifies_each_byte_at_each_place(void **state) {
    (void)state;
    each_byte_at_each_place(CV_SIMD_AVX2);
}

static void every_length(enum cv_simd simd) {
    char data[400];

    if (!cv_scan_force(simd))
        skip();
    for (size_t length = 0; length <= sizeof(data); length++) {
        for (size_t i = 0; i < length; i++)
            data[i] = (char)(i * 37 + length);
        run_index(data, length);
    }
}

static void test_scan_scalar_reads_nothing_outside_any_length(void **state) {
    (void)state;
    every_length(CV_SIMD_SCALAR);
}

static void test_scan_avx2_reads_nothing_outside_any_length(void **state) {
    (void)state;
    every_length(CV_SIMD_AVX2);
}

static void stops_behind_four_controls(enum cv_simd simd) {
    static struct cv_scan_index index;
    char data[320];

    if (!cv_scan_force(simd))
        skip();
    for (size_t at = 0; at <= 200; at++) {
        memset(data, ' ', sizeof(data));
        memcpy(data + at, "\r\n\r\n", 4);
        run_index(data, sizeof(data));
        memset(&index, 0x55, sizeof(index));
        cv_scan_chosen.index(data, sizeof(data), &index);
        assert_true(index.control[(at + 3) / 64 + 1] == ~UINT64_C(0));
        // What is further behind was not looked at.
        assert_true((at + 3) / 64 + 2 > 5 ||
                    index.control[(at + 3) / 64 + 2] == UINT64_C(0x5555555555555555));
    }
}

static void test_scan_scalar_stops_where_a_head_ends(void **state) {
    (void)state;
    stops_behind_four_controls(CV_SIMD_SCALAR);
}

static void test_scan_avx2_stops_where_a_head_ends(void **state) {
    (void)state;
    stops_behind_four_controls(CV_SIMD_AVX2);
}

static void targets(enum cv_simd simd) {
    char data[130];

    if (!cv_scan_force(simd))
        skip();
    for (size_t length = 0; length <= sizeof(data); length++) {
        memset(data, '/', sizeof(data));
        for (size_t at = 0; at <= length; at++) {
            // One byte that ends a target, or none, and a '?' before, behind or nowhere.
            for (size_t query = 0; query <= length; query += 7) {
                size_t found = SIZE_MAX;

                memset(data, '/', length);
                if (query < length)
                    data[query] = '?';
                if (at < length)
                    data[at] = ' ';
                const char *copy = t_guard_at_end(guard, data, length);
                assert_int_equal(cv_scan_chosen.target(copy, length, &found), at);
                assert_int_equal(found, query < at ? query : at);
            }
        }
    }
    for (int byte = 0; byte < 256; byte++) {
        for (size_t at = 0; at < 64; at++) {
            size_t found;

            memset(data, 'a', 64);
            data[at] = (char)byte;
            assert_int_equal(cv_scan_chosen.target(data, 64, &found), is_target(byte) ? 64 : at);
        }
    }
}

static void test_scan_scalar_finds_the_end_and_the_query_of_a_target(void **state) {
    (void)state;
    targets(CV_SIMD_SCALAR);
}

static void test_scan_avx2_finds_the_end_and_the_query_of_a_target(void **state) {
    (void)state;
    targets(CV_SIMD_AVX2);
}

static void test_scan_covers_the_largest_head(void **state) {
    static char data[CV_SCAN_BYTES_MAX];

    (void)state;
    memset(data, 'x', sizeof(data));
    for (int simd = CV_SIMD_SCALAR; simd <= CV_SIMD_AVX2; simd++) {
        if (cv_scan_force((enum cv_simd)simd))
            run_index(data, sizeof(data));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan_classes_are_those_of_the_rfcs),
        cmocka_unit_test(test_scan_scalar_classifies_each_byte_at_each_place),
        cmocka_unit_test(test_scan_avx2_classifies_each_byte_at_each_place),
        cmocka_unit_test(test_scan_scalar_reads_nothing_outside_any_length),
        cmocka_unit_test(test_scan_avx2_reads_nothing_outside_any_length),
        cmocka_unit_test(test_scan_scalar_stops_where_a_head_ends),
        cmocka_unit_test(test_scan_avx2_stops_where_a_head_ends),
        cmocka_unit_test(test_scan_scalar_finds_the_end_and_the_query_of_a_target),
        cmocka_unit_test(test_scan_avx2_finds_the_end_and_the_query_of_a_target),
        cmocka_unit_test(test_scan_covers_the_largest_head),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
