// Memory of handlers: blocks that outlive requests and cross threads, and arenas.
#include <covet/memory.h>

#include <pthread.h>

#include "mem/remote.h"
#include "recorder.h"

static void *kept;
static struct covet_arena *request_arena;

static void keep(struct covet_request *request, struct covet_response *response) {
    kept = covet_alloc(covet_request_worker(request), 100);
    request_arena = covet_request_arena(request);
    struct covet_span text = covet_arena_format(request_arena, "%s-%d", "answer", 42);
    char *alone = covet_request_alloc(request, 4);

    assert_non_null(kept);
    memset(kept, 1, 100);
    // Both take from the same chunk.
    assert_ptr_equal(alone, text.data + 16);
    covet_response_bytes(response, "text/plain", text.data, text.length);
}

static int init(struct covet_app *app) {
    return covet_route(app, COVET_GET, "/keep", keep, NULL);
}

static int setup(void **state) {
    struct t_fixture *fixture = malloc(sizeof(*fixture));

    t_open_fixture(fixture, init);
    *state = fixture;
    return 0;
}

static int teardown(void **state) {
    t_close_fixture(*state);
    free(*state);
    return 0;
}

static void test_memory_outlives_the_request(void **state) {
    struct t_fixture *fixture = *state;
    struct t_exchange *exchange = t_get(fixture->worker, "/keep");

    assert_string_equal(exchange->body, "answer-42");
    assert_ptr_equal(request_arena, &exchange->request.arena);
    t_close(exchange);
    assert_int_equal(((uint8_t *)kept)[99], 1);
    covet_free(kept);
    covet_free(NULL);
    assert_int_equal(cv_pool_live_bytes(&fixture->hosts[0].pool), 0);
}

static void *free_it(void *memory) {
    covet_free(memory);
    return NULL;
}

static void test_memory_is_freed_by_a_thread_that_is_no_worker(void **state) {
    struct t_fixture *fixture = *state;
    struct cv_pool *pool = &fixture->hosts[0].pool;
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, free_it, covet_alloc(fixture->worker, 5000)), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(cv_pool_turn(pool) == 0);
    assert_int_equal(pool->remote_frees, 1);
}

static void test_memory_outlives_the_worker(void **state) {
    struct t_fixture *fixture = *state;
    struct cv_pool *pool = &fixture->hosts[0].pool;
    uint8_t *memory = covet_alloc(fixture->worker, 200);

    cv_remote_close(pool);
    cv_pool_init(pool);
    memset(memory, 7, 200);
    covet_free(memory);
}

static void test_memory_arena_is_aligned_cleared_where_said_and_reset(void **state) {
    struct t_fixture *fixture = *state;
    struct covet_arena *arena = covet_arena_create(fixture->worker);

    assert_non_null(arena);
    for (int round = 0; round < 3; round++) {
        for (size_t bytes = 0; bytes < 100; bytes++) {
            uint8_t *memory = covet_arena_alloc(arena, bytes);

            assert_int_equal((uintptr_t)memory % 16, 0);
            memset(memory, 0xff, bytes);
        }
        const uint8_t *zeroed = covet_arena_zeroed(arena, 7, 30);

        for (size_t i = 0; i < 210; i++)
            assert_int_equal(zeroed[i], 0);
        covet_arena_reset(arena);
    }
    assert_non_null(covet_arena_zeroed(arena, 0, 30));
    assert_null(covet_arena_zeroed(arena, SIZE_MAX / 2, 3));
    assert_null(covet_arena_alloc(arena, SIZE_MAX));
    assert_string_equal(covet_arena_copy(arena, (struct covet_span){"abcdef", 3}), "abc");
    covet_arena_destroy(arena);
    covet_arena_destroy(NULL);
    assert_int_equal(cv_pool_live_bytes(&fixture->hosts[0].pool), 0);
}

static void test_memory_arena_formats_texts_of_any_length(void **state) {
    struct t_fixture *fixture = *state;
    struct covet_arena *arena = covet_arena_create(fixture->worker);

    for (int length = 0; length < 3000; length += length < 140 ? 1 : 97) {
        struct covet_span text = covet_arena_format(arena, "%*s", length, "");

        assert_non_null(text.data);
        assert_int_equal(text.length, length);
        assert_int_equal(strlen(text.data), length);
    }
    covet_arena_destroy(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_memory_outlives_the_request, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory_is_freed_by_a_thread_that_is_no_worker, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_memory_outlives_the_worker, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory_arena_is_aligned_cleared_where_said_and_reset,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory_arena_formats_texts_of_any_length, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
