// The access log's reader: files, pipes that are full, devices that fail.
#include "server/accesslog.h"

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
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
    put(0, "lost\nlost too\n");
    cv_accesslog_run(&access_log, 50);
    assert_int_equal(access_log.lost_lines, 2);
    assert_int_equal(cv_logqueue_take_dropped(access_log.queue[0]), 2);
    assert_int_equal(cv_logqueue_take_dropped(access_log.queue[0]), 0);
    assert_int_equal(cv_logqueue_peek(access_log.queue[0]).length, 0);
    cv_accesslog_run(&access_log, 100);
    assert_int_equal(access_log.lost_lines, 0);  // Reported, and for the next minute no more.
    assert_true(access_log.report_at_ns > 59000000000);
    cv_accesslog_deinit(&access_log);
}

// A file that has room for so many bytes more.
static void limit_file(rlim_t bytes) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = CV_MIN(bytes, limit.rlim_max);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void test_accesslog_closes_the_line_that_a_full_disk_tore(void **state) {
    (void)state;
    int file = memfd_create("log", MFD_CLOEXEC);
    assert_int_equal(cv_accesslog_init(&access_log, dup(file), 2), 0);
    put(0, "first\nsecond\nthird\n");
    limit_file(9);
    cv_accesslog_run(&access_log, 0);
    limit_file(RLIM_INFINITY);
    assert_int_equal(cv_logqueue_take_dropped(access_log.queue[0]), 2);
    put(1, "fourth\n");
    put(0, "fifth\n");
    cv_accesslog_run(&access_log, 0);
    expect(file, "first\nsec\nfifth\nfourth\n");
    cv_accesslog_deinit(&access_log);
    close(file);
}

static void test_accesslog_drops_whole_lines_where_the_queue_wraps(void **state) {
    (void)state;
    static char filler[CV_LOGQUEUE_BYTES - 3];
    int file = memfd_create("log", MFD_CLOEXEC);
    assert_int_equal(cv_accesslog_init(&access_log, dup(file), 1), 0);
    memset(filler, 'x', sizeof(filler) - 2);
    filler[sizeof(filler) - 2] = '\n';
    put(0, filler);
    cv_accesslog_run(&access_log, 0);
    assert_int_equal(ftruncate(file, 0), 0);
    assert_int_equal(lseek(file, 0, SEEK_SET), 0);
    put(0, "wrapped\n");
    limit_file(0);
    cv_accesslog_run(&access_log, 0);
    limit_file(RLIM_INFINITY);
    assert_int_equal(cv_logqueue_take_dropped(access_log.queue[0]), 1);
    put(0, "whole\n");
    cv_accesslog_run(&access_log, 0);
    expect(file, "whole\n");
    cv_accesslog_deinit(&access_log);
    close(file);
}

static void test_accesslog_never_mixes_lines_of_two_queues_in_a_pipe(void **state) {
    (void)state;
    static char lines[2][10002];
    int pipes[2];
    size_t length = 0;
    static char got[40 * sizeof(lines[0]) + PIPE_BUF];
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(fcntl(pipes[0], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(cv_accesslog_init(&access_log, pipes[1], 2), 0);
    for (uint32_t i = 0; i < 2; i++) {
        memset(lines[i], i == 0 ? 'a' : 'b', sizeof(lines[i]) - 2);
        lines[i][sizeof(lines[i]) - 2] = '\n';
        for (int j = 0; j < 20; j++) {
            put(i, lines[i]);
        }
    }
    ssize_t some = 0;
    do {
        cv_accesslog_run(&access_log, 0);
        some = read(pipes[0], got + length, PIPE_BUF);
        length += (size_t)CV_MAX(some, 0);
    } while (some > 0);
    assert_int_equal(length, 40 * (sizeof(lines[0]) - 1));
    for (const char *at = got; at < got + length; at += sizeof(lines[0]) - 1) {
        assert_memory_equal(at, lines[*at == 'b'], sizeof(lines[0]) - 1);
    }
    cv_accesslog_deinit(&access_log);
    close(pipes[0]);
}

static void test_accesslog_begins_a_new_file_with_a_whole_line(void **state) {
    (void)state;
    static char line[200000];
    int pipes[2];
    int file = memfd_create("log", MFD_CLOEXEC);
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(cv_accesslog_init(&access_log, pipes[1], 1), 0);
    memset(line, 'x', sizeof(line) - 2);
    line[sizeof(line) - 2] = '\n';
    put(0, line);  // More than a pipe takes.
    cv_accesslog_run(&access_log, 0);
    put(0, "next\n");
    cv_accesslog_set_fd(&access_log, dup(file));
    cv_accesslog_run(&access_log, 0);
    expect(file, "next\n");
    assert_int_equal(cv_logqueue_take_dropped(access_log.queue[0]), 1);
    cv_accesslog_deinit(&access_log);
    close(pipes[0]);
    close(file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accesslog_writes_the_lines_of_all_queues),
        cmocka_unit_test(test_accesslog_sleeps_after_two_looks_at_nothing),
        cmocka_unit_test(test_accesslog_changes_files_between_lines),
        cmocka_unit_test(test_accesslog_leaves_lines_queued_while_a_pipe_is_full),
        cmocka_unit_test(test_accesslog_counts_what_a_full_device_refuses),
        cmocka_unit_test(test_accesslog_closes_the_line_that_a_full_disk_tore),
        cmocka_unit_test(test_accesslog_drops_whole_lines_where_the_queue_wraps),
        cmocka_unit_test(test_accesslog_never_mixes_lines_of_two_queues_in_a_pipe),
        cmocka_unit_test(test_accesslog_begins_a_new_file_with_a_whole_line),
    };
    signal(SIGXFSZ, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
