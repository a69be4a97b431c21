// The writer keeps its first error, so only the end is looked at.
#include "top/json.h"

#include <covet/json.h>
#include <ctype.h>
#include <errno.h>

#include "base/assert.h"
#include "top/distribution.h"

#define FIRST_BYTES 4096u  // Doubled until the object fits.

static void key_uint(struct covet_json_writer *writer, const char *key, uint64_t value) {
    covet_json_write_key(writer, key);
    covet_json_write_uint(writer, value);
}

static void begin_object(struct covet_json_writer *writer, const char *key) {
    covet_json_write_key(writer, key);
    covet_json_write_object_begin(writer);
}

static void end_object(struct covet_json_writer *writer) {
    covet_json_write_object_end(writer);
}

static bool begin_object_if(struct covet_json_writer *writer, const char *key, bool is_there) {
    covet_json_write_key(writer, key);
    if (is_there) {
        covet_json_write_object_begin(writer);
    } else {
        covet_json_write_null(writer);
    }
    return is_there;
}

static void write_counters(struct covet_json_writer *writer, const uint64_t *counter) {
    static const char *const names[COVET_COUNTER_COUNT] = {
#define COUNTER_NAME(name, text, kind, help) #name,
        COVET_COUNTERS(COUNTER_NAME)
#undef COUNTER_NAME
    };
    begin_object(writer, "counters");
    for (unsigned i = 0; i < COVET_COUNTER_COUNT; i++) {
        char key[64] = "";
        for (size_t at = 0; names[i][at] != '\0' && at + 1 < sizeof(key); at++) {
            key[at] = (char)tolower((unsigned char)names[i][at]);
        }
        key_uint(writer, key, counter[i]);
    }
    end_object(writer);
}

// Null when nothing was counted, or the share lies in the bucket without an end.
static void write_share(struct covet_json_writer *writer, const char *key,
                        const struct top_distribution *distribution, double share) {
    double ns = top_distribution_at(distribution, share);
    covet_json_write_key(writer, key);
    if (ns > 0 && ns < (double)UINT64_MAX) {
        covet_json_write_uint(writer, (uint64_t)ns);
    } else {
        covet_json_write_null(writer);
    }
}

static void write_worker(struct covet_json_writer *writer,
                         const struct cv_snapshot_worker *worker) {
    struct top_distribution handlers = top_distribution_of_handlers(&worker->handler_time);
    write_counters(writer, worker->counter);
    begin_object(writer, "handler_time");
    key_uint(writer, "count", worker->handler_time.count);
    key_uint(writer, "sum_ns", worker->handler_time.sum_ns);
    write_share(writer, "p50_ns", &handlers, 0.5);
    write_share(writer, "p90_ns", &handlers, 0.9);
    write_share(writer, "p99_ns", &handlers, 0.99);
    write_share(writer, "p999_ns", &handlers, 0.999);
    end_object(writer);
    if (begin_object_if(writer, "proc", worker->has_proc)) {
        key_uint(writer, "cpu_ns", worker->cpu_ns);
        key_uint(writer, "runq_ns", worker->runq_ns);
        key_uint(writer, "voluntary_switches", worker->voluntary_switches);
        key_uint(writer, "involuntary_switches", worker->involuntary_switches);
        end_object(writer);
    }
    if (begin_object_if(writer, "bpf", worker->has_bpf)) {
        key_uint(writer, "requests", worker->bpf.requests);
        key_uint(writer, "syscalls", worker->bpf.syscalls);
        key_uint(writer, "syscalls_per_1000_requests", worker->bpf.syscalls_per_1000_requests);
        key_uint(writer, "io_uring_enters", worker->bpf.io_uring_enters);
        key_uint(writer, "completions", worker->bpf.completions);
        key_uint(writer, "completions_per_100_enters", worker->bpf.completions_per_100_enters);
        end_object(writer);
    }
}

static void write_server(struct covet_json_writer *writer,
                         const struct covet_stats_header *server) {
    begin_object(writer, "server");
    key_uint(writer, "supervisor_pid", server->supervisor_pid);
    key_uint(writer, "server_pid", server->server_pid);
    key_uint(writer, "server_starts", server->server_starts);
    key_uint(writer, "start_realtime_s", server->start_realtime_s);
    covet_json_write_key(writer, "ports");
    covet_json_write_array_begin(writer);
    for (uint32_t i = 0; i < CV_MIN(server->port_count, COVET_STATS_PORTS_MAX); i++) {
        covet_json_write_uint(writer, server->port[i]);
    }
    covet_json_write_array_end(writer);
    end_object(writer);
}

static void write_interval(struct covet_json_writer *writer, const struct top_sample *sample) {
    const struct cv_snapshot *change = &sample->change;
    covet_json_write_object_begin(writer);
    write_server(writer, &change->server);
    key_uint(writer, "taken_ns", change->taken_ns);
    key_uint(writer, "interval_ns", change->interval_ns);
    if (begin_object_if(writer, "profile", change->has_bpf)) {
        key_uint(writer, "level", change->info.level);
        key_uint(writer, "profiler_pid", change->info.profiler_pid);
        key_uint(writer, "programs", change->info.programs);
        end_object(writer);
    }
    begin_object(writer, "total");
    write_worker(writer, &sample->change_total.workers[0]);
    end_object(writer);
    covet_json_write_key(writer, "workers");
    covet_json_write_array_begin(writer);
    for (uint32_t i = 0; i < change->worker_count; i++) {
        covet_json_write_object_begin(writer);
        key_uint(writer, "worker", i);
        key_uint(writer, "thread_id", change->workers[i].thread_id);
        key_uint(writer, "cpu", change->workers[i].cpu);
        write_worker(writer, &change->workers[i]);
        end_object(writer);
    }
    covet_json_write_array_end(writer);
    end_object(writer);
}

void top_json_write(struct top_screen *screen, const struct top_sample *sample) {
    for (size_t room = FIRST_BYTES;; room *= 2) {
        struct covet_json_writer writer;
        struct covet_span text;
        covet_json_writer_init(&writer, top_screen_room(screen, room), room, NULL, NULL);
        write_interval(&writer, sample);
        int result = covet_json_writer_finish(&writer, &text);
        if (result == 0) {
            screen->length += text.length;
            top_screen_raw(screen, "\n");
            return;
        }
        CV_ASSERT(result == -ENOSPC);
    }
}
