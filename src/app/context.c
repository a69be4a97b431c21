// What an application does with its worker between requests: state, time and timers.
#include "app/context.h"

#include <stdarg.h>
#include <stdio.h>

#include <covet/worker.h>

#include <errno.h>

#include "app/app.h"
#include "base/log.h"
#include "metrics/histogram.h"

// An application's timer: from the worker's pool, freed when it expires or is cancelled.
struct covet_timer {
    struct cv_timer timer;
    struct cv_list_node node;     // In the worker's `timers`.
    struct covet_worker *worker;  // borrowed; outlives its timers
    covet_timer_fn on_expiry;
    void *context;
};

uint32_t covet_worker_index(const struct covet_worker *worker) {
    return worker->env->worker_index;
}

uint32_t covet_worker_count(const struct covet_worker *worker) {
    return worker->env->worker_count;
}

struct covet_app *covet_worker_app(const struct covet_worker *worker) {
    return worker->app;
}

uint64_t covet_worker_now_ms(const struct covet_worker *worker) {
    return worker->env->clock->now_ms;
}

static int find_hook(const struct covet_worker *worker, const void *context) {
    for (uint32_t i = 0; i < worker->app->hook_count; i++)
        if (worker->app->hook[i].context == context)
            return (int)i;
    return -ENOENT;
}

void *covet_worker_state(const struct covet_worker *worker, const void *context) {
    int hook = find_hook(worker, context);

    return hook < 0 ? NULL : worker->state[hook];
}

int covet_worker_set_state(struct covet_worker *worker, const void *context, void *state) {
    int hook = find_hook(worker, context);

    if (hook < 0)
        return hook;
    worker->state[hook] = state;
    return 0;
}

static void free_timer(struct covet_timer *timer) {
    cv_list_remove(&timer->node);
    cv_pool_release(timer->worker->env->pool, timer, sizeof(*timer));
}

static void on_expiry(struct cv_timer *expired) {
    struct covet_timer *timer = CV_CONTAINER_OF(expired, struct covet_timer, timer);
    struct covet_worker *worker = timer->worker;
    covet_timer_fn call = timer->on_expiry;
    void *context = timer->context;

    free_timer(timer);
    // The call may finish the last request of a replaced application: its module, and with it the
    // function that is running, must not go before that has returned.
    worker->pins++;
    call(worker, context);
    cv_app_unpin(worker);
}

struct covet_timer *covet_timer_start(struct covet_worker *worker, uint64_t delay_ms,
                                      covet_timer_fn call, void *context) {
    struct cv_env *env = worker->env;
    struct covet_timer *timer = cv_pool_acquire(env->pool, sizeof(*timer));
    uint64_t now_ms = env->clock->now_ms;

    if (timer == NULL)
        return NULL;
    *timer = (struct covet_timer){
        .timer = {.on_expiry = on_expiry},
        .worker = worker,
        .on_expiry = call,
        .context = context,
    };
    cv_list_push_back(&worker->timers, &timer->node);
    // One more: the millisecond that runs now counts for nothing, so that the delay is never short.
    delay_ms = delay_ms > UINT32_MAX * 1024ull ? UINT32_MAX * 1024ull : delay_ms + 1;
    cv_wheel_start(env->wheel, &timer->timer, now_ms + delay_ms);
    return timer;
}

void covet_timer_cancel(struct covet_timer *timer) {
    if (timer == NULL)
        return;
    cv_wheel_stop(timer->worker->env->wheel, &timer->timer);
    free_timer(timer);
}

void cv_context_begin_delivery(struct cv_env *env) {
    env->handled_ticks = 0;
    env->handled_count = 0;
}

void cv_context_end_delivery(struct cv_env *env) {
    if (env->handled_count > 0) {
        uint64_t ticks = cv_clock_ticks(env->clock) - env->handled_ticks;
        cv_histogram_record_shared(&env->stats->handler_time,
                                   cv_clock_ticks_to_ns(env->clock, ticks), env->handled_count);
    }
}

void cv_context_drop_timers(struct covet_worker *worker) {
    struct cv_list_node *node;

    while ((node = cv_list_first(&worker->timers)) != NULL)
        covet_timer_cancel(CV_LIST_ENTRY(node, struct covet_timer, node));
}

void cv_context_complain(struct covet_worker *worker, const char *event, const char *format, ...) {
    uint64_t now_ms = worker->env->clock->now_ms;
    char text[CV_LOG_LINE_BYTES_MAX];
    va_list arguments;

    if (worker->complaint_ms != 0 && now_ms - worker->complaint_ms < CV_CONTEXT_COMPLAINT_MS) {
        worker->complaint_count++;
        return;
    }
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    cv_log(CV_LOG_ERROR, event, "worker=%u %s left_out=%u", worker->env->worker_index, text,
           worker->complaint_count);
    worker->complaint_ms = now_ms;
    worker->complaint_count = 0;
}
