// The output queue beside a plain string: whatever is added and sent in whatever steps, the bytes
// are the same, and every reference is released once.
#include "net/outq.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "mem/guard.h"

#define MODEL_BYTES (4u * 1024u * 1024u)

static struct cv_pool pool;
static struct cv_outq outq;
static uint32_t released;
static bool acquire_fails;

// In debug mode every block of a pool comes from here.
void *__real_cv_guard_acquire(struct cv_guard *guard, size_t bytes);
void *__wrap_cv_guard_acquire(struct cv_guard *guard, size_t bytes);

void *__wrap_cv_guard_acquire(struct cv_guard *guard, size_t bytes) {
    return acquire_fails ? NULL : __real_cv_guard_acquire(guard, bytes);
}

static int set_up(void **state) {
    (void)state;
    assert_int_equal(setenv("COVET_MEMORY", "debug", 1), 0);
    cv_pool_init(&pool);
    outq = (struct cv_outq){0};
    released = 0;
    acquire_fails = false;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cv_outq_clear(&outq, &pool);
    assert_int_equal(outq.bytes, 0);
    assert_null(outq.head);
    cv_pool_deinit(&pool);
    return 0;
}

static void on_release(void *context) {
    assert_ptr_equal(context, &released);
    released++;
}

static void assert_front(const char *expected) {
    struct iovec vector[64];
    char text[1024];
    size_t length = 0;
    size_t count = cv_outq_gather(&outq, vector, 64, sizeof(text), SIZE_MAX);
    for (size_t i = 0; i < count; i++) {
        assert_true(vector[i].iov_len > 0);
        memcpy(text + length, vector[i].iov_base, vector[i].iov_len);
        length += vector[i].iov_len;
    }
    assert_int_equal(length, strlen(expected));
    assert_memory_equal(text, expected, length);
    assert_int_equal(outq.bytes, length);
}

static void test_outq_joins_small_pieces_in_one_vector(void **state) {
    struct iovec vector[4];
    (void)state;
    assert_int_equal(cv_outq_copy(&outq, &pool, CV_SPAN("abc")), 0);
    assert_int_equal(cv_outq_copy(&outq, &pool, CV_SPAN("def")), 0);
    char *room = cv_outq_reserve(&outq, &pool, 10, 0);
    assert_non_null(room);
    memcpy(room, "ghi", 3);
    cv_outq_commit(&outq, 3);
    assert_int_equal(cv_outq_gather(&outq, vector, 4, 1000, SIZE_MAX), 1);
    assert_front("abcdefghi");
    cv_outq_sent(&outq, &pool, 4);
    assert_front("efghi");
    assert_int_equal(cv_outq_copy(&outq, &pool, CV_SPAN("jkl")), 0);
    assert_front("efghijkl");
    cv_outq_sent(&outq, &pool, 8);
    assert_front("");
}

static void test_outq_fills_a_block_again_that_was_sent(void **state) {
    char answer[600] = "";
    (void)state;
    assert_int_equal(cv_outq_copy(&outq, &pool, cv_span_make(answer, sizeof(answer))), 0);
    size_t live_bytes = cv_pool_live_bytes(&pool);
    for (int i = 0; i < 100; i++) {
        cv_outq_sent(&outq, &pool, sizeof(answer));
        assert_int_equal(outq.bytes, 0);
        assert_int_equal(cv_outq_copy(&outq, &pool, cv_span_make(answer, sizeof(answer))), 0);
        assert_int_equal(cv_pool_live_bytes(&pool), live_bytes);
    }
    cv_outq_clear(&outq, &pool);
    assert_int_equal(cv_pool_live_bytes(&pool), 0);
}

static void test_outq_keeps_no_empty_block_in_front(void **state) {
    struct cv_span data;
    (void)state;
    assert_int_equal(cv_outq_copy(&outq, &pool, CV_SPAN("abc")), 0);
    cv_outq_sent(&outq, &pool, 3);
    assert_int_equal(cv_outq_reference(&outq, &pool, CV_SPAN("DEF"), on_release, &released), 0);
    assert_non_null(cv_outq_first_reference(&outq, 3, &data));
    cv_outq_sent(&outq, &pool, 3);
    assert_int_equal(released, 1);
    assert_int_equal(cv_pool_live_bytes(&pool), 0);
    // Too small for what comes next.
    assert_int_equal(cv_outq_copy(&outq, &pool, CV_SPAN("abc")), 0);
    cv_outq_sent(&outq, &pool, 3);
    assert_non_null(cv_outq_reserve(&outq, &pool, 5000, 0));
    cv_outq_commit(&outq, 5000);
    assert_int_equal(cv_pool_live_bytes(&pool), 8192);
}

