// Route lookup: 1,000 routes like those of a large REST interface, and those of the GitHub one.
//
// The floor does less: a hash of the whole concrete path, a table of 64K slots, and one comparison.
// It knows no methods, no parameters and no path that was not put in before.
#include "bench.h"

#include <nmmintrin.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/routes.h"
#include "http/parser.h"

#define ROUTES_MAX 1024u
#define TEXT_BYTES_MAX 128u
#define SLOT_COUNT 65536u

struct lookup {
    uint32_t count;
    uint16_t method[ROUTES_MAX];
    struct cv_span path[ROUTES_MAX];
    uint32_t order[ROUTES_MAX];
    struct cv_router *router;
    uint32_t *slot;  // 1 + index of the path
};

struct set {
    uint32_t count;
    struct cv_route route[ROUTES_MAX];
    struct cv_router_entry entry[ROUTES_MAX];
    struct cv_pattern pattern[ROUTES_MAX];
    char text[ROUTES_MAX][TEXT_BYTES_MAX];
};

static void handle(struct covet_request *request, struct covet_response *response) {
    (void)request, (void)response;
}

static void add_route(struct set *set, uint16_t methods, const char *text) {
    struct cv_pattern *pattern = &set->pattern[set->count];
    struct cv_route *route = &set->route[set->count];

    snprintf(set->text[set->count], TEXT_BYTES_MAX, "%s", text);
    if (set->count == ROUTES_MAX || cv_pattern_parse(pattern, set->text[set->count]) != NULL)
        abort();
    *route = (struct cv_route){
        .pattern = set->text[set->count],
        .key = pattern->key,
        .key_bytes = pattern->key_bytes,
        .methods = methods,
        .param_count = (uint8_t)pattern->param_count,
        .handler = handle,
    };
    set->entry[set->count++] = (struct cv_router_entry){route, methods};
}

static int compare_entries(const void *left, const void *right) {
    const struct cv_route *a = ((const struct cv_router_entry *)left)->route;
    const struct cv_route *b = ((const struct cv_router_entry *)right)->route;

    return strcmp(a->key, b->key);
}

static struct cv_router *build_router(struct set *set) {
    qsort(set->entry, set->count, sizeof(set->entry[0]), compare_entries);
    struct cv_router *router = cv_router_build(set->entry, set->count, 1);

    if (router == NULL)
        abort();
    return router;
}

// A path for the pattern: parameters get values of usual lengths.
static void fill_path(const char *pattern, char *path) {
    static const char *const values[] = {
        "7",         "42",         "1234567",  "octocat",     "main", "b1946ac92492d2347c6235b4",
        "hello-wor", "2024-11-02", "patch-77", "linux-kernel"};

    while (*pattern != '\0') {
        if (*pattern != '{') {
            *path++ = *pattern++;
            continue;
        }
        const char *end = strchr(pattern, '}');
        bool is_int = end - pattern > 4 && memcmp(end - 4, ":int", 4) == 0;
        const char *value = values[bench_random() % (is_int ? 3 : 10)];

        memcpy(path, value, strlen(value));
        path += strlen(value);
        pattern = end + 1;
    }
    *path = '\0';
}

// The lookups of the routes that have `param_count` parameters (-1: of all).
static struct lookup *make_lookup(struct set *set, struct cv_router *router, int param_count) {
    struct lookup *lookup = calloc(1, sizeof(*lookup));
    char path[TEXT_BYTES_MAX * 4];

    if (lookup == NULL)
        abort();
    lookup->router = router;
    for (uint32_t i = 0; i < set->count; i++) {
        const struct cv_route *route = &set->route[i];
        struct cv_match match;

        if (param_count >= 0 && route->param_count != param_count)
            continue;
        fill_path(route->pattern, path);
        char *copy = strdup(path);
        if (copy == NULL)
            abort();
        lookup->method[lookup->count] = (uint16_t)(route->methods & -route->methods);
        lookup->path[lookup->count] = cv_span_of(copy);
        // Every path must find its own route, or the figures mean nothing.
        if (cv_router_match(router, lookup->method[lookup->count], lookup->path[lookup->count],
                            &match) != CV_ROUTER_FOUND ||
            match.route != route) {
            fprintf(stderr, "bench: %s does not lead to %s\n", copy, route->pattern);
            exit(1);
        }
        lookup->count++;
    }
    return lookup;
}

