// Every rule on figures that show its case and on figures just short of it; none on a good server.
#include "profile/doctor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define SECOND_NS 1000000000ull

// Two workers at work: 10,000 requests each in a second, on cores of their own.
static struct cv_snapshot_worker workers[2];
static struct cv_snapshot_uring urings[2];
static struct cv_snapshot_syscall syscalls[2];
static struct cv_snapshot_net nets[4];
static struct cv_snapshot_drop drops[1];
static struct cv_snapshot change;
static struct cv_window_peak peak;
static struct cv_doctor_machine machine;
static struct cv_finding findings[CV_FINDINGS_MAX];
static size_t count;

static int make_good(void **state) {
    (void)state;
    memset(workers, 0, sizeof(workers));
    for (uint32_t i = 0; i < 2; i++) {
        struct cv_snapshot_worker *worker = &workers[i];

        worker->thread_id = 60 + i;
        worker->cpu = i;
        worker->has_proc = worker->has_bpf = true;
        worker->allowed_cpus = 1;
        worker->cpu_ns = SECOND_NS * 9 / 10;
        worker->runq_ns = SECOND_NS / 20;
        worker->counter[COVET_COUNTER_REQUESTS] = 10000;
        worker->counter[COVET_COUNTER_SENDS] = 10000;
        worker->counter[COVET_COUNTER_ENTERS] = 1500;
        worker->counter[COVET_COUNTER_CONNECTIONS_OPEN] = 32;
        worker->handler_time.bucket[2] = 10000;
        worker->bpf.syscalls = worker->bpf.io_uring_enters = 1500;
        urings[i] = (struct cv_snapshot_uring){{i, IORING_OP_SEND}, {.submitted = 10000}};
        syscalls[i] = (struct cv_snapshot_syscall){{i, SYS_io_uring_enter}, {.count = 1500}};
    }
    nets[0] = (struct cv_snapshot_net){{80, TCP_RETRANSMIT}, 0};
    nets[1] = (struct cv_snapshot_net){{80, TCP_RETRANSMIT_SYNACK}, 0};
    nets[2] = (struct cv_snapshot_net){{80, TCP_RESET_SENT}, 0};
    nets[3] = (struct cv_snapshot_net){{80, TCP_RESET_RECEIVED}, 0};
    drops[0] = (struct cv_snapshot_drop){{80, DROP_SOCKET_RCVBUFF}, 0};
    change = (struct cv_snapshot){
        .taken_ns = 100 * SECOND_NS,
        .interval_ns = SECOND_NS,
        .server = {.server_starts = 1},
        .has_bpf = true,
        .info.level = 2,
        .worker_count = 2,
        .workers = workers,
        .urings = urings,
        .uring_count = 2,
        .syscalls = syscalls,
        .syscall_count = 2,
        .nets = nets,
        .net_count = 4,
        .drops = drops,
        .drop_count = 1,
        .listener_count = 1,
        .listeners[0] = {.port = 80, .sockets = 2, .queue_max = 8192},
    };
    peak = (struct cv_window_peak){.connections_open = 64, .queue_percent = 10};
    machine = (struct cv_doctor_machine){0};
    return 0;
}

static void examine(void) {
    count = cv_doctor_examine(findings, &change, &peak, &machine);
}

// Exactly one finding, of this tag and severity, that shows `evidence`.
static void check_only(const char *tag, enum cv_severity severity, const char *evidence) {
    examine();
    assert_int_equal(count, 1);
    assert_string_equal(findings[0].tag, tag);
    assert_int_equal(findings[0].severity, severity);
    assert_non_null(strstr(findings[0].evidence, evidence));
    assert_true(findings[0].finding[0] != '\0' && findings[0].remedy[0] != '\0');
    // Nothing was cut.
    assert_true(strlen(findings[0].finding) < sizeof(findings[0].finding) - 1);
    assert_true(strlen(findings[0].evidence) < sizeof(findings[0].evidence) - 1);
}

static void check_silence(void) {
    examine();
    assert_int_equal(count, 0);
}

static void test_doctor_has_nothing_to_say_of_a_good_server(void **state) {
    (void)state;
    check_silence();
    // Nor when nothing but counter pages and /proc are there.
    change.has_bpf = false;
    change.uring_count = change.syscall_count = change.net_count = change.drop_count = 0;
    workers[0].has_bpf = workers[1].has_bpf = false;
    check_silence();
}

