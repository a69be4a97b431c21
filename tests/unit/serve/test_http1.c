// HTTP/1.1 connections as such: heads in any pieces, pipelines and their limits, deadlines,
// refusals, and what a drain does with each kind of connection.
#include "serve/http1.h"

#include "support/serve_world.h"

#define HELLO "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
#define HELLO_ANSWER \
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n" T_DATE "\r\nhello"

static struct t_serve serve;
static struct t_world *const world = &serve.world;

static int set_up(void **state) {
    (void)state;
    t_serve_init(&serve);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    t_serve_deinit(&serve);
    return 0;
}

static void send_many(int client, const char *text, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        t_client_send(world->ring, client, text, strlen(text));
    }
}

static struct t_socket *socket_of(int client) {
    return t_ring_at(world->ring, client);
}

static void test_http1_answers_a_deep_pipeline_in_order(void **state) {
    (void)state;
    int client = t_world_open(world);
    for (uint32_t i = 0; i < 1000; i++) {
        char request[64];
        snprintf(request, sizeof(request), "GET /bytes/%u HTTP/1.1\r\nHost: a\r\n\r\n", i);
        t_client_send(world->ring, client, request, strlen(request));
    }
    t_world_settle(world);
    assert_int_equal(t_app.handler_count, 1000);
    const char *at = t_serve_output(&serve, client);
    for (uint32_t i = 0; i < 1000; i++) {
        char begin[64];
        snprintf(begin, sizeof(begin), "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n", i);
        assert_int_equal(strncmp(at, begin, strlen(begin)), 0);
        at = strstr(at, "\r\n\r\n") + 4 + i;
    }
    assert_int_equal(*at, '\0');
}

// Leaves all it can behind, and says what it was met with.
static void handle_dirty(struct covet_request *request, struct covet_response *response) {
    bool is_clean =
        covet_request_user_data(request) == NULL && covet_response_get_status(response) == 200 &&
        covet_request_param(request, "name").length == 0 && covet_request_body(request).length == 0;
    covet_request_set_user_data(request, request);
    covet_request_on_abort(request, t_on_abort, NULL);
    covet_response_on_drain(response, t_on_drain, NULL);
    (void)covet_response_status(response, 418);
    (void)covet_response_header(response, "X-Clean", is_clean ? "yes" : "no");
    assert_non_null(covet_request_alloc(request, 5000));
    (void)covet_response_text(response, "dirty");
}

