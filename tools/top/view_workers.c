// One line per worker: what it did, and what that cost it.
#include "top/distribution.h"
#include "top/thread.h"
#include "top/views.h"

enum {
    WORKER,
    CORE,
    REQUESTS,
    P50,
    P99,
    CONNECTIONS,
    CPU,
    WAIT,
    ENTERS,
    SYSCALLS,
    COMPLETIONS,
    BYTES_IN,
    BYTES_OUT,
    VOLUNTARY,
    FORCED,
    CLIENT_ERRORS,
    SERVER_ERRORS,
    MOVES,
    COLUMN_COUNT
};

static const struct top_column columns[COLUMN_COUNT] = {
    [WORKER] = {.title = "worker",
                .kind = TOP_CELL_THREAD,
                .width = 7,
                .meaning = "a thread of the server; 'workers' is all of them"},
    [CORE] = {.title = "core", .width = 4, .meaning = "where the worker runs"},
    [REQUESTS] = {.group = "requests",
                  .title = "/s",
                  .width = 8,
                  .meaning = "requests answered per second"},
    [P50] = {.group = "handler",
             .title = "p50",
             .unit = TOP_BELOW,
             .width = 7,
             .meaning = "half of the handlers took less than this"},
    [P99] = {.group = "handler",
             .title = "p99",
             .unit = TOP_BELOW,
             .width = 7,
             .meaning = "99 of 100 handlers took less than this"},
    [CONNECTIONS] = {.group = "conns",
                     .title = "open",
                     .width = 5,
                     .meaning = "connections that are open now"},
    [CPU] = {.group = "CPU",
             .title = "%",
             .unit = TOP_PERCENT,
             .width = 5,
             .warn = 95,
             .meaning = "time on its core; of 'workers': on all their cores"},
    [WAIT] = {.group = "queued",
              .title = "%",
              .unit = TOP_PERCENT,
              .width = 6,
              .warn = 5,
              .bad = 20,
              .meaning = "time it was ready to run while something else had its core"},
    [ENTERS] = {.group = "per 1000 req",
                .title = "enter",
                .unit = TOP_RATIO,
                .width = 6,
                .meaning = "io_uring_enter calls per 1000 requests, by the server's own counter"},
    [SYSCALLS] = {.group = "per 1000 req",
                  .title = "sysc",
                  .unit = TOP_RATIO,
                  .width = 6,
                  .meaning = "all system calls per 1000 requests (level 2)"},
    [COMPLETIONS] = {.group = "CQEs per",
                     .title = "100 ent",
                     .width = 8,
                     .meaning = "completions per 100 io_uring_enter calls: the batch (level 1)"},
    [BYTES_IN] = {.group = "bytes/s",
                  .title = "in",
                  .unit = TOP_BYTES,
                  .width = 5,
                  .meaning = "received per second (K, M, G of 1024)"},
    [BYTES_OUT] = {.group = "bytes/s",
                   .title = "out",
                   .unit = TOP_BYTES,
                   .width = 5,
                   .meaning = "sent per second"},
    [VOLUNTARY] = {.group = "switches/s",
                   .title = "idle",
                   .width = 6,
                   .meaning = "times a second it had nothing to do and slept"},
    [FORCED] = {.group = "switches/s",
                .title = "forced",
                .width = 6,
                .meaning = "times a second another thread took its core"},
    [CLIENT_ERRORS] = {.group = "answers/s",
                       .title = "4xx",
                       .width = 5,
                       .meaning = "answers with a status of 400 to 499 per second"},
    [SERVER_ERRORS] = {.group = "answers/s",
                       .title = "5xx",
                       .width = 5,
                       .bad = 1e-9,
                       .meaning = "answers with a status of 500 to 599 per second"},
    [MOVES] = {.group = "moved",
               .title = "since",
               .width = 5,
               .warn = 1,
               .meaning = "moves to another core since the baseline (level 1)"},
};

// Where the thread's time went: /proc knows it always, the profiler where /proc is hidden.
struct times {
    bool is_known;
    uint64_t cpu_ns, queued_ns, voluntary, forced;
};