static void shuffle(void *context) {
    struct lookup *lookup = context;

    bench_shuffle(lookup->order, lookup->count);
}

static void run_covet(void *context, uint32_t count) {
    const struct lookup *lookup = context;
    struct cv_match match;

    for (uint32_t done = 0; done < count;) {
        for (uint32_t i = 0; i < lookup->count; i++, done++) {
            uint32_t at = lookup->order[i];

            bench_keep((uint64_t)cv_router_match(lookup->router, lookup->method[at],
                                                 lookup->path[at], &match));
            bench_clobber(&match);
        }
    }
}

// The floor.

// The last word ends where the path does; shorter paths are one word.
__attribute__((target("sse4.2"))) static uint32_t floor_hash(struct cv_span path) {
    uint64_t hash = path.length, word = 0;

    if (path.length < 8) {
        memcpy(&word, path.data, path.length);
        return (uint32_t)_mm_crc32_u64(hash, word) % SLOT_COUNT;
    }
    for (size_t at = 0; at + 8 < path.length; at += 8) {
        memcpy(&word, path.data + at, 8);
        hash = _mm_crc32_u64(hash, word);
    }
    memcpy(&word, path.data + path.length - 8, 8);
    return (uint32_t)_mm_crc32_u64(hash, word) % SLOT_COUNT;
}

static void fill_floor(struct lookup *lookup) {
    lookup->slot = calloc(SLOT_COUNT, sizeof(*lookup->slot));
    if (lookup->slot == NULL)
        abort();
    for (uint32_t i = 0; i < lookup->count; i++) {
        uint32_t at = floor_hash(lookup->path[i]);

        while (lookup->slot[at] != 0)
            at = (at + 1) % SLOT_COUNT;
        lookup->slot[at] = i + 1;
    }
}

__attribute__((target("sse4.2"))) static void run_floor(void *context, uint32_t count) {
    const struct lookup *lookup = context;

    for (uint32_t done = 0; done < count;) {
        for (uint32_t i = 0; i < lookup->count; i++, done++) {
            struct cv_span path = lookup->path[lookup->order[i]];
            uint32_t at = floor_hash(path);

            while (!cv_span_equal(lookup->path[lookup->slot[at] - 1], path))
                at = (at + 1) % SLOT_COUNT;
            bench_keep(lookup->slot[at]);
        }
    }
}

static void add_pair(const char *name, struct lookup *lookup) {
    struct bench bench = {
        .name = name,
        .impl = "covet",
        .multiple = lookup->count,
        .run = run_covet,
        .prepare = shuffle,
        .context = lookup,
    };

    bench_add(&bench);
    if (!__builtin_cpu_supports("sse4.2")) {
        bench_skip("floor", "no crc32 instruction");
        return;
    }
    fill_floor(lookup);
    bench.impl = "floor";
    bench.run = run_floor;
    bench_add(&bench);
}

// 1,000 routes: 500 static, 500 with one to three parameters, of one to four segments and more.

