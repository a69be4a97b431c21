// Blocks that any thread may free: the owner's short way, other threads' list, and what comes back
// after the owner's end, with threads that really run at once.
#include "mem/remote.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "mem/pool.h"

static struct cv_pool pool;
static size_t mapped;  // Atomic. Bytes, of all pools.

void *__real_mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *address, size_t bytes);
int __wrap_munmap(void *address, size_t bytes);

void *__wrap_mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset) {
    void *memory = __real_mmap(address, bytes, protection, flags, fd, offset);

    if (memory != MAP_FAILED)
        __atomic_add_fetch(&mapped, bytes, __ATOMIC_RELAXED);
    return memory;
}

int __wrap_munmap(void *address, size_t bytes) {
    __atomic_sub_fetch(&mapped, bytes, __ATOMIC_RELAXED);
    return __real_munmap(address, bytes);
}

static int make_pool(void **state) {
    (void)state;
    mapped = 0;
    cv_pool_init(&pool);
    return 0;
}

static int end_pool(void **state) {
    (void)state;
    cv_pool_deinit(&pool);
    return 0;
}

static void *free_one(void *memory) {
    cv_remote_free(memory);
    return NULL;
}

static void free_elsewhere(void *memory) {
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, free_one, memory), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void test_remote_memory_is_aligned_and_usable(void **state) {
    static const size_t sizes[] = {0, 1, 8, 15, 16, 17, 1000, 1008, 1009, 100000, 1048576, 5000000};
    void *memory[CV_ARRAY_COUNT(sizes)];

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(sizes); i++) {
        memory[i] = cv_remote_alloc(&pool, sizes[i]);
        assert_non_null(memory[i]);
        assert_int_equal((uintptr_t)memory[i] % 16, 0);
        memset(memory[i], 0xff, sizes[i]);
    }
    for (size_t i = 0; i < CV_ARRAY_COUNT(sizes); i++)
        cv_remote_free(memory[i]);
    assert_int_equal(cv_pool_live_bytes(&pool), 0);
    assert_int_equal(pool.remote_frees, 0);
    cv_remote_free(NULL);
    assert_null(cv_remote_alloc(&pool, SIZE_MAX));
    assert_null(cv_remote_alloc(&pool, SIZE_MAX - 16));
}

static void test_remote_free_of_another_thread_comes_back_in_a_turn(void **state) {
    (void)state;
    free_elsewhere(cv_remote_alloc(&pool, 100));
    free_elsewhere(cv_remote_alloc(&pool, 3000000));
    assert_true(cv_pool_live_bytes(&pool) >= 3000128);
    cv_pool_turn(&pool);
    assert_int_equal(cv_pool_live_bytes(&pool), 0);
    assert_int_equal(pool.remote_frees, 2);
    cv_pool_turn(&pool);
    assert_int_equal(pool.remote_frees, 2);
}

static void test_remote_free_serves_a_class_that_ran_empty(void **state) {
    enum { COUNT = 2048 / 256 };  // What one refill gives.
    void *memory[COUNT];

    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        memory[i] = cv_remote_alloc(&pool, 200);
    uint64_t refills = pool.refills;
    free_elsewhere(memory[3]);
    assert_ptr_equal(cv_remote_alloc(&pool, 200), memory[3]);
    assert_int_equal(pool.refills, refills);
    for (size_t i = 0; i < COUNT; i++)
        cv_remote_free(memory[i]);
}

static void test_remote_deinit_takes_what_is_on_the_list(void **state) {
    (void)state;
    free_elsewhere(cv_remote_alloc(&pool, 100));
    cv_pool_deinit(&pool);
    assert_int_equal(mapped, 0);
    cv_pool_init(&pool);
}

// After the owner's end.
static void test_remote_close_without_blocks_out_ends_the_pool(void **state) {
    (void)state;
    cv_remote_close(&pool);  // Never used.
    cv_pool_init(&pool);
    cv_remote_free(cv_remote_alloc(&pool, 100));
    free_elsewhere(cv_remote_alloc(&pool, 100));
    cv_remote_close(&pool);
    assert_int_equal(mapped, 0);
    cv_pool_init(&pool);
}

static void test_remote_late_frees_give_everything_back(void **state) {
    enum { COUNT = 20 };
    void *memory[COUNT];

    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        memory[i] = cv_remote_alloc(&pool, i * i * i * 400);
    free_elsewhere(memory[0]);  // Still on the list at the end.
    cv_remote_close(&pool);
    assert_true(mapped > 0);
    for (size_t i = 1; i < COUNT; i++) {
        memset(memory[i], (int)i, i * i * i * 400);  // Still valid.
        assert_true(mapped > 0);
        if (i % 2 == 0)
            free_elsewhere(memory[i]);
        else
            cv_remote_free(memory[i]);  // This thread owns nothing any more.
    }
    assert_int_equal(mapped, 0);
    cv_pool_init(&pool);
}

static void test_remote_close_leaves_all_when_the_owner_left_blocks(void **state) {
    (void)state;
    void *left = cv_pool_acquire(&pool, 64);
    void *memory = cv_remote_alloc(&pool, 64);
    // The only pointer to the record that is not in the slabs; for leak checkers.
    static struct cv_remote *volatile record;

    record = pool.remote;
    assert_non_null(record);
    cv_remote_close(&pool);
    cv_remote_free(memory);
    memset(left, 1, 64);
    assert_true(mapped > 0);
    cv_pool_init(&pool);
}

// An owner that allocates and hands over, others that free, all at once.
enum { RING = 256, FREERS = 2, TRANSFERS = 60000 };

