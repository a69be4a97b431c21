// One request as the application layer holds it: what <covet/request.h> shows to handlers, and the
// calls a protocol makes. The protocol owns the memory (it embeds struct covet_request) and calls,
// on the owning worker's thread only:
//
//     cv_request_init      once for the memory, which may hold many requests one after the other
//     cv_request_begin     the head is parsed
//     cv_request_route     which route, how its body is taken
//     cv_request_pin       the request will outlive this turn of the loop, or may
//     cv_request_run       middleware and handler, once: with the whole body, or before it
//     cv_request_body      streamed bodies only: bytes as they come, `last` exactly once
//     cv_request_drained   output fell to half of CV_SINK_HIGH_WATER_BYTES from above it
//     cv_request_half_closed   the client sends no more; it may have left; at most once
//     cv_request_aborted   the client left before the answer was complete, at most once
//     cv_request_deinit    nothing of the request is referred to any more; unpins. The memory can
//                          begin another one
//
// A handler finishes a request by answering, ending a stream, or cancelling; the protocol learns
// that through the sink. Until then the request stays valid, the client gone or not. The protocol
// may call cv_request_deinit as soon as it is finished, from inside the sink's operation too, but
// not before cv_request_run returned: the handler may still look at the request.
#ifndef CV_APP_REQUEST_H
#define CV_APP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <covet/request.h>

#include "app/context.h"
#include "app/response.h"
#include "app/router.h"
#include "app/sink.h"
#include "base/assert.h"
#include "base/span.h"
#include "http/parser.h"
#include "mem/arena.h"

enum cv_request_state {
    CV_REQUEST_NEW,       // Before cv_request_run.
    CV_REQUEST_RUNNING,   // Inside the handler's call.
    CV_REQUEST_DEFERRED,  // The handler kept it, or streams.
    CV_REQUEST_FINISHED,  // Answered, ended or cancelled.
};

enum cv_request_outcome {  // Of cv_request_route: who answers.
    CV_REQUEST_HANDLER,
    CV_REQUEST_BAD_PATH,         // 400
    CV_REQUEST_NO_ROUTE,         // 404
    CV_REQUEST_OTHER_METHODS,    // 405, or 204 to OPTIONS
    CV_REQUEST_ALL_METHODS,      // OPTIONS *
    CV_REQUEST_NOT_IMPLEMENTED,  // CONNECT
    CV_REQUEST_NO_MEMORY,        // 503
};

struct covet_request {
    struct cv_sink *sink;               // borrowed until cv_request_deinit
    struct covet_worker *worker;        // borrowed; its generation stays as the router does
    const char *base;                   // borrowed: first byte of the head
    const struct cv_parser_head *head;  // borrowed
    struct cv_router *router;           // borrowed for the turn, or pinned; NULL before route
    struct cv_arena arena;              // owned
    struct cv_timer notice;             // An abort notice that had to wait for the next turn.
    const struct cv_middleware *chain;  // borrowed from the generation; void without `chain_count`
    // What belongs to a function below, and is void without it.
    void *on_body_context;
    void *on_abort_context;
    void *on_drain_context;
    // From here to `match` all is zero at first.
    struct cv_span path;   // Decoded.
    struct cv_span body;   // Whole bodies: set before cv_request_run.
    uint8_t state;         // enum cv_request_state
    uint8_t outcome;       // enum cv_request_outcome
    bool path_in_head;     // `path` and the parameters lie in the head.
    bool body_complete;    // Streamed bodies: the last byte was delivered.
    bool running;          // Inside cv_request_run.
    bool body_paused;      // As the handler wishes.
    bool body_pause_told;  // As the sink knows.
    bool aborted;
    bool abort_told;
    bool in_sink;     // Inside the sink's begin or write.
    bool deferred;    // By covet_request_defer.
    bool pinned;      // Router and generation, until cv_request_deinit.
    uint8_t entered;  // Middleware of the chain that ran on the way in.
    uint8_t chain_count;
    bool *gone;  // Set by cv_request_deinit inside on_body; or NULL.
    // Set by the handler through <covet/request.h> and <covet/response.h>.
    covet_body_fn on_body;
    covet_abort_fn on_abort;
    covet_drain_fn on_drain;
    void *user_data;
    struct cv_match match;  // `route` is NULL when no handler takes the request.
    struct covet_response response;
};

