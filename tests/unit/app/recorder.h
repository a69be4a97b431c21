// A worker and a protocol that only remember: requests are parsed from text for real, answers land
// in a record. The clock stands still until a test moves it.
#ifndef T_APP_RECORDER_H
#define T_APP_RECORDER_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <covet.h>

#include "app/app.h"
#include "app/request.h"
#include "base/compiler.h"
#include "metrics/counter.h"

#define T_WORKERS 3u
#define T_POSTS_MAX 1024u

struct t_post {
    void (*fn)(void *context);
    void *context;
};

struct t_host {  // One worker thread's surroundings.
    struct cv_env env;
    struct cv_pool pool;
    struct cv_wheel wheel;
    struct cv_clock clock;
    struct covet_stats_worker stats;
    struct t_post post[T_POSTS_MAX];
    uint32_t post_count;
    uint32_t post_room;
    struct t_host *all;
    struct covet_worker *released;
    int released_count;
};

enum t_end { T_OPEN, T_ANSWERED, T_STREAMING, T_ENDED, T_CUT };

struct t_exchange {
    struct cv_sink sink;
    struct covet_request request;
    struct cv_parser_head head;
    char *text;
    struct cv_peer peer;
    // What the sink saw.
    enum t_end end;
    int status;
    enum cv_head_body framing;
    uint64_t content_length;
    char type[128];
    char fields[4096];
    char trailers[512];
    char body[65536];
    size_t body_bytes;
    enum cv_body_lifetime lifetime;
    size_t queued;        // Returned by write.
    bool reset_on_write;  // The connection turns out to be dead.
    int pauses;
    int resumes;
    bool deinit_on_finish;
    bool deinit_done;
};

static inline int t_env_post(struct cv_env *env, uint32_t index, void (*fn)(void *),
                             void *context) {
    struct t_host *host = CV_CONTAINER_OF(env, struct t_host, env);
    struct t_host *to = &host->all[index];

    if (to->post_count >= to->post_room)
        return -EAGAIN;
    to->post[to->post_count++] = (struct t_post){fn, context};
    return 0;
}

static inline void t_host_init(struct t_host *hosts) {
    for (uint32_t i = 0; i < T_WORKERS; i++) {
        struct t_host *host = &hosts[i];

        memset(host, 0, sizeof(*host));
        host->all = hosts;
        host->post_room = T_POSTS_MAX;
        cv_pool_init(&host->pool);
        cv_wheel_init(&host->wheel, 1000);
        cv_clock_set(&host->clock, 1000000000, 1700000000);
        host->env = (struct cv_env){.worker_index = i,
                                    .worker_count = T_WORKERS,
                                    .pool = &host->pool,
                                    .wheel = &host->wheel,
                                    .clock = &host->clock,
                                    .stats = &host->stats,
                                    .post = t_env_post};
    }
}

// Pools must be empty: everything a test started has been given back.
static inline void t_host_deinit(struct t_host *hosts) {
    for (uint32_t i = 0; i < T_WORKERS; i++)
        cv_pool_deinit(&hosts[i].pool);
}

static inline void t_host_advance(struct t_host *host, uint64_t ms) {
    cv_clock_set(&host->clock, host->clock.now_ns + ms * 1000000, 1700000000);
    cv_wheel_run(&host->wheel, host->clock.now_ms);
}

static inline void t_host_run_posts(struct t_host *host) {
    uint32_t count = host->post_count;
    struct t_post post[T_POSTS_MAX];

    memcpy(post, host->post, count * sizeof(post[0]));
    host->post_count = 0;
    for (uint32_t i = 0; i < count; i++)
        post[i].fn(post[i].context);
}

static inline void t_on_released(struct covet_worker *worker) {
    struct t_host *host = CV_CONTAINER_OF(worker->env, struct t_host, env);

    host->released = worker;
    host->released_count++;
}

struct t_fixture {
    struct t_host *hosts;
    struct covet_app *app;
    struct covet_worker *worker;  // On the first host.
};

static inline struct covet_app *t_app(int (*init)(struct covet_app *)) {
    struct covet_app *app = cv_app_create();

    assert_non_null(app);
    assert_int_equal(init(app), 0);
    assert_int_equal(cv_app_seal(app), 0);
    return app;
}

static inline struct covet_worker *t_attach(struct covet_app *app, struct t_host *host) {
    struct covet_worker *worker = NULL;

    assert_int_equal(cv_app_attach(app, &host->env, &worker), 0);
    worker->on_released = t_on_released;
    return worker;
}

static inline void t_open_fixture(struct t_fixture *fixture, int (*init)(struct covet_app *)) {
    fixture->hosts = malloc(T_WORKERS * sizeof(*fixture->hosts));
    assert_non_null(fixture->hosts);
    t_host_init(fixture->hosts);
    fixture->app = t_app(init);
    fixture->worker = t_attach(fixture->app, &fixture->hosts[0]);
}

// Everything must be finished: the worker is released at once and its pool is empty.
static inline void t_close_fixture(struct t_fixture *fixture) {
    assert_int_equal(fixture->worker->pins, 0);
    cv_app_retire(fixture->worker);
    assert_ptr_equal(fixture->hosts[0].released, fixture->worker);
    cv_app_detach(fixture->worker);
    cv_app_destroy(fixture->app);
    t_host_deinit(fixture->hosts);
    free(fixture->hosts);
}

static inline struct t_exchange *t_of(struct cv_sink *sink) {
    return CV_CONTAINER_OF(sink, struct t_exchange, sink);
}

