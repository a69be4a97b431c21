// Snapshots to JSON. The writer keeps the first error, so only the end is looked at. Times are in
// nanoseconds and say so, lists are objects keyed by what a reader asks for.
#include "profile/json_snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/histogram.h"
#include "profile/measure.h"
#include "json/writer.h"

static void key_uint(struct covet_json_writer *writer, const char *key, uint64_t value) {
    covet_json_write_key(writer, key);
    covet_json_write_uint(writer, value);
}

static void key_text(struct covet_json_writer *writer, const char *key, const char *value) {
    covet_json_write_key(writer, key);
    covet_json_write_text(writer, value);
}

static void key_null(struct covet_json_writer *writer, const char *key) {
    covet_json_write_key(writer, key);
    covet_json_write_null(writer);
}

static void begin_object(struct covet_json_writer *writer, const char *key) {
    covet_json_write_key(writer, key);
    covet_json_write_object_begin(writer);
}

static void end_object(struct covet_json_writer *writer) {
    covet_json_write_object_end(writer);
}

// Fixed arrays that need not end in NUL.
static void key_chars(struct covet_json_writer *writer, const char *key, const char *chars,
                      size_t room) {
    covet_json_write_key(writer, key);
    covet_json_write_span(writer, (struct covet_span){chars, strnlen(chars, room)});
}

static void write_error(struct covet_json_writer *writer, int64_t last_error) {
    if (last_error == 0)
        key_null(writer, "last_error");
    else
        key_text(writer, "last_error", cv_snapshot_errno_name(last_error));
}

static void write_server(struct covet_json_writer *writer, const struct cv_snapshot *snapshot) {
    const struct covet_stats_header *server = &snapshot->server;

    begin_object(writer, "server");
    key_uint(writer, "supervisor_pid", server->supervisor_pid);
    key_uint(writer, "server_pid", server->server_pid);
    key_uint(writer, "server_starts", server->server_starts);
    key_uint(writer, "start_realtime_s", server->start_realtime_s);
    key_uint(writer, "start_ns", server->start_ns);
    key_uint(writer, "worker_count", snapshot->worker_count);
    covet_json_write_key(writer, "ports");
    covet_json_write_array_begin(writer);
    for (uint32_t i = 0; i < CV_MIN(server->port_count, COVET_STATS_PORTS_MAX); i++)
        covet_json_write_uint(writer, server->port[i]);
    covet_json_write_array_end(writer);
    end_object(writer);
}

static void write_profile(struct covet_json_writer *writer, const struct cv_snapshot *snapshot) {
    const struct covet_profile_info *info = &snapshot->info;

    if (!snapshot->has_bpf) {
        key_null(writer, "profile");
        return;
    }
    begin_object(writer, "profile");
    key_chars(writer, "version", info->version, sizeof(info->version));
    key_chars(writer, "kernel", info->kernel, sizeof(info->kernel));
    key_uint(writer, "level", info->level);
    key_uint(writer, "profiler_pid", info->profiler_pid);
    key_uint(writer, "programs", info->programs);
    key_uint(writer, "programs_off", info->programs_off);
    key_uint(writer, "targets", info->targets);
    key_uint(writer, "attached_ns", info->attached_ns);
    key_uint(writer, "attached_realtime_s", info->attached_realtime);
    end_object(writer);
}

static void write_ratios(struct covet_json_writer *writer, const struct cv_snapshot *snapshot,
                         const struct cv_snapshot_worker *total) {
    uint64_t requests = total->counter[COVET_COUNTER_REQUESTS];
    struct cv_measure measure;
    const char *name;

    begin_object(writer, "per_1000_requests");
    for (unsigned i = 0; (name = cv_measure_name(i)) != NULL; i++) {
        covet_json_write_key(writer, name);
        if (cv_measure_read(&measure, snapshot, total, name) == CV_MEASURE_OK && requests > 0)
            covet_json_write_double(writer, cv_measure_per_1000(measure.count, requests));
        else
            covet_json_write_null(writer);
    }
    end_object(writer);
}

static void write_share(struct covet_json_writer *writer, const char *key, uint64_t ns) {
    if (ns == UINT64_MAX)
        key_null(writer, key);
    else
        key_uint(writer, key, ns);
}

