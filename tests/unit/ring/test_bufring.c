// The provided buffers by themselves: memory, counts, and what is shown to the kernel when.
#include "ring/bufring.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ring/ring.h"

#define COUNT 8u

static struct cv_bufring buffers;
static struct io_uring uring;

static int set_up(void **state) {
    (void)state;
    assert_int_equal(cv_bufring_init(&buffers, COUNT), 0);
    assert_int_equal(io_uring_queue_init(8, &uring, 0), 0);
    assert_int_equal(cv_bufring_register(&buffers, &uring), 0);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    io_uring_queue_exit(&uring);
    cv_bufring_deinit(&buffers);
    assert_null(buffers.slab);
    return 0;
}

static uint16_t shown(void) {
    return buffers.ring->tail;
}

static void test_bufring_shows_every_buffer_at_the_start(void **state) {
    (void)state;
    assert_int_equal(shown(), COUNT);
    assert_int_equal(buffers.lent, 0);
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(buffers.ring->bufs[i].bid, i);
        assert_int_equal(buffers.ring->bufs[i].len, CV_RING_BUFFER_BYTES);
        assert_int_equal(buffers.ring->bufs[i].addr, (uintptr_t)cv_bufring_data(&buffers, i));
    }
}

static void test_bufring_buffers_do_not_overlap(void **state) {
    (void)state;
    for (uint32_t i = 0; i < COUNT; i++) {
        memset(cv_bufring_data(&buffers, i), (int)i + 1, CV_RING_BUFFER_BYTES);
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        const uint8_t *data = cv_bufring_data(&buffers, i);
        assert_int_equal(data[0], i + 1);
        assert_int_equal(data[CV_RING_BUFFER_BYTES - 1], i + 1);
        assert_int_equal((uintptr_t)data % 64, 0);
    }
}

static void test_bufring_publishes_what_was_given_back_at_once(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        cv_bufring_lend(&buffers, i);
    }
    assert_int_equal(buffers.lent, 3);
    cv_bufring_give_back(&buffers, 2);
    cv_bufring_give_back(&buffers, 0);
    assert_int_equal(buffers.lent, 1);
    assert_int_equal(shown(), COUNT);
    cv_bufring_publish(&buffers);
    assert_int_equal(shown(), COUNT + 2);
    // The one given back last is the warmest.
    assert_int_equal(buffers.ring->bufs[0].bid, 0);
    assert_int_equal(buffers.ring->bufs[1].bid, 2);
    cv_bufring_publish(&buffers);
    assert_int_equal(shown(), COUNT + 2);
    cv_bufring_give_back(&buffers, 1);
    cv_bufring_publish(&buffers);
    assert_int_equal(buffers.ring->bufs[2].bid, 1);
}

// How many more the kernel was given by publishing.
static uint32_t published(struct cv_bufring *many) {
    uint16_t before = many->ring->tail;
    cv_bufring_publish(many);
    return (uint16_t)(many->ring->tail - before);
}

static void test_bufring_offers_no_more_than_are_used(void **state) {
    struct cv_bufring many;
    struct io_uring other;
    (void)state;
    assert_int_equal(cv_bufring_init(&many, 512), 0);
    assert_int_equal(io_uring_queue_init(8, &other, 0), 0);
    assert_int_equal(cv_bufring_register(&many, &other), 0);
    assert_int_equal(many.ring->tail, 128);
    // Most of them stay empty from turn to turn: the same few go round.
    for (uint32_t turn = 0; turn < 100; turn++) {
        uint16_t first = (uint16_t)(turn * 64);
        for (uint16_t i = 0; i < 64; i++) {
            cv_bufring_lend(&many, many.ring->bufs[(first + i) % 512].bid);
        }
        for (uint16_t i = 0; i < 64; i++) {
            uint32_t bid = many.ring->bufs[(first + i) % 512].bid;
            assert_in_range(bid, 0, 127);
            cv_bufring_give_back(&many, bid);
        }
        assert_int_equal(published(&many), 64);
    }
    // More than three quarters filled between two turns: the window doubles, up to all there are.
    for (uint16_t i = 0; i < 97; i++) {
        cv_bufring_lend(&many, many.ring->bufs[(6400 + i) % 512].bid);
    }
    assert_int_equal(published(&many), 97 + 128);
    cv_bufring_widen(&many);
    cv_bufring_widen(&many);
    // The kernel has all but those that are lent.
    assert_int_equal(published(&many), 512 - 97 - 256);
    assert_int_equal(published(&many), 0);
    io_uring_queue_exit(&other);
    cv_bufring_deinit(&many);
}

static void test_bufring_counts_holders(void **state) {
    (void)state;
    cv_bufring_lend(&buffers, 5);
    cv_bufring_retain(&buffers, 5);
    cv_bufring_give_back(&buffers, 5);
    assert_int_equal(buffers.lent, 1);
    cv_bufring_give_back(&buffers, 5);
    assert_int_equal(buffers.lent, 0);
    cv_bufring_lend(&buffers, 5);
    cv_bufring_give_back(&buffers, 5);
}

static void lend_twice(void) {
    cv_bufring_lend(&buffers, 1);
    cv_bufring_lend(&buffers, 1);
}

static void give_back_a_free_one(void) {
    cv_bufring_give_back(&buffers, 1);
}

static void retain_a_free_one(void) {
    cv_bufring_retain(&buffers, 1);
}

static void retain_too_often(void) {
    cv_bufring_lend(&buffers, 1);
    for (uint32_t i = 0; i < 300; i++) {
        cv_bufring_retain(&buffers, 1);
    }
}

static void use_one_too_high(void) {
    cv_bufring_lend(&buffers, COUNT);
}

static void want_an_odd_count(void) {
    struct cv_bufring other;
    (void)!cv_bufring_init(&other, 9);
}

static bool aborts(void (*body)(void)) {
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        (void)dup2(null, STDERR_FILENO);
        (void)signal(SIGABRT, SIG_DFL);
        body();
        _exit(0);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void test_bufring_asserts_how_buffers_are_used(void **state) {
    static void (*const mistakes[])(void) = {lend_twice,        give_back_a_free_one,
                                             retain_a_free_one, retain_too_often,
                                             use_one_too_high,  want_an_odd_count};
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(mistakes); i++) {
        if (!aborts(mistakes[i])) {
            fail_msg("mistake %zu went unnoticed", i);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_bufring_shows_every_buffer_at_the_start),
        TEST(test_bufring_buffers_do_not_overlap),
        TEST(test_bufring_publishes_what_was_given_back_at_once),
        TEST(test_bufring_offers_no_more_than_are_used),
        TEST(test_bufring_counts_holders),
        TEST(test_bufring_asserts_how_buffers_are_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
