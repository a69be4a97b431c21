// HTTP/1.1 connections of one worker on a fake ring, in front of a small application that does what
// a test tells it. What it remembers of the last requests is in `t_app`.
#ifndef T_SUPPORT_SERVE_WORLD_H
#define T_SUPPORT_SERVE_WORLD_H

#include "support/net_world.h"

#include <covet.h>
#include <stdio.h>

#include "app/app.h"
#include "serve/exchange.h"
#include "serve/http1.h"

#define T_KEPT_MAX 64u
#define T_DRAIN_IDLE_MS 2000u

struct t_serve {
    struct t_world world;
    struct cv_env env;
    struct cv_http1 http1;
    struct covet_app *app;
    struct t_bytes log;
};

// What the handlers below saw, and what they are to do.
static struct {
    struct covet_request *kept[T_KEPT_MAX];  // In order; NULL once finished on abort.
    uint32_t kept_count;
    uint32_t handler_count;
    uint32_t abort_count;       // Notices with the client gone.
    uint32_t half_close_count;  // Notices with only its sending side closed.
    uint32_t drain_count;
    uint32_t last_count;
    bool finishes_on_abort;
    bool pauses_body;      // From inside on_body, at its first call.
    bool answers_in_body;  // At its first call.
    struct t_bytes body;   // What on_body was given.
} t_app;

static inline void t_on_abort(struct covet_request *request, void *context) {
    (void)context;
    if (covet_request_aborted(request)) {
        t_app.abort_count++;
        if (t_app.finishes_on_abort) {
            for (uint32_t i = 0; i < t_app.kept_count; i++) {
                t_app.kept[i] = t_app.kept[i] == request ? NULL : t_app.kept[i];
            }
            (void)covet_response_cancel(covet_request_response(request));
        }
    } else {
        t_app.half_close_count++;
    }
}

static inline void t_on_drain(struct covet_request *request, struct covet_response *response,
                              void *context) {
    (void)request, (void)response, (void)context;
    t_app.drain_count++;
}

static inline void t_keep(struct covet_request *request) {
    assert_true(t_app.kept_count < T_KEPT_MAX);
    t_app.kept[t_app.kept_count++] = request;
    covet_request_on_abort(request, t_on_abort, NULL);
}

static inline void t_handle_hello(struct covet_request *request, struct covet_response *response) {
    (void)request;
    t_app.handler_count++;
    (void)covet_response_body(response, "text/plain", "hello", 5, COVET_STATIC);
}

static inline void t_handle_echo(struct covet_request *request, struct covet_response *response) {
    struct covet_span body = covet_request_body(request);
    t_app.handler_count++;
    (void)covet_response_body(response, "text/plain", body.data, body.length, COVET_REQUEST);
}

// `GET /bytes/{count}`: that many, in memory of the request.
static inline void t_handle_bytes(struct covet_request *request, struct covet_response *response) {
    int64_t count = 0;
    assert_int_equal(covet_request_param_int(request, "count", &count), 0);
    char *bytes = covet_request_alloc(request, (size_t)count + 1);
    t_app.handler_count++;
    if (bytes == NULL) {
        (void)covet_response_error(response, 500);
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        bytes[i] = (char)('a' + i % 23);
    }
    (void)covet_response_body(response, "text/plain", bytes, (size_t)count, COVET_REQUEST);
}

static inline void t_handle_defer(struct covet_request *request, struct covet_response *response) {
    (void)response;
    t_app.handler_count++;
    covet_request_defer(request);
    t_keep(request);
}

// Begins a streamed answer; the test writes it.
static inline void t_handle_flow(struct covet_request *request, struct covet_response *response) {
    t_app.handler_count++;
    t_keep(request);
    covet_response_on_drain(response, t_on_drain, NULL);
    (void)covet_response_begin(response, "text/plain", COVET_LENGTH_UNKNOWN);
}

// Answers before the body.
static inline void t_handle_early(struct covet_request *request, struct covet_response *response) {
    (void)request;
    t_app.handler_count++;
    (void)covet_response_text(response, "early");
}

static inline void t_on_body(struct covet_request *request, const void *data, size_t length,
                             bool last, void *context) {
    (void)context;
    t_bytes_append(&t_app.body, data, length);
    if (t_app.pauses_body) {
        t_app.pauses_body = false;
        covet_request_pause_body(request, true);
    }
    if (t_app.answers_in_body) {
        t_app.answers_in_body = false;
        (void)covet_response_text(covet_request_response(request), "enough");
        return;
    }
    if (last) {
        t_app.last_count++;
        (void)covet_response_bytes(covet_request_response(request), "text/plain", t_app.body.data,
                                   t_app.body.length);
    }
}

// Takes the body as it comes and answers with all of it.
static inline void t_handle_stream(struct covet_request *request, struct covet_response *response) {
    (void)response;
    t_app.handler_count++;
    t_app.body.length = 0;
    t_keep(request);
    covet_request_on_body(request, t_on_body, NULL);
}

// The same, but wants none of it at first.
static inline void t_handle_pause(struct covet_request *request, struct covet_response *response) {
    t_handle_stream(request, response);
    covet_request_pause_body(request, true);
}

