// Which route takes a path. Patterns and their precedence are described in <covet/app.h>.
//
// Filled once by one thread, then only read, by any number of them.
#ifndef CV_APP_ROUTER_H
#define CV_APP_ROUTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <covet/app.h>

#include "base/compiler.h"
#include "base/span.h"

#define CV_ROUTER_PARAMS_MAX 16u
#define CV_ROUTER_SEGMENTS_MAX 64u
#define CV_ROUTER_PATTERN_BYTES_MAX 1023u
#define CV_ROUTER_NAME_BYTES_MAX 63u

struct cv_middleware;
struct cv_router_node;

struct cv_route {
    const char *pattern;  // owned by the app, with the prefix of its group
    uint16_t methods;     // As registered.
    uint8_t param_count;
    bool stream_body;
    uint64_t body_bytes_max;  // 0: the app's default.
    covet_handler_fn handler;
    void *context;                      // borrowed for the app's life
    const struct cv_middleware *chain;  // borrowed from its group, outermost first
    uint32_t chain_count;
    const struct covet_group *group;                  // borrowed from the app
    struct cv_route *next;                            // The app's list.
    struct cv_span param_name[CV_ROUTER_PARAMS_MAX];  // In `pattern`.
};

struct cv_router {
    struct cv_router_node *root;  // owned; NULL while there is no route
    uint16_t methods;             // All methods of all routes.
};

enum cv_router_result {
    CV_ROUTER_FOUND,
    CV_ROUTER_NOT_FOUND,
    CV_ROUTER_METHOD_NOT_ALLOWED,  // `allowed` says which would be.
};

struct cv_match {
    const struct cv_route *route;  // borrowed; FOUND only, else NULL
    uint16_t allowed;              // METHOD_NOT_ALLOWED: the methods that reach a route.
    uint8_t param_count;
    struct cv_span param[CV_ROUTER_PARAMS_MAX];  // Into the path; param_count are set.
};

void cv_router_init(struct cv_router *router);
void cv_router_deinit(struct cv_router *router);

// Adds `route`, of which `pattern` and `methods` are set, and sets its parameter names. Route and
// pattern are borrowed until cv_router_deinit, even on failure. Returns 0; -EINVAL: not a pattern;
// -EEXIST: another route matches the same paths with one of the methods; -ENOMEM. On failure
// `error` holds a sentence that names the route, and the other one.
CV_MUST_USE int cv_router_add(struct cv_router *router, struct cv_route *route, char *error,
                              size_t error_bytes);

// Finds the route for a decoded path and one method bit (CV_METHOD_OTHER matches none). GET routes
// take HEAD where no HEAD route matches the same pattern. Takes no memory.
enum cv_router_result cv_router_match(const struct cv_router *router, uint16_t method,
                                      struct cv_span path, struct cv_match *match);

// What an Allow field says for a set of methods: HEAD is added to GET, and OPTIONS always.
#define CV_ROUTER_ALLOW_BYTES_MAX 64u
struct cv_span cv_router_allow_text(uint16_t methods, char out[CV_ROUTER_ALLOW_BYTES_MAX]);

#endif
