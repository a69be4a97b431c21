// What is read of /proc, in trees that are written for the purpose.
#include "observe/procfs.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "support/proc_world.h"

static int set_up(void **state) {
    (void)state;
    t_world_begin();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    t_world_end();
    return 0;
}

static void test_procfs_reads_a_process_whatever_its_name(void **state) {
    struct cv_procfs_process process;

    (void)state;
    t_world_process(12, 7, "12", 1000, 300);
    assert_int_equal(cv_procfs_process(&process, t_root, 12), 0);
    assert_int_equal(process.parent, 7);
    assert_int_equal(process.inner_pid, 12);
    assert_false(process.is_nested);
    assert_int_equal(process.uid, 1000);
    assert_int_equal(process.start_ns, 300 * (1000000000ull / (uint64_t)sysconf(_SC_CLK_TCK)));
}

static void test_procfs_knows_what_a_process_in_a_container_calls_itself(void **state) {
    struct cv_procfs_process process;

    (void)state;
    t_world_process(1200, 7, "1200\t40\t1", 0, 0);
    assert_int_equal(cv_procfs_process(&process, t_root, 1200), 0);
    assert_int_equal(process.inner_pid, 1);
    assert_true(process.is_nested);
}

static void test_procfs_tells_that_a_process_is_not_there(void **state) {
    struct cv_procfs_process process = {.parent = 5};

    (void)state;
    assert_int_equal(cv_procfs_process(&process, t_root, 12), -ENOENT);
    t_world_write("proc/13/status", "Name:\tx\n");
    assert_int_equal(cv_procfs_process(&process, t_root, 13), -EBADMSG);
    t_world_process(14, 7, "14", 0, 0);
    t_world_write("proc/14/stat", "14 (cut off) S 1 2 3");
    assert_int_equal(cv_procfs_process(&process, t_root, 14), -EBADMSG);
    assert_int_equal(process.parent, 5);
}

static void test_procfs_tells_a_process_from_a_later_one_of_its_number(void **state) {
    uint64_t now_ns = cv_clock_monotonic_ns();

    (void)state;
    t_world_process(12, 7, "12", 0, 1);
    assert_true(cv_procfs_is_older(t_root, 12, now_ns));
    // Far ahead, however long the machine has slept.
    t_world_process(12, 7, "12", 0, 1000000000000);
    assert_false(cv_procfs_is_older(t_root, 12, now_ns));
    assert_false(cv_procfs_is_older(t_root, 13, now_ns));
    assert_false(cv_procfs_is_older(t_root, 0, now_ns));
    assert_true(cv_procfs_is_older("", getpid(), now_ns));
}

static void test_procfs_reads_a_thread(void **state) {
    struct cv_procfs_thread thread;

    (void)state;
    t_world_write("proc/12/task/15/status",
                  "Name:\tcovet-w0\nCpus_allowed:\t3,00000001\nCpus_allowed_list:\t0,32-33\n"
                  "voluntary_ctxt_switches:\t77\nnonvoluntary_ctxt_switches:\t5\n");
    t_world_write("proc/12/task/15/schedstat", "123456789 42 6\n");
    assert_int_equal(cv_procfs_thread(&thread, t_root, 12, 15), 0);
    assert_int_equal(thread.voluntary_switches, 77);
    assert_int_equal(thread.involuntary_switches, 5);
    assert_int_equal(thread.allowed_cpus, 3);
    assert_int_equal(thread.cpu_ns, 123456789);
    assert_int_equal(thread.runq_ns, 42);
}

static void test_procfs_reads_a_thread_without_schedstat(void **state) {
    struct cv_procfs_thread thread;

    (void)state;
    t_world_write("proc/12/task/15/status", "voluntary_ctxt_switches:\t77\n");
    assert_int_equal(cv_procfs_thread(&thread, t_root, 12, 15), 0);
    assert_int_equal(thread.voluntary_switches, 77);
    assert_int_equal(thread.cpu_ns, 0);
    assert_int_equal(cv_procfs_thread(&thread, t_root, 12, 16), -ENOENT);
}

