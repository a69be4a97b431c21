/* What is served while covet is soaked: every answer follows from the nonce in its target, or from
 * SOAK_VERSION, which tells apart two builds of this module that replace each other.
 *
 *     GET  /hello/N, /load             "hello N", "load"
 *     GET  /params/N/{name}/{rest...}  what was read from path and query, as JSON
 *     GET  /version/N, /colour/N       "version V N"; "red N" or "blue N", as the admin address
 * said GET  /steady/N/{ms}              "V N\n" twice, so many milliseconds apart GET
 * /later/N/{ms}, /across/N    "later N" from a timer; "across N", by way of another worker GET
 * /busy/N/{us}                keeps its worker that long: "busy N" GET  /known/N/{count} noise of N
 * with its length, /stream/N/{count}: in chunks POST /echo/N, /mirror/N          the body back: at
 * the end, or as it comes POST /upload/N?pause={ms}        whether the body was the noise of N:
 * "took COUNT" or "torn at BYTE" POST /json/N                     {"values":[...]} answered with
 * their count and sum GET  /pending                    requests kept by handlers, and blocks on
 * their way between workers
 *
 * Every answer carries X-Version. Noise has no period a buffer could have, so bytes of the wrong
 * place show; tests/soak/noise.py makes the same.
 */
#include <covet.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifndef SOAK_VERSION
#error "SOAK_VERSION must be 1 or 2"
#endif

#define NOISE_PERIOD 262139u /* A prime. */
#define PIECE_BYTES_MAX 16384u
#define BODY_BYTES_MAX (5u << 20)

static unsigned char noise[NOISE_PERIOD + PIECE_BYTES_MAX];
static atomic_int pending;

static void make_noise(void) {
    uint64_t state = 1;

    for (size_t i = 0; i < NOISE_PERIOD; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        noise[i] = (unsigned char)(state >> 56);
    }
    memcpy(noise + NOISE_PERIOD, noise, PIECE_BYTES_MAX);
}

/* PIECE_BYTES_MAX bytes may be read there. */
static const unsigned char *noise_at(uint64_t nonce, uint64_t offset) {
    return noise + (nonce * 7919 + offset) % NOISE_PERIOD;
}

static uint64_t number(const struct covet_request *request, const char *name) {
    int64_t value = 0;

    covet_request_param_int(request, name, &value);
    return (uint64_t)value;
}

static uint64_t nonce_of(const struct covet_request *request) {
    return number(request, "nonce");
}

static void say(struct covet_request *request, const char *what) {
    char text[64];

    snprintf(text, sizeof(text), "%s %" PRIu64 "\n", what, nonce_of(request));
    covet_response_text(covet_request_response(request), text);
}

static void say_context(struct covet_request *request, struct covet_response *response) {
    (void)response;
    say(request, covet_request_context(request));
}

static void version(struct covet_request *request, struct covet_response *response) {
    char text[32];

    (void)response;
    snprintf(text, sizeof(text), "version %d", SOAK_VERSION);
    say(request, text);
}

static void load(struct covet_request *request, struct covet_response *response) {
    (void)request;
    covet_response_body(response, "text/plain", "load\n", 5, COVET_STATIC);
}

static void params(struct covet_request *request, struct covet_response *response) {
    struct covet_json_writer writer;

    covet_json_writer_init_request(&writer, request);
    covet_json_write_object_begin(&writer);
    covet_json_write_key(&writer, "nonce");
    covet_json_write_int(&writer, (int64_t)nonce_of(request));
    covet_json_write_key(&writer, "name");
    covet_json_write_span(&writer, covet_request_param(request, "name"));
    covet_json_write_key(&writer, "rest");
    covet_json_write_span(&writer, covet_request_param(request, "rest"));
    covet_json_write_key(&writer, "query");
    covet_json_write_span(&writer, covet_request_query(request, "q"));
    covet_json_write_object_end(&writer);
    covet_response_json_writer(response, &writer);
}

struct question {
    int64_t *values;
    size_t count;
};

struct sums {
    int64_t nonce;
    uint64_t count;
    int64_t sum;
};