static void write_latency(struct covet_json_writer *writer, const char *key,
                          const struct covet_latency *latency) {
    begin_object(writer, key);
    write_share(writer, "p50_ns", cv_snapshot_latency_ns(latency, 0.5));
    write_share(writer, "p90_ns", cv_snapshot_latency_ns(latency, 0.9));
    write_share(writer, "p99_ns", cv_snapshot_latency_ns(latency, 0.99));
    write_share(writer, "p999_ns", cv_snapshot_latency_ns(latency, 0.999));
    begin_object(writer, "buckets");
#define BUCKET(name, bound) key_uint(writer, #name, latency->name);
    COVET_LATENCY_BUCKETS(BUCKET)
#undef BUCKET
    end_object(writer);
    end_object(writer);
}

// Buckets by their upper ends in nanoseconds.
static void write_handler_time(struct covet_json_writer *writer,
                               const struct covet_histogram *histogram) {
    char end[24];

    begin_object(writer, "handler_time");
    key_uint(writer, "count", histogram->count);
    key_uint(writer, "sum_ns", histogram->sum_ns);
    write_share(writer, "p50_ns", cv_snapshot_handler_ns(histogram, 0.5));
    write_share(writer, "p90_ns", cv_snapshot_handler_ns(histogram, 0.9));
    write_share(writer, "p99_ns", cv_snapshot_handler_ns(histogram, 0.99));
    write_share(writer, "p999_ns", cv_snapshot_handler_ns(histogram, 0.999));
    begin_object(writer, "buckets");
    for (uint32_t i = 0; i < COVET_HISTOGRAM_BUCKETS; i++) {
        snprintf(end, sizeof(end), "%llu", (unsigned long long)cv_histogram_bucket_end_ns(i));
        key_uint(writer, i == COVET_HISTOGRAM_BUCKETS - 1 ? "longer" : end, histogram->bucket[i]);
    }
    end_object(writer);
    end_object(writer);
}

static void write_proc(struct covet_json_writer *writer, const struct cv_snapshot_worker *worker) {
    if (!worker->has_proc) {
        key_null(writer, "proc");
        return;
    }
    begin_object(writer, "proc");
    key_uint(writer, "cpu_ns", worker->cpu_ns);
    key_uint(writer, "runq_ns", worker->runq_ns);
    key_uint(writer, "voluntary_switches", worker->voluntary_switches);
    key_uint(writer, "involuntary_switches", worker->involuntary_switches);
    key_uint(writer, "allowed_cpus", worker->allowed_cpus);
    end_object(writer);
}

static void write_bpf(struct covet_json_writer *writer, const struct cv_snapshot_worker *worker) {
    if (!worker->has_bpf) {
        key_null(writer, "bpf");
        key_null(writer, "sched");
        return;
    }
    begin_object(writer, "bpf");
    key_uint(writer, "requests", worker->bpf.requests);
    key_uint(writer, "syscalls", worker->bpf.syscalls);
    key_uint(writer, "syscalls_per_1000_requests", worker->bpf.syscalls_per_1000_requests);
    key_uint(writer, "io_uring_enters", worker->bpf.io_uring_enters);
    key_uint(writer, "completions", worker->bpf.completions);
    key_uint(writer, "completions_per_100_enters", worker->bpf.completions_per_100_enters);
    end_object(writer);
    begin_object(writer, "sched");
    key_uint(writer, "voluntary_switches", worker->sched.voluntary_switches);
    key_uint(writer, "involuntary_switches", worker->sched.involuntary_switches);
    key_uint(writer, "migrations", worker->sched.migrations);
    key_uint(writer, "running_ns", worker->sched.running_ns);
    key_uint(writer, "waiting_ns", worker->sched.waiting_ns);
    key_uint(writer, "runq_ns", worker->sched.runq_ns);
    key_uint(writer, "max_runq_ns", worker->sched.max_runq_ns);
    write_latency(writer, "runq_latency", &worker->runq_latency);
    end_object(writer);
}

static void write_syscall(struct covet_json_writer *writer, uint32_t number,
                          const struct covet_syscall_stats *stats,
                          const struct covet_latency *latency) {
    begin_object(writer, cv_snapshot_syscall_name(number));
    key_uint(writer, "count", stats->count);
    key_uint(writer, "errors", stats->errors);
    key_uint(writer, "busy_ns", stats->busy_ns);
    key_uint(writer, "blocked_ns", stats->blocked_ns);
    key_uint(writer, "max_busy_ns", stats->max_busy_ns);
    key_uint(writer, "avg_busy_ns", stats->avg_busy_ns);
    write_error(writer, stats->last_error);
    if (latency != NULL)
        write_latency(writer, "latency", latency);
    end_object(writer);
}

