#include "sim/application.h"

#include <covet.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "app/context.h"
#include "base/compiler.h"
#include "sim/client.h"
#include "sim/kernel.h"
#include "sim/lag.h"
#include "sim/pattern.h"
#include "sim/text.h"
#include "sim/torture.h"

#define PIECE_BYTES_MAX 16384u
#define STARTED_MS 300u
#define TIMER_LATE_MS_MAX 100u  // Time passes between two turns of a worker.
#define CATCH_UP_MS 1100u       // Behind a long one, timers wait for what was missed.

static unsigned pending;
static const struct cv_pool *pools[COVET_WORKERS_MAX];

struct stream {
    uint64_t nonce;
    uint64_t at;
    uint64_t count;
    bool is_above_water;  // The queue was, when it was written last.
};

static uint64_t number(const struct covet_request *request, const char *name) {
    int64_t value = 0;
    // Who could not keep a request has told its client, if that is still there.
    if (covet_request_param_int(request, name, &value) != 0 && !sim_torture.has_struck) {
        sim_fail("a handler got no %s", name);
    }
    return (uint64_t)value;
}

// The main thread goes on while a handler runs.
static void pass_time(struct covet_request *request) {
    sim_lag_burn();
    if (sim_strikes(SIM_ROUTES, 5)) {
        sim_event("swap in a turn", 0, 0);
        sim_application_swap(covet_request_worker(request)->app);
    }
}

static void say(struct covet_request *request, struct covet_response *response, const char *what) {
    char text[64];
    struct covet_span path = covet_request_path(request);
    size_t length = strlen(what);
    char *end = sim_text_put(sim_text_put(text, what), " ");
    if ((path.length < length + 2 || memcmp(path.data + 1, what, length) != 0) &&
        !sim_torture.has_struck) {
        sim_fail("a handler has another path");
    }
    end = sim_text_number(end, number(request, "nonce"), 10);
    (void)covet_response_bytes(response, "text/plain", text, (size_t)(end - text));
}

static void hello(struct covet_request *request, struct covet_response *response) {
    pass_time(request);
    say(request, response, "hello");
}

static void swap(struct covet_request *request, struct covet_response *response) {
    pass_time(request);
    say(request, response, "swap");
}

static void bytes(struct covet_request *request, struct covet_response *response) {
    pass_time(request);
    size_t count = (size_t)number(request, "count");
    uint8_t *memory = covet_request_alloc(request, count + 1);
    if (memory == NULL) {
        (void)covet_response_error(response, 503);
        return;
    }
    sim_pattern_fill(memory, count, number(request, "nonce"), 0);
    (void)covet_response_body(response, "application/octet-stream", memory, count, COVET_REQUEST);
}

// Everything of a request and an answer that takes memory. False: there is none.
static bool use_memory(struct covet_request *request, struct covet_response *response) {
    struct covet_worker *worker = covet_request_worker(request);
    struct covet_span text = covet_request_param(request, "text");
    struct covet_span value = covet_request_query(request, "x");
    char *copy = covet_request_copy(request, text);
    struct covet_arena *arena = covet_arena_create(worker);
    void *shared = covet_alloc(worker, 100);
    bool has_all = value.data != NULL && copy != NULL && arena != NULL && shared != NULL &&
                   covet_request_peer_text(request).data != NULL &&
                   covet_arena_format(arena, "%0200d", 1).data != NULL;
    if (copy != NULL && strcmp(copy, "a b") != 0) {
        sim_fail("a handler got another path");
    }
    if (value.data != NULL && (value.length != 2 || memcmp(value.data, "A ", 2) != 0)) {
        sim_fail("a handler got another query");
    }
    covet_arena_destroy(arena);
    covet_free(shared);
    struct covet_cookie cookie = {.name = "c", .value = "v", .path = "/"};
    (void)covet_response_cookie(response, &cookie);
    return has_all;
}

