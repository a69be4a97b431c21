// The life of a request, from the protocol's side. What handlers ask of it is in inputs.c.
//
// Two things need care. A request may be finished, and its memory reused, inside any call of the
// application; so nothing here touches it after such a call without knowing better: during
// cv_request_run the protocol waits, in callbacks `gone` tells. And the client may leave at any
// time; it is told once, never from inside the handler, and finishes nothing by itself.
#include "app/request.h"

#include "app/app.h"
#include "app/middleware.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "http/target.h"
#include "metrics/counter.h"
#include "metrics/histogram.h"

static void on_notice(struct cv_timer *timer) {
    cv_request_aborted(CV_CONTAINER_OF(timer, struct covet_request, notice));
}

void cv_request_init(struct covet_request *request, struct covet_worker *worker,
                     struct cv_sink *sink, const struct cv_parser_head *head) {
    request->sink = sink;
    request->worker = worker;
    request->head = head;
    request->notice = (struct cv_timer){.on_expiry = on_notice};
    cv_arena_init(&request->arena, worker->env->pool);
}

// A path with escapes, or none at all. False, with the outcome, when there is none to route.
static CV_NOINLINE bool find_unusual_path(struct covet_request *request, struct cv_span raw) {
    const char *reason;
    char *decoded;

    if (raw.length == 0) {  // Absolute form without a path.
        request->path = CV_SPAN("/");
        return true;
    }
    decoded = cv_arena_alloc(&request->arena, raw.length);
    request->outcome = CV_REQUEST_NO_MEMORY;
    if (decoded == NULL)
        return false;
    request->outcome = CV_REQUEST_BAD_PATH;
    if (!cv_target_decode_path(raw, decoded, &request->path.length, &reason))
        return false;
    request->path.data = decoded;
    return true;
}

static void count_static(struct covet_request *request, bool is_static) {
    cv_counter_add(request->worker->env->stats,
                   is_static ? COVET_COUNTER_ROUTE_CACHE_HITS : COVET_COUNTER_ROUTE_CACHE_MISSES,
                   1);
}

// A path in origin or absolute form.
static enum cv_request_outcome find_by_path(struct covet_request *request) {
    struct cv_span path = cv_parser_span(request->base, request->head->path);

    if (CV_LIKELY(path.length > 0 && cv_target_path_is_plain(path))) {
        request->path = path;
        request->path_in_head = true;
    } else if (find_unusual_path(request, path)) {
        path = request->path;
    } else {
        return (enum cv_request_outcome)request->outcome;
    }

    enum cv_router_result result =
        cv_router_match(request->router, request->head->method, path, &request->match);
    count_static(request, result == CV_ROUTER_FOUND && request->match.route->param_count == 0);
    switch (result) {
    case CV_ROUTER_FOUND:
        return CV_REQUEST_HANDLER;
    case CV_ROUTER_METHOD_NOT_ALLOWED:
        return CV_REQUEST_OTHER_METHODS;
    case CV_ROUTER_NOT_FOUND:
        break;
    }
    return CV_REQUEST_NO_ROUTE;
}

static CV_NOINLINE enum cv_request_outcome find_route(struct covet_request *request) {
    switch ((enum cv_target_form)request->head->target_form) {
    case CV_TARGET_AUTHORITY:
        return CV_REQUEST_NOT_IMPLEMENTED;
    case CV_TARGET_ASTERISK:
        request->path = CV_SPAN("*");
        return CV_REQUEST_ALL_METHODS;
    case CV_TARGET_ORIGIN:
    case CV_TARGET_ABSOLUTE:
        break;
    }
    return find_by_path(request);
}

// NULL: not known.
static inline const struct cv_route *find_plain_route(struct covet_request *request) {
    struct cv_span path = cv_parser_span(request->base, request->head->path);
    const struct cv_route *route;

    if (CV_UNLIKELY(request->head->target_form != CV_TARGET_ORIGIN))
        return NULL;
    route = cv_router_find_plain(request->router, request->head->method, path);
    if (route == NULL)
        return NULL;
    request->path = path;
    request->path_in_head = true;
    request->match.route = route;
    count_static(request, true);
    return route;
}

