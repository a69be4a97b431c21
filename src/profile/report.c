// The table. What is 0 throughout is left out but where the zero is the news: system calls that a
// server on io_uring does without, and the summary lines.
#include "profile/report.h"

#include <inttypes.h>

#include "profile/measure.h"

static double seconds_of(const struct cv_snapshot *change) {
    return change->interval_ns == 0 ? 1 : (double)change->interval_ns / 1e9;
}

static double percent(uint64_t part, uint64_t whole) {
    return whole == 0 ? 0 : (double)part * 100 / (double)whole;
}

// A time as microseconds, ">" what the last bucket begins with.
static const char *micros(char *text, size_t text_bytes, uint64_t ns) {
    if (ns == UINT64_MAX)
        snprintf(text, text_bytes, "> 1e6");
    else
        snprintf(text, text_bytes, "%.1f", (double)ns / 1000);
    return text;
}

static void write_ratio(FILE *out, int width, bool is_measured, uint64_t count, uint64_t requests) {
    if (is_measured && requests > 0)
        fprintf(out, "%*.1f", width, cv_measure_per_1000(count, requests));
    else
        fprintf(out, "%*s", width, "-");
}

static uint64_t punts_of(const struct cv_snapshot *change, uint32_t worker) {
    uint64_t punts = 0;

    for (size_t i = 0; i < change->uring_count; i++) {
        if (change->urings[i].key.worker == worker)
            punts += change->urings[i].stats.punted;
    }
    return punts;
}

static void write_worker(FILE *out, const char *name, const struct cv_snapshot *tables,
                         const struct cv_snapshot_worker *worker, uint32_t index) {
    uint64_t requests = worker->counter[COVET_COUNTER_REQUESTS];
    uint32_t level = tables->has_bpf ? tables->info.level : 0;
    char median[16], slow[16];

    fprintf(out, "%-6s%11.0f", name, (double)requests / seconds_of(tables));
    if (worker->has_proc)
        fprintf(out, "%6.1f", percent(worker->cpu_ns, tables->interval_ns));
    else
        fprintf(out, "%6s", "-");
    fprintf(out, "%7" PRIu64 "%8s%8s", worker->counter[COVET_COUNTER_CONNECTIONS_OPEN],
            micros(median, sizeof(median), cv_snapshot_handler_ns(&worker->handler_time, 0.5)),
            micros(slow, sizeof(slow), cv_snapshot_handler_ns(&worker->handler_time, 0.99)));
    write_ratio(out, 9, true, worker->counter[COVET_COUNTER_ENTERS], requests);
    write_ratio(out, 10, level >= 2, worker->bpf.syscalls, requests);
    write_ratio(out, 9, worker->has_proc, worker->voluntary_switches + worker->involuntary_switches,
                requests);
    write_ratio(out, 6, level >= 1, punts_of(tables, index), requests);
    fputc('\n', out);
}

static void write_workers(FILE *out, const struct cv_snapshot *change,
                          const struct cv_snapshot *merged) {
    char name[12];

    fprintf(out, "%38s%8s%34s\n", "", "handler", "per 1000 requests");
    fprintf(out, "%-6s%11s%6s%7s%8s%8s%9s%10s%9s%6s\n", "worker", "requests/s", "CPU %", "open",
            "p50 us", "p99 us", "enters", "syscalls", "switches", "punts");
    for (uint32_t i = 0; i < change->worker_count; i++) {
        snprintf(name, sizeof(name), "%u", i);
        write_worker(out, name, change, &change->workers[i], i);
    }
    if (change->worker_count > 1)
        write_worker(out, "total", merged, &merged->workers[0], 0);
}

static void write_syscalls(FILE *out, const struct cv_snapshot *merged, uint64_t requests) {
    struct cv_measure measure;

    if (cv_measure_read(&measure, merged, &merged->workers[0], "read_write_sendto_recvfrom") !=
        CV_MEASURE_OK) {
        fputs("\nsystem calls: not measured (level 2)\n", out);
        return;
    }
    fprintf(out, "\n%-24s%12s%11s%9s%12s%12s\n", "system calls", "count", "per 1000", "errors",
            "busy us", "blocked ms");
    for (size_t i = 0; i < merged->syscall_count; i++) {
        const struct covet_syscall_stats *stats = &merged->syscalls[i].stats;

        if (stats->count == 0)
            continue;
        fprintf(out, "%-24s%12" PRIu64,
                cv_snapshot_syscall_name((uint32_t)merged->syscalls[i].key.syscall), stats->count);
        write_ratio(out, 11, true, stats->count, requests);
        fprintf(out, "%9" PRIu64 "%12.2f%12.1f\n", stats->errors, (double)stats->avg_busy_ns / 1000,
                (double)stats->blocked_ns / 1e6);
    }
    fprintf(out, "read/write/sendto/recvfrom: %.*f per 1000 requests\n", measure.count == 0 ? 0 : 1,
            cv_measure_per_1000(measure.count, requests));
}

