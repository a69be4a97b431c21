// The schedule of the open loop: even, exact over time, unmoved by who takes it when.
#include "load/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SECOND_NS UINT64_C(1000000000)
#define BEGAN_NS (UINT64_C(123456) * SECOND_NS + 789)

static uint64_t drain(struct load_pace *pace) {
    uint64_t count = 0;
    while (pace->next_ns != UINT64_MAX) {
        load_pace_take(pace);
        count++;
    }
    return count;
}

static void test_pace_has_as_many_requests_as_rate_and_time_say(void **state) {
    (void)state;
    static const struct {
        double rate;
        uint64_t span_ns, count;
    } cases[] = {
        {1, SECOND_NS, 1},        {1, 10 * SECOND_NS, 10},
        {1000, SECOND_NS, 1000},  {3, SECOND_NS, 3},
        {7.5, 2 * SECOND_NS, 15}, {1e6, SECOND_NS, 1000000},
        {0.001, SECOND_NS, 1},    {100, 0, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct load_pace pace;
        load_pace_begin(&pace, cases[i].rate, 0, BEGAN_NS, BEGAN_NS + cases[i].span_ns);
        assert_int_equal(drain(&pace), cases[i].count);
        assert_int_equal(pace.taken, cases[i].count);
    }
}

static void test_pace_is_even_and_gathers_no_rounding(void **state) {
    (void)state;
    struct load_pace pace;
    load_pace_begin(&pace, 3, 0, BEGAN_NS, BEGAN_NS + 1000000 * SECOND_NS);
    for (uint64_t i = 0; i < 2999999; i++) {
        uint64_t start_ns = load_pace_take(&pace) - BEGAN_NS;
        uint64_t exact_ns = i * SECOND_NS / 3;
        assert_in_range(start_ns, exact_ns, exact_ns + 1);
    }
}

static void test_pace_does_not_wait_for_whoever_is_late(void **state) {
    (void)state;
    struct load_pace pace;
    load_pace_begin(&pace, 1000, 0, BEGAN_NS, BEGAN_NS + SECOND_NS);
    assert_int_equal(load_pace_take(&pace), BEGAN_NS);
    // 100 ms later 100 requests are due, each with its own time.
    uint64_t now_ns = BEGAN_NS + 100 * 1000000;
    for (uint64_t i = 1; i <= 100; i++) {
        assert_true(load_pace_is_due(&pace, now_ns));
        assert_int_equal(load_pace_take(&pace), BEGAN_NS + i * 1000000);
    }
    assert_false(load_pace_is_due(&pace, now_ns));
    assert_true(load_pace_is_due(&pace, now_ns + 1000000));
}

static void test_pace_of_lanes_fall_between_each_other(void **state) {
    (void)state;
    struct load_pace lanes[4];
    for (unsigned i = 0; i < 4; i++) {
        load_pace_begin(&lanes[i], 250, i / 4.0, BEGAN_NS, BEGAN_NS + SECOND_NS);
    }
    for (uint64_t i = 0; i < 1000; i++) {
        assert_int_equal(load_pace_take(&lanes[i % 4]), BEGAN_NS + i * 1000000);
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(lanes[i].next_ns, UINT64_MAX);
    }
}

static void test_pace_can_end_early_but_not_late(void **state) {
    (void)state;
    struct load_pace pace;
    load_pace_begin(&pace, 1000, 0, BEGAN_NS, BEGAN_NS + SECOND_NS);
    load_pace_end(&pace, BEGAN_NS + 2 * SECOND_NS);
    assert_int_equal(pace.ends_ns, BEGAN_NS + SECOND_NS);
    load_pace_end(&pace, BEGAN_NS + SECOND_NS / 10);
    assert_int_equal(drain(&pace), 100);

    load_pace_begin(&pace, 1000, 0, BEGAN_NS, BEGAN_NS + SECOND_NS);
    for (unsigned i = 0; i < 500; i++) {
        load_pace_take(&pace);
    }
    load_pace_end(&pace, BEGAN_NS + SECOND_NS / 10);  // Behind what was taken already.
    assert_int_equal(pace.next_ns, UINT64_MAX);
    load_pace_end(&pace, BEGAN_NS - 1);
    assert_int_equal(pace.next_ns, UINT64_MAX);
}

static void test_pace_skips_as_if_it_had_taken(void **state) {
    (void)state;
    struct load_pace pace;
    load_pace_begin(&pace, 1e9, 0, BEGAN_NS, BEGAN_NS + SECOND_NS);
    load_pace_skip(&pace, 999999998);
    assert_int_equal(load_pace_take(&pace), BEGAN_NS + 999999998);
    load_pace_skip(&pace, 0);
    assert_int_equal(pace.next_ns, BEGAN_NS + 999999999);
    load_pace_skip(&pace, 1);
    assert_int_equal(pace.next_ns, UINT64_MAX);
}

static void test_pace_without_a_next_request_is_never_due(void **state) {
    (void)state;
    struct load_pace pace;
    load_pace_begin(&pace, 1, 0, BEGAN_NS, BEGAN_NS + SECOND_NS);
    load_pace_take(&pace);
    assert_false(load_pace_is_due(&pace, UINT64_MAX - 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pace_has_as_many_requests_as_rate_and_time_say),
        cmocka_unit_test(test_pace_is_even_and_gathers_no_rounding),
        cmocka_unit_test(test_pace_does_not_wait_for_whoever_is_late),
        cmocka_unit_test(test_pace_of_lanes_fall_between_each_other),
        cmocka_unit_test(test_pace_can_end_early_but_not_late),
        cmocka_unit_test(test_pace_skips_as_if_it_had_taken),
        cmocka_unit_test(test_pace_without_a_next_request_is_never_due),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
