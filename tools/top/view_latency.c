// How long things take: a table of all distributions with their shapes, then each as bars.
// Percentiles of the interval say how it is now; those since the baseline, and the bars, have more
// to stand on.
#include <math.h>

#include "top/distribution.h"
#include "top/grow.h"
#include "top/keyed.h"
#include "top/thread.h"
#include "top/views.h"

enum {
    THREAD,
    NAME,
    COUNT,
    NOW_P50,
    NOW_P99,
    NOW_P999,
    SINCE_P50,
    SINCE_P99,
    SINCE_P999,
    SHAPE,
    COLUMN_COUNT
};

static const struct top_column columns[COLUMN_COUNT] = {
    [THREAD] = {.title = "thread",
                .kind = TOP_CELL_THREAD,
                .width = 7,
                .meaning = "the worker; 'workers' is all of them"},
    [NAME] = {.title = "time of",
              .kind = TOP_CELL_TEXT,
              .width = 15,
              .meaning = "handlers; the run queue (level 1); each system call and ring operation "
                         "(level 3)"},
    [COUNT] = {.group = "count", .title = "/s", .width = 6, .meaning = "how many a second"},
    [NOW_P50] = {.group = "last interval",
                 .title = "p50",
                 .unit = TOP_BELOW,
                 .width = 7,
                 .meaning = "half took less than this"},
    [NOW_P99] = {.group = "last interval",
                 .title = "p99",
                 .unit = TOP_BELOW,
                 .width = 7,
                 .meaning = "99 of 100 took less than this"},
    [NOW_P999] = {.group = "last interval",
                  .title = "p99.9",
                  .unit = TOP_BELOW,
                  .width = 7,
                  .meaning = "999 of 1000 took less than this"},
    [SINCE_P50] = {.group = "since the baseline",
                   .title = "p50",
                   .unit = TOP_BELOW,
                   .width = 7,
                   .meaning = "the same since the baseline"},
    [SINCE_P99] = {.group = "since the baseline",
                   .title = "p99",
                   .unit = TOP_BELOW,
                   .width = 7,
                   .meaning = "the same since the baseline"},
    [SINCE_P999] = {.group = "since the baseline",
                    .title = "p99.9",
                    .unit = TOP_BELOW,
                    .width = 7,
                    .meaning = "the same since the baseline"},
    [SHAPE] = {.group = "shape since the baseline",
               .title = TOP_DISTRIBUTION_SCALE,
               .kind = TOP_CELL_SHAPE,
               .width = TOP_DISTRIBUTION_BUCKETS,
               .meaning = "how many took how long, from 256 ns to a second"},
};

// All that is shown in one frame. Tables borrow the counts, so it is kept until the next.
struct entry {
    double thread;
    const char *name;
    struct top_distribution change, since;
};

static struct {
    struct entry *entries;
    size_t count, capacity;
} shown;

static const struct covet_latency none;

static void show(double thread, const char *name, struct top_distribution change,
                 struct top_distribution since) {
    shown.entries =
        top_grow(shown.entries, &shown.capacity, shown.count + 1, sizeof(*shown.entries));
    shown.entries[shown.count++] =
        (struct entry){.thread = thread, .name = name, .change = change, .since = since};
}

static void show_latency(double thread, const char *name, const struct covet_latency *change,
                         const struct covet_latency *since) {
    show(thread, name, top_distribution_of_latency(change), top_distribution_of_latency(since));
}

static void show_workers(struct top_pair pair) {
    for (uint32_t i = 0; i < pair.change->worker_count; i++) {
        const struct cv_snapshot_worker *change = &pair.change->workers[i];
        const struct cv_snapshot_worker *since = &pair.since->workers[i];
        double thread = top_thread_of_worker(i, pair.is_total);
        show(thread, "handlers", top_distribution_of_handlers(&change->handler_time),
             top_distribution_of_handlers(&since->handler_time));
        if (change->has_bpf) {
            show_latency(thread, "run queue", &change->runq_latency, &since->runq_latency);
        }
    }
}

// At level 3.
static void show_syscalls(struct top_pair pair) {
    for (size_t i = 0; i < pair.change->syscall_latency_count; i++) {
        const struct cv_snapshot_syscall_latency *now = &pair.change->syscall_latencies[i];
        const struct cv_snapshot_syscall_latency *all =
            top_keyed_find(pair.since->syscall_latencies, pair.since->syscall_latency_count,
                           sizeof(*all), now->key.worker, now->key.syscall);
        show_latency(top_thread_of_worker(now->key.worker, pair.is_total),
                     cv_snapshot_syscall_name(now->key.syscall), &now->latency,
                     all != NULL ? &all->latency : &none);
    }
}

