// A snapshot as OpenMetrics: every source's values, and the format's rules.
#include "profile/serve_metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char text[1 << 17];
static size_t text_length;
static size_t room = sizeof(text);

static int take_text(void *context, struct cv_span piece) {
    (void)context;
    if (text_length + piece.length >= room) {
        return -7;
    }
    memcpy(text + text_length, piece.data, piece.length);
    text_length += piece.length;
    text[text_length] = '\0';
    return 0;
}

static void write_metrics(const struct cv_snapshot *snapshot) {
    text_length = 0;
    assert_int_equal(cv_serve_metrics_write(snapshot, take_text, NULL), 0);
}

static struct cv_snapshot_worker workers[2];
static struct cv_snapshot_syscall syscalls[2];
static struct cv_snapshot_other_syscall others[2];
static struct cv_snapshot_syscall_latency syscall_latencies[1];
static struct cv_snapshot_uring urings[1];
static struct cv_snapshot_uring_latency uring_latencies[1];
static struct cv_snapshot_net nets[1];
static struct cv_snapshot_drop drops[1];

static struct cv_snapshot make_snapshot(void) {
    memset(workers, 0, sizeof(workers));
    workers[0].counter[COVET_COUNTER_REQUESTS] = 18446744073709551615ull;
    workers[1].counter[COVET_COUNTER_REQUESTS] = 7;
    workers[1].counter[COVET_COUNTER_ENTERS] = 8;
    workers[1].has_proc = true;
    workers[1].cpu_ns = 1000000001;
    workers[1].involuntary_switches = 9;
    workers[1].has_bpf = true;
    workers[1].bpf.completions = 10;
    workers[1].sched.runq_ns = 2500000000;
    workers[1].runq_latency = (struct covet_latency){.lt_1us = 1, .lt_2us = 2, .longer = 4};
    syscalls[0] = (struct cv_snapshot_syscall){.key = {.worker = 0, .syscall = SYS_read},
                                               .stats = {.count = 0}};
    syscalls[1] = (struct cv_snapshot_syscall){
        .key = {.worker = 1, .syscall = SYS_io_uring_enter},
        .stats = {.count = 11, .errors = 1, .busy_ns = 12, .blocked_ns = 3000000000}};
    others[0] = (struct cv_snapshot_other_syscall){
        .key = {.role = COVET_MAIN, .syscall = SYS_write}, .stats = {.count = 13}};
    others[1] = (struct cv_snapshot_other_syscall){
        .key = {.role = COVET_OTHER, .syscall = SYS_futex}, .stats = {.count = 14}};
    syscall_latencies[0] = (struct cv_snapshot_syscall_latency){
        .key = {.worker = 1, .syscall = SYS_io_uring_enter}, .latency = {.lt_1s = 1}};
    urings[0] =
        (struct cv_snapshot_uring){.key = {.worker = 1, .opcode = IORING_OP_RECV},
                                   .stats = {.submitted = 15, .completed = 16, .punted = 17}};
    uring_latencies[0] = (struct cv_snapshot_uring_latency){
        .key = {.worker = 1, .opcode = IORING_OP_RECV}, .latency = {.lt_16us = 18}};
    nets[0] = (struct cv_snapshot_net){.key = {.port = 8000, .event = TCP_RESET_SENT}, .count = 19};
    drops[0] =
        (struct cv_snapshot_drop){.key = {.port = 8000, .reason = DROP_NO_SOCKET}, .count = 20};
    return (struct cv_snapshot){
        .taken_ns = 1,
        .has_bpf = true,
        .info = {.level = 3, .programs = 21},
        .workers = workers,
        .worker_count = CV_ARRAY_COUNT(workers),
        .syscalls = syscalls,
        .syscall_count = CV_ARRAY_COUNT(syscalls),
        .other_syscalls = others,
        .other_syscall_count = CV_ARRAY_COUNT(others),
        .syscall_latencies = syscall_latencies,
        .syscall_latency_count = CV_ARRAY_COUNT(syscall_latencies),
        .urings = urings,
        .uring_count = CV_ARRAY_COUNT(urings),
        .uring_latencies = uring_latencies,
        .uring_latency_count = CV_ARRAY_COUNT(uring_latencies),
        .nets = nets,
        .net_count = CV_ARRAY_COUNT(nets),
        .drops = drops,
        .drop_count = CV_ARRAY_COUNT(drops),
        .listeners = {{.port = 8000, .queue = 22, .queue_max = 4096, .drops = 23}},
        .listener_count = 1,
        .host_listen_overflows = 24,
        .host_retransmits = 25,
    };
}

// How often `line` is a whole line of the text.
static unsigned count_lines(const char *line) {
    size_t length = strlen(line);
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, line)) != NULL; at += length) {
        count += (at == text || at[-1] == '\n') && at[length] == '\n';
    }
    return count;
}

#define ENTER "worker=\"1\",syscall=\"io_uring_enter\""
#define RECV "worker=\"1\",operation=\"RECV\""

