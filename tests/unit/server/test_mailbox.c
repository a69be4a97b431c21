// The mailbox: order, bounds, wake-ups, and several senders at once.
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "server/mailbox.h"

#define SENDERS 4u
#define MESSAGES_EACH 20000u

static struct cv_mailbox mailbox;

static bool put(uint64_t number) {
    bool wake = false;
    struct cv_message message = {.kind = CV_MESSAGE_CALL, .number = number};
    assert_int_equal(cv_mailbox_put(&mailbox, &message, &wake), 0);
    return wake;
}

static void test_mailbox_gives_messages_in_order(void **state) {
    (void)state;
    struct cv_message message;
    cv_mailbox_init(&mailbox);
    // More than one lap around the ring.
    for (uint64_t i = 0; i < 3 * CV_MAILBOX_MESSAGES_MAX; i++) {
        put(2 * i);
        put(2 * i + 1);
        assert_true(cv_mailbox_take(&mailbox, &message));
        assert_int_equal(message.number, 2 * i);
        assert_true(cv_mailbox_take(&mailbox, &message));
        assert_int_equal(message.number, 2 * i + 1);
    }
    assert_false(cv_mailbox_take(&mailbox, &message));
}

static void test_mailbox_refuses_a_message_when_full(void **state) {
    (void)state;
    struct cv_message message = {0};
    bool wake = true;
    cv_mailbox_init(&mailbox);
    for (uint64_t i = 0; i < CV_MAILBOX_MESSAGES_MAX; i++) {
        put(i);
    }
    assert_int_equal(cv_mailbox_put(&mailbox, &message, &wake), -EAGAIN);
    assert_false(wake);
    assert_true(cv_mailbox_take(&mailbox, &message));
    assert_int_equal(message.number, 0);
    put(CV_MAILBOX_MESSAGES_MAX);
    for (uint64_t i = 1; i <= CV_MAILBOX_MESSAGES_MAX; i++) {
        assert_true(cv_mailbox_take(&mailbox, &message));
        assert_int_equal(message.number, i);
    }
}

static void test_mailbox_wants_one_wake_up_per_edge(void **state) {
    (void)state;
    struct cv_message message;
    cv_mailbox_init(&mailbox);
    assert_true(put(1));  // Nobody has looked yet.
    assert_false(put(2));
    assert_true(cv_mailbox_take(&mailbox, &message));
    assert_true(cv_mailbox_take(&mailbox, &message));
    assert_false(put(3));  // The receiver has not seen it empty.
    assert_true(cv_mailbox_take(&mailbox, &message));
    assert_false(cv_mailbox_take(&mailbox, &message));
    assert_true(put(4));
}

static void *send_many(void *context) {
    uint64_t sender = (uint64_t)(uintptr_t)context;
    bool wake;
    for (uint64_t i = 0; i < MESSAGES_EACH; i++) {
        struct cv_message message = {
            .kind = CV_MESSAGE_CALL,
            .number = i,
            .detail = (int32_t)sender,
        };
        while (cv_mailbox_put(&mailbox, &message, &wake) != 0) {
            sched_yield();
        }
    }
    return NULL;
}

static void test_mailbox_keeps_each_senders_order_with_many_senders(void **state) {
    (void)state;
    pthread_t thread[SENDERS];
    uint64_t next[SENDERS] = {0};
    cv_mailbox_init(&mailbox);
    for (uintptr_t i = 0; i < SENDERS; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, send_many, (void *)i), 0);
    }
    for (uint32_t taken = 0; taken < SENDERS * MESSAGES_EACH;) {
        struct cv_message message;
        if (!cv_mailbox_take(&mailbox, &message)) {
            sched_yield();
            continue;
        }
        assert_in_range(message.detail, 0, SENDERS - 1);
        assert_int_equal(message.number, next[message.detail]);
        next[message.detail]++;
        taken++;
    }
    for (uint32_t i = 0; i < SENDERS; i++) {
        pthread_join(thread[i], NULL);
        assert_int_equal(next[i], MESSAGES_EACH);
    }
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t rung = PTHREAD_COND_INITIALIZER;
static uint32_t ring_count;

static void *send_and_ring(void *context) {
    (void)context;
    for (uint64_t i = 0; i < MESSAGES_EACH; i++) {
        struct cv_message message = {.kind = CV_MESSAGE_CALL, .number = i};
        bool wake;
        while (cv_mailbox_put(&mailbox, &message, &wake) != 0) {
            sched_yield();
        }
        if (wake) {
            pthread_mutex_lock(&lock);
            ring_count++;
            pthread_cond_signal(&rung);
            pthread_mutex_unlock(&lock);
        }
    }
    return NULL;
}

// A receiver that sleeps until it is rung for, and only then, must get every message.
static void test_mailbox_never_loses_a_wake_up(void **state) {
    (void)state;
    pthread_t thread[2];
    uint32_t rings_used = 0;
    cv_mailbox_init(&mailbox);
    ring_count = 0;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, send_and_ring, NULL), 0);
    }
    for (uint32_t taken = 0; taken < 2 * MESSAGES_EACH;) {
        struct cv_message message;
        if (cv_mailbox_take(&mailbox, &message)) {
            taken++;
            continue;
        }
        struct timespec limit;
        clock_gettime(CLOCK_REALTIME, &limit);
        limit.tv_sec += 20;
        pthread_mutex_lock(&lock);
        int error = 0;
        while (ring_count == rings_used && error == 0) {
            error = pthread_cond_timedwait(&rung, &lock, &limit);
        }
        rings_used = ring_count;
        pthread_mutex_unlock(&lock);
        assert_int_equal(error, 0);
    }
    for (size_t i = 0; i < 2; i++) {
        pthread_join(thread[i], NULL);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mailbox_gives_messages_in_order),
        cmocka_unit_test(test_mailbox_refuses_a_message_when_full),
        cmocka_unit_test(test_mailbox_wants_one_wake_up_per_edge),
        cmocka_unit_test(test_mailbox_keeps_each_senders_order_with_many_senders),
        cmocka_unit_test(test_mailbox_never_loses_a_wake_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
