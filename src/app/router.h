// Which route takes a path. Patterns and their precedence are described in <covet/app.h>, the
// compiled form in docs/notes/0006-router.md.
//
// A router is built from a sorted list of routes, once, and then only read, by any number of
// threads; app/routes replaces it as a whole.
#ifndef CV_APP_ROUTER_H
#define CV_APP_ROUTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <covet/app.h>

#include "app/pattern.h"
#include "base/compiler.h"
#include "base/span.h"

struct cv_router;

// One registered route; fixed once it is in a router. In one block of memory with its texts.
struct cv_route {
    const char *pattern;  // With the prefix of its group.
    const char *key;      // Of struct cv_pattern.
    uint32_t key_bytes;
    uint16_t methods;  // As registered. Part of them may have gone to other routes since.
    uint8_t param_count;
    bool stream_body;
    uint64_t body_bytes_max;  // 0: the app's default.
    covet_handler_fn handler;
    void *context;                      // borrowed until on_removed
    void (*on_removed)(void *context);  // May be NULL.
    const struct covet_group *group;    // borrowed from the app; has the middleware
    // app/routes: the tables that may hold it have numbers from `born` to below `died`.
    uint64_t born;
    uint64_t died;
    struct cv_route *next;                             // While dead.
    struct cv_span param_name[CV_PATTERN_PARAMS_MAX];  // In `pattern`.
};

// A route and the methods it answers.
struct cv_router_entry {
    struct cv_route *route;
    uint16_t methods;
};

// Compiles `count` entries, sorted by key (memcmp, then the shorter one first), in which no two of
// one key share a method. Routes are borrowed. `worker_count` workers may pin it. NULL without
// memory.
CV_MUST_USE struct cv_router *cv_router_build(const struct cv_router_entry *entry, uint32_t count,
                                              uint32_t worker_count);
void cv_router_free(struct cv_router *router);  // NULL is ignored.

// All methods of all routes.
uint16_t cv_router_methods(const struct cv_router *router);

enum cv_router_result {
    CV_ROUTER_FOUND,
    CV_ROUTER_NOT_FOUND,
    CV_ROUTER_METHOD_NOT_ALLOWED,  // `allowed` says which would be.
};

struct cv_match {
    const struct cv_route *route;  // borrowed; FOUND only, else NULL
    uint16_t allowed;              // METHOD_NOT_ALLOWED: the methods that reach a route.
    uint8_t param_count;
    struct cv_span param[CV_PATTERN_PARAMS_MAX];  // Into the path; param_count are set.
};

// Finds the route for a decoded path and one method bit (CV_METHOD_OTHER matches none). GET routes
// take HEAD where no HEAD route matches the same pattern. Takes no memory; reads no byte outside
// the path.
enum cv_router_result cv_router_match(const struct cv_router *router, uint16_t method,
                                      struct cv_span path, struct cv_match *match);

// The short way to most routes: finds the one of a static pattern for a path as the client sent it,
// in origin form and not decoded. NULL: nothing is known, cv_router_match has to be asked.
const struct cv_route *cv_router_find_plain(const struct cv_router *router, uint16_t method,
                                            struct cv_span path);

// What an Allow field says for a set of methods: HEAD is added to GET, and OPTIONS always.
#define CV_ROUTER_ALLOW_BYTES_MAX 64u
struct cv_span cv_router_allow_text(uint16_t methods, char out[CV_ROUTER_ALLOW_BYTES_MAX]);

#endif