enum cv_request_plan {
    CV_REQUEST_BODY_WHOLE,   // Collect it, set `body`, then run.
    CV_REQUEST_BODY_STREAM,  // Run now, then cv_request_body.
};

// `worker` is that of all the memory's requests.
void cv_request_init(struct covet_request *request, struct covet_worker *worker,
                     struct cv_sink *sink, const struct cv_parser_head *head);

// `base` is the first byte of the head, which is parsed.
static inline void cv_request_begin(struct covet_request *request, const char *base) {
    request->base = base;
    request->router = NULL;
    // In parts that GCC clears without a loop.
    memset(&request->path, 0,
           offsetof(struct covet_request, on_body) - offsetof(struct covet_request, path));
    memset(&request->on_body, 0,
           offsetof(struct covet_request, match) - offsetof(struct covet_request, on_body));
    // Not the parameters' place, which is most of the whole.
    memset(&request->match, 0, offsetof(struct cv_match, param));
    cv_response_init(&request->response);
}

// Finds the route; its table and generation stay until the turn of the loop ends. Also right for
// paths without a route (404), with other methods (405, OPTIONS) or that cannot be decoded (400):
// cv_request_run then answers, and the plan is CV_REQUEST_BODY_STREAM, so that no body is collected
// for nobody.
enum cv_request_plan cv_request_route(struct covet_request *request);

// The longest body it may have, once it is routed.
uint64_t cv_request_body_bytes_max(const struct covet_request *request);

// Pins the table and the generation until cv_request_deinit. Needed, after cv_request_route, for a
// request that is not over when the turn is. Once per request.
void cv_request_pin(struct covet_request *request);

// The rest of cv_request_run: calls that need more than the handler, and their end when the request
// is not finished.
void cv_request_call(struct covet_request *request);
void cv_request_settle(struct covet_request *request);

// Runs middleware and handler. A handler that neither answers nor defers gets a 500 sent and
// logged.
static inline void cv_request_run(struct covet_request *request) {
    struct cv_env *env = request->worker->env;

    CV_ASSERT(request->state == CV_REQUEST_NEW && request->router != NULL);
    request->state = CV_REQUEST_RUNNING;
    request->running = true;
    // Behind the first handler of a delivery, without middleware.
    if (CV_LIKELY(env->handled_ticks != 0 && request->chain_count == 0 &&
                  request->outcome == CV_REQUEST_HANDLER)) {
        env->handled_count++;
        request->match.route->handler(request, &request->response);
    } else {
        cv_request_call(request);
    }
    request->running = false;
    if (CV_UNLIKELY(request->state != CV_REQUEST_FINISHED))
        cv_request_settle(request);
}

// `last` comes exactly once while the request is not finished, with an empty `data` if need be,
// also for requests without a body. Ignored when finished or aborted. The request may be gone
// afterwards.
void cv_request_body(struct covet_request *request, struct cv_span data, bool last);

// Both: the request may be finished, and gone, afterwards. Ignored when it is finished.
void cv_request_drained(struct covet_request *request);
void cv_request_aborted(struct covet_request *request);

// The client ended its direction and has probably left, or only has nothing more to ask: the abort
// notice is given if there is one, but an answer is still sent. cv_request_aborted may follow.
void cv_request_half_closed(struct covet_request *request);

// The head's bytes were moved to `base`; spans handed out before are void.
void cv_request_rebase(struct covet_request *request, const char *base);

// The head's bytes are gone and could not be kept: from now on the request has an empty path, no
// parameters and no body. The caller makes its head empty too.
void cv_request_forget(struct covet_request *request);

// The rest of cv_request_deinit: a request that took something, or is waited for.
void cv_request_deinit_slow(struct covet_request *request);

static inline void cv_request_deinit(struct covet_request *request) {
    CV_ASSERT(!request->running);
    if (CV_UNLIKELY(request->pinned || request->arena.chunks != NULL || request->gone != NULL ||
                    cv_timer_armed(&request->notice)))
        cv_request_deinit_slow(request);
}

// Hands `body_paused` on to the sink, now or when the handler's or on_body's call is over. The
// request may be gone afterwards.
void cv_request_tell_pause(struct covet_request *request);

#endif
