// Differences and sums of snapshots that are made up.
#include "observe/snapshot.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"

static bool allocation_fails;
static unsigned allocations_left;

void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes) {
    if (allocation_fails && allocations_left-- == 0)
        return NULL;
    return __real_malloc(bytes);
}

// A covet of `workers` workers with a profiler of level 2.
static struct cv_snapshot make(uint32_t workers) {
    struct cv_snapshot snapshot = {
        .taken_ns = 1000,
        .server = {.start_ns = 7, .supervisor_pid = 50, .server_pid = 51},
        .has_bpf = true,
        .info = {.level = 2, .attached_ns = 99},
        .worker_count = workers,
        .workers = calloc(workers, sizeof(struct cv_snapshot_worker)),
    };

    for (uint32_t i = 0; i < workers; i++) {
        snapshot.workers[i].has_proc = snapshot.workers[i].has_bpf = true;
        snapshot.workers[i].thread_id = 60 + i;
        snapshot.workers[i].start_ns = 8;
    }
    return snapshot;
}

static void add_syscall(struct cv_snapshot *snapshot, uint32_t worker, enum covet_syscall call,
                        uint64_t count, uint64_t busy_ns) {
    size_t at = snapshot->syscall_count++;

    snapshot->syscalls =
        realloc(snapshot->syscalls, snapshot->syscall_count * sizeof(*snapshot->syscalls));
    snapshot->syscalls[at] = (struct cv_snapshot_syscall){
        {worker, call}, {.count = count, .busy_ns = busy_ns, .max_busy_ns = busy_ns}};
}

static struct cv_snapshot subtract(const struct cv_snapshot *later,
                                   const struct cv_snapshot *earlier) {
    struct cv_snapshot change = {0};

    assert_int_equal(cv_snapshot_subtract(&change, later, earlier), 0);
    return change;
}

static void test_delta_counters_are_subtracted_and_gauges_kept(void **state) {
    struct cv_snapshot earlier = make(1), later = make(1);

    (void)state;
    later.taken_ns = 3000;
    earlier.workers[0].counter[COVET_COUNTER_REQUESTS] = 100;
    later.workers[0].counter[COVET_COUNTER_REQUESTS] = 350;
    earlier.workers[0].counter[COVET_COUNTER_CONNECTIONS_OPEN] = 20;
    later.workers[0].counter[COVET_COUNTER_CONNECTIONS_OPEN] = 5;
    earlier.workers[0].handler_time.bucket[3] = 4;
    later.workers[0].handler_time.bucket[3] = 9;
    struct cv_snapshot change = subtract(&later, &earlier);
    assert_int_equal(change.interval_ns, 2000);
    assert_int_equal(change.taken_ns, 3000);
    assert_int_equal(change.workers[0].counter[COVET_COUNTER_REQUESTS], 250);
    assert_int_equal(change.workers[0].counter[COVET_COUNTER_CONNECTIONS_OPEN], 5);
    assert_int_equal(change.workers[0].handler_time.bucket[3], 5);
    cv_snapshot_deinit(&change);
    cv_snapshot_deinit(&later);
    cv_snapshot_deinit(&earlier);
}

static void test_delta_ratios_are_made_anew(void **state) {
    struct cv_snapshot earlier = make(1), later = make(1);

    (void)state;
    earlier.workers[0].bpf = (struct covet_worker_stats){
        .requests = 1000, .syscalls = 1000, .io_uring_enters = 900, .completions = 900};
    later.workers[0].bpf = (struct covet_worker_stats){.requests = 3000,
                                                       .syscalls = 1200,
                                                       .io_uring_enters = 1100,
                                                       .completions = 4900,
                                                       .syscalls_per_1000_requests = 400};
    struct cv_snapshot change = subtract(&later, &earlier);
    assert_int_equal(change.workers[0].bpf.syscalls, 200);
    assert_int_equal(change.workers[0].bpf.syscalls_per_1000_requests, 100);
    assert_int_equal(change.workers[0].bpf.completions_per_100_enters, 2000);
    cv_snapshot_deinit(&change);
    cv_snapshot_deinit(&later);
    cv_snapshot_deinit(&earlier);
}