static void test_doctor_names_small_batches_of_busy_workers(void **state) {
    (void)state;
    workers[1].counter[COVET_COUNTER_ENTERS] = 7000;
    check_only("BATCH", CV_SEVERITY_WARN, "700 io_uring_enter per 1000 requests");
    // A worker that waits for its clients has nothing to put together,
    workers[1].cpu_ns = SECOND_NS / 2;
    check_silence();
    // nor has one with few connections,
    workers[1].cpu_ns = SECOND_NS;
    workers[1].counter[COVET_COUNTER_CONNECTIONS_OPEN] = 15;
    check_silence();
    // nor one whose clients connect anew for each request.
    workers[1].counter[COVET_COUNTER_CONNECTIONS_OPEN] = 32;
    workers[1].counter[COVET_COUNTER_CONNECTIONS_ACCEPTED] = 10000;
    check_silence();
}

static void test_doctor_names_calls_that_find_no_work(void **state) {
    (void)state;
    workers[0].cpu_ns = SECOND_NS / 2;
    workers[0].counter[COVET_COUNTER_ENTERS] = 30000;
    check_only("BATCH", CV_SEVERITY_WARN, "3000 io_uring_enter per 1000 requests");
}

static void test_doctor_names_punted_socket_operations(void **state) {
    (void)state;
    urings[1].stats.punted = 20;
    check_only("PUNT", CV_SEVERITY_WARN, "20 punted, 1.0 per 1000 requests, most of them SEND");
    urings[1].stats.punted = 19;
    check_silence();
    urings[1] = (struct cv_snapshot_uring){{1, IORING_OP_OPENAT2}, {.punted = 20000}};
    check_silence();
}

static void test_doctor_names_overflow_starvation_and_lost_lines(void **state) {
    static const struct {
        enum covet_counter counter;
        const char *tag;
        enum cv_severity severity;
    } cases[] = {
        {COVET_COUNTER_CQ_OVERFLOWS, "OVERFLOW", CV_SEVERITY_WARN},
        {COVET_COUNTER_BUFFERS_STARVED, "STARVED", CV_SEVERITY_WARN},
        {COVET_COUNTER_LOG_DROPPED, "LOG", CV_SEVERITY_WARN},
        {COVET_COUNTER_ACCEPT_PAUSES, "DESCRIPTORS", CV_SEVERITY_ERROR},
    };

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        workers[0].counter[cases[i].counter] = 3;
        check_only(cases[i].tag, cases[i].severity, "3 ");
        workers[0].counter[cases[i].counter] = 0;
    }
}

static void test_doctor_names_a_worker_with_more_than_its_share(void **state) {
    (void)state;
    workers[0].counter[COVET_COUNTER_REQUESTS] = 16000;
    workers[1].counter[COVET_COUNTER_REQUESTS] = 4000;
    check_only("SKEW", CV_SEVERITY_WARN, "1.6 times the mean of 2 workers");
    peak.connections_open = 15;  // Chance.
    check_silence();
    peak.connections_open = 64;
    workers[0].counter[COVET_COUNTER_REQUESTS] = 15000;
    workers[1].counter[COVET_COUNTER_REQUESTS] = 5000;
    check_silence();
}

static void test_doctor_names_workers_on_one_core(void **state) {
    (void)state;
    workers[1].cpu = 0;
    check_only("PINNING", CV_SEVERITY_WARN, "both are on core 0");
    workers[1].thread_id = 0;  // Not running.
    check_silence();
}

static void test_doctor_names_a_worker_that_is_not_bound(void **state) {
    (void)state;
    workers[1].allowed_cpus = 8;
    check_only("MIGRATION", CV_SEVERITY_WARN, "it may run on 8 cores and moved 0 times");
    workers[1].allowed_cpus = 1;
    workers[1].sched.migrations = 2;
    check_only("MIGRATION", CV_SEVERITY_WARN, "moved 2 times");
}

static void test_doctor_names_others_on_a_workers_core(void **state) {
    (void)state;
    workers[0].runq_ns = SECOND_NS / 2;
    workers[0].cpu_ns = SECOND_NS / 2;
    workers[0].involuntary_switches = 400;
    check_only("RUNQ", CV_SEVERITY_WARN,
               "50 % of the time it wanted core 0, interrupted 400 times");
    // A worker that hardly runs waits a little each time it wakes.
    workers[0].cpu_ns = workers[0].runq_ns = SECOND_NS / 11;
    check_silence();
}

