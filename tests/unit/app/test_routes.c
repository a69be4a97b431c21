// When tables and routes go: never under a reader, at last always.
#include "app/routes.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/parser.h"

#define ERROR_BYTES 512u

static struct cv_routes routes;
static char error[ERROR_BYTES];
static uint32_t wish_count;
static bool build_fails;

static void handle(struct covet_request *request, struct covet_response *response) {
    (void)request, (void)response;
}

struct cv_router *__real_cv_router_build(const struct cv_router_entry *entry, uint32_t count,
                                         uint32_t worker_count);

struct cv_router *__wrap_cv_router_build(const struct cv_router_entry *entry, uint32_t count,
                                         uint32_t worker_count) {
    return build_fails ? NULL : __real_cv_router_build(entry, count, worker_count);
}

static void note_wish(void *context) {
    (*(uint32_t *)context)++;
}

static void count_removal(void *context) {
    (*(int *)context)++;
}

static int put_with(enum cv_routes_mode mode, unsigned methods, const char *pattern, void *context,
                    void (*on_removed)(void *context)) {
    struct covet_route_options options = {
        .methods = methods,
        .pattern = pattern,
        .handler = handle,
        .context = context,
        .on_removed = on_removed,
    };
    struct cv_route *route;
    int result = cv_routes_make(&route, "", &options, error, sizeof(error));

    return result == 0 ? cv_routes_add(&routes, route, mode, error, sizeof(error)) : result;
}

static int put(enum cv_routes_mode mode, unsigned methods, const char *pattern, int *removed) {
    return put_with(mode, methods, pattern, removed, count_removal);
}

static int take_away(unsigned methods, const char *pattern) {
    return cv_routes_remove(&routes, (uint16_t)methods, pattern, error, sizeof(error));
}

static uint32_t table_count(void) {
    struct cv_routes_figures figures;

    cv_routes_measure(&routes, &figures);
    assert_true((figures.table_count > 1) == (figures.retired_bytes > 0));
    return figures.table_count;
}

static const struct cv_route *find(const struct cv_router *router, uint16_t method,
                                   const char *path) {
    struct cv_match match;

    cv_router_match(router, method, cv_span_of(path), &match);
    return match.route;
}

static const struct cv_route *find_now(uint16_t method, const char *path) {
    return find(atomic_load(&routes.current), method, path);
}

static int set_up(void **state) {
    (void)state;
    wish_count = 0;
    build_fails = false;
    int result = cv_routes_init(&routes);
    routes.worker_count = 2;
    routes.want_reclaim = note_wish;
    routes.want_context = &wish_count;
    return result;
}

static int publish_one(int *removed) {
    assert_int_equal(put(CV_ROUTES_ADD, COVET_GET, "/", removed), 0);
    return cv_routes_publish(&routes);
}

static void test_routes_go_at_once_when_nobody_reads(void **state) {
    int first = 0, second = 0;
    struct cv_turn asleep = {0};

    (void)state;
    assert_int_equal(publish_one(&first), 0);
    cv_routes_enter(&routes, 0, &asleep);
    assert_int_equal(put(CV_ROUTES_REPLACE, COVET_GET, "/", &second), 0);
    assert_int_equal(first, 1);
    assert_int_equal(table_count(), 1);
    assert_int_equal(take_away(COVET_GET, "/"), 0);
    assert_int_equal(second, 1);
    assert_null(find_now(CV_METHOD_GET, "/"));
    assert_int_equal(wish_count, 0);
    cv_routes_leave(&routes, 0);
    cv_routes_deinit(&routes);
    assert_int_equal(first + second, 2);
}

