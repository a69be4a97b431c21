// The figures of a running covet as they are shown: of the last interval, and since a moment that
// the user chooses. The latter is where rare events are seen.
#ifndef TOP_SAMPLE_H
#define TOP_SAMPLE_H

#include <stdbool.h>

#include "observe/snapshot.h"
#include "top/history.h"

struct top_sample {
    struct cv_snapshot change;        // of the last interval
    struct cv_snapshot since;         // since the baseline
    struct cv_snapshot change_total;  // the same two as if all workers were one
    struct cv_snapshot since_total;   // (cv_snapshot_merge)
    bool has_change;                  // an interval has ended: the four above hold something
    struct top_history requests;      // per second, of all workers, one value an interval

    struct cv_snapshot_source *source;  // owned
    struct cv_snapshot now, before, baseline;
};

// Finds the covet to watch (cv_snapshot_open) and takes the first snapshot, which is the baseline.
// Returns 0, or -1 with one line in `message` that says what to do.
CV_MUST_USE int top_sample_open(struct top_sample *sample, pid_t pid, const char *pin_dir,
                                char *message, size_t message_bytes);
void top_sample_close(struct top_sample *sample);

// Ends the interval that the last call began. Returns 0, -ESRCH when covet has stopped for good, or
// -ENOMEM.
CV_MUST_USE int top_sample_take(struct top_sample *sample);

// Begins an interval without ending one, behind a pause.
CV_MUST_USE int top_sample_restart(struct top_sample *sample);

// Counts from now on, which `since` shows from the next call of top_sample_take on. Returns as
// that.
CV_MUST_USE int top_sample_rebase(struct top_sample *sample);

// One of the two pairs of differences.
struct top_pair {
    const struct cv_snapshot *change, *since;
    bool is_total;
};
struct top_pair top_sample_pair(const struct top_sample *sample, bool is_total);

// "requests per second" and the like out of a difference of snapshots: `count` by its interval.
double top_sample_rate(const struct cv_snapshot *change, uint64_t count);

// `part` for every `scale` of `whole`; NAN where there is no `whole`.
double top_sample_per(uint64_t part, uint64_t whole, double scale);

// Requests that worker `index` has answered in a difference; 0 of one that is not there.
uint64_t top_sample_requests(const struct cv_snapshot *change, uint32_t index);

// The level of the profiler that is attached, 0 without one.
uint32_t top_sample_level(const struct cv_snapshot *snapshot);

#endif