static void test_procfs_finds_a_thread_by_what_it_calls_itself(void **state) {
    (void)state;
    t_world_write("proc/12/task/12/status", "Pid:\t12\nNSpid:\t12\t1\n");
    t_world_write("proc/12/task/15/status", "Pid:\t15\nNSpid:\t15\t4\n");
    assert_int_equal(cv_procfs_find_thread(t_root, 12, 4), 15);
    assert_int_equal(cv_procfs_find_thread(t_root, 12, 15), -ESRCH);
    assert_int_equal(cv_procfs_find_thread(t_root, 99, 4), -ESRCH);
}

static void test_procfs_finds_a_child_by_what_it_calls_itself(void **state) {
    (void)state;
    t_world_process(12, 1, "12\t1", 0, 0);
    t_world_process(20, 12, "20\t6", 0, 0);
    t_world_process(21, 13, "21\t6", 0, 0);  // Another container's.
    assert_int_equal(cv_procfs_find_child(t_root, 12, 6), 20);
    assert_int_equal(cv_procfs_find_child(t_root, 13, 6), 21);
    assert_int_equal(cv_procfs_find_child(t_root, 12, 7), -ESRCH);
}

static void test_procfs_finds_a_value_by_the_name_above_it(void **state) {
    uint64_t value = 99;

    (void)state;
    t_world_write("proc/12/net/netstat",
                  "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 1 22 333\n"
                  "IpExt: InNoRoutes ListenDrops\nIpExt: 4 5\n");
    assert_int_equal(cv_procfs_network(&value, t_root, 12, "netstat", "TcpExt", "ListenDrops"), 0);
    assert_int_equal(value, 333);
    assert_int_equal(cv_procfs_network(&value, t_root, 12, "netstat", "IpExt", "ListenDrops"), 0);
    assert_int_equal(value, 5);
    assert_int_equal(cv_procfs_network(&value, t_root, 12, "netstat", "TcpExt", "Listen"), -ENOENT);
    assert_int_equal(cv_procfs_network(&value, t_root, 12, "netstat", "MPTcp", "A"), -ENOENT);
    assert_int_equal(cv_procfs_network(&value, t_root, 12, "snmp", "Tcp", "RetransSegs"), -ENOENT);
    assert_int_equal(value, 5);
}

static void test_procfs_finds_no_value_where_a_line_is_short(void **state) {
    uint64_t value;

    (void)state;
    t_world_write("proc/12/net/snmp", "Tcp: A B RetransSegs\nTcp: 1 2\n");
    assert_int_equal(cv_procfs_network(&value, t_root, 12, "snmp", "Tcp", "RetransSegs"), -ENOENT);
}

static void test_procfs_cuts_what_does_not_fit(void **state) {
    char path[128], text[6];

    (void)state;
    t_world_write("file", "0123456789");
    snprintf(path, sizeof(path), "%s/file", t_root);
    assert_int_equal(cv_procfs_read(path, text, sizeof(text)), 5);
    assert_string_equal(text, "01234");
    assert_int_equal(cv_procfs_read(t_root, text, sizeof(text)), -EISDIR);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_WORLD(test_procfs_reads_a_process_whatever_its_name),
        WITH_WORLD(test_procfs_knows_what_a_process_in_a_container_calls_itself),
        WITH_WORLD(test_procfs_tells_that_a_process_is_not_there),
        WITH_WORLD(test_procfs_tells_a_process_from_a_later_one_of_its_number),
        WITH_WORLD(test_procfs_reads_a_thread),
        WITH_WORLD(test_procfs_reads_a_thread_without_schedstat),
        WITH_WORLD(test_procfs_finds_a_thread_by_what_it_calls_itself),
        WITH_WORLD(test_procfs_finds_a_child_by_what_it_calls_itself),
        WITH_WORLD(test_procfs_finds_a_value_by_the_name_above_it),
        WITH_WORLD(test_procfs_finds_no_value_where_a_line_is_short),
        WITH_WORLD(test_procfs_cuts_what_does_not_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
