// Every change makes a new list of entries, compiles it if tables are published already, and only
// then replaces the old ones, so a failure changes nothing. What became free is collected under the
// lock and let go of behind it: on_removed may change routes in turn.
#include "app/routes.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "http/parser.h"

struct range {  // Of entries.
    uint32_t low;
    uint32_t high;
};

// What a change leaves behind.
struct garbage {
    struct cv_router *tables;
    struct cv_route *routes;
};

int cv_routes_init(struct cv_routes *routes) {
    *routes = (struct cv_routes){.worker_count = COVET_WORKERS_MAX};
    routes->retired_end = &routes->retired;
    routes->dead_end = &routes->dead;
    return -pthread_mutex_init(&routes->lock, NULL);
}

static void let_go(struct garbage *garbage) {
    while (garbage->tables != NULL) {
        struct cv_router *router = garbage->tables;

        garbage->tables = router->next;
        cv_router_free(router);
    }
    while (garbage->routes != NULL) {
        struct cv_route *route = garbage->routes;

        garbage->routes = route->next;
        if (route->on_removed != NULL)
            route->on_removed(route->context);
        free(route);
    }
}

// on_removed may try to change routes here as well: nothing is left that it could find.
void cv_routes_deinit(struct cv_routes *routes) {
    struct cv_router *current = atomic_exchange(&routes->current, NULL);
    struct garbage garbage = {routes->retired, routes->dead};

    if (current != NULL) {
        current->next = garbage.tables;
        garbage.tables = current;
    }
    for (uint32_t i = 0; i < routes->entry_count; i++) {
        struct cv_route *route = routes->entry[i].route;

        route->next = garbage.routes;
        garbage.routes = route;
    }
    routes->is_ending = true;
    routes->entry_count = 0;
    routes->retired = NULL;
    routes->retired_end = &routes->retired;
    routes->dead = NULL;
    routes->dead_end = &routes->dead;
    let_go(&garbage);
    free(routes->entry);
    pthread_mutex_destroy(&routes->lock);
}

// Making a route.

static CV_PRINTF(4, 5) int refuse(int result, char *error, size_t error_bytes, const char *format,
                                  ...) {
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(error, error_bytes, format, arguments);
    va_end(arguments);
    return result;
}

static int refuse_route(int result, const char *prefix, const char *pattern, const char *why,
                        char *error, size_t error_bytes) {
    return refuse(result, error, error_bytes, "route \"%.200s%.200s\": %s", prefix, pattern, why);
}

int cv_routes_make(struct cv_route **route_out, const char *prefix,
                   const struct covet_route_options *options, char *error, size_t error_bytes) {
    const char *text = options->pattern == NULL ? "" : options->pattern;
    size_t prefix_bytes = strlen(prefix), text_bytes = strlen(text);
    struct cv_pattern pattern;
    const char *wrong = NULL;

    if (text[0] != '/')
        wrong = "a pattern begins with '/'";
    else if (options->handler == NULL)
        wrong = "no handler";
    else if (options->methods == 0 || (options->methods & ~(unsigned)COVET_ANY_METHOD) != 0)
        wrong = "its methods must be some of GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH";
    if (wrong != NULL)
        return refuse_route(-EINVAL, prefix, text, wrong, error, error_bytes);

    // The struct, the whole pattern, its key: the key is not the longer one.
    struct cv_route *route = malloc(sizeof(*route) + 2 * (prefix_bytes + text_bytes + 1));
    if (route == NULL)
        return refuse_route(-ENOMEM, prefix, text, "no memory", error, error_bytes);
    char *whole = (char *)(route + 1);
    memcpy(whole, prefix, prefix_bytes);
    memcpy(whole + prefix_bytes, text, text_bytes + 1);
    wrong = cv_pattern_parse(&pattern, whole);
    if (wrong != NULL) {
        free(route);
        return refuse_route(-EINVAL, prefix, text, wrong, error, error_bytes);
    }
    char *key = whole + prefix_bytes + text_bytes + 1;
    memcpy(key, pattern.key, pattern.key_bytes + 1);
    *route = (struct cv_route){
        .pattern = whole,
        .key = key,
        .key_bytes = pattern.key_bytes,
        .methods = (uint16_t)options->methods,
        .param_count = (uint8_t)pattern.param_count,
        .stream_body = options->stream_body != 0,
        .body_bytes_max = options->body_bytes_max,
        .handler = options->handler,
        .context = options->context,
        .on_removed = options->on_removed,
    };
    memcpy(route->param_name, pattern.param_name, sizeof(pattern.param_name));
    *route_out = route;
    return 0;
}