static void test_http1_shows_no_request_what_the_one_before_left(void **state) {
    static const char *const others[] = {
        "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", "GET /missing HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        "GET /bytes/9000 HTTP/1.1\r\nHost: a\r\n\r\n"};
    char text[4096] = "";
    (void)state;
    t_add_route(serve.app, COVET_GET, "/dirty", handle_dirty, 0);
    int client = t_world_open(world);
    for (uint32_t i = 0; i < 12; i++) {
        strcat(text, "GET /dirty HTTP/1.1\r\nHost: a\r\n\r\n");
        strcat(text, others[i % CV_ARRAY_COUNT(others)]);
    }
    t_serve_send(&serve, client, text);
    const char *output = t_serve_output(&serve, client);
    assert_int_equal(t_count(output, "HTTP/1.1 418 "), 12);
    assert_int_equal(t_count(output, "X-Clean: yes\r\n"), 12);
    assert_int_equal(t_count(output, "HTTP/1.1 200 OK\r\n"), 9);
    assert_int_equal(t_count(output, "HTTP/1.1 404 "), 3);
    assert_int_equal(t_count(output, "\r\n\r\nhello"), 3);
    assert_int_equal(t_count(output, "\r\n\r\nabc"), 6);  // Bytes of the request, and of memory.
    assert_int_equal(t_app.abort_count + t_app.drain_count, 0);
}

// One waits in the middle of a delivery, so its record is not the next one's.
static void test_http1_keeps_the_record_of_a_request_that_waits(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_serve_send(&serve, client, HELLO HELLO "GET /defer HTTP/1.1\r\nHost: a\r\n\r\n" HELLO HELLO);
    assert_int_equal(t_app.handler_count, 3);
    assert_int_equal(serve.http1.app->pins, 1);
    struct covet_request *kept = t_app.kept[0];
    assert_int_equal(covet_request_path(kept).length, 6);
    (void)covet_response_text(covet_request_response(kept), "late");
    t_world_settle(world);
    assert_int_equal(t_app.handler_count, 5);
    assert_int_equal(serve.http1.app->pins, 0);
    const char *output = t_serve_output(&serve, client);
    assert_int_equal(t_count(output, "\r\n\r\nhello"), 4);
    assert_int_equal(t_count(output, "\r\n\r\nlate"), 1);
}

static void test_http1_gives_others_their_turn_after_so_many_requests(void **state) {
    (void)state;
    world->limits.pipeline_max = 4;
    int client = t_world_open(world);
    send_many(client, HELLO, 30);
    t_world_turn(world);
    assert_in_range(t_app.handler_count, 1, 8);
    t_world_settle(world);
    assert_int_equal(t_app.handler_count, 30);
}

static void test_http1_stops_answering_a_client_that_does_not_read(void **state) {
    (void)state;
    world->limits.output_bytes_max = 100000;
    int client = t_world_open(world);
    socket_of(client)->window = 0;
    send_many(client, "GET /bytes/30000 HTTP/1.1\r\nHost: a\r\n\r\n", 50);
    t_world_settle(world);
    uint32_t answered = t_app.handler_count;
    assert_in_range(answered, 3, 5);
    // Some room is not enough, half of the limit is.
    socket_of(client)->window = 10000;
    t_world_settle(world);
    assert_int_equal(t_app.handler_count, answered);
    socket_of(client)->window = SIZE_MAX;
    t_world_settle(world);
    assert_int_equal(t_app.handler_count, 50);
    assert_int_equal(t_count(t_serve_output(&serve, client), "HTTP/1.1 200 OK"), 50);
}

static void test_http1_holds_nothing_between_requests(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_serve_send(&serve, client, HELLO);
    t_world_settle(world);  // The next turn, whatever wakes the worker.
    assert_int_equal(cv_pool_live_bytes(&world->pool), 0);
    assert_null(t_world_conn(world, client)->active);
    assert_null(t_world_conn(world, client)->protocol);
}

static const struct {
    const char *name;
    const char *head;
    const char *status;
    enum covet_counter counter;
} refused[] = {
    {"no method", " / HTTP/1.1\r\nHost: a\r\n\r\n", "400", COVET_COUNTER_PARSE_REQUEST_LINE},
    {"a version of its own", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505",
     COVET_COUNTER_PARSE_VERSION},
    {"no host", "GET / HTTP/1.1\r\n\r\n", "400", COVET_COUNTER_PARSE_HOST},
    {"space before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400",
     COVET_COUNTER_PARSE_FIELD},
    {"two lengths", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
     "400", COVET_COUNTER_PARSE_FRAMING},
    {"length and chunked",
     "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "400",
     COVET_COUNTER_PARSE_FRAMING},
    {"a coding unknown", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
     "501", COVET_COUNTER_PARSE_FRAMING},
};

static void test_http1_refuses_what_it_does_not_understand_and_reads_no_further(void **state) {
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(refused); i++) {
        int client = t_world_open(world);
        uint64_t before = t_counter(world, refused[i].counter);
        uint64_t closed = t_counter(world, COVET_COUNTER_CLOSED_ERROR);
        char begin[32];
        snprintf(begin, sizeof(begin), "HTTP/1.1 %s ", refused[i].status);
        t_client_send(world->ring, client, refused[i].head, strlen(refused[i].head));
        send_many(client, HELLO, 3);
        t_world_settle(world);
        const char *output = t_serve_output(&serve, client);
        if (strncmp(output, begin, strlen(begin)) != 0) {
            fail_msg("%s: %s", refused[i].name, output);
        }
        assert_int_equal(t_count(output, "HTTP/1.1 "), 1);
        assert_int_equal(t_count(output, "Connection: close\r\n"), 1);
        assert_true(socket_of(client)->is_shut);
        assert_int_equal(t_counter(world, refused[i].counter), before + 1);
        t_client_end(world->ring, client);
        t_world_settle(world);
        assert_int_equal(t_counter(world, COVET_COUNTER_CLOSED_ERROR), closed + 1);
        t_world_assert_empty(world);
    }
    assert_int_equal(t_app.handler_count, 0);
}

static void test_http1_answers_what_came_before_a_refused_head(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_serve_send(&serve, client, HELLO HELLO "BAD\r\n\r\n" HELLO);
    const char *output = t_serve_output(&serve, client);
    assert_int_equal(t_count(output, "HTTP/1.1 200 "), 2);
    assert_int_equal(t_count(output, "HTTP/1.1 400 "), 1);
    assert_int_equal(t_app.handler_count, 2);
}

