// Latencies: bucket arithmetic at every boundary, percentiles at their edges.
#include "load/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct load_histogram histogram, other;

static int set_up(void **state) {
    (void)state;
    memset(&histogram, 0, sizeof(histogram));
    memset(&other, 0, sizeof(other));
    return 0;
}

static void test_histogram_buckets_follow_each_other_without_a_gap(void **state) {
    (void)state;
    uint64_t expected_low = 0;
    for (uint32_t bucket = 0; bucket < LOAD_HISTOGRAM_BUCKETS; bucket++) {
        uint64_t low, width;
        load_histogram_range(bucket, &low, &width);
        assert_int_equal(low, expected_low);
        assert_int_equal(load_histogram_bucket(low), bucket);
        assert_int_equal(load_histogram_bucket(low + width - 1), bucket);
        assert_true(width == 1 || width * 128 <= low);  // Below 0.8 % wide.
        expected_low = low + width;
    }
    assert_int_equal(expected_low, UINT64_C(1) << LOAD_HISTOGRAM_NS_BITS);
}

static void test_histogram_counts_what_is_too_long_in_the_last_bucket(void **state) {
    (void)state;
    uint64_t end = UINT64_C(1) << LOAD_HISTOGRAM_NS_BITS;
    assert_int_equal(load_histogram_bucket(end - 1), LOAD_HISTOGRAM_BUCKETS - 1);
    assert_int_equal(load_histogram_bucket(end), LOAD_HISTOGRAM_BUCKETS - 1);
    assert_int_equal(load_histogram_bucket(UINT64_MAX), LOAD_HISTOGRAM_BUCKETS - 1);
    load_histogram_record(&histogram, 5, 1);
    load_histogram_record(&histogram, 4 * end, 2);
    assert_int_equal(histogram.max_ns, 4 * end);
    assert_int_equal(load_histogram_at(&histogram, 0.5), 4 * end);
}

static void test_histogram_is_exact_below_256_ns(void **state) {
    (void)state;
    for (uint64_t ns = 1; ns <= 255; ns++) {
        load_histogram_record(&histogram, ns, 1);
    }
    for (unsigned rank = 1; rank <= 255; rank++) {
        assert_int_equal(load_histogram_at(&histogram, rank / 255.0), rank);
    }
}

static void test_histogram_errs_by_less_than_half_a_percent(void **state) {
    (void)state;
    uint64_t seed = 1;
    for (unsigned i = 0; i < 20000; i++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        uint64_t ns = (seed >> 27) >> (seed % 30);  // Of every length up to 37 bits.
        set_up(NULL);
        // Neither the first nor the last value, which are known exactly.
        load_histogram_record(&histogram, 0, 1);
        load_histogram_record(&histogram, ns, 1);
        load_histogram_record(&histogram, UINT64_C(1) << 37, 1);
        double found = (double)load_histogram_at(&histogram, 0.5);
        assert_true(found >= (double)ns * 0.995 && found <= (double)ns * 1.005);
    }
}

static void test_histogram_percentiles_are_the_ranks_they_say(void **state) {
    static const struct {
        double fraction;
        uint64_t expected;
    } cases[] = {
        {0, 1},     {0.001, 1},   {0.01, 1},    {0.010001, 2}, {0.02, 2},  {0.07, 7},
        {0.29, 29}, {0.5, 50},    {0.57, 57},   {0.58, 58},    {0.75, 75}, {0.9, 90},
        {0.99, 99}, {0.991, 100}, {0.999, 100}, {1, 100},      {1.5, 100}, {-1, 1},
    };
    (void)state;
    for (uint64_t ns = 1; ns <= 100; ns++) {
        load_histogram_record(&histogram, ns, 1);
    }
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(load_histogram_at(&histogram, cases[i].fraction), cases[i].expected);
    }
}

static void test_histogram_first_and_last_value_are_exact(void **state) {
    (void)state;
    load_histogram_record(&histogram, 1000003, 1);
    load_histogram_record(&histogram, 1000001, 5);
    load_histogram_record(&histogram, 999983, 1);
    assert_int_equal(load_histogram_at(&histogram, 0), 999983);
    assert_int_equal(load_histogram_at(&histogram, 0.1), 999983);
    assert_int_equal(load_histogram_at(&histogram, 1), 1000003);
    assert_int_equal(load_histogram_at(&histogram, 0.99), 1000003);
}

static void test_histogram_stays_between_least_and_most(void **state) {
    (void)state;
    // One bucket holds all of them, its middle is outside.
    load_histogram_record(&histogram, 1 << 20, 3);
    assert_int_equal(load_histogram_at(&histogram, 0.5), 1 << 20);
    set_up(NULL);
    load_histogram_record(&histogram, (1 << 20) + 8191, 3);
    assert_int_equal(load_histogram_at(&histogram, 0.5), (1 << 20) + 8191);
}

static void test_histogram_of_nothing_is_all_zero(void **state) {
    (void)state;
    load_histogram_record(&histogram, 77, 0);
    load_histogram_merge(&histogram, &other);
    assert_int_equal(histogram.count, 0);
    assert_int_equal(histogram.min_ns, 0);
    assert_int_equal(histogram.max_ns, 0);
    assert_int_equal(load_histogram_at(&histogram, 0), 0);
    assert_int_equal(load_histogram_at(&histogram, 0.5), 0);
    assert_int_equal(load_histogram_at(&histogram, 1), 0);
}

static void test_histogram_merged_is_as_if_counted_in_one(void **state) {
    static struct load_histogram both;
    (void)state;
    memset(&both, 0, sizeof(both));
    for (uint64_t i = 0; i < 1000; i++) {
        uint64_t ns = i * i * 37 + 3;
        load_histogram_record(i % 3 == 0 ? &histogram : &other, ns, i % 5);
        load_histogram_record(&both, ns, i % 5);
    }
    load_histogram_merge(&histogram, &other);
    assert_memory_equal(&histogram, &both, sizeof(both));
    set_up(NULL);
    load_histogram_merge(&histogram, &both);
    assert_memory_equal(&histogram, &both, sizeof(both));
}

static void test_histogram_counts_zero_as_a_value(void **state) {
    (void)state;
    load_histogram_record(&histogram, 5, 1);
    load_histogram_record(&histogram, 0, 1);
    load_histogram_record(&other, 9, 1);
    load_histogram_merge(&other, &histogram);
    assert_int_equal(other.min_ns, 0);
    assert_int_equal(other.max_ns, 9);
    assert_int_equal(other.sum_ns, 14);
    assert_int_equal(load_histogram_at(&other, 0.34), 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histogram_buckets_follow_each_other_without_a_gap),
        cmocka_unit_test_setup(test_histogram_counts_what_is_too_long_in_the_last_bucket, set_up),
        cmocka_unit_test_setup(test_histogram_is_exact_below_256_ns, set_up),
        cmocka_unit_test(test_histogram_errs_by_less_than_half_a_percent),
        cmocka_unit_test_setup(test_histogram_percentiles_are_the_ranks_they_say, set_up),
        cmocka_unit_test_setup(test_histogram_first_and_last_value_are_exact, set_up),
        cmocka_unit_test_setup(test_histogram_stays_between_least_and_most, set_up),
        cmocka_unit_test_setup(test_histogram_of_nothing_is_all_zero, set_up),
        cmocka_unit_test_setup(test_histogram_merged_is_as_if_counted_in_one, set_up),
        cmocka_unit_test_setup(test_histogram_counts_zero_as_a_value, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
