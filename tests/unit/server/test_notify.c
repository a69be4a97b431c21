// Notifications against a socket of our own.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/notify.h"

// Binds a datagram socket to the name as NOTIFY_SOCKET has it.
static int listen_as(const char *name) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(name);
    memcpy(address.sun_path, name, length);
    if (name[0] == '@') {
        address.sun_path[0] = '\0';
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)),
                     0);
    setenv("NOTIFY_SOCKET", name, 1);
    return fd;
}

static void expect(int fd, const char *text) {
    char got[600] = "";
    ssize_t length = recv(fd, got, sizeof(got) - 1, 0);
    assert_int_equal(length, strlen(text));
    assert_string_equal(got, text);
}

static void test_notify_does_nothing_without_a_manager(void **state) {
    (void)state;
    unsetenv("NOTIFY_SOCKET");
    assert_int_equal(cv_notify_send("READY=1"), 0);
    setenv("NOTIFY_SOCKET", "", 1);
    assert_int_equal(cv_notify_send("READY=1"), 0);
}

static void test_notify_reaches_a_path(void **state) {
    (void)state;
    char directory[] = "/tmp/covet-test-XXXXXX";
    char path[64];
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/notify", directory);
    int fd = listen_as(path);
    assert_int_equal(cv_notify_format("READY=1\nMAINPID=%d", 42), 0);
    expect(fd, "READY=1\nMAINPID=42");
    close(fd);
    assert_int_equal(cv_notify_send("READY=1"), -ECONNREFUSED);
    unlink(path);
    rmdir(directory);
}

static void test_notify_reaches_an_abstract_name(void **state) {
    (void)state;
    char name[64];
    snprintf(name, sizeof(name), "@covet-test-%d", (int)getpid());
    int fd = listen_as(name);
    assert_int_equal(cv_notify_send("STOPPING=1"), 0);
    expect(fd, "STOPPING=1");
    close(fd);
}

static void test_notify_refuses_a_name_it_cannot_use(void **state) {
    (void)state;
    char name[200];
    memset(name, 'x', sizeof(name));
    name[0] = '/';
    name[sizeof(name) - 1] = '\0';
    setenv("NOTIFY_SOCKET", name, 1);
    assert_int_equal(cv_notify_send("READY=1"), -EINVAL);
    setenv("NOTIFY_SOCKET", "vsock:2:1", 1);
    assert_int_equal(cv_notify_send("READY=1"), -EINVAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_notify_does_nothing_without_a_manager),
        cmocka_unit_test(test_notify_reaches_a_path),
        cmocka_unit_test(test_notify_reaches_an_abstract_name),
        cmocka_unit_test(test_notify_refuses_a_name_it_cannot_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