COVET_JSON(question_json, struct question, COVET_JSON_ARRAY(struct question, values, count));
COVET_JSON(sums_json, struct sums, COVET_JSON_FIELD(struct sums, nonce),
           COVET_JSON_FIELD(struct sums, count), COVET_JSON_FIELD(struct sums, sum));

static void add_up(struct covet_request *request, struct covet_response *response) {
    struct question question;
    struct sums sums = {(int64_t)nonce_of(request), 0, 0};

    if (covet_request_json(request, &question_json, &question) != 0)
        return;
    for (size_t i = 0; i < question.count; i++)
        sums.sum += question.values[i];
    sums.count = question.count;
    covet_response_json_struct(response, &sums_json, &sums);
}

static void busy(struct covet_request *request, struct covet_response *response) {
    struct timespec start, now;
    uint64_t most_ns = number(request, "us") * 1000;

    (void)response;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while ((uint64_t)((now.tv_sec - start.tv_sec) * 1000000000 + now.tv_nsec - start.tv_nsec) <
           most_ns);
    say(request, "busy");
}

/* Requests that are kept. Whoever keeps one learns from this that its client has left. */
struct kept {
    struct covet_request *request; /* NULL: the client is gone */
    struct covet_timer *timer;
    uint64_t at, count;
    uint64_t pause_ms;
    uint64_t torn_at;
    uint32_t home;
};

static struct kept *keep(struct covet_request *request, covet_abort_fn on_abort) {
    struct kept *kept = covet_request_alloc(request, sizeof(*kept));

    if (kept == NULL) {
        covet_response_error(covet_request_response(request), 503);
        return NULL;
    }
    *kept = (struct kept){.request = request, .torn_at = UINT64_MAX};
    atomic_fetch_add(&pending, 1);
    covet_request_on_abort(request, on_abort, kept);
    return kept;
}

static void give_up(struct covet_request *request, void *context) {
    struct kept *kept = context;

    if (!covet_request_aborted(request))
        return;
    atomic_fetch_sub(&pending, 1);
    covet_timer_cancel(kept->timer);
    covet_response_cancel(covet_request_response(request));
}

/* Later. */
static void answer_later(struct covet_worker *worker, void *context) {
    struct kept *kept = context;

    (void)worker;
    atomic_fetch_sub(&pending, 1);
    say(kept->request, "later");
}

static void later(struct covet_request *request, struct covet_response *response) {
    struct kept *kept = keep(request, give_up);

    (void)response;
    if (kept == NULL)
        return;
    covet_request_defer(request);
    kept->timer =
        covet_timer_start(covet_request_worker(request), number(request, "ms"), answer_later, kept);
}

static void write_version(struct covet_request *request, struct covet_response *response) {
    char text[64];
    int length = snprintf(text, sizeof(text), "%d %" PRIu64 "\n", SOAK_VERSION, nonce_of(request));

    covet_response_write(response, text, (size_t)length);
}

static void end_steady(struct covet_worker *worker, void *context) {
    struct kept *kept = context;
    struct covet_response *response = covet_request_response(kept->request);

    (void)worker;
    atomic_fetch_sub(&pending, 1);
    write_version(kept->request, response);
    covet_response_end(response);
}

static void steady(struct covet_request *request, struct covet_response *response) {
    struct kept *kept = keep(request, give_up);

    if (kept == NULL)
        return;
    covet_response_begin(response, "text/plain", COVET_LENGTH_UNKNOWN);
    write_version(request, response);
    kept->timer =
        covet_timer_start(covet_request_worker(request), number(request, "ms"), end_steady, kept);
}

/* Across: a block of the request's worker goes to another one and back. */
static void leave_across(struct covet_request *request, void *context) {
    struct kept *kept = context;

    if (!covet_request_aborted(request))
        return;
    kept->request = NULL;
    covet_response_cancel(covet_request_response(request));
}

static void come_home(struct covet_worker *worker, void *context) {
    struct kept *kept = context;

    (void)worker;
    if (kept->request != NULL)
        say(kept->request, "across");
    atomic_fetch_sub(&pending, 1);
    covet_free(kept);
}

