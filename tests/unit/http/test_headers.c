#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "http/headers.h"
#include "support/guard.h"

static void test_headers_accept_hosts(void **state) {
    static const char *const hosts[] = {
        "",
        "a",
        "localhost:8080",
        "www.Example.org",
        "a-b_c.d~e:",
        "a:0",
        "a:65535",
        "a:00080",
        "127.0.0.1:80",
        "999.1",
        "a!$&'()*+;=b",
        "%41%7e.org",
        "[::]",
        "[::1]:443",
        "[2001:db8::1]",
        "[::ffff:192.0.2.1]:1",
        "[1:2:3:4:5:6:7:8]",
        "[0000:0000:0000:0000:0000:ffff:255.255.255.255]",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        if (!cv_headers_is_host(cv_span_of(hosts[i])))
            fail_msg("%s", hosts[i]);
    }
}

static void test_headers_refuse_what_is_no_host(void **state) {
    static const struct cv_span others[] = {
        CV_SPAN(":"),
        CV_SPAN(":80"),
        CV_SPAN("a,b"),
        CV_SPAN("a, b"),
        CV_SPAN("a b"),
        CV_SPAN("a\tb"),
        CV_SPAN("u@a"),
        CV_SPAN("a/"),
        CV_SPAN("a?b"),
        CV_SPAN("a#b"),
        CV_SPAN("a\\b"),
        CV_SPAN("\"a\""),
        CV_SPAN("<a>"),
        CV_SPAN("a\0"),
        CV_SPAN("a\xa0"),
        CV_SPAN("\xc3\xa9.org"),
        CV_SPAN("a:65536"),
        CV_SPAN("a:99999"),
        CV_SPAN("a:000080"),
        CV_SPAN("a:8o"),
        CV_SPAN("a:-1"),
        CV_SPAN("a:+1"),
        CV_SPAN("a:80:80"),
        CV_SPAN("a: 80"),
        CV_SPAN("a::80"),
        CV_SPAN("::1"),
        CV_SPAN("%"),
        CV_SPAN("a%4"),
        CV_SPAN("a%zz"),
        CV_SPAN("%4"),
        CV_SPAN("["),
        CV_SPAN("[]"),
        CV_SPAN("[::1"),
        CV_SPAN("::1]"),
        CV_SPAN("[::1]a"),
        CV_SPAN("[::1]80"),
        CV_SPAN("[:::1]"),
        CV_SPAN("[1::2::3]"),
        CV_SPAN("[a]"),
        CV_SPAN("[127.0.0.1]"),
        CV_SPAN("[fe80::1%25eth0]"),
        CV_SPAN("[v1.a]"),
        CV_SPAN("[::1]:65536"),
        CV_SPAN("a[::1]"),
        CV_SPAN("[::1\0]"),
        CV_SPAN("[[::1]]"),
        CV_SPAN("{a}"),
        CV_SPAN("a|b"),
        CV_SPAN("a^b"),
        CV_SPAN("a`b"),
        CV_SPAN("[0000:0000:0000:0000:0000:ffff:255.255.255.2555]"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (cv_headers_is_host(others[i]))
            fail_msg("%s", others[i].data);
    }
}

static void test_headers_walk_lists(void **state) {
    static const struct {
        const char *list;
        const char *members[4];
    } cases[] = {
        {"", {NULL}},
        {" , ,\t,", {NULL}},
        {"a", {"a"}},
        {"a,b", {"a", "b"}},
        {" a b ,\t c,,d ", {"a b", "c", "d"}},
        {"a,", {"a"}},
        {"x=\"1,2\", y", {"x=\"1,2\"", "y"}},
        {"\"a\\\",b\",c", {"\"a\\\",b\"", "c"}},
        {"a,\"b,c", {"a", "\"b,c"}},
        {"\"\\", {"\"\\"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cv_span rest = cv_span_of(cases[i].list);
        struct cv_span member;

        for (size_t k = 0; cases[i].members[k] != NULL; k++) {
            assert_true(cv_headers_next_member(&rest, &member));
            assert_true(cv_span_equal(member, cv_span_of(cases[i].members[k])));
        }
        assert_false(cv_headers_next_member(&rest, &member));
    }
    assert_true(cv_headers_list_has(CV_SPAN("a, Keep-Alive"), CV_SPAN("keep-alive")));
    assert_false(
        cv_headers_list_has(CV_SPAN("keep-alives, \"keep-alive\""), CV_SPAN("keep-alive")));
}

static void test_headers_find_cookies(void **state) {
    static const struct {
        const char *cookie, *name, *value;  // NULL: not there.
    } cases[] = {
        {"a=1", "a", "1"},        {"a=1; b=2", "b", "2"},    {"a=1;b=2", "b", "2"},
        {"a=1; a=2", "a", "1"},   {"a=\"1 2\"", "a", "1 2"}, {"a=\"", "a", "\""},
        {"a=\"1", "a", "\"1"},    {"a=b=c", "a", "b=c"},     {"a=", "a", ""},
        {"; ;a = 1 ;", "a", "1"}, {"ab=1", "a", NULL},       {"b=a; c=a=1", "a", NULL},
        {"A=1", "a", NULL},       {"a", "a", NULL},          {"", "a", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cv_span value;
        bool found =
            cv_headers_cookie(cv_span_of(cases[i].cookie), cv_span_of(cases[i].name), &value);

        assert_int_equal(found, cases[i].value != NULL);
        if (found)
            assert_true(cv_span_equal(value, cv_span_of(cases[i].value)));
    }
}

static void test_headers_keep_an_application_from_splitting_a_response(void **state) {
    static const struct {
        struct cv_span text;
        bool token, value;
    } cases[] = {
        {CV_SPAN(""), false, true},
        {CV_SPAN("X-Name"), true, true},
        {CV_SPAN("a b"), false, true},
        {CV_SPAN("a:"), false, true},
        {CV_SPAN("\x80"), false, true},
        {CV_SPAN("a\tb"), false, true},
        {CV_SPAN(" a"), false, false},
        {CV_SPAN("a\t"), false, false},
        {CV_SPAN("a\r\nSet-Cookie: b"), false, false},
        {CV_SPAN("a\nb"), false, false},
        {CV_SPAN("a\rb"), false, false},
        {CV_SPAN("a\0"), false, false},
        {CV_SPAN("\x7f"), false, false},
        {CV_SPAN("\x1b[m"), false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(cv_headers_is_token(cases[i].text), cases[i].token);
        assert_int_equal(cv_headers_is_value(cases[i].text), cases[i].value);
    }
}

static void test_headers_see_a_control_byte_wherever_it_stands(void **state) {
    char text[20];

    (void)state;
    for (size_t length = 3; length <= sizeof(text); length++) {
        for (size_t at = 1; at + 1 < length; at++) {
            for (unsigned byte = 0; byte < 256; byte++) {
                bool control = (byte < 0x20 && byte != '\t') || byte == 0x7f;

                memset(text, 0x80, sizeof(text));
                text[at] = (char)byte;
                assert_int_equal(cv_headers_is_value(cv_span_make(text, length)), !control);
            }
        }
    }
}

// Where the next page begins, and elsewhere, in memory that ends there.
static void test_headers_measure_a_value_up_to_its_nul(void **state) {
    struct t_guard guard = t_guard_create();

    (void)state;
    for (size_t length = 0; length <= 40; length++) {
        for (size_t behind = 0; behind < 40; behind++) {
            char text[96];

            memset(text, 'x', sizeof(text));
            text[length] = '\0';
            const char *place = t_guard_at_end(guard, text, length + 1 + behind);
            assert_true(cv_headers_value_length(place) == length);
        }
    }
    t_guard_destroy(guard);
}

static void test_headers_measure_no_wrong_value(void **state) {
    static const char *const right[] = {"",    "a", "a b", "a\tb", "text/plain; charset=utf-8",
                                        "\x80"};
    static const char *const wrong[] = {" ",
                                        " a",
                                        "a ",
                                        "\ta",
                                        "a\t",
                                        "a\r\nb",
                                        "\x7f",
                                        "text/plain; charset=utf-8\n",
                                        "text/plain; charset=utf-8 "};

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(right); i++)
        assert_true(cv_headers_value_length(right[i]) == strlen(right[i]));
    for (size_t i = 0; i < CV_ARRAY_COUNT(wrong); i++)
        assert_true(cv_headers_value_length(wrong[i]) == SIZE_MAX);
}

static void test_headers_find_the_first_field_of_a_name(void **state) {
    static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\nAccept: b\r\naccept: c\r\n\r\n";
    const struct cv_parser_limits limits = {4096, 4096, 10};
    struct cv_parser_head head;
    struct cv_span value;

    (void)state;
    assert_int_equal(cv_parser_feed(text, sizeof(text) - 1, &limits, &head), CV_PARSER_DONE);
    assert_true(cv_headers_find(&head, text, CV_SPAN("ACCEPT"), &value));
    assert_true(cv_span_equal(value, CV_SPAN("b")));
    assert_false(cv_headers_find(&head, text, CV_SPAN("Accep"), &value));
    assert_false(cv_headers_find(&head, text, CV_SPAN(""), &value));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers_accept_hosts),
        cmocka_unit_test(test_headers_refuse_what_is_no_host),
        cmocka_unit_test(test_headers_walk_lists),
        cmocka_unit_test(test_headers_find_cookies),
        cmocka_unit_test(test_headers_keep_an_application_from_splitting_a_response),
        cmocka_unit_test(test_headers_see_a_control_byte_wherever_it_stands),
        cmocka_unit_test(test_headers_measure_a_value_up_to_its_nul),
        cmocka_unit_test(test_headers_measure_no_wrong_value),
        cmocka_unit_test(test_headers_find_the_first_field_of_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