// Begins its answer before the body, and passes that on as it comes.
static inline void t_on_relay(struct covet_request *request, const void *data, size_t length,
                              bool last, void *context) {
    struct covet_response *response = covet_request_response(request);
    (void)context;
    if (length > 0) {
        (void)covet_response_write(response, data, length);
    }
    if (last) {
        (void)covet_response_end(response);
    }
}

static inline void t_handle_relay(struct covet_request *request, struct covet_response *response) {
    t_app.handler_count++;
    covet_request_on_body(request, t_on_relay, NULL);
    (void)covet_response_begin(response, "text/plain", COVET_LENGTH_UNKNOWN);
}

static inline void t_add_route(struct covet_app *app, unsigned methods, const char *pattern,
                               covet_handler_fn handler, int stream_body) {
    struct covet_route_options options = {
        .methods = methods,
        .pattern = pattern,
        .handler = handler,
        .stream_body = stream_body,
    };
    assert_int_equal(covet_route_with(app, &options), 0);
}

static inline void t_serve_log(void *context, struct cv_span line) {
    struct t_serve *serve = context;
    t_bytes_append(&serve->log, line.data, line.length);
}

static inline void t_serve_init(struct t_serve *serve) {
    struct t_world *world = &serve->world;
    memset(serve, 0, sizeof(*serve));
    memset(&t_app, 0, sizeof(t_app));
    t_world_init(world, &cv_http1_ops, 64);
    world->net.protocol = &serve->http1;
    serve->env = (struct cv_env){
        .worker_index = 3,
        .worker_count = 4,
        .pool = &world->pool,
        .wheel = &world->wheel,
        .clock = &world->clock,
        .stats = &world->stats,
    };
    serve->app = cv_app_create();
    assert_non_null(serve->app);
    serve->app->body_bytes_max = 1000000;
    t_add_route(serve->app, COVET_GET, "/hello", t_handle_hello, 0);
    t_add_route(serve->app, COVET_POST, "/echo", t_handle_echo, 0);
    t_add_route(serve->app, COVET_GET, "/bytes/{count:int}", t_handle_bytes, 0);
    t_add_route(serve->app, COVET_GET | COVET_POST, "/defer", t_handle_defer, 0);
    t_add_route(serve->app, COVET_GET | COVET_POST, "/flow", t_handle_flow, 0);
    t_add_route(serve->app, COVET_POST, "/early", t_handle_early, 1);
    t_add_route(serve->app, COVET_POST, "/stream", t_handle_stream, 1);
    t_add_route(serve->app, COVET_POST, "/pause", t_handle_pause, 1);
    t_add_route(serve->app, COVET_POST, "/relay", t_handle_relay, 1);
    t_add_route(serve->app, COVET_POST, "/pour", t_handle_flow, 1);
    assert_int_equal(cv_app_seal(serve->app), 0);
    serve->http1 = (struct cv_http1){
        .env = &serve->env,
        .access = {.put = t_serve_log, .context = serve},
        .drain_idle_ms = T_DRAIN_IDLE_MS,
    };
    assert_int_equal(cv_app_attach(serve->app, &serve->env, &serve->http1.app), 0);
}

static inline void t_serve_deinit(struct t_serve *serve) {
    struct t_world *world = &serve->world;
    (void)cv_net_close_all(&world->net);
    t_world_settle(world);
    cv_app_detach(serve->http1.app);
    cv_app_destroy(serve->app);
    free(t_app.body.data);
    free(serve->log.data);
    t_app.body = (struct t_bytes){0};
    t_world_deinit(world);
}

// Sends text of a client and lets the server do all it can with it.
static inline void t_serve_send(struct t_serve *serve, int client, const char *text) {
    t_client_send(serve->world.ring, client, text, strlen(text));
    t_world_settle(&serve->world);
}

// All that the client was sent so far, as text.
static inline const char *t_serve_output(struct t_serve *serve, int client) {
    struct t_bytes *output = &t_ring_at(serve->world.ring, client)->output;
    t_bytes_append(output, "", 1);
    output->length--;
    return (const char *)output->data;
}

static inline void t_serve_forget_output(struct t_serve *serve, int client) {
    t_ring_at(serve->world.ring, client)->output.length = 0;
}

// A client of another machine, to which long bodies go without a copy; it acknowledges nothing.
static inline int t_serve_open_silent(struct t_serve *serve) {
    struct t_world *world = &serve->world;
    world->ring->features.zero_copy = true;
    cv_net_set_limits(&world->net, &world->limits);
    int client = t_world_open(world);
    t_ring_at(world->ring, client)->is_silent = true;
    return client;
}

static inline bool t_serve_is_open(struct t_serve *serve, int client) {
    return t_ring_at(serve->world.ring, client)->is_open;
}

static inline uint32_t t_count(const char *text, const char *word) {
    uint32_t count = 0;
    for (const char *at = text; (at = strstr(at, word)) != NULL; at += strlen(word)) {
        count++;
    }
    return count;
}

#define T_DATE "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"

#endif