static inline void t_copy(char *out, size_t room, struct cv_span from) {
    assert_true(from.length < room);
    if (from.length > 0)
        memcpy(out, from.data, from.length);
    out[from.length] = '\0';
}

static inline void t_finish(struct t_exchange *exchange, enum t_end end) {
    exchange->end = end;
    if (exchange->deinit_on_finish && !exchange->request.running) {
        cv_request_deinit(&exchange->request);
        // What touches the request from now on is found.
        memset(&exchange->request, 0xdd, sizeof(exchange->request));
        exchange->deinit_done = true;
    }
}

static inline void t_take_head(struct t_exchange *exchange, const struct cv_head *head) {
    exchange->status = head->status;
    exchange->framing = head->body;
    exchange->content_length = head->content_length;
    t_copy(exchange->type, sizeof(exchange->type), head->content_type);
    t_copy(exchange->fields, sizeof(exchange->fields), head->fields);
}

static inline void t_answer(struct cv_sink *sink, struct cv_head *head, struct cv_span body,
                            enum cv_body_lifetime lifetime) {
    struct t_exchange *exchange = t_of(sink);

    assert_int_equal(exchange->end, T_OPEN);
    t_take_head(exchange, head);
    t_copy(exchange->body, sizeof(exchange->body), body);
    exchange->body_bytes = body.length;
    exchange->lifetime = lifetime;
    t_finish(exchange, T_ANSWERED);
}

static inline void t_begin(struct cv_sink *sink, struct cv_head *head) {
    struct t_exchange *exchange = t_of(sink);

    assert_int_equal(exchange->end, T_OPEN);
    exchange->end = T_STREAMING;
    t_take_head(exchange, head);
}

static inline size_t t_write(struct cv_sink *sink, struct cv_span data) {
    struct t_exchange *exchange = t_of(sink);

    assert_int_equal(exchange->end, T_STREAMING);
    assert_true(exchange->body_bytes + data.length < sizeof(exchange->body));
    if (data.length > 0)
        memcpy(exchange->body + exchange->body_bytes, data.data, data.length);
    exchange->body_bytes += data.length;
    exchange->body[exchange->body_bytes] = '\0';
    if (exchange->reset_on_write)
        cv_request_aborted(&exchange->request);
    return exchange->queued;
}

static inline void t_end_stream(struct cv_sink *sink, struct cv_span trailers) {
    struct t_exchange *exchange = t_of(sink);

    assert_int_equal(exchange->end, T_STREAMING);
    t_copy(exchange->trailers, sizeof(exchange->trailers), trailers);
    t_finish(exchange, T_ENDED);
}

static inline void t_abort(struct cv_sink *sink) {
    struct t_exchange *exchange = t_of(sink);

    assert_true(exchange->end == T_OPEN || exchange->end == T_STREAMING);
    t_finish(exchange, T_CUT);
}

static inline void t_pause_body(struct cv_sink *sink, bool paused) {
    struct t_exchange *exchange = t_of(sink);

    if (paused)
        exchange->pauses++;
    else
        exchange->resumes++;
}

static inline const struct cv_peer *t_peer(struct cv_sink *sink) {
    return &t_of(sink)->peer;
}

static const struct cv_sink_ops t_sink_ops = {t_answer, t_begin,      t_write, t_end_stream,
                                              t_abort,  t_pause_body, t_peer};

// Parses `text` (a whole head) and routes it. The plan goes to `*plan` when wanted.
static inline struct t_exchange *t_open(struct covet_worker *worker, const char *text,
                                        enum cv_request_plan *plan) {
    static const struct cv_parser_limits limits = {65535, 65535, CV_PARSER_FIELDS_MAX};
    struct t_exchange *exchange = calloc(1, sizeof(*exchange));
    enum cv_request_plan own_plan;

    assert_non_null(exchange);
    exchange->sink.ops = &t_sink_ops;
    exchange->text = strdup(text);
    exchange->peer = (struct cv_peer){CV_PEER_IPV4, 0, 4711, {192, 0, 2, 7}};
    assert_int_equal(cv_parser_feed(exchange->text, strlen(text), &limits, &exchange->head),
                     CV_PARSER_DONE);
    // Stale bytes of an earlier request must not matter.
    memset(&exchange->request, 0xee, sizeof(exchange->request));
    cv_request_init(&exchange->request, worker, &exchange->sink, &exchange->head);
    cv_request_begin(&exchange->request, exchange->text);
    own_plan = cv_request_route(&exchange->request);
    cv_request_pin(&exchange->request);
    if (plan != NULL)
        *plan = own_plan;
    return exchange;
}

// A whole request: method and target, more field lines (each with CRLF) and a body, run at once.
static inline struct t_exchange *t_run(struct covet_worker *worker, const char *line,
                                       const char *fields, const char *body) {
    char text[32768];
    struct t_exchange *exchange;

    assert_true((size_t)snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: a.example\r\n%s\r\n",
                                 line, fields) < sizeof(text));
    exchange = t_open(worker, text, NULL);
    exchange->request.body = cv_span_of(body);
    cv_context_begin_delivery(exchange->request.worker->env);
    cv_request_run(&exchange->request);
    return exchange;
}

static inline struct t_exchange *t_get(struct covet_worker *worker, const char *path) {
    char line[16384];

    snprintf(line, sizeof(line), "GET %s", path);
    return t_run(worker, line, "", "");
}

static inline void t_close(struct t_exchange *exchange) {
    if (!exchange->deinit_done)
        cv_request_deinit(&exchange->request);
    free(exchange->text);
    free(exchange);
}

#endif
