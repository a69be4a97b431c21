// Access-log lines: the format, and that no client can forge one.
#include "serve/access.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static char line[4096];
static size_t line_bytes;
static uint32_t line_count;

static void put(void *context, struct cv_span text) {
    assert_ptr_equal(context, line);
    assert_true(text.length < sizeof(line));
    memcpy(line, text.data, text.length);
    line[text.length] = '\0';
    line_bytes = text.length;
    line_count++;
}

static struct cv_access access_log;
static struct cv_clock clock_set;
static const struct cv_peer local = {CV_PEER_IPV4, 0, 80, {127, 0, 0, 1}};

static int set_up(void **state) {
    (void)state;
    access_log = (struct cv_access){.enabled = true, .put = put, .context = line};
    cv_clock_set(&clock_set, 1, 784111777);
    line_count = 0;
    return 0;
}

static void write_line(const char *text, uint16_t status, uint64_t bytes) {
    static const struct cv_parser_limits limits = {65535, 65535, CV_PARSER_FIELDS_MAX};
    static struct cv_parser_head head;
    assert_int_equal(cv_parser_feed(text, strlen(text), &limits, &head), CV_PARSER_DONE);
    cv_access_write(&access_log, &clock_set, &local, &head, text, status, bytes);
    assert_int_equal(line_count, 1);
    line_count = 0;
    assert_ptr_equal(memchr(line, '\n', line_bytes), line + line_bytes - 1);
}

static void test_access_writes_the_combined_format(void **state) {
    (void)state;
    write_line("GET /a?b=c HTTP/1.1\r\nHost: h\r\nReferer: http://r/\r\nUser-Agent: curl/8\r\n\r\n",
               200, 18446744073709551615u);
    assert_string_equal(line, "127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] \"GET /a?b=c HTTP/1.1\" "
                              "200 18446744073709551615 \"http://r/\" \"curl/8\"\n");
    cv_clock_set(&clock_set, 2, 784111778);
    write_line("HEAD / HTTP/1.0\r\n\r\n", 404, 0);
    assert_string_equal(line, "127.0.0.1 - - [06/Nov/1994:08:49:38 +0000] \"HEAD / HTTP/1.0\" "
                              "404 0 \"-\" \"-\"\n");
}

static void test_access_writes_what_was_not_understood(void **state) {
    (void)state;
    cv_access_write(&access_log, &clock_set, &local, NULL, NULL, 400, 17);
    assert_string_equal(line,
                        "127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] \"-\" 400 17 \"-\" \"-\"\n");
}

static void test_access_escapes_what_a_client_chose(void **state) {
    (void)state;
    write_line(
        "GET /x~ HTTP/1.1\r\nHost: h\r\nReferer: a\"b\\c\r\nUser-Agent: \xc3\xa9\x80\r\n\r\n", 200,
        1);
    assert_non_null(strstr(line, "\"a\\x22b\\x5cc\" \"\\xc3\\xa9\\x80\"\n"));
}

static void test_access_bounds_each_part(void **state) {
    static char text[40000];
    (void)state;
    size_t length = (size_t)snprintf(text, sizeof(text), "GET /");
    memset(text + length, '~', 9000);
    length += 9000;
    length += (size_t)snprintf(text + length, sizeof(text) - length,
                               " HTTP/1.1\r\nHost: h\r\nUser-Agent: ");
    memset(text + length, '\xff', 9000);
    length += 9000;
    length += (size_t)snprintf(text + length, sizeof(text) - length, "\r\nReferer: ");
    memset(text + length, 'r', 9000);
    length += 9000;
    (void)snprintf(text + length, sizeof(text) - length, "\r\n\r\n");
    write_line(text, 200, 1);
    assert_true(line_bytes <= CV_ACCESS_LINE_BYTES_MAX);
    assert_non_null(strstr(line, " HTTP/1.1\" 200 1 \""));
    assert_int_equal(line[line_bytes - 2], '"');
}

static void test_access_names_each_kind_of_peer(void **state) {
    static const struct {
        struct cv_peer peer;
        const char *text;
    } cases[] = {
        {{CV_PEER_IPV4, 0, 1, {192, 0, 2, 255}}, "192.0.2.255"},
        {{CV_PEER_IPV6, 0, 1, {0x20, 1, 0xd, 0xb8, [15] = 1}}, "2001:db8::1"},
        {{CV_PEER_IPV6, 0, 1, {[0 ... 15] = 0xff}}, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
        {{CV_PEER_UNIX, 0, 0, {0}}, "unix:"},
        {{CV_PEER_UNKNOWN, 0, 0, {0}}, "-"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char out[CV_ACCESS_PEER_BYTES];
        cv_access_format_peer(out, &cases[i].peer);
        assert_string_equal(out, cases[i].text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_access_writes_the_combined_format, set_up),
        cmocka_unit_test_setup(test_access_writes_what_was_not_understood, set_up),
        cmocka_unit_test_setup(test_access_escapes_what_a_client_chose, set_up),
        cmocka_unit_test_setup(test_access_bounds_each_part, set_up),
        cmocka_unit_test(test_access_names_each_kind_of_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
