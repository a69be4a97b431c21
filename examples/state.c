/* State of each worker, and talking to the others.
 *
 *     GET  /hits   the hits this worker has counted
 *     POST /reset  sets the count to 0 on every worker
 */
#include <covet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct hits {
    uint64_t count;
};

static char hits_key; /* Its address is the key of the state. */

static int init_worker(struct covet_worker *worker, void *key) {
    struct hits *hits = calloc(1, sizeof(*hits));

    return hits == NULL ? -ENOMEM : covet_worker_set_state(worker, key, hits);
}

static void exit_worker(struct covet_worker *worker, void *key) {
    free(covet_worker_state(worker, key));
}

static void count_hit(struct covet_request *request, struct covet_response *response) {
    struct hits *hits = covet_worker_state(covet_request_worker(request), &hits_key);
    char text[32];

    snprintf(text, sizeof(text), "%" PRIu64 "\n", ++hits->count);
    covet_response_text(response, text);
}

/* Runs on every worker, on its own thread. */
static void reset_here(struct covet_worker *worker, void *key) {
    struct hits *hits = covet_worker_state(worker, key);

    hits->count = 0;
}

static void reset(struct covet_request *request, struct covet_response *response) {
    struct covet_worker *worker = covet_request_worker(request);
    uint32_t i;

    for (i = 0; i < covet_worker_count(worker); i++) {
        if (covet_post(worker, i, reset_here, &hits_key) != 0) {
            covet_response_error(response, 503);
            return;
        }
    }
    covet_response_empty(response);
}

COVET_MODULE;

int covet_module_init(struct covet_app *app) {
    covet_on_worker(app, init_worker, exit_worker, &hits_key);
    covet_route(app, COVET_GET, "/hits", count_hit, NULL);
    return covet_route(app, COVET_POST, "/reset", reset, NULL);
}
