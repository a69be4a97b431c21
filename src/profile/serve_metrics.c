// Every source is an array of rows: a key, which becomes the labels, and a struct of counters, each
// of which becomes a family. A family's samples must stand together (OpenMetrics 1.0, section
// 4.5), so the rows are walked once for each family; tables say which member is which.
#include "profile/serve_metrics.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define LABEL_BYTES 96
#define VALUE_BYTES 40

// One member, a uint64_t, as a counter.
struct family {
    const char *name;  // Without "covet_" and "_total".
    size_t offset;     // Of the member in its row.
    bool is_ns;        // Shown as seconds.
    const char *help;
};

// Writes a row's labels; false: it has no samples.
typedef bool (*label_fn)(char labels[LABEL_BYTES], const void *row, size_t index);

struct rows {
    const void *rows;
    size_t count;
    size_t row_bytes;
    label_fn label;
};

static const char *row_at(const struct rows *rows, size_t index) {
    return (const char *)rows->rows + index * rows->row_bytes;
}

static void put_families(struct cv_openmetrics *out, const struct rows *rows,
                         const struct family *families, size_t family_count) {
    char labels[LABEL_BYTES];
    char value[VALUE_BYTES];

    for (const struct family *family = families; family < families + family_count; family++) {
        cv_openmetrics_family(out, cv_span_of(family->name), "counter", family->help);
        for (size_t i = 0; i < rows->count; i++) {
            if (!rows->label(labels, row_at(rows, i), i))
                continue;
            uint64_t count = *(const uint64_t *)(row_at(rows, i) + family->offset);
            if (family->is_ns)
                snprintf(value, sizeof(value), CV_OPENMETRICS_SECONDS,
                         CV_OPENMETRICS_SECONDS_OF(count));
            else
                snprintf(value, sizeof(value), "%" PRIu64, count);
            cv_openmetrics_line(out, "covet_%s_total{%s} %s", family->name, labels, value);
        }
    }
}

#define FAMILIES(out, rows, table) put_families(out, rows, table, CV_ARRAY_COUNT(table))

// The buckets of a map count what is below their bound, `le` includes it: one nanosecond's
// difference. `sum_ns` may be NULL: unknown.
static void put_histogram(struct cv_openmetrics *out, const char *name, const char *labels,
                          const struct covet_latency *latency, const uint64_t *sum_ns) {
    static const uint64_t bounds_ns[COVET_LATENCY_BUCKET_COUNT] = {
#define BOUND(name, bound) bound,
        COVET_LATENCY_BUCKETS(BOUND)
#undef BOUND
    };
    const uint64_t *buckets = (const uint64_t *)latency;
    uint64_t count = 0;

    for (size_t i = 0; i < COVET_LATENCY_BUCKET_COUNT - 1; i++) {
        count += buckets[i];
        cv_openmetrics_line(out, "covet_%s_bucket{%s,le=\"" CV_OPENMETRICS_SECONDS "\"} %" PRIu64,
                            name, labels, CV_OPENMETRICS_SECONDS_OF(bounds_ns[i]), count);
    }
    count += latency->longer;
    cv_openmetrics_line(out, "covet_%s_bucket{%s,le=\"+Inf\"} %" PRIu64, name, labels, count);
    if (sum_ns != NULL) {
        cv_openmetrics_line(out, "covet_%s_count{%s} %" PRIu64, name, labels, count);
        cv_openmetrics_line(out, "covet_%s_sum{%s} " CV_OPENMETRICS_SECONDS, name, labels,
                            CV_OPENMETRICS_SECONDS_OF(*sum_ns));
    }
}

static void label_worker_number(char labels[LABEL_BYTES], uint32_t worker) {
    snprintf(labels, LABEL_BYTES, "worker=\"%" PRIu32 "\"", worker);
}

static bool label_worker(char labels[LABEL_BYTES], const void *row, size_t index) {
    (void)row;
    label_worker_number(labels, (uint32_t)index);
    return true;
}

static bool label_proc_worker(char labels[LABEL_BYTES], const void *row, size_t index) {
    label_worker_number(labels, (uint32_t)index);
    return ((const struct cv_snapshot_worker *)row)->has_proc;
}

