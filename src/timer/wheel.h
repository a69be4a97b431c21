// A hierarchical timer wheel: one per worker, single thread, milliseconds.
//
// A timer is a node inside its owner's record, so arming one allocates nothing. Start, stop and
// expiry are O(1); cv_wheel_next_ms finds the next deadline from the slot bitmaps, so an idle wheel
// wakes nobody. Deadlines are absolute milliseconds of CLOCK_MONOTONIC.
#ifndef CV_TIMER_WHEEL_H
#define CV_TIMER_WHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/list.h"

#define CV_WHEEL_LEVELS 6u
#define CV_WHEEL_SLOTS 64u  // Per level: 64^6 ms are two years. Longer waits wake up in between.
#define CV_WHEEL_NEVER UINT64_MAX

struct cv_timer;
typedef void (*cv_timer_fn)(struct cv_timer *timer);

struct cv_timer {
    struct cv_list_node link;  // In its slot's list; zeroed when not armed.
    cv_timer_fn on_expiry;     // Set by the owner before arming.
    uint64_t deadline_ms;      // As armed.
};

struct cv_wheel {
    uint64_t now_ms;                     // The last time given to cv_wheel_run.
    uint64_t occupied[CV_WHEEL_LEVELS];  // Bit s: slot s of the level holds timers.
    struct cv_list slot[CV_WHEEL_LEVELS][CV_WHEEL_SLOTS];
    uint32_t count;
};

// Every slot empty. The wheel must not move afterwards: its lists point into it.
void cv_wheel_init(struct cv_wheel *wheel, uint64_t now_ms);

// Arms `timer`, or moves it if armed. A deadline in the past expires at the next cv_wheel_run.
void cv_wheel_start(struct cv_wheel *wheel, struct cv_timer *timer, uint64_t deadline_ms);

// Disarms; no effect when not armed.
void cv_wheel_stop(struct cv_wheel *wheel, struct cv_timer *timer);

static inline bool cv_timer_armed(const struct cv_timer *timer) {
    return cv_list_linked(&timer->link);
}

// Calls `on_expiry` of every timer whose deadline is at or before `now_ms`, never early; the timer
// is disarmed before the call and may be armed again, and any timer stopped, from inside it. Timers
// armed for a past moment inside a callback wait for the next run. `now_ms` never runs backwards.
// Returns how many expired.
uint32_t cv_wheel_run(struct cv_wheel *wheel, uint64_t now_ms);

// The moment cv_wheel_run should be called next, at or before the earliest deadline, and after a
// call there with nothing due the next answer is later: a bounded number of wake-ups per timer (at
// most one per level). CV_WHEEL_NEVER when no timer is armed.
uint64_t cv_wheel_next_ms(const struct cv_wheel *wheel);

#endif