static void test_http1_says_nothing_to_half_a_head_and_a_fin(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_serve_send(&serve, client, "GET /hello HTTP/1.1\r\nHo");
    t_client_end(world->ring, client);
    t_world_settle(world);
    assert_string_equal(t_serve_output(&serve, client), "");
    assert_int_equal(t_counter(world, COVET_COUNTER_CLOSED_CLIENT), 1);
    t_world_assert_empty(world);
}

static void test_http1_times_a_head_from_its_first_byte(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_serve_send(&serve, client, HELLO);
    t_world_wait(world, 30000);
    // A byte now and then does not put the end off.
    static const char head[] = "GET /hello";
    for (int i = 0; i < 9; i++) {
        t_client_send(world->ring, client, &head[i], 1);
        t_world_settle(world);
        t_world_wait(world, 1100);
        assert_true(t_serve_is_open(&serve, client));
    }
    t_serve_forget_output(&serve, client);
    t_world_wait(world, 300);
    assert_int_equal(t_count(t_serve_output(&serve, client), "HTTP/1.1 408 "), 1);
    assert_false(t_serve_is_open(&serve, client));
    assert_int_equal(t_counter(world, COVET_COUNTER_CLOSED_HEADER), 1);
}

static void test_http1_answers_heads_in_single_bytes_and_in_any_two_pieces(void **state) {
    (void)state;
    static const char two[] = HELLO "GET /hello?a=b HTTP/1.1\r\nX: y\r\nHost: a\r\n\r\n";
    int client = t_world_open(world);
    for (size_t i = 0; i < strlen(two); i++) {
        t_client_send(world->ring, client, &two[i], 1);
        t_world_settle(world);
    }
    assert_string_equal(t_serve_output(&serve, client), HELLO_ANSWER HELLO_ANSWER);
    for (size_t cut = 0; cut <= strlen(two); cut++) {
        t_serve_forget_output(&serve, client);
        t_client_send(world->ring, client, two, cut);
        t_world_settle(world);
        t_serve_send(&serve, client, two + cut);
        assert_string_equal(t_serve_output(&serve, client), HELLO_ANSWER HELLO_ANSWER);
    }
    // Nothing of it is held between requests.
    assert_int_equal(cv_pool_live_bytes(&world->pool), 0);
}

static void test_http1_refuses_a_head_in_single_bytes_with_its_first_wrong_one(void **state) {
    (void)state;
    static const char wrong[] = "GET /hello HTTP/1.1\r\nHost: a\r\nX :";
    int client = t_world_open(world);
    for (size_t i = 0; i + 2 < strlen(wrong); i++) {
        t_client_send(world->ring, client, &wrong[i], 1);
        t_world_settle(world);
    }
    assert_string_equal(t_serve_output(&serve, client), "");
    t_serve_send(&serve, client, " ");
    assert_int_equal(t_count(t_serve_output(&serve, client), "HTTP/1.1 400 "), 1);
    t_client_end(world->ring, client);
    t_world_settle(world);
    t_world_assert_empty(world);
}

// However such a connection ends, what it held is given back.
static void test_http1_gives_back_what_half_heads_hold(void **state) {
    (void)state;
    enum { CLIENTS = 200 };
    int clients[CLIENTS];
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < CLIENTS; i++) {
            clients[i] = t_world_open(world);
            t_serve_send(&serve, clients[i], "GET /hello HTTP/1.1\r\n");
            t_serve_send(&serve, clients[i], "Host: ");
        }
        // Their unread bytes and the memory of how far they were read: no exchange.
        assert_in_range(cv_pool_live_bytes(&world->pool), 1, CLIENTS * 640);
        if (round == 0) {
            t_world_wait(world, 10300);
            assert_int_equal(t_count(t_serve_output(&serve, clients[0]), "HTTP/1.1 408 "), 1);
        } else if (round == 1) {
            for (int i = 0; i < CLIENTS; i++) {
                t_serve_send(&serve, clients[i], "\n");
            }
        } else if (round == 2) {
            for (int i = 0; i < CLIENTS; i++) {
                t_serve_send(&serve, clients[i], "a\r\n\r\n");
            }
            assert_string_equal(t_serve_output(&serve, clients[0]), HELLO_ANSWER);
        }
        t_world_wait(world, 100);
        if (round < 3) {
            assert_int_equal(cv_pool_live_bytes(&world->pool), 0);
        }
        for (int i = 0; i < CLIENTS; i++) {
            t_client_end(world->ring, clients[i]);
        }
        t_world_settle(world);
        t_world_assert_empty(world);
    }
}

