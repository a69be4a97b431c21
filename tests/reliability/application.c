/* The application of the reliability figures: a module that run.py builds and loads.
 *
 *     GET  /healthz         ok
 *     GET  /nonce/{nonce}   the nonce
 *     POST /echo            the body
 *     GET  /large           LARGE_BYTES that lie in memory
 *     GET  /stream          as many, made only as fast as the client reads them
 */
#include <covet.h>
#include <errno.h>

#define LARGE_BYTES (100u << 20)
#define PIECE_BYTES 16384u

static char large[LARGE_BYTES]; /* Never written, so it takes no memory. */

static void healthz(struct covet_request *request, struct covet_response *response) {
    (void)request;
    covet_response_text(response, "ok");
}

static void nonce(struct covet_request *request, struct covet_response *response) {
    struct covet_span text = covet_request_param(request, "nonce");

    covet_response_bytes(response, "text/plain", text.data, text.length);
}

static void echo(struct covet_request *request, struct covet_response *response) {
    struct covet_span body = covet_request_body(request);

    covet_response_body(response, "application/octet-stream", body.data, body.length,
                        COVET_REQUEST);
}

static void answer_large(struct covet_request *request, struct covet_response *response) {
    (void)request;
    covet_response_body(response, "application/octet-stream", large, sizeof(large), COVET_STATIC);
}

/* Writes until the queue is full or all is written. Called by the handler, then from on_drain. */
static void write_pieces(struct covet_request *request, struct covet_response *response,
                         void *context) {
    size_t *left = context;
    int64_t queued = 0;

    (void)request;
    while (*left > 0 && queued <= COVET_HIGH_WATER_BYTES) {
        queued = covet_response_write(response, large, PIECE_BYTES);
        if (queued == -EAGAIN)
            return;
        if (queued < 0) {
            covet_response_cancel(response);
            return;
        }
        *left -= PIECE_BYTES;
    }
    if (*left == 0)
        covet_response_end(response);
}

static void stream(struct covet_request *request, struct covet_response *response) {
    size_t *left = covet_request_alloc(request, sizeof(*left));

    if (left == NULL) {
        covet_response_error(response, 500);
        return;
    }
    *left = sizeof(large);
    covet_response_on_drain(response, write_pieces, left);
    if (covet_response_begin(response, "application/octet-stream", COVET_LENGTH_UNKNOWN) !=
        -EBADMSG)
        write_pieces(request, response, left);
}

COVET_MODULE;

int covet_module_init(struct covet_app *app) {
    covet_route(app, COVET_GET, "/healthz", healthz, NULL);
    covet_route(app, COVET_GET, "/nonce/{nonce}", nonce, NULL);
    covet_route(app, COVET_POST, "/echo", echo, NULL);
    covet_route(app, COVET_GET, "/large", answer_large, NULL);
    return covet_route(app, COVET_GET, "/stream", stream, NULL);
}
