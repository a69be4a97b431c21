// The log queue: wrapping, refusing, waking, and a writer beside a reader.
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/logqueue.h"

#define LINES 200000u

static struct cv_logqueue *queue;

static int set_up(void **state) {
    (void)state;
    queue = cv_logqueue_create();
    return queue == NULL;
}

static int tear_down(void **state) {
    (void)state;
    cv_logqueue_destroy(queue);
    return 0;
}

static void test_logqueue_gives_back_what_was_put(void **state) {
    (void)state;
    assert_int_equal(cv_logqueue_peek(queue).length, 0);
    assert_true(cv_logqueue_put(queue, CV_SPAN("one\n")));
    assert_true(cv_logqueue_put(queue, CV_SPAN("two\n")));
    struct cv_span ready = cv_logqueue_peek(queue);
    assert_int_equal(ready.length, 8);
    assert_memory_equal(ready.data, "one\ntwo\n", 8);
    cv_logqueue_consume(queue, 3);
    assert_memory_equal(cv_logqueue_peek(queue).data, "\ntwo\n", 5);
    cv_logqueue_consume(queue, 5);
    assert_int_equal(cv_logqueue_peek(queue).length, 0);
}

static void test_logqueue_refuses_a_line_without_room_and_keeps_the_rest(void **state) {
    (void)state;
    static char line[CV_LOGQUEUE_BYTES / 4];
    memset(line, 'x', sizeof(line));
    struct cv_span span = cv_span_make(line, sizeof(line));
    for (int i = 0; i < 4; i++) {
        assert_true(cv_logqueue_put(queue, span));
    }
    assert_false(cv_logqueue_put(queue, CV_SPAN("y")));
    assert_int_equal(cv_logqueue_peek(queue).length, CV_LOGQUEUE_BYTES);
    cv_logqueue_consume(queue, 1);
    assert_true(cv_logqueue_put(queue, CV_SPAN("y")));
    assert_false(cv_logqueue_put(queue, CV_SPAN("y")));
}

static void test_logqueue_wraps_in_the_middle_of_a_line(void **state) {
    (void)state;
    static char filler[CV_LOGQUEUE_BYTES - 3];
    assert_true(cv_logqueue_put(queue, cv_span_make(filler, sizeof(filler))));
    cv_logqueue_consume(queue, sizeof(filler));
    assert_true(cv_logqueue_put(queue, CV_SPAN("abcdef\n")));
    struct cv_span first = cv_logqueue_peek(queue);
    assert_int_equal(first.length, 3);
    assert_memory_equal(first.data, "abc", 3);
    cv_logqueue_consume(queue, 3);
    struct cv_span second = cv_logqueue_peek(queue);
    assert_int_equal(second.length, 4);
    assert_memory_equal(second.data, "def\n", 4);
}

static void test_logqueue_wants_one_wake_up_per_sleep(void **state) {
    (void)state;
    assert_true(cv_logqueue_put(queue, CV_SPAN("a\n")));
    assert_true(cv_logqueue_wants_wake(queue));
    assert_false(cv_logqueue_wants_wake(queue));
    assert_false(cv_logqueue_sleep(queue));  // There is something to read.
    cv_logqueue_consume(queue, 2);
    assert_true(cv_logqueue_sleep(queue));
    assert_true(cv_logqueue_put(queue, CV_SPAN("b\n")));
    assert_true(cv_logqueue_wants_wake(queue));
}

static void *write_lines(void *context) {
    uint32_t *dropped = context;
    char line[64];
    for (uint32_t i = 0; i < LINES; i++) {
        int length = snprintf(line, sizeof(line), "%u\n", i);
        *dropped += !cv_logqueue_put(queue, cv_span_make(line, (size_t)length));
    }
    return NULL;
}

static void test_logqueue_keeps_lines_whole_beside_a_reader(void **state) {
    (void)state;
    pthread_t thread;
    uint32_t dropped = 0;
    uint32_t lines = 0;
    uint64_t number = 0;
    uint64_t last = 0;
    bool has_ended = false;
    assert_int_equal(pthread_create(&thread, NULL, write_lines, &dropped), 0);
    for (;;) {
        struct cv_span ready = cv_logqueue_peek(queue);
        if (ready.length == 0) {
            if (has_ended) {
                break;
            }
            // What was put before its end is seen by one more look.
            has_ended = pthread_tryjoin_np(thread, NULL) == 0;
            sched_yield();
        }
        for (size_t i = 0; i < ready.length; i++) {
            if (ready.data[i] != '\n') {
                assert_in_range(ready.data[i], '0', '9');
                number = number * 10 + (uint64_t)(ready.data[i] - '0');
                continue;
            }
            assert_true(lines == 0 || number > last);
            last = number;
            number = 0;
            lines++;
        }
        cv_logqueue_consume(queue, ready.length);
    }
    assert_int_equal(lines + dropped, LINES);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_logqueue_gives_back_what_was_put, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_logqueue_refuses_a_line_without_room_and_keeps_the_rest, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_logqueue_wraps_in_the_middle_of_a_line, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_logqueue_wants_one_wake_up_per_sleep, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_logqueue_keeps_lines_whole_beside_a_reader, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