static void show_operations(struct top_pair pair) {
    for (size_t i = 0; i < pair.change->uring_latency_count; i++) {
        const struct cv_snapshot_uring_latency *now = &pair.change->uring_latencies[i];
        const struct cv_snapshot_uring_latency *all =
            top_keyed_find(pair.since->uring_latencies, pair.since->uring_latency_count,
                           sizeof(*all), now->key.worker, now->key.opcode);
        show_latency(top_thread_of_worker(now->key.worker, pair.is_total),
                     cv_snapshot_uring_op_name(now->key.opcode), &now->latency,
                     all != NULL ? &all->latency : &none);
    }
}

static void write_table(struct top_page *page, const struct top_sample *sample,
                        struct top_choice *choice) {
    static struct top_table table;
    top_table_begin(&table, columns, COLUMN_COUNT, 2);
    for (size_t i = 0; i < shown.count; i++) {
        const struct entry *entry = &shown.entries[i];
        struct top_cell *cells = top_table_add(&table)->cells;
        cells[THREAD].value = entry->thread;
        cells[NAME].text = entry->name;
        cells[COUNT].value = top_sample_rate(&sample->change, entry->change.count);
        cells[NOW_P50].value = top_distribution_at(&entry->change, 0.5);
        cells[NOW_P99].value = top_distribution_at(&entry->change, 0.99);
        cells[NOW_P999].value = top_distribution_at(&entry->change, 0.999);
        cells[SINCE_P50].value = top_distribution_at(&entry->since, 0.5);
        cells[SINCE_P99].value = top_distribution_at(&entry->since, 0.99);
        cells[SINCE_P999].value = top_distribution_at(&entry->since, 0.999);
        cells[SHAPE].counts = entry->since.counts;
    }
    top_view_table(page, &table, choice);
    page->frozen = 0;  // The bars below have no columns.
}

// From the first bucket with something in it to the last.
static void write_bars(struct top_page *page, const struct entry *entry) {
    const struct top_distribution *all = &entry->since;
    const unsigned bar = 25;
    char thread[TOP_QUANTITY_BYTES], count[TOP_QUANTITY_BYTES];
    unsigned first = 0, last = TOP_DISTRIBUTION_BUCKETS - 1;
    if (all->count == 0) {
        return;
    }
    for (; all->counts[first] == 0; first++) {
    }
    for (; all->counts[last] == 0; last--) {
    }
    top_thread_name(thread, entry->thread);
    top_quantity(count, TOP_COUNT, (double)all->count);
    top_page_line(page);
    top_page_line(page);
    top_page_fill(page, 0, TOP_HEAD);
    top_page_print(page, 0, TOP_HEAD, "%s, %s: %s since the baseline", entry->name, thread, count);
    for (unsigned i = first; i <= last; i++) {
        char text[TOP_QUANTITY_BYTES];
        double share = (double)all->counts[i] / (double)all->count;
        bool has_end = all->ends_ns[i] != UINT64_MAX;
        top_page_line(page);
        top_quantity(text, TOP_BELOW, has_end ? (double)all->ends_ns[i] : INFINITY);
        top_page_put_right(page, 8, TOP_PLAIN, text);
        top_quantity(text, TOP_COUNT, (double)all->counts[i]);
        top_page_put_right(page, 16, TOP_PLAIN, text);
        top_quantity(text, TOP_PERCENT, share * 100);
        top_page_put_right(page, 22, TOP_PLAIN, text);
        top_page_put(page, 22, TOP_PLAIN, "%");
        if (page->width > bar) {
            top_page_bar(page, bar, CV_MIN(page->width - bar, 100u), share);
        }
    }
}

static void write_latency(struct top_page *page, const struct top_sample *sample,
                          struct top_choice *choice) {
    struct top_pair pair = top_sample_pair(sample, choice->is_total);
    shown.count = 0;
    show_workers(pair);
    show_syscalls(pair);
    show_operations(pair);
    write_table(page, sample, choice);
    for (size_t i = 0; i < shown.count; i++) {
        write_bars(page, &shown.entries[i]);
    }
}

const struct top_view top_view_latency = {
    .name = "latency",
    .title = "Latency",
    .about = "How long handlers, the run queue, system calls and ring operations take.",
    .choice = {.is_total = true, .sorted = COUNT},
    .columns = columns,
    .column_count = COLUMN_COUNT,
    .write = write_latency,
};
