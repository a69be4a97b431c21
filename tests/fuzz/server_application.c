#include "fuzz/server_application.h"

#include <covet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/context.h"
#include "base/compiler.h"
#include "demo/demo.h"
#include "sim/application.h"
#include "sim/kernel.h"

#define STREAM_BYTES_MAX 400000u
#define PIECE_BYTES 5000u
#define LATER_MS_MAX 3000u

static unsigned pending;
static const struct cv_pool *pools[COVET_WORKERS_MAX];

static uint64_t number(const struct covet_request *request, const char *name, uint64_t end) {
    int64_t value = 0;
    (void)covet_request_param_int(request, name, &value);
    return (uint64_t)value % end;
}

// What is refused here makes the answer a 500; what is taken must not become anything else.
static void reflect(struct covet_request *request, struct covet_response *response) {
    struct covet_span value = covet_request_param(request, "value");
    char *text = covet_request_alloc(request, value.length + 1);
    if (text == NULL) {
        (void)covet_response_error(response, 503);
        return;
    }
    memcpy(text, value.data, value.length);
    text[value.length] = '\0';
    if (covet_request_query(request, "to").data != NULL) {
        (void)covet_response_redirect(response, 302, text);
        return;
    }
    struct covet_cookie cookie = {.name = "reflect", .value = text, .path = "/"};
    (void)covet_response_header_span(response, "X-Reflect", value);
    if (covet_request_query(request, "cookie").data != NULL) {
        (void)covet_response_cookie(response, &cookie);
    }
    if (covet_request_query(request, "type").data != NULL) {
        (void)covet_response_bytes(response, text, "typed", 5);
    } else if (covet_response_begin(response, "text/plain", COVET_LENGTH_UNKNOWN) == 0) {
        (void)covet_response_trailer(response, "X-Reflect", text);
        (void)covet_response_write(response, text, value.length);
        (void)covet_response_end(response);
    }
}

// Streams.
struct stream {
    uint64_t left;
};

static void on_stream_aborted(struct covet_request *request, void *context) {
    (void)context;
    if (covet_request_aborted(request)) {
        pending--;
        (void)covet_response_cancel(covet_request_response(request));
    }
}

static void pour(struct covet_request *request, struct covet_response *response, void *context) {
    static const char piece[PIECE_BYTES];
    struct stream *stream = context;
    int64_t queued = 0;
    (void)request;
    while (stream->left > 0 && queued <= COVET_HIGH_WATER_BYTES) {
        size_t length = (size_t)CV_MIN(stream->left, (uint64_t)PIECE_BYTES);
        queued = covet_response_write(response, piece, length);
        if (queued < 0) {
            return;  // The client is gone; on_stream_aborted has been called, or will be.
        }
        stream->left -= length;
    }
    if (stream->left == 0) {
        pending--;
        (void)covet_response_end(response);
    }
}

static void stream(struct covet_request *request, struct covet_response *response) {
    struct stream *state = covet_request_alloc(request, sizeof(*state));
    if (state == NULL) {
        (void)covet_response_error(response, 503);
        return;
    }
    state->left = number(request, "count", STREAM_BYTES_MAX);
    pending++;
    covet_request_defer(request);
    covet_request_on_abort(request, on_stream_aborted, NULL);
    covet_response_on_drain(response, pour, state);
    if (covet_response_begin(response, NULL, COVET_LENGTH_UNKNOWN) == 0) {
        pour(request, response, state);
    }
}

// Later, and by another worker. A stopped server leaves these behind, so they are in a list.
struct wait {
    struct wait *next;
    struct covet_request *request;  // NULL: the client is gone, or has its answer
    struct covet_timer *timer;
    uint32_t home;
};
static struct wait *waits;

static void on_wait_aborted(struct covet_request *request, void *context) {
    struct wait *wait = context;
    if (covet_request_aborted(request)) {
        pending--;
        wait->request = NULL;
        covet_timer_cancel(wait->timer);
        (void)covet_response_cancel(covet_request_response(request));
    }
}

static void answer(struct covet_worker *worker, void *context) {
    struct wait *wait = context;
    struct covet_request *request = wait->request;
    (void)worker;
    wait->timer = NULL;
    if (request != NULL) {
        pending--;
        wait->request = NULL;
        (void)covet_response_text(covet_request_response(request), "at last");
    }
}

static struct wait *start_waiting(struct covet_request *request) {
    struct wait *wait = calloc(1, sizeof(*wait));
    if (wait == NULL) {
        sim_fail("the simulation itself is out of memory");
    }
    wait->request = request;
    wait->next = waits;
    waits = wait;
    pending++;
    covet_request_defer(request);
    covet_request_on_abort(request, on_wait_aborted, wait);
    return wait;
}

static void later(struct covet_request *request, struct covet_response *response) {
    struct wait *wait = start_waiting(request);
    (void)response;
    wait->timer = covet_timer_start(covet_request_worker(request),
                                    number(request, "ms", LATER_MS_MAX), answer, wait);
}

