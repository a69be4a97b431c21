// A sample as covet-top would have taken it of a server with three workers, made up; and pages as
// text.
#ifndef T_SUPPORT_TOP_WORLD_H
#define T_SUPPORT_TOP_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "top/sample.h"
#include "top/screen.h"
#include "top/view.h"

#define T_TOP_WORKERS 3u
#define T_TOP_REQUESTS 1000u  // Of worker 0 in the interval, of one second; worker i: times i + 1.

static struct top_sample t_top_sample;
static struct top_page t_top_page;
static struct top_screen t_top_screen;

static inline void t_top_fill_worker(struct cv_snapshot_worker *worker, uint32_t index,
                                     uint64_t times, bool has_bpf) {
    uint64_t requests = T_TOP_REQUESTS * (index + 1) * times;
    worker->thread_id = 4711 + index;
    worker->cpu = index;
    worker->start_ns = 1;
    worker->counter[COVET_COUNTER_REQUESTS] = requests;
    worker->counter[COVET_COUNTER_RESPONSES_2XX] = requests;
    worker->counter[COVET_COUNTER_RECEIVED_BYTES] = requests * 100;
    worker->counter[COVET_COUNTER_SENT_BYTES] = requests * 2048;
    worker->counter[COVET_COUNTER_CONNECTIONS_OPEN] = 16;
    worker->counter[COVET_COUNTER_CONNECTIONS_ACCEPTED] = 20 * times;
    worker->counter[COVET_COUNTER_CLOSED_CLIENT] = 3 * times;
    worker->counter[COVET_COUNTER_CLOSED_IDLE] = times;
    worker->counter[COVET_COUNTER_ENTERS] = requests / 10;
    worker->handler_time.bucket[2] = requests - requests / 50;  // Below 1.02 us,
    worker->handler_time.bucket[6] = requests / 50;             // and below 16.4 us.
    worker->handler_time.count = requests;
    worker->has_proc = true;
    worker->cpu_ns = 500000000 * times;
    worker->runq_ns = 100000000 * times;
    worker->voluntary_switches = 40 * times;
    worker->involuntary_switches = 7 * times;
    worker->has_bpf = has_bpf;
    if (has_bpf) {
        worker->bpf.requests = requests;
        worker->bpf.syscalls = requests / 5;
        worker->bpf.io_uring_enters = requests / 10;
        worker->bpf.completions = requests * 2;
        worker->sched.migrations = times;
        worker->runq_latency.lt_4us = 40 * times;
        worker->runq_latency.lt_1ms = times;
    }
}

static inline void *t_top_list(size_t count, size_t bytes) {
    void *list = calloc(count, bytes);
    assert_non_null(list);
    return list;
}

// What the profiler's maps have, `times` times.
static inline void t_top_fill_maps(struct cv_snapshot *snapshot, uint64_t times, uint32_t level) {
    static const struct {
        enum covet_syscall number;
        uint64_t count;
    } calls[] = {{SYS_read, 0},     {SYS_write, 0},      {SYS_sendto, 0},
                 {SYS_recvfrom, 0}, {SYS_setsockopt, 5}, {SYS_io_uring_enter, 100}};
    const size_t call_count = sizeof(calls) / sizeof(calls[0]);
    snapshot->has_bpf = true;
    snapshot->info.level = level;
    snapshot->info.programs = 21;
    snapshot->uring_count = 2 * (size_t)T_TOP_WORKERS;
    snapshot->urings = t_top_list(snapshot->uring_count, sizeof(*snapshot->urings));
    for (size_t i = 0; i < snapshot->uring_count; i++) {
        bool is_send = i % 2 == 0;
        snapshot->urings[i].key.worker = (uint32_t)(i / 2);
        snapshot->urings[i].key.opcode = is_send ? IORING_OP_SEND : IORING_OP_RECV;
        snapshot->urings[i].stats = (struct covet_uring_stats){
            .submitted = (is_send ? 1000 : 10) * times,
            .completed = 1000 * times,
            .errors = is_send ? 2 * times : 0,
            .punted = is_send ? 0 : times,
            .last_error = is_send ? -104 : 0,
            .avg_ns = level >= 3 && is_send ? 2500 : 0,
        };
    }
    snapshot->net_count = 2;
    snapshot->nets = t_top_list(snapshot->net_count, sizeof(*snapshot->nets));
    snapshot->nets[0] = (struct cv_snapshot_net){{8000, TCP_RETRANSMIT}, 3 * times};
    snapshot->nets[1] = (struct cv_snapshot_net){{8000, TCP_RESET_RECEIVED}, 9 * times};
    snapshot->drop_count = 1;
    snapshot->drops = t_top_list(1, sizeof(*snapshot->drops));
    snapshot->drops[0] = (struct cv_snapshot_drop){{8000, DROP_TCP_OLD_DATA}, 2 * times};
    if (level < 2) {
        return;
    }
    snapshot->syscall_count = call_count * T_TOP_WORKERS;
    snapshot->syscalls = t_top_list(snapshot->syscall_count, sizeof(*snapshot->syscalls));
    for (size_t i = 0; i < snapshot->syscall_count; i++) {
        uint64_t count = calls[i % call_count].count * times;
        snapshot->syscalls[i].key.worker = (uint32_t)(i / call_count);
        snapshot->syscalls[i].key.syscall = calls[i % call_count].number;
        snapshot->syscalls[i].stats = (struct covet_syscall_stats){
            .count = count,
            .errors = count / 20,
            .busy_ns = count * 3000,
            .blocked_ns = count * 1000000,
            .max_busy_ns = count > 0 ? 90000 : 0,
            .last_error = count > 0 ? -62 : 0,
        };
    }
    snapshot->other_syscall_count = 1;
    snapshot->other_syscalls = t_top_list(1, sizeof(*snapshot->other_syscalls));
    snapshot->other_syscalls[0].key.role = COVET_MAIN;
    snapshot->other_syscalls[0].key.syscall = SYS_write;
    snapshot->other_syscalls[0].stats.count = 11 * times;
    if (level < 3) {
        return;
    }
    snapshot->syscall_latency_count = 1;
    snapshot->syscall_latencies = t_top_list(1, sizeof(*snapshot->syscall_latencies));
    snapshot->syscall_latencies[0].key.syscall = SYS_io_uring_enter;
    snapshot->syscall_latencies[0].latency.lt_8us = 100 * times;
    snapshot->uring_latency_count = 1;
    snapshot->uring_latencies = t_top_list(1, sizeof(*snapshot->uring_latencies));
    snapshot->uring_latencies[0].key.opcode = IORING_OP_SEND;
    snapshot->uring_latencies[0].latency.lt_32us = 1000 * times;
}