static void rich(struct covet_request *request, struct covet_response *response) {
    uint64_t nonce = number(request, "nonce");
    if (!use_memory(request, response)) {
        (void)covet_response_error(response, 503);
        return;
    }
    struct covet_json_writer writer;
    struct covet_span text;
    covet_json_writer_init_request(&writer, request);
    (void)covet_json_write_object_begin(&writer);
    (void)covet_json_write_key(&writer, "rich");
    (void)covet_json_write_uint(&writer, nonce);
    (void)covet_json_write_object_end(&writer);
    if (nonce % 2 == 0) {
        (void)covet_response_json_writer(response, &writer);
        return;
    }
    // What the writer could not write fails here too; an answer cannot be refused any more then.
    if (covet_json_writer_finish(&writer, &text) != 0) {
        (void)covet_response_error(response, 503);
        return;
    }
    (void)covet_response_trailer(response, "X-Trailer", "1");
    if (covet_response_begin(response, "application/json", COVET_LENGTH_UNKNOWN) != -EBADMSG) {
        (void)covet_response_write(response, text.data, text.length);
        (void)covet_response_end(response);
    }
}

static enum covet_next before_rich(struct covet_request *request, struct covet_response *response,
                                   void *context) {
    (void)request, (void)context;
    (void)covet_response_header(response, "X-Before", "1");
    return COVET_NEXT;
}

static void after_rich(struct covet_request *request, struct covet_response *response,
                       void *context) {
    (void)request, (void)context;
    (void)covet_response_header(response, "X-After", "1");
}

// Streams.
static void on_abort(struct covet_request *request, void *context) {
    (void)context;
    if (covet_request_aborted(request)) {
        pending--;
        (void)covet_response_cancel(covet_request_response(request));
    }
}

static void pour(struct covet_request *request, struct covet_response *response, void *context) {
    struct stream *stream = context;
    int64_t queued = 0;
    if (stream->at > 0 && !stream->is_above_water) {
        sim_fail("a stream that was not full is told to go on");
    }
    while (stream->at < stream->count && queued <= COVET_HIGH_WATER_BYTES) {
        uint8_t piece[PIECE_BYTES_MAX];
        size_t length = sim_random_size(&sim.random, PIECE_BYTES_MAX);
        length = CV_MIN(length, (size_t)(stream->count - stream->at));
        sim_pattern_fill(piece, length, stream->nonce, stream->at);
        queued = covet_response_write(response, piece, length);
        if (queued < 0) {
            return;  // The client is gone; on_abort has been called, or will be.
        }
        stream->at += length;
        stream->is_above_water = queued > COVET_HIGH_WATER_BYTES;
    }
    if (stream->at == stream->count) {
        pending--;
        (void)covet_response_end(response);
    }
    (void)request;
}

static void begin(struct covet_request *request, struct covet_response *response, bool is_known) {
    struct stream *stream = covet_request_alloc(request, sizeof(*stream));
    if (stream == NULL) {
        (void)covet_response_error(response, 503);
        return;
    }
    pass_time(request);
    *stream = (struct stream){.nonce = number(request, "nonce"), .count = number(request, "count")};
    pending++;
    covet_request_defer(request);
    covet_request_on_abort(request, on_abort, NULL);
    covet_response_on_drain(response, pour, stream);
    if (!is_known && stream->nonce % 8 == 0) {
        (void)covet_response_trailer(response, "X-Trailer", "1");
    }
    int result = covet_response_begin(response, "application/octet-stream",
                                      is_known ? stream->count : COVET_LENGTH_UNKNOWN);
    if (result == 0) {
        pour(request, response, stream);
    } else if (result == -EBADMSG) {
        pending--;  // A 500 was sent in its place.
    }
}

// Given up in the middle: nobody may take a part for the whole.
static void cut(struct covet_request *request, struct covet_response *response) {
    uint64_t nonce = number(request, "nonce");
    uint64_t count = CV_MIN(number(request, "count"), (uint64_t)PIECE_BYTES_MAX);
    uint8_t piece[PIECE_BYTES_MAX];
    sim_pattern_fill(piece, count, nonce, 0);
    if (covet_response_begin(response, "application/octet-stream",
                             nonce % 2 == 0 ? count + 1 : COVET_LENGTH_UNKNOWN) == 0) {
        (void)covet_response_write(response, piece, count);
    }
    (void)covet_response_cancel(response);
}

