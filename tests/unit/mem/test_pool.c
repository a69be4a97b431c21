// The pool: classes, reuse, accounting, exhaustion, and what it takes from the system.
#include "mem/pool.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define KIB 1024u
#define MIB (1024u * 1024u)

static bool maps_fail;
static bool malloc_fails;
static unsigned maps;
static unsigned mallocs;

void *__real_mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset);
void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);

void *__wrap_mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset) {
    if (maps_fail || (flags & MAP_HUGETLB) != 0)
        return MAP_FAILED;
    maps++;
    return __real_mmap(address, bytes, protection, flags, fd, offset);
}

void *__wrap_malloc(size_t bytes) {
    mallocs++;
    return malloc_fails ? NULL : __real_malloc(bytes);
}

static struct cv_pool pool;

static int make_pool(void **state) {
    (void)state;
    maps_fail = false;
    malloc_fails = false;
    maps = 0;
    mallocs = 0;
    cv_pool_init(&pool);
    return 0;
}

static int end_pool(void **state) {
    (void)state;
    cv_pool_deinit(&pool);
    assert_int_equal(cv_pool_held_bytes(&pool), 0);
    return 0;
}

static void test_pool_capacity_is_the_next_power_of_two(void **state) {
    static const struct {
        size_t bytes;
        size_t capacity;
    } cases[] = {
        {0, 8},
        {1, 8},
        {8, 8},
        {9, 16},
        {64, 64},
        {65, 128},
        {128, 128},
        {1023, 1024},
        {1024, 1024},
        {1025, 2048},
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

static void test_pool_class_is_the_smallest_that_fits(void **state) {
    (void)state;
    for (size_t bytes = 1; bytes <= CV_POOL_CLASS_BYTES_MAX; bytes += bytes / 1024 + 1) {
        uint32_t class_index = cv_pool_class(bytes);

        assert_true(bytes <= cv_pool_class_bytes(class_index));
        assert_true(class_index == 0 || bytes > cv_pool_class_bytes(class_index - 1));
        assert_ptr_equal(cv_pool_list(&pool, bytes), &pool.free[class_index]);
    }
    assert_null(cv_pool_list(&pool, 0));
    assert_null(cv_pool_list(&pool, CV_POOL_CLASS_BYTES_MAX + 1));
    assert_int_equal(cv_pool_class(8), 0);  // What the compiler finds.
    assert_int_equal(cv_pool_class(9), 1);
    assert_int_equal(cv_pool_class(1024), 7);
    assert_int_equal(cv_pool_class(1048576), CV_POOL_CLASS_COUNT - 1);
}

static void test_pool_blocks_are_aligned_apart_and_wholly_usable(void **state) {
    static const size_t sizes[] = {8,    16,   32,    64,    128,     256,    512,
                                   1024, 4096, 16384, 65536, 1048576, 1500000};
    void *blocks[CV_ARRAY_COUNT(sizes)][8];

    (void)state;
    for (size_t round = 0; round < 8; round++) {
        for (size_t i = 0; i < CV_ARRAY_COUNT(sizes); i++) {
            blocks[i][round] = cv_pool_acquire(&pool, sizes[i]);
            assert_non_null(blocks[i][round]);
            assert_int_equal((uintptr_t)blocks[i][round] % CV_MIN(sizes[i], 16u), 0);
            memset(blocks[i][round], (int)(i * 8 + round), sizes[i]);
        }
    }
    for (size_t round = 0; round < 8; round++) {
        for (size_t i = 0; i < CV_ARRAY_COUNT(sizes); i++) {
            const uint8_t *bytes = blocks[i][round];

            for (size_t at = 0; at < sizes[i]; at++)
                assert_true(bytes[at] == i * 8 + round);
            cv_pool_release(&pool, blocks[i][round], sizes[i]);
        }
    }
}

static void test_pool_hands_out_the_block_released_last(void **state) {
    static const size_t sizes[] = {200, 2000, 20000};

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(sizes); i++) {
        size_t capacity = cv_pool_capacity(sizes[i]);
        void *first = cv_pool_acquire(&pool, sizes[i]);
        void *second = cv_pool_acquire(&pool, capacity);

        cv_pool_release(&pool, first, sizes[i]);
        cv_pool_release(&pool, second, capacity / 2 + 1);  // Any size of the class will do.
        assert_ptr_equal(cv_pool_acquire(&pool, capacity), second);
        assert_ptr_equal(cv_pool_acquire(&pool, sizes[i]), first);
        cv_pool_release(&pool, first, sizes[i]);
        cv_pool_release(&pool, second, sizes[i]);
        cv_pool_release(&pool, NULL, sizes[i]);
    }
}

static void test_pool_zero_bytes_give_a_block(void **state) {
    (void)state;
    void *first = cv_pool_acquire(&pool, 0);
    void *second = cv_pool_acquire(&pool, 0);

    assert_non_null(first);
    assert_ptr_not_equal(first, second);
    assert_int_equal(cv_pool_live_bytes(&pool), 16);
    cv_pool_release(&pool, first, 0);
    cv_pool_release(&pool, second, 0);
}

static void test_pool_counts_live_held_and_peak_bytes(void **state) {
    (void)state;
    assert_int_equal(cv_pool_held_bytes(&pool), 0);
    void *small = cv_pool_acquire(&pool, 100);
    assert_int_equal(cv_pool_live_bytes(&pool), 128);
    assert_int_equal(cv_pool_held_bytes(&pool), 2 * MIB);
    void *large = cv_pool_acquire(&pool, 10000);
    assert_int_equal(cv_pool_live_bytes(&pool), 128 + 16384);
    void *huge = cv_pool_acquire(&pool, 2000000);
    assert_int_equal(cv_pool_live_bytes(&pool), 128 + 16384 + 2000000);
    assert_int_equal(cv_pool_held_bytes(&pool), 2 * MIB + 2000000);
    assert_int_equal(pool.refills, 3);
    cv_pool_turn(&pool);
    cv_pool_release(&pool, huge, 2000000);
    assert_int_equal(cv_pool_held_bytes(&pool), 2 * MIB);
    cv_pool_release(&pool, large, 10000);
    assert_ptr_equal(cv_pool_acquire(&pool, 16384), large);
    assert_int_equal(pool.refills, 3);
    cv_pool_release(&pool, large, 16384);
    cv_pool_release(&pool, small, 100);
    cv_pool_turn(&pool);
    assert_int_equal(cv_pool_live_bytes(&pool), 0);
    assert_int_equal(pool.peak_bytes, 128 + 16384 + 2000000);
}

// What a peak needed goes back; lists, and a slab that is kept unused, stay.
static void test_pool_gives_back_what_a_peak_needed(void **state) {
    static const size_t sizes[] = {8, 64, 100, 1024, 2048, 5000, 256 * KIB, 1024 * KIB};
    enum { BYTES = 16 * MIB, COUNT_MAX = BYTES / 8 };
    void **blocks = test_malloc(COUNT_MAX * sizeof(*blocks));

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(sizes); i++) {
        size_t capacity = cv_pool_capacity(sizes[i]);
        size_t count = BYTES / capacity;

        for (size_t at = 0; at < count; at++)
            blocks[at] = cv_pool_acquire(&pool, sizes[i]);
        assert_int_equal(cv_pool_live_bytes(&pool), BYTES);
        assert_in_range(cv_pool_held_bytes(&pool), BYTES, BYTES + 4 * MIB);
        // An order of its own: every third, from both ends.
        for (size_t at = 0; at < count; at += 3)
            cv_pool_release(&pool, blocks[at], sizes[i]);
        for (size_t at = count; at-- > 0;) {
            if (at % 3 != 0)
                cv_pool_release(&pool, blocks[at], sizes[i]);
        }
        assert_int_equal(cv_pool_live_bytes(&pool), 0);
        assert_in_range(cv_pool_held_bytes(&pool), 2 * MIB, 8 * MIB);
    }
    test_free(blocks);
}

