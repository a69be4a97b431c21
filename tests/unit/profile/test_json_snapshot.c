// Snapshots as JSON, read back by our own reader.
#include "profile/json_snapshot.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "profile/figures.h"

static struct cv_snapshot_worker workers[2];
static struct cv_snapshot_syscall syscalls[3] = {
    {{0, SYS_io_uring_enter}, {.count = 30, .errors = 1, .busy_ns = 300, .last_error = -11}},
    {{1, SYS_read}, {.count = 0}},
    {{1, SYS_io_uring_enter}, {.count = 70, .busy_ns = 700}},
};
static struct cv_snapshot_other_syscall others[2] = {
    {{COVET_MAIN, SYS_write}, {.count = 4}},
    {{COVET_IO_WQ, SYS_read}, {.count = 5}},
};
static struct cv_snapshot_uring urings[1] = {{{0, IORING_OP_RECV}, {.completed = 50}}};
static struct cv_snapshot_uring_latency uring_latencies[1] = {
    {{0, IORING_OP_RECV}, {.lt_4us = 49, .longer = 1}}};
static struct cv_snapshot_net nets[3] = {
    {{80, TCP_RETRANSMIT}, 1}, {{80, TCP_CLOSED}, 2}, {{443, TCP_CLOSED}, 3}};
static struct cv_snapshot_drop drops[1] = {{{443, DROP_NO_SOCKET}, 6}};

static struct cv_snapshot make(void) {
    struct cv_snapshot snapshot = {
        .taken_ns = 5000,
        .interval_ns = 1000,
        .server = {.supervisor_pid = 50, .port_count = 2, .port = {80, 443}},
        .has_bpf = true,
        .info = {.level = 3, .version = "0.1.0", .kernel = "6.18"},
        .bpf_note = "a \"note\"\n",
        .worker_count = 2,
        .workers = workers,
        .syscalls = syscalls,
        .syscall_count = 3,
        .other_syscalls = others,
        .other_syscall_count = 2,
        .urings = urings,
        .uring_count = 1,
        .uring_latencies = uring_latencies,
        .uring_latency_count = 1,
        .nets = nets,
        .net_count = 3,
        .drops = drops,
        .drop_count = 1,
        .listener_count = 1,
        .listeners[0] = {.port = 80, .sockets = 2, .queue_max = 8192, .drops = 9},
    };

    for (unsigned i = 0; i < 2; i++) {
        workers[i] = (struct cv_snapshot_worker){.has_proc = true, .has_bpf = true};
        workers[i].counter[COVET_COUNTER_REQUESTS] = 250;
        workers[i].counter[COVET_COUNTER_CONNECTIONS_OPEN] = 3;
        workers[i].bpf.syscalls = 30 + 40 * i;
        workers[i].handler_time.bucket[0] = 9;
    }
    return snapshot;
}

// The numbers of a snapshot's text.
static struct cv_figures figures_of(const struct cv_snapshot *snapshot) {
    char path[] = "/tmp/covet-json-XXXXXX";
    char message[200];
    struct cv_figures figures = {0};
    char *text = cv_json_snapshot_text(snapshot);
    int fd = mkstemp(path);

    assert_non_null(text);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    free(text);
    int result = cv_figures_read(&figures, path, message, sizeof(message));
    unlink(path);
    assert_int_equal(result, 0);
    return figures;
}

static void check_figure(const struct cv_figures *figures, const char *path, double value) {
    const double *found = cv_figures_find(figures, path);

    if (found == NULL || *found != value)
        fail_msg("%s is %f, not %f", path, found == NULL ? -1 : *found, value);
}

static void test_json_snapshot_has_totals_by_name(void **state) {
    struct cv_snapshot snapshot = make();
    struct cv_figures figures = figures_of(&snapshot);

    (void)state;
    check_figure(&figures, "interval_ns", 1000);
    check_figure(&figures, "server.supervisor_pid", 50);
    check_figure(&figures, "profile.level", 3);
    check_figure(&figures, "total.counters.requests", 500);
    check_figure(&figures, "total.gauges.connections_open", 6);
    assert_null(cv_figures_find(&figures, "total.counters.connections_open"));
    check_figure(&figures, "total.syscalls.io_uring_enter.count", 100);
    check_figure(&figures, "total.syscalls.io_uring_enter.avg_busy_ns", 10);
    check_figure(&figures, "total.syscalls.read.count", 0);
    check_figure(&figures, "total.urings.RECV.completed", 50);
    check_figure(&figures, "total.urings.RECV.latency.p50_ns", 4000);
    assert_null(cv_figures_find(&figures, "total.urings.RECV.latency.p999_ns"));  // Null.
    check_figure(&figures, "total.handler_time.p50_ns", 256);
    check_figure(&figures, "per_1000_requests.syscalls", 200);
    check_figure(&figures, "per_1000_requests.read_write_sendto_recvfrom", 0);
    check_figure(&figures, "other_syscalls.main.write.count", 4);
    check_figure(&figures, "other_syscalls.io_wq.read.count", 5);
    check_figure(&figures, "net.80.TCP_RETRANSMIT", 1);
    check_figure(&figures, "net.443.TCP_CLOSED", 3);
    check_figure(&figures, "drops.443.NO_SOCKET", 6);
    check_figure(&figures, "listeners.80.drops", 9);
    cv_figures_deinit(&figures);
}

static void test_json_snapshot_without_a_profiler_says_null(void **state) {
    struct cv_snapshot snapshot = {
        .interval_ns = 1000, .worker_count = 1, .workers = workers, .bpf_note = "none"};
    char *text;

    (void)state;
    workers[0] = (struct cv_snapshot_worker){0};
    text = cv_json_snapshot_text(&snapshot);
    assert_non_null(text);
    assert_non_null(strstr(text, "\"profile\":null,\"note\":\"none\""));
    assert_non_null(strstr(text, "\"proc\":null,\"bpf\":null,\"sched\":null,\"syscalls\":{}"));
    // No requests: no ratio, not even 0.
    assert_non_null(strstr(text, "\"io_uring_enter\":null"));
    assert_non_null(strstr(text, "\"net\":{},\"drops\":{},\"listeners\":{}"));
    free(text);
}

static void test_json_snapshot_keeps_workers_apart(void **state) {
    struct cv_snapshot snapshot = make();
    char *text = cv_json_snapshot_text(&snapshot);
    const char *second;

    (void)state;
    assert_non_null(text);
    second = strstr(text, "{\"worker\":1,");
    assert_non_null(second);
    assert_non_null(strstr(second, "\"io_uring_enter\":{\"count\":70"));
    assert_non_null(strstr(text, "\"last_error\":\"EAGAIN\""));
    assert_non_null(strstr(text, "a \\\"note\\\"\\n"));
    free(text);
}

static void test_json_snapshot_fails_in_a_writer_that_is_full(void **state) {
    struct cv_snapshot snapshot = make();
    struct covet_json_writer writer;
    char memory[500];

    (void)state;
    covet_json_writer_init(&writer, memory, sizeof(memory), NULL, NULL);
    assert_int_equal(cv_json_snapshot_write(&writer, &snapshot), -ENOSPC);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_snapshot_has_totals_by_name),
        cmocka_unit_test(test_json_snapshot_without_a_profiler_says_null),
        cmocka_unit_test(test_json_snapshot_keeps_workers_apart),
        cmocka_unit_test(test_json_snapshot_fails_in_a_writer_that_is_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
