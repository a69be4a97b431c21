// The counter pages (layout: <covet/abi.h>) and the counters of one worker.
//
// The supervisor creates the pages before it forks, each worker writes its own slot group through
// the inherited mapping, and anyone reads. There is one writer per counter, so an addition is a
// load and a store; both sides use relaxed atomics, which only say that no value is ever torn.
#ifndef CV_METRICS_COUNTER_H
#define CV_METRICS_COUNTER_H

#include <covet/abi.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"

// The pages may be another user's, who can change what they say at any time: sizes are taken once.
struct cv_stats {
    struct covet_stats_header *header;  // owned mapping; read-only after cv_stats_open
    uint32_t worker_count;              // as many slot groups are mapped
    uid_t owner;                        // of the file; after cv_stats_open alone
};

// Makes the pages for `worker_count` (1 to COVET_WORKERS_MAX) workers as a new file of mode 0644,
// or as memory shared with later children only when `path` is NULL. The header says that this
// process is the supervisor and starts now. Returns 0 or -errno (-EEXIST: there is such a file),
// with no file left behind.
CV_MUST_USE int cv_stats_create(struct cv_stats *stats, const char *path, uint32_t worker_count);

// Maps another process's pages for reading. Returns 0, -EBADMSG when the file does not hold
// complete counter pages, -EPROTO when they are of another ABI version, or -errno.
CV_MUST_USE int cv_stats_open(struct cv_stats *stats, const char *path);

// Ends the mapping; the file stays. No effect on a zeroed `stats`.
void cv_stats_close(struct cv_stats *stats);

// The slot group of worker `index`, which is below `worker_count`.
struct covet_stats_worker *cv_stats_worker(const struct cv_stats *stats, uint32_t index);

// A worker takes its slot group over when its thread starts. Counters go on from where an earlier
// server left them; gauges start again from 0.
void cv_counter_begin(struct covet_stats_worker *worker, uint32_t thread_id, uint32_t cpu,
                      uint64_t start_ns);

// The thread is about to end, or is known to be gone: the group shows no thread and gauges of 0.
void cv_counter_end(struct covet_stats_worker *worker);

// The four below: any thread may read, the group's owner alone writes.
static inline uint64_t cv_counter_read(const struct covet_stats_worker *worker,
                                       enum covet_counter counter) {
    return __atomic_load_n(&worker->counter[counter], __ATOMIC_RELAXED);
}

static inline void cv_counter_set(struct covet_stats_worker *worker, enum covet_counter counter,
                                  uint64_t value) {
    __atomic_store_n(&worker->counter[counter], value, __ATOMIC_RELAXED);
}

static inline void cv_counter_add(struct covet_stats_worker *worker, enum covet_counter counter,
                                  uint64_t value) {
    cv_counter_set(worker, counter, worker->counter[counter] + value);
}

static inline void cv_counter_sub(struct covet_stats_worker *worker, enum covet_counter counter,
                                  uint64_t value) {
    cv_counter_set(worker, counter, worker->counter[counter] - value);
}

#endif