static void test_http1_closes_who_never_says_anything_without_a_word(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_world_wait(world, 9900);
    assert_true(t_serve_is_open(&serve, client));
    t_world_wait(world, 300);
    assert_false(t_serve_is_open(&serve, client));
    assert_string_equal(t_serve_output(&serve, client), "");
    assert_int_equal(t_counter(world, COVET_COUNTER_CLOSED_HEADER), 1);
}

static void test_http1_closes_idle_connections_without_a_word(void **state) {
    (void)state;
    int client = t_world_open(world);
    for (int i = 0; i < 3; i++) {
        t_serve_send(&serve, client, HELLO);
        t_world_wait(world, 59000);
        assert_true(t_serve_is_open(&serve, client));
    }
    t_world_wait(world, 1200);
    assert_false(t_serve_is_open(&serve, client));
    assert_int_equal(t_count(t_serve_output(&serve, client), "HTTP/1.1 "), 3);
    assert_int_equal(t_counter(world, COVET_COUNTER_CLOSED_IDLE), 1);
}

// RFC 9112 section 2.2: some clients end a body with one. It is no request, nor the begin of one.
static void test_http1_closes_who_sends_but_empty_lines_as_one_who_is_idle(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_serve_send(&serve, client, HELLO "\r\n");
    t_serve_send(&serve, client, "\r");
    t_world_wait(world, 30000);
    t_serve_send(&serve, client, "\n" HELLO);
    assert_int_equal(t_count(t_serve_output(&serve, client), "HTTP/1.1 200 OK"), 2);
    for (int i = 0; i < 7; i++) {  // They do not put the end off.
        t_world_wait(world, 8500);
        assert_true(t_serve_is_open(&serve, client));
        t_serve_send(&serve, client, "\r\n");
    }
    t_world_wait(world, 700);
    assert_false(t_serve_is_open(&serve, client));
    assert_int_equal(t_count(t_serve_output(&serve, client), "HTTP/1.1 "), 2);
    assert_int_equal(t_counter(world, COVET_COUNTER_CLOSED_IDLE), 1);
    t_world_assert_empty(world);
}

static void test_http1_times_a_head_behind_empty_lines_from_its_own_first_byte(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_serve_send(&serve, client, HELLO);
    t_serve_forget_output(&serve, client);
    t_serve_send(&serve, client, "\r\n");
    t_world_wait(world, 30000);
    t_serve_send(&serve, client, "G");
    t_world_wait(world, 9900);
    assert_true(t_serve_is_open(&serve, client));
    t_world_wait(world, 300);
    assert_int_equal(t_count(t_serve_output(&serve, client), "HTTP/1.1 408 "), 1);
    assert_int_equal(t_counter(world, COVET_COUNTER_CLOSED_HEADER), 1);
}

static void test_http1_is_not_idle_while_an_answer_is_read(void **state) {
    (void)state;
    int client = t_serve_open_silent(&serve);
    t_serve_send(&serve, client, "GET /bytes/100000 HTTP/1.1\r\nHost: a\r\n\r\n");
    for (uint32_t i = 1; i <= 8; i++) {
        t_world_wait(world, 20000);
        t_ring_at(world->ring, client)->told_bytes = i * 1000u;
    }
    assert_true(t_serve_is_open(&serve, client));
    t_ring_at(world->ring, client)->is_silent = false;
    t_world_wait(world, 61000);
    assert_false(t_serve_is_open(&serve, client));
    assert_int_equal(t_counter(world, COVET_COUNTER_CLOSED_IDLE), 1);
}

static void test_http1_does_not_time_a_handler(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_serve_send(&serve, client, "GET /defer HTTP/1.1\r\nHost: a\r\n\r\n");
    t_world_wait(world, 300000);
    assert_true(t_serve_is_open(&serve, client));
    assert_int_equal(covet_response_text(covet_request_response(t_app.kept[0]), "at last"), 0);
    t_world_settle(world);
    assert_int_equal(t_count(t_serve_output(&serve, client), "at last"), 1);
}

static void test_http1_is_idle_from_the_end_of_an_answer_that_is_read_slowly(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_ring_at(world->ring, client)->window = 1000;
    t_serve_send(&serve, client, "GET /bytes/100000 HTTP/1.1\r\nHost: a\r\n\r\n");
    for (uint32_t i = 0; i < 5; i++) {
        t_world_wait(world, 11000);
        t_ring_at(world->ring, client)->window = 1000;
    }
    t_ring_at(world->ring, client)->window = SIZE_MAX;
    t_world_wait(world, 59000);
    assert_true(t_serve_is_open(&serve, client));
    t_world_wait(world, 1200);
    assert_false(t_serve_is_open(&serve, client));
    assert_int_equal(t_counter(world, COVET_COUNTER_CLOSED_IDLE), 1);
}

