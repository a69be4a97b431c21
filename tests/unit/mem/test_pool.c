// The pool: classes, reuse, accounting, exhaustion, and what it takes from the system.
#include "mem/pool.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "mem/poison.h"

#define CHUNK_BYTES (64u * 1024u)

static unsigned system_allocs;
static unsigned system_frees;
static unsigned allocs_allowed;

static bool may_alloc(void) {
    if (allocs_allowed == 0)
        return false;
    allocs_allowed--;
    system_allocs++;
    return true;
}

void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);
void __real_free(void *memory);
void __wrap_free(void *memory);

void *__wrap_malloc(size_t bytes) {
    return may_alloc() ? __real_malloc(bytes) : NULL;
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes) {
    return may_alloc() ? __real_aligned_alloc(alignment, bytes) : NULL;
}

void __wrap_free(void *memory) {
    system_frees++;
    __real_free(memory);
}

static struct cv_pool pool;

static int make_pool(void **state) {
    (void)state;
    system_allocs = 0;
    system_frees = 0;
    allocs_allowed = UINT32_MAX;
    cv_pool_init(&pool);
    return 0;
}

static int end_pool(void **state) {
    (void)state;
    cv_pool_deinit(&pool);
    assert_int_equal(system_allocs, system_frees);
    return 0;
}

static void test_pool_capacity_is_the_next_power_of_two(void **state) {
    static const struct {
        size_t bytes;
        size_t capacity;
    } cases[] = {
        {0, 64},
        {1, 64},
        {64, 64},
        {65, 128},
        {128, 128},
        {129, 256},
        {4095, 4096},
        {4096, 4096},
        {4097, 8192},
        {524289, 1048576},
        {1048576, 1048576},
        {1048577, 1048577},
        {SIZE_MAX, SIZE_MAX},
    };

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++)
        assert_int_equal(cv_pool_capacity(cases[i].bytes), cases[i].capacity);
}

static void test_pool_blocks_are_aligned_apart_and_wholly_usable(void **state) {
    static const size_t sizes[] = {1, 64, 100, 1000, 4096, 5000, 70000, 1048576, 1500000};
    void *blocks[CV_ARRAY_COUNT(sizes)][8];

    (void)state;
    for (size_t round = 0; round < 8; round++) {
        for (size_t i = 0; i < CV_ARRAY_COUNT(sizes); i++) {
            blocks[i][round] = cv_pool_acquire(&pool, sizes[i]);
            assert_non_null(blocks[i][round]);
            assert_int_equal((uintptr_t)blocks[i][round] % 16, 0);
            memset(blocks[i][round], (int)(i * 8 + round), cv_pool_capacity(sizes[i]));
        }
    }
    for (size_t round = 0; round < 8; round++) {
        for (size_t i = 0; i < CV_ARRAY_COUNT(sizes); i++) {
            const uint8_t *bytes = blocks[i][round];

            for (size_t at = 0; at < cv_pool_capacity(sizes[i]); at++)
                assert_true(bytes[at] == i * 8 + round);
            cv_pool_release(&pool, blocks[i][round], sizes[i]);
        }
    }
}

static void test_pool_hands_out_the_block_released_last(void **state) {
    void *first = cv_pool_acquire(&pool, 200);
    void *second = cv_pool_acquire(&pool, 256);

    (void)state;
    cv_pool_release(&pool, first, 200);
    cv_pool_release(&pool, second, 129);  // Any size of the class will do.
    assert_ptr_equal(cv_pool_acquire(&pool, 250), second);
    assert_ptr_equal(cv_pool_acquire(&pool, 250), first);
    cv_pool_release(&pool, first, 250);
    cv_pool_release(&pool, second, 250);
    cv_pool_release(&pool, NULL, 250);
}

static void test_pool_counts_live_held_and_cached_bytes(void **state) {
    (void)state;
    void *small = cv_pool_acquire(&pool, 100);
    assert_int_equal(pool.live_bytes, 128);
    assert_int_equal(pool.held_bytes, CHUNK_BYTES);
    void *large = cv_pool_acquire(&pool, 10000);
    assert_int_equal(pool.live_bytes, 128 + 16384);
    assert_int_equal(pool.held_bytes, CHUNK_BYTES + 16384);
    void *huge = cv_pool_acquire(&pool, 2000000);
    assert_int_equal(pool.live_bytes, 128 + 16384 + 2000000);
    assert_int_equal(pool.held_bytes, CHUNK_BYTES + 16384 + 2000000);
    cv_pool_release(&pool, huge, 2000000);
    assert_int_equal(pool.held_bytes, CHUNK_BYTES + 16384);
    assert_int_equal(pool.cached_bytes, 0);
    cv_pool_release(&pool, large, 10000);
    assert_int_equal(pool.held_bytes, CHUNK_BYTES + 16384);
    assert_int_equal(pool.cached_bytes, 16384);
    assert_ptr_equal(cv_pool_acquire(&pool, 16384), large);
    assert_int_equal(pool.cached_bytes, 0);
    cv_pool_release(&pool, large, 16384);
    cv_pool_release(&pool, small, 100);
    assert_int_equal(pool.live_bytes, 0);
}