static void add_thousand(struct set *set) {
    static const char *const areas[] = {
        "users",    "orders",  "products", "invoices", "customers", "payments", "shipments",
        "tickets",  "reports", "projects", "teams",    "accounts",  "messages", "documents",
        "sessions", "devices", "alerts",   "catalogs", "coupons",   "regions"};
    static const char *const actions[] = {"search",  "export", "import",  "stats",  "recent",
                                          "summary", "audit",  "archive", "status", "settings"};
    static const char *const parts[] = {"items", "notes", "files", "events", "tags"};
    char text[TEXT_BYTES_MAX];

    for (uint32_t a = 0; a < 20; a++) {
        const char *area = areas[a];

        // 25 static ones of each area.
        snprintf(text, sizeof(text), "/%s", area);
        add_route(set, COVET_GET, text);
        snprintf(text, sizeof(text), "/api/%s", area);
        add_route(set, COVET_GET, text);
        for (uint32_t i = 0; i < 10; i++) {
            snprintf(text, sizeof(text), "/%s/%s", area, actions[i]);
            add_route(set, COVET_GET, text);
            snprintf(text, sizeof(text), "/api/v2/%s/%s", area, actions[i]);
            add_route(set, COVET_GET, text);
        }
        for (uint32_t i = 0; i < 3; i++) {
            snprintf(text, sizeof(text), "/admin/%s/%s", area, actions[i]);
            add_route(set, COVET_GET, text);
        }
        // 25 with parameters: 5 with one, 15 with two, 5 with three.
        for (uint32_t i = 0; i < 5; i++) {
            snprintf(text, sizeof(text), i == 0 ? "/%s/{id:int}" : "/%s/{id:int}/%s", area,
                     parts[i]);
            add_route(set, COVET_GET, text);
            snprintf(text, sizeof(text), "/%s/{id:int}/%s/{part}", area, parts[i]);
            add_route(set, COVET_GET, text);
            snprintf(text, sizeof(text), "/api/v2/%s/{name}/%s/{part}", area, parts[i]);
            add_route(set, COVET_GET, text);
            snprintf(text, sizeof(text), "/orgs/{org}/%s/{id}/%s", area, parts[i]);
            add_route(set, COVET_GET, text);
            snprintf(text, sizeof(text), "/api/v2/%s/{name}/%s/{part}/versions/{version:int}", area,
                     parts[i]);
            add_route(set, COVET_GET, text);
        }
    }
}

static struct set *new_set(void) {
    struct set *set = calloc(1, sizeof(*set));

    if (set == NULL)
        abort();
    return set;
}

// One method and pattern per line of bench_route_github.h.
static const struct {
    uint16_t method;
    const char *pattern;
} github[] = {
#define GET(pattern) {COVET_GET, pattern},
#define POST(pattern) {COVET_POST, pattern},
#define PUT(pattern) {COVET_PUT, pattern},
#define PATCH(pattern) {COVET_PATCH, pattern},
#define DELETE(pattern) {COVET_DELETE, pattern},
#include "bench_route_github.h"
};

// One route of the thousand is replaced: compiled, published, the old table freed.
static void run_replace(void *context, uint32_t count) {
    struct cv_routes *routes = context;
    struct covet_route_options options = {
        .methods = COVET_GET, .pattern = "/users/search", .handler = handle};
    struct cv_route *route;
    char error[256];

    for (uint32_t i = 0; i < count; i++)
        if (cv_routes_make(&route, "", &options, error, sizeof(error)) != 0 ||
            cv_routes_add(routes, route, CV_ROUTES_REPLACE, error, sizeof(error)) != 0)
            abort();
}

static void add_replace(const struct set *set) {
    static struct cv_routes routes;
    struct cv_route *route;
    char error[256];

    if (cv_routes_init(&routes) != 0)
        abort();
    routes.worker_count = 1;
    for (uint32_t i = 0; i < set->count; i++) {
        struct covet_route_options options = {
            .methods = COVET_GET, .pattern = set->route[i].pattern, .handler = handle};

        if (cv_routes_make(&route, "", &options, error, sizeof(error)) != 0 ||
            cv_routes_add(&routes, route, CV_ROUTES_ADD, error, sizeof(error)) != 0)
            abort();
    }
    if (cv_routes_publish(&routes) != 0)
        abort();
    bench_add(&(struct bench){
        .name = "route_1000/replace", .impl = "covet", .run = run_replace, .context = &routes});
}

void bench_route(void) {
    struct set *thousand = new_set(), *hub = new_set();

    add_thousand(thousand);
    struct cv_router *router = build_router(thousand);
    add_pair("route_1000/static", make_lookup(thousand, router, 0));
    add_pair("route_1000/params1", make_lookup(thousand, router, 1));
    add_pair("route_1000/params2", make_lookup(thousand, router, 2));
    add_replace(thousand);
    for (size_t i = 0; i < sizeof(github) / sizeof(github[0]); i++)
        add_route(hub, github[i].method, github[i].pattern);
    add_pair("route_github/all", make_lookup(hub, build_router(hub), -1));
}
