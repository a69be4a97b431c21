// Control messages over a real socket pair, descriptors included.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/control.h"

static int pair[2];
static struct cv_control_message sent;
static struct cv_control_message received;

static int failures_left;
static int failure;

ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags) {
    if (failures_left > 0) {
        failures_left--;
        errno = failure;
        return -1;
    }
    return __real_sendmsg(fd, message, flags);
}

static int set_up(void **state) {
    (void)state;
    memset(&sent, 0, sizeof(sent));
    memset(&received, 0, sizeof(received));
    failures_left = 0;
    return cv_control_open(pair);
}

static int tear_down(void **state) {
    (void)state;
    close(pair[0]);
    close(pair[1]);
    return 0;
}

static void test_control_carries_kind_number_and_payload(void **state) {
    (void)state;
    sent.kind = CV_CONTROL_RELOAD;
    sent.number = 0x123456789abcdefull;
    sent.payload_bytes = CV_CONTROL_PAYLOAD_BYTES_MAX;
    memset(sent.payload, 'p', sizeof(sent.payload));
    assert_int_equal(cv_control_send(pair[0], &sent), 0);
    assert_int_equal(cv_control_receive(pair[1], &received), 1);
    assert_int_equal(received.kind, sent.kind);
    assert_int_equal(received.number, sent.number);
    assert_int_equal(received.payload_bytes, sent.payload_bytes);
    assert_memory_equal(received.payload, sent.payload, sizeof(sent.payload));
    assert_int_equal(received.fd_count, 0);
}

static void test_control_sends_again_when_there_was_no_memory(void **state) {
    (void)state;
    static const int passing[] = {ENOBUFS, ENOMEM, EINTR};
    for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++) {
        failure = passing[i];
        failures_left = 3;
        assert_int_equal(cv_control_tell(pair[0], CV_CONTROL_DRAIN, 7), 0);
        assert_int_equal(cv_control_receive(pair[1], &received), 1);
        assert_int_equal(received.number, 7);
        assert_int_equal(cv_control_receive(pair[1], &received), -EAGAIN);
    }
}

static void test_control_gives_up_when_there_is_no_memory_for_a_second(void **state) {
    (void)state;
    failure = ENOBUFS;
    failures_left = 1000000;
    assert_int_equal(cv_control_tell(pair[0], CV_CONTROL_DRAIN, 7), -ENOBUFS);
    failures_left = 1;
    failure = EPIPE;
    assert_int_equal(cv_control_tell(pair[0], CV_CONTROL_DRAIN, 7), -EPIPE);
}

static void test_control_keeps_messages_apart(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(cv_control_tell(pair[0], CV_CONTROL_DRAIN, i), 0);
    }
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(cv_control_receive(pair[1], &received), 1);
        assert_int_equal(received.number, i);
    }
    assert_int_equal(cv_control_receive(pair[1], &received), -EAGAIN);
}

static void test_control_passes_descriptors_in_order_and_close_on_exec(void **state) {
    (void)state;
    int pipes[CV_CONTROL_FDS_MAX / 2][2];
    sent.kind = CV_CONTROL_RELOAD;
    for (size_t i = 0; i < CV_CONTROL_FDS_MAX / 2; i++) {
        assert_int_equal(pipe(pipes[i]), 0);
        sent.fd[sent.fd_count++] = pipes[i][0];
        sent.fd[sent.fd_count++] = pipes[i][1];
    }
    assert_int_equal(cv_control_send(pair[0], &sent), 0);
    assert_int_equal(cv_control_receive(pair[1], &received), 1);
    assert_int_equal(received.fd_count, CV_CONTROL_FDS_MAX);
    for (size_t i = 0; i < CV_CONTROL_FDS_MAX / 2; i++) {
        char byte = (char)('a' + i);
        char got = 0;
        assert_int_equal(fcntl(received.fd[2 * i], F_GETFD), FD_CLOEXEC);
        assert_int_equal(write(received.fd[2 * i + 1], &byte, 1), 1);
        assert_int_equal(read(pipes[i][0], &got, 1), 1);
        assert_int_equal(got, byte);
        close(pipes[i][0]);
        close(pipes[i][1]);
        close(received.fd[2 * i]);
        close(received.fd[2 * i + 1]);
    }
}

static void test_control_tells_the_end_of_the_other_side(void **state) {
    (void)state;
    close(pair[0]);
    pair[0] = -1;
    assert_int_equal(cv_control_receive(pair[1], &received), 0);
    assert_int_equal(cv_control_tell(pair[1], CV_CONTROL_DRAIN, 0), -EPIPE);
}

static void test_control_refuses_a_packet_that_lies_about_its_size(void **state) {
    (void)state;
    static const uint32_t lie[] = {CV_CONTROL_DRAIN, 100, 0, 0, 0, 0};
    assert_int_equal(send(pair[0], lie, sizeof(lie), 0), sizeof(lie));
    assert_int_equal(cv_control_receive(pair[1], &received), -EBADMSG);
    assert_int_equal(send(pair[0], lie, 5, 0), 5);
    assert_int_equal(cv_control_receive(pair[1], &received), -EBADMSG);
}

int main(void) {
#define WITH_PAIR(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_PAIR(test_control_carries_kind_number_and_payload),
        WITH_PAIR(test_control_sends_again_when_there_was_no_memory),
        WITH_PAIR(test_control_gives_up_when_there_is_no_memory_for_a_second),
        WITH_PAIR(test_control_keeps_messages_apart),
        WITH_PAIR(test_control_passes_descriptors_in_order_and_close_on_exec),
        WITH_PAIR(test_control_tells_the_end_of_the_other_side),
        WITH_PAIR(test_control_refuses_a_packet_that_lies_about_its_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