static void test_routes_wait_for_the_turn_of_a_worker_that_is_awake(void **state) {
    int first = 0, second = 0;
    struct cv_turn turn = {0}, other = {0};

    (void)state;
    assert_int_equal(publish_one(&first), 0);
    cv_routes_enter(&routes, 0, &turn);
    cv_routes_enter(&routes, 1, &other);
    cv_turn_wake(&turn);
    assert_int_equal(put(CV_ROUTES_REPLACE, COVET_GET, "/", &second), 0);
    assert_int_equal(first, 0);
    assert_int_equal(wish_count, 1);
    assert_true(cv_routes_reclaim(&routes));
    // Another one that wakes up later takes the new table: it does not matter.
    cv_turn_wake(&other);
    cv_turn_sleep(&turn);
    cv_turn_wake(&turn);
    assert_false(cv_routes_reclaim(&routes));
    assert_int_equal(first, 1);
    assert_int_equal(table_count(), 1);
    // One that has gone cannot hold anything either.
    assert_int_equal(take_away(COVET_GET, "/"), 0);
    assert_int_equal(second, 0);
    cv_routes_leave(&routes, 0);
    cv_routes_leave(&routes, 1);
    assert_false(cv_routes_reclaim(&routes));
    assert_int_equal(second, 1);
    cv_routes_deinit(&routes);
}

// The current table, pinned.
static struct cv_router *pin(uint32_t worker_index) {
    struct cv_router *router = cv_routes_current(&routes);

    cv_routes_pin(router, worker_index);
    return router;
}

static void test_routes_stay_while_they_are_pinned(void **state) {
    int first = 0, second = 0;
    struct cv_turn turn = {0};

    (void)state;
    assert_int_equal(publish_one(&first), 0);
    cv_routes_enter(&routes, 1, &turn);
    cv_turn_wake(&turn);
    struct cv_router *pinned = pin(1);
    struct cv_router *again = pin(1);
    const struct cv_route *route = find(pinned, CV_METHOD_GET, "/");
    cv_turn_sleep(&turn);
    assert_int_equal(put(CV_ROUTES_REPLACE, COVET_GET, "/", &second), 0);
    // Everybody has passed a turn: only the end of the pin is worth a wake-up.
    assert_false(cv_routes_reclaim(&routes));
    assert_int_equal(wish_count, 0);
    assert_int_equal(first, 0);
    assert_ptr_equal(find(pinned, CV_METHOD_GET, "/"), route);
    assert_ptr_not_equal(find_now(CV_METHOD_GET, "/"), route);
    cv_turn_wake(&turn);
    cv_routes_unpin(&routes, again, 1);
    assert_int_equal(wish_count, 0);
    cv_routes_unpin(&routes, pinned, 1);
    assert_int_equal(wish_count, 1);
    assert_false(cv_routes_reclaim(&routes));
    assert_int_equal(first, 1);
    assert_int_equal(second, 0);
    assert_int_equal(table_count(), 1);
    // The end of a pin on the current table wakes nobody.
    cv_routes_unpin(&routes, pin(1), 1);
    assert_int_equal(wish_count, 1);
    cv_routes_deinit(&routes);
}

