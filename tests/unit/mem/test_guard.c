// Debug mode: every mistake it promises to find ends the process with the line that names it, and
// no correct use does.
#include "mem/guard.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "mem/arena.h"
#include "mem/pool.h"
#include "mem/remote.h"

static struct cv_pool pool;

static int make_pool(void **state) {
    (void)state;
    assert_int_equal(setenv("COVET_MEMORY", "debug", 1), 0);
    cv_pool_init(&pool);
    assert_non_null(pool.guard);
    return 0;
}

static int end_pool(void **state) {
    (void)state;
    cv_pool_deinit(&pool);
    return 0;
}

// Hides from the compiler and from a sanitizer's static view that the pointer is dangling.
static uint8_t *hide(void *pointer) {
    __asm__ volatile("" : "+r"(pointer));
    return pointer;
}

// Each does one thing wrong with blocks of `bytes` bytes and returns if that was not found.
static void free_twice(size_t bytes) {
    void *block = cv_pool_acquire(&pool, bytes);

    cv_pool_release(&pool, block, bytes);
    cv_pool_release(&pool, hide(block), bytes);
}

static void free_twice_with_others_between(size_t bytes) {
    void *block = cv_pool_acquire(&pool, bytes);
    void *other = cv_pool_acquire(&pool, bytes);

    cv_pool_release(&pool, block, bytes);
    cv_pool_release(&pool, other, bytes);
    assert_non_null(cv_pool_acquire(&pool, bytes));
    cv_pool_release(&pool, hide(block), bytes);
}

static void write_first_byte_after_free(size_t bytes) {
    uint8_t *block = cv_pool_acquire(&pool, bytes);

    cv_pool_release(&pool, block, bytes);
    hide(block)[0] = 1;
    cv_pool_turn(&pool);
}

static void write_last_byte_after_free(size_t bytes) {
    uint8_t *block = cv_pool_acquire(&pool, bytes);

    cv_pool_release(&pool, block, bytes);
    hide(block)[bytes - 1] ^= 1;
    cv_pool_turn(&pool);
}

static void write_after_free_found_at_the_end(size_t bytes) {
    uint8_t *block = cv_pool_acquire(&pool, bytes);

    cv_pool_release(&pool, block, bytes);
    hide(block)[bytes / 2] = 1;
    cv_pool_deinit(&pool);
}

static void write_behind_the_end(size_t bytes) {
    uint8_t *block = cv_pool_acquire(&pool, bytes);

    hide(block)[bytes] = 0;
    cv_pool_release(&pool, block, bytes);
}

static void write_before_the_start(size_t bytes) {
    uint8_t *block = cv_pool_acquire(&pool, bytes);

    hide(block)[-1] = 0;
    cv_pool_release(&pool, block, bytes);
}

static void free_the_middle(size_t bytes) {
    uint8_t *block = cv_pool_acquire(&pool, bytes + 64);

    memset(block, 0, bytes + 64);
    cv_pool_release(&pool, block + 64, bytes);
}

static void free_with_another_size(size_t bytes) {
    cv_pool_release(&pool, cv_pool_acquire(&pool, bytes), bytes * 64);
}

static void public_free_twice(size_t bytes) {
    void *memory = cv_remote_alloc(&pool, bytes);

    cv_remote_free(memory);
    cv_remote_free(hide(memory));
}

static void public_write_after_free(size_t bytes) {
    uint8_t *memory = cv_remote_alloc(&pool, bytes);

    cv_remote_free(memory);
    hide(memory)[bytes - 1] = 3;
    cv_pool_turn(&pool);
}

static void arena_write_after_deinit(size_t bytes) {
    struct cv_arena arena;

    cv_arena_init(&arena, &pool);
    uint8_t *memory = cv_arena_alloc(&arena, bytes);

    cv_arena_deinit(&arena);
    hide(memory)[0] = 3;
    cv_pool_turn(&pool);
}

static const struct {
    const char *name;
    void (*mistake)(size_t bytes);
    const char *kind;
} cases[] = {
    {"free twice", free_twice, "double_free"},
    {"free twice, others between", free_twice_with_others_between, "double_free"},
    {"write the first byte after free", write_first_byte_after_free, "use_after_free"},
    {"write the last byte after free", write_last_byte_after_free, "use_after_free"},
    {"write after free, pool ends", write_after_free_found_at_the_end, "use_after_free"},
    {"write behind the end", write_behind_the_end, "overrun"},
    {"write before the start", write_before_the_start, "bad_free"},
    {"free the middle", free_the_middle, "bad_free"},
    {"free with another size", free_with_another_size, "wrong_size"},
    {"public: free twice", public_free_twice, "double_free"},
    {"public: write after free", public_write_after_free, "use_after_free"},
    {"arena: write after its end", arena_write_after_deinit, "use_after_free"},
};

// What a child that makes the mistake writes to standard error; it must end by SIGABRT.
static void provoke(size_t index, size_t bytes, char *text, size_t room) {
    int ends[2];
    size_t length = 0;
    int status = 0;

    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        cases[index].mistake(bytes);
        _exit(0);
    }
    close(ends[1]);
    for (ssize_t got; (got = read(ends[0], text + length, room - 1 - length)) > 0;)
        length += (size_t)got;
    text[length] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
        fail_msg("%s, %zu bytes: status %x, said: %s", cases[index].name, bytes, status, text);
}