// Changes.

static int compare_key(const struct cv_route *route, const char *key, uint32_t key_bytes) {
    int order = memcmp(route->key, key, CV_MIN(route->key_bytes, key_bytes));

    return order != 0 ? order : (int)route->key_bytes - (int)key_bytes;
}

// The entries with a key, or where they would be.
static struct range find_key(const struct cv_routes *routes, const char *key, uint32_t key_bytes) {
    struct range range = {0, routes->entry_count};

    while (range.low < range.high) {
        uint32_t middle = range.low + (range.high - range.low) / 2;

        if (compare_key(routes->entry[middle].route, key, key_bytes) < 0)
            range.low = middle + 1;
        else
            range.high = middle;
    }
    while (range.high < routes->entry_count &&
           compare_key(routes->entry[range.high].route, key, key_bytes) == 0)
        range.high++;
    return range;
}

static const struct cv_router_entry *find_method(const struct cv_routes *routes, struct range range,
                                                 uint16_t methods) {
    for (uint32_t i = range.low; i < range.high; i++)
        if ((routes->entry[i].methods & methods) != 0)
            return &routes->entry[i];
    return NULL;
}

// A table that no request takes any more: notes which workers may still be about to.
static void retire(struct cv_routes *routes, struct cv_router *router) {
    for (uint32_t i = 0; i < router->worker_count; i++) {
        const struct cv_turn *turn = routes->reader[i];
        uint64_t word = turn == NULL ? 0 : atomic_load_explicit(&turn->word, memory_order_seq_cst);

        router->pins[i].turn = word;
        router->pins[i].has_passed = word % 2 == 0;
    }
    router->next = NULL;
    *routes->retired_end = router;
    routes->retired_end = &router->next;
    routes->retired_bytes += router->bytes;
}

static void publish(struct cv_routes *routes, struct cv_router *router) {
    struct cv_router *old = atomic_load_explicit(&routes->current, memory_order_relaxed);

    router->number = ++routes->last_number;
    atomic_store_explicit(&routes->current, router, memory_order_seq_cst);
    if (old != NULL)
        retire(routes, old);
}

// Has every worker passed a turn since the table was retired? Notes those that have.
static bool all_passed(const struct cv_routes *routes, struct cv_router *router) {
    bool all = true;

    for (uint32_t i = 0; i < router->worker_count; i++) {
        struct cv_router_pins *pins = &router->pins[i];
        const struct cv_turn *turn = routes->reader[i];

        if (!pins->has_passed)
            pins->has_passed = turn == NULL || atomic_load_explicit(
                                                   &turn->word, memory_order_seq_cst) != pins->turn;
        all &= pins->has_passed;
    }
    return all;
}

static bool is_pinned(const struct cv_router *router) {
    for (uint32_t i = 0; i < router->worker_count; i++)
        if (atomic_load_explicit(&router->pins[i].count, memory_order_acquire) != 0)
            return true;
    return false;
}

// Moves tables that nobody can use to the garbage. Returns the number of the oldest one that waits
// for a turn, UINT64_MAX if none does. The younger ones then wait for that turn as well.
static uint64_t collect_tables(struct cv_routes *routes, struct garbage *garbage) {
    struct cv_router **link = &routes->retired;

    while (*link != NULL) {
        struct cv_router *router = *link;

        // The turns first: a worker that has passed one takes no new pin on this table.
        if (!all_passed(routes, router))
            return router->number;
        if (is_pinned(router)) {
            link = &router->next;
            continue;
        }
        *link = router->next;
        routes->retired_bytes -= router->bytes;
        router->next = garbage->tables;
        garbage->tables = router;
    }
    routes->retired_end = link;
    return UINT64_MAX;
}

