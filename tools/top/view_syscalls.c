// System calls of the server's threads, by worker or of all workers together. Above them stands
// what an io_uring server is about: that read, write, sendto and recvfrom stay at 0.
#include <inttypes.h>

#include "top/keyed.h"
#include "top/thread.h"
#include "top/views.h"

#define NS_PER_PERCENT 1e7  // Of a core's second.

enum {
    THREAD,
    NAME,
    CALLS,
    PER_1000,
    ERRORS,
    LAST_ERROR,
    BUSY_CALL,
    BUSY,
    BLOCKED,
    LONGEST,
    COUNT,
    COLUMN_COUNT
};

static const struct top_column columns[COLUMN_COUNT] = {
    [THREAD] = {.title = "thread",
                .kind = TOP_CELL_THREAD,
                .width = 7,
                .meaning = "w0, w1 ... are workers; main, io-wq and sqpoll are not"},
    [NAME] = {.title = "system call",
              .kind = TOP_CELL_TEXT,
              .width = 16,
              .meaning = "as in its man page, section 2"},
    [CALLS] = {.group = "calls", .title = "/s", .width = 6, .meaning = "calls per second"},
    [PER_1000] = {.group = "per 1000",
                  .title = "requests",
                  .unit = TOP_RATIO,
                  .width = 8,
                  .meaning = "calls per 1000 requests"},
    [ERRORS] = {.group = "errors",
                .title = "since",
                .width = 6,
                .meaning = "calls that failed since the baseline; EAGAIN and EINTR count too"},
    [LAST_ERROR] = {.group = "last",
                    .title = "error",
                    .kind = TOP_CELL_TEXT,
                    .width = 8,
                    .meaning = "the last error there was"},
    [BUSY_CALL] = {.group = "busy",
                   .title = "a call",
                   .unit = TOP_TIME,
                   .width = 7,
                   .meaning = "time on a core inside the call, on average"},
    [BUSY] = {.group = "busy",
              .title = "%",
              .unit = TOP_PERCENT,
              .width = 5,
              .meaning = "time on a core inside such calls, of one core"},
    [BLOCKED] = {.group = "blocked",
                 .title = "%",
                 .unit = TOP_PERCENT,
                 .width = 7,
                 .meaning =
                     "time asleep inside such calls; an idle worker waits in io_uring_enter"},
    [LONGEST] = {.group = "longest",
                 .title = "busy",
                 .unit = TOP_TIME,
                 .width = 7,
                 .meaning = "the longest time on a core in one call since the profiler came"},
    [COUNT] = {.group = "calls",
               .title = "since",
               .width = 7,
               .meaning = "calls since the baseline"},
};

static void add_row(struct top_table *table, const struct cv_snapshot *change, double thread,
                    uint32_t number, const struct covet_syscall_stats *stats,
                    const struct covet_syscall_stats *since, uint64_t requests) {
    struct top_cell *cells = top_table_add(table)->cells;
    cells[THREAD].value = thread;
    cells[NAME].text = cv_snapshot_syscall_name(number);
    cells[CALLS].value = top_sample_rate(change, stats->count);
    cells[PER_1000].value = top_sample_per(stats->count, requests, 1000);
    cells[ERRORS].value = (double)since->errors;
    cells[LAST_ERROR].text =
        stats->last_error != 0 ? cv_snapshot_errno_name(stats->last_error) : "";
    cells[BUSY_CALL].value = top_sample_per(stats->busy_ns, stats->count, 1);
    cells[BUSY].value = top_sample_rate(change, stats->busy_ns) / NS_PER_PERCENT;
    cells[BLOCKED].value = top_sample_rate(change, stats->blocked_ns) / NS_PER_PERCENT;
    cells[LONGEST].value = (double)stats->max_busy_ns;
    cells[COUNT].value = (double)since->count;
}

static const struct covet_syscall_stats none;

static void add_workers(struct top_table *table, struct top_pair pair) {
    for (size_t i = 0; i < pair.change->syscall_count; i++) {
        struct covet_syscall_key key = pair.change->syscalls[i].key;
        const struct cv_snapshot_syscall *since =
            top_keyed_find(pair.since->syscalls, pair.since->syscall_count, sizeof(*since),
                           key.worker, key.syscall);
        add_row(table, pair.change, top_thread_of_worker(key.worker, pair.is_total), key.syscall,
                &pair.change->syscalls[i].stats, since != NULL ? &since->stats : &none,
                top_sample_requests(pair.change, key.worker));
    }
}

static void add_others(struct top_table *table, struct top_pair pair) {
    for (size_t i = 0; i < pair.change->other_syscall_count; i++) {
        struct covet_other_syscall_key key = pair.change->other_syscalls[i].key;
        const struct cv_snapshot_other_syscall *since =
            top_keyed_find(pair.since->other_syscalls, pair.since->other_syscall_count,
                           sizeof(*since), key.role, key.syscall);
        add_row(table, pair.change, top_thread_of_role(key.role), key.syscall,
                &pair.change->other_syscalls[i].stats, since != NULL ? &since->stats : &none,
                top_sample_requests(pair.change, 0));
    }
}

// The line above the table.
static void write_zeros(struct top_page *page, const struct cv_snapshot *since_total) {
    static const enum covet_syscall unused[] = {SYS_read, SYS_write, SYS_sendto, SYS_recvfrom};
    unsigned column = top_page_put(page, 0, TOP_PLAIN, "Workers since the baseline:");
    for (size_t i = 0; i < CV_ARRAY_COUNT(unused); i++) {
        const struct cv_snapshot_syscall *found = top_keyed_find(
            since_total->syscalls, since_total->syscall_count, sizeof(*found), 0, unused[i]);
        uint64_t count = found != NULL ? found->stats.count : 0;
        column = top_page_print(page, column, count == 0 ? TOP_GOOD : TOP_WARN, "  %s %" PRIu64,
                                cv_snapshot_syscall_name(unused[i]), count);
    }
}

static void write_syscalls(struct top_page *page, const struct top_sample *sample,
                           struct top_choice *choice) {
    static struct top_table table;
    if (top_sample_level(&sample->change) < 2) {
        top_view_needs_level(page, sample, "System calls are counted", 2);
        return;
    }
    top_table_begin(&table, columns, COLUMN_COUNT, 2);
    add_workers(&table, top_sample_pair(sample, choice->is_total));
    add_others(&table, top_sample_pair(sample, true));
    top_page_line(page);
    write_zeros(page, &sample->since_total);
    top_view_table(page, &table, choice);
}

const struct top_view top_view_syscalls = {
    .name = "syscalls",
    .title = "System calls",
    .about = "Which system calls the server makes, how often, and what they cost.",
    .choice = {.is_total = true, .sorted = CALLS},
    .columns = columns,
    .column_count = COLUMN_COUNT,
    .write = write_syscalls,
};
