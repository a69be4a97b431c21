// What a worker does when there is more than it can carry.
//
// - At 85 % of its connections or memory, those that wait for a request are closed, idle longest
//   first.
// - At 92 %, answers end their connections.
// - At 95 %, new requests are answered 503 and accepting pauses.
// - When work waits too long, most new requests are answered 503 (serve/shed.h).
//
// Each level is left 3 % below where it was entered. What runs already is never touched. Single
// thread: the worker's.
#ifndef CV_SERVE_OVERLOAD_H
#define CV_SERVE_OVERLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "net/net.h"
#include "serve/shed.h"
#include "timer/wheel.h"

// Requests are refused at 95 % of a limit that was set, not of one that descriptors make: that
// would free no more than answers that end their connections. Of fewer connections than this the
// last 5 % are none at all, and all of them may be one client's: their answers end none.
#define CV_OVERLOAD_CONNECTIONS_MIN 20u
#define CV_OVERLOAD_IDLE_MS_MIN 2000u  // Whoever waits no longer than that is not idle.

// Something that runs out, or the lag: its level, and what the log was told of it.
struct cv_overload_state {
    uint32_t level;  // 0, or 1 to 3: 85, 92, 95 %; of the lag 0 or 1.
    uint32_t told;
    uint64_t tell_ms;  // Not before, so that a level entered and left again and again is one line.
};

struct cv_overload {
    bool refuses;       // New requests must ask cv_overload_admits.
    bool is_exhausted;  // They are all refused.
    struct cv_shed shed;
    int schedstat;              // The worker's own (base/schedstat.h), borrowed; below 0: none.
    struct cv_net *net;         // borrowed
    uint64_t memory_bytes_max;  // Of live bytes; at most CV_LIMITS_MEMORY_BYTES_MAX.
    struct cv_overload_state connections;
    struct cv_overload_state memory;
    struct cv_overload_state lag;
    struct cv_timer timer;  // Runs while anything above is not 0, or the log was not told.
    uint32_t idle_ms;       // From when on a connection is idle; halved by every look at them all.
    uint32_t cursor;        // The next record to look at.
};

// `net` is initialized. `memory_bytes_max` may be changed later on. `schedstat` is
// cv_schedstat_open's of this thread, open as long as `overload` is used.
void cv_overload_init(struct cv_overload *overload, struct cv_net *net, uint64_t memory_bytes_max,
                      int schedstat);

// At the end of a turn, with the live bytes of the pool. True: the worker shall wake itself through
// its ring, and call cv_overload_on_echo when it was woken.
CV_MUST_USE bool cv_overload_end_turn(struct cv_overload *overload, size_t live_bytes);

void cv_overload_on_echo(struct cv_overload *overload);

// Whether the next request may run; if not, it is counted as refused. Only while `refuses`.
bool cv_overload_admits(struct cv_overload *overload);

#endif