static bool label_bpf_worker(char labels[LABEL_BYTES], const void *row, size_t index) {
    label_worker_number(labels, (uint32_t)index);
    return ((const struct cv_snapshot_worker *)row)->has_bpf;
}

static void put_workers(struct cv_openmetrics *out, const struct cv_snapshot *snapshot) {
#define MEMBER(name) offsetof(struct cv_snapshot_worker, name)
    static const struct family counted[] = {
        {"profile_requests", MEMBER(counter[COVET_COUNTER_REQUESTS]), false,
         "Requests answered, by the server's own count"},
        {"profile_enters", MEMBER(counter[COVET_COUNTER_ENTERS]), false,
         "io_uring_enter calls, by the server's own count"},
    };
    static const struct family proc[] = {
        {"profile_cpu_seconds", MEMBER(cpu_ns), true, "Time on a core, from /proc"},
        {"profile_runqueue_seconds", MEMBER(runq_ns), true,
         "Time ready to run while another thread had the core, from /proc"},
        {"profile_voluntary_switches", MEMBER(voluntary_switches), false,
         "Times a worker waited, from /proc"},
        {"profile_involuntary_switches", MEMBER(involuntary_switches), false,
         "Times a worker was put off its core, from /proc"},
    };
    static const struct family bpf[] = {
        {"profile_completions", MEMBER(bpf.completions), false, "CQEs posted to a worker's ring"},
        {"profile_migrations", MEMBER(sched.migrations), false, "Moves to another core"},
    };
#undef MEMBER
    struct rows rows = {snapshot->workers, snapshot->worker_count, sizeof(*snapshot->workers),
                        label_worker};
    FAMILIES(out, &rows, counted);
    rows.label = label_proc_worker;
    FAMILIES(out, &rows, proc);
    rows.label = label_bpf_worker;
    FAMILIES(out, &rows, bpf);

    static const char runq[] = "profile_runqueue_wait_seconds";
    cv_openmetrics_family(out, CV_SPAN("profile_runqueue_wait_seconds"), "histogram",
                          "From being ready to run until running");
    for (uint32_t i = 0; i < snapshot->worker_count; i++) {
        const struct cv_snapshot_worker *worker = &snapshot->workers[i];
        char labels[LABEL_BYTES];
        if (label_bpf_worker(labels, worker, i))
            put_histogram(out, runq, labels, &worker->runq_latency, &worker->sched.runq_ns);
    }
}

static bool label_syscall(char labels[LABEL_BYTES], const void *row, size_t index) {
    const struct covet_syscall_key *key = &((const struct cv_snapshot_syscall *)row)->key;
    (void)index;
    snprintf(labels, LABEL_BYTES, "worker=\"%" PRIu32 "\",syscall=\"%s\"", key->worker,
             cv_snapshot_syscall_name(key->syscall));
    return true;
}

static bool label_other_syscall(char labels[LABEL_BYTES], const void *row, size_t index) {
    static const char *const roles[] = {
        [COVET_WORKER] = "worker", [COVET_MAIN] = "main",   [COVET_IO_WQ] = "io_wq",
        [COVET_SQPOLL] = "sqpoll", [COVET_OTHER] = "other",
    };
    const struct covet_other_syscall_key *key =
        &((const struct cv_snapshot_other_syscall *)row)->key;
    (void)index;
    if ((size_t)key->role >= CV_ARRAY_COUNT(roles))
        return false;
    snprintf(labels, LABEL_BYTES, "role=\"%s\",syscall=\"%s\"", roles[key->role],
             cv_snapshot_syscall_name(key->syscall));
    return true;
}

