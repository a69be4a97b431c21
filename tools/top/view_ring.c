// Operations of the rings by opcode, and below what the server itself counts of its rings, which is
// there without a profiler too.
#include "top/distribution.h"
#include "top/facts.h"
#include "top/keyed.h"
#include "top/thread.h"
#include "top/views.h"

enum {
    THREAD,
    NAME,
    SUBMITTED,
    COMPLETED,
    SUBMITTED_1000,
    COMPLETED_1000,
    ERRORS,
    LAST_ERROR,
    PUNTED,
    WAITED,
    MULTISHOT,
    OVERFLOWS,
    AVERAGE,
    P99,
    COLUMN_COUNT
};

static const struct top_column columns[COLUMN_COUNT] = {
    [THREAD] = {.title = "ring",
                .kind = TOP_CELL_THREAD,
                .width = 7,
                .meaning = "the worker whose ring it is; 'workers' is all of them"},
    [NAME] = {.title = "operation",
              .kind = TOP_CELL_TEXT,
              .width = 14,
              .meaning = "IORING_OP_..., see io_uring_enter(2)"},
    [SUBMITTED] = {.group = "per second",
                   .title = "sub",
                   .width = 6,
                   .meaning = "submissions the kernel took per second"},
    [COMPLETED] = {.group = "per second",
                   .title = "compl",
                   .width = 6,
                   .meaning = "completions per second: of a multishot operation many, of a quiet "
                              "send none"},
    [SUBMITTED_1000] = {.group = "per 1000 req",
                        .title = "sub",
                        .unit = TOP_RATIO,
                        .width = 6,
                        .meaning = "submissions per 1000 requests"},
    [COMPLETED_1000] = {.group = "per 1000 req",
                        .title = "compl",
                        .unit = TOP_RATIO,
                        .width = 6,
                        .meaning = "completions per 1000 requests"},
    [ERRORS] = {.group = "errors",
                .title = "since",
                .width = 6,
                .meaning = "completions with an error since the baseline, ECANCELED among them"},
    [LAST_ERROR] = {.group = "last",
                    .title = "error",
                    .kind = TOP_CELL_TEXT,
                    .width = 8,
                    .meaning = "the last error there was"},
    [PUNTED] = {.group = "punted",
                .title = "since",
                .width = 6,
                .warn = 1,
                .meaning = "handed to a kernel thread since the baseline: the slow way"},
    [WAITED] = {.group = "waited",
                .title = "/s",
                .width = 6,
                .meaning = "times a second the socket was not ready and was polled"},
    [MULTISHOT] = {.group = "multishot",
                   .title = "/s",
                   .width = 9,
                   .meaning = "completions per second of operations that go on"},
    [OVERFLOWS] = {.group = "overflows",
                   .title = "since",
                   .width = 9,
                   .bad = 1,
                   .meaning = "completions the queue had no room for, since the baseline"},
    [AVERAGE] = {.group = "time",
                 .title = "average",
                 .unit = TOP_TIME,
                 .width = 7,
                 .meaning = "from submission to completion (level 3)"},
    [P99] = {.group = "time",
             .title = "p99",
             .unit = TOP_BELOW,
             .width = 7,
             .meaning = "99 of 100 took less than this (level 3)"},
};

