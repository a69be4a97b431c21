// Processor lists, the processors of this process, and the choice of the SIMD path.
#include "base/cpu.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"

static unsigned log_lines;

ssize_t __wrap_cv_nowait_write(int fd, const void *data, size_t bytes);

ssize_t __wrap_cv_nowait_write(int fd, const void *data, size_t bytes) {
    (void)fd;
    (void)data;
    log_lines++;
    return (ssize_t)bytes;
}

// "0,1,2" of what was parsed, or "! reason".
static void parse_to_text(const char *input, char *out, size_t out_bytes) {
    uint16_t cpus[CV_CPU_LIST_MAX];
    size_t count = 4711;
    const char *reason = NULL;
    size_t length = 0;

    if (!cv_cpu_list_parse(cv_span_of(input), cpus, &count, &reason)) {
        assert_non_null(reason);
        assert_int_equal(count, 4711);
        snprintf(out, out_bytes, "! %s", reason);
        return;
    }
    assert_null(reason);
    for (size_t i = 0; i < count; i++) {
        length +=
            (size_t)snprintf(out + length, out_bytes - length, "%s%u", i == 0 ? "" : ",", cpus[i]);
    }
}

static void test_cpu_list_parse_reads_numbers_and_ranges(void **state) {
    static const char no_list[] = "! not a list of numbers and ranges such as 0-7,10";
    static const struct {
        const char *input;
        const char *expected;
    } cases[] = {
        {"0", "0"},
        {"0-7,10", "0,1,2,3,4,5,6,7,10"},
        {"3,1,2", "3,1,2"},
        {"2-2", "2"},
        {"1,1,1", "1"},
        {"0-3,2-5,4", "0,1,2,3,4,5"},
        {"007", "7"},
        {"8191", "8191"},
        {"8190-8191", "8190,8191"},
        {"", "! the list is empty"},
        {",", no_list},
        {"1,", no_list},
        {",1", no_list},
        {"1,,2", no_list},
        {"-", no_list},
        {"-1", no_list},
        {"1-", no_list},
        {"1-2-3", no_list},
        {"1 - 2", no_list},
        {" 1", no_list},
        {"1;2", no_list},
        {"all", no_list},
        {"0x1", no_list},
        {"1.5", no_list},
        {"7-0", "! a range runs backwards"},
        {"8192", "! a number is above 8191"},
        {"65536", "! a number is above 8191"},
        {"0-18446744073709551615", "! a number is above 8191"},
        {"0-18446744073709551616", no_list},
        {"0-256", "! more than 256 processors"},
        {"0-255,8191", "! more than 256 processors"},
    };

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        char out[256];

        parse_to_text(cases[i].input, out, sizeof(out));
        if (strcmp(out, cases[i].expected) != 0)
            fail_msg("\"%s\" gave \"%s\"", cases[i].input, out);
    }
}

static void test_cpu_list_parse_takes_256_and_forgets_duplicates(void **state) {
    uint16_t cpus[CV_CPU_LIST_MAX];
    size_t count = 0;
    const char *reason = NULL;

    (void)state;
    assert_true(cv_cpu_list_parse(CV_SPAN("0-255,17,0-255"), cpus, &count, &reason));
    assert_int_equal(count, 256);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(cpus[i], i);
}

static void test_cpu_allowed_agrees_with_the_kernel(void **state) {
    uint16_t cpus[CV_CPU_LIST_MAX];
    size_t count = 0;
    cpu_set_t set;

    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
    assert_int_equal(cv_cpu_allowed(cpus, CV_CPU_LIST_MAX, &count), 0);
    assert_int_equal(count, CV_MIN(CPU_COUNT(&set), (int)CV_CPU_LIST_MAX));
    for (size_t i = 0; i < count; i++) {
        assert_true(CPU_ISSET(cpus[i], &set));
        assert_true(i == 0 || cpus[i - 1] < cpus[i]);
    }
    assert_int_equal(cv_cpu_allowed(cpus, 1, &count), 0);
    assert_int_equal(count, 1);
}

static void test_cpu_simd_choose_obeys_the_wish_as_far_as_it_can(void **state) {
    static const struct {
        const char *wish;
        enum cv_simd best;
        enum cv_simd expected;
        unsigned log_lines;
    } cases[] = {
        {NULL, CV_SIMD_AVX2, CV_SIMD_AVX2, 0},       {NULL, CV_SIMD_SCALAR, CV_SIMD_SCALAR, 0},
        {"scalar", CV_SIMD_AVX2, CV_SIMD_SCALAR, 0}, {"scalar", CV_SIMD_SCALAR, CV_SIMD_SCALAR, 0},
        {"avx2", CV_SIMD_AVX2, CV_SIMD_AVX2, 0},     {"avx2", CV_SIMD_SCALAR, CV_SIMD_SCALAR, 0},
        {"avx512", CV_SIMD_AVX2, CV_SIMD_AVX2, 0},   {"avx512", CV_SIMD_SCALAR, CV_SIMD_SCALAR, 0},
        {"sse", CV_SIMD_AVX2, CV_SIMD_AVX2, 1},      {"", CV_SIMD_SCALAR, CV_SIMD_SCALAR, 1},
        {"AVX2", CV_SIMD_AVX2, CV_SIMD_AVX2, 1},
    };

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        log_lines = 0;
        assert_int_equal(cv_cpu_simd_choose(cases[i].wish, cases[i].best), cases[i].expected);
        assert_int_equal(log_lines, cases[i].log_lines);
    }
}

static void test_cpu_simd_is_chosen_once(void **state) {
    (void)state;
    setenv("COVET_SIMD", "scalar", 1);
    assert_int_equal(cv_cpu_simd(), CV_SIMD_SCALAR);
    setenv("COVET_SIMD", "avx2", 1);
    assert_int_equal(cv_cpu_simd(), CV_SIMD_SCALAR);
    assert_string_equal(cv_cpu_simd_name(cv_cpu_simd()), "scalar");
    assert_string_equal(cv_cpu_simd_name(CV_SIMD_AVX2), "avx2");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cpu_list_parse_reads_numbers_and_ranges),
        cmocka_unit_test(test_cpu_list_parse_takes_256_and_forgets_duplicates),
        cmocka_unit_test(test_cpu_allowed_agrees_with_the_kernel),
        cmocka_unit_test(test_cpu_simd_choose_obeys_the_wish_as_far_as_it_can),
        cmocka_unit_test(test_cpu_simd_is_chosen_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
