// The growable buffer beside a plain array, its growth rule, and exhaustion.
#include "mem/buffer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mem/guard.h"

static bool acquire_fails;
static size_t moved_bytes;

// In debug mode every block of a pool comes from here.
void *__real_cv_guard_acquire(struct cv_guard *guard, size_t bytes);
void *__wrap_cv_guard_acquire(struct cv_guard *guard, size_t bytes);

void *__wrap_cv_guard_acquire(struct cv_guard *guard, size_t bytes) {
    return acquire_fails ? NULL : __real_cv_guard_acquire(guard, bytes);
}

static struct cv_pool pool;
static struct cv_buffer buffer;

static int make_buffer(void **state) {
    (void)state;
    assert_int_equal(setenv("COVET_MEMORY", "debug", 1), 0);
    acquire_fails = false;
    moved_bytes = 0;
    cv_pool_init(&pool);
    buffer = (struct cv_buffer){0};
    return 0;
}

static int end_buffer(void **state) {
    (void)state;
    cv_buffer_clear(&buffer, &pool);
    cv_pool_deinit(&pool);
    return 0;
}

static void check_content(const char *expected) {
    assert_true(cv_span_equal(cv_buffer_span(&buffer), cv_span_of(expected)));
}

static void test_buffer_empty_holds_no_memory(void **state) {
    (void)state;
    check_content("");
    assert_int_equal(cv_buffer_append(&buffer, &pool, NULL, 0), 0);
    assert_int_equal(cv_pool_live_bytes(&pool), 0);
    assert_int_equal(cv_buffer_append(&buffer, &pool, "abc", 3), 0);
    assert_true(cv_pool_live_bytes(&pool) > 0);
    cv_buffer_consume(&buffer, &pool, 3);
    assert_int_equal(cv_pool_live_bytes(&pool), 0);
    assert_null(buffer.data);
    check_content("");
    cv_buffer_consume(&buffer, &pool, 0);
    cv_buffer_clear(&buffer, &pool);
}

static void test_buffer_appends_behind_and_consumes_in_front(void **state) {
    (void)state;
    assert_int_equal(cv_buffer_append(&buffer, &pool, "hello ", 6), 0);
    assert_int_equal(cv_buffer_append(&buffer, &pool, "world", 5), 0);
    check_content("hello world");
    cv_buffer_consume(&buffer, &pool, 6);
    check_content("world");
    assert_int_equal(cv_buffer_append(&buffer, &pool, "!", 1), 0);
    check_content("world!");
}

static void test_buffer_reserve_gives_room_to_write_in_place(void **state) {
    (void)state;
    assert_int_equal(cv_buffer_append(&buffer, &pool, "ab", 2), 0);
    assert_int_equal(cv_buffer_reserve(&buffer, &pool, 1000), 0);
    assert_true(buffer.capacity - buffer.start - buffer.length >= 1000);
    check_content("ab");
    memset(cv_buffer_tail(&buffer), 'c', 1000);
    cv_buffer_commit(&buffer, 3);
    check_content("abccc");
    uint8_t *tail = cv_buffer_tail(&buffer);
    assert_int_equal(cv_buffer_reserve(&buffer, &pool, 997), 0);
    assert_ptr_equal(cv_buffer_tail(&buffer), tail);
}

static void test_buffer_reserve_fails_with_the_buffer_unchanged(void **state) {
    (void)state;
    assert_int_equal(cv_buffer_append(&buffer, &pool, "abcd", 4), 0);
    cv_buffer_consume(&buffer, &pool, 1);
    struct cv_buffer before = buffer;

    acquire_fails = true;
    assert_int_equal(cv_buffer_reserve(&buffer, &pool, 1000), -ENOMEM);
    assert_int_equal(cv_buffer_append(&buffer, &pool, "x", SIZE_MAX), -ENOMEM);
    assert_int_equal(cv_buffer_reserve(&buffer, &pool, SIZE_MAX - 3), -ENOMEM);
    assert_memory_equal(&before, &buffer, sizeof(before));
    check_content("bcd");
}

