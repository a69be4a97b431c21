/* Where the worker threads' time goes (level 1 and up).
 *
 * Pinned: `sched_stats` {uint32_t worker: struct covet_sched_stats} and `runq_latency` {uint32_t
 * worker: struct covet_latency}, from wakeup or preemption until the thread runs.
 */
#ifndef COVET_BPF_SCHED_H
#define COVET_BPF_SCHED_H

#include "shared.h"

struct covet_sched_stats {
    uint64_t voluntary_switches;   /* the worker waited: nothing to do */
    uint64_t involuntary_switches; /* the worker was put off its core by another thread */
    uint64_t migrations;           /* moves to another core; 0 for a pinned thread */
    uint64_t running_ns;           /* on a core */
    uint64_t waiting_ns;           /* off the core, asleep */
    uint64_t runq_ns;              /* off the core, runnable: somebody else had it */
    uint64_t max_runq_ns;
};

#endif