// Whatever a handler says, 204 and 304 have no body.
static void empty(struct covet_request *request, struct covet_response *response) {
    uint64_t nonce = number(request, "nonce");
    (void)covet_response_status(response, nonce % 2 == 0 ? 204 : 304);
    if (nonce % 4 < 2) {
        (void)covet_response_text(response, "nobody reads this");
    } else if (covet_response_begin(response, "text/plain", COVET_LENGTH_UNKNOWN) == 0) {
        (void)covet_response_write(response, "nor this", 8);
        (void)covet_response_end(response);
    }
}

static void stream_chunked(struct covet_request *request, struct covet_response *response) {
    begin(request, response, false);
}

static void stream_known(struct covet_request *request, struct covet_response *response) {
    begin(request, response, true);
}

// Later.
struct wait {
    struct covet_request *request;  // NULL: the client is gone
    struct covet_timer *timer;
    uint64_t due_ms;
    uint64_t held_ns;
    uint64_t due_ns;
    uint32_t home;
};

static void on_wait_aborted(struct covet_request *request, void *context) {
    struct wait *wait = context;
    if (!covet_request_aborted(request)) {
        return;
    }
    pending--;
    wait->request = NULL;
    (void)covet_response_cancel(covet_request_response(request));
    if (wait->timer != NULL) {
        covet_timer_cancel(wait->timer);
        free(wait);
    }
}

static void answer_later(struct covet_worker *worker, void *context) {
    struct wait *wait = context;
    uint64_t now_ms = covet_worker_now_ms(worker);
    uint64_t held_ms = (sim.held_ns - wait->held_ns) / 1000000;
    uint64_t late_ms = TIMER_LATE_MS_MAX + (held_ms > 0 ? held_ms + CATCH_UP_MS : 0);
    if (wait->timer != NULL && (now_ms < wait->due_ms || now_ms > wait->due_ms + late_ms ||
                                (sim_world.time_scale == 1 && sim.now_ns < wait->due_ns))) {
        sim_fail("a timer of %llu ms expires at %llu ms", (unsigned long long)wait->due_ms,
                 (unsigned long long)now_ms);
    }
    if (wait->request != NULL) {
        pending--;
        say(wait->request, covet_request_response(wait->request),
            wait->timer != NULL ? "later" : "across");
    }
    free(wait);
}

static struct wait *start_waiting(struct covet_request *request) {
    struct wait *wait = calloc(1, sizeof(*wait));
    if (wait == NULL) {
        sim_fail("the simulation itself is out of memory");
    }
    wait->request = request;
    pending++;
    covet_request_defer(request);
    covet_request_on_abort(request, on_wait_aborted, wait);
    return wait;
}

static void later(struct covet_request *request, struct covet_response *response) {
    pass_time(request);
    struct wait *wait = start_waiting(request);
    if (number(request, "nonce") % 4 == 0 && !sim_may(SIM_STOP)) {
        covet_request_on_abort(request, NULL, NULL);  // It answers whether anybody is there or not.
    }
    wait->due_ns = sim.now_ns + number(request, "ms") * 1000000u;
    wait->due_ms = covet_worker_now_ms(covet_request_worker(request)) + number(request, "ms");
    // Its time counts from the beginning of the turn.
    wait->held_ns =
        sim.held_ns - (sim.now_ns - covet_worker_now_ms(covet_request_worker(request)) * 1000000);
    wait->timer =
        covet_timer_start(covet_request_worker(request), number(request, "ms"), answer_later, wait);
    if (wait->timer == NULL) {
        pending--;
        free(wait);
        covet_request_on_abort(request, NULL, NULL);
        (void)covet_response_error(response, 503);
    }
}

static void come_back(struct covet_worker *worker, void *context) {
    struct wait *wait = context;
    if (covet_post(worker, wait->home, answer_later, wait) != 0) {
        sim_event("no way back", wait->home, 0);
        // That worker is at its end, so the request is over or will be; the record is leaked to it.
    }
}

