// The arena: alignment, chunk use, large allocations, exhaustion, and giving everything back.
#include "mem/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mem/guard.h"
#include "mem/poison.h"

static int acquires_allowed = -1;  // -1: all.

// In debug mode every block of a pool comes from here.
void *__real_cv_guard_acquire(struct cv_guard *guard, size_t bytes);
void *__wrap_cv_guard_acquire(struct cv_guard *guard, size_t bytes);

void *__wrap_cv_guard_acquire(struct cv_guard *guard, size_t bytes) {
    if (acquires_allowed == 0)
        return NULL;
    if (acquires_allowed > 0)
        acquires_allowed--;
    return __real_cv_guard_acquire(guard, bytes);
}

static struct cv_pool pool;
static struct cv_arena arena;

static int make_arena(void **state) {
    (void)state;
    assert_int_equal(setenv("COVET_MEMORY", "debug", 1), 0);
    acquires_allowed = -1;
    cv_pool_init(&pool);
    cv_arena_init(&arena, &pool);
    return 0;
}

static int end_arena(void **state) {
    (void)state;
    cv_arena_deinit(&arena);
    cv_pool_deinit(&pool);  // Asserts that nothing is live.
    return 0;
}

static void test_arena_takes_nothing_before_the_first_allocation(void **state) {
    (void)state;
    assert_int_equal(cv_pool_live_bytes(&pool), 0);
    assert_int_equal(cv_pool_held_bytes(&pool), 0);
    assert_non_null(cv_arena_alloc(&arena, 1));
    assert_int_equal(cv_pool_live_bytes(&pool), CV_ARENA_CHUNK_BYTES);
}

static void test_arena_allocations_are_aligned_and_do_not_overlap(void **state) {
    enum { COUNT = 500 };
    uint8_t *memory[COUNT];

    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        memory[i] = cv_arena_alloc(&arena, i);
        assert_non_null(memory[i]);
        assert_int_equal((uintptr_t)memory[i] % 16, 0);
        memset(memory[i], (int)(i & 0xff), i);
    }
    for (size_t i = 0; i < COUNT; i++) {
        for (size_t at = 0; at < i; at++)
            assert_true(memory[i][at] == (i & 0xff));
    }
}

static void test_arena_zero_bytes_gives_a_pointer(void **state) {
    (void)state;
    assert_non_null(cv_arena_alloc(&arena, 0));
    assert_non_null(cv_arena_alloc(&arena, 0));
}

static void test_arena_fills_a_chunk_to_its_last_byte(void **state) {
    (void)state;
    for (size_t i = 0; i < (CV_ARENA_CHUNK_BYTES - 16) / 16; i++)
        assert_non_null(cv_arena_alloc(&arena, 16));
    assert_int_equal(cv_pool_live_bytes(&pool), CV_ARENA_CHUNK_BYTES);
    assert_non_null(cv_arena_alloc(&arena, 1));
    assert_int_equal(cv_pool_live_bytes(&pool), 2 * CV_ARENA_CHUNK_BYTES);
}

static void test_arena_large_allocation_leaves_the_chunk_in_use(void **state) {
    (void)state;
    uint8_t *first = cv_arena_alloc(&arena, 16);
    uint8_t *large = cv_arena_alloc(&arena, 100000);
    uint8_t *second = cv_arena_alloc(&arena, 16);

    assert_non_null(large);
    assert_ptr_equal(second, first + 16);
    memset(large, 1, 100000);
    assert_non_null(cv_arena_alloc(&arena, 3000000));
    assert_ptr_equal(cv_arena_alloc(&arena, 16), first + 32);
}

static void test_arena_large_allocation_may_come_first(void **state) {
    (void)state;
    uint8_t *large = cv_arena_alloc(&arena, CV_ARENA_CHUNK_BYTES);
    uint8_t *small = cv_arena_alloc(&arena, 16);

    assert_non_null(large);
    assert_non_null(small);
    memset(large, 1, CV_ARENA_CHUNK_BYTES);
    memset(small, 2, 16);
    assert_int_equal(large[CV_ARENA_CHUNK_BYTES - 1], 1);
}

static void test_arena_works_again_after_deinit(void **state) {
    (void)state;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 100; i++)
            assert_non_null(cv_arena_alloc(&arena, i * 50));
        cv_arena_deinit(&arena);
        assert_int_equal(cv_pool_live_bytes(&pool), 0);
    }
}

static void test_arena_gives_null_when_memory_is_exhausted(void **state) {
    static const size_t sizes[] = {0, 1, 2000, 5000};

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(sizes); i++) {
        acquires_allowed = 0;
        assert_null(cv_arena_alloc(&arena, sizes[i]));
        assert_null(cv_arena_copy(&arena, CV_SPAN("text")));
        assert_int_equal(cv_pool_live_bytes(&pool), 0);
    }
    acquires_allowed = 1;
    uint8_t *first = cv_arena_alloc(&arena, 16);
    assert_non_null(first);
    assert_null(cv_arena_alloc(&arena, 5000));
    assert_null(cv_arena_alloc(&arena, 2032));
    assert_ptr_equal(cv_arena_alloc(&arena, 16), first + 16);  // What is left still serves.
}