static inline void t_top_fill(struct cv_snapshot *snapshot, uint64_t times, uint32_t level) {
    *snapshot = (struct cv_snapshot){.taken_ns = 7200000000000, .interval_ns = 1000000000 * times};
    snapshot->server = (struct covet_stats_header){
        .worker_count = T_TOP_WORKERS,
        .start_ns = 3600000000000,
        .supervisor_pid = 1000,
        .server_pid = 1001,
        .server_starts = 2,
        .port_count = 1,
        .port = {8000},
    };
    snapshot->worker_count = T_TOP_WORKERS;
    snapshot->workers = t_top_list(T_TOP_WORKERS, sizeof(*snapshot->workers));
    for (uint32_t i = 0; i < T_TOP_WORKERS; i++) {
        t_top_fill_worker(&snapshot->workers[i], i, times, level > 0);
    }
    snapshot->listener_count = 1;
    snapshot->listeners[0] = (struct cv_snapshot_listener){.port = 8000,
                                                           .sockets = 3,
                                                           .queue = 5,
                                                           .queue_max = 12288,
                                                           .fullest_percent = 30,
                                                           .drops = 4 * times};
    if (level > 0) {
        t_top_fill_maps(snapshot, times, level);
    }
}

// One second at this level, and ten since the baseline.
static inline struct top_sample *t_top_begin(uint32_t level) {
    t_top_sample = (struct top_sample){.has_change = true};
    t_top_fill(&t_top_sample.change, 1, level);
    t_top_fill(&t_top_sample.since, 10, level);
    t_top_fill(&t_top_sample.now, 100, level);
    assert_int_equal(cv_snapshot_merge(&t_top_sample.change_total, &t_top_sample.change), 0);
    assert_int_equal(cv_snapshot_merge(&t_top_sample.since_total, &t_top_sample.since), 0);
    top_history_add(&t_top_sample.requests, 3000);
    top_history_add(&t_top_sample.requests, 6000);
    return &t_top_sample;
}

static inline void t_top_end(void) {
    top_sample_close(&t_top_sample);
    top_page_deinit(&t_top_page);
    top_screen_deinit(&t_top_screen);
}

// A page as text; borrowed until the next call.
static inline const char *t_top_text(const struct top_page *page) {
    t_top_screen.length = 0;
    t_top_screen.way.has_utf8 = true;
    top_screen_text(&t_top_screen, page);
    *top_screen_room(&t_top_screen, 1) = '\0';
    return t_top_screen.bytes;
}

// A whole view, 200 columns wide, as text.
static inline const char *t_top_view(const struct top_view *view, struct top_choice *choice) {
    top_page_begin(&t_top_page, 200);
    view->write(&t_top_page, &t_top_sample, choice);
    return t_top_text(&t_top_page);
}

// Whether `line` begins with these words, however many blanks are between and before them.
static inline bool t_top_begins(const char *line, const char *words) {
    line += strspn(line, " ");
    words += strspn(words, " ");
    while (*words != '\0' && *line == *words) {
        size_t blanks = strspn(words, " ");
        words += blanks > 0 ? blanks : 1;
        line += blanks > 0 ? strspn(line, " ") : 1;
    }
    return *words == '\0';
}

// That some line of `text` begins with these words.
static inline void t_top_assert_line(const char *text, const char *words) {
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        if (t_top_begins(line, words)) {
            return;
        }
    }
    fail_msg("no line '%s' in:\n%s", words, text);
}

#endif