static void test_pool_goes_on_with_blocks_that_went_back(void **state) {
    enum { COUNT = 20000 };
    static void *blocks[COUNT];

    (void)state;
    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < COUNT; i++) {
            blocks[i] = cv_pool_acquire(&pool, 32);
            memset(blocks[i], round, 32);
        }
        for (size_t i = 0; i < COUNT; i++)  // Half of each piece stays out until the end.
            cv_pool_release(&pool, i % 2 == (size_t)round % 2 ? blocks[i] : NULL, 32);
        for (size_t i = 0; i < COUNT; i++) {
            if (i % 2 == (size_t)round % 2)
                continue;
            assert_int_equal(*(uint8_t *)blocks[i], round);
            cv_pool_release(&pool, blocks[i], 32);
        }
    }
    assert_in_range(cv_pool_held_bytes(&pool), 2 * MIB, 4 * MIB);
}

static void test_pool_takes_nothing_from_the_system_in_steady_state(void **state) {
    unsigned mallocs_before = 0;
    unsigned maps_before = 0;

    (void)state;
    for (int round = 0; round < 1000; round++) {
        void *a = cv_pool_acquire(&pool, 100);
        void *b = cv_pool_acquire(&pool, 3000);
        void *c = cv_pool_acquire(&pool, 900000);
        void *d = cv_pool_acquire(&pool, 1000000);

        assert_true(a != NULL && b != NULL && c != NULL && d != NULL);
        cv_pool_release(&pool, b, 3000);
        cv_pool_release(&pool, c, 900000);
        cv_pool_release(&pool, d, 1000000);
        cv_pool_release(&pool, a, 100);
        if (round == 0) {
            mallocs_before = mallocs;
            maps_before = maps;
        }
    }
    assert_int_equal(mallocs, mallocs_before);
    assert_int_equal(maps, maps_before);
}

