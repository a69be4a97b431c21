// Snapshots of a covet that this test plays: counter pages in a run directory of its own, this
// process as supervisor and server.
#include "observe/snapshot.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "support/proc_world.h"

static struct cv_stats stats;
static char message[200];

static int set_up(void **state) {
    char path[PATH_MAX];

    (void)state;
    t_world_begin();
    setenv("RUNTIME_DIRECTORY", t_root, 1);
    snprintf(path, sizeof(path), "%s/%d/stats", t_root, (int)getpid());
    t_world_folders(path);
    if (cv_stats_create(&stats, path, 2) != 0)
        return -1;
    stats.header->server_pid = (uint32_t)getpid();
    cv_counter_begin(cv_stats_worker(&stats, 0), (uint32_t)gettid(), 3, 1000);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cv_stats_close(&stats);
    t_world_end();
    return 0;
}

static struct cv_snapshot_source *open_source(void) {
    struct cv_snapshot_source *source =
        cv_snapshot_open(getpid(), "/nowhere", message, sizeof(message));

    assert_non_null(source);
    return source;
}

static void test_snapshot_copies_pages_and_asks_proc(void **state) {
    struct cv_snapshot_source *source = open_source();
    struct cv_snapshot snapshot = {0};

    (void)state;
    cv_counter_add(cv_stats_worker(&stats, 0), COVET_COUNTER_REQUESTS, 5);
    cv_counter_add(cv_stats_worker(&stats, 1), COVET_COUNTER_REQUESTS, 7);
    assert_int_equal(cv_snapshot_take(source, &snapshot), 0);
    assert_int_equal(snapshot.worker_count, 2);
    assert_int_equal(snapshot.server.supervisor_pid, getpid());
    assert_int_equal(snapshot.workers[0].counter[COVET_COUNTER_REQUESTS], 5);
    assert_int_equal(snapshot.workers[1].counter[COVET_COUNTER_REQUESTS], 7);
    assert_int_equal(snapshot.workers[0].cpu, 3);
    assert_true(snapshot.workers[0].has_proc);
    assert_true(snapshot.workers[0].allowed_cpus > 0);
    assert_false(snapshot.workers[1].has_proc);  // It has no thread.
    assert_false(snapshot.has_bpf);
    assert_true(snapshot.taken_ns >= snapshot.server.start_ns);
    cv_snapshot_deinit(&snapshot);
    cv_snapshot_close(source);
}

static void test_snapshot_shows_a_thread_that_has_gone_as_absent(void **state) {
    struct cv_snapshot_source *source = open_source();
    struct cv_snapshot snapshot = {0};

    (void)state;
    cv_counter_begin(cv_stats_worker(&stats, 0), INT32_MAX, 3, 1000);
    assert_int_equal(cv_snapshot_take(source, &snapshot), 0);
    assert_false(snapshot.workers[0].has_proc);
    assert_int_equal(snapshot.workers[0].cpu_ns, 0);
    cv_snapshot_deinit(&snapshot);
    cv_snapshot_close(source);
}

static void test_snapshot_between_servers_has_counters_only(void **state) {
    struct cv_snapshot_source *source = open_source();
    struct cv_snapshot snapshot = {0};

    (void)state;
    stats.header->server_pid = 0;
    cv_counter_add(cv_stats_worker(&stats, 0), COVET_COUNTER_REQUESTS, 5);
    assert_int_equal(cv_snapshot_take(source, &snapshot), 0);
    assert_int_equal(snapshot.server.server_pid, 0);
    assert_int_equal(snapshot.workers[0].counter[COVET_COUNTER_REQUESTS], 5);
    assert_false(snapshot.workers[0].has_proc);
    cv_snapshot_deinit(&snapshot);
    cv_snapshot_close(source);
}

// Another supervisor, for its pages to outlive it.
static pid_t start_supervisor(struct cv_stats *pages) {
    char path[PATH_MAX];
    pid_t pid = fork();

    if (pid == 0) {
        pause();
        _exit(0);
    }
    snprintf(path, sizeof(path), "%s/%d/stats", t_root, (int)pid);
    t_world_folders(path);
    assert_int_equal(cv_stats_create(pages, path, 1), 0);
    pages->header->supervisor_pid = (uint32_t)pid;
    return pid;
}

static void test_snapshot_of_a_covet_that_ended_leaves_the_last_one(void **state) {
    struct cv_snapshot snapshot = {0};
    struct cv_stats pages;
    pid_t pid = start_supervisor(&pages);
    struct cv_snapshot_source *source = cv_snapshot_open(pid, NULL, message, sizeof(message));

    (void)state;
    assert_non_null(source);
    assert_int_equal(cv_snapshot_take(source, &snapshot), 0);
    uint64_t taken_ns = snapshot.taken_ns;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_int_equal(cv_snapshot_take(source, &snapshot), -ESRCH);
    assert_true(snapshot.taken_ns == taken_ns);
    assert_non_null(snapshot.workers);
    cv_snapshot_deinit(&snapshot);
    cv_snapshot_close(source);
    cv_stats_close(&pages);
}

static void test_snapshot_opens_no_covet_where_none_is(void **state) {
    (void)state;
    assert_null(cv_snapshot_open(INT32_MAX, NULL, message, sizeof(message)));
    assert_non_null(strstr(message, "no process"));
    cv_snapshot_close(NULL);
}

#define WITH_COVET(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_COVET(test_snapshot_copies_pages_and_asks_proc),
        WITH_COVET(test_snapshot_shows_a_thread_that_has_gone_as_absent),
        WITH_COVET(test_snapshot_between_servers_has_counters_only),
        WITH_COVET(test_snapshot_of_a_covet_that_ended_leaves_the_last_one),
        WITH_COVET(test_snapshot_opens_no_covet_where_none_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