static void add_row(struct top_table *table, struct top_pair pair,
                    const struct cv_snapshot_uring *entry) {
    struct covet_uring_key key = entry->key;
    const struct cv_snapshot *change = pair.change, *since = pair.since;
    const struct covet_uring_stats *stats = &entry->stats;
    const struct cv_snapshot_uring *all =
        top_keyed_find(since->urings, since->uring_count, sizeof(*all), key.worker, key.opcode);
    const struct cv_snapshot_uring_latency *times =
        top_keyed_find(change->uring_latencies, change->uring_latency_count, sizeof(*times),
                       key.worker, key.opcode);
    uint64_t requests = top_sample_requests(change, key.worker);
    struct top_cell *cells = top_table_add(table)->cells;
    cells[THREAD].value = top_thread_of_worker(key.worker, pair.is_total);
    cells[NAME].text = cv_snapshot_uring_op_name(key.opcode);
    cells[SUBMITTED].value = top_sample_rate(change, stats->submitted);
    cells[COMPLETED].value = top_sample_rate(change, stats->completed);
    cells[SUBMITTED_1000].value = top_sample_per(stats->submitted, requests, 1000);
    cells[COMPLETED_1000].value = top_sample_per(stats->completed, requests, 1000);
    cells[LAST_ERROR].text =
        stats->last_error != 0 ? cv_snapshot_errno_name(stats->last_error) : "";
    cells[WAITED].value = top_sample_rate(change, stats->poll_arms);
    cells[MULTISHOT].value = top_sample_rate(change, stats->multishot_cqes);
    if (all != NULL) {
        cells[ERRORS].value = (double)all->stats.errors;
        cells[PUNTED].value = (double)all->stats.punted;
        cells[OVERFLOWS].value = (double)all->stats.overflows;
    }
    if (stats->avg_ns > 0) {
        cells[AVERAGE].value = (double)stats->avg_ns;
    }
    if (times != NULL) {
        struct top_distribution distribution = top_distribution_of_latency(&times->latency);
        cells[P99].value = top_distribution_at(&distribution, 0.99);
    }
}

// What the server counts itself, as rows of three figures.
static void write_counters(struct top_page *page, struct top_pair total) {
    static const struct {
        enum covet_counter counter;
        const char *name;
        double warn;
    } rows[] = {
        {COVET_COUNTER_ENTERS, "io_uring_enter calls", 0},
        {COVET_COUNTER_RECEIVES, "receives with bytes", 0},
        {COVET_COUNTER_SENDS, "sends", 0},
        {COVET_COUNTER_ZERO_COPY_SENDS, "sends without a copy", 0},
        {COVET_COUNTER_ZERO_COPY_COPIED, "  of them copied after all", 0},
        {COVET_COUNTER_MESSAGES, "messages of other threads", 0},
        {COVET_COUNTER_BUFFERS_STARVED, "receives without a free buffer", 1},
        {COVET_COUNTER_CQ_OVERFLOWS, "completion queue overflows", 1},
        {COVET_COUNTER_ACCEPT_PAUSES, "pauses of accept", 1},
    };
    const uint64_t *change = total.change->workers[0].counter;
    const uint64_t *since = total.since->workers[0].counter;
    struct top_facts facts;
    top_facts_begin(&facts, page, "The server's own count", "per 1000 req");
    for (size_t i = 0; i < CV_ARRAY_COUNT(rows); i++) {
        uint64_t count = change[rows[i].counter];
        top_facts_add(&facts, rows[i].name, top_sample_rate(total.change, count),
                      (double)since[rows[i].counter],
                      top_sample_per(count, change[COVET_COUNTER_REQUESTS], 1000), rows[i].warn);
    }
}

static void write_ring(struct top_page *page, const struct top_sample *sample,
                       struct top_choice *choice) {
    static struct top_table table;
    if (top_sample_level(&sample->change) < 1) {
        top_view_needs_level(page, sample, "Ring operations are counted by opcode", 1);
    } else {
        struct top_pair pair = top_sample_pair(sample, choice->is_total);
        top_table_begin(&table, columns, COLUMN_COUNT, 2);
        for (size_t i = 0; i < pair.change->uring_count; i++) {
            add_row(&table, pair, &pair.change->urings[i]);
        }
        top_view_table(page, &table, choice);
    }
    write_counters(page, top_sample_pair(sample, true));
}

const struct top_view top_view_ring = {
    .name = "ring",
    .title = "Ring",
    .about = "What the workers ask the kernel for through their rings.",
    .choice = {.is_total = true, .sorted = COMPLETED},
    .columns = columns,
    .column_count = COLUMN_COUNT,
    .write = write_ring,
};