static void test_delta_lists_are_matched_by_key(void **state) {
    struct cv_snapshot earlier = make(2), later = make(2);

    (void)state;
    add_syscall(&earlier, 0, SYS_read, 3, 300);
    add_syscall(&earlier, 1, SYS_io_uring_enter, 10, 1000);
    add_syscall(&later, 0, SYS_io_uring_enter, 7, 70);  // New,
    add_syscall(&later, 1, SYS_read, 2, 20);            // new,
    add_syscall(&later, 1, SYS_io_uring_enter, 30, 5000);
    struct cv_snapshot change = subtract(&later, &earlier);
    assert_int_equal(change.syscall_count, 3);
    assert_int_equal(change.syscalls[0].stats.count, 7);
    assert_int_equal(change.syscalls[1].stats.count, 2);
    assert_int_equal(change.syscalls[2].stats.count, 20);
    assert_int_equal(change.syscalls[2].stats.busy_ns, 4000);
    assert_int_equal(change.syscalls[2].stats.avg_busy_ns, 200);
    assert_int_equal(change.syscalls[2].stats.max_busy_ns, 5000);
    cv_snapshot_deinit(&change);
    cv_snapshot_deinit(&later);
    cv_snapshot_deinit(&earlier);
}

static void test_delta_a_new_profiler_counts_from_nothing(void **state) {
    struct cv_snapshot earlier = make(1), later = make(1);

    (void)state;
    add_syscall(&earlier, 0, SYS_read, 3, 300);
    add_syscall(&later, 0, SYS_read, 5, 500);
    earlier.workers[0].sched.migrations = 1;
    later.workers[0].sched.migrations = 4;
    later.info.attached_ns = 100;
    struct cv_snapshot change = subtract(&later, &earlier);
    assert_int_equal(change.syscalls[0].stats.count, 5);
    assert_int_equal(change.workers[0].sched.migrations, 4);
    cv_snapshot_deinit(&change);
    cv_snapshot_deinit(&later);
    cv_snapshot_deinit(&earlier);
}

static void test_delta_a_new_server_goes_on_counting_but_not_its_time(void **state) {
    struct cv_snapshot earlier = make(1), later = make(1);

    (void)state;
    earlier.workers[0].counter[COVET_COUNTER_REQUESTS] = 100;
    later.workers[0].counter[COVET_COUNTER_REQUESTS] = 150;
    earlier.workers[0].cpu_ns = 1000;
    later.workers[0].cpu_ns = 1200;
    later.workers[0].start_ns = 9;
    struct cv_snapshot change = subtract(&later, &earlier);
    assert_int_equal(change.workers[0].counter[COVET_COUNTER_REQUESTS], 50);
    assert_int_equal(change.workers[0].cpu_ns, 1200);
    cv_snapshot_deinit(&change);
    cv_snapshot_deinit(&later);
    cv_snapshot_deinit(&earlier);
}

static void test_delta_another_covet_counts_from_nothing(void **state) {
    struct cv_snapshot earlier = make(2), later = make(1);

    (void)state;
    earlier.workers[0].counter[COVET_COUNTER_REQUESTS] = 100;
    later.workers[0].counter[COVET_COUNTER_REQUESTS] = 150;
    later.server.start_ns = 8;
    struct cv_snapshot change = subtract(&later, &earlier);
    assert_int_equal(change.worker_count, 1);
    assert_int_equal(change.workers[0].counter[COVET_COUNTER_REQUESTS], 150);
    cv_snapshot_deinit(&change);
    cv_snapshot_deinit(&later);
    cv_snapshot_deinit(&earlier);
}

static void test_delta_what_fell_began_anew(void **state) {
    struct cv_snapshot earlier = make(1), later = make(1);

    (void)state;
    earlier.host_retransmits = 10;
    later.host_retransmits = 4;
    later.listener_count = earlier.listener_count = 1;
    earlier.listeners[0] = (struct cv_snapshot_listener){.port = 80, .drops = 9};
    later.listeners[0] = (struct cv_snapshot_listener){.port = 80, .drops = 12, .queue = 3};
    struct cv_snapshot change = subtract(&later, &earlier);
    assert_int_equal(change.host_retransmits, 4);
    assert_int_equal(change.listeners[0].drops, 3);
    assert_int_equal(change.listeners[0].queue, 3);
    cv_snapshot_deinit(&change);
    cv_snapshot_deinit(&later);
    cv_snapshot_deinit(&earlier);
}