static void *ring[RING];  // Atomic slots: NULL is empty.
static uint32_t taken;    // Atomic.
static uint32_t given;    // Atomic; UINT32_MAX until the owner is done.

static void *free_many(void *context) {
    (void)context;
    for (;;) {
        bool found = false;

        for (size_t i = 0; i < RING; i++) {
            uint8_t *memory = __atomic_exchange_n(&ring[i], NULL, __ATOMIC_ACQUIRE);

            if (memory == NULL)
                continue;
            found = true;
            if (memory[0] != memory[1])
                abort();
            cv_remote_free(memory);
            __atomic_add_fetch(&taken, 1, __ATOMIC_RELAXED);
        }
        if (!found &&
            __atomic_load_n(&taken, __ATOMIC_RELAXED) == __atomic_load_n(&given, __ATOMIC_ACQUIRE))
            return NULL;
        if (!found)
            sched_yield();
    }
}

// Fills the ring; whatever finds no slot is freed by the owner itself. Ends its pool while blocks
// are still out.
static void *own(void *context) {
    struct cv_pool own_pool;
    uint32_t handed = 0;

    (void)context;
    cv_pool_init(&own_pool);
    for (uint32_t i = 0; i < TRANSFERS; i++) {
        uint8_t *memory = cv_remote_alloc(&own_pool, 2 + i * 7 % 3000);
        void *empty = NULL;

        if (memory == NULL)
            abort();
        memory[0] = memory[1] = (uint8_t)i;
        if (__atomic_compare_exchange_n(&ring[i % RING], &empty, memory, false, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED))
            handed++;
        else
            cv_remote_free(memory);
        if (i % 64 == 0)
            cv_pool_turn(&own_pool);
        if (i % 512 == 0)
            sched_yield();
    }
    cv_remote_close(&own_pool);
    return (void *)(uintptr_t)handed;
}

static void run_threads(void) {
    pthread_t owner, freers[FREERS];
    void *handed;

    taken = 0;
    given = UINT32_MAX;
    assert_int_equal(pthread_create(&owner, NULL, own, NULL), 0);
    for (size_t i = 0; i < FREERS; i++)
        assert_int_equal(pthread_create(&freers[i], NULL, free_many, NULL), 0);
    assert_int_equal(pthread_join(owner, &handed), 0);
    __atomic_store_n(&given, (uint32_t)(uintptr_t)handed, __ATOMIC_RELEASE);
    for (size_t i = 0; i < FREERS; i++)
        assert_int_equal(pthread_join(freers[i], NULL), 0);
    assert_int_equal(__atomic_load_n(&mapped, __ATOMIC_RELAXED), 0);
}

static void test_remote_threads_free_while_the_owner_allocates_and_ends(void **state) {
    (void)state;
    for (int round = 0; round < 5; round++)
        run_threads();
}

static void test_remote_threads_do_so_in_debug_mode(void **state) {
    (void)state;
    assert_int_equal(setenv("COVET_MEMORY", "debug", 1), 0);
    run_threads();
    assert_int_equal(unsetenv("COVET_MEMORY"), 0);
}

// Without debug mode too.
static void free_twice_here(void) {
    void *memory = cv_remote_alloc(&pool, 100);

    cv_remote_free(memory);
    __asm__ volatile("" : "+r"(memory));
    cv_remote_free(memory);
}

static void free_twice_elsewhere(void) {
    void *memory = cv_remote_alloc(&pool, 100);

    free_elsewhere(memory);
    __asm__ volatile("" : "+r"(memory));
    free_elsewhere(memory);
}

static void check_double_free_ends_the_process(void (*mistake)(void)) {
    char text[4096];
    size_t length = 0;
    int ends[2];
    int status = 0;

    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        mistake();
        _exit(0);
    }
    close(ends[1]);
    for (ssize_t got; (got = read(ends[0], text + length, sizeof(text) - 1 - length)) > 0;)
        length += (size_t)got;
    text[length] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
    // AddressSanitizer may be first.
    if (strstr(text, "kind=double_free") == NULL && strstr(text, "AddressSanitizer") == NULL)
        fail_msg("said: %s", text);
}

static void test_remote_double_free_ends_the_process(void **state) {
    (void)state;
    check_double_free_ends_the_process(free_twice_here);
    check_double_free_ends_the_process(free_twice_elsewhere);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_remote_memory_is_aligned_and_usable, make_pool,
                                        end_pool),
        cmocka_unit_test_setup_teardown(test_remote_free_of_another_thread_comes_back_in_a_turn,
                                        make_pool, end_pool),
        cmocka_unit_test_setup_teardown(test_remote_free_serves_a_class_that_ran_empty, make_pool,
                                        end_pool),
        cmocka_unit_test_setup_teardown(test_remote_deinit_takes_what_is_on_the_list, make_pool,
                                        end_pool),
        cmocka_unit_test_setup_teardown(test_remote_close_without_blocks_out_ends_the_pool,
                                        make_pool, end_pool),
        cmocka_unit_test_setup_teardown(test_remote_late_frees_give_everything_back, make_pool,
                                        end_pool),
        cmocka_unit_test_setup_teardown(test_remote_close_leaves_all_when_the_owner_left_blocks,
                                        make_pool, end_pool),
        cmocka_unit_test_setup_teardown(test_remote_threads_free_while_the_owner_allocates_and_ends,
                                        make_pool, end_pool),
        cmocka_unit_test_setup_teardown(test_remote_threads_do_so_in_debug_mode, make_pool,
                                        end_pool),
        cmocka_unit_test_setup_teardown(test_remote_double_free_ends_the_process, make_pool,
                                        end_pool),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
