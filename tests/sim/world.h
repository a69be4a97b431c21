// A whole run: workers, the main thread's part, clients and time.
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <stdint.h>

#include "sim/kernel.h"

#define SIM_WORKERS_MAX 3u
#define SIM_CLIENTS_MAX 64u

struct sim_result {
    uint64_t requests;  // Answered.
    uint64_t hash;
    uint64_t events;
};

// What the seed makes of a run.
struct sim_plan sim_plan_of(uint64_t seed, uint32_t request_count);

// Runs to the end, or ends the process with SIM_EXIT_BROKEN.
struct sim_result sim_run(const struct sim_plan *plan);

#endif
