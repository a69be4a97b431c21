// The time as one worker sees it, read once per loop turn, and the texts made from it.
//
// `now_ns` is CLOCK_MONOTONIC. The wall clock is only looked at when the shown second is over, and
// at least every 100 ms of updates so that a step of the system time is followed. Single thread.
#ifndef CV_BASE_CLOCK_H
#define CV_BASE_CLOCK_H

#include <stdint.h>
#include <x86intrin.h>

#include "base/compiler.h"
#include "base/span.h"

#define CV_CLOCK_DATE_BYTES 29u  // "Sun, 06 Nov 1994 08:49:37 GMT"
#define CV_CLOCK_NAME_BYTES 8u   // "\r\nDate: "
#define CV_CLOCK_LINE_BYTES (CV_CLOCK_NAME_BYTES + CV_CLOCK_DATE_BYTES + 4u)
#define CV_CLOCK_ISO_BYTES 24u  // "1994-11-06T08:49:37.000Z"
#define CV_CLOCK_CLF_BYTES 26u  // "06/Nov/1994:08:49:37 +0000"

struct cv_clock {
    uint64_t now_ns;       // CLOCK_MONOTONIC at the last update.
    uint64_t now_ms;       // The same, rounded down.
    uint64_t check_at_ns;  // When the wall clock is read again.
    int64_t realtime_s;    // Seconds since the epoch, as shown by `date_line`.
    uint64_t ns_per_tick;  // Times 2^32; 0 while nothing is known of the time-stamp counter.
    uint64_t rated_ns;     // Where the rate is taken from: a moment,
    uint64_t rated_ticks;  // and what the counter showed then.
    char date_line[CV_CLOCK_LINE_BYTES + 1];
};

// Reads the clocks for the first time.
void cv_clock_init(struct cv_clock *clock);

// Reads the clock: one vDSO call, a second one ten times a second, three more once a second.
void cv_clock_update(struct cv_clock *clock);

// Sets the time instead of reading it, for tests and the simulator.
void cv_clock_set(struct cv_clock *clock, uint64_t now_ns, int64_t realtime_s);

// The value of a Date field (IMF-fixdate, RFC 9110 section 5.6.7). Borrowed until the next update.
static inline struct cv_span cv_clock_date(const struct cv_clock *clock) {
    return cv_span_make(clock->date_line + CV_CLOCK_NAME_BYTES, CV_CLOCK_DATE_BYTES);
}

// The same as the last field of a head: the end of the line before, "Date: ", the date, the end of
// the line and the empty line; CV_CLOCK_LINE_BYTES bytes, borrowed until the next update.
static inline const char *cv_clock_date_line(const struct cv_clock *clock) {
    return clock->date_line;
}

// CLOCK_MONOTONIC now.
uint64_t cv_clock_monotonic_ns(void);

// Lowers a time-out of poll(2) (milliseconds, rounded up; -1: none) to the time left until
// `deadline_ns`, 0 when that is over. UINT64_MAX is no deadline.
void cv_clock_lower_timeout(int *timeout_ms, uint64_t now_ns, uint64_t deadline_ns);

// For measuring what happens inside a turn, at a third of the price of cv_clock_monotonic_ns: the
// processor's time-stamp counter where it runs at one rate, which updates find out. The difference
// of two readings in one turn is a time by cv_clock_ticks_to_ns.
static inline uint64_t cv_clock_ticks(const struct cv_clock *clock) {
    return CV_LIKELY(clock->ns_per_tick != 0) ? __rdtsc() : cv_clock_monotonic_ns();
}

static inline uint64_t cv_clock_ticks_to_ns(const struct cv_clock *clock, uint64_t ticks) {
    return CV_LIKELY(clock->ns_per_tick != 0)
               ? (uint64_t)(((unsigned __int128)ticks * clock->ns_per_tick) >> 32)
               : ticks;
}

// Milliseconds since the epoch now.
int64_t cv_clock_realtime_ms(void);

// The texts of a moment given in seconds since the epoch, ended by NUL. Moments outside the years
// 0 to 9999, which these formats cannot show, are shown as the nearest one they can.
void cv_clock_format_date(char out[CV_CLOCK_DATE_BYTES + 1], int64_t realtime_s);
void cv_clock_format_clf(char out[CV_CLOCK_CLF_BYTES + 1], int64_t realtime_s);
void cv_clock_format_iso(char out[CV_CLOCK_ISO_BYTES + 1], int64_t realtime_ms);

#endif
