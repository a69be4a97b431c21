// Routes and paths: agreement with the naive router, nothing read outside a path, and what a plain
// path decodes to. Input: a line per route ("G/users/{id}", the letter being the method), an empty
// line, then a line per request ("G/users/7"), raw as it comes over the wire.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "app/routes.h"
#include "base/assert.h"
#include "http/parser.h"
#include "http/target.h"
#include "support/naive_router.h"

#define PATTERN_BYTES_MAX 256u
#define PATH_BYTES_MAX 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void handle(struct covet_request *request, struct covet_response *response) {
    (void)request, (void)response;
}

static uint16_t method_of(char letter) {
    static const uint16_t methods[] = {CV_METHOD_GET, CV_METHOD_HEAD, CV_METHOD_POST,
                                       CV_METHOD_GET | CV_METHOD_POST, CV_METHOD_OPTIONS};

    return methods[(unsigned char)letter % CV_ARRAY_COUNT(methods)];
}

static void add_route(struct cv_routes *routes, struct t_naive *naive, struct cv_span line) {
    char pattern[PATTERN_BYTES_MAX], error[256];
    struct cv_route *route;

    if (line.length < 2 || line.length > sizeof(pattern) || naive->count == T_NAIVE_ROUTES_MAX)
        return;
    memcpy(pattern, line.data + 1, line.length - 1);
    pattern[line.length - 1] = '\0';
    struct covet_route_options options = {
        .methods = method_of(line.data[0]), .pattern = pattern, .handler = handle};
    if (cv_routes_make(&route, "", &options, error, sizeof(error)) == 0 &&
        cv_routes_add(routes, route, CV_ROUTES_ADD, error, sizeof(error)) == 0)
        t_naive_add(naive, pattern, (uint16_t)options.methods);
}

static void check_params(const struct cv_match *match, struct cv_span path) {
    CV_ASSERT(match->param_count == match->route->param_count);
    for (uint32_t i = 0; i < match->param_count; i++) {
        struct cv_span param = match->param[i];

        CV_ASSERT(param.data > path.data && param.data[-1] == '/' &&
                  param.length <= (size_t)(path.data + path.length - param.data));
    }
}

// `path` lies in memory of exactly its size.
static void match(const struct cv_router *router, const struct t_naive *naive, uint16_t method,
                  struct cv_span path) {
    struct cv_match found;
    char text[PATH_BYTES_MAX + 1];
    enum cv_router_result result = cv_router_match(router, method, path, &found);

    CV_ASSERT((result == CV_ROUTER_FOUND) == (found.route != NULL));
    if (found.route != NULL)
        check_params(&found, path);
    if (path.length == 0 || memchr(path.data, '\0', path.length) != NULL)
        return;
    memcpy(text, path.data, path.length);
    text[path.length] = '\0';
    struct t_naive_result expected = t_naive_match(naive, method, text);
    CV_ASSERT((found.route == NULL) == (expected.pattern == NULL));
    if (found.route != NULL)
        CV_ASSERT(strcmp(found.route->pattern, expected.pattern) == 0 &&
                  found.route->methods == expected.methods);
    else
        CV_ASSERT(found.allowed == expected.allowed);
}

static void match_raw(const struct cv_router *router, const struct t_naive *naive,
                      struct cv_span line) {
    uint16_t method = method_of(line.data[0]);
    struct cv_span raw = cv_span_make(line.data + 1, line.length - 1);
    const char *reason;
    size_t length = 0;

    if (raw.length > PATH_BYTES_MAX)
        return;
    // One of the methods: a request has only one.
    method = (uint16_t)(method & -method);
    char *exact = malloc(raw.length + (raw.length == 0));
    char *decoded = malloc(raw.length + (raw.length == 0));
    CV_ASSERT(exact != NULL && decoded != NULL);
    if (raw.length > 0)
        memcpy(exact, raw.data, raw.length);
    match(router, naive, method, cv_span_make(exact, raw.length));
    bool is_plain = cv_target_path_is_plain(cv_span_make(exact, raw.length));
    bool is_decoded =
        cv_target_decode_path(cv_span_make(exact, raw.length), decoded, &length, &reason);
    if (is_plain)
        CV_ASSERT(is_decoded && length == raw.length && memcmp(decoded, exact, length) == 0);
    if (is_decoded) {
        char *shrunk = malloc(length + (length == 0));

        CV_ASSERT(shrunk != NULL);
        memcpy(shrunk, decoded, length);
        match(router, naive, method, cv_span_make(shrunk, length));
        free(shrunk);
    }
    free(exact);
    free(decoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *at = (const char *)data, *end = at + size;
    struct cv_routes routes;
    struct t_naive naive = {0};
    const struct cv_router *router = NULL;

    CV_ASSERT(cv_routes_init(&routes) == 0);
    routes.worker_count = 1;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        struct cv_span line = cv_span_make(at, (size_t)((stop == NULL ? end : stop) - at));

        at = stop == NULL ? end : stop + 1;
        if (router != NULL && line.length > 0)
            match_raw(router, &naive, line);
        else if (router == NULL && line.length > 0)
            add_route(&routes, &naive, line);
        if (router == NULL && line.length == 0) {
            CV_ASSERT(cv_routes_publish(&routes) == 0);
            router = atomic_load(&routes.current);
        }
    }
    cv_routes_deinit(&routes);
    t_naive_clear(&naive);
    return 0;
}
