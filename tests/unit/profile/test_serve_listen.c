// The address `covet-prof serve` listens on: what is taken, what is refused, and the words for it.
#include "profile/serve_listen.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char bound[CV_SERVE_LISTEN_TEXT_BYTES];
static char message[256];

static void test_listen_refuses_what_is_no_address(void **state) {
    (void)state;
    static const char *const texts[] = {
        "",
        ":",
        "9464",
        ":9464",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:http",
        "127.0.0.1:-1",
        "127.0.0.1:94 64",
        "localhost:9464",
        "::1:9464",
        "[::1]",
        "[]:9464",
        "[127.0.0.1:9464",
        "unix:/tmp/x",
        "[1111:2222:3333:4444:5555:6666:7777:8888%aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]:9464",
    };
    for (size_t i = 0; i < CV_ARRAY_COUNT(texts); i++) {
        int result = cv_serve_listen_open(texts[i], true, bound, message, sizeof(message));
        if (result != -EINVAL) {
            fail_msg("%s: %d", texts[i], result);
        }
        assert_non_null(strstr(message, "127.0.0.1:9464"));
    }
}

static void test_listen_needs_leave_to_be_reached_by_others(void **state) {
    (void)state;
    static const char *const texts[] = {"0.0.0.0:0", "192.0.2.1:9464", "[::]:0", "128.0.0.1:1"};
    for (size_t i = 0; i < CV_ARRAY_COUNT(texts); i++) {
        assert_int_equal(cv_serve_listen_open(texts[i], false, bound, message, sizeof(message)),
                         -EPERM);
        assert_non_null(strstr(message, "--allow-remote"));
    }
    int fd = cv_serve_listen_open("0.0.0.0:0", true, bound, message, sizeof(message));
    assert_true(fd >= 0);
    assert_int_equal(strncmp(bound, "0.0.0.0:", 8), 0);
    close(fd);
}

static void test_listen_says_where_it_is_bound(void **state) {
    (void)state;
    int fd = cv_serve_listen_open("127.0.0.2:0", false, bound, message, sizeof(message));
    assert_true(fd >= 0);
    assert_int_equal(strncmp(bound, "127.0.0.2:", 10), 0);
    assert_string_not_equal(bound, "127.0.0.2:0");
    // It is taken now.
    assert_int_equal(cv_serve_listen_open(bound, false, message, message, sizeof(message)),
                     -EADDRINUSE);
    close(fd);
}

static void test_listen_takes_ipv6(void **state) {
    (void)state;
    int fd = cv_serve_listen_open("[::1]:0", false, bound, message, sizeof(message));
    if (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL) {
        skip();
    }
    assert_true(fd >= 0);
    assert_int_equal(strncmp(bound, "[::1]:", 6), 0);
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_listen_refuses_what_is_no_address),
        cmocka_unit_test(test_listen_needs_leave_to_be_reached_by_others),
        cmocka_unit_test(test_listen_says_where_it_is_bound),
        cmocka_unit_test(test_listen_takes_ipv6),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