static void write_uring(struct covet_json_writer *writer, uint32_t opcode,
                        const struct covet_uring_stats *stats,
                        const struct covet_latency *latency) {
    begin_object(writer, cv_snapshot_uring_op_name(opcode));
    key_uint(writer, "submitted", stats->submitted);
    key_uint(writer, "completed", stats->completed);
    key_uint(writer, "errors", stats->errors);
    key_uint(writer, "punted", stats->punted);
    key_uint(writer, "poll_arms", stats->poll_arms);
    key_uint(writer, "multishot_cqes", stats->multishot_cqes);
    key_uint(writer, "overflows", stats->overflows);
    key_uint(writer, "avg_ns", stats->avg_ns);
    write_error(writer, stats->last_error);
    if (latency != NULL)
        write_latency(writer, "latency", latency);
    end_object(writer);
}

static const struct covet_latency *syscall_latency(const struct cv_snapshot *tables,
                                                   const struct covet_syscall_key *key) {
    for (size_t i = 0; i < tables->syscall_latency_count; i++) {
        const struct covet_syscall_key *other = &tables->syscall_latencies[i].key;
        if (other->worker == key->worker && other->syscall == key->syscall)
            return &tables->syscall_latencies[i].latency;
    }
    return NULL;
}

static const struct covet_latency *uring_latency(const struct cv_snapshot *tables,
                                                 const struct covet_uring_key *key) {
    for (size_t i = 0; i < tables->uring_latency_count; i++) {
        const struct covet_uring_key *other = &tables->uring_latencies[i].key;
        if (other->worker == key->worker && other->opcode == key->opcode)
            return &tables->uring_latencies[i].latency;
    }
    return NULL;
}

static void write_counters(struct covet_json_writer *writer, const char *key,
                           const struct cv_snapshot_worker *worker, bool is_gauge) {
    begin_object(writer, key);
    for (unsigned i = 0; i < COVET_COUNTER_COUNT; i++) {
        if (cv_measure_is_gauge(i) == is_gauge)
            key_uint(writer, cv_measure_counter_name(i), worker->counter[i]);
    }
    end_object(writer);
}

static void write_worker(struct covet_json_writer *writer, const struct cv_snapshot *tables,
                         const struct cv_snapshot_worker *worker, uint32_t index) {
    write_counters(writer, "counters", worker, false);
    write_counters(writer, "gauges", worker, true);
    write_handler_time(writer, &worker->handler_time);
    write_proc(writer, worker);
    write_bpf(writer, worker);
    begin_object(writer, "syscalls");
    for (size_t i = 0; i < tables->syscall_count; i++) {
        if (tables->syscalls[i].key.worker == index)
            write_syscall(writer, tables->syscalls[i].key.syscall, &tables->syscalls[i].stats,
                          syscall_latency(tables, &tables->syscalls[i].key));
    }
    end_object(writer);
    begin_object(writer, "urings");
    for (size_t i = 0; i < tables->uring_count; i++) {
        if (tables->urings[i].key.worker == index)
            write_uring(writer, tables->urings[i].key.opcode, &tables->urings[i].stats,
                        uring_latency(tables, &tables->urings[i].key));
    }
    end_object(writer);
}

static void write_workers(struct covet_json_writer *writer, const struct cv_snapshot *snapshot) {
    covet_json_write_key(writer, "workers");
    covet_json_write_array_begin(writer);
    for (uint32_t i = 0; i < snapshot->worker_count; i++) {
        const struct cv_snapshot_worker *worker = &snapshot->workers[i];

        covet_json_write_object_begin(writer);
        key_uint(writer, "worker", i);
        key_uint(writer, "thread_id", worker->thread_id);
        key_uint(writer, "cpu", worker->cpu);
        write_worker(writer, snapshot, worker, i);
        end_object(writer);
    }
    covet_json_write_array_end(writer);
}

static const char *role_name(uint32_t role) {
    static const char *const names[] = {
        [COVET_WORKER] = "worker", [COVET_MAIN] = "main",   [COVET_IO_WQ] = "io_wq",
        [COVET_SQPOLL] = "sqpoll", [COVET_OTHER] = "other",
    };
    return role < CV_ARRAY_COUNT(names) ? names[role] : "?";
}

// The lists below are sorted by their first key: one inner object for each of its values.
static void open_group(struct covet_json_writer *writer, bool is_first, bool is_new,
                       const char *key) {
    if (!is_new)
        return;
    if (!is_first)
        end_object(writer);
    begin_object(writer, key);
}

static void write_others(struct covet_json_writer *writer, const struct cv_snapshot *snapshot) {
    const struct cv_snapshot_other_syscall *calls = snapshot->other_syscalls;

    begin_object(writer, "other_syscalls");
    for (size_t i = 0; i < snapshot->other_syscall_count; i++) {
        open_group(writer, i == 0, i == 0 || calls[i - 1].key.role != calls[i].key.role,
                   role_name(calls[i].key.role));
        write_syscall(writer, calls[i].key.syscall, &calls[i].stats, NULL);
    }
    if (snapshot->other_syscall_count > 0)
        end_object(writer);
    end_object(writer);
}

