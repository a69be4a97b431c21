/* A module whose routes never stand still; test_routes.py builds it and asks it what happened.
 *
 *     GET  /version           "VERSION CHECK": the version of the route that answers
 *     GET  /wait              answers as /version, but not before POST /finish
 *     GET  /stream            begins with "VERSION CHECK", ends as /version when POST /finish comes
 *     POST /replace/{n:int}   replaces the three above n times, then answers with figures
 *     POST /churn/{n:int}     a thread replaces /version n times while everything goes on
 *     GET  /figures           "made=N alive=N done=N errors=N busy=0|1"
 *     POST /finish
 *     GET  /block/{ms:int}    keeps its worker busy for so long
 *
 * A version is freed by on_removed, and spoilt before, so that a late reader shows it.
 */
#define _GNU_SOURCE
#include <covet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEPT_MAX 16
#define ROUTES_BESIDE 200

struct version {
    unsigned long long number;
    unsigned long long check;
};

struct kept {
    struct covet_request *request;
    struct version *version;
    int is_stream;
};

static struct kept kept[KEPT_MAX]; /* Of worker 0, which is the only one in that test. */
static int kept_count;
static _Atomic unsigned long long made, removed, done, errors;
static _Atomic int is_busy, is_ending;
static pthread_t thread;
static int has_thread;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static unsigned long long check_of(unsigned long long number) {
    return (number + 1) * 0x9e3779b97f4a7c15ull;
}

static void free_version(void *context) {
    struct version *version = context;

    version->number = 0;
    version->check = 1;
    free(version);
    atomic_fetch_add(&removed, 1);
}

static int format(char *text, size_t room, const struct version *version) {
    return snprintf(text, room, "%llu %016llx\n", version->number, version->check);
}

static void show(struct covet_request *request, struct covet_response *response) {
    char text[64];

    format(text, sizeof(text), covet_request_context(request));
    covet_response_text(response, text);
}

static int keep(struct covet_request *request, int is_stream) {
    if (kept_count == KEPT_MAX) {
        covet_response_error(covet_request_response(request), 503);
        return 0;
    }
    kept[kept_count++] = (struct kept){request, covet_request_context(request), is_stream};
    return 1;
}

static void wait_for_finish(struct covet_request *request, struct covet_response *response) {
    (void)response;
    if (keep(request, 0))
        covet_request_defer(request);
}

static void stream(struct covet_request *request, struct covet_response *response) {
    char text[64];

    if (!keep(request, 1))
        return;
    covet_response_begin(response, "text/plain", COVET_LENGTH_UNKNOWN);
    covet_response_write(response, text,
                         (size_t)format(text, sizeof(text), kept[kept_count - 1].version));
}

static void finish(struct covet_request *request, struct covet_response *response) {
    char text[64];

    (void)request;
    while (kept_count > 0) {
        struct kept *item = &kept[--kept_count];
        struct covet_response *late = covet_request_response(item->request);
        int length = format(text, sizeof(text), item->version);

        if (item->is_stream) {
            covet_response_write(late, text, (size_t)length);
            covet_response_end(late);
        } else {
            covet_response_text(late, text);
        }
    }
    covet_response_text(response, "finished\n");
}

static int put(struct covet_app *app, const char *pattern, covet_handler_fn handler) {
    struct covet_route_options options = {0};
    struct version *version = malloc(sizeof(*version));
    int result;

    if (version == NULL)
        return -1;
    version->number = atomic_fetch_add(&made, 1);
    version->check = check_of(version->number);
    options.methods = COVET_GET;
    options.pattern = pattern;
    options.handler = handler;
    options.context = version;
    options.on_removed = free_version;
    result = covet_route_replace(app, &options);
    if (result != 0)
        free_version(version);
    return result;
}

