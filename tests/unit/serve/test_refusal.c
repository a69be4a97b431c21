// Answers to what is not accepted: their bytes, their counters, and the end of the connection.
#include "serve/refusal.h"

#include <stdlib.h>

#include "mem/guard.h"
#include "support/serve_world.h"

static struct t_serve serve;
static struct t_world *const world = &serve.world;
static bool acquire_fails;

// In debug mode every block of a pool comes from here.
void *__real_cv_guard_acquire(struct cv_guard *guard, size_t bytes);
void *__wrap_cv_guard_acquire(struct cv_guard *guard, size_t bytes);

void *__wrap_cv_guard_acquire(struct cv_guard *guard, size_t bytes) {
    return acquire_fails ? NULL : __real_cv_guard_acquire(guard, bytes);
}

static int set_up(void **state) {
    (void)state;
    assert_int_equal(setenv("COVET_MEMORY", "debug", 1), 0);
    acquire_fails = false;
    t_serve_init(&serve);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    acquire_fails = false;
    t_serve_deinit(&serve);
    return 0;
}

static const struct {
    uint16_t status;
    const char *reason;
    const char *answer;
    bool lingers;
} cases[] = {
    {400, "because",
     "HTTP/1.1 400 Bad Request\r\nContent-Length: 25\r\nContent-Type: text/plain\r\n" T_DATE
     "Connection: close\r\n\r\n400 Bad Request: because\n",
     true},
    {408, "slow",
     "HTTP/1.1 408 Request Timeout\r\nContent-Length: 26\r\nContent-Type: text/plain\r\n" T_DATE
     "Connection: close\r\n\r\n408 Request Timeout: slow\n",
     false},
    {503, "full",
     "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 30\r\nContent-Type: text/plain\r\n" T_DATE
     "Connection: close\r\nRetry-After: 1\r\n\r\n503 Service Unavailable: full\n",
     true},
};

static void test_refusal_answers_and_ends_the_connection(void **state) {
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        struct cv_refusal refusal = {cases[i].status, cases[i].reason, COVET_COUNTER_CLOSED_ERROR,
                                     NULL, NULL};
        uint64_t requests = t_counter(world, COVET_COUNTER_REQUESTS);
        int client = t_world_open(world);
        cv_refusal_send(t_world_conn(world, client), &refusal);
        t_world_settle(world);
        assert_string_equal(t_serve_output(&serve, client), cases[i].answer);
        assert_int_equal(t_serve_is_open(&serve, client), cases[i].lingers);
        assert_int_equal(t_counter(world, COVET_COUNTER_REQUESTS), requests + 1);
        t_client_end(world->ring, client);
        t_world_settle(world);
        assert_int_equal(t_counter(world, COVET_COUNTER_CLOSED_ERROR), i + 1);
    }
    assert_int_equal(t_counter(world, COVET_COUNTER_RESPONSES_4XX), 2);
    assert_int_equal(t_counter(world, COVET_COUNTER_RESPONSES_5XX), 1);
}

static void test_refusal_sends_no_body_to_head(void **state) {
    struct cv_parser_head head = {.method = CV_METHOD_HEAD};
    struct cv_refusal refusal = {413, "too much", COVET_COUNTER_CLOSED_ERROR, &head, ""};
    (void)state;
    int client = t_world_open(world);
    cv_refusal_send(t_world_conn(world, client), &refusal);
    t_world_settle(world);
    const char *output = t_serve_output(&serve, client);
    assert_int_equal(t_count(output, "Content-Length: 0"), 0);
    assert_string_equal(output + strlen(output) - 4, "\r\n\r\n");
}

static void test_refusal_without_memory_closes(void **state) {
    struct cv_refusal refusal = {400, "x", COVET_COUNTER_CLOSED_ERROR, NULL, NULL};
    (void)state;
    int client = t_world_open(world);
    acquire_fails = true;
    cv_refusal_send(t_world_conn(world, client), &refusal);
    acquire_fails = false;
    assert_false(t_serve_is_open(&serve, client));
    assert_int_equal(t_counter(world, COVET_COUNTER_CLOSED_ERROR), 1);
    assert_int_equal(t_counter(world, COVET_COUNTER_REQUESTS), 0);
}

static void test_refusal_of_every_kind_has_a_counter_and_fits(void **state) {
    (void)state;
    for (int kind = CV_PARSER_OK + 1; kind < CV_PARSER_REFUSAL_COUNT; kind++) {
        enum covet_counter counter = cv_refusal_counter((enum cv_parser_refusal)kind);
        assert_in_range(counter, COVET_COUNTER_PARSE_REQUEST_LINE, COVET_COUNTER_PARSE_LIMIT);
        struct cv_refusal refusal = {
            .status = cv_parser_status((enum cv_parser_refusal)kind),
            .reason = cv_parser_reason((enum cv_parser_refusal)kind),
            .counter = COVET_COUNTER_CLOSED_ERROR,
        };
        int client = t_world_open(world);
        cv_refusal_send(t_world_conn(world, client), &refusal);
        t_world_settle(world);
        assert_int_equal(t_count(t_serve_output(&serve, client), refusal.reason), 1);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_refusal_answers_and_ends_the_connection),
        TEST(test_refusal_sends_no_body_to_head),
        TEST(test_refusal_without_memory_closes),
        TEST(test_refusal_of_every_kind_has_a_counter_and_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