enum cv_request_plan cv_request_route(struct covet_request *request) {
    struct covet_app *app = request->worker->app;
    const struct cv_route *route;

    CV_DEBUG_ASSERT(request->state == CV_REQUEST_NEW && request->router == NULL);
    request->router = cv_routes_current(&app->routes);
    // CV_REQUEST_HANDLER is the outcome at first.
    route = find_plain_route(request);
    if (route == NULL) {
        request->outcome = (uint8_t)find_route(request);
        route = request->match.route;
    }
    if (CV_UNLIKELY(route == NULL)) {
        if (request->outcome != CV_REQUEST_BAD_PATH && request->outcome != CV_REQUEST_NO_MEMORY) {
            request->chain = app->root.chain.item;
            request->chain_count = (uint8_t)app->root.chain.count;
        }
        return CV_REQUEST_BODY_STREAM;
    }
    request->chain = route->group->chain.item;
    request->chain_count = (uint8_t)route->group->chain.count;
    return route->stream_body ? CV_REQUEST_BODY_STREAM : CV_REQUEST_BODY_WHOLE;
}

uint64_t cv_request_body_bytes_max(const struct covet_request *request) {
    const struct cv_route *route = request->match.route;

    return route != NULL && route->body_bytes_max != 0 ? route->body_bytes_max
                                                       : request->worker->app->body_bytes_max;
}

void cv_request_pin(struct covet_request *request) {
    struct covet_worker *worker = request->worker;

    CV_ASSERT(request->router != NULL && !request->pinned);
    request->pinned = true;
    worker->pins++;
    cv_routes_pin(request->router, worker->env->worker_index);
}

// TRACE is a method that no path allows: 405 (RFC 9110 section 15.5.6). CONNECT names no path at
// all, and this is no proxy: 501 (sections 9.1 and 9.3.6).
static CV_NOINLINE void answer_without_handler(struct covet_request *request) {
    struct covet_response *response = &request->response;

    switch ((enum cv_request_outcome)request->outcome) {
    case CV_REQUEST_HANDLER:
        return;
    case CV_REQUEST_BAD_PATH:
        cv_response_send_error(response, 400);
        return;
    case CV_REQUEST_NO_ROUTE:
        cv_response_send_error(response, 404);
        return;
    case CV_REQUEST_OTHER_METHODS:
        cv_response_send_allow(response, request->head->method == CV_METHOD_OPTIONS ? 204 : 405,
                               request->match.allowed);
        return;
    case CV_REQUEST_ALL_METHODS:
        cv_response_send_allow(response, 204, cv_router_methods(request->router));
        return;
    case CV_REQUEST_NOT_IMPLEMENTED:
        cv_response_send_error(response, 501);
        return;
    case CV_REQUEST_NO_MEMORY:
        cv_response_send_error(response, 503);
        return;
    }
}

static void complain(struct covet_request *request, const char *event) {
    const struct cv_route *route = request->match.route;
    char path[128], pattern[128];

    cv_context_complain(
        request->worker, event, "path=%s route=%s", cv_log_quote(path, sizeof(path), request->path),
        cv_log_quote(pattern, sizeof(pattern), cv_span_of(route == NULL ? "" : route->pattern)));
}

// Is somebody left who will finish the request?
static bool is_kept(const struct covet_request *request) {
    return request->deferred || request->response.state == CV_RESPONSE_STREAM ||
           (request->on_body != NULL && !request->body_complete);
}

void cv_request_tell_pause(struct covet_request *request) {
    bool paused = request->body_paused;

    if (request->state != CV_REQUEST_DEFERRED || request->gone != NULL || request->body_complete ||
        request->aborted || request->body_pause_told == paused)
        return;
    request->body_pause_told = paused;
    request->sink->ops->pause_body(request->sink, paused);
}

