/* Answers later: GET /wait/{ms:int} answers after that many milliseconds. The worker serves all the
 * others meanwhile, and a client that leaves takes its timer with it.
 */
#include <covet.h>

struct wait {
    struct covet_request *request;
    struct covet_timer *timer;
};

static void answer(struct covet_worker *worker, void *context) {
    struct wait *wait = context;

    (void)worker;
    covet_response_text(covet_request_response(wait->request), "Thank you for waiting.\n");
}

/* The client left: finish the request now, since nobody waits for the answer. A client that only
 * ended its own sending may still wait.
 */
static void on_abort(struct covet_request *request, void *context) {
    struct wait *wait = context;

    if (!covet_request_aborted(request))
        return;
    covet_timer_cancel(wait->timer);
    covet_response_cancel(covet_request_response(request));
}

static void start(struct covet_request *request, struct covet_response *response) {
    struct wait *wait = covet_request_alloc(request, sizeof(*wait));
    int64_t delay_ms = 0;

    covet_request_param_int(request, "ms", &delay_ms);
    if (delay_ms < 0 || delay_ms > 60000) {
        covet_response_error(response, 400);
        return;
    }
    if (wait != NULL)
        wait->timer =
            covet_timer_start(covet_request_worker(request), (uint64_t)delay_ms, answer, wait);
    if (wait == NULL || wait->timer == NULL) {
        covet_response_error(response, 503);
        return;
    }
    wait->request = request;
    covet_request_on_abort(request, on_abort, wait);
    covet_request_defer(request);
}

COVET_MODULE;

int covet_module_init(struct covet_app *app) {
    return covet_route(app, COVET_GET, "/wait/{ms:int}", start, NULL);
}
