// Intervals and the baseline, from snapshots that the test makes.
#include "top/sample.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "support/top_world.h"

static struct {
    uint64_t times;  // What the next snapshot has counted.
    int result;
    bool is_absent;
    unsigned closed;
} world;

struct cv_snapshot_source *__wrap_cv_snapshot_open(pid_t pid, const char *pin_dir, char *message,
                                                   size_t message_bytes);
void __wrap_cv_snapshot_close(struct cv_snapshot_source *source);
int __wrap_cv_snapshot_take(struct cv_snapshot_source *source, struct cv_snapshot *snapshot);

struct cv_snapshot_source *__wrap_cv_snapshot_open(pid_t pid, const char *pin_dir, char *message,
                                                   size_t message_bytes) {
    assert_int_equal(pid, 5);
    assert_string_equal(pin_dir, "/pins");
    if (world.is_absent) {
        snprintf(message, message_bytes, "no covet runs here");
        return NULL;
    }
    return (struct cv_snapshot_source *)&world;
}

void __wrap_cv_snapshot_close(struct cv_snapshot_source *source) {
    assert_ptr_equal(source, &world);
    world.closed++;
}

// A snapshot that has counted `world.times` seconds.
int __wrap_cv_snapshot_take(struct cv_snapshot_source *source, struct cv_snapshot *snapshot) {
    assert_ptr_equal(source, &world);
    if (world.result != 0) {
        return world.result;
    }
    cv_snapshot_deinit(snapshot);
    t_top_fill(snapshot, world.times, 2);
    snapshot->interval_ns = 0;
    snapshot->taken_ns = 1000000000 * world.times;
    return 0;
}

static struct top_sample sample;
static char message[160];

static int begin(void **state) {
    (void)state;
    memset(&world, 0, sizeof(world));
    world.times = 100;
    assert_int_equal(top_sample_open(&sample, 5, "/pins", message, sizeof(message)), 0);
    return 0;
}

static int end(void **state) {
    (void)state;
    top_sample_close(&sample);
    assert_int_equal(world.closed, 1);
    return 0;
}

static void take_at(uint64_t times) {
    world.times = times;
    assert_int_equal(top_sample_take(&sample), 0);
}

static void test_sample_has_nothing_to_show_at_first(void **state) {
    (void)state;
    assert_false(sample.has_change);
    assert_int_equal(sample.requests.count, 0);
    assert_int_equal(sample.since.interval_ns, 0);
}

static void test_sample_has_the_interval_and_the_time_since_the_baseline(void **state) {
    (void)state;
    take_at(101);
    take_at(103);
    assert_true(sample.has_change);
    assert_int_equal(sample.change.interval_ns, 2000000000);
    assert_int_equal(top_sample_requests(&sample.change, 0), 2 * T_TOP_REQUESTS);
    assert_int_equal(top_sample_requests(&sample.since, 0), 3 * T_TOP_REQUESTS);
    assert_int_equal(top_sample_requests(&sample.change_total, 0), 12 * T_TOP_REQUESTS);
    assert_int_equal(top_sample_requests(&sample.since_total, 0), 18 * T_TOP_REQUESTS);
    assert_int_equal(sample.requests.count, 2);
    assert_true(top_history_last(&sample.requests) == 6 * T_TOP_REQUESTS);
}

static void test_sample_counts_from_a_new_baseline(void **state) {
    (void)state;
    take_at(110);
    world.times = 111;
    assert_int_equal(top_sample_rebase(&sample), 0);
    assert_int_equal(top_sample_requests(&sample.since, 0), 0);
    assert_int_equal(top_sample_requests(&sample.change, 0), 10 * T_TOP_REQUESTS);
    take_at(112);
    assert_int_equal(top_sample_requests(&sample.since, 0), T_TOP_REQUESTS);
    assert_int_equal(sample.since.interval_ns, 1000000000);
}

static void test_sample_leaves_a_pause_out(void **state) {
    (void)state;
    take_at(101);
    world.times = 500;
    assert_int_equal(top_sample_restart(&sample), 0);
    take_at(501);
    assert_int_equal(sample.change.interval_ns, 1000000000);
    assert_int_equal(sample.since.interval_ns, 401000000000);
}

static void test_sample_passes_on_that_covet_has_stopped(void **state) {
    (void)state;
    take_at(101);
    world.result = -ESRCH;
    assert_int_equal(top_sample_take(&sample), -ESRCH);
    assert_int_equal(top_sample_rebase(&sample), -ESRCH);
    assert_int_equal(top_sample_restart(&sample), -ESRCH);
}

static void test_sample_says_why_there_is_none(void **state) {
    static const struct {
        bool is_absent;
        int result;
        const char *expected;
        unsigned closed;
    } cases[] = {
        {true, 0, "no covet runs here", 0},
        {false, -ESRCH, "covet has just stopped", 1},
        {false, -ENOMEM, "no memory", 1},
    };
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        memset(&world, 0, sizeof(world));
        world.is_absent = cases[i].is_absent;
        world.result = cases[i].result;
        assert_int_equal(top_sample_open(&sample, 5, "/pins", message, sizeof(message)), -1);
        assert_string_equal(message, cases[i].expected);
        assert_int_equal(world.closed, cases[i].closed);
    }
}

static void test_sample_divides_only_by_what_is_there(void **state) {
    struct cv_snapshot change = {.interval_ns = 500000000};
    struct cv_snapshot nothing = {.interval_ns = 0};
    (void)state;
    assert_true(top_sample_rate(&change, 10) == 20);
    assert_true(isnan(top_sample_rate(&nothing, 10)));
    assert_true(top_sample_per(1, 4, 1000) == 250);
    assert_true(isnan(top_sample_per(1, 0, 1000)));
    assert_int_equal(top_sample_requests(&nothing, 0), 0);
    change.info.level = 3;
    assert_int_equal(top_sample_level(&change), 0);  // Left from a profiler that is gone.
    change.has_bpf = true;
    assert_int_equal(top_sample_level(&change), 3);
}

#define SAMPLE_TEST(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        SAMPLE_TEST(test_sample_has_nothing_to_show_at_first),
        SAMPLE_TEST(test_sample_has_the_interval_and_the_time_since_the_baseline),
        SAMPLE_TEST(test_sample_counts_from_a_new_baseline),
        SAMPLE_TEST(test_sample_leaves_a_pause_out),
        SAMPLE_TEST(test_sample_passes_on_that_covet_has_stopped),
        cmocka_unit_test(test_sample_says_why_there_is_none),
        cmocka_unit_test(test_sample_divides_only_by_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