static void test_pool_cuts_small_blocks_without_a_gap(void **state) {
    enum { COUNT = 2 * MIB / 64 };
    static void *blocks[COUNT];

    // A whole slab's worth fits a slab.
    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        blocks[i] = cv_pool_acquire(&pool, 64);
    assert_int_equal(cv_pool_held_bytes(&pool), 2 * MIB);
    assert_int_equal(cv_pool_live_bytes(&pool), 2 * MIB);
    assert_ptr_equal((uint8_t *)blocks[1], (uint8_t *)blocks[0] + 64);
    for (size_t i = 0; i < COUNT; i++)
        cv_pool_release(&pool, blocks[i], 64);
}

static void test_pool_gives_null_when_the_system_has_no_memory(void **state) {
    static const size_t sizes[] = {0, 64, 1024, 4096, 8192, 1048576, 3000000, SIZE_MAX};

    (void)state;
    maps_fail = true;
    malloc_fails = true;
    for (size_t i = 0; i < CV_ARRAY_COUNT(sizes); i++) {
        assert_null(cv_pool_acquire(&pool, sizes[i]));
        assert_int_equal(cv_pool_live_bytes(&pool), 0);
        assert_int_equal(cv_pool_held_bytes(&pool), 0);
    }
    // And goes on when there is some again.
    maps_fail = false;
    malloc_fails = false;
    void *block = cv_pool_acquire(&pool, 64);
    assert_non_null(block);
    cv_pool_release(&pool, block, 64);
}

static void test_pool_takes_no_more_than_it_may(void **state) {
    void *block[4];
    void *large;
    (void)state;
    cv_pool_set_bytes_max(&pool, 4 * MIB + MIB / 2);
    for (int i = 0; i < 4; i++) {
        block[i] = cv_pool_acquire(&pool, MIB);
        assert_non_null(block[i]);
    }
    assert_null(cv_pool_acquire(&pool, MIB));
    assert_null(cv_pool_acquire(&pool, 8));
    assert_null(cv_pool_acquire(&pool, 2 * MIB));
    assert_int_equal(cv_pool_held_bytes(&pool), 4 * MIB);
    for (int i = 0; i < 4; i++)
        cv_pool_release(&pool, block[i], MIB);
    // One unused slab stays; what malloc gives is not there for slabs, and is again.
    large = cv_pool_acquire(&pool, 2 * MIB);
    assert_non_null(large);
    assert_null(cv_pool_acquire(&pool, 2 * MIB));
    block[0] = cv_pool_acquire(&pool, MIB);
    block[1] = cv_pool_acquire(&pool, MIB);
    assert_non_null(block[1]);
    assert_null(cv_pool_acquire(&pool, MIB));
    cv_pool_release(&pool, large, 2 * MIB);
    block[2] = cv_pool_acquire(&pool, MIB);
    assert_non_null(block[2]);
    for (int i = 0; i < 3; i++)
        cv_pool_release(&pool, block[i], MIB);
}

static void test_pool_keeps_what_it_has_when_it_may_take_less(void **state) {
    (void)state;
    void *first = cv_pool_acquire(&pool, 2 * MIB);
    void *second = cv_pool_acquire(&pool, 64);
    cv_pool_set_bytes_max(&pool, MIB);
    assert_null(cv_pool_acquire(&pool, 2 * MIB));
    void *third = cv_pool_acquire(&pool, MIB);
    assert_non_null(third);
    cv_pool_set_bytes_max(&pool, SIZE_MAX);
    void *fourth = cv_pool_acquire(&pool, 2 * MIB);
    assert_non_null(fourth);
    cv_pool_release(&pool, first, 2 * MIB);
    cv_pool_release(&pool, second, 64);
    cv_pool_release(&pool, third, MIB);
    cv_pool_release(&pool, fourth, 2 * MIB);
}

