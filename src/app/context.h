// A worker as the application layer sees it, one per worker and route generation: the public struct
// covet_worker. The worker fills `env` once; the generation's own part is made by cv_app_attach.
#ifndef CV_APP_CONTEXT_H
#define CV_APP_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include <covet/abi.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/list.h"
#include "mem/pool.h"
#include "timer/wheel.h"

struct covet_app;
struct covet_worker;
struct cv_stats;
struct cv_turn;

// What a worker lends to everything that runs on it. Single thread but for `post`.
struct cv_env {
    uint32_t worker_index;
    uint32_t worker_count;
    struct cv_pool *pool;
    struct cv_wheel *wheel;
    struct cv_clock *clock;
    struct covet_stats_worker *stats;  // This worker's slot group.
    const struct cv_stats *all_stats;  // Every worker's, for reading.
    const struct cv_turn *turn;        // Where the worker is; NULL: always between two turns.
    // Handler time. The first handler of a delivery is timed alone, those behind it (pipelined
    // requests) together: two looks at the clock each would be a third of what such a request
    // costs.
    uint64_t handled_ticks;  // Of the clock, when the first one returned; 0 before.
    uint64_t handled_count;  // Those behind it.
    // Runs fn(context) on the worker `worker_index`, later, from its loop. Returns 0, -EINVAL for
    // no such worker, -EAGAIN when its queue is full. Called on this worker's thread.
    int (*post)(struct cv_env *env, uint32_t worker_index, void (*fn)(void *context),
                void *context);
};

#define CV_CONTEXT_HOOKS_MAX 16u
#define CV_CONTEXT_COMPLAINT_MS 1000u

struct covet_worker {
    struct cv_env *env;                 // borrowed
    struct covet_app *app;              // borrowed; the generation
    struct cv_post_box *box;            // borrowed from the generation: posts on their way here
    void *state[CV_CONTEXT_HOOKS_MAX];  // The application's, one per hook.
    uint32_t hook_count;                // Hooks whose init succeeded.
    uint32_t pins;                      // Open requests and running timer calls of this generation.
    bool retired;                       // A newer generation took over; released when pins == 0.
    bool released;             // The exit hooks ran: nothing of the application runs here again.
    struct cv_list timers;     // The application's timers.
    struct cv_timer recheck;   // Retired, but a post is still on its way here.
    uint64_t complaint_ms;     // When cv_context_complain wrote its last line.
    uint32_t complaint_count;  // Lines it left out since.
    // Called once, when the worker is retired and unpinned. Set by the server.
    void (*on_released)(struct covet_worker *worker);
    void *server_data;
};

// A protocol brackets each delivery of input in which requests may run with these two.
void cv_context_begin_delivery(struct cv_env *env);
void cv_context_end_delivery(struct cv_env *env);

// Stops and frees every timer of the application, without a call.
void cv_context_drop_timers(struct covet_worker *worker);

// One log line about a mistake of the application; at most one per second and worker, since clients
// may provoke it. Text from outside goes through cv_log_quote first.
void cv_context_complain(struct covet_worker *worker, const char *event, const char *format, ...)
    CV_PRINTF(3, 4);

#endif
