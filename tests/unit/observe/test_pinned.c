// Whose maps are used and whose are not; the maps are real ones.
#include "observe/pinned.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/clock.h"
#include "support/pinned_maps.h"

#define SUPERVISOR 50

static const struct cv_running running = {.root = "", .supervisor_pid = SUPERVISOR};
static struct cv_snapshot snapshot;

static void pin_one(const char *name, uint32_t key_bytes, uint32_t value_bytes, const void *key,
                    const void *value) {
    int fd = t_map_create(key_bytes, value_bytes, 16);

    t_map_put(fd, key, value);
    t_map_pin(fd, name);
}

// We are the profiler.
static struct covet_profile_info our_info(void) {
    return (struct covet_profile_info){
        .level = 2,
        .abi_version = COVET_ABI_VERSION,
        .profiler_pid = (uint32_t)getpid(),
        .supervisor_pid = SUPERVISOR,
        .attached_ns = cv_clock_monotonic_ns(),
    };
}

static void pin_info(const struct covet_profile_info *info) {
    pin_one("profile_info", 4, sizeof(*info), &(uint32_t){0}, info);
}

static int set_up(void **state) {
    (void)state;
    snapshot = (struct cv_snapshot){.worker_count = 2,
                                    .workers = calloc(2, sizeof(struct cv_snapshot_worker))};
    return 0;
}

static int tear_down(void **state) {
    static const char *const names[] = {"profile_info", "worker_stats",  "sched_stats",
                                        "runq_latency", "syscall_stats", "net_stats"};

    (void)state;
    cv_snapshot_deinit(&snapshot);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        t_unpin(names[i]);
    return 0;
}

static void read_pinned(void) {
    assert_int_equal(cv_pinned_read(&snapshot, &running, t_pins), 0);
}

static void test_pinned_nothing_is_no_profiler_and_no_note(void **state) {
    (void)state;
    read_pinned();
    assert_false(snapshot.has_bpf);
    assert_string_equal(snapshot.bpf_note, "");
}

static void test_pinned_maps_of_our_profiler_are_read(void **state) {
    struct covet_profile_info info = our_info();
    struct covet_worker_stats worker = {.name = "covet-w1", .requests = 5, .syscalls = 7};
    struct covet_sched_stats sched = {.migrations = 3};
    struct covet_syscall_key key = {1, SYS_io_uring_enter};
    struct covet_syscall_stats stats = {.count = 7};
    struct covet_net_key net = {80, TCP_RETRANSMIT};

    (void)state;
    pin_info(&info);
    pin_one("worker_stats", 4, sizeof(worker), &(uint32_t){1}, &worker);
    pin_one("sched_stats", 4, sizeof(sched), &(uint32_t){1}, &sched);
    pin_one("syscall_stats", sizeof(key), sizeof(stats), &key, &stats);
    pin_one("net_stats", sizeof(net), 8, &net, &(uint64_t){4});
    read_pinned();
    assert_true(snapshot.has_bpf);
    assert_string_equal(snapshot.bpf_note, "");
    assert_int_equal(snapshot.info.level, 2);
    assert_false(snapshot.workers[0].has_bpf);
    assert_true(snapshot.workers[1].has_bpf);
    assert_string_equal(snapshot.workers[1].bpf.name, "covet-w1");
    assert_int_equal(snapshot.workers[1].bpf.syscalls, 7);
    assert_int_equal(snapshot.workers[1].sched.migrations, 3);
    assert_int_equal(snapshot.syscall_count, 1);
    assert_memory_equal(&snapshot.syscalls[0].key, &key, sizeof(key));
    assert_int_equal(snapshot.syscalls[0].stats.count, 7);
    assert_int_equal(snapshot.net_count, 1);
    assert_int_equal(snapshot.nets[0].count, 4);
    assert_int_equal(snapshot.uring_count, 0);
}

static void test_pinned_a_worker_that_is_not_there_is_left_out(void **state) {
    struct covet_profile_info info = our_info();
    struct covet_worker_stats worker = {.requests = 5};

    (void)state;
    pin_info(&info);
    pin_one("worker_stats", 4, sizeof(worker), &(uint32_t){2}, &worker);
    read_pinned();
    assert_true(snapshot.has_bpf);
    assert_false(snapshot.workers[0].has_bpf || snapshot.workers[1].has_bpf);
}

static void test_pinned_a_profiler_of_another_covet_counts_as_none(void **state) {
    struct covet_profile_info info = our_info();

    (void)state;
    info.supervisor_pid = SUPERVISOR + 1;
    pin_info(&info);
    read_pinned();
    assert_false(snapshot.has_bpf);
    assert_non_null(strstr(snapshot.bpf_note, "measures covet 51"));
}

static void test_pinned_a_profiler_that_is_gone_counts_as_none(void **state) {
    struct covet_profile_info info = our_info();

    (void)state;
    pid_t gone = fork();
    if (gone == 0)
        _exit(0);
    waitpid(gone, NULL, 0);
    info.profiler_pid = (uint32_t)gone;
    pin_info(&info);
    read_pinned();
    assert_false(snapshot.has_bpf);
    assert_non_null(strstr(snapshot.bpf_note, "a profiler that is gone"));
}

static void test_pinned_maps_of_another_version_count_as_none(void **state) {
    struct covet_profile_info info = our_info();

    (void)state;
    pin_one("profile_info", 4, 8, &(uint32_t){0}, &(uint64_t){0});
    read_pinned();
    assert_false(snapshot.has_bpf);
    assert_non_null(strstr(snapshot.bpf_note, "another version"));
    t_unpin("profile_info");
    info.abi_version++;
    pin_info(&info);
    snapshot.bpf_note[0] = '\0';
    read_pinned();
    assert_false(snapshot.has_bpf);
    assert_non_null(strstr(snapshot.bpf_note, "another version"));
}

static void test_pinned_one_map_of_another_layout_is_left_out_with_a_note(void **state) {
    struct covet_profile_info info = our_info();

    (void)state;
    pin_info(&info);
    pin_one("syscall_stats", 8, 8, &(uint64_t){0}, &(uint64_t){0});
    read_pinned();
    assert_true(snapshot.has_bpf);
    assert_int_equal(snapshot.syscall_count, 0);
    assert_non_null(strstr(snapshot.bpf_note, "another version"));
}

#define WITH_MAPS(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_MAPS(test_pinned_nothing_is_no_profiler_and_no_note),
        WITH_MAPS(test_pinned_maps_of_our_profiler_are_read),
        WITH_MAPS(test_pinned_a_worker_that_is_not_there_is_left_out),
        WITH_MAPS(test_pinned_a_profiler_of_another_covet_counts_as_none),
        WITH_MAPS(test_pinned_a_profiler_that_is_gone_counts_as_none),
        WITH_MAPS(test_pinned_maps_of_another_version_count_as_none),
        WITH_MAPS(test_pinned_one_map_of_another_layout_is_left_out_with_a_note),
    };

    if (!t_pins_begin())
        return 77;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    t_pins_end();
    return failed;
}