static void across(struct covet_request *request, struct covet_response *response) {
    struct covet_worker *worker = covet_request_worker(request);
    struct wait *wait = start_waiting(request);
    uint32_t there = sim_random_below(&sim.random, covet_worker_count(worker));
    wait->home = covet_worker_index(worker);
    if (covet_post(worker, there, come_back, wait) != 0) {
        pending--;
        free(wait);
        covet_request_on_abort(request, NULL, NULL);
        say(request, response, "across");
    }
}

// Bodies.
static void echo(struct covet_request *request, struct covet_response *response) {
    pass_time(request);
    struct covet_span body = covet_request_body(request);
    if (!sim_pattern_is((const uint8_t *)body.data, body.length, number(request, "nonce"), 0)) {
        sim_fail("a handler got another body than was sent");
    }
    (void)covet_response_body(response, "application/octet-stream", body.data, body.length,
                              COVET_REQUEST);
}

static void say_taken(struct covet_request *request, uint64_t count) {
    char text[64];
    char *end = sim_text_number(sim_text_put(text, "took "), count, 10);
    pending--;
    (void)covet_response_bytes(covet_request_response(request), "text/plain", text,
                               (size_t)(end - text));
}

static void resume(struct covet_worker *worker, void *context) {
    struct covet_request *request = context;
    (void)worker;
    covet_request_set_user_data(request, NULL);
    int64_t count = covet_request_content_length(request);
    if (count >= 0 && sim_random_chance(&sim.random, 300)) {
        // The right answer, without hearing the rest.
        say_taken(request, (uint64_t)count);
        return;
    }
    covet_request_pause_body(request, false);
}

static void on_body(struct covet_request *request, const void *data, size_t length, bool last,
                    void *context) {
    struct stream *stream = context;
    if (covet_request_user_data(request) != NULL) {
        sim_fail("a body goes on while it is paused");
    }
    if (!sim_pattern_is(data, length, stream->nonce, stream->at)) {
        sim_fail("a handler got other bytes than were sent");
    }
    stream->at += length;
    if (last) {
        say_taken(request, stream->at);
    } else if (sim_strikes(SIM_SLOW, 20) && covet_request_user_data(request) == NULL) {
        struct covet_timer *timer = covet_timer_start(
            covet_request_worker(request), sim_random_below(&sim.random, 100), resume, request);
        covet_request_set_user_data(request, timer);
        covet_request_pause_body(request, timer != NULL);
    }
}

static void on_upload_aborted(struct covet_request *request, void *context) {
    (void)context;
    if (covet_request_aborted(request)) {
        pending--;
        covet_timer_cancel(covet_request_user_data(request));
        (void)covet_response_cancel(covet_request_response(request));
    }
}

static void upload(struct covet_request *request, struct covet_response *response) {
    struct stream *stream = covet_request_alloc(request, sizeof(*stream));
    if (stream == NULL) {
        (void)covet_response_error(response, 503);
        return;
    }
    *stream = (struct stream){.nonce = number(request, "nonce")};
    pending++;
    covet_request_on_abort(request, on_upload_aborted, NULL);
    if (covet_request_on_body(request, on_body, stream) != 0) {
        sim_fail("a body cannot be streamed");
    }
}

// Both ways at once.
struct relay {
    uint64_t nonce;
    uint64_t at;
    bool is_paused;
};

static void go_on(struct covet_request *request, struct covet_response *response, void *context) {
    struct relay *relay = context;
    (void)response;
    if (relay->is_paused) {
        relay->is_paused = false;
        covet_request_pause_body(request, false);
    }
}

static void pass_on(struct covet_request *request, const void *data, size_t length, bool last,
                    void *context) {
    struct relay *relay = context;
    struct covet_response *response = covet_request_response(request);
    if (relay->is_paused) {
        sim_fail("a body goes on while it is paused");
    }
    if (!sim_pattern_is(data, length, relay->nonce, relay->at)) {
        sim_fail("a handler got other bytes than were sent");
    }
    relay->at += length;
    int64_t queued = length > 0 ? covet_response_write(response, data, length) : 0;
    if (queued < 0) {
        return;  // on_abort has been called, or will be.
    }
    if (last) {
        pending--;
        (void)covet_response_end(response);
    } else if (queued > COVET_HIGH_WATER_BYTES) {
        relay->is_paused = true;
        covet_request_pause_body(request, true);
    }
}