static void test_routes_that_came_and_went_are_not_kept_by_an_old_pin(void **state) {
    int first = 0, other = 0, between = 0;
    struct cv_turn turn = {0};

    (void)state;
    assert_int_equal(put(CV_ROUTES_ADD, COVET_GET, "/stays/{id}", &other), 0);
    assert_int_equal(publish_one(&first), 0);
    cv_routes_enter(&routes, 0, &turn);
    struct cv_router *pinned = pin(0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(put(CV_ROUTES_REPLACE, COVET_GET, "/", &between), 0);
    assert_int_equal(first, 0);
    assert_int_equal(between, 999);
    assert_int_equal(table_count(), 2);
    assert_int_equal(find(pinned, CV_METHOD_GET, "/")->context == &first, 1);
    cv_routes_unpin(&routes, pinned, 0);
    assert_false(cv_routes_reclaim(&routes));
    assert_int_equal(first, 1);
    assert_int_equal(table_count(), 1);
    assert_int_equal(other, 0);
    cv_routes_deinit(&routes);
    assert_int_equal(between, 1000);
    assert_int_equal(other, 1);
}

static void test_routes_of_many_pinned_tables_go_in_any_order(void **state) {
    enum { TABLES = 1024 };  // A search in all for each would be noticed.
    int removed[TABLES + 1] = {0};
    struct cv_router *pinned[TABLES];
    struct cv_turn turn = {0};

    (void)state;
    assert_int_equal(publish_one(&removed[0]), 0);
    cv_routes_enter(&routes, 0, &turn);
    for (int i = 0; i < TABLES; i++) {
        pinned[i] = pin(0);
        assert_int_equal(put(CV_ROUTES_REPLACE, COVET_GET, "/", &removed[i + 1]), 0);
    }
    assert_int_equal(table_count(), TABLES + 1);
    for (int i = 0; i < TABLES; i++) {
        int at = (i * 37) % TABLES;

        assert_int_equal(removed[at], 0);
        cv_routes_unpin(&routes, pinned[at], 0);
        assert_false(cv_routes_reclaim(&routes));
        assert_int_equal(removed[at], 1);
        assert_int_equal(table_count(), TABLES - i);
    }
    assert_int_equal(removed[TABLES], 0);
    cv_routes_deinit(&routes);
}

// A route is gone when, and only when, no pinned table has it: three patterns change at random.
static void test_routes_live_as_long_as_the_tables_that_have_them(void **state) {
    enum { CHANGES = 400, PINS = 8, PATTERNS = 3 };
    static const char *pattern[PATTERNS] = {"/", "/a", "/b/{c}"};
    static int removed[CHANGES];
    int now[PATTERNS] = {-1, -1, -1}, held[PINS][PATTERNS];
    struct cv_router *pinned[PINS] = {NULL};
    struct cv_turn turn = {0};
    unsigned random = 1;

    (void)state;
    memset(removed, 0, sizeof(removed));
    assert_int_equal(cv_routes_publish(&routes), 0);
    cv_routes_enter(&routes, 0, &turn);
    for (int i = 0; i < CHANGES; i++) {
        bool needed[CHANGES] = {false};

        random = random * 1103515245 + 12345;
        unsigned at = random >> 16 & (PINS - 1), which = (random >> 20) % PATTERNS;
        if (pinned[at] != NULL)
            cv_routes_unpin(&routes, pinned[at], 0);
        pinned[at] = pin(0);
        memcpy(held[at], now, sizeof(now));
        assert_int_equal(put(CV_ROUTES_REPLACE, COVET_GET, pattern[which], &removed[i]), 0);
        now[which] = i;
        for (unsigned k = 0; k < PATTERNS; k++) {
            if (now[k] >= 0)
                needed[now[k]] = true;
            for (unsigned pin = 0; pin < PINS; pin++)
                if (pinned[pin] != NULL && held[pin][k] >= 0)
                    needed[held[pin][k]] = true;
        }
        for (int k = 0; k <= i; k++)
            assert_int_equal(removed[k], needed[k] ? 0 : 1);
    }
    cv_routes_leave(&routes, 0);
    cv_routes_deinit(&routes);
    for (int i = 0; i < CHANGES; i++)
        assert_int_equal(removed[i], 1);
}

static void test_routes_lose_methods_one_by_one(void **state) {
    int old = 0, get = 0, named = 0;

    (void)state;
    assert_int_equal(put(CV_ROUTES_ADD, COVET_GET | COVET_POST, "/a/{id}", &old), 0);
    assert_int_equal(cv_routes_publish(&routes), 0);
    assert_int_equal(put(CV_ROUTES_ADD, COVET_GET, "/a/{name}", &get), -EEXIST);
    assert_non_null(strstr(error, "\"/a/{name}\""));
    assert_non_null(strstr(error, "\"/a/{id}\""));
    assert_int_equal(get, 0);
    assert_int_equal(put(CV_ROUTES_REPLACE, COVET_GET, "/a/{name}", &get), 0);
    assert_ptr_equal(find_now(CV_METHOD_GET, "/a/x")->context, &get);
    assert_ptr_equal(find_now(CV_METHOD_POST, "/a/x")->context, &old);
    assert_int_equal(put(CV_ROUTES_ADD, COVET_GET, "/a/{n:int}", &named), 0);
    assert_ptr_equal(find_now(CV_METHOD_GET, "/a/7")->context, &named);
    assert_int_equal(take_away(COVET_POST | COVET_PUT, "/a/{whatever}"), 0);
    assert_int_equal(old, 1);
    assert_null(find_now(CV_METHOD_POST, "/a/x"));
    assert_ptr_equal(find_now(CV_METHOD_GET, "/a/x")->context, &get);
    cv_routes_deinit(&routes);
    assert_int_equal(get, 1);
}

static void test_routes_say_what_cannot_be_removed(void **state) {
    int removed = 0;

    (void)state;
    assert_int_equal(publish_one(&removed), 0);
    assert_int_equal(take_away(COVET_GET, "/nothing"), -ENOENT);
    assert_non_null(strstr(error, "/nothing"));
    assert_int_equal(take_away(COVET_POST, "/"), -ENOENT);
    assert_int_equal(take_away(0, "/"), -ENOENT);
    assert_int_equal(take_away(COVET_GET, "/{a"), -EINVAL);
    assert_int_equal(take_away(COVET_GET, ""), -EINVAL);
    assert_int_equal(removed, 0);
    assert_non_null(find_now(CV_METHOD_GET, "/"));
    cv_routes_deinit(&routes);
}

static void test_routes_change_nothing_when_they_cannot(void **state) {
    int first = 0, second = 0;
    struct cv_routes_figures figures;

    (void)state;
    assert_int_equal(publish_one(&first), 0);
    build_fails = true;
    assert_int_equal(put(CV_ROUTES_REPLACE, COVET_GET, "/", &second), -ENOMEM);
    assert_int_equal(take_away(COVET_GET, "/"), -ENOMEM);
    assert_non_null(strstr(error, "no memory"));
    build_fails = false;
    routes.retired_bytes += CV_ROUTES_RETIRED_BYTES_MAX + 1;
    assert_int_equal(put(CV_ROUTES_REPLACE, COVET_GET, "/", &second), -EAGAIN);
    assert_int_equal(take_away(COVET_GET, "/"), -EAGAIN);
    assert_non_null(strstr(error, "in use"));
    routes.retired_bytes -= CV_ROUTES_RETIRED_BYTES_MAX + 1;
    cv_routes_measure(&routes, &figures);
    assert_int_equal(figures.number, 1);
    assert_ptr_equal(find_now(CV_METHOD_GET, "/")->context, &first);
    assert_int_equal(first + second, 0);
    cv_routes_deinit(&routes);
}

static void test_routes_may_be_replaced_before_the_first_table(void **state) {
    int first = 0, second = 0;

    (void)state;
    assert_int_equal(put(CV_ROUTES_ADD, COVET_GET, "/", &first), 0);
    assert_int_equal(put(CV_ROUTES_REPLACE, COVET_GET, "/", &second), 0);
    assert_int_equal(first, 1);
    assert_int_equal(cv_routes_publish(&routes), 0);
    assert_ptr_equal(find_now(CV_METHOD_GET, "/")->context, &second);
    cv_routes_deinit(&routes);
}

// on_removed may change routes: it is called without the lock.
static void add_successor(void *context) {
    int *depth = context;

    if (++*depth < 3)
        assert_int_equal(put_with(CV_ROUTES_REPLACE, COVET_GET, "/", depth, add_successor), 0);
}

static void test_routes_may_change_in_on_removed(void **state) {
    int depth = 0, last = 0;

    (void)state;
    assert_int_equal(put_with(CV_ROUTES_ADD, COVET_GET, "/", &depth, add_successor), 0);
    assert_int_equal(cv_routes_publish(&routes), 0);
    assert_int_equal(put(CV_ROUTES_REPLACE, COVET_GET, "/", &last), 0);
    assert_int_equal(depth, 1);
    assert_int_equal(last, 1);
    assert_int_equal(take_away(COVET_GET, "/"), 0);
    assert_int_equal(depth, 2);
    assert_int_equal(table_count(), 1);
    cv_routes_deinit(&routes);
}

// So it may when the application ends, where there is nothing left to change.
static void change_at_the_end(void *context) {
    static int never;
    int *results = context;

    results[0] = put(CV_ROUTES_ADD, COVET_GET, "/new", &never);
    results[1] = put(CV_ROUTES_REPLACE, COVET_GET, "/", &never);
    results[2] = take_away(COVET_GET, "/other/{id}");
    results[3] = cv_routes_reclaim(&routes);
    assert_int_equal(never, 0);
}

static void test_routes_refuse_changes_in_on_removed_at_the_end(void **state) {
    int results[4] = {0, 0, 0, 1}, removed = 0;

    (void)state;
    assert_int_equal(put_with(CV_ROUTES_ADD, COVET_GET, "/", results, change_at_the_end), 0);
    assert_int_equal(put(CV_ROUTES_ADD, COVET_GET, "/other/{id}", &removed), 0);
    assert_int_equal(cv_routes_publish(&routes), 0);
    cv_routes_deinit(&routes);
    assert_int_equal(results[0], -ESHUTDOWN);
    assert_int_equal(results[1], -ESHUTDOWN);
    assert_int_equal(results[2], -ENOENT);
    assert_int_equal(results[3], 0);
    assert_int_equal(removed, 1);
}

static void test_routes_are_listed_by_pattern(void **state) {
    char listed[256] = "";
    int removed = 0;

    (void)state;
    assert_int_equal(put(CV_ROUTES_ADD, COVET_GET, "/b", &removed), 0);
    assert_int_equal(put(CV_ROUTES_ADD, COVET_GET, "/a/{id}", &removed), 0);
    assert_int_equal(put(CV_ROUTES_ADD, COVET_POST, "/b", &removed), 0);
    assert_int_equal(put(CV_ROUTES_ADD, COVET_GET, "/a", &removed), 0);
    for (uint32_t i = 0; i < routes.entry_count; i++)
        sprintf(listed + strlen(listed), "%s ", routes.entry[i].route->pattern);
    assert_string_equal(listed, "/a /a/{id} /b /b ");
    cv_routes_deinit(&routes);
}

// Threads: readers that pin, look, keep some pins over turns; a writer that replaces all the time.

#define READERS 3u
#define REPLACEMENTS 4000u
#define KEPT 8u

struct version {
    uint64_t number;
    uint64_t check;
};

static _Atomic bool is_over;
static _Atomic uint32_t begun;  // Readers that have looked.
static _Atomic uint32_t alive;

static void free_version(void *context) {
    struct version *version = context;

    // What somebody reads from now on is wrong.
    version->number = version->check = 0;
    free(version);
    atomic_fetch_sub(&alive, 1);
}

static struct version *new_version(uint64_t number) {
    struct version *version = malloc(sizeof(*version));

    if (version == NULL)
        abort();
    *version = (struct version){number, ~number * 3};
    atomic_fetch_add(&alive, 1);
    return version;
}

struct reader {
    pthread_t thread;
    struct cv_turn turn;
    uint32_t index;
    uint32_t wrong;
    uint64_t seen;
};

static void look(struct reader *reader, struct cv_router *router, const char *path) {
    const struct cv_route *route = find(router, CV_METHOD_GET, path);
    const struct version *version = route == NULL ? NULL : route->context;

    if (version == NULL || version->check != ~version->number * 3)
        reader->wrong++;
    else
        reader->seen = version->number;
}

static void *read_on(void *context) {
    struct reader *reader = context;
    struct cv_router *kept[KEPT] = {NULL};

    cv_turn_wake(&reader->turn);
    cv_routes_enter(&routes, reader->index, &reader->turn);
    for (uint32_t round = 0; !atomic_load(&is_over); round++) {
        for (uint32_t i = 0; i < 16; i++) {
            // Until the end of the turn it needs no pin.
            struct cv_router *router = cv_routes_current(&routes);

            look(reader, router, i % 2 == 0 ? "/static" : "/some/thing");
        }
        uint32_t at = round % KEPT;
        if (kept[at] != NULL) {
            look(reader, kept[at], "/static");
            cv_routes_unpin(&routes, kept[at], reader->index);
        }
        kept[at] = pin(reader->index);
        cv_turn_sleep(&reader->turn);
        cv_turn_wake(&reader->turn);
        if (round == 0)
            atomic_fetch_add(&begun, 1);
    }
    for (uint32_t i = 0; i < KEPT; i++)
        if (kept[i] != NULL)
            cv_routes_unpin(&routes, kept[i], reader->index);
    cv_routes_leave(&routes, reader->index);
    return NULL;
}

static void test_routes_are_never_freed_under_a_reader(void **state) {
    static struct reader readers[READERS];
    uint32_t largest = 0;

    (void)state;
    routes.worker_count = READERS;
    routes.want_reclaim = NULL;
    atomic_store(&is_over, false);
    for (uint64_t i = 0; i < 2; i++)
        assert_int_equal(put_with(CV_ROUTES_ADD, COVET_GET, i == 0 ? "/static" : "/some/{name}",
                                  new_version(i + 1), free_version),
                         0);
    assert_int_equal(cv_routes_publish(&routes), 0);
    for (uint32_t i = 0; i < READERS; i++) {
        readers[i] = (struct reader){.index = i};
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_on, &readers[i]), 0);
    }
    while (atomic_load(&begun) < READERS)
        sched_yield();
    for (uint64_t i = 0; i < REPLACEMENTS; i++) {
        assert_int_equal(put_with(CV_ROUTES_REPLACE, COVET_GET,
                                  i % 2 == 0 ? "/static" : "/some/{name}", new_version(i + 3),
                                  free_version),
                         0);
        if (i % 64 == 0)
            largest = CV_MAX(largest, table_count());
    }
    atomic_store(&is_over, true);
    for (uint32_t i = 0; i < READERS; i++) {
        pthread_join(readers[i].thread, NULL);
        assert_int_equal(readers[i].wrong, 0);
        assert_true(readers[i].seen > 0);
    }
    assert_false(cv_routes_reclaim(&routes));
    assert_int_equal(table_count(), 1);
    assert_int_equal(atomic_load(&alive), 2);
    assert_true(largest < REPLACEMENTS);
    cv_routes_deinit(&routes);
    assert_int_equal(atomic_load(&alive), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_routes_go_at_once_when_nobody_reads, set_up),
        cmocka_unit_test_setup(test_routes_wait_for_the_turn_of_a_worker_that_is_awake, set_up),
        cmocka_unit_test_setup(test_routes_stay_while_they_are_pinned, set_up),
        cmocka_unit_test_setup(test_routes_that_came_and_went_are_not_kept_by_an_old_pin, set_up),
        cmocka_unit_test_setup(test_routes_of_many_pinned_tables_go_in_any_order, set_up),
        cmocka_unit_test_setup(test_routes_live_as_long_as_the_tables_that_have_them, set_up),
        cmocka_unit_test_setup(test_routes_lose_methods_one_by_one, set_up),
        cmocka_unit_test_setup(test_routes_say_what_cannot_be_removed, set_up),
        cmocka_unit_test_setup(test_routes_change_nothing_when_they_cannot, set_up),
        cmocka_unit_test_setup(test_routes_may_be_replaced_before_the_first_table, set_up),
        cmocka_unit_test_setup(test_routes_may_change_in_on_removed, set_up),
        cmocka_unit_test_setup(test_routes_refuse_changes_in_on_removed_at_the_end, set_up),
        cmocka_unit_test_setup(test_routes_are_listed_by_pattern, set_up),
        cmocka_unit_test_setup(test_routes_are_never_freed_under_a_reader, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