static void test_doctor_names_a_full_accept_queue_and_why(void **state) {
    (void)state;
    peak.queue_percent = 50;
    check_only("ACCEPT", CV_SEVERITY_WARN, "0 refused, fullest queue 50 % of 4096");
    assert_non_null(strstr(findings[0].remedy, "SLOW"));
    change.listeners[0].drops = 5;
    check_only("ACCEPT", CV_SEVERITY_ERROR, "5 refused");
    change.listeners[0].queue_max = 16;
    examine();
    assert_int_equal(count, 2);
    assert_non_null(strstr(findings[0].remedy, "somaxconn"));
    assert_string_equal(findings[1].tag, "BACKLOG");
}

static void test_doctor_names_short_accept_queues_before_they_fill(void **state) {
    (void)state;
    change.listeners[0].queue_max = 256;
    check_only("BACKLOG", CV_SEVERITY_WARN, "room for 128 connections in each of 2");
    assert_non_null(strstr(findings[0].remedy, "somaxconn"));
    change.listeners[0].queue_max = 2048;
    check_silence();
}

static void test_doctor_names_what_tcp_sends_again(void **state) {
    (void)state;
    nets[0].count = 200;
    check_only("RETRANSMIT", CV_SEVERITY_WARN, "200 segments, 10.0 per 1000 sends");
    nets[0].count = 199;
    check_silence();
    nets[1].count = 10;
    check_only("RETRANSMIT", CV_SEVERITY_WARN, "10 SYN-ACKs");
}

static void test_doctor_names_resets_and_who_makes_them(void **state) {
    (void)state;
    nets[2].count = 1000;
    check_only("RESETS", CV_SEVERITY_WARN, "1000 sent, 0 received");
    assert_non_null(strstr(findings[0].remedy, "covet closes"));
    nets[2].count = 0;
    workers[0].counter[COVET_COUNTER_CLOSED_RESET] = 1000;
    check_only("RESETS", CV_SEVERITY_WARN, "0 sent, 1000 received");
    assert_non_null(strstr(findings[0].remedy, "clients break"));
    workers[0].counter[COVET_COUNTER_CLOSED_RESET] = 999;
    check_silence();
}

static void test_doctor_names_dropped_packets_that_matter(void **state) {
    (void)state;
    drops[0].count = 10;
    check_only("DROPS", CV_SEVERITY_WARN, "10 packets, most of them SOCKET_RCVBUFF");
    drops[0].key.reason = DROP_TCP_OLD_DATA;
    check_silence();
}

static void test_doctor_names_failed_requests_by_their_share(void **state) {
    (void)state;
    workers[0].counter[COVET_COUNTER_RESPONSES_5XX] = 20;
    check_only("ERRORS", CV_SEVERITY_WARN, "20 of 20000 requests, 1.0 per 1000");
    workers[0].counter[COVET_COUNTER_RESPONSES_5XX] = 1000;
    check_only("ERRORS", CV_SEVERITY_ERROR, "50.0 per 1000");
    workers[0].counter[COVET_COUNTER_RESPONSES_5XX] = 20001;
    check_only("ERRORS", CV_SEVERITY_ERROR, "20000 of 20000 requests, 1000.0 per 1000");
    workers[0].counter[COVET_COUNTER_RESPONSES_5XX] = 19;
    check_silence();
}

static void test_doctor_names_handlers_that_hold_a_worker_up(void **state) {
    (void)state;
    // From 8.4 ms on: six of them are 5 % of a second.
    workers[1].handler_time.bucket[16] = 6;
    check_only("SLOW", CV_SEVERITY_WARN, "6 took over 8 ms, together at least 5 % of the time");
    workers[1].handler_time.bucket[16] = 5;
    check_silence();
    workers[1].handler_time.bucket[15] = 1000;  // Shorter ones are the load.
    check_silence();
    workers[1].handler_time.bucket[22] = 1;  // Half a second at once.
    check_only("SLOW", CV_SEVERITY_ERROR, "together at least 5");
}