static void put_syscalls(struct cv_openmetrics *out, const struct cv_snapshot *snapshot) {
#define MEMBER(name) offsetof(struct cv_snapshot_syscall, stats.name)
    static const struct family families[] = {
        {"profile_syscalls", MEMBER(count), false, "System calls of the workers"},
        {"profile_syscall_errors", MEMBER(errors), false, "Those that returned an error"},
        {"profile_syscall_busy_seconds", MEMBER(busy_ns), true, "Time in them, on a core"},
        {"profile_syscall_blocked_seconds", MEMBER(blocked_ns), true, "Time in them, waiting"},
    };
#undef MEMBER
    static const struct family others[] = {
        {"profile_other_syscalls", offsetof(struct cv_snapshot_other_syscall, stats.count), false,
         "System calls of the server's other threads"},
    };
    struct rows rows = {snapshot->syscalls, snapshot->syscall_count, sizeof(*snapshot->syscalls),
                        label_syscall};
    FAMILIES(out, &rows, families);
    rows = (struct rows){snapshot->other_syscalls, snapshot->other_syscall_count,
                         sizeof(*snapshot->other_syscalls), label_other_syscall};
    FAMILIES(out, &rows, others);

    cv_openmetrics_family(out, CV_SPAN("profile_syscall_seconds"), "histogram",
                          "Time on a core in one system call (level 3)");
    for (size_t i = 0; i < snapshot->syscall_latency_count; i++) {
        const struct cv_snapshot_syscall_latency *latency = &snapshot->syscall_latencies[i];
        const struct cv_snapshot_syscall as_row = {.key = latency->key};
        char labels[LABEL_BYTES];
        label_syscall(labels, &as_row, i);
        put_histogram(out, "profile_syscall_seconds", labels, &latency->latency, NULL);
    }
}

static bool label_operation(char labels[LABEL_BYTES], const void *row, size_t index) {
    const struct covet_uring_key *key = &((const struct cv_snapshot_uring *)row)->key;
    (void)index;
    snprintf(labels, LABEL_BYTES, "worker=\"%" PRIu32 "\",operation=\"%s\"", key->worker,
             cv_snapshot_uring_op_name(key->opcode));
    return true;
}

static void put_operations(struct cv_openmetrics *out, const struct cv_snapshot *snapshot) {
#define MEMBER(name) offsetof(struct cv_snapshot_uring, stats.name)
    static const struct family families[] = {
        {"profile_ring_submitted", MEMBER(submitted), false, "Ring operations submitted"},
        {"profile_ring_completed", MEMBER(completed), false, "Completions"},
        {"profile_ring_errors", MEMBER(errors), false, "Completions with an error"},
        {"profile_ring_punted", MEMBER(punted), false, "Operations handed to an io-wq thread"},
        {"profile_ring_poll_arms", MEMBER(poll_arms), false,
         "Operations that had to wait for readiness"},
        {"profile_ring_multishot_completions", MEMBER(multishot_cqes), false,
         "Completions of operations that go on"},
        {"profile_ring_overflows", MEMBER(overflows), false,
         "Completions the queue had no room for"},
    };
#undef MEMBER
    const struct rows rows = {snapshot->urings, snapshot->uring_count, sizeof(*snapshot->urings),
                              label_operation};
    FAMILIES(out, &rows, families);

    cv_openmetrics_family(out, CV_SPAN("profile_ring_seconds"), "histogram",
                          "From submission to completion of a ring operation (level 3)");
    for (size_t i = 0; i < snapshot->uring_latency_count; i++) {
        const struct cv_snapshot_uring_latency *latency = &snapshot->uring_latencies[i];
        const struct cv_snapshot_uring as_row = {.key = latency->key};
        char labels[LABEL_BYTES];
        label_operation(labels, &as_row, i);
        put_histogram(out, "profile_ring_seconds", labels, &latency->latency, NULL);
    }
}

static bool label_net(char labels[LABEL_BYTES], const void *row, size_t index) {
    const struct covet_net_key *key = &((const struct cv_snapshot_net *)row)->key;
    (void)index;
    snprintf(labels, LABEL_BYTES, "port=\"%" PRIu32 "\",event=\"%s\"", key->port,
             cv_snapshot_net_event_name(key->event));
    return true;
}

static bool label_drop(char labels[LABEL_BYTES], const void *row, size_t index) {
    const struct covet_drop_key *key = &((const struct cv_snapshot_drop *)row)->key;
    (void)index;
    snprintf(labels, LABEL_BYTES, "port=\"%" PRIu32 "\",reason=\"%s\"", key->port,
             cv_snapshot_drop_reason_name(key->reason));
    return true;
}

static bool label_listener(char labels[LABEL_BYTES], const void *row, size_t index) {
    const struct cv_snapshot_listener *listener = row;
    (void)index;
    snprintf(labels, LABEL_BYTES, "port=\"%u\"", listener->port);
    return listener->drops != UINT64_MAX;
}