static void test_guard_finds_and_names_every_mistake(void **state) {
    static const size_t sizes[] = {1, 8, 100, 1000, 5000, 100000};
    char text[4096];
    char kind[64];

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        for (size_t size = 0; size < CV_ARRAY_COUNT(sizes); size++) {
            provoke(i, sizes[size], text, sizeof(text));
            snprintf(kind, sizeof(kind), "kind=%s address=0x", cases[i].kind);
            if (strstr(text, "event=memory_error") == NULL || strstr(text, kind) == NULL ||
                strstr(text, "class_bytes=") == NULL)
                fail_msg("%s, %zu bytes: said: %s", cases[i].name, sizes[size], text);
        }
    }
}

static void test_guard_names_address_size_and_class(void **state) {
    char text[4096];
    unsigned long address = 0, at = 0;
    size_t bytes = 0, class_bytes = 0;

    (void)state;
    provoke(3, 100, text, sizeof(text));  // The last byte after free.
    const char *line = strstr(text, "address=");
    assert_non_null(line);
    assert_int_equal(sscanf(line, "address=0x%lx bytes=%zu class_bytes=%zu at=0x%lx", &address,
                            &bytes, &class_bytes, &at),
                     4);
    assert_int_equal(bytes, 100);
    assert_int_equal(class_bytes, 128);
    assert_int_equal(at, address + 99);
}

static void test_guard_lets_correct_use_pass(void **state) {
    enum { SLOTS = 200, ROUNDS = 20000 };
    static struct {
        uint8_t *block;
        size_t bytes;
    } slots[SLOTS];
    uint64_t seed = 3;
    size_t live = 0;

    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        size_t at = (size_t)(seed >> 33) % SLOTS;

        if (slots[at].block != NULL) {
            cv_pool_release(&pool, slots[at].block, slots[at].bytes);
            live -= cv_pool_capacity(slots[at].bytes);
            slots[at].block = NULL;
        } else {
            slots[at].bytes = (size_t)(seed >> 40) % ((size_t)1 << (seed >> 50) % 15);
            slots[at].block = cv_pool_acquire(&pool, slots[at].bytes);
            memset(slots[at].block, 0x5a, slots[at].bytes);
            live += cv_pool_capacity(slots[at].bytes);
        }
        assert_int_equal(cv_pool_live_bytes(&pool), live);
        if (round % 100 == 0)
            cv_pool_turn(&pool);
    }
    for (size_t i = 0; i < SLOTS; i++)
        cv_pool_release(&pool, slots[i].block, slots[i].bytes);
    memset(slots, 0, sizeof(slots));
    void *huge = cv_pool_acquire(&pool, 3000000);
    assert_non_null(huge);
    cv_pool_release(&pool, huge, 3000000);
    assert_null(cv_pool_acquire(&pool, SIZE_MAX));
    assert_int_equal(cv_pool_live_bytes(&pool), 0);
}

static void test_guard_new_blocks_hold_a_pattern_and_freed_ones_another(void **state) {
    uint8_t *block = cv_pool_acquire(&pool, 40);

    (void)state;
    for (size_t i = 0; i < 40; i++)
        assert_int_equal(block[i], 0xa5);
    cv_pool_release(&pool, block, 40);
    for (size_t i = 0; i < 40; i++)
        assert_int_equal(hide(block)[i], 0xdf);
}

static void test_guard_keeps_freed_blocks_back(void **state) {
    void *freed = cv_pool_acquire(&pool, 100);

    (void)state;
    cv_pool_release(&pool, freed, 100);
    for (size_t i = 0; i < CV_GUARD_KEPT_BYTES_MAX / 200 / 2; i++) {
        void *block = cv_pool_acquire(&pool, 100);

        assert_ptr_not_equal(block, freed);
        cv_pool_release(&pool, block, 100);
    }
    // But not for ever.
    for (size_t i = 0; i < 4 * CV_GUARD_KEPT_BYTES_MAX / 100; i++)
        cv_pool_release(&pool, cv_pool_acquire(&pool, 100), 100);
    assert_true(cv_pool_held_bytes(&pool) <= 2 * CV_SLAB_BYTES);
}

static void test_guard_blocks_lie_in_slabs_too(void **state) {
    void *block = cv_pool_acquire(&pool, 5000);
    uint32_t index;

    (void)state;
    assert_true(cv_slab_find(cv_pool_slabs(&pool), block, 5000, &index));
    cv_pool_release(&pool, block, 5000);
}

static void test_guard_is_off_without_the_variable(void **state) {
    static const char *const values[] = {"", "off", "debugging"};
    struct cv_pool plain;

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(values); i++) {
        assert_int_equal(setenv("COVET_MEMORY", values[i], 1), 0);
        cv_pool_init(&plain);
        assert_null(plain.guard);
        cv_pool_deinit(&plain);
    }
    assert_int_equal(unsetenv("COVET_MEMORY"), 0);
    cv_pool_init(&plain);
    assert_null(plain.guard);
    cv_pool_deinit(&plain);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_guard_finds_and_names_every_mistake, make_pool,
                                        end_pool),
        cmocka_unit_test_setup_teardown(test_guard_names_address_size_and_class, make_pool,
                                        end_pool),
        cmocka_unit_test_setup_teardown(test_guard_lets_correct_use_pass, make_pool, end_pool),
        cmocka_unit_test_setup_teardown(test_guard_new_blocks_hold_a_pattern_and_freed_ones_another,
                                        make_pool, end_pool),
        cmocka_unit_test_setup_teardown(test_guard_keeps_freed_blocks_back, make_pool, end_pool),
        cmocka_unit_test_setup_teardown(test_guard_blocks_lie_in_slabs_too, make_pool, end_pool),
        cmocka_unit_test_setup_teardown(test_guard_is_off_without_the_variable, make_pool,
                                        end_pool),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