// Those that died after the table `waiting` are in it or in one behind it. Both lists are sorted by
// age, so one pass over both will do: of the tables that came before a route's death, the last one
// says whether there is one since its birth.
static void collect_routes(struct cv_routes *routes, uint64_t waiting, struct garbage *garbage) {
    const struct cv_router *table = routes->retired;
    uint64_t last_number = 0;
    struct cv_route **link = &routes->dead;

    while (*link != NULL) {
        struct cv_route *route = *link;

        if (route->died > waiting)
            return;
        for (; table != NULL && table->number < route->died; table = table->next)
            last_number = table->number;
        if (last_number >= route->born) {
            link = &route->next;
            continue;
        }
        *link = route->next;
        route->next = garbage->routes;
        garbage->routes = route;
    }
    routes->dead_end = link;
}

// Returns whether a turn is waited for.
static bool collect(struct cv_routes *routes, struct garbage *garbage) {
    uint64_t waiting = collect_tables(routes, garbage);

    collect_routes(routes, waiting, garbage);
    return waiting != UINT64_MAX;
}

bool cv_routes_reclaim(struct cv_routes *routes) {
    struct garbage garbage = {NULL, NULL};

    pthread_mutex_lock(&routes->lock);
    bool waits = collect(routes, &garbage);
    pthread_mutex_unlock(&routes->lock);
    let_go(&garbage);
    return waits;
}

// The entries with `methods` taken away from those in `range`, and `added` behind these if it is
// not NULL. NULL without memory.
static struct cv_router_entry *edit(const struct cv_routes *routes, struct range range,
                                    uint16_t methods, struct cv_route *added, uint32_t *count_out) {
    struct cv_router_entry *entry = malloc((routes->entry_count + 1) * sizeof(*entry));
    uint32_t count = range.low;

    if (entry == NULL)
        return NULL;
    if (count > 0)
        memcpy(entry, routes->entry, count * sizeof(*entry));
    for (uint32_t i = range.low; i < range.high; i++) {
        uint16_t left = routes->entry[i].methods & (uint16_t)~methods;

        if (left != 0)
            entry[count++] = (struct cv_router_entry){routes->entry[i].route, left};
    }
    if (added != NULL)
        entry[count++] = (struct cv_router_entry){added, added->methods};
    if (routes->entry_count > range.high)
        memcpy(entry + count, routes->entry + range.high,
               (routes->entry_count - range.high) * sizeof(*entry));
    *count_out = count + routes->entry_count - range.high;
    return entry;
}

// Notes routes of `range` that lose their last method; the next table does not have them.
static void bury(struct cv_routes *routes, struct range range, uint16_t methods) {
    for (uint32_t i = range.low; i < range.high; i++) {
        struct cv_route *route = routes->entry[i].route;

        if ((routes->entry[i].methods & (uint16_t)~methods) != 0)
            continue;
        route->died = routes->last_number + 1;
        route->next = NULL;
        *routes->dead_end = route;
        routes->dead_end = &route->next;
    }
}

// Carries a change out. Returns 0, -ESHUTDOWN, -EAGAIN or -ENOMEM.
static int change(struct cv_routes *routes, struct range range, uint16_t methods,
                  struct cv_route *added) {
    bool is_live = atomic_load_explicit(&routes->current, memory_order_relaxed) != NULL;
    struct cv_router *router = NULL;
    struct cv_router_entry *entry;
    uint32_t count;

    if (routes->is_ending)
        return -ESHUTDOWN;
    if (routes->retired_bytes > CV_ROUTES_RETIRED_BYTES_MAX)
        return -EAGAIN;
    entry = edit(routes, range, methods, added, &count);
    if (entry == NULL)
        return -ENOMEM;
    if (is_live) {
        router = cv_router_build(entry, count, routes->worker_count);
        if (router == NULL) {
            free(entry);
            return -ENOMEM;
        }
    }
    bury(routes, range, methods);
    if (added != NULL)
        added->born = routes->last_number + 1;
    free(routes->entry);
    routes->entry = entry;
    routes->entry_count = count;
    if (is_live)
        publish(routes, router);
    return 0;
}

static const char *explain(int result) {
    switch (result) {
    case -ESHUTDOWN:
        return "the application is at its end";
    case -EAGAIN:
        return "too many replaced tables are in use";
    default:
        return "no memory";
    }
}