static void test_buffer_uses_consumed_room_when_there_is_no_other(void **state) {
    char bytes[64];

    (void)state;
    memset(bytes, 'a', sizeof(bytes));
    bytes[63] = 'z';
    assert_int_equal(cv_buffer_append(&buffer, &pool, bytes, 64), 0);
    cv_buffer_consume(&buffer, &pool, 4);
    acquire_fails = true;
    assert_int_equal(cv_buffer_append(&buffer, &pool, "yyyy", 4), 0);
    assert_int_equal(buffer.length, 64);
    assert_memory_equal(buffer.data + 58, "azyyyy", 6);
    assert_int_equal(cv_buffer_append(&buffer, &pool, "y", 1), -ENOMEM);
}

static void test_buffer_moves_few_bytes_per_byte_consumed(void **state) {
    enum { HELD_BYTES = 250 * 1024, ROUNDS = 1000000 };
    static char bytes[HELD_BYTES];
    const uint8_t *start;

    // A nearly full block, one byte in and one byte out: the worst case for moving to the front.
    (void)state;
    assert_int_equal(cv_buffer_append(&buffer, &pool, bytes, HELD_BYTES), 0);
    for (int i = 0; i < ROUNDS; i++) {
        cv_buffer_consume(&buffer, &pool, 1);
        start = buffer.data + buffer.start;
        assert_int_equal(cv_buffer_append(&buffer, &pool, "x", 1), 0);
        if (buffer.data + buffer.start != start)
            moved_bytes += buffer.length;
    }
    assert_true(moved_bytes <= 2 * (size_t)ROUNDS);
    assert_true(buffer.capacity <= 4 * HELD_BYTES);
}

static void test_buffer_grows_by_half_at_least_beyond_the_largest_class(void **state) {
    static char bytes[64 * 1024];
    size_t capacity = 0;
    unsigned grown = 0;

    (void)state;
    for (int i = 0; i < 256; i++) {  // 16 MiB
        assert_int_equal(cv_buffer_append(&buffer, &pool, bytes, sizeof(bytes)), 0);
        if (buffer.capacity != capacity) {
            assert_true(buffer.capacity >= capacity + capacity / 2);
            capacity = buffer.capacity;
            grown++;
        }
    }
    assert_true(grown <= 16);
    assert_int_equal(buffer.length, 256 * sizeof(bytes));
}

static void test_buffer_random_use_agrees_with_an_array(void **state) {
    enum { MODEL_BYTES = 1 << 16 };
    static uint8_t model[MODEL_BYTES];
    size_t length = 0;
    uint64_t seed = 7;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        size_t amount = (size_t)(seed >> 35) % (size_t)(1u << (seed >> 60));

        if ((seed >> 59 & 1) != 0 && length + amount <= MODEL_BYTES) {
            uint8_t bytes[1 << 15];

            memset(bytes, round & 0xff, amount);
            memcpy(model + length, bytes, amount);
            length += amount;
            assert_int_equal(cv_buffer_append(&buffer, &pool, bytes, amount), 0);
        } else {
            amount = amount < length ? amount : length;
            memmove(model, model + amount, length - amount);
            length -= amount;
            cv_buffer_consume(&buffer, &pool, amount);
        }
        struct cv_span span = cv_buffer_span(&buffer);
        assert_int_equal(span.length, length);
        assert_true(length == 0 || memcmp(span.data, model, length) == 0);
        assert_true((length == 0) == (cv_pool_live_bytes(&pool) == 0));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_buffer_empty_holds_no_memory, make_buffer, end_buffer),
        cmocka_unit_test_setup_teardown(test_buffer_appends_behind_and_consumes_in_front,
                                        make_buffer, end_buffer),
        cmocka_unit_test_setup_teardown(test_buffer_reserve_gives_room_to_write_in_place,
                                        make_buffer, end_buffer),
        cmocka_unit_test_setup_teardown(test_buffer_reserve_fails_with_the_buffer_unchanged,
                                        make_buffer, end_buffer),
        cmocka_unit_test_setup_teardown(test_buffer_uses_consumed_room_when_there_is_no_other,
                                        make_buffer, end_buffer),
        cmocka_unit_test_setup_teardown(test_buffer_moves_few_bytes_per_byte_consumed, make_buffer,
                                        end_buffer),
        cmocka_unit_test_setup_teardown(test_buffer_grows_by_half_at_least_beyond_the_largest_class,
                                        make_buffer, end_buffer),
        cmocka_unit_test_setup_teardown(test_buffer_random_use_agrees_with_an_array, make_buffer,
                                        end_buffer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