static void put_net(struct cv_openmetrics *out, const struct cv_snapshot *snapshot) {
    static const struct family events[] = {
        {"profile_tcp_events", offsetof(struct cv_snapshot_net, count), false,
         "What happened to TCP connections of the server's ports"},
    };
    static const struct family drops[] = {
        {"profile_packets_dropped", offsetof(struct cv_snapshot_drop, count), false,
         "Packets for the server's ports that the kernel dropped, by reason"},
    };
    static const struct family refused[] = {
        {"profile_accept_drops", offsetof(struct cv_snapshot_listener, drops), false,
         "Connections refused because the accept queue was full"},
    };
    struct rows rows = {snapshot->nets, snapshot->net_count, sizeof(*snapshot->nets), label_net};
    FAMILIES(out, &rows, events);
    rows =
        (struct rows){snapshot->drops, snapshot->drop_count, sizeof(*snapshot->drops), label_drop};
    FAMILIES(out, &rows, drops);
    rows = (struct rows){snapshot->listeners, snapshot->listener_count,
                         sizeof(*snapshot->listeners), label_listener};
    FAMILIES(out, &rows, refused);

    cv_openmetrics_family(out, CV_SPAN("profile_accept_queue"), "gauge",
                          "Connections that wait for accept");
    for (size_t i = 0; i < snapshot->listener_count; i++)
        cv_openmetrics_line(out, "covet_profile_accept_queue{port=\"%u\"} %" PRIu32,
                            snapshot->listeners[i].port, snapshot->listeners[i].queue);
    cv_openmetrics_family(out, CV_SPAN("profile_accept_queue_limit"), "gauge",
                          "The most that may wait (backlog)");
    for (size_t i = 0; i < snapshot->listener_count; i++)
        cv_openmetrics_line(out, "covet_profile_accept_queue_limit{port=\"%u\"} %" PRIu32,
                            snapshot->listeners[i].port, snapshot->listeners[i].queue_max);
}

static void put_host(struct cv_openmetrics *out, const struct cv_snapshot *snapshot) {
    static const struct family families[] = {
        {"profile_host_listen_overflows", offsetof(struct cv_snapshot, host_listen_overflows),
         false, "Full accept queues in the server's network namespace"},
        {"profile_host_retransmits", offsetof(struct cv_snapshot, host_retransmits), false,
         "TCP segments sent again in the server's network namespace"},
    };
    for (size_t i = 0; i < CV_ARRAY_COUNT(families); i++) {
        cv_openmetrics_family(out, cv_span_of(families[i].name), "counter", families[i].help);
        cv_openmetrics_line(out, "covet_%s_total %" PRIu64, families[i].name,
                            *(const uint64_t *)((const char *)snapshot + families[i].offset));
    }
}

static void put_profiler(struct cv_openmetrics *out, const struct cv_snapshot *snapshot) {
    cv_openmetrics_family(out, CV_SPAN("profile_up"), "gauge",
                          "1 while there is a covet to be seen");
    cv_openmetrics_line(out, "covet_profile_up %d", snapshot != NULL);
    cv_openmetrics_family(out, CV_SPAN("profile_level"), "gauge",
                          "What is measured: 0 without BPF programs, 1 to 3 with them");
    cv_openmetrics_line(out, "covet_profile_level %" PRIu32,
                        snapshot != NULL && snapshot->has_bpf ? snapshot->info.level : 0);
    cv_openmetrics_family(out, CV_SPAN("profile_programs"), "gauge", "BPF programs attached");
    cv_openmetrics_line(out, "covet_profile_programs %" PRIu32,
                        snapshot != NULL && snapshot->has_bpf ? snapshot->info.programs : 0);
}

int cv_serve_metrics_write(const struct cv_snapshot *snapshot, cv_openmetrics_fn write,
                           void *context) {
    static const struct cv_snapshot none;
    struct cv_openmetrics out = {.write = write, .context = context};

    put_profiler(&out, snapshot);
    snapshot = snapshot == NULL ? &none : snapshot;
    put_workers(&out, snapshot);
    put_syscalls(&out, snapshot);
    put_operations(&out, snapshot);
    put_net(&out, snapshot);
    if (snapshot != &none)
        put_host(&out, snapshot);
    return cv_openmetrics_finish(&out);
}