// As `change`, with a sentence.
static int try_change(struct cv_routes *routes, struct range range, uint16_t methods,
                      struct cv_route *added, const char *pattern, char *error,
                      size_t error_bytes) {
    int result = change(routes, range, methods, added);

    if (result == 0)
        return 0;
    return refuse_route(result, "", pattern, explain(result), error, error_bytes);
}

static void end_change(struct cv_routes *routes) {
    struct garbage garbage = {NULL, NULL};
    bool waits = collect(routes, &garbage);

    pthread_mutex_unlock(&routes->lock);
    let_go(&garbage);
    if (waits && routes->want_reclaim != NULL)
        routes->want_reclaim(routes->want_context);
}

int cv_routes_add(struct cv_routes *routes, struct cv_route *route_taken, enum cv_routes_mode mode,
                  char *error, size_t error_bytes) {
    struct cv_route *route = route_taken;
    int result;

    pthread_mutex_lock(&routes->lock);
    struct range range = find_key(routes, route->key, route->key_bytes);
    const struct cv_router_entry *other = find_method(routes, range, route->methods);
    if (other != NULL && mode == CV_ROUTES_ADD) {
        uint16_t common = other->methods & route->methods;

        result = refuse(-EEXIST, error, error_bytes,
                        "route \"%.200s\" matches the same paths with %s as route \"%.200s\"",
                        route->pattern, cv_parser_method_name((uint16_t)(common & -common)),
                        other->route->pattern);
    } else {
        result =
            try_change(routes, range, route->methods, route, route->pattern, error, error_bytes);
    }
    end_change(routes);
    if (result != 0)
        free(route);
    return result;
}

int cv_routes_remove(struct cv_routes *routes, uint16_t methods, const char *text, char *error,
                     size_t error_bytes) {
    struct cv_pattern pattern;
    const char *wrong = cv_pattern_parse(&pattern, text);
    int result;

    if (wrong != NULL)
        return refuse_route(-EINVAL, "", text, wrong, error, error_bytes);
    pthread_mutex_lock(&routes->lock);
    struct range range = find_key(routes, pattern.key, pattern.key_bytes);
    if (find_method(routes, range, methods) == NULL)
        result = refuse_route(-ENOENT, "", text, "there is none", error, error_bytes);
    else
        result = try_change(routes, range, methods, NULL, text, error, error_bytes);
    end_change(routes);
    return result;
}

int cv_routes_publish(struct cv_routes *routes) {
    int result = 0;

    pthread_mutex_lock(&routes->lock);
    struct cv_router *router =
        cv_router_build(routes->entry, routes->entry_count, routes->worker_count);
    if (router == NULL)
        result = -ENOMEM;
    else
        publish(routes, router);
    pthread_mutex_unlock(&routes->lock);
    return result;
}

void cv_routes_list(struct cv_routes *routes,
                    void (*see)(void *context, const struct cv_router_entry *entry),
                    void *context) {
    pthread_mutex_lock(&routes->lock);
    for (uint32_t i = 0; i < routes->entry_count; i++)
        see(context, &routes->entry[i]);
    pthread_mutex_unlock(&routes->lock);
}

void cv_routes_measure(struct cv_routes *routes, struct cv_routes_figures *figures) {
    pthread_mutex_lock(&routes->lock);
    *figures = (struct cv_routes_figures){
        .number = routes->last_number,
        .table_count = routes->last_number > 0,
        .retired_bytes = routes->retired_bytes,
    };
    for (const struct cv_router *router = routes->retired; router != NULL; router = router->next)
        figures->table_count++;
    pthread_mutex_unlock(&routes->lock);
}

void cv_routes_enter(struct cv_routes *routes, uint32_t worker_index, const struct cv_turn *turn) {
    CV_ASSERT(worker_index < routes->worker_count);
    pthread_mutex_lock(&routes->lock);
    routes->reader[worker_index] = turn;
    pthread_mutex_unlock(&routes->lock);
}

void cv_routes_leave(struct cv_routes *routes, uint32_t worker_index) {
    pthread_mutex_lock(&routes->lock);
    routes->reader[worker_index] = NULL;
    pthread_mutex_unlock(&routes->lock);
}