static void test_arena_refuses_sizes_that_overflow(void **state) {
    static const size_t sizes[] = {SIZE_MAX,      SIZE_MAX - 1,  SIZE_MAX - 14,
                                   SIZE_MAX - 15, SIZE_MAX - 16, SIZE_MAX - 31};

    (void)state;
    assert_non_null(cv_arena_alloc(&arena, 1));
    acquires_allowed = 0;  // Such a size must not even reach the pool as a small one.
    for (size_t i = 0; i < CV_ARRAY_COUNT(sizes); i++) {
        assert_null(cv_arena_alloc(&arena, sizes[i]));
    }
}

static void test_arena_reset_keeps_a_chunk_and_gives_the_rest_back(void **state) {
    (void)state;
    cv_arena_reset(&arena);  // Nothing to keep yet.
    assert_int_equal(cv_pool_live_bytes(&pool), 0);
    for (int round = 0; round < 3; round++) {
        const uint8_t *kept = (const uint8_t *)arena.chunks;
        const uint8_t *first = cv_arena_alloc(&arena, 16);

        assert_true(round == 0 || first == kept + 16);
        for (size_t i = 1; i < 300; i++)
            memset(cv_arena_alloc(&arena, i), 1, i);
        assert_non_null(cv_arena_alloc(&arena, 9000));
        cv_arena_reset(&arena);
        assert_int_equal(cv_pool_live_bytes(&pool), CV_ARENA_CHUNK_BYTES);
    }
    // One that holds a single allocation is not worth keeping.
    cv_arena_deinit(&arena);
    assert_non_null(cv_arena_alloc(&arena, 9000));
    cv_arena_reset(&arena);
    assert_int_equal(cv_pool_live_bytes(&pool), 0);
    assert_non_null(cv_arena_alloc(&arena, 16));
}

static void test_arena_copy_ends_in_nul(void **state) {
    (void)state;
    char *copy = cv_arena_copy(&arena, cv_span_make("a\0bc", 3));
    char *empty = cv_arena_copy(&arena, cv_span_make(NULL, 0));

    assert_memory_equal(copy, "a\0b\0", 4);
    assert_string_equal(empty, "");
}

#ifdef CV_POISON_ENABLED
// Behind a block of debug mode lies what it checks, not poison.
static int make_plain_arena(void **state) {
    (void)make_arena(state);
    cv_pool_deinit(&pool);
    assert_int_equal(unsetenv("COVET_MEMORY"), 0);
    cv_pool_init(&pool);
    return 0;
}

static void test_arena_poisons_behind_every_allocation(void **state) {
    (void)state;
    uint8_t *memory = cv_arena_alloc(&arena, 21);
    uint8_t *large = cv_arena_alloc(&arena, 5001);

    assert_false(cv_poison_test(memory + 20));
    assert_true(cv_poison_test(memory + 21));
    assert_true(cv_poison_test(memory + 32));
    assert_false(cv_poison_test(large + 5000));
    assert_true(cv_poison_test(large + 5001));
    cv_arena_deinit(&arena);
    assert_true(cv_poison_test(memory));
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_arena_takes_nothing_before_the_first_allocation,
                                        make_arena, end_arena),
        cmocka_unit_test_setup_teardown(test_arena_allocations_are_aligned_and_do_not_overlap,
                                        make_arena, end_arena),
        cmocka_unit_test_setup_teardown(test_arena_zero_bytes_gives_a_pointer, make_arena,
                                        end_arena),
        cmocka_unit_test_setup_teardown(test_arena_fills_a_chunk_to_its_last_byte, make_arena,
                                        end_arena),
        cmocka_unit_test_setup_teardown(test_arena_large_allocation_leaves_the_chunk_in_use,
                                        make_arena, end_arena),
        cmocka_unit_test_setup_teardown(test_arena_large_allocation_may_come_first, make_arena,
                                        end_arena),
        cmocka_unit_test_setup_teardown(test_arena_works_again_after_deinit, make_arena, end_arena),
        cmocka_unit_test_setup_teardown(test_arena_gives_null_when_memory_is_exhausted, make_arena,
                                        end_arena),
        cmocka_unit_test_setup_teardown(test_arena_refuses_sizes_that_overflow, make_arena,
                                        end_arena),
        cmocka_unit_test_setup_teardown(test_arena_reset_keeps_a_chunk_and_gives_the_rest_back,
                                        make_arena, end_arena),
        cmocka_unit_test_setup_teardown(test_arena_copy_ends_in_nul, make_arena, end_arena),
#ifdef CV_POISON_ENABLED
        cmocka_unit_test_setup_teardown(test_arena_poisons_behind_every_allocation,
                                        make_plain_arena, end_arena),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
