/* Middleware: a request id on every answer, and a bearer token in front of one group of routes.
 *
 *     GET /            anybody
 *     GET /private/me  with "Authorization: Bearer open-sesame"
 */
#include <covet.h>
#include <stdio.h>
#include <string.h>

static char counter_key; /* Its address is the key of the state. */

/* Runs once per worker. The counter is the worker's own, so it needs no lock. */
static int init_worker(struct covet_worker *worker, void *context) {
    static unsigned long long counter[256];

    if (covet_worker_index(worker) >= sizeof(counter) / sizeof(counter[0]))
        return -1;
    return covet_worker_set_state(worker, context, &counter[covet_worker_index(worker)]);
}

/* On the way out: also on 404 answers, since it is registered for the whole application. */
static void add_request_id(struct covet_request *request, struct covet_response *response,
                           void *context) {
    struct covet_worker *worker = covet_request_worker(request);
    unsigned long long *counter = covet_worker_state(worker, &counter_key);
    char text[48];

    (void)context;
    snprintf(text, sizeof(text), "%u-%llu", (unsigned)covet_worker_index(worker), ++*counter);
    covet_response_header(response, "X-Request-Id", text);
}

/* On the way in: answers early unless the token is right. */
static enum covet_next check_token(struct covet_request *request, struct covet_response *response,
                                   void *context) {
    const char *token = context;
    struct covet_span given = covet_request_header(request, "Authorization");

    if (given.length == strlen(token) && memcmp(given.data, token, given.length) == 0)
        return COVET_NEXT;
    covet_response_header(response, "WWW-Authenticate", "Bearer");
    covet_response_error(response, 401);
    return COVET_STOP;
}

static void index_page(struct covet_request *request, struct covet_response *response) {
    (void)request;
    covet_response_text(response, "Anybody may read this.\n");
}

static void me(struct covet_request *request, struct covet_response *response) {
    (void)request;
    covet_response_json(response, "{\"user\":\"you\"}");
}

COVET_MODULE;

int covet_module_init(struct covet_app *app) {
    static char token[] = "Bearer open-sesame";
    struct covet_group *private_routes = covet_group(app, "/private");

    covet_on_worker(app, init_worker, NULL, &counter_key);
    covet_use(app, NULL, add_request_id, NULL);
    covet_group_use(private_routes, check_token, NULL, token);
    covet_route(app, COVET_GET, "/", index_page, NULL);
    /* Whatever fails is remembered: covet refuses the module and says why. */
    return covet_group_route(private_routes, COVET_GET, "/me", me, NULL);
}