static const char *port_text(char *text, size_t text_bytes, uint32_t port) {
    snprintf(text, text_bytes, "%u", port);
    return text;
}

static void write_net(struct covet_json_writer *writer, const struct cv_snapshot *snapshot) {
    const struct cv_snapshot_net *nets = snapshot->nets;
    char port[12];

    begin_object(writer, "net");
    for (size_t i = 0; i < snapshot->net_count; i++) {
        open_group(writer, i == 0, i == 0 || nets[i - 1].key.port != nets[i].key.port,
                   port_text(port, sizeof(port), nets[i].key.port));
        key_uint(writer, cv_snapshot_net_event_name(nets[i].key.event), nets[i].count);
    }
    if (snapshot->net_count > 0)
        end_object(writer);
    end_object(writer);
}

static void write_drops(struct covet_json_writer *writer, const struct cv_snapshot *snapshot) {
    const struct cv_snapshot_drop *drops = snapshot->drops;
    char port[12];

    begin_object(writer, "drops");
    for (size_t i = 0; i < snapshot->drop_count; i++) {
        open_group(writer, i == 0, i == 0 || drops[i - 1].key.port != drops[i].key.port,
                   port_text(port, sizeof(port), drops[i].key.port));
        key_uint(writer, cv_snapshot_drop_reason_name(drops[i].key.reason), drops[i].count);
    }
    if (snapshot->drop_count > 0)
        end_object(writer);
    end_object(writer);
}

static void write_listeners(struct covet_json_writer *writer, const struct cv_snapshot *snapshot) {
    char port[12];

    begin_object(writer, "listeners");
    for (size_t i = 0; i < snapshot->listener_count; i++) {
        const struct cv_snapshot_listener *listener = &snapshot->listeners[i];

        begin_object(writer, port_text(port, sizeof(port), listener->port));
        key_uint(writer, "sockets", listener->sockets);
        key_uint(writer, "queue", listener->queue);
        key_uint(writer, "queue_max", listener->queue_max);
        key_uint(writer, "fullest_percent", listener->fullest_percent);
        key_uint(writer, "drops", listener->drops);
        end_object(writer);
    }
    end_object(writer);
    begin_object(writer, "host");
    key_uint(writer, "listen_overflows", snapshot->host_listen_overflows);
    key_uint(writer, "retransmits", snapshot->host_retransmits);
    end_object(writer);
}

int cv_json_snapshot_write(struct covet_json_writer *writer, const struct cv_snapshot *snapshot) {
    struct cv_snapshot merged = {0};
    int result = cv_snapshot_merge(&merged, snapshot);

    if (result != 0)
        return cv_writer_fail(writer, result);
    covet_json_write_object_begin(writer);
    write_server(writer, snapshot);
    key_uint(writer, "taken_ns", snapshot->taken_ns);
    key_uint(writer, "interval_ns", snapshot->interval_ns);
    write_profile(writer, snapshot);
    key_text(writer, "note", snapshot->bpf_note);
    write_ratios(writer, snapshot, &merged.workers[0]);
    begin_object(writer, "total");
    write_worker(writer, &merged, &merged.workers[0], 0);
    end_object(writer);
    write_workers(writer, snapshot);
    write_others(writer, snapshot);
    write_net(writer, snapshot);
    write_drops(writer, snapshot);
    write_listeners(writer, snapshot);
    cv_snapshot_deinit(&merged);
    return covet_json_write_object_end(writer);
}

// The writer asks for more when it has copied what it had before: one block back is free then.
struct blocks {
    char *last;
    char *before;
};

static void *grow(void *context, size_t bytes) {
    struct blocks *blocks = context;

    free(blocks->before);
    blocks->before = blocks->last;
    blocks->last = malloc(bytes);
    return blocks->last;
}

char *cv_json_snapshot_text(const struct cv_snapshot *snapshot) {
    struct blocks blocks = {0};
    struct covet_json_writer writer;
    struct covet_span text;
    char *result = NULL;

    covet_json_writer_init(&writer, NULL, 0, grow, &blocks);
    if (cv_json_snapshot_write(&writer, snapshot) == 0 &&
        covet_json_writer_finish(&writer, &text) == 0)
        result = cv_span_duplicate(cv_span_make(text.data, text.length));
    free(blocks.last);
    free(blocks.before);
    return result;
}
