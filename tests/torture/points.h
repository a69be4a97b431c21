// A scenario runs once from its beginning to its end. Wherever something in it could fail, the
// process forks: a child goes on from there with that one failure, to its own end, and the parent
// with none. So every failure is tried in the state it would meet, and nothing is run up to it
// again.
#ifndef TORTURE_POINTS_H
#define TORTURE_POINTS_H

#include <stdbool.h>
#include <stdint.h>

struct points_plan {
    bool is_dry;  // Tries none.
    // Failures of each call, told apart by the stack it is made from: at its 1st, 2nd, 4th, 8th...
    // time, another way each time. 0: every way of every point.
    uint32_t tries_max;
    uint32_t jobs;        // Children at a time.
    uint64_t only_point;  // Without children: fails at this one. 0: see above.
    uint32_t only_way;
};

struct points_result {
    uint64_t points;  // Calls that could have failed.
    uint64_t tries;
    uint64_t wrong;
    bool is_broken;  // It went wrong without any failure.
};

// What a point is reached in: outside of it calls are not counted.
typedef void (*points_scenario_fn)(const void *context);

// Runs the scenario and tries failures as `plan` says. What goes wrong is said on standard error,
// with `name`.
struct points_result points_run(const struct points_plan *plan, const char *name,
                                points_scenario_fn scenario, const void *context);

// How often `what` was called in the last run.
uint64_t points_count(const char *what);

// Prints what was called in the last run, and how often.
void points_list(void);

// A call that can fail in `ways` ways is made. Returns 0 when it is to succeed, else 1 + the way.
uint32_t points_reach(const char *what, uint32_t ways);

// Has the one failure of this process happened?
bool points_have_failed(void);

// Ends the process: something is wrong.
_Noreturn void points_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