static void test_http1_drains_idle_connections_after_a_last_chance(void **state) {
    (void)state;
    int idle = t_world_open(world), fresh = t_world_open(world), last = t_world_open(world);
    t_serve_send(&serve, idle, HELLO);
    t_serve_send(&serve, last, HELLO);
    cv_net_drain(&world->net);
    t_world_wait(world, T_DRAIN_IDLE_MS - 100);
    assert_true(t_serve_is_open(&serve, idle));
    t_serve_send(&serve, last, HELLO);
    assert_int_equal(t_count(t_serve_output(&serve, last), "Connection: close"), 1);
    t_world_wait(world, 200);
    assert_false(t_serve_is_open(&serve, idle));
    assert_false(t_serve_is_open(&serve, fresh));
    t_client_end(world->ring, last);
    t_world_settle(world);
    assert_int_equal(t_counter(world, COVET_COUNTER_CLOSED_DRAIN), 3);
    t_world_assert_empty(world);
}

static void test_http1_drains_a_connection_that_comes_late(void **state) {
    (void)state;
    cv_net_drain(&world->net);
    int silent = t_world_open(world), asking = t_world_open(world);
    t_serve_send(&serve, asking, HELLO HELLO);
    assert_int_equal(t_count(t_serve_output(&serve, asking), "HTTP/1.1 200 "), 1);
    assert_int_equal(t_count(t_serve_output(&serve, asking), "Connection: close"), 1);
    t_world_wait(world, T_DRAIN_IDLE_MS + 100);
    assert_false(t_serve_is_open(&serve, silent));
    t_world_wait(world, 2000);
    t_world_assert_empty(world);
}

static void test_http1_writes_a_log_line_per_answer(void **state) {
    (void)state;
    serve.http1.access.enabled = true;
    int client = t_world_open(world);
    t_serve_send(&serve, client, HELLO "GET /none HTTP/1.1\r\nHost: a\r\n\r\nBAD\r\n\r\n");
    t_bytes_append(&serve.log, "", 1);
    static const char expected[] =
        "192.0.2.7 - - [06/Nov/1994:08:49:37 +0000] \"GET /hello HTTP/1.1\" 200 5 \"-\" \"-\"\n"
        "192.0.2.7 - - [06/Nov/1994:08:49:37 +0000] \"GET /none HTTP/1.1\" 404 14 \"-\" \"-\"\n"
        "192.0.2.7 - - [06/Nov/1994:08:49:37 +0000] \"-\" 400 ";
    assert_int_equal(strncmp((const char *)serve.log.data, expected, sizeof(expected) - 1), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_http1_answers_a_deep_pipeline_in_order),
        TEST(test_http1_shows_no_request_what_the_one_before_left),
        TEST(test_http1_keeps_the_record_of_a_request_that_waits),
        TEST(test_http1_gives_others_their_turn_after_so_many_requests),
        TEST(test_http1_stops_answering_a_client_that_does_not_read),
        TEST(test_http1_holds_nothing_between_requests),
        TEST(test_http1_refuses_what_it_does_not_understand_and_reads_no_further),
        TEST(test_http1_answers_what_came_before_a_refused_head),
        TEST(test_http1_says_nothing_to_half_a_head_and_a_fin),
        TEST(test_http1_times_a_head_from_its_first_byte),
        TEST(test_http1_answers_heads_in_single_bytes_and_in_any_two_pieces),
        TEST(test_http1_refuses_a_head_in_single_bytes_with_its_first_wrong_one),
        TEST(test_http1_gives_back_what_half_heads_hold),
        TEST(test_http1_closes_who_never_says_anything_without_a_word),
        TEST(test_http1_closes_idle_connections_without_a_word),
        TEST(test_http1_closes_who_sends_but_empty_lines_as_one_who_is_idle),
        TEST(test_http1_times_a_head_behind_empty_lines_from_its_own_first_byte),
        TEST(test_http1_is_not_idle_while_an_answer_is_read),
        TEST(test_http1_does_not_time_a_handler),
        TEST(test_http1_is_idle_from_the_end_of_an_answer_that_is_read_slowly),
        TEST(test_http1_drains_idle_connections_after_a_last_chance),
        TEST(test_http1_drains_a_connection_that_comes_late),
        TEST(test_http1_writes_a_log_line_per_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