/* A worker that has no room for the message yet is asked again from a timer. */
static void send_home(struct covet_worker *worker, void *context) {
    struct kept *kept = context;

    if (covet_post(worker, kept->home, come_home, kept) != 0)
        covet_timer_start(worker, 1, send_home, kept);
}

static void across(struct covet_request *request, struct covet_response *response) {
    struct covet_worker *worker = covet_request_worker(request);
    uint32_t home = covet_worker_index(worker);
    struct kept *kept = covet_alloc(worker, sizeof(*kept));

    if (kept == NULL) {
        covet_response_error(response, 503);
        return;
    }
    *kept = (struct kept){.request = request, .home = home};
    if (covet_post(worker, (home + 1) % covet_worker_count(worker), send_home, kept) != 0) {
        covet_free(kept); /* That worker is about to change to another generation. */
        say(request, "across");
        return;
    }
    atomic_fetch_add(&pending, 1);
    covet_request_on_abort(request, leave_across, kept);
    covet_request_defer(request);
}

/* Downloads. */
static void pour(struct covet_request *request, struct covet_response *response, void *context) {
    struct kept *kept = context;
    uint64_t nonce = nonce_of(request);
    int64_t queued = 0;

    while (kept->at < kept->count && queued <= COVET_HIGH_WATER_BYTES) {
        uint64_t length = 1 + (kept->at * 31 + nonce) % PIECE_BYTES_MAX;

        if (length > kept->count - kept->at)
            length = kept->count - kept->at;
        queued = covet_response_write(response, noise_at(nonce, kept->at), (size_t)length);
        if (queued < 0)
            return; /* The client is gone: give_up knows or will know. */
        kept->at += length;
    }
    if (kept->at == kept->count) {
        atomic_fetch_sub(&pending, 1);
        covet_response_end(response);
    }
}

static void download(struct covet_request *request, struct covet_response *response,
                     uint64_t length) {
    struct kept *kept = keep(request, give_up);

    if (kept == NULL)
        return;
    kept->count = number(request, "count");
    covet_response_on_drain(response, pour, kept);
    covet_response_begin(response, "application/octet-stream", length);
    pour(request, response, kept);
}

static void known(struct covet_request *request, struct covet_response *response) {
    download(request, response, number(request, "count"));
}

static void stream(struct covet_request *request, struct covet_response *response) {
    download(request, response, COVET_LENGTH_UNKNOWN);
}

/* Bodies. */
static void echo(struct covet_request *request, struct covet_response *response) {
    struct covet_span body = covet_request_body(request);

    covet_response_body(response, "application/octet-stream", body.data, body.length,
                        COVET_REQUEST);
}

static void go_on(struct covet_request *request, struct covet_response *response, void *context) {
    (void)response;
    (void)context;
    covet_request_pause_body(request, false);
}

static void reflect(struct covet_request *request, const void *data, size_t length, bool last,
                    void *context) {
    struct covet_response *response = covet_request_response(request);
    int64_t queued = covet_response_write(response, data, length);

    (void)context;
    if (queued < 0)
        return;
    if (last) {
        atomic_fetch_sub(&pending, 1);
        covet_response_end(response);
    } else if (queued > COVET_HIGH_WATER_BYTES) {
        covet_request_pause_body(request, true);
    }
}

static void mirror(struct covet_request *request, struct covet_response *response) {
    struct kept *kept = keep(request, give_up);

    if (kept == NULL)
        return;
    covet_request_on_body(request, reflect, kept);
    covet_response_on_drain(response, go_on, kept);
    covet_response_begin(response, "application/octet-stream", COVET_LENGTH_UNKNOWN);
}

static void rest_is_over(struct covet_worker *worker, void *context) {
    struct kept *kept = context;

    (void)worker;
    kept->timer = NULL;
    /* May call take, which may finish the request: nothing after this may touch it. */
    covet_request_pause_body(kept->request, false);
}

