// Writing without waiting: to pipes, sockets and files, full and gone.
#include "base/nowait.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

static bool is_old_kernel;  // Which knows no RWF_NOWAIT for this descriptor.

ssize_t __real_pwritev2(int fd, const struct iovec *parts, int count, off_t offset, int flags);
ssize_t __wrap_pwritev2(int fd, const struct iovec *parts, int count, off_t offset, int flags);

ssize_t __wrap_pwritev2(int fd, const struct iovec *parts, int count, off_t offset, int flags) {
    if (is_old_kernel) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return __real_pwritev2(fd, parts, count, offset, flags);
}

static int set_up_new(void **state) {
    (void)state;
    is_old_kernel = false;
    return 0;
}

static int set_up_old(void **state) {
    (void)state;
    is_old_kernel = true;
    return 0;
}

// Until nothing is taken any more; returns how much was.
static size_t fill(int fd) {
    static char bytes[PIPE_BUF];
    size_t total = 0;
    ssize_t written;
    while ((written = cv_nowait_write(fd, bytes, sizeof(bytes))) > 0) {
        total += (size_t)written;
    }
    assert_int_equal(written, -EAGAIN);
    return total;
}

static void test_nowait_leaves_a_full_pipe_alone(void **state) {
    int pipes[2];
    char bytes[PIPE_BUF];
    (void)state;
    assert_int_equal(pipe(pipes), 0);
    assert_true(fill(pipes[1]) >= PIPE_BUF);
    assert_int_equal(read(pipes[0], bytes, sizeof(bytes)), sizeof(bytes));
    assert_int_equal(cv_nowait_write(pipes[1], "room", 4), 4);
    assert_int_equal(fcntl(pipes[1], F_GETFL) & O_NONBLOCK, 0);
    close(pipes[0]);
    assert_int_equal(cv_nowait_write(pipes[1], "gone", 4), -EPIPE);
    close(pipes[1]);
}

static void test_nowait_leaves_a_full_socket_alone(void **state) {
    int pair[2];
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_true(fill(pair[0]) > 0);
    close(pair[0]);
    close(pair[1]);
}

static void test_nowait_gives_a_file_everything_at_once(void **state) {
    static char bytes[4 * PIPE_BUF];
    int file = memfd_create("file", MFD_CLOEXEC);
    (void)state;
    assert_int_equal(cv_nowait_write(file, bytes, sizeof(bytes)), sizeof(bytes));
    assert_int_equal(cv_nowait_write(file, "x", 1), 1);
    assert_int_equal(lseek(file, 0, SEEK_END), sizeof(bytes) + 1);
    close(file);
}

static void test_nowait_gives_the_error_of_what_cannot_be_written(void **state) {
    (void)state;
    assert_int_equal(cv_nowait_write(1 << 20, "x", 1), -EBADF);
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    if (full >= 0) {
        assert_int_equal(cv_nowait_write(full, "x", 1), -ENOSPC);
        close(full);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_nowait_leaves_a_full_pipe_alone, set_up_new),
        cmocka_unit_test_setup(test_nowait_leaves_a_full_socket_alone, set_up_new),
        cmocka_unit_test_setup(test_nowait_gives_a_file_everything_at_once, set_up_new),
        cmocka_unit_test_setup(test_nowait_gives_the_error_of_what_cannot_be_written, set_up_new),
    };
    const struct CMUnitTest on_old_kernels[] = {
        cmocka_unit_test_setup(test_nowait_leaves_a_full_pipe_alone, set_up_old),
        cmocka_unit_test_setup(test_nowait_leaves_a_full_socket_alone, set_up_old),
        cmocka_unit_test_setup(test_nowait_gives_the_error_of_what_cannot_be_written, set_up_old),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL) +
           cmocka_run_group_tests(on_old_kernels, NULL, NULL);
}
