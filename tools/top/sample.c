// Three snapshots: the last two make the interval, the first and the last what was counted since.
#include "top/sample.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

#define NS_PER_S 1e9

int top_sample_open(struct top_sample *sample, pid_t pid, const char *pin_dir, char *message,
                    size_t message_bytes) {
    *sample = (struct top_sample){0};
    sample->source = cv_snapshot_open(pid, pin_dir, message, message_bytes);
    if (sample->source == NULL) {
        return -1;
    }
    int result = top_sample_restart(sample);
    if (result == 0) {
        result = top_sample_rebase(sample);
    }
    if (result != 0) {
        snprintf(message, message_bytes, "%s",
                 result == -ESRCH ? "covet has just stopped" : "no memory");
        top_sample_close(sample);
        return -1;
    }
    return 0;
}

void top_sample_close(struct top_sample *sample) {
    struct cv_snapshot *const owned[] = {
        &sample->now,   &sample->before,       &sample->baseline,   &sample->change,
        &sample->since, &sample->change_total, &sample->since_total};
    for (size_t i = 0; i < CV_ARRAY_COUNT(owned); i++) {
        cv_snapshot_deinit(owned[i]);
    }
    if (sample->source != NULL) {
        cv_snapshot_close(sample->source);
    }
    *sample = (struct top_sample){0};
}

// What was counted since the baseline until `now`.
static int subtract_since(struct top_sample *sample, const struct cv_snapshot *now) {
    int result = cv_snapshot_subtract(&sample->since, now, &sample->baseline);
    return result != 0 ? result : cv_snapshot_merge(&sample->since_total, &sample->since);
}

static int subtract_change(struct top_sample *sample) {
    int result = cv_snapshot_subtract(&sample->change, &sample->now, &sample->before);
    return result != 0 ? result : cv_snapshot_merge(&sample->change_total, &sample->change);
}

int top_sample_take(struct top_sample *sample) {
    struct cv_snapshot older = sample->before;
    sample->before = sample->now;
    sample->now = older;
    int result = cv_snapshot_take(sample->source, &sample->now);
    if (result == 0) {
        result = subtract_change(sample);
    }
    if (result == 0) {
        result = subtract_since(sample, &sample->now);
    }
    if (result == 0) {
        top_history_add(
            &sample->requests,
            top_sample_rate(&sample->change, top_sample_requests(&sample->change_total, 0)));
        sample->has_change = true;
    }
    return result;
}

int top_sample_restart(struct top_sample *sample) {
    return cv_snapshot_take(sample->source, &sample->now);
}

int top_sample_rebase(struct top_sample *sample) {
    int result = cv_snapshot_take(sample->source, &sample->baseline);
    return result != 0 ? result : subtract_since(sample, &sample->baseline);
}

struct top_pair top_sample_pair(const struct top_sample *sample, bool is_total) {
    return is_total ? (struct top_pair){&sample->change_total, &sample->since_total, true}
                    : (struct top_pair){&sample->change, &sample->since, false};
}

double top_sample_rate(const struct cv_snapshot *change, uint64_t count) {
    return change->interval_ns == 0 ? NAN : (double)count * NS_PER_S / (double)change->interval_ns;
}

double top_sample_per(uint64_t part, uint64_t whole, double scale) {
    return whole == 0 ? NAN : (double)part * scale / (double)whole;
}

uint64_t top_sample_requests(const struct cv_snapshot *change, uint32_t index) {
    return index < change->worker_count ? change->workers[index].counter[COVET_COUNTER_REQUESTS]
                                        : 0;
}

uint32_t top_sample_level(const struct cv_snapshot *snapshot) {
    return snapshot->has_bpf ? snapshot->info.level : 0;
}
