// Bucket boundaries and recording.
#include "metrics/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static void test_histogram_bucket_includes_its_end(void **state) {
    static const struct {
        uint64_t ns;
        uint32_t bucket;
    } cases[] = {
        {0, 0},
        {1, 0},
        {255, 0},
        {256, 0},
        {257, 1},
        {512, 1},
        {513, 2},
        {1ull << 30, 22},
        {(1ull << 30) + 1, 23},
        {1ull << 31, 23},
        {(1ull << 31) + 1, 23},
        {1ull << 60, 23},
        {UINT64_MAX, 23},
    };

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++)
        assert_int_equal(cv_histogram_bucket(cases[i].ns), cases[i].bucket);
}

static void test_histogram_bucket_ends_match_the_buckets(void **state) {
    (void)state;
    for (uint32_t i = 0; i < COVET_HISTOGRAM_BUCKETS - 1; i++) {
        uint64_t end_ns = cv_histogram_bucket_end_ns(i);

        assert_true(end_ns == 1ull << (i + 8));
        assert_int_equal(cv_histogram_bucket(end_ns), i);
        assert_int_equal(cv_histogram_bucket(end_ns + 1), i + 1);
    }
    assert_true(cv_histogram_bucket_end_ns(COVET_HISTOGRAM_BUCKETS - 1) == UINT64_MAX);
}

static void test_histogram_record_counts_and_sums(void **state) {
    struct covet_histogram histogram = {0};

    (void)state;
    cv_histogram_record(&histogram, 100);
    cv_histogram_record(&histogram, 256);
    cv_histogram_record(&histogram, 257);
    cv_histogram_record(&histogram, 5000000000);
    assert_int_equal(histogram.count, 4);
    assert_int_equal(histogram.sum_ns, 5000000613);
    assert_int_equal(histogram.bucket[0], 2);
    assert_int_equal(histogram.bucket[1], 1);
    assert_int_equal(histogram.bucket[23], 1);
}

static void test_histogram_read_counts_what_the_buckets_hold(void **state) {
    struct covet_histogram histogram = {0};
    struct covet_histogram copy;

    // As a reader finds it between two stores of the writer.
    (void)state;
    cv_histogram_record(&histogram, 300);
    histogram.count++;
    cv_histogram_read(&histogram, &copy);
    assert_int_equal(copy.count, 1);
    assert_int_equal(copy.sum_ns, 300);
    assert_int_equal(copy.bucket[1], 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histogram_bucket_includes_its_end),
        cmocka_unit_test(test_histogram_bucket_ends_match_the_buckets),
        cmocka_unit_test(test_histogram_record_counts_and_sums),
        cmocka_unit_test(test_histogram_read_counts_what_the_buckets_hold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
