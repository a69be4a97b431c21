// The open loop's schedule: when each request is meant to start, whatever the server does.
//
// Request i of a lane starts at `began + (i + phase) / rate`, computed from i each time, so that
// neither rounding nor a stall moves those that follow. Requests are taken in order; one that is
// due and finds no connection free stays in the schedule, with its time.
#ifndef LOAD_PACE_H
#define LOAD_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct load_pace {
    uint64_t began_ns, ends_ns;  // Requests start in [began_ns, ends_ns).
    uint64_t taken;              // Requests taken from the schedule so far.
    double rate, phase;
    uint64_t next_ns;  // When the next one starts; UINT64_MAX: there is none any more.
};

// `rate`: requests per second, above 0. `phase` (0..1) moves all of them by that part of an
// interval, so that lanes do not send at the same moments.
void load_pace_begin(struct load_pace *pace, double rate, double phase, uint64_t began_ns,
                     uint64_t ends_ns);

// Takes the next request, which there is, and returns when it is meant to start.
uint64_t load_pace_take(struct load_pace *pace);

// Takes `count` more, which there are, whatever their starts.
void load_pace_skip(struct load_pace *pace, uint64_t count);

// Ends the schedule at `ends_ns` when that is earlier than planned.
void load_pace_end(struct load_pace *pace, uint64_t ends_ns);

static inline bool load_pace_is_due(const struct load_pace *pace, uint64_t now_ns) {
    return pace->next_ns <= now_ns;
}

#endif
