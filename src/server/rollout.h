// What every worker must be told and answers to: the generation to serve and the limits to keep. An
// old one is freed when the last worker has said that it is done with it. Main thread only.
#ifndef CV_SERVER_ROLLOUT_H
#define CV_SERVER_ROLLOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "net/limits.h"
#include "server/generation.h"
#include "server/mailbox.h"

#define CV_ROLLOUT_GENERATIONS_MAX 8u  // Alive at once; more would mean that requests never end.

struct cv_worker;
struct cv_rollout_limits;

struct cv_rollout {
    uint32_t worker_count;
    struct cv_worker *worker[COVET_WORKERS_MAX];  // borrowed
    struct cv_generation *newest;                 // owned list, newest first; NULL: drained
    struct cv_rollout_limits *limits;             // owned list, newest first
    uint32_t generation_count;
    uint32_t last_number;
};

enum cv_rollout_event {
    CV_ROLLOUT_NOTHING,
    CV_ROLLOUT_ADOPTED,  // Every worker serves the newest generation.
    CV_ROLLOUT_REFUSED,  // Every worker has answered, some kept the old one.
};

// The first generation and limits, which the workers get at their creation. Takes the generation.
// Returns 0 or -ENOMEM.
CV_MUST_USE int cv_rollout_init(struct cv_rollout *rollout, struct cv_generation *first_taken,
                                const struct cv_limits *limits);

// The workers are gone.
void cv_rollout_deinit(struct cv_rollout *rollout);

// The limits in force, to be given to new workers.
const struct cv_limits *cv_rollout_limits(const struct cv_rollout *rollout);

// Tells every worker. One whose mailbox stays full for a second misses it, with a log line.
void cv_rollout_post(struct cv_rollout *rollout, const struct cv_message *message);

// Hands out a new generation. Returns 0, or -EBUSY with the generation destroyed.
CV_MUST_USE int cv_rollout_adopt(struct cv_rollout *rollout, struct cv_generation *taken);

// Hands out new limits. Returns 0 or -ENOMEM.
CV_MUST_USE int cv_rollout_set_limits(struct cv_rollout *rollout, const struct cv_limits *limits);

// Frees replaced route tables that nobody uses any more, in every generation. Returns true when
// workers have a turn to pass first: call it again in a while.
bool cv_rollout_reclaim(struct cv_rollout *rollout);

// Takes note of a worker's answer (ADOPTED, RELEASED, LIMITS_TAKEN).
enum cv_rollout_event cv_rollout_on_message(struct cv_rollout *rollout,
                                            const struct cv_message *message);

#endif
