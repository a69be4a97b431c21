// URLs: what is taken from them, what is refused and why; addresses.
#include "load/target.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_target_takes_urls_apart(void **state) {
    static const struct {
        const char *url, *name, *port, *host, *path;
    } cases[] = {
        {"http://example.org", "example.org", "80", "example.org", "/"},
        {"HTTP://Example.org/", "Example.org", "80", "Example.org", "/"},
        {"http://127.0.0.1:8000/a/b?c=d", "127.0.0.1", "8000", "127.0.0.1:8000", "/a/b?c=d"},
        {"http://h:80/x", "h", "80", "h", "/x"},
        {"http://h:080/x", "h", "80", "h", "/x"},
        {"http://h:/x", "h", "80", "h", "/x"},
        {"http://h:65535", "h", "65535", "h:65535", "/"},
        {"http://h?a", "h", "80", "h", "/?a"},
        {"http://h:81?a/b", "h", "81", "h:81", "/?a/b"},
        {"http://[::1]/", "::1", "80", "[::1]", "/"},
        {"http://[::1]:8080", "::1", "8080", "[::1]:8080", "/"},
        {"http://[::1]:8080/[x]:9", "::1", "8080", "[::1]:8080", "/[x]:9"},
        {"http://h/http://i/", "h", "80", "h", "/http://i/"},
        {"http://h//", "h", "80", "h", "//"},
        {"unix:/run/x", "", "", "localhost", "/"},
        {"unix:/run/x:/p:/q", "", "", "localhost", "/p:/q"},
        {"unix:x:y:/", "", "", "localhost", "/"},
    };
    struct load_target target;
    const char *why = NULL;
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(load_target_parse(&target, cases[i].url, &why), 0);
        assert_string_equal(target.name, cases[i].name);
        assert_string_equal(target.port, cases[i].port);
        assert_string_equal(target.host, cases[i].host);
        assert_string_equal(target.path, cases[i].path);
        load_target_deinit(&target);
    }
}

static void test_target_refuses_what_it_cannot_load(void **state) {
    static const struct {
        const char *url, *reason;
    } cases[] = {
        {"", "neither http:// nor unix:"},
        {"127.0.0.1:8000/", "neither http:// nor unix:"},
        {"localhost", "neither http:// nor unix:"},
        {"ftp://h/", "neither http:// nor unix:"},
        {"https://h/", "https:// is not spoken here"},
        {"HTTPS://h/", "https:// is not spoken here"},
        {"http://", "'' is no host"},
        {"http:///x", "'' is no host"},
        {"http://:80/", "':80' is no host"},
        {"http://h:0/", "'h:0' is no host, or its port is none"},
        {"http://h:65536/", "'h:65536' is no host, or its port is none"},
        {"http://h:8o/", "'h:8o' is no host"},
        {"http://h:1:2/", "'h:1:2' is no host"},
        {"http://::1/", "'::1' is no host"},
        {"http://[::1/", "'[::1' is no host"},
        {"http://[::1]80/", "'[::1]80' is no host"},
        {"http://[127.0.0.1]/", "is no host"},
        {"http://[fe80::1%25eth0]/", "is no host"},
        {"http://a b/", "'a b' is no host"},
        {"http://user@h/", "names a user"},
        {"http://user:secret@h/", "names a user"},
        {"unix:", "names no socket"},
        {"unix::/x", "names no socket"},
    };
    struct load_target target;
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *why = NULL;
        assert_int_equal(load_target_parse(&target, cases[i].url, &why), -EINVAL);
        if (strstr(why, cases[i].reason) == NULL) {
            fail_msg("%s: '%s' instead of '%s'", cases[i].url, why, cases[i].reason);
        }
    }
}

static void test_target_names_have_a_longest_one(void **state) {
    char url[400] = "http://";
    struct load_target target;
    const char *why;
    (void)state;
    memset(url + 7, 'a', 255);
    assert_int_equal(load_target_parse(&target, url, &why), 0);
    assert_int_equal(strlen(target.host), 255);
    load_target_deinit(&target);
    strcat(url, ":65535");
    assert_int_equal(load_target_parse(&target, url, &why), 0);
    assert_int_equal(strlen(target.host), 261);
    load_target_deinit(&target);
    memset(url + 7, 'a', 256);
    url[7 + 256] = '\0';
    assert_int_equal(load_target_parse(&target, url, &why), -EINVAL);
}