static void test_pool_goes_on_with_what_it_has(void **state) {
    enum { COUNT = 2 * MIB / 2048 };
    static void *blocks[COUNT];

    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        blocks[i] = cv_pool_acquire(&pool, i % 2 == 0 ? 2048 : 1025);
        assert_non_null(blocks[i]);
    }
    maps_fail = true;
    assert_null(cv_pool_acquire(&pool, 2048));
    assert_null(cv_pool_acquire(&pool, 8));
    cv_pool_release(&pool, blocks[3], 2048);
    assert_ptr_equal(cv_pool_acquire(&pool, 2048), blocks[3]);
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
            slots[at].bytes = (size_t)1 << (seed >> 40) % 18;
            slots[at].bytes += (size_t)(seed >> 50) % slots[at].bytes;
            slots[at].mark = (uint8_t)round;
            slots[at].block = cv_pool_acquire(&pool, slots[at].bytes);
            assert_non_null(slots[at].block);
            slots[at].block[0] = slots[at].mark;
            slots[at].block[slots[at].bytes - 1] = slots[at].mark;
            live_bytes += cv_pool_capacity(slots[at].bytes);
        }
        assert_int_equal(cv_pool_live_bytes(&pool), live_bytes);
    }
    for (size_t i = 0; i < SLOTS; i++)
        cv_pool_release(&pool, slots[i].block, slots[i].bytes);
    memset(slots, 0, sizeof(slots));
}

#ifdef CV_POISON_ENABLED
static void test_pool_poisons_what_was_not_asked_for(void **state) {
    static const size_t sizes[] = {1, 8, 24, 64, 1000, 4096, 10000};

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(sizes); i++) {
        size_t capacity = cv_pool_capacity(sizes[i]);

        for (int round = 0; round < 2; round++) {
            uint8_t *block = cv_pool_acquire(&pool, sizes[i]);

            assert_false(cv_poison_test(block));
            assert_false(cv_poison_test(block + sizes[i] - 1));
            assert_true(sizes[i] == capacity || cv_poison_test(block + sizes[i]));
            cv_pool_release(&pool, block, sizes[i]);
            assert_true(cv_poison_test(block));
            assert_true(cv_poison_test(block + sizes[i] - 1));
        }
    }
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
        cmocka_unit_test_setup_teardown(test_pool_capacity_is_the_next_power_of_two, make_pool,
                                        end_pool),
        cmocka_unit_test_setup_teardown(test_pool_class_is_the_smallest_that_fits, make_pool,
                                        end_pool),
        cmocka_unit_test_setup_teardown(test_pool_blocks_are_aligned_apart_and_wholly_usable,
                                        make_pool, end_pool),
        cmocka_unit_test_setup_teardown(test_pool_hands_out_the_block_released_last, make_pool,
                                        end_pool),
        cmocka_unit_test_setup_teardown(test_pool_zero_bytes_give_a_block, make_pool, end_pool),
        cmocka_unit_test_setup_teardown(test_pool_counts_live_held_and_peak_bytes, make_pool,
                                        end_pool),
        cmocka_unit_test_setup_teardown(test_pool_gives_back_what_a_peak_needed, make_pool,
                                        end_pool),
        cmocka_unit_test_setup_teardown(test_pool_goes_on_with_blocks_that_went_back, make_pool,
                                        end_pool),
        cmocka_unit_test_setup_teardown(test_pool_takes_nothing_from_the_system_in_steady_state,
                                        make_pool, end_pool),
        cmocka_unit_test_setup_teardown(test_pool_cuts_small_blocks_without_a_gap, make_pool,
                                        end_pool),
        cmocka_unit_test_setup_teardown(test_pool_gives_null_when_the_system_has_no_memory,
                                        make_pool, end_pool),
        cmocka_unit_test_setup_teardown(test_pool_takes_no_more_than_it_may, make_pool, end_pool),
        cmocka_unit_test_setup_teardown(test_pool_keeps_what_it_has_when_it_may_take_less,
                                        make_pool, end_pool),
        cmocka_unit_test_setup_teardown(test_pool_goes_on_with_what_it_has, make_pool, end_pool),
        cmocka_unit_test_setup_teardown(test_pool_random_use_never_hands_out_a_block_twice,
                                        make_pool, end_pool),
#ifdef CV_POISON_ENABLED
        cmocka_unit_test_setup_teardown(test_pool_poisons_what_was_not_asked_for, make_pool,
                                        end_pool),
#endif
        cmocka_unit_test_setup_teardown(test_pool_deinit_asserts_that_every_block_came_back,
                                        make_pool, end_pool),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
