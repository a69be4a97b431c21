// Measures by name, and what they need.
#include "profile/measure.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct cv_snapshot_syscall syscalls[] = {
    {{0, SYS_read}, {.count = 1}},
    {{0, SYS_sendto}, {.count = 2}},
    {{0, SYS_io_uring_enter}, {.count = 40}},
    {{1, SYS_read}, {.count = 4}},
};
static struct cv_snapshot_uring urings[] = {
    {{0, IORING_OP_SEND}, {.submitted = 10, .completed = 9, .punted = 3}},
    {{1, IORING_OP_RECV}, {.submitted = 1, .completed = 20, .punted = 4}},
};
static struct cv_snapshot_net nets[] = {{{80, TCP_RETRANSMIT}, 5}, {{443, TCP_RETRANSMIT}, 6}};
static struct cv_snapshot_drop drops[] = {{{80, DROP_NO_SOCKET}, 7}};

static struct cv_snapshot make(uint32_t level) {
    return (struct cv_snapshot){
        .has_bpf = level > 0,
        .info.level = level,
        .syscalls = syscalls,
        .syscall_count = CV_ARRAY_COUNT(syscalls),
        .urings = urings,
        .uring_count = CV_ARRAY_COUNT(urings),
        .nets = nets,
        .net_count = CV_ARRAY_COUNT(nets),
        .drops = drops,
        .drop_count = 1,
        .listeners[0].drops = 8,
        .listener_count = 1,
    };
}

static struct cv_snapshot_worker make_total(void) {
    struct cv_snapshot_worker total = {
        .has_proc = true,
        .voluntary_switches = 11,
        .involuntary_switches = 12,
        .cpu_ns = 5000000,
        .bpf = {.syscalls = 47, .io_uring_enters = 40},
        .sched.migrations = 13,
    };

    total.counter[COVET_COUNTER_ENTERS] = 41;
    total.counter[COVET_COUNTER_CQ_OVERFLOWS] = 14;
    total.counter[COVET_COUNTER_BUFFERS_STARVED] = 15;
    return total;
}

static void test_measures_are_found_by_name(void **state) {
    static const struct {
        const char *name;
        uint64_t count;
        uint32_t level;
    } cases[] = {
        {"syscalls", 47, 2},
        {"other_syscalls", 7, 2},
        {"io_uring_enter", 40, 0},
        {"read_write_sendto_recvfrom", 7, 2},
        {"read", 5, 2},
        {"write", 0, 2},
        {"context_switches", 23, 0},
        {"voluntary_switches", 11, 0},
        {"involuntary_switches", 12, 0},
        {"cpu_us", 5000, 0},
        {"migrations", 13, 1},
        {"submissions", 11, 1},
        {"completions", 29, 1},
        {"async_punts", 7, 1},
        {"packet_drops", 7, 1},
        {"tcp_retransmit", 11, 1},
        {"accept_drops", 8, 0},
        {"cqe_overflow", 14, 0},
        {"buffers_starved", 15, 0},
    };
    struct cv_snapshot_worker total = make_total();
    struct cv_measure measure;

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        for (uint32_t level = 0; level <= 2; level++) {
            struct cv_snapshot change = make(level);
            bool is_measured = level >= cases[i].level;

            assert_int_equal(cv_measure_read(&measure, &change, &total, cases[i].name),
                             is_measured ? CV_MEASURE_OK : CV_MEASURE_ABSENT);
            assert_int_equal(measure.level_needed, cases[i].level);
            if (level == 2)
                assert_int_equal(measure.count, cases[i].count);
            else if (!is_measured)
                assert_int_equal(measure.count, 0);
        }
    }
}

static void test_measures_at_level_0_take_enters_from_the_server(void **state) {
    struct cv_snapshot change = make(0);
    struct cv_snapshot_worker total = make_total();
    struct cv_measure measure;

    (void)state;
    assert_int_equal(cv_measure_read(&measure, &change, &total, "io_uring_enter"), CV_MEASURE_OK);
    assert_int_equal(measure.count, 41);
}

static void test_measures_that_are_hidden_are_absent(void **state) {
    struct cv_snapshot change = make(2);
    struct cv_snapshot_worker total = make_total();
    struct cv_measure measure;

    (void)state;
    total.has_proc = false;
    change.listener_count = 0;
    assert_int_equal(cv_measure_read(&measure, &change, &total, "cpu_us"), CV_MEASURE_ABSENT);
    assert_int_equal(cv_measure_read(&measure, &change, &total, "accept_drops"), CV_MEASURE_ABSENT);
}

static void test_measures_have_no_gauges_and_no_other_names(void **state) {
    static const char *const names[] = {"connections_open", "memory_bytes", "", "Read", "REQUESTS"};

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(names); i++)
        assert_false(cv_measure_exists(names[i]));
    for (unsigned i = 0; cv_measure_name(i) != NULL; i++)
        assert_true(cv_measure_exists(cv_measure_name(i)));
}

static void test_measures_per_1000_of_no_requests_are_0(void **state) {
    (void)state;
    assert_true(cv_measure_per_1000(5, 0) == 0);
    assert_true(cv_measure_per_1000(5, 2000) == 2.5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_measures_are_found_by_name),
        cmocka_unit_test(test_measures_at_level_0_take_enters_from_the_server),
        cmocka_unit_test(test_measures_that_are_hidden_are_absent),
        cmocka_unit_test(test_measures_have_no_gauges_and_no_other_names),
        cmocka_unit_test(test_measures_per_1000_of_no_requests_are_0),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