static void write_urings(FILE *out, const struct cv_snapshot *merged, uint64_t requests) {
    if (!merged->has_bpf) {
        fputs("\nring operations: not measured (level 1)\n", out);
        return;
    }
    fprintf(out, "\n%-18s%11s%11s%10s%9s%8s%8s\n", "ring operations", "submitted", "completed",
            "per 1000", "errors", "punted", "polled");
    for (size_t i = 0; i < merged->uring_count; i++) {
        const struct covet_uring_stats *stats = &merged->urings[i].stats;

        if (stats->submitted == 0 && stats->completed == 0)
            continue;
        fprintf(out, "%-18s%11" PRIu64 "%11" PRIu64,
                cv_snapshot_uring_op_name((uint32_t)merged->urings[i].key.opcode), stats->submitted,
                stats->completed);
        write_ratio(out, 10, true, stats->completed, requests);
        fprintf(out, "%9" PRIu64 "%8" PRIu64 "%8" PRIu64 "\n", stats->errors, stats->punted,
                stats->poll_arms);
    }
}

static void write_scheduling(FILE *out, const struct cv_snapshot *change,
                             const struct cv_snapshot_worker *total, uint64_t requests) {
    double of_time = percent(total->runq_ns, change->interval_ns * change->worker_count);

    if (!total->has_proc) {
        fputs("\nscheduling: hidden from this user\n", out);
        return;
    }
    fprintf(out,
            "\nscheduling: %.1f waits and %.1f interruptions per 1000 requests,\n"
            "            kept from a core %.1f %% of the time",
            cv_measure_per_1000(total->voluntary_switches, requests),
            cv_measure_per_1000(total->involuntary_switches, requests), of_time);
    if (total->has_bpf)
        fprintf(out, " (longest %.0f us), %" PRIu64 " moves",
                (double)total->sched.max_runq_ns / 1000, total->sched.migrations);
    fputc('\n', out);
}

static void write_events(FILE *out, const struct cv_snapshot *change) {
    bool is_first = true;

    for (size_t i = 0; i < change->net_count; i++) {
        if (change->nets[i].count == 0)
            continue;
        fprintf(out, "%s%s %" PRIu64 " (port %u)", is_first ? "TCP: " : ", ",
                cv_snapshot_net_event_name((uint32_t)change->nets[i].key.event),
                change->nets[i].count, change->nets[i].key.port);
        is_first = false;
    }
    for (size_t i = 0; i < change->drop_count; i++) {
        if (change->drops[i].count == 0)
            continue;
        fprintf(out, "%sdropped %s %" PRIu64 " (port %u)", is_first ? "TCP: " : ", ",
                cv_snapshot_drop_reason_name((uint32_t)change->drops[i].key.reason),
                change->drops[i].count, change->drops[i].key.port);
        is_first = false;
    }
    fputs(is_first ? "TCP: nothing sent again, reset or dropped\n" : "\n", out);
}

static void write_network(FILE *out, const struct cv_snapshot *change) {
    fputc('\n', out);
    for (size_t i = 0; i < change->listener_count; i++) {
        const struct cv_snapshot_listener *listener = &change->listeners[i];
        fprintf(out, "port %u: %u wait to be accepted (room for %u), %" PRIu64 " refused\n",
                listener->port, listener->queue, listener->queue_max, listener->drops);
    }
    if (change->has_bpf)
        write_events(out, change);
    else
        fprintf(out, "TCP of the host: %" PRIu64 " segments sent again\n",
                change->host_retransmits);
}

int cv_report_write(FILE *out, const struct cv_snapshot *change) {
    struct cv_snapshot merged = {0};
    int result = cv_snapshot_merge(&merged, change);

    if (result != 0)
        return result;
    const struct cv_snapshot_worker *total = &merged.workers[0];
    uint64_t requests = total->counter[COVET_COUNTER_REQUESTS];
    write_workers(out, change, &merged);
    write_syscalls(out, &merged, requests);
    write_urings(out, &merged, requests);
    write_scheduling(out, change, total, requests);
    write_network(out, change);
    cv_snapshot_deinit(&merged);
    return 0;
}