static void test_pool_caches_large_blocks_up_to_its_cap(void **state) {
    enum { COUNT = 12 };
    void *blocks[COUNT];

    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        blocks[i] = cv_pool_acquire(&pool, CV_POOL_CLASS_BYTES_MAX);
    for (size_t i = 0; i < COUNT; i++)
        cv_pool_release(&pool, blocks[i], CV_POOL_CLASS_BYTES_MAX);
    assert_int_equal(pool.cached_bytes, CV_POOL_CACHE_BYTES_MAX);
    assert_int_equal(pool.held_bytes, CV_POOL_CACHE_BYTES_MAX);
    assert_int_equal(system_frees, COUNT - CV_POOL_CACHE_BYTES_MAX / CV_POOL_CLASS_BYTES_MAX);
}

static void test_pool_takes_nothing_from_the_system_in_steady_state(void **state) {
    (void)state;
    for (int round = 0; round < 1000; round++) {
        void *a = cv_pool_acquire(&pool, 100);
        void *b = cv_pool_acquire(&pool, 3000);
        void *c = cv_pool_acquire(&pool, 20000);

        assert_true(a != NULL && b != NULL && c != NULL);
        cv_pool_release(&pool, b, 3000);
        cv_pool_release(&pool, c, 20000);
        cv_pool_release(&pool, a, 100);
    }
    assert_int_equal(system_allocs, 2);
    assert_int_equal(system_frees, 0);
}

static void test_pool_uses_all_of_a_chunk(void **state) {
    enum { COUNT = CHUNK_BYTES / CV_POOL_CARVED_BYTES + 1 };
    void *blocks[COUNT];
    void *rest[CV_POOL_CARVED_BYTES / CV_POOL_CLASS_BYTES_MIN];
    size_t rest_count = 0;

    // One block too many for a chunk: the end of the first one goes to the smaller classes.
    (void)state;
    for (size_t i = 0; i < COUNT - 1; i++)
        blocks[i] = cv_pool_acquire(&pool, CV_POOL_CARVED_BYTES);
    blocks[COUNT - 1] = NULL;
    assert_int_equal(system_allocs, 2);
    allocs_allowed = 0;
    const uint8_t *first_chunk = (const uint8_t *)blocks[0] - 64;
    for (size_t bytes = CV_POOL_CARVED_BYTES / 2; bytes >= CV_POOL_CLASS_BYTES_MIN; bytes /= 2) {
        const uint8_t *block = rest[rest_count++] = cv_pool_acquire(&pool, bytes);

        assert_true(block > first_chunk && block + bytes <= first_chunk + CHUNK_BYTES);
    }
    for (size_t i = 0, bytes = CV_POOL_CARVED_BYTES / 2; i < rest_count; i++, bytes /= 2)
        cv_pool_release(&pool, rest[i], bytes);
    for (size_t i = 0; i < COUNT; i++)
        cv_pool_release(&pool, blocks[i], CV_POOL_CARVED_BYTES);
}

static void test_pool_gives_null_when_the_system_has_no_memory(void **state) {
    static const size_t sizes[] = {64, 4096, 8192, 1048576, 3000000, SIZE_MAX};

    (void)state;
    allocs_allowed = 0;
    for (size_t i = 0; i < CV_ARRAY_COUNT(sizes); i++) {
        assert_null(cv_pool_acquire(&pool, sizes[i]));
        assert_int_equal(pool.live_bytes, 0);
        assert_int_equal(pool.held_bytes, 0);
    }
    // And goes on when there is some again.
    allocs_allowed = 1;
    void *block = cv_pool_acquire(&pool, 64);
    assert_non_null(block);
    cv_pool_release(&pool, block, 64);
}

static void test_pool_goes_on_after_a_failed_chunk(void **state) {
    enum { COUNT = CHUNK_BYTES / 2048 - 1 };
    void *blocks[COUNT];

    (void)state;
    allocs_allowed = 1;
    for (size_t i = 0; i < COUNT; i++) {
        blocks[i] = cv_pool_acquire(&pool, 2048);
        assert_non_null(blocks[i]);
    }
    assert_null(cv_pool_acquire(&pool, 2048));
    void *small = cv_pool_acquire(&pool, 1024);  // The chunk's end is still there.
    assert_non_null(small);
    cv_pool_release(&pool, blocks[3], 2048);
    assert_ptr_equal(cv_pool_acquire(&pool, 2048), blocks[3]);
    cv_pool_release(&pool, small, 1024);
    for (size_t i = 0; i < COUNT; i++)
        cv_pool_release(&pool, blocks[i], 2048);
}

