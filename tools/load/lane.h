// One lane of a run: one thread, one ring, its connections.
//
// A lane opens its connections, says that it is ready, waits for the common start, and then keeps
// requests going till the end: in the closed loop `depth` of them on every connection, each answer
// replaced by the next request; in the open loop as the schedule says (pace.h). At the end nothing
// new is sent and the answers still owed are waited for, for a while.
#ifndef LOAD_LANE_H
#define LOAD_LANE_H

#include <stdatomic.h>
#include <stdint.h>

#include "load/options.h"
#include "load/result.h"

// What the fleet and its lanes tell each other. All relaxed but `begin_ns`; no lock.
struct load_signals {
    atomic_ullong begin_ns;  // 0 until all lanes are ready; then when to begin, CLOCK_MONOTONIC.
    atomic_bool stop;        // End early, in order.
};

struct load_lane_plan {
    const struct load_options *options;  // borrowed until the lane has ended
    struct load_signals *signals;        // borrowed, the same
    unsigned connections, idle;          // This lane's share.
    unsigned connection_first;           // How many connections the lanes before it have.
    unsigned client_count;               // Client addresses (dial.h).
    uint64_t request_count;              // UINT64_MAX: as many as the time allows.
    double rate, phase;                  // Requests per second of this lane; 0: closed loop.
    int core;                            // To pin it to, or -1.
};

// Written by the lane twenty times a second, read by the fleet.
struct load_lane_progress {
    atomic_bool ready;
    atomic_ullong answers, errors, connects;
    atomic_uint open;
};

struct load_lane;

// Returns NULL when there is no memory.
struct load_lane *load_lane_create(const struct load_lane_plan *plan);
void load_lane_destroy(struct load_lane *lane);

// The whole run, on the calling thread. Returns 0 or -errno, with `*why` naming what failed, when
// it could not begin; `ready` is set in either case.
int load_lane_run(struct load_lane *lane, const char **why);

struct load_lane_progress *load_lane_progress(struct load_lane *lane);

// After load_lane_run.
const struct load_result *load_lane_result(const struct load_lane *lane);

// How many connections a lane can hold under the present RLIMIT_NOFILE.
unsigned load_lane_connections_max(void);

#endif