static void show_figures(struct covet_request *request, struct covet_response *response) {
    char text[256];
    unsigned long long gone = atomic_load(&removed);

    (void)request;
    snprintf(text, sizeof(text), "made=%llu alive=%llu done=%llu errors=%llu busy=%d\n",
             atomic_load(&made), atomic_load(&made) - gone, atomic_load(&done),
             atomic_load(&errors), atomic_load(&is_busy));
    covet_response_text(response, text);
}

static void replace(struct covet_request *request, struct covet_response *response) {
    struct covet_app *app = covet_worker_app(covet_request_worker(request));
    int64_t count = 0;

    covet_request_param_int(request, "n", &count);
    for (int64_t i = 0; i < count; i++)
        if (put(app, "/version", show) != 0 || put(app, "/wait", wait_for_finish) != 0 ||
            put(app, "/stream", stream) != 0)
            atomic_fetch_add(&errors, 1);
    show_figures(request, response);
}

struct churn {
    struct covet_app *app;
    int64_t count;
};

static void *churn_on(void *context) {
    struct churn churn = *(struct churn *)context;

    free(context);
    for (int64_t i = 0; i < churn.count && !atomic_load(&is_ending); i++) {
        if (put(churn.app, "/version", show) != 0)
            atomic_fetch_add(&errors, 1);
        atomic_fetch_add(&done, 1);
    }
    atomic_store(&is_busy, 0);
    return NULL;
}

static void end_thread(void) {
    pthread_mutex_lock(&lock);
    if (has_thread)
        pthread_join(thread, NULL);
    has_thread = 0;
    pthread_mutex_unlock(&lock);
}

static void churn(struct covet_request *request, struct covet_response *response) {
    struct churn *order = malloc(sizeof(*order));

    if (order == NULL || atomic_exchange(&is_busy, 1)) {
        free(order);
        covet_response_error(response, 503);
        return;
    }
    end_thread();
    order->app = covet_worker_app(covet_request_worker(request));
    covet_request_param_int(request, "n", &order->count);
    has_thread = pthread_create(&thread, NULL, churn_on, order) == 0;
    show_figures(request, response);
}

static void on_exit_hook(struct covet_worker *worker, void *context) {
    (void)worker;
    (void)context;
    atomic_store(&is_ending, 1);
    end_thread();
}

static void hello(struct covet_request *request, struct covet_response *response) {
    (void)request;
    covet_response_text(response, "hello\n");
}

static void block(struct covet_request *request, struct covet_response *response) {
    int64_t ms = 0;

    covet_request_param_int(request, "ms", &ms);
    usleep((useconds_t)(ms * 1000));
    covet_response_text(response, "blocked\n");
}

static enum covet_next mark(struct covet_request *request, struct covet_response *response,
                            void *context) {
    (void)request;
    covet_response_header(response, "X-Marked", context);
    return COVET_NEXT;
}

COVET_MODULE;

int covet_module_init(struct covet_app *app) {
    struct covet_group *group = covet_group(app, "/marked");
    char pattern[64];

    covet_use(app, mark, NULL, (void *)"app");
    covet_group_use(group, mark, NULL, (void *)"group");
    covet_on_worker(app, NULL, on_exit_hook, &lock);
    for (int i = 0; i < ROUTES_BESIDE; i++) {
        snprintf(pattern, sizeof(pattern), i % 2 ? "/beside/%d" : "/beside/%d/{name}", i);
        covet_route(app, COVET_GET, pattern, hello, NULL);
    }
    put(app, "/version", show);
    put(app, "/wait", wait_for_finish);
    put(app, "/stream", stream);
    covet_route(app, COVET_POST, "/replace/{n:int}", replace, NULL);
    covet_route(app, COVET_POST, "/churn/{n:int}", churn, NULL);
    covet_route(app, COVET_POST, "/finish", finish, NULL);
    covet_route(app, COVET_GET, "/block/{ms:int}", block, NULL);
    covet_route(app, COVET_GET, "/figures", show_figures, NULL);
    covet_handler(app, "hello", hello, NULL);
    return covet_group_handler(group, "marked", hello, NULL);
}