static void test_doctor_names_system_calls_of_handlers(void **state) {
    (void)state;
    syscalls[0] = (struct cv_snapshot_syscall){{0, SYS_fsync}, {.count = 200}};
    workers[0].bpf.syscalls += 200;
    check_only("SYSCALLS", CV_SEVERITY_WARN, "10.0 per 1000 requests, most of them fsync (200)");
    workers[0].bpf.syscalls -= 1;
    check_silence();
}

static void test_doctor_names_ring_operations_that_fail_by_our_doing(void **state) {
    (void)state;
    urings[0].stats.errors = 10;
    urings[0].stats.last_error = -22;
    check_only("RINGERROR", CV_SEVERITY_ERROR, "SEND: 10 errors, the last EINVAL");
    urings[0].stats.last_error = -104;  // ECONNRESET: the client's.
    check_silence();
}

static void test_doctor_names_a_restart(void **state) {
    (void)state;
    change.server.server_starts = 3;
    check_silence();
    workers[0].start_ns = change.taken_ns - 1;
    check_only("RESTART", CV_SEVERITY_ERROR, "3 starts");
    change.server.server_starts = 1;  // It just began.
    check_silence();
}

static void test_doctor_names_a_governor_only_where_cores_are_busy(void **state) {
    (void)state;
    memcpy(machine.governor, "powersave", sizeof("powersave"));
    check_only("GOVERNOR", CV_SEVERITY_INFO, "powersave");
    workers[0].cpu_ns = workers[1].cpu_ns = SECOND_NS / 2;
    check_silence();
}

static void test_doctor_says_that_nothing_came(void **state) {
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        memset(workers[i].counter, 0, sizeof(workers[i].counter));
        workers[i].cpu_ns = workers[i].runq_ns = 0;
        memset(&workers[i].handler_time, 0, sizeof(workers[i].handler_time));
    }
    check_only("IDLE", CV_SEVERITY_INFO, "0 requests");
}

static void test_doctor_puts_the_worst_first(void **state) {
    (void)state;
    memcpy(machine.governor, "powersave", sizeof("powersave"));
    workers[1].cpu = 0;
    workers[0].counter[COVET_COUNTER_RESPONSES_5XX] = 20;
    workers[0].counter[COVET_COUNTER_ACCEPT_PAUSES] = 1;
    examine();
    assert_int_equal(count, 4);
    assert_string_equal(findings[0].tag, "DESCRIPTORS");
    assert_string_equal(findings[1].tag, "ERRORS");
    assert_string_equal(findings[2].tag, "PINNING");
    assert_string_equal(findings[3].tag, "GOVERNOR");
}

#define ON_GOOD(test) cmocka_unit_test_setup(test, make_good)

int main(void) {
    const struct CMUnitTest tests[] = {
        ON_GOOD(test_doctor_has_nothing_to_say_of_a_good_server),
        ON_GOOD(test_doctor_names_small_batches_of_busy_workers),
        ON_GOOD(test_doctor_names_calls_that_find_no_work),
        ON_GOOD(test_doctor_names_punted_socket_operations),
        ON_GOOD(test_doctor_names_overflow_starvation_and_lost_lines),
        ON_GOOD(test_doctor_names_a_worker_with_more_than_its_share),
        ON_GOOD(test_doctor_names_workers_on_one_core),
        ON_GOOD(test_doctor_names_a_worker_that_is_not_bound),
        ON_GOOD(test_doctor_names_others_on_a_workers_core),
        ON_GOOD(test_doctor_names_a_full_accept_queue_and_why),
        ON_GOOD(test_doctor_names_short_accept_queues_before_they_fill),
        ON_GOOD(test_doctor_names_what_tcp_sends_again),
        ON_GOOD(test_doctor_names_resets_and_who_makes_them),
        ON_GOOD(test_doctor_names_dropped_packets_that_matter),
        ON_GOOD(test_doctor_names_failed_requests_by_their_share),
        ON_GOOD(test_doctor_names_handlers_that_hold_a_worker_up),
        ON_GOOD(test_doctor_names_system_calls_of_handlers),
        ON_GOOD(test_doctor_names_ring_operations_that_fail_by_our_doing),
        ON_GOOD(test_doctor_names_a_restart),
        ON_GOOD(test_doctor_names_a_governor_only_where_cores_are_busy),
        ON_GOOD(test_doctor_says_that_nothing_came),
        ON_GOOD(test_doctor_puts_the_worst_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
