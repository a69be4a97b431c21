/* Streams both ways.
 *
 *     GET  /lines/{count:int}  that many numbered lines, made only as fast as the client reads them
 *     POST /count              counts the bytes of a body of any size without ever holding it
 *     POST /slow               the same, but reads 64 KiB at most every 100 ms
 */
#include <covet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

struct lines {
    int64_t next;
    int64_t count;
};

/* Writes until the queue is full or all is written. Called by the handler, then from on_drain. */
static void write_lines(struct covet_request *request, struct covet_response *response,
                        void *context) {
    struct lines *lines = context;
    char text[32];

    (void)request;
    while (lines->next <= lines->count) {
        int length = snprintf(text, sizeof(text), "line %" PRId64 "\n", lines->next);
        int64_t queued = covet_response_write(response, text, (size_t)length);

        if (queued == -EAGAIN)
            return;
        if (queued < 0) {
            covet_response_cancel(response);
            return;
        }
        lines->next++;
        if (queued > COVET_HIGH_WATER_BYTES)
            return;
    }
    covet_response_end(response);
}

static void send_lines(struct covet_request *request, struct covet_response *response) {
    struct lines *lines = covet_request_alloc(request, sizeof(*lines));

    if (lines == NULL) {
        covet_response_error(response, 500);
        return;
    }
    lines->next = 1;
    covet_request_param_int(request, "count", &lines->count);
    covet_response_on_drain(response, write_lines, lines);
    if (covet_response_begin(response, "text/plain", COVET_LENGTH_UNKNOWN) != -EBADMSG)
        write_lines(request, response, lines);
}

struct count {
    uint64_t bytes;
    uint64_t since_pause;
    struct covet_timer *timer;
    struct covet_request *request;
};

static struct count *new_count(struct covet_request *request, struct covet_response *response) {
    struct count *count = covet_request_alloc(request, sizeof(*count));

    if (count == NULL) {
        covet_response_error(response, 500);
        return NULL;
    }
    *count = (struct count){0};
    count->request = request;
    return count;
}

static void answer_count(struct covet_request *request, const struct count *count) {
    char text[32];

    snprintf(text, sizeof(text), "%" PRIu64 "\n", count->bytes);
    covet_response_text(covet_request_response(request), text);
}

static void count_bytes(struct covet_request *request, const void *data, size_t length, bool last,
                        void *context) {
    struct count *count = context;

    (void)data;
    count->bytes += length;
    if (last)
        answer_count(request, count);
}

static void start_count(struct covet_request *request, struct covet_response *response) {
    struct count *count = new_count(request, response);

    if (count != NULL)
        covet_request_on_body(request, count_bytes, count);
}

static void go_on(struct covet_worker *worker, void *context) {
    struct count *count = context;

    (void)worker;
    count->timer = NULL;
    count->since_pause = 0;
    /* May call count_slowly, which may finish the request: nothing after this may touch it. */
    covet_request_pause_body(count->request, false);
}

static void count_slowly(struct covet_request *request, const void *data, size_t length, bool last,
                         void *context) {
    struct count *count = context;

    (void)data;
    count->bytes += length;
    count->since_pause += length;
    if (last) {
        covet_timer_cancel(count->timer);
        answer_count(request, count);
    } else if (count->timer == NULL && count->since_pause >= 65536) {
        count->timer = covet_timer_start(covet_request_worker(request), 100, go_on, count);
        covet_request_pause_body(request, count->timer != NULL);
    }
}

/* The timer holds the request too, so its end must be known. */
static void stop_counting(struct covet_request *request, void *context) {
    struct count *count = context;

    if (!covet_request_aborted(request))
        return;
    covet_timer_cancel(count->timer);
    covet_response_cancel(covet_request_response(request));
}

static void start_slow_count(struct covet_request *request, struct covet_response *response) {
    struct count *count = new_count(request, response);

    if (count == NULL)
        return;
    covet_request_on_abort(request, stop_counting, count);
    covet_request_on_body(request, count_slowly, count);
}

static int add_stream(struct covet_app *app, const char *pattern, covet_handler_fn handler) {
    struct covet_route_options options = {0};

    options.methods = COVET_POST;
    options.pattern = pattern;
    options.handler = handler;
    options.stream_body = 1;
    options.body_bytes_max = UINT64_MAX;
    return covet_route_with(app, &options);
}

COVET_MODULE;

int covet_module_init(struct covet_app *app) {
    covet_route(app, COVET_GET, "/lines/{count:int}", send_lines, NULL);
    add_stream(app, "/count", start_count);
    return add_stream(app, "/slow", start_slow_count);
}
