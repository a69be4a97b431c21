/* A worker as an application sees it: one thread with its own state and timers. A reload gives each
 * thread a new struct covet_worker; requests that are still open keep the old one.
 *
 * Thread: the worker's own only, covet_post included (it is the sender that must be right there).
 */
#ifndef COVET_WORKER_H
#define COVET_WORKER_H

#include <stdint.h>

#include <covet/span.h>

#ifdef __cplusplus
extern "C" {
#endif

struct covet_app;
struct covet_timer;
struct covet_worker;

/* 0 to covet_worker_count - 1. */
COVET_EXPORT uint32_t covet_worker_index(const struct covet_worker *worker);
COVET_EXPORT uint32_t covet_worker_count(const struct covet_worker *worker);

/* The application it runs: what covet_route_replace and the like take. Valid as long as the worker.
 */
COVET_EXPORT struct covet_app *covet_worker_app(const struct covet_worker *worker);

/* The time of the current turn of the loop: CLOCK_MONOTONIC in milliseconds. Costs nothing. */
COVET_EXPORT uint64_t covet_worker_now_ms(const struct covet_worker *worker);

/* The state kept under the `context` given to covet_on_worker; NULL until set, or for an unknown
 * one. */
COVET_EXPORT void *covet_worker_state(const struct covet_worker *worker, const void *context);
/* Returns 0, or -ENOENT for a `context` not registered. covet does not free what was there. */
COVET_EXPORT int covet_worker_set_state(struct covet_worker *worker, const void *context,
                                        void *state);

/* Calls `on_expiry` once, at least `delay_ms` milliseconds after covet_worker_now_ms. The handle is
 * valid until that call begins or until it is cancelled. NULL when memory is exhausted. Start
 * another one from inside it to repeat.
 *
 * After a reload the timers of the old application run on while any of its requests is open on this
 * worker; those that are left after the exit hooks are dropped without a call. */
typedef void (*covet_timer_fn)(struct covet_worker *worker, void *context);
COVET_EXPORT struct covet_timer *covet_timer_start(struct covet_worker *worker, uint64_t delay_ms,
                                                   covet_timer_fn on_expiry, void *context);
/* Never call it for a timer that has expired. NULL is ignored. */
COVET_EXPORT void covet_timer_cancel(struct covet_timer *timer);

/* Runs `call` on the worker number `worker_index` (this one allowed), later, from its loop, with
 * that worker's handle of the same application. `context` is handed over: it must be safe to use
 * there, and must not be part of a request. Posts of one worker to another arrive in order.
 *
 * Returns 0; -EINVAL: no such worker, or no `call`; -EAGAIN: 256 are on their way there already, or
 * its queue is full; -ESHUTDOWN: that worker does not run this application yet, or not any more: a
 * start, a reload, or the end of the server. A call accepted is dropped only when the server is
 * stopped hard. */
typedef void (*covet_post_fn)(struct covet_worker *worker, void *context);
COVET_EXPORT int covet_post(struct covet_worker *worker, uint32_t worker_index, covet_post_fn call,
                            void *context);

#ifdef __cplusplus
}
#endif

#endif
