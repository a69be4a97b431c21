// The access log's reader: files, pipes that are full, devices that fail.
#include "server/accesslog.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static struct cv_accesslog access_log;

static void put(uint32_t queue, const char *line) {
    assert_true(cv_logqueue_put(access_log.queue[queue], cv_span_of(line)));
}

static void expect(int fd, const char *text) {
    char got[256] = "";
    assert_int_equal(pread(fd, got, sizeof(got) - 1, 0), strlen(text));
    assert_string_equal(got, text);
}

static void test_accesslog_writes_the_lines_of_all_queues(void **state) {
    (void)state;
    int file = memfd_create("log", MFD_CLOEXEC);
    assert_int_equal(cv_accesslog_init(&access_log, dup(file), 2), 0);
    put(0, "a\n");
    put(1, "b\n");
    assert_true(cv_accesslog_run(&access_log, 0));
    expect(file, "a\nb\n");
    cv_accesslog_deinit(&access_log);
    close(file);
}

static void test_accesslog_sleeps_after_two_looks_at_nothing(void **state) {
    (void)state;
    int file = memfd_create("log", MFD_CLOEXEC);
    assert_int_equal(cv_accesslog_init(&access_log, file, 1), 0);
    assert_true(cv_logqueue_wants_wake(access_log.queue[0]));
    put(0, "a\n");
    assert_true(cv_accesslog_run(&access_log, 0));
    assert_true(cv_accesslog_run(&access_log, 0));
    assert_false(cv_logqueue_wants_wake(access_log.queue[0]));
    assert_false(cv_accesslog_run(&access_log, 0));
    assert_true(cv_logqueue_wants_wake(access_log.queue[0]));
    cv_accesslog_deinit(&access_log);
}

static void test_accesslog_changes_files_between_lines(void **state) {
    (void)state;
    int first = memfd_create("first", MFD_CLOEXEC);
    int second = memfd_create("second", MFD_CLOEXEC);
    assert_int_equal(cv_accesslog_init(&access_log, dup(first), 1), 0);
    put(0, "old\n");
    cv_accesslog_set_fd(&access_log, dup(second));
    put(0, "new\n");
    cv_accesslog_run(&access_log, 0);
    expect(first, "old\n");
    expect(second, "new\n");
    cv_accesslog_deinit(&access_log);
    close(first);
    close(second);
}

static void test_accesslog_leaves_lines_queued_while_a_pipe_is_full(void **state) {
    (void)state;
    static char line[10000];
    static char got[2000000];
    int pipes[2];
    memset(line, 'x', sizeof(line) - 1);
    line[sizeof(line) - 1] = '\0';
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(cv_accesslog_init(&access_log, pipes[1], 1), 0);
    size_t sent = 0;
    for (int i = 0; i < 50; i++) {
        put(0, line);
        sent += sizeof(line) - 1;
    }
    cv_accesslog_run(&access_log, 0);  // Must not wait for the pipe's reader.
    assert_true(cv_logqueue_peek(access_log.queue[0]).length > 0);
    size_t read_bytes = 0;
    while (read_bytes < sent) {
        ssize_t some = read(pipes[0], got, sizeof(got));
        assert_true(some > 0);
        read_bytes += (size_t)some;
        cv_accesslog_run(&access_log, 0);
    }
    assert_int_equal(read_bytes, sent);
    cv_accesslog_deinit(&access_log);
    close(pipes[0]);
}

static void test_accesslog_counts_what_a_full_device_refuses(void **state) {
    (void)state;
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    if (full < 0) {
        skip();
    }
    assert_int_equal(cv_accesslog_init(&access_log, full, 1), 0);
    access_log.report_at_ns = 100;
    put(0, "lost\n");
    cv_accesslog_run(&access_log, 50);
    assert_int_equal(access_log.lost_bytes, 5);
    assert_int_equal(cv_logqueue_peek(access_log.queue[0]).length, 0);
    cv_accesslog_run(&access_log, 100);
    assert_int_equal(access_log.lost_bytes, 0);  // Reported, and for the next minute no more.
    assert_true(access_log.report_at_ns > 59000000000);
    cv_accesslog_deinit(&access_log);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accesslog_writes_the_lines_of_all_queues),
        cmocka_unit_test(test_accesslog_sleeps_after_two_looks_at_nothing),
        cmocka_unit_test(test_accesslog_changes_files_between_lines),
        cmocka_unit_test(test_accesslog_leaves_lines_queued_while_a_pipe_is_full),
        cmocka_unit_test(test_accesslog_counts_what_a_full_device_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