static void test_pool_random_use_never_hands_out_a_block_twice(void **state) {
    enum { SLOTS = 400, ROUNDS = 60000 };
    static struct {
        uint8_t *block;
        size_t bytes;
        uint8_t mark;
    } slots[SLOTS];
    uint64_t seed = 42;
    size_t live_bytes = 0;

    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        size_t at = (size_t)(seed >> 33) % SLOTS;

        if (slots[at].block != NULL) {
            assert_int_equal(slots[at].block[0], slots[at].mark);
            assert_int_equal(slots[at].block[slots[at].bytes - 1], slots[at].mark);
            cv_pool_release(&pool, slots[at].block, slots[at].bytes);
            live_bytes -= cv_pool_capacity(slots[at].bytes);
            slots[at].block = NULL;
        } else {
            slots[at].bytes = (size_t)1 << (seed >> 40) % 15;
            slots[at].bytes += (size_t)(seed >> 50) % slots[at].bytes;
            slots[at].mark = (uint8_t)round;
            slots[at].block = cv_pool_acquire(&pool, slots[at].bytes);
            assert_non_null(slots[at].block);
            slots[at].block[0] = slots[at].mark;
            slots[at].block[slots[at].bytes - 1] = slots[at].mark;
            live_bytes += cv_pool_capacity(slots[at].bytes);
        }
        assert_int_equal(pool.live_bytes, live_bytes);
    }
    for (size_t i = 0; i < SLOTS; i++)
        cv_pool_release(&pool, slots[i].block, slots[i].bytes);
    memset(slots, 0, sizeof(slots));
}

#ifdef CV_POISON_ENABLED
static void test_pool_poisons_what_is_not_handed_out(void **state) {
    static const size_t sizes[] = {64, 1000, 4096, 10000};

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(sizes); i++) {
        size_t capacity = cv_pool_capacity(sizes[i]);
        uint8_t *block = cv_pool_acquire(&pool, sizes[i]);

        assert_false(cv_poison_test(block));
        assert_false(cv_poison_test(block + capacity - 1));
        cv_pool_release(&pool, block, sizes[i]);
        assert_true(cv_poison_test(block));
        assert_true(cv_poison_test(block + capacity - 1));
    }
    uint8_t *last = cv_pool_acquire(&pool, 512);
    assert_true(cv_poison_test(last + 512));  // Of the chunk, not cut yet.
    cv_pool_release(&pool, last, 512);
}
#endif

static void test_pool_deinit_asserts_that_every_block_came_back(void **state) {
    int status = 0;

    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct cv_pool leaking;

        close(STDERR_FILENO);
        cv_pool_init(&leaking);
        if (cv_pool_acquire(&leaking, 64) != NULL)
            cv_pool_deinit(&leaking);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool_capacity_is_the_next_power_of_two),
        cmocka_unit_test_setup_teardown(test_pool_blocks_are_aligned_apart_and_wholly_usable,
                                        make_pool, end_pool),
        cmocka_unit_test_setup_teardown(test_pool_hands_out_the_block_released_last, make_pool,
                                        end_pool),
        cmocka_unit_test_setup_teardown(test_pool_counts_live_held_and_cached_bytes, make_pool,
                                        end_pool),
        cmocka_unit_test_setup_teardown(test_pool_caches_large_blocks_up_to_its_cap, make_pool,
                                        end_pool),
        cmocka_unit_test_setup_teardown(test_pool_takes_nothing_from_the_system_in_steady_state,
                                        make_pool, end_pool),
        cmocka_unit_test_setup_teardown(test_pool_uses_all_of_a_chunk, make_pool, end_pool),
        cmocka_unit_test_setup_teardown(test_pool_gives_null_when_the_system_has_no_memory,
                                        make_pool, end_pool),
        cmocka_unit_test_setup_teardown(test_pool_goes_on_after_a_failed_chunk, make_pool,
                                        end_pool),
        cmocka_unit_test_setup_teardown(test_pool_random_use_never_hands_out_a_block_twice,
                                        make_pool, end_pool),
#ifdef CV_POISON_ENABLED
        cmocka_unit_test_setup_teardown(test_pool_poisons_what_is_not_handed_out, make_pool,
                                        end_pool),
#endif
        cmocka_unit_test_setup(test_pool_deinit_asserts_that_every_block_came_back, make_pool),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
