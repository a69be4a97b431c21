#include "../app/recorder.h"

#include "demo/demo.h"

static int setup(void **state) {
    struct t_fixture *fixture = malloc(sizeof(*fixture));

    t_open_fixture(fixture, cv_demo_init);
    *state = fixture;
    return 0;
}

static int teardown(void **state) {
    t_close_fixture(*state);
    free(*state);
    return 0;
}

static void test_demo_answers_its_routes(void **state) {
    static const struct {
        const char *line;
        int status;
        const char *type, *body;
    } cases[] = {
        {"GET /", 200, "text/plain", "Hello, World!"},
        {"GET /?x=1", 200, "text/plain", "Hello, World!"},
        {"GET /api/json", 200, "application/json", "{\"message\":\"Hello, World!\"}"},
        {"GET /healthz", 200, "text/plain", "ok"},
        {"GET /api/users/42", 200, "application/json", "{\"id\":\"42\"}"},
        {"GET /api/users/42/posts/7/comments", 200, "application/json",
         "{\"id\":\"42\",\"post\":\"7\",\"comments\":[]}"},
        // What a path may hold, JSON must not be broken by.
        {"GET /api/users/a%22b%5C", 400, "text/plain", "400 Bad Request\n"},
        {"GET /api/users/a%22b", 200, "application/json", "{\"id\":\"a\\\"b\"}"},
        {"GET /api/users/%0A%01%1F%7F", 200, "application/json",
         "{\"id\":\"\\n\\u0001\\u001f\x7f\"}"},
        {"GET /api/users/%22%22/posts/%0D%22/comments", 200, "application/json",
         "{\"id\":\"\\\"\\\"\",\"post\":\"\\r\\\"\",\"comments\":[]}"},
        {"GET /api/users/J%C3%B6rg%F0%9F%98%80", 200, "application/json",
         "{\"id\":\"J\xc3\xb6rg\xf0\x9f\x98\x80\"}"},
        {"GET /api/users/%3C/script%3E", 404, "text/plain", "404 Not Found\n"},
        {"GET /api/users/", 404, "text/plain", "404 Not Found\n"},
        {"GET /echo", 405, "text/plain", "405 Method Not Allowed\n"},
    };
    struct t_fixture *fixture = *state;

    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        struct t_exchange *exchange = t_run(fixture->worker, cases[i].line, "", "");

        if (exchange->status != cases[i].status || strcmp(exchange->type, cases[i].type) != 0 ||
            strcmp(exchange->body, cases[i].body) != 0)
            fail_msg("%s: %d %s %s", cases[i].line, exchange->status, exchange->type,
                     exchange->body);
        t_close(exchange);
    }
}

static void test_demo_escapes_the_longest_parameters(void **state) {
    struct t_fixture *fixture = *state;
    char line[3 * 4000 + 128], *at = line;
    struct t_exchange *exchange;

    at += sprintf(at, "GET /api/users/");
    for (int i = 0; i < 2000; i++)
        at += sprintf(at, "%%01");
    at += sprintf(at, "/posts/");
    for (int i = 0; i < 2000; i++)
        at += sprintf(at, "%%1f");
    sprintf(at, "/comments");
    exchange = t_run(fixture->worker, line, "", "");
    assert_int_equal(exchange->status, 200);
    assert_int_equal(exchange->body_bytes,
                     4000 * 6 + strlen("{\"id\":\"\",\"post\":\"\",\"comments\":[]}"));
    t_close(exchange);
}

static void test_demo_echoes_a_body_with_its_type(void **state) {
    struct t_fixture *fixture = *state;
    struct t_exchange *exchange = t_run(fixture->worker, "POST /echo",
                                        "Content-Type: text/x-own\r\nContent-Length: 3\r\n", "abc");

    assert_string_equal(exchange->type, "text/x-own");
    assert_string_equal(exchange->body, "abc");
    t_close(exchange);
    exchange = t_run(fixture->worker, "POST /echo", "Content-Length: 3\r\n", "abc");
    assert_string_equal(exchange->type, "application/octet-stream");
    t_close(exchange);
    exchange = t_run(fixture->worker, "POST /echo", "", "");
    assert_int_equal(exchange->status, 200);
    assert_int_equal(exchange->content_length, 0);
    t_close(exchange);
}

static void test_demo_shows_metrics(void **state) {
    struct t_fixture *fixture = *state;
    struct cv_stats stats;
    struct t_exchange *exchange;

    assert_int_equal(cv_stats_create(&stats, NULL, 1), 0);
    fixture->hosts[0].env.all_stats = &stats;
    exchange = t_get(fixture->worker, "/metrics");
    assert_int_equal(exchange->status, 200);
    assert_string_equal(exchange->type,
                        "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert_non_null(strstr(exchange->body, "covet_requests_total"));
    assert_string_equal(exchange->body + exchange->body_bytes - 6, "# EOF\n");
    assert_int_equal(cv_pool_live_bytes(&fixture->hosts[0].pool), 0);
    t_close(exchange);
    cv_stats_close(&stats);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_demo_answers_its_routes),
        cmocka_unit_test(test_demo_escapes_the_longest_parameters),
        cmocka_unit_test(test_demo_echoes_a_body_with_its_type),
        cmocka_unit_test(test_demo_shows_metrics),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
