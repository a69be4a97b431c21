#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "http/head.h"

#define DATE "Sun, 06 Nov 1994 08:49:37 GMT"

static const struct {
    const char *name;
    struct cv_head head;
    const char *expected;
} cases[] = {
    {"hello",
     {.status = 200,
      .content_type = CV_SPAN("text/plain"),
      .date = CV_SPAN(DATE),
      .content_length = 13},
     "HTTP/1.1 200 OK\r\nContent-Length: 13\r\nContent-Type: text/plain\r\nDate: " DATE "\r\n\r\n"},
    {"everything",
     {.status = 404,
      .content_type = CV_SPAN("a/b"),
      .date = CV_SPAN(DATE),
      .fields = CV_SPAN("X: y\r\nSet-Cookie: z\r\n"),
      .body = CV_HEAD_CHUNKED,
      .close = true},
     "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\nContent-Type: a/b\r\nDate: " DATE
     "\r\nConnection: close\r\nX: y\r\nSet-Cookie: z\r\n\r\n"},
    {"keep-alive",
     {.status = 200, .keep_alive = true},
     "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n"},
    {"close wins",
     {.status = 200, .keep_alive = true, .close = true},
     "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
    {"interim", {.status = 100, .body = CV_HEAD_NONE}, "HTTP/1.1 100 Continue\r\n\r\n"},
    {"no content",
     {.status = 204, .date = CV_SPAN(DATE), .body = CV_HEAD_NONE},
     "HTTP/1.1 204 No Content\r\nDate: " DATE "\r\n\r\n"},
    {"unregistered", {.status = 299, .body = CV_HEAD_NONE}, "HTTP/1.1 299 Unknown\r\n\r\n"},
    {"beyond the table", {.status = 999, .body = CV_HEAD_NONE}, "HTTP/1.1 999 Unknown\r\n\r\n"},
    {"largest length",
     {.status = 200, .content_length = UINT64_MAX},
     "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n"},
};

static void test_head_writes_exactly_these_bytes(void **state) {
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        size_t bytes_max = cv_head_bytes_max(&cases[i].head);
        char *out = malloc(bytes_max);

        assert_non_null(out);
        size_t length = cv_head_write(out, &cases[i].head);
        assert_true(length <= bytes_max);
        if (length != strlen(cases[i].expected) || memcmp(out, cases[i].expected, length) != 0)
            fail_msg("%s: %.*s", cases[i].name, (int)length, out);
        free(out);
    }
}

static void test_head_writes_lengths_of_any_number_of_digits(void **state) {
    char out[CV_HEAD_FIXED_BYTES_MAX];
    char expected[CV_HEAD_FIXED_BYTES_MAX];

    (void)state;
    for (uint64_t power = 1; power <= UINT64_MAX / 10; power *= 10) {
        for (int step = -1; step <= 1; step++) {
            struct cv_head head = {.status = 200, .content_length = power + (uint64_t)step};
            size_t length = cv_head_write(out, &head);

            snprintf(expected, sizeof(expected), "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n\r\n",
                     (unsigned long long)head.content_length);
            assert_int_equal(length, strlen(expected));
            assert_memory_equal(out, expected, length);
        }
    }
}

static void test_head_stays_within_its_bound_for_every_status(void **state) {
    char out[CV_HEAD_FIXED_BYTES_MAX + 100];

    (void)state;
    for (uint16_t status = 100; status <= 999; status++) {
        struct cv_head head = {
            .status = status,
            .content_type = CV_SPAN("t"),
            .date = CV_SPAN(DATE),
            .content_length = UINT64_MAX,
            .keep_alive = true,
        };
        struct cv_span reason = cv_head_reason(status);
        char line[64];

        memset(out, '?', sizeof(out));
        size_t length = cv_head_write(out, &head);
        assert_true(length <= cv_head_bytes_max(&head));
        assert_int_equal(out[length], '?');
        int line_bytes = snprintf(line, sizeof(line), "HTTP/1.1 %u %.*s\r\n", status,
                                  (int)reason.length, reason.data);
        assert_memory_equal(out, line, (size_t)line_bytes);
    }
}

static void test_head_puts_the_usual_as_it_writes_it(void **state) {
    static const char date_line[] = "\r\nDate: " DATE "\r\n\r\n";
    static const char type[] = "text/plain; charset=utf-8; and=so on";

    (void)state;
    assert_int_equal(sizeof(date_line) - 1, CV_HEAD_DATE_LINE_BYTES);
    for (size_t type_bytes = 1; type_bytes < sizeof(type); type_bytes++) {
        for (uint64_t length = 0; length <= CV_HEAD_USUAL_LENGTH_MAX; length += length / 7 + 1) {
            struct cv_head head = {
                .status = 200,
                .content_type = cv_span_make(type, type_bytes),
                .date = CV_SPAN(DATE),
                .content_length = length,
            };
            char expected[CV_HEAD_FIXED_BYTES_MAX + sizeof(type)];
            size_t bytes_max = CV_HEAD_USUAL_BYTES_MAX + type_bytes;
            char *out = malloc(bytes_max);

            assert_non_null(out);
            size_t bytes = cv_head_write(expected, &head);
            char *end = cv_head_put_usual(out, length, head.content_type, date_line);
            assert_true(bytes <= bytes_max);
            assert_int_equal(end - out, bytes);
            assert_memory_equal(out, expected, bytes);
            free(out);
        }
    }
}

static void test_head_knows_reasons_and_which_status_has_a_body(void **state) {
    static const struct {
        const char *reason;
        uint16_t status;
        bool body;
    } statuses[] = {
        {"Continue", 100, false},
        {"Switching Protocols", 101, false},
        {"Unknown", 199, false},
        {"OK", 200, true},
        {"No Content", 204, false},
        {"Reset Content", 205, true},
        {"Partial Content", 206, true},
        {"Not Modified", 304, false},
        {"Not Found", 404, true},
        {"Unknown", 418, true},
        {"Request Header Fields Too Large", 431, true},
        {"Network Authentication Required", 511, true},
        {"Unknown", 512, true},
    };

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(statuses); i++) {
        assert_true(
            cv_span_equal(cv_head_reason(statuses[i].status), cv_span_of(statuses[i].reason)));
        assert_int_equal(cv_head_allows_body(statuses[i].status), statuses[i].body);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head_writes_exactly_these_bytes),
        cmocka_unit_test(test_head_writes_lengths_of_any_number_of_digits),
        cmocka_unit_test(test_head_stays_within_its_bound_for_every_status),
        cmocka_unit_test(test_head_puts_the_usual_as_it_writes_it),
        cmocka_unit_test(test_head_knows_reasons_and_which_status_has_a_body),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
