// Shares of histograms.
#include "observe/snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_latency_of_nothing_is_0(void **state) {
    static const struct covet_latency none;
    static const struct covet_histogram empty;

    (void)state;
    assert_int_equal(cv_snapshot_latency_ns(&none, 0.5), 0);
    assert_int_equal(cv_snapshot_handler_ns(&empty, 0.99), 0);
}

static void test_latency_is_the_upper_end_of_the_bucket(void **state) {
    struct covet_latency latency = {.lt_2us = 90, .lt_1ms = 9, .longer = 1};

    (void)state;
    assert_int_equal(cv_snapshot_latency_ns(&latency, 0), 2000);
    assert_int_equal(cv_snapshot_latency_ns(&latency, 0.5), 2000);
    assert_int_equal(cv_snapshot_latency_ns(&latency, 0.9), 2000);
    assert_int_equal(cv_snapshot_latency_ns(&latency, 0.91), 1024000);
    assert_int_equal(cv_snapshot_latency_ns(&latency, 0.99), 1024000);
    assert_true(cv_snapshot_latency_ns(&latency, 1) == UINT64_MAX);
}

static void test_latency_of_handlers_uses_their_buckets(void **state) {
    struct covet_histogram histogram = {.bucket = {[0] = 1, [4] = 1, [23] = 2}};

    (void)state;
    assert_int_equal(cv_snapshot_handler_ns(&histogram, 0.25), 256);
    assert_int_equal(cv_snapshot_handler_ns(&histogram, 0.5), 4096);
    assert_true(cv_snapshot_handler_ns(&histogram, 0.51) == UINT64_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_latency_of_nothing_is_0),
        cmocka_unit_test(test_latency_is_the_upper_end_of_the_bucket),
        cmocka_unit_test(test_latency_of_handlers_uses_their_buckets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
