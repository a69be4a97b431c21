// Addresses as users write them, and as the kernel gives them back.
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/address.h"

static void test_address_reads_what_users_write(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int family;
    } cases[] = {
        {"127.0.0.1:8000", AF_INET}, {"0.0.0.0:1", AF_INET},     {"1.2.3.4:65535", AF_INET},
        {"[::1]:8000", AF_INET6},    {"[::]:80", AF_INET6},      {"[2001:db8::1]:443", AF_INET6},
        {"unix:/run/x", AF_UNIX},    {"unix:relative", AF_UNIX}, {"unix:a:b", AF_UNIX},
    };
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        struct cv_address address;
        const char *why = "";
        assert_true(cv_address_parse(cases[i].text, &address, &why));
        assert_int_equal(address.socket.ss_family, cases[i].family);
        assert_string_equal(address.text, cases[i].text);
        assert_true(address.socket_bytes > 0);
    }
}

static void test_address_refuses_everything_else(void **state) {
    (void)state;
    static const char *const cases[] = {
        "",
        ":80",
        "80",
        "127.0.0.1",
        "127.0.0.1:",
        "1.2.3.4:0",
        "1.2.3.4:65536",
        "1.2.3.4:-1",
        "1.2.3.4:+1",
        "1.2.3.4:1x",
        "1.2.3.4: 1",
        "1.2.3:80",
        "256.1.1.1:80",
        "localhost:80",
        "::1:80",
        "[::1]",
        "[::1]80",
        "[::1]:",
        "[1.2.3.4]:80",
        "[::1:80",
        "[:::1]:80",
        "unix:",
        "[]:80",
        " 127.0.0.1:80",
        "*:80",
        "1.2.3.4:80 ",
        "[1:2:3:4:5:6:7:8:9:a:b:c:d:e:f:1:2:3:4:5:6:7:8]:80",
    };
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        struct cv_address address = {.text = "untouched"};
        const char *why = NULL;
        if (cv_address_parse(cases[i], &address, &why)) {
            fail_msg("accepted: %s", cases[i]);
        }
        assert_non_null(why);
        assert_string_equal(address.text, "untouched");
    }
}

static void test_address_bounds_a_unix_path(void **state) {
    (void)state;
    char text[5 + 108 + 1];
    struct cv_address address;
    const char *why;
    memset(text, 'p', sizeof(text) - 1);
    memcpy(text, "unix:", 5);
    text[sizeof(text) - 1] = '\0';
    assert_false(cv_address_parse(text, &address, &why));
    text[5 + 107] = '\0';
    assert_true(cv_address_parse(text, &address, &why));
    assert_int_equal(strlen(cv_address_path(&address)), 107);
}

static void test_address_compares_meanings_not_texts(void **state) {
    (void)state;
    static const struct {
        const char *a;
        const char *b;
        bool equal;
    } cases[] = {
        {"[::1]:80", "[0:0::1]:80", true},   {"[::1]:80", "[::1]:81", false},
        {"[::1]:80", "[::2]:80", false},     {"1.2.3.4:80", "1.2.3.4:80", true},
        {"1.2.3.4:80", "1.2.3.5:80", false}, {"1.2.3.4:80", "1.2.3.4:81", false},
        {"0.0.0.0:80", "[::]:80", false},    {"unix:/a", "unix:/a", true},
        {"unix:/a", "unix:/b", false},       {"unix:/a", "1.2.3.4:80", false},
    };
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        struct cv_address a;
        struct cv_address b;
        const char *why;
        assert_true(cv_address_parse(cases[i].a, &a, &why));
        assert_true(cv_address_parse(cases[i].b, &b, &why));
        assert_int_equal(cv_address_equal(&a, &b), cases[i].equal);
    }
}

static void test_address_of_a_socket_is_the_one_it_is_bound_to(void **state) {
    (void)state;
    static const char *const texts[] = {"127.0.0.1:", "[::1]:"};
    for (size_t i = 0; i < CV_ARRAY_COUNT(texts); i++) {
        struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
        int fd = socket(i == 0 ? AF_INET : AF_INET6, SOCK_STREAM, 0);
        int bound = i == 0 ? bind(fd, (struct sockaddr *)&v4, sizeof(v4))
                           : bind(fd, (struct sockaddr *)&v6, sizeof(v6));
        if (fd < 0 || bound < 0) {
            print_message("no address family for %s here\n", texts[i]);
            continue;
        }
        struct cv_address address;
        struct cv_address again;
        const char *why;
        assert_int_equal(cv_address_of_socket(fd, &address), 0);
        assert_memory_equal(address.text, texts[i], strlen(texts[i]));
        assert_true(cv_address_parse(address.text, &again, &why));
        assert_true(cv_address_equal(&address, &again));
        close(fd);
    }
}

static void test_address_knows_loopback(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool is_loopback;
    } cases[] = {
        {"127.0.0.1:80", true},  {"127.9.8.7:80", true},         {"[::1]:80", true},
        {"128.0.0.1:80", false}, {"0.0.0.0:80", false},          {"[::]:80", false},
        {"[::2]:80", false},     {"unix:/tmp/127.0.0.1", false},
    };
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        struct cv_address address;
        const char *why;
        assert_true(cv_address_parse(cases[i].text, &address, &why));
        assert_int_equal(cv_address_is_loopback(&address), cases[i].is_loopback);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_address_knows_loopback),
        cmocka_unit_test(test_address_reads_what_users_write),
        cmocka_unit_test(test_address_refuses_everything_else),
        cmocka_unit_test(test_address_bounds_a_unix_path),
        cmocka_unit_test(test_address_compares_meanings_not_texts),
        cmocka_unit_test(test_address_of_a_socket_is_the_one_it_is_bound_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