static void test_target_socket_paths_have_a_longest_one(void **state) {
    char url[200] = "unix:/";
    struct load_target target;
    const struct sockaddr_un *address = (const struct sockaddr_un *)&target.address;
    const char *why;
    (void)state;
    memset(url + 6, 'a', 106);
    assert_int_equal(load_target_parse(&target, url, &why), 0);
    assert_int_equal(address->sun_family, AF_UNIX);
    assert_string_equal(address->sun_path, url + 5);
    assert_int_equal(target.address_bytes, offsetof(struct sockaddr_un, sun_path) + 108);
    assert_int_equal(load_target_resolve(&target, &why), 0);
    load_target_deinit(&target);
    url[6 + 106] = 'a';
    assert_int_equal(load_target_parse(&target, url, &why), -EINVAL);
    assert_non_null(strstr(why, "at most 107 bytes"));
}

static void test_target_resolves_numbers_by_themselves(void **state) {
    struct load_target target;
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&target.address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&target.address;
    const char *why;
    (void)state;
    assert_int_equal(load_target_parse(&target, "http://192.0.2.7:8123/", &why), 0);
    assert_int_equal(load_target_resolve(&target, &why), 0);
    assert_int_equal(v4->sin_family, AF_INET);
    assert_int_equal(ntohs(v4->sin_port), 8123);
    assert_int_equal(ntohl(v4->sin_addr.s_addr), 0xc0000207);
    assert_int_equal(target.address_bytes, sizeof(*v4));
    load_target_deinit(&target);
    assert_int_equal(load_target_parse(&target, "http://[2001:db8::1]/", &why), 0);
    assert_int_equal(load_target_resolve(&target, &why), 0);
    assert_int_equal(v6->sin6_family, AF_INET6);
    assert_int_equal(ntohs(v6->sin6_port), 80);
    assert_int_equal(v6->sin6_addr.s6_addr[15], 1);
    load_target_deinit(&target);
}

static void test_target_chooses_the_address_that_somebody_listens_on(void **state) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
    socklen_t bytes = sizeof(address);
    struct load_target target;
    const struct sockaddr_in *found = (const struct sockaddr_in *)&target.address;
    char url[64];
    const char *why;
    (void)state;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &bytes), 0);
    // Where localhost has two addresses, ::1 is often the first.
    snprintf(url, sizeof(url), "http://localhost:%u/", ntohs(address.sin_port));
    assert_int_equal(load_target_parse(&target, url, &why), 0);
    assert_int_equal(load_target_resolve(&target, &why), 0);
    assert_int_equal(found->sin_family, AF_INET);
    assert_int_equal(found->sin_port, address.sin_port);
    load_target_deinit(&target);
    close(listener);
}

static void test_target_says_that_a_name_is_not_known(void **state) {
    struct load_target target;
    const char *why = NULL;
    (void)state;
    // A label of 64 bytes is none, so that no name server is asked.
    assert_int_equal(load_target_parse(&target,
                                       "http://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                                       "aaaaaaaaaaaa.invalid/",
                                       &why),
                     0);
    assert_int_equal(load_target_resolve(&target, &why), -ENOENT);
    assert_non_null(strstr(why, ".invalid' has no address: "));
    load_target_deinit(&target);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_target_takes_urls_apart),
        cmocka_unit_test(test_target_refuses_what_it_cannot_load),
        cmocka_unit_test(test_target_names_have_a_longest_one),
        cmocka_unit_test(test_target_socket_paths_have_a_longest_one),
        cmocka_unit_test(test_target_resolves_numbers_by_themselves),
        cmocka_unit_test(test_target_chooses_the_address_that_somebody_listens_on),
        cmocka_unit_test(test_target_says_that_a_name_is_not_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