static void take(struct covet_request *request, const void *data, size_t length, bool last,
                 void *context) {
    struct kept *kept = context;
    char text[64];

    for (size_t done = 0, piece; done < length; done += piece) {
        const unsigned char *wanted = noise_at(nonce_of(request), kept->at);

        piece = length - done < PIECE_BYTES_MAX ? length - done : PIECE_BYTES_MAX;
        if (kept->torn_at == UINT64_MAX && memcmp((const char *)data + done, wanted, piece) != 0)
            kept->torn_at = kept->at;
        kept->at += piece;
    }
    if (last) {
        bool is_torn = kept->torn_at != UINT64_MAX;

        snprintf(text, sizeof(text), "%s %" PRIu64 "\n", is_torn ? "torn at" : "took",
                 is_torn ? kept->torn_at : kept->at);
        atomic_fetch_sub(&pending, 1);
        covet_timer_cancel(kept->timer);
        covet_response_text(covet_request_response(request), text);
    } else if (kept->pause_ms > 0 && kept->timer == NULL) {
        kept->timer =
            covet_timer_start(covet_request_worker(request), kept->pause_ms, rest_is_over, kept);
        covet_request_pause_body(request, kept->timer != NULL);
    }
}

static void upload(struct covet_request *request, struct covet_response *response) {
    struct covet_span pause = covet_request_query(request, "pause");
    struct kept *kept = keep(request, give_up);

    (void)response;
    if (kept == NULL)
        return;
    for (size_t i = 0; i < pause.length; i++)
        kept->pause_ms = kept->pause_ms * 10 + (uint64_t)(pause.data[i] - '0');
    covet_request_on_body(request, take, kept);
}

static void show_pending(struct covet_request *request, struct covet_response *response) {
    char text[32];

    (void)request;
    snprintf(text, sizeof(text), "%d\n", atomic_load(&pending));
    covet_response_text(response, text);
}

static enum covet_next stamp(struct covet_request *request, struct covet_response *response,
                             void *context) {
    (void)request;
    covet_response_header(response, "X-Version", context);
    return COVET_NEXT;
}

static int take_bodies(struct covet_app *app, const char *pattern, covet_handler_fn handler,
                       int is_streamed) {
    struct covet_route_options options = {0};

    options.methods = COVET_POST;
    options.pattern = pattern;
    options.handler = handler;
    options.stream_body = is_streamed;
    options.body_bytes_max = BODY_BYTES_MAX;
    return covet_route_with(app, &options);
}

COVET_MODULE;

/* A registration that fails is remembered by the application, which is then refused. */
int covet_module_init(struct covet_app *app) {
    make_noise();
    covet_use(app, stamp, NULL, SOAK_VERSION == 1 ? "1" : "2");
    covet_route(app, COVET_GET, "/load", load, NULL);
    covet_route(app, COVET_GET, "/hello/{nonce:int}", say_context, "hello");
    covet_route(app, COVET_GET, "/params/{nonce:int}/{name}/{rest...}", params, NULL);
    covet_route(app, COVET_GET, "/version/{nonce:int}", version, NULL);
    covet_route(app, COVET_GET, "/colour/{nonce:int}", say_context, "red");
    covet_route(app, COVET_GET, "/steady/{nonce:int}/{ms:int}", steady, NULL);
    covet_route(app, COVET_GET, "/later/{nonce:int}/{ms:int}", later, NULL);
    covet_route(app, COVET_GET, "/across/{nonce:int}", across, NULL);
    covet_route(app, COVET_GET, "/busy/{nonce:int}/{us:int}", busy, NULL);
    covet_route(app, COVET_GET, "/known/{nonce:int}/{count:int}", known, NULL);
    covet_route(app, COVET_GET, "/stream/{nonce:int}/{count:int}", stream, NULL);
    covet_route(app, COVET_POST, "/json/{nonce:int}", add_up, NULL);
    covet_route(app, COVET_GET, "/pending", show_pending, NULL);
    take_bodies(app, "/echo/{nonce:int}", echo, 0);
    take_bodies(app, "/mirror/{nonce:int}", mirror, 1);
    take_bodies(app, "/upload/{nonce:int}", upload, 1);
    covet_handler(app, "red", say_context, "red");
    return covet_handler(app, "blue", say_context, "blue");
}