static void come_back(struct covet_worker *worker, void *context) {
    struct wait *wait = context;
    if (covet_post(worker, wait->home, answer, wait) != 0) {
        sim_event("no way back", wait->home, 0);  // That worker is at its end.
    }
}

static void across(struct covet_request *request, struct covet_response *response) {
    struct covet_worker *worker = covet_request_worker(request);
    struct wait *wait = start_waiting(request);
    uint32_t there = sim_random_below(&sim.random, covet_worker_count(worker));
    (void)response;
    wait->home = covet_worker_index(worker);
    if (covet_post(worker, there, come_back, wait) != 0) {
        answer(worker, wait);
    }
}

// Bodies.
struct upload {
    struct covet_timer *pause;  // NULL: it is not paused
    uint64_t bytes;
};

static void resume(struct covet_worker *worker, void *context) {
    struct covet_request *request = context;
    struct upload *upload = covet_request_user_data(request);
    (void)worker;
    upload->pause = NULL;
    covet_request_pause_body(request, false);
}

static void on_body(struct covet_request *request, const void *data, size_t length, bool last,
                    void *context) {
    struct upload *upload = context;
    char text[32];
    (void)data;
    if (upload->pause != NULL) {
        sim_fail("a body goes on while it is paused");
    }
    upload->bytes += length;
    if (last) {
        int written = snprintf(text, sizeof(text), "%llu", (unsigned long long)upload->bytes);
        pending--;
        (void)covet_response_bytes(covet_request_response(request), "text/plain", text,
                                   (size_t)written);
    } else if (sim_random_chance(&sim.random, 100)) {
        covet_request_pause_body(request, true);
        upload->pause = covet_timer_start(covet_request_worker(request),
                                          sim_random_below(&sim.random, 100), resume, request);
    }
}

static void on_upload_aborted(struct covet_request *request, void *context) {
    struct upload *upload = context;
    if (covet_request_aborted(request)) {
        pending--;
        covet_timer_cancel(upload->pause);
        (void)covet_response_cancel(covet_request_response(request));
    }
}

static void upload(struct covet_request *request, struct covet_response *response) {
    struct upload *state = covet_request_alloc(request, sizeof(*state));
    if (state == NULL) {
        (void)covet_response_error(response, 503);
        return;
    }
    *state = (struct upload){0};
    pending++;
    covet_request_set_user_data(request, state);
    covet_request_on_abort(request, on_upload_aborted, state);
    if (covet_request_on_body(request, on_body, state) != 0) {
        sim_fail("a body cannot be streamed");
    }
}

static void early(struct covet_request *request, struct covet_response *response) {
    (void)request;
    (void)covet_response_text(response, "early");
}

struct thing {
    int64_t id;
    struct covet_span name;
    double *values;
    size_t value_count;
};

COVET_JSON(thing_json, struct thing, COVET_JSON_FIELD(struct thing, id),
           COVET_JSON_FIELD(struct thing, name),
           COVET_JSON_ARRAY(struct thing, values, value_count, .flags = COVET_JSON_OPTIONAL));

static void json(struct covet_request *request, struct covet_response *response) {
    struct thing thing;
    if (covet_request_json(request, &thing_json, &thing) == 0) {
        (void)covet_response_json_struct(response, &thing_json, &thing);
    }
}

static int on_worker(struct covet_worker *worker, void *context) {
    (void)context;
    pools[covet_worker_index(worker)] = worker->env->pool;
    return 0;
}

int sim_application_init(struct covet_app *app) {
    static const struct covet_route_options routes[] = {
        {.methods = COVET_GET, .pattern = "/reflect/{value}", .handler = reflect},
        {.methods = COVET_GET, .pattern = "/stream/{count:int}", .handler = stream},
        {.methods = COVET_GET, .pattern = "/later/{ms:int}", .handler = later},
        {.methods = COVET_GET, .pattern = "/across", .handler = across},
        {.methods = COVET_POST, .pattern = "/upload", .handler = upload, .stream_body = 1},
        {.methods = COVET_POST, .pattern = "/early", .handler = early, .stream_body = 1},
        {.methods = COVET_POST, .pattern = "/json", .handler = json},
    };
    // What fails is remembered by the app and refuses it as a whole.
    for (size_t i = 0; i < CV_ARRAY_COUNT(routes); i++) {
        (void)covet_route_with(app, &routes[i]);
    }
    (void)covet_on_worker(app, on_worker, NULL, NULL);
    return cv_demo_init(app);
}

int sim_application_swap(struct covet_app *app) {
    static const struct covet_route_options options = {
        .methods = COVET_POST, .pattern = "/early", .handler = early, .stream_body = 1};
    int status = covet_route_replace(app, &options);
    if (status != 0 && status != -EAGAIN) {
        sim_fail("a route cannot be replaced: %d", status);
    }
    return 0;
}

const struct cv_pool *sim_application_pool(uint32_t worker) {
    return pools[worker];
}

unsigned sim_application_pending(void) {
    return pending;
}

void server_application_reset(void) {
    pending = 0;
    while (waits != NULL) {
        struct wait *wait = waits;
        waits = wait->next;
        free(wait);
    }
}
