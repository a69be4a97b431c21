// Both histograms on one scale, and shares of them.
#include "top/distribution.h"

#include <math.h>

#include "support/top_world.h"

static void test_distribution_puts_equal_times_of_both_kinds_into_one_column(void **state) {
    static const struct {
        unsigned handler_bucket;
        size_t latency_offset;
    } pairs[] = {
        {2, offsetof(struct covet_latency, lt_1us)},
        {12, offsetof(struct covet_latency, lt_1ms)},
        {22, offsetof(struct covet_latency, lt_1s)},
        {23, offsetof(struct covet_latency, longer)},
    };
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(pairs); i++) {
        struct covet_histogram histogram = {.count = 0};
        struct covet_latency latency = {.lt_1us = 0};
        histogram.bucket[pairs[i].handler_bucket] = 7;
        *(uint64_t *)((char *)&latency + pairs[i].latency_offset) = 9;
        struct top_distribution handlers = top_distribution_of_handlers(&histogram);
        struct top_distribution kernel = top_distribution_of_latency(&latency);
        assert_int_equal(handlers.counts[pairs[i].handler_bucket], 7);
        assert_int_equal(kernel.counts[pairs[i].handler_bucket], 9);
        assert_int_equal(handlers.count, 7);
        assert_int_equal(kernel.count, 9);
        // The ends differ by less than a tenth.
        double ratio = (double)handlers.ends_ns[pairs[i].handler_bucket] /
                       (double)kernel.ends_ns[pairs[i].handler_bucket];
        assert_true(ratio > 0.9 && ratio < 1.1);
    }
}

static void test_distribution_scale_marks_the_buckets_that_end_there(void **state) {
    struct covet_histogram none = {.count = 0};
    struct top_distribution distribution = top_distribution_of_handlers(&none);
    const char *scale = TOP_DISTRIBUTION_SCALE;
    (void)state;
    assert_int_equal(distribution.ends_ns[strstr(scale, "1us") - scale], 1024);
    assert_int_equal(distribution.ends_ns[strstr(scale, "1ms") - scale], 1 << 20);
    assert_int_equal(distribution.ends_ns[strstr(scale, "1s") - scale], 1 << 30);
}

static void test_distribution_gives_the_end_of_the_bucket_of_a_share(void **state) {
    struct covet_histogram histogram = {.count = 0};
    (void)state;
    histogram.bucket[0] = 50;
    histogram.bucket[3] = 49;
    histogram.bucket[23] = 1;
    struct top_distribution distribution = top_distribution_of_handlers(&histogram);
    assert_true(top_distribution_at(&distribution, 0) == 256);
    assert_true(top_distribution_at(&distribution, 0.5) == 256);
    assert_true(top_distribution_at(&distribution, 0.51) == 2048);
    assert_true(top_distribution_at(&distribution, 0.99) == 2048);
    assert_true(isinf(top_distribution_at(&distribution, 0.999)));
    assert_true(isinf(top_distribution_at(&distribution, 1)));
}

static void test_distribution_of_nothing_has_no_shares(void **state) {
    struct covet_latency none = {.lt_1us = 0};
    struct top_distribution distribution = top_distribution_of_latency(&none);
    (void)state;
    assert_true(isnan(top_distribution_at(&distribution, 0.5)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distribution_puts_equal_times_of_both_kinds_into_one_column),
        cmocka_unit_test(test_distribution_scale_marks_the_buckets_that_end_there),
        cmocka_unit_test(test_distribution_gives_the_end_of_the_bucket_of_a_share),
        cmocka_unit_test(test_distribution_of_nothing_has_no_shares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