void cv_request_settle(struct covet_request *request) {
    request->state = CV_REQUEST_DEFERRED;
    if (!is_kept(request)) {
        complain(request, "request_unanswered");
        cv_response_send_failure(&request->response);
        return;
    }
    if (request->aborted && !request->abort_told)
        cv_request_aborted(request);
    else
        cv_request_tell_pause(request);
}

static inline void call(struct covet_request *request) {
    if (request->chain_count > 0 && !cv_middleware_enter(request))
        return;
    if (CV_LIKELY(request->outcome == CV_REQUEST_HANDLER))
        request->match.route->handler(request, &request->response);
    else
        answer_without_handler(request);
}

// The first of a delivery.
static void call_timed(struct covet_request *request) {
    struct cv_env *env = request->worker->env;
    uint64_t start_ticks = cv_clock_ticks(env->clock);

    call(request);
    env->handled_ticks = cv_clock_ticks(env->clock);
    cv_histogram_record(&env->stats->handler_time,
                        cv_clock_ticks_to_ns(env->clock, env->handled_ticks - start_ticks));
}

void cv_request_call(struct covet_request *request) {
    struct cv_env *env = request->worker->env;

    if (env->handled_ticks == 0) {
        call_timed(request);
        return;
    }
    env->handled_count++;
    call(request);
}

void cv_request_body(struct covet_request *request, struct cv_span data, bool last) {
    bool gone = false;

    if (request->state != CV_REQUEST_DEFERRED || request->aborted || request->body_complete)
        return;
    request->body_complete = last;
    if (request->on_body == NULL || (data.length == 0 && !last))
        return;
    CV_ASSERT(request->gone == NULL);
    request->gone = &gone;
    request->on_body(request, data.data, data.length, last, request->on_body_context);
    if (gone)
        return;
    request->gone = NULL;
    if (!last)
        cv_request_tell_pause(request);
    else if (request->state != CV_REQUEST_FINISHED)
        cv_request_settle(request);
}

void cv_request_drained(struct covet_request *request) {
    if (request->state == CV_REQUEST_DEFERRED && request->on_drain != NULL && !request->aborted)
        request->on_drain(request, &request->response, request->on_drain_context);
}

void cv_request_aborted(struct covet_request *request) {
    request->aborted = true;
    if (request->state != CV_REQUEST_DEFERRED || request->abort_told)
        return;
    // Found out by the sink while the application writes: told from the loop, not in the middle of
    // that.
    if (request->in_sink || request->gone != NULL) {
        cv_wheel_start(request->worker->env->wheel, &request->notice, 0);
        return;
    }
    request->abort_told = true;
    if (request->on_abort != NULL)
        request->on_abort(request, request->on_abort_context);
    else if (request->on_body != NULL && !request->body_complete)
        covet_response_cancel(&request->response);
    else if (request->on_drain != NULL)
        request->on_drain(request, &request->response, request->on_drain_context);
}

void cv_request_half_closed(struct covet_request *request) {
    if (request->state == CV_REQUEST_DEFERRED && !request->aborted && request->on_abort != NULL)
        request->on_abort(request, request->on_abort_context);
}

void cv_request_rebase(struct covet_request *request, const char *base) {
    uintptr_t old = (uintptr_t)request->base;

    request->base = base;
    if (!request->path_in_head)
        return;
    request->path.data = base + ((uintptr_t)request->path.data - old);
    for (uint32_t i = 0; i < request->match.param_count; i++)
        request->match.param[i].data = base + ((uintptr_t)request->match.param[i].data - old);
}

void cv_request_forget(struct covet_request *request) {
    request->base = "";
    request->path = CV_SPAN("");
    request->body = CV_SPAN("");
    request->match.param_count = 0;
}

void cv_request_deinit_slow(struct covet_request *request) {
    if (request->gone != NULL)
        *request->gone = true;
    if (cv_timer_armed(&request->notice))
        cv_wheel_stop(request->worker->env->wheel, &request->notice);
    cv_arena_deinit(&request->arena);
    if (request->pinned) {
        struct covet_worker *worker = request->worker;

        request->pinned = false;
        cv_routes_unpin(&worker->app->routes, request->router, worker->env->worker_index);
        cv_app_unpin(worker);
    }
}