static struct times times_of(const struct cv_snapshot_worker *worker) {
    if (worker->has_proc) {
        return (struct times){true, worker->cpu_ns, worker->runq_ns, worker->voluntary_switches,
                              worker->involuntary_switches};
    }
    return (struct times){worker->has_bpf, worker->sched.running_ns, worker->sched.runq_ns,
                          worker->sched.voluntary_switches, worker->sched.involuntary_switches};
}

// `threads`: how many share what is a share of a core.
static void fill(struct top_row *row, const struct top_sample *sample,
                 const struct cv_snapshot_worker *worker, const struct cv_snapshot_worker *since,
                 double threads) {
    const struct cv_snapshot *change = &sample->change;
    const uint64_t *counter = worker->counter;
    uint64_t requests = counter[COVET_COUNTER_REQUESTS];
    struct times times = times_of(worker);
    struct top_distribution handlers = top_distribution_of_handlers(&worker->handler_time);
    struct top_cell *cells = row->cells;

    cells[REQUESTS].value = top_sample_rate(change, requests);
    cells[P50].value = top_distribution_at(&handlers, 0.5);
    cells[P99].value = top_distribution_at(&handlers, 0.99);
    cells[CONNECTIONS].value = (double)counter[COVET_COUNTER_CONNECTIONS_OPEN];
    cells[ENTERS].value = top_sample_per(counter[COVET_COUNTER_ENTERS], requests, 1000);
    cells[BYTES_IN].value = top_sample_rate(change, counter[COVET_COUNTER_RECEIVED_BYTES]);
    cells[BYTES_OUT].value = top_sample_rate(change, counter[COVET_COUNTER_SENT_BYTES]);
    cells[CLIENT_ERRORS].value = top_sample_rate(change, counter[COVET_COUNTER_RESPONSES_4XX]);
    cells[SERVER_ERRORS].value = top_sample_rate(change, counter[COVET_COUNTER_RESPONSES_5XX]);
    if (times.is_known && threads > 0) {
        cells[CPU].value = top_sample_rate(change, times.cpu_ns) / 1e7 / threads;
        cells[WAIT].value = top_sample_rate(change, times.queued_ns) / 1e7 / threads;
        cells[VOLUNTARY].value = top_sample_rate(change, times.voluntary);
        cells[FORCED].value = top_sample_rate(change, times.forced);
    }
    if (worker->has_bpf) {
        cells[COMPLETIONS].value =
            top_sample_per(worker->bpf.completions, worker->bpf.io_uring_enters, 100);
        cells[MOVES].value = (double)since->sched.migrations;
        if (top_sample_level(change) >= 2) {
            cells[SYSCALLS].value = top_sample_per(worker->bpf.syscalls, requests, 1000);
        }
    }
}

static void write_workers(struct top_page *page, const struct top_sample *sample,
                          struct top_choice *choice) {
    static struct top_table table;
    const struct cv_snapshot *change = &sample->change;
    unsigned running = 0;

    top_table_begin(&table, columns, COLUMN_COUNT, 1);
    for (uint32_t i = 0; i < change->worker_count; i++) {
        const struct cv_snapshot_worker *worker = &change->workers[i];
        running += worker->thread_id != 0;
        if (choice->is_total) {
            continue;
        }
        struct top_row *row = top_table_add(&table);
        row->cells[WORKER].value = i;
        if (worker->thread_id != 0) {
            row->cells[CORE].value = worker->cpu;
            fill(row, sample, worker, &sample->since.workers[i], 1);
        }
    }
    struct top_row *row = top_table_add(&table);
    row->is_total = true;
    row->cells[WORKER].value = TOP_THREAD_WORKERS;
    fill(row, sample, &sample->change_total.workers[0], &sample->since_total.workers[0], running);
    top_view_table(page, &table, choice);
}

const struct top_view top_view_workers = {
    .name = "workers",
    .title = "Workers",
    .about = "What each worker does, and what it costs it.",
    .choice = {.is_total = false, .sorted = WORKER},
    .columns = columns,
    .column_count = COLUMN_COUNT,
    .write = write_workers,
};