static void test_metrics_show_every_source(void **state) {
    (void)state;
    static const char *const lines[] = {
        "# TYPE covet_profile_up gauge",
        "covet_profile_up 1",
        "covet_profile_level 3",
        "covet_profile_programs 21",
        "covet_profile_requests_total{worker=\"0\"} 18446744073709551615",
        "covet_profile_requests_total{worker=\"1\"} 7",
        "covet_profile_enters_total{worker=\"1\"} 8",
        "# TYPE covet_profile_cpu_seconds counter",
        "# UNIT covet_profile_cpu_seconds seconds",
        "covet_profile_cpu_seconds_total{worker=\"1\"} 1.000000001",
        "covet_profile_involuntary_switches_total{worker=\"1\"} 9",
        "covet_profile_completions_total{worker=\"1\"} 10",
        "# TYPE covet_profile_runqueue_wait_seconds histogram",
        "covet_profile_runqueue_wait_seconds_bucket{worker=\"1\",le=\"0.000001000\"} 1",
        "covet_profile_runqueue_wait_seconds_bucket{worker=\"1\",le=\"0.000002000\"} 3",
        "covet_profile_runqueue_wait_seconds_bucket{worker=\"1\",le=\"1.048576000\"} 3",
        "covet_profile_runqueue_wait_seconds_bucket{worker=\"1\",le=\"+Inf\"} 7",
        "covet_profile_runqueue_wait_seconds_count{worker=\"1\"} 7",
        "covet_profile_runqueue_wait_seconds_sum{worker=\"1\"} 2.500000000",
        "covet_profile_syscalls_total{worker=\"0\",syscall=\"read\"} 0",
        "covet_profile_syscalls_total{" ENTER "} 11",
        "covet_profile_syscall_errors_total{" ENTER "} 1",
        "covet_profile_syscall_busy_seconds_total{" ENTER "} 0.000000012",
        "covet_profile_syscall_blocked_seconds_total{" ENTER "} 3.000000000",
        "covet_profile_other_syscalls_total{role=\"main\",syscall=\"write\"} 13",
        "covet_profile_other_syscalls_total{role=\"other\",syscall=\"futex\"} 14",
        "covet_profile_syscall_seconds_bucket{" ENTER ",le=\"1.048576000\"} 1",
        "covet_profile_ring_submitted_total{" RECV "} 15",
        "covet_profile_ring_completed_total{" RECV "} 16",
        "covet_profile_ring_punted_total{" RECV "} 17",
        "covet_profile_ring_seconds_bucket{" RECV ",le=\"0.000016000\"} 18",
        "covet_profile_tcp_events_total{port=\"8000\",event=\"TCP_RESET_SENT\"} 19",
        "covet_profile_packets_dropped_total{port=\"8000\",reason=\"NO_SOCKET\"} 20",
        "covet_profile_accept_drops_total{port=\"8000\"} 23",
        "covet_profile_accept_queue{port=\"8000\"} 22",
        "covet_profile_accept_queue_limit{port=\"8000\"} 4096",
        "covet_profile_host_listen_overflows_total 24",
        "covet_profile_host_retransmits_total 25",
        "# EOF",
    };
    struct cv_snapshot snapshot = make_snapshot();
    write_metrics(&snapshot);
    for (size_t i = 0; i < CV_ARRAY_COUNT(lines); i++) {
        if (count_lines(lines[i]) != 1) {
            fail_msg("%u lines are: %s", count_lines(lines[i]), lines[i]);
        }
    }
    assert_string_equal(text + text_length - 6, "# EOF\n");
}

// Samples stand under their family's TYPE line, and no family comes twice (OpenMetrics 1.0).
static void check_families(void) {
    char seen[64][80];
    size_t count = 0;
    static char copy[sizeof(text)];
    memcpy(copy, text, text_length + 1);
    char *rest = copy;
    for (char *line; (line = strsep(&rest, "\n")) != NULL && *line != '\0';) {
        char name[80];
        if (sscanf(line, "# TYPE %79s", name) == 1) {
            for (size_t i = 0; i < count; i++) {
                assert_string_not_equal(seen[i], name);
            }
            assert_true(count < CV_ARRAY_COUNT(seen));
            strcpy(seen[count++], name);
        } else if (*line != '#') {
            assert_int_equal(strncmp(line, seen[count - 1], strlen(seen[count - 1])), 0);
        }
    }
    assert_true(count > 20);
}

static void test_metrics_keep_families_together(void **state) {
    (void)state;
    struct cv_snapshot snapshot = make_snapshot();
    write_metrics(&snapshot);
    check_families();
}

static void test_metrics_have_no_samples_of_what_is_not_known(void **state) {
    (void)state;
    struct cv_snapshot snapshot = make_snapshot();
    snapshot.has_bpf = false;
    write_metrics(&snapshot);
    assert_int_equal(count_lines("covet_profile_level 0"), 1);
    assert_int_equal(count_lines("covet_profile_programs 0"), 1);
    assert_null(strstr(text, "covet_profile_cpu_seconds_total{worker=\"0\"}"));
    assert_null(strstr(text, "covet_profile_completions_total{worker=\"0\"}"));
    assert_null(strstr(text, "covet_profile_runqueue_wait_seconds_bucket{worker=\"0\""));
}

static void test_metrics_say_that_there_is_no_server(void **state) {
    (void)state;
    write_metrics(NULL);
    check_families();
    assert_int_equal(count_lines("covet_profile_up 0"), 1);
    assert_null(strstr(text, "_total{"));
    assert_null(strstr(text, "_total "));
}

static void test_metrics_stop_where_the_writer_stops(void **state) {
    (void)state;
    struct cv_snapshot snapshot = make_snapshot();
    text_length = 0;
    room = 3000;
    assert_int_equal(cv_serve_metrics_write(&snapshot, take_text, NULL), -7);
    room = sizeof(text);
    assert_in_range(text_length, 1, 3000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metrics_show_every_source),
        cmocka_unit_test(test_metrics_keep_families_together),
        cmocka_unit_test(test_metrics_have_no_samples_of_what_is_not_known),
        cmocka_unit_test(test_metrics_say_that_there_is_no_server),
        cmocka_unit_test(test_metrics_stop_where_the_writer_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