static void test_outq_keeps_the_order_of_copies_and_references(void **state) {
    (void)state;
    assert_int_equal(cv_outq_copy(&outq, &pool, CV_SPAN("a")), 0);
    assert_int_equal(cv_outq_reference(&outq, &pool, CV_SPAN("BC"), on_release, &released), 0);
    assert_int_equal(cv_outq_copy(&outq, &pool, CV_SPAN("d")), 0);
    assert_int_equal(cv_outq_reference(&outq, &pool, CV_SPAN("EF"), on_release, &released), 0);
    assert_front("aBCdEF");
    cv_outq_sent(&outq, &pool, 2);
    assert_int_equal(released, 0);
    cv_outq_sent(&outq, &pool, 1);
    assert_int_equal(released, 1);
    assert_front("dEF");
    cv_outq_clear(&outq, &pool);
    assert_int_equal(released, 2);
}

static void test_outq_releases_an_empty_reference(void **state) {
    (void)state;
    assert_int_equal(cv_outq_reference(&outq, &pool, (struct cv_span){0}, on_release, &released),
                     0);
    assert_int_equal(cv_outq_copy(&outq, &pool, CV_SPAN("x")), 0);
    assert_front("x");
    cv_outq_sent(&outq, &pool, 1);
    assert_int_equal(released, 1);
}

static void test_outq_gathers_no_more_than_asked_for(void **state) {
    struct iovec vector[3];
    (void)state;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(cv_outq_reference(&outq, &pool, CV_SPAN("0123456789"), NULL, NULL), 0);
    }
    assert_int_equal(cv_outq_gather(&outq, vector, 3, 1000, SIZE_MAX), 3);
    assert_int_equal(cv_outq_gather(&outq, vector, 3, 15, SIZE_MAX), 2);
    assert_int_equal(vector[0].iov_len, 10);
    assert_int_equal(vector[1].iov_len, 5);
}

static void test_outq_without_memory_changes_nothing_or_says_so(void **state) {
    static char big[40000];
    (void)state;
    assert_int_equal(cv_outq_copy(&outq, &pool, CV_SPAN("abc")), 0);
    acquire_fails = true;
    assert_null(cv_outq_reserve(&outq, &pool, 5000, 0));
    assert_int_equal(cv_outq_reference(&outq, &pool, CV_SPAN("x"), on_release, &released), -ENOMEM);
    assert_int_equal(released, 0);
    assert_front("abc");
    assert_int_equal(cv_outq_copy(&outq, &pool, cv_span_make(big, sizeof(big))), -ENOMEM);
}

static uint32_t seed;

static uint32_t chance(uint32_t below) {
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

// Compares what is gathered with the model, up to a random limit.
static void check_front(const uint8_t *expected) {
    struct iovec vector[16];
    size_t limit = 1 + chance(300000), seen = 0;
    size_t count = cv_outq_gather(&outq, vector, 1 + chance(16), limit, SIZE_MAX);
    assert_true(count > 0 || outq.bytes == 0);
    for (size_t i = 0; i < count; i++) {
        assert_memory_equal(vector[i].iov_base, expected + seen, vector[i].iov_len);
        seen += vector[i].iov_len;
    }
    assert_true(seen <= limit && seen <= outq.bytes);
}

static void test_outq_agrees_with_a_plain_string(void **state) {
    static uint8_t model[MODEL_BYTES];
    size_t added = 0, sent = 0;
    uint32_t references = 0;
    (void)state;
    seed = (uint32_t)time(NULL);
    print_message("seed %u\n", seed);
    for (size_t i = 0; i < sizeof(model); i++) {
        model[i] = (uint8_t)((i * 2654435761u) >> 11);
    }
    while (sent < sizeof(model)) {
        size_t part = chance(4) == 0 ? chance(60000) : chance(600);
        part = part < sizeof(model) - added ? part : sizeof(model) - added;
        struct cv_span span = cv_span_make((const char *)model + added, part);
        switch (chance(5)) {
        case 0:
            assert_int_equal(cv_outq_reference(&outq, &pool, span, on_release, &released), 0);
            references++;
            added += part;
            break;
        case 1:
            assert_int_equal(cv_outq_copy(&outq, &pool, span), 0);
            added += part;
            break;
        case 2:
            // Room for more than is kept.
            memcpy(cv_outq_reserve(&outq, &pool, part + chance(100), chance(9000)), span.data,
                   part);
            cv_outq_commit(&outq, part);
            added += part;
            break;
        default: {
            size_t done = chance((uint32_t)(added - sent) + 1);
            cv_outq_sent(&outq, &pool, done);
            sent += done;
            break;
        }
        }
        assert_int_equal(outq.bytes, added - sent);
        check_front(model + sent);
    }
    cv_outq_clear(&outq, &pool);
    assert_int_equal(released, references);
    assert_int_equal(cv_pool_live_bytes(&pool), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_outq_joins_small_pieces_in_one_vector),
        TEST(test_outq_fills_a_block_again_that_was_sent),
        TEST(test_outq_keeps_no_empty_block_in_front),
        TEST(test_outq_keeps_the_order_of_copies_and_references),
        TEST(test_outq_releases_an_empty_reference),
        TEST(test_outq_gathers_no_more_than_asked_for),
        TEST(test_outq_without_memory_changes_nothing_or_says_so),
        TEST(test_outq_agrees_with_a_plain_string),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