static void relay_body(struct covet_request *request, struct covet_response *response) {
    struct relay *relay = covet_request_alloc(request, sizeof(*relay));
    int64_t length = covet_request_content_length(request);
    if (relay == NULL) {
        (void)covet_response_error(response, 503);
        return;
    }
    *relay = (struct relay){.nonce = number(request, "nonce")};
    pending++;
    covet_request_on_abort(request, on_abort, NULL);
    covet_response_on_drain(response, go_on, relay);
    if (covet_request_on_body(request, pass_on, relay) != 0) {
        sim_fail("a body cannot be streamed");
    }
    (void)covet_response_begin(response, "application/octet-stream",
                               length >= 0 ? (uint64_t)length : COVET_LENGTH_UNKNOWN);
}

static void early(struct covet_request *request, struct covet_response *response) {
    say(request, response, "early");
}

static int add(struct covet_app *app, unsigned methods, const char *pattern,
               covet_handler_fn handler, int stream_body) {
    struct covet_route_options options = {
        .methods = methods, .pattern = pattern, .handler = handler, .stream_body = stream_body};
    return covet_route_with(app, &options);
}

static void on_started(struct covet_worker *worker, void *context) {
    (void)context;
    sim_event("started", covet_worker_index(worker), 0);
}

static int on_worker(struct covet_worker *worker, void *context) {
    (void)context;
    pools[covet_worker_index(worker)] = worker->env->pool;
    // What is left of the application's time is taken from it when it goes.
    (void)covet_timer_start(worker, STARTED_MS, on_started, NULL);
    return 0;
}

int sim_application_init(struct covet_app *app) {
    static const struct {
        unsigned methods;
        const char *pattern;
        covet_handler_fn handler;
        int stream_body;
    } routes[] = {
        {COVET_GET, "/hello/{nonce:int}", hello, 0},
        {COVET_GET, "/swap/{nonce:int}", swap, 0},
        {COVET_GET, "/bytes/{nonce:int}/{count:int}", bytes, 0},
        {COVET_GET, "/stream/{nonce:int}/{count:int}", stream_chunked, 0},
        {COVET_GET, "/known/{nonce:int}/{count:int}", stream_known, 0},
        {COVET_GET, "/empty/{nonce:int}", empty, 0},
        {COVET_GET, "/cut/{nonce:int}/{count:int}", cut, 0},
        {COVET_GET, "/later/{nonce:int}/{ms:int}", later, 0},
        {COVET_GET, "/across/{nonce:int}", across, 0},
        {COVET_POST, "/echo/{nonce:int}", echo, 0},
        {COVET_POST, "/upload/{nonce:int}", upload, 1},
        {COVET_POST, "/early/{nonce:int}", early, 1},
        {COVET_POST, "/relay/{nonce:int}", relay_body, 1},
    };
    for (size_t i = 0; i < CV_ARRAY_COUNT(routes); i++) {
        int status = add(app, routes[i].methods, routes[i].pattern, routes[i].handler,
                         routes[i].stream_body);
        if (status != 0) {
            return status;
        }
    }
    struct covet_group *group = covet_group(app, "/rich");
    (void)covet_group_use(group, before_rich, after_rich, NULL);
    (void)covet_group_route(group, COVET_GET, "/{nonce:int}/{text}", rich, NULL);
    return covet_on_worker(app, on_worker, NULL, pools);
}

int sim_application_swap(struct covet_app *app) {
    struct covet_route_options options = {
        .methods = COVET_GET, .pattern = "/swap/{nonce:int}", .handler = swap};
    int status = covet_route_replace(app, &options);
    if (status != 0 && status != -EAGAIN && status != -ENOMEM) {
        sim_fail("a route cannot be replaced: %d", status);
    }
    return status == -ENOMEM ? status : 0;
}

const struct cv_pool *sim_application_pool(uint32_t worker) {
    return pools[worker];
}

unsigned sim_application_pending(void) {
    return pending;
}
