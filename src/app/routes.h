// The routes of one application: what is registered, the table that is searched, and the tables
// that somebody may still look at (docs/notes/0006-router.md).
//
// Any thread changes them, one at a time; a worker reads them without waiting for anybody: it takes
// the current table for each request, and pins it for those that outlive the turn. A table that was
// replaced is freed when every worker has passed a turn since and none holds a pin on it.
#ifndef CV_APP_ROUTES_H
#define CV_APP_ROUTES_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <covet/abi.h>

#include "app/router_layout.h"
#include "base/compiler.h"

// Where a worker is: odd while it runs, even while it sleeps or has not begun. Its own line.
struct cv_turn {
    _Atomic uint64_t word;
} CV_CACHE_ALIGNED;

// What replaced tables may hold before changes are refused. They pile up only while workers do not
// come to the end of a turn, or while requests keep ever more of them.
#define CV_ROUTES_RETIRED_BYTES_MAX ((size_t)256 << 20)

struct cv_routes {
    struct cv_router *_Atomic current;  // owned; NULL until cv_routes_publish
    pthread_mutex_t lock;               // Of everything below.
    struct cv_router_entry *entry;      // owned; sorted by key
    uint32_t entry_count;
    uint32_t worker_count;           // Workers that may enter.
    uint64_t last_number;            // Of a table; 1 is the first.
    struct cv_router *retired;       // owned list, oldest first
    struct cv_router **retired_end;  // Where the next one goes.
    size_t retired_bytes;
    struct cv_route *dead;  // owned list of routes that are not in the current table, oldest first
    struct cv_route **dead_end;
    bool is_ending;                                   // cv_routes_deinit has begun.
    const struct cv_turn *reader[COVET_WORKERS_MAX];  // borrowed from cv_routes_enter to leave
    // Asks for a cv_routes_reclaim soon, from any thread, any number of times. May be NULL.
    void (*want_reclaim)(void *context);
    void *want_context;
};

// Returns 0 or a negative errno value.
CV_MUST_USE int cv_routes_init(struct cv_routes *routes);

// Nobody may hold a pin. Calls `on_removed` of every route there is; a change from there fails:
// -ESHUTDOWN, or -ENOENT where there is nothing to remove.
void cv_routes_deinit(struct cv_routes *routes);

// Makes a route of `options` and a prefix, with everything but the group set. Returns 0; -EINVAL or
// -ENOMEM, with a sentence in `error`.
CV_MUST_USE int cv_routes_make(struct cv_route **route, const char *prefix,
                               const struct covet_route_options *options, char *error,
                               size_t error_bytes);

enum cv_routes_mode {
    CV_ROUTES_ADD,      // -EEXIST where a route of the same pattern has one of the methods
    CV_ROUTES_REPLACE,  // Such routes lose the method.
};

// Adds a route; takes it, on failure too (without on_removed). Returns 0; -EEXIST, with a sentence
// that names both routes in `error`; -EAGAIN: too many replaced tables are in use; -ENOMEM; or
// -ESHUTDOWN; with nothing changed.
CV_MUST_USE int cv_routes_add(struct cv_routes *routes, struct cv_route *route_taken,
                              enum cv_routes_mode mode, char *error, size_t error_bytes);

// Takes methods away from the routes of a pattern; the names of parameters do not count. Returns 0;
// -EINVAL: not a pattern; -ENOENT: none of them has a route; -EAGAIN or -ENOMEM as above; with
// nothing changed.
CV_MUST_USE int cv_routes_remove(struct cv_routes *routes, uint16_t methods, const char *pattern,
                                 char *error, size_t error_bytes);

// Publishes the first table; later changes are seen by workers at once. Returns 0 or -ENOMEM.
CV_MUST_USE int cv_routes_publish(struct cv_routes *routes);

// Calls `see` for every entry, in the order of the patterns. It must not change routes.
void cv_routes_list(struct cv_routes *routes,
                    void (*see)(void *context, const struct cv_router_entry *entry), void *context);

// Frees what nobody can use any more. Returns true when workers have a turn to pass first: call it
// again in a while. (When only pins are in the way, their end asks through `want_reclaim`.)
bool cv_routes_reclaim(struct cv_routes *routes);

struct cv_routes_figures {
    uint64_t number;       // Of the current table.
    uint32_t table_count;  // It, and the replaced ones that are not freed yet.
    size_t retired_bytes;  // Of the latter.
};
void cv_routes_measure(struct cv_routes *routes, struct cv_routes_figures *figures);

// A worker comes, before its first pin, and goes, after its last unpin; on its own thread.
void cv_routes_enter(struct cv_routes *routes, uint32_t worker_index, const struct cv_turn *turn);
void cv_routes_leave(struct cv_routes *routes, uint32_t worker_index);

// The rest: the worker's own thread.

// Tells the writers where the worker is. Awake: what was current before may still be held when this
// is read, but a table taken from now on is one published by then or later; for that the store must
// be ordered before the loads of `current`, so it is sequentially consistent, as these are.
static inline void cv_turn_wake(struct cv_turn *turn) {
    uint64_t word = atomic_load_explicit(&turn->word, memory_order_relaxed);

    atomic_store_explicit(&turn->word, word + 1, memory_order_seq_cst);
}

static inline void cv_turn_sleep(struct cv_turn *turn) {
    uint64_t word = atomic_load_explicit(&turn->word, memory_order_relaxed);

    atomic_store_explicit(&turn->word, word + 1, memory_order_release);
}

// The current table. It stays until the worker's turn ends, and while it is pinned.
static inline struct cv_router *cv_routes_current(struct cv_routes *routes) {
    return atomic_load_explicit(&routes->current, memory_order_seq_cst);
}

// Pins a table that was the current one in this turn.
static inline void cv_routes_pin(struct cv_router *router, uint32_t worker_index) {
    struct cv_router_pins *pins = &router->pins[worker_index];
    uint32_t count = atomic_load_explicit(&pins->count, memory_order_relaxed);

    atomic_store_explicit(&pins->count, count + 1, memory_order_relaxed);
}

static inline void cv_routes_unpin(struct cv_routes *routes, struct cv_router *router,
                                   uint32_t worker_index) {
    struct cv_router_pins *pins = &router->pins[worker_index];
    uint32_t count = atomic_load_explicit(&pins->count, memory_order_relaxed) - 1;

    atomic_store_explicit(&pins->count, count, memory_order_release);
    // `router` may be gone from here on. A writer that saw this pin after our last turn has
    // published before that turn, so a table it waits for is not the current one here.
    if (count == 0 && router != atomic_load_explicit(&routes->current, memory_order_seq_cst) &&
        routes->want_reclaim != NULL)
        routes->want_reclaim(routes->want_context);
}

#endif