static void test_delta_total_adds_workers_up(void **state) {
    struct cv_snapshot snapshot = make(2);
    struct cv_snapshot_worker total;

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct cv_snapshot_worker *worker = &snapshot.workers[i];
        worker->counter[COVET_COUNTER_REQUESTS] = 10 + i;
        worker->cpu_ns = 100;
        worker->bpf.requests = 10 + i;
        worker->bpf.syscalls = 21;
        worker->sched.max_runq_ns = 5 - i;
        worker->runq_latency.lt_4us = 2;
    }
    cv_snapshot_total(&snapshot, &total);
    assert_int_equal(total.counter[COVET_COUNTER_REQUESTS], 21);
    assert_int_equal(total.cpu_ns, 200);
    assert_int_equal(total.bpf.syscalls_per_1000_requests, 2000);
    assert_int_equal(total.sched.max_runq_ns, 5);
    assert_int_equal(total.runq_latency.lt_4us, 4);
    assert_int_equal(total.thread_id, 0);
    assert_true(total.has_proc && total.has_bpf);
    cv_snapshot_deinit(&snapshot);
    cv_snapshot_total(&snapshot, &total);
    assert_false(total.has_proc || total.has_bpf);
    assert_int_equal(total.counter[COVET_COUNTER_REQUESTS], 0);
}

static void test_delta_merge_joins_entries_of_all_workers(void **state) {
    struct cv_snapshot snapshot = make(3), merged = {0};

    (void)state;
    add_syscall(&snapshot, 0, SYS_read, 1, 10);
    add_syscall(&snapshot, 0, SYS_io_uring_enter, 5, 50);
    add_syscall(&snapshot, 1, SYS_io_uring_enter, 7, 700);
    add_syscall(&snapshot, 2, SYS_write, 2, 20);
    assert_int_equal(cv_snapshot_merge(&merged, &snapshot), 0);
    assert_int_equal(merged.worker_count, 1);
    assert_int_equal(merged.syscall_count, 3);
    assert_int_equal(merged.syscalls[0].key.syscall, SYS_read);
    assert_int_equal(merged.syscalls[1].key.syscall, SYS_write);
    assert_int_equal(merged.syscalls[2].stats.count, 12);
    assert_int_equal(merged.syscalls[2].stats.avg_busy_ns, 62);
    assert_int_equal(merged.syscalls[2].stats.max_busy_ns, 700);
    for (size_t i = 0; i < merged.syscall_count; i++)
        assert_int_equal(merged.syscalls[i].key.worker, 0);
    assert_int_equal(snapshot.syscall_count, 4);
    cv_snapshot_deinit(&merged);
    cv_snapshot_deinit(&snapshot);
}

static void test_delta_without_memory_leaves_the_result_alone(void **state) {
    struct cv_snapshot earlier = make(1), later = make(1), change = {.taken_ns = 77};

    (void)state;
    add_syscall(&later, 0, SYS_read, 1, 10);
    for (unsigned i = 0; i < 2; i++) {
        allocations_left = i;
        allocation_fails = true;
        int subtracted = cv_snapshot_subtract(&change, &later, &earlier);
        allocations_left = i;
        int merged = cv_snapshot_merge(&change, &later);
        allocation_fails = false;
        assert_int_equal(subtracted, -ENOMEM);
        assert_int_equal(merged, -ENOMEM);
        assert_int_equal(change.taken_ns, 77);
        assert_null(change.workers);
    }
    cv_snapshot_deinit(&later);
    cv_snapshot_deinit(&earlier);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delta_counters_are_subtracted_and_gauges_kept),
        cmocka_unit_test(test_delta_ratios_are_made_anew),
        cmocka_unit_test(test_delta_lists_are_matched_by_key),
        cmocka_unit_test(test_delta_a_new_profiler_counts_from_nothing),
        cmocka_unit_test(test_delta_a_new_server_goes_on_counting_but_not_its_time),
        cmocka_unit_test(test_delta_another_covet_counts_from_nothing),
        cmocka_unit_test(test_delta_what_fell_began_anew),
        cmocka_unit_test(test_delta_total_adds_workers_up),
        cmocka_unit_test(test_delta_merge_joins_entries_of_all_workers),
        cmocka_unit_test(test_delta_without_memory_leaves_the_result_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
