// All lanes of a run: starts one thread a lane, watches them, sums what they measured.
//
// A ring's own descriptor table holds at most RLIMIT_NOFILE entries, whatever the process holds, so
// connections beyond that take more lanes than `-t` says.
#ifndef LOAD_FLEET_H
#define LOAD_FLEET_H

#include "load/options.h"
#include "load/result.h"

struct load_progress {
    double seconds;  // Since the first send.
    uint64_t answers, errors;
    unsigned open;  // Connections.
};

// Runs what `options` say and fills `*result`; calls `on_progress` about twice a second from the
// calling thread. Returns 0 or -errno, with `*why` naming what failed, when the run could not
// begin. A first SIGINT or SIGTERM ends the run early and in order, a second one at once.
int load_fleet_run(const struct load_options *options, struct load_result *result,
                   void (*on_progress)(const struct load_progress *), const char **why);

#endif
