// One request and its answer: bodies in every framing and cut, early and deferred and streamed
// answers, clients that leave in the middle, slow bodies, and memory that runs out at every place.
#include "serve/exchange.h"

#include <stdlib.h>

#include "mem/guard.h"
#include "support/serve_world.h"

static struct t_serve serve;
static struct t_world *const world = &serve.world;

// Counts acquisitions; the one numbered `acquire_fails_at` (from 1) fails, and all later ones too
// with `acquire_fails_on`.
static uint64_t acquire_count;
static uint64_t acquire_fails_at;
static bool acquire_fails_on;

// In debug mode every block of a pool comes from here.
void *__real_cv_guard_acquire(struct cv_guard *guard, size_t bytes);
void *__wrap_cv_guard_acquire(struct cv_guard *guard, size_t bytes);

void *__wrap_cv_guard_acquire(struct cv_guard *guard, size_t bytes) {
    acquire_count++;
    if (acquire_fails_at != 0 && (acquire_count == acquire_fails_at ||
                                  (acquire_fails_on && acquire_count > acquire_fails_at))) {
        return NULL;
    }
    return __real_cv_guard_acquire(guard, bytes);
}

static int set_up(void **state) {
    (void)state;
    assert_int_equal(setenv("COVET_MEMORY", "debug", 1), 0);
    acquire_fails_at = 0;
    t_serve_init(&serve);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    acquire_fails_at = 0;
    t_serve_deinit(&serve);
    return 0;
}

static struct covet_response *kept_response(uint32_t index) {
    assert_true(index < t_app.kept_count);
    return covet_request_response(t_app.kept[index]);
}

static void assert_begins(const char *text, const char *begin) {
    if (strncmp(text, begin, strlen(begin)) != 0) {
        fail_msg("\"%s\" does not begin with \"%s\"", text, begin);
    }
}

static void assert_ends(const char *text, const char *end) {
    size_t length = strlen(text);
    if (length < strlen(end) || strcmp(text + length - strlen(end), end) != 0) {
        fail_msg("\"%s\" does not end with \"%s\"", text, end);
    }
}

#define OK_TEXT(length) \
    "HTTP/1.1 200 OK\r\nContent-Length: " length "\r\nContent-Type: text/plain\r\n" T_DATE
#define REFUSED(status, length) \
    "HTTP/1.1 " status "\r\nContent-Length: " length "\r\nContent-Type: text/plain\r\n" T_DATE \
    "Connection: close\r\n\r\n"

static const struct {
    const char *name;
    const char *request;
    const char *answer;
    bool ends;  // The connection, with the answer.
} framings[] = {
    {"no body", "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", OK_TEXT("5") "\r\nhello", false},
    {"an empty body", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
     OK_TEXT("0") "\r\n", false},
    {"a length", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n1234567",
     OK_TEXT("7") "\r\n1234567", false},
    {"one chunk",
     "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
     OK_TEXT("5") "\r\nabcde", false},
    {"chunks, extensions and trailers",
     "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
     "3;x=y\r\nabc\r\nA;q=\"1\"\r\n0123456789\r\n0\r\nX-T: v\r\n\r\n",
     OK_TEXT("13") "\r\nabc0123456789", false},
    {"no chunk at all",
     "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     OK_TEXT("0") "\r\n", false},
    {"a streamed length", "POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n1234567",
     OK_TEXT("7") "\r\n1234567", false},
    {"streamed chunks",
     "POST /stream HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
     "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n",
     OK_TEXT("7") "\r\nabcdefg", false},
    {"a stream without a body", "POST /stream HTTP/1.1\r\nHost: a\r\n\r\n", OK_TEXT("0") "\r\n",
     false},
    {"an early answer, body dropped",
     "POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n1234567",
     "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain; charset=utf-8\r\n" T_DATE
     "\r\nearly",
     false},
    {"an early answer, body dropped, another request",
     "POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n1234567"
     "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n",
     "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain; charset=utf-8\r\n" T_DATE
     "\r\nearly" OK_TEXT("5") "\r\nhello",
     false},
    {"HEAD", "HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n", OK_TEXT("5") "\r\n", false},
    {"HEAD, then GET",
     "HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n",
     OK_TEXT("5") "\r\n" OK_TEXT("5") "\r\nhello", false},
    {"HTTP/1.0", "GET /hello HTTP/1.0\r\n\r\n", OK_TEXT("5") "Connection: close\r\n\r\nhello",
     true},
    {"HTTP/1.0 kept alive", "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
     OK_TEXT("5") "Connection: keep-alive\r\n\r\nhello", false},
    {"asked to close", "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
     OK_TEXT("5") "Connection: close\r\n\r\nhello", true},
    {"three, the middle one with a body",
     "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
     "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nxyz"
     "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n",
     OK_TEXT("5") "\r\nhello" OK_TEXT("3") "\r\nxyz" OK_TEXT("5") "\r\nhello", false},
    {"a malformed chunk",
     "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX",
     REFUSED("400 Bad Request", "47") "400 Bad Request: the chunked body is malformed\n", true},
    {"too long by its length", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000001\r\n\r\n",
     REFUSED("413 Content Too Large", "45") "413 Content Too Large: the body is too large\n", true},
};

static void assert_answered(size_t index, int client, size_t cut) {
    const char *output = t_serve_output(&serve, client);
    bool is_open = t_serve_is_open(&serve, client) && !t_ring_at(world->ring, client)->is_shut;
    if (strcmp(output, framings[index].answer) != 0) {
        fail_msg("%s, cut at %zu: got\n%s\nwanted\n%s", framings[index].name, cut, output,
                 framings[index].answer);
    }
    if (is_open == framings[index].ends) {
        fail_msg("%s, cut at %zu: the connection is %s", framings[index].name, cut,
                 is_open ? "open" : "not open");
    }
}

static void end_client(int client) {
    t_client_end(world->ring, client);
    t_world_settle(world);
    assert_false(t_serve_is_open(&serve, client));
    t_world_assert_empty(world);
    t_app.kept_count = 0;
}

static void test_exchange_answers_each_framing_the_same_however_it_is_cut(void **state) {
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(framings); i++) {
        size_t length = strlen(framings[i].request);
        for (size_t cut = 0; cut < length; cut++) {
            int client = t_world_open(world);
            t_client_send(world->ring, client, framings[i].request, cut);
            t_world_settle(world);
            t_client_send(world->ring, client, framings[i].request + cut, length - cut);
            t_world_settle(world);
            assert_answered(i, client, cut);
            end_client(client);
        }
    }
}

static void test_exchange_answers_each_framing_byte_by_byte(void **state) {
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(framings); i++) {
        int client = t_world_open(world);
        for (const char *at = framings[i].request; *at != '\0'; at++) {
            t_client_send(world->ring, client, at, 1);
            t_world_settle(world);
        }
        assert_answered(i, client, 1);
        end_client(client);
    }
}

static void test_exchange_answers_what_came_before_a_fin(void **state) {
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(framings); i++) {
        int client = t_world_open(world);
        t_client_send(world->ring, client, framings[i].request, strlen(framings[i].request));
        t_client_end(world->ring, client);
        t_world_settle(world);
        assert_string_equal(t_serve_output(&serve, client), framings[i].answer);
        assert_false(t_serve_is_open(&serve, client));
        t_world_assert_empty(world);
        t_app.kept_count = 0;
    }
}

static void test_exchange_refuses_a_chunked_body_as_soon_as_it_is_too_long(void **state) {
    (void)state;
    int client = t_world_open(world);
    static char block[50002];
    memset(block, 'b', 50000);
    memcpy(block + 50000, "\r\n", 2);
    t_serve_send(&serve, client,
                 "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 20; i++) {
        t_serve_send(&serve, client, "C350\r\n");
        t_client_send(world->ring, client, block, sizeof(block));
        t_world_settle(world);
    }
    assert_string_equal(t_serve_output(&serve, client), "");
    t_serve_send(&serve, client, "1\r\nb");
    assert_begins(t_serve_output(&serve, client), "HTTP/1.1 413 ");
    assert_int_equal(t_app.handler_count, 0);
    end_client(client);
}

#define CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"

static void test_exchange_asks_for_a_body_that_waits_to_be_asked_for(void **state) {
    static const char *const paths[] = {"/echo", "/stream"};
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(paths); i++) {
        int client = t_world_open(world);
        char head[256];
        snprintf(head, sizeof(head),
                 "POST %s HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
                 paths[i]);
        t_serve_send(&serve, client, head);
        assert_string_equal(t_serve_output(&serve, client), CONTINUE);
        t_serve_send(&serve, client, "xyz");
        assert_string_equal(t_serve_output(&serve, client), CONTINUE OK_TEXT("3") "\r\nxyz");
        assert_int_equal(t_counter(world, COVET_COUNTER_RESPONSES_1XX), i + 1);
        end_client(client);
    }
}

static void test_exchange_asks_for_a_body_before_it_begins_its_answer(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_serve_send(&serve, client,
                 "POST /relay HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n"
                 "\r\n");
    assert_begins(t_serve_output(&serve, client), CONTINUE "HTTP/1.1 200 OK\r\n");
    t_serve_send(&serve, client, "xyz");
    assert_int_equal(t_count(t_serve_output(&serve, client), "100 Continue"), 1);
    assert_int_equal(t_count(t_serve_output(&serve, client), "\r\n\r\n3\r\nxyz\r\n0\r\n\r\n"), 1);
    assert_true(t_serve_is_open(&serve, client));
    end_client(client);
}

static void test_exchange_never_asks_for_a_body_in_the_middle_of_an_answer(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_serve_send(&serve, client,
                 "POST /pour HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n"
                 "\r\n");
    assert_int_equal(t_app.kept_count, 1);
    (void)covet_response_write(kept_response(0), "abc", 3);
    (void)covet_response_end(kept_response(0));
    t_app.kept_count = 0;
    t_world_settle(world);
    assert_begins(t_serve_output(&serve, client), "HTTP/1.1 200 OK\r\n");
    assert_int_equal(t_count(t_serve_output(&serve, client), "100 Continue"), 0);
    assert_int_equal(t_count(t_serve_output(&serve, client), "Connection: close"), 1);
    end_client(client);
}

static void test_exchange_does_not_ask_for_a_body_that_is_there(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_serve_send(&serve, client,
                 "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n"
                 "\r\nx");
    t_serve_send(&serve, client, "yz");
    assert_string_equal(t_serve_output(&serve, client), OK_TEXT("3") "\r\nxyz");
    end_client(client);
}

static void test_exchange_closes_when_it_answers_in_place_of_asking(void **state) {
    static const char *const heads[] = {
        "POST /early HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
        "POST /none HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1000001\r\n\r\n",
    };
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(heads); i++) {
        int client = t_world_open(world);
        t_serve_send(&serve, client, heads[i]);
        assert_int_equal(t_count(t_serve_output(&serve, client), "100 Continue"), 0);
        assert_int_equal(t_count(t_serve_output(&serve, client), "Connection: close"), 1);
        assert_true(t_ring_at(world->ring, client)->is_shut);
        end_client(client);
    }
}

static void test_exchange_ignores_the_expectation_of_a_request_without_a_body(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_serve_send(&serve, client, "GET /hello HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n");
    assert_string_equal(t_serve_output(&serve, client), OK_TEXT("5") "\r\nhello");
    end_client(client);
}

static void send_early(int client, size_t body_bytes) {
    char head[128];
    snprintf(head, sizeof(head), "POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n",
             body_bytes);
    t_serve_send(&serve, client, head);
}

static void send_filler(int client, size_t bytes) {
    static char filler[4096];
    memset(filler, 'f', sizeof(filler));
    for (size_t part; bytes > 0; bytes -= part) {
        part = CV_MIN(bytes, sizeof(filler));
        t_client_send(world->ring, client, filler, part);
    }
    t_world_settle(world);
}

static void test_exchange_drops_a_short_unread_body_and_goes_on(void **state) {
    (void)state;
    int client = t_world_open(world);
    send_early(client, CV_EXCHANGE_DISCARD_BYTES_MAX);
    assert_ends(t_serve_output(&serve, client), "early");
    send_filler(client, CV_EXCHANGE_DISCARD_BYTES_MAX);
    t_serve_forget_output(&serve, client);
    t_serve_send(&serve, client, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_string_equal(t_serve_output(&serve, client), OK_TEXT("5") "\r\nhello");
    end_client(client);
}

static void test_exchange_closes_with_linger_on_a_long_unread_body(void **state) {
    (void)state;
    int client = t_world_open(world);
    send_early(client, CV_EXCHANGE_DISCARD_BYTES_MAX + 1);
    assert_int_equal(t_count(t_serve_output(&serve, client), "Connection: close"), 1);
    assert_true(t_ring_at(world->ring, client)->is_shut);
    assert_true(t_serve_is_open(&serve, client));
    send_filler(client, CV_EXCHANGE_DISCARD_BYTES_MAX + 1);
    t_serve_send(&serve, client, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(t_app.handler_count, 1);
    end_client(client);
}

static void test_exchange_reads_no_request_behind_a_connect(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_serve_send(&serve, client,
                 "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(t_count(t_serve_output(&serve, client), "HTTP/1.1 501 "), 1);
    assert_int_equal(t_count(t_serve_output(&serve, client), "Connection: close"), 1);
    assert_int_equal(t_count(t_serve_output(&serve, client), "HTTP/1.1 "), 1);
    assert_int_equal(t_app.handler_count, 0);
    end_client(client);
}

static void test_exchange_closes_on_an_unread_chunked_body(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_serve_send(&serve, client,
                 "POST /early HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc");
    assert_int_equal(t_count(t_serve_output(&serve, client), "Connection: close"), 1);
    end_client(client);
}

static void test_exchange_cuts_a_client_that_sends_a_dropped_body_too_slowly(void **state) {
    (void)state;
    int client = t_world_open(world);
    send_early(client, 100);
    t_world_wait(world, 9900);
    assert_true(t_serve_is_open(&serve, client));
    t_world_wait(world, 400);
    assert_false(t_serve_is_open(&serve, client));
    assert_int_equal(t_counter(world, COVET_COUNTER_CLOSED_BODY), 1);
    t_world_assert_empty(world);
}

static void test_exchange_may_be_answered_in_the_middle_of_its_body(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_app.answers_in_body = true;
    t_serve_send(&serve, client,
                 "POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
    assert_ends(t_serve_output(&serve, client), "enough");
    t_serve_forget_output(&serve, client);
    t_serve_send(&serve, client, "defGET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_string_equal(t_serve_output(&serve, client), OK_TEXT("5") "\r\nhello");
    end_client(client);
}

static void defer(int client) {
    t_serve_send(&serve, client,
                 "POST /defer?q=1 HTTP/1.1\r\nHost: a.example\r\nX-Name: value\r\n"
                 "Content-Length: 4\r\n\r\nbody");
}

static void test_exchange_moves_a_deferred_request_out_of_the_receive_buffer(void **state) {
    (void)state;
    int client = t_world_open(world);
    defer(client);
    assert_int_equal(world->ring->lent, 0);
    struct covet_request *request = t_app.kept[0];
    struct covet_span path = covet_request_path(request);
    struct covet_span name = covet_request_header(request, "x-name");
    struct covet_span body = covet_request_body(request);
    struct covet_span query = covet_request_query_raw(request);
    struct covet_span host = covet_request_authority(request);
    assert_int_equal(path.length, 6);
    assert_memory_equal(path.data, "/defer", 6);
    assert_int_equal(name.length, 5);
    assert_memory_equal(name.data, "value", 5);
    assert_int_equal(body.length, 4);
    assert_memory_equal(body.data, "body", 4);
    assert_int_equal(query.length, 3);
    assert_memory_equal(query.data, "q=1", 3);
    assert_memory_equal(host.data, "a.example", 9);
    assert_int_equal(
        covet_response_body(kept_response(0), "text/plain", body.data, body.length, COVET_REQUEST),
        0);
    t_world_settle(world);
    assert_string_equal(t_serve_output(&serve, client), OK_TEXT("4") "\r\nbody");
    end_client(client);
}

static void test_exchange_lets_pipelined_requests_wait_for_a_deferred_answer(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_serve_send(&serve, client,
                 "GET /defer HTTP/1.1\r\nHost: a\r\n\r\n"
                 "GET /defer HTTP/1.1\r\nHost: a\r\n\r\n"
                 "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(t_app.kept_count, 1);
    assert_string_equal(t_serve_output(&serve, client), "");
    assert_int_equal(covet_response_bytes(kept_response(0), "text/plain", "one", 3), 0);
    t_world_settle(world);
    assert_int_equal(t_app.kept_count, 2);
    assert_string_equal(t_serve_output(&serve, client), OK_TEXT("3") "\r\none");
    assert_int_equal(covet_response_bytes(kept_response(1), "text/plain", "two", 3), 0);
    t_world_settle(world);
    assert_string_equal(t_serve_output(&serve, client),
                        OK_TEXT("3") "\r\none" OK_TEXT("3") "\r\ntwo" OK_TEXT("5") "\r\nhello");
    end_client(client);
}

static void test_exchange_stops_receiving_while_a_deferred_answer_is_due(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_serve_send(&serve, client, "GET /defer HTTP/1.1\r\nHost: a\r\n\r\n");
    send_filler(client, 4 * CV_CONN_INPUT_BYTES_MAX);
    struct t_socket *socket = t_ring_at(world->ring, client);
    assert_false(socket->receive.is_armed);
    assert_true(socket->input_taken < 2 * CV_CONN_INPUT_BYTES_MAX);
    assert_int_equal(covet_response_text(kept_response(0), "x"), 0);
    t_world_settle(world);
    // The filler is no request; the answer to it ends the connection.
    assert_int_equal(t_count(t_serve_output(&serve, client), "HTTP/1.1 501"), 1);
    end_client(client);
}

static void test_exchange_tells_a_deferred_request_once_that_its_client_left(void **state) {
    (void)state;
    int client = t_world_open(world);
    defer(client);
    t_client_reset(world->ring, client);
    t_world_settle(world);
    assert_int_equal(t_app.abort_count, 1);
    assert_false(t_serve_is_open(&serve, client));
    assert_true(covet_request_aborted(t_app.kept[0]));
    assert_int_equal(covet_request_body(t_app.kept[0]).length, 4);
    assert_memory_equal(covet_request_body(t_app.kept[0]).data, "body", 4);
    assert_int_equal(world->net.open_count, 0);
    assert_true(cv_pool_live_bytes(&world->pool) > 0);
    t_world_wait(world, 100);
    assert_int_equal(t_app.abort_count, 1);
    assert_int_equal(covet_response_text(kept_response(0), "nobody"), -ECONNRESET);
    t_world_assert_empty(world);
}

static void test_exchange_may_be_finished_from_the_abort_notice(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_app.finishes_on_abort = true;
    defer(client);
    t_client_reset(world->ring, client);
    t_world_settle(world);
    assert_int_equal(t_app.abort_count, 1);
    t_world_assert_empty(world);
}

static void test_exchange_answers_a_client_that_half_closed_while_it_was_deferred(void **state) {
    (void)state;
    int client = t_world_open(world);
    defer(client);
    t_client_end(world->ring, client);
    t_world_settle(world);
    assert_int_equal(t_app.half_close_count, 1);
    assert_int_equal(t_app.abort_count, 0);
    assert_true(t_serve_is_open(&serve, client));
    assert_int_equal(covet_response_bytes(kept_response(0), "text/plain", "late", 4), 0);
    t_world_settle(world);
    assert_string_equal(t_serve_output(&serve, client), OK_TEXT("4") "\r\nlate");
    assert_false(t_serve_is_open(&serve, client));
    t_world_assert_empty(world);
}

static void test_exchange_answers_a_half_closed_client_all_it_asked_for(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_serve_send(&serve, client,
                 "GET /defer HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    t_client_end(world->ring, client);
    t_world_settle(world);
    assert_int_equal(covet_response_bytes(kept_response(0), "text/plain", "one", 3), 0);
    t_world_settle(world);
    assert_string_equal(t_serve_output(&serve, client),
                        OK_TEXT("3") "\r\none" OK_TEXT("5") "\r\nhello");
    assert_false(t_serve_is_open(&serve, client));
    t_world_assert_empty(world);
}

static void test_exchange_cancelled_later_cuts_the_connection(void **state) {
    (void)state;
    int client = t_world_open(world);
    defer(client);
    assert_int_equal(covet_response_cancel(kept_response(0)), 0);
    t_world_settle(world);
    assert_false(t_serve_is_open(&serve, client));
    assert_string_equal(t_serve_output(&serve, client), "");
    assert_int_equal(t_app.abort_count, 0);
    t_world_assert_empty(world);
}

static void test_exchange_streams_chunks_with_back_pressure(void **state) {
    (void)state;
    static char block[65536];
    int client = t_world_open(world);
    memset(block, 'k', sizeof(block));
    t_ring_at(world->ring, client)->window = 0;
    t_serve_send(&serve, client, "GET /flow HTTP/1.1\r\nHost: a\r\n\r\n");
    int64_t queued = 0;
    uint32_t blocks = 0;
    while (queued <= COVET_HIGH_WATER_BYTES) {
        queued = covet_response_write(kept_response(0), block, sizeof(block));
        assert_true(queued > 0);
        blocks++;
    }
    t_world_settle(world);
    assert_int_equal(t_app.drain_count, 0);
    t_ring_at(world->ring, client)->window = COVET_HIGH_WATER_BYTES / 4;
    t_world_settle(world);
    assert_int_equal(t_app.drain_count, 0);
    t_ring_at(world->ring, client)->window = SIZE_MAX;
    t_world_settle(world);
    assert_int_equal(t_app.drain_count, 1);
    assert_int_equal(covet_response_end(kept_response(0)), 0);
    t_world_settle(world);
    const char *output = t_serve_output(&serve, client);
    assert_begins(output, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                          "Content-Type: text/plain\r\n" T_DATE "\r\n10000\r\nkkkk");
    assert_ends(output, "kkkk\r\n0\r\n\r\n");
    assert_int_equal(t_count(output, "\r\n10000\r\n"), blocks);
    t_serve_forget_output(&serve, client);
    t_serve_send(&serve, client, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_string_equal(t_serve_output(&serve, client), OK_TEXT("5") "\r\nhello");
    end_client(client);
}

static void
test_exchange_refuses_to_queue_without_end_for_a_client_that_does_not_read(void **state) {
    (void)state;
    static char block[65536];
    int client = t_world_open(world);
    t_ring_at(world->ring, client)->window = 0;
    t_serve_send(&serve, client, "GET /flow HTTP/1.1\r\nHost: a\r\n\r\n");
    int64_t queued;
    uint32_t blocks = 0;
    while ((queued = covet_response_write(kept_response(0), block, sizeof(block))) > 0) {
        assert_true(++blocks < 100);
    }
    assert_int_equal(queued, -EAGAIN);
    assert_int_equal(covet_response_cancel(kept_response(0)), 0);
    t_world_settle(world);
    t_world_assert_empty(world);
}

static void test_exchange_ends_a_stream_to_http_1_0_with_the_connection(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_serve_send(&serve, client, "GET /flow HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_true(covet_response_write(kept_response(0), "part", 4) > 0);
    t_world_settle(world);
    assert_true(covet_response_write(kept_response(0), "two", 3) > 0);
    assert_int_equal(covet_response_end(kept_response(0)), 0);
    t_world_settle(world);
    assert_string_equal(t_serve_output(&serve, client),
                        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n" T_DATE
                        "Connection: close\r\n\r\nparttwo");
    assert_true(t_ring_at(world->ring, client)->is_shut);
    end_client(client);
}

static void test_exchange_sends_no_body_of_a_stream_to_head(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_serve_send(&serve, client, "HEAD /flow HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(covet_response_write(kept_response(0), "part", 4), 0);
    assert_int_equal(covet_response_end(kept_response(0)), 0);
    t_world_settle(world);
    assert_ends(t_serve_output(&serve, client), "\r\n\r\n");
    assert_int_equal(t_count(t_serve_output(&serve, client), "part"), 0);
    end_client(client);
}

static void test_exchange_tells_a_stream_that_its_client_left(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_serve_send(&serve, client, "GET /flow HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(covet_response_write(kept_response(0), "part", 4) > 0);
    t_client_reset(world->ring, client);
    t_world_settle(world);
    assert_int_equal(t_app.abort_count, 1);
    assert_int_equal(covet_response_write(kept_response(0), "more", 4), -ECONNRESET);
    assert_int_equal(covet_response_end(kept_response(0)), -ECONNRESET);
    t_world_assert_empty(world);
}

static void test_exchange_cancelled_in_a_stream_cuts_the_connection(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_serve_send(&serve, client, "GET /flow HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(covet_response_write(kept_response(0), "part", 4) > 0);
    t_world_settle(world);
    assert_int_equal(covet_response_cancel(kept_response(0)), 0);
    t_world_settle(world);
    assert_ends(t_serve_output(&serve, client), "4\r\npart\r\n");
    assert_false(t_serve_is_open(&serve, client));
    t_world_assert_empty(world);
}

static void test_exchange_sends_large_bodies_whole_however_the_client_reads(void **state) {
    (void)state;
    int client = t_world_open(world);
    uint32_t seed = 20;
    t_ring_at(world->ring, client)->window = 0;
    t_serve_send(&serve, client,
                 "GET /bytes/900000 HTTP/1.1\r\nHost: a\r\n\r\n"
                 "GET /bytes/5000 HTTP/1.1\r\nHost: a\r\n\r\n"
                 "GET /bytes/100 HTTP/1.1\r\nHost: a\r\n\r\n");
    while (cv_conn_queued(t_world_conn(world, client)) > 0) {
        seed = seed * 1664525u + 1013904223u;
        t_ring_at(world->ring, client)->window = 1 + (seed >> 16) % 60000;
        t_world_settle(world);
    }
    t_ring_at(world->ring, client)->window = SIZE_MAX;
    t_world_settle(world);
    static const size_t sizes[] = {900000, 5000, 100};
    const char *at = t_serve_output(&serve, client);
    for (size_t i = 0; i < CV_ARRAY_COUNT(sizes); i++) {
        char length[64];
        snprintf(length, sizeof(length), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n", sizes[i]);
        assert_begins(at, length);
        at = strstr(at, "\r\n\r\n");
        assert_non_null(at);
        at += 4;
        for (size_t k = 0; k < sizes[i]; k++, at++) {
            assert_int_equal(*at, 'a' + k % 23);
        }
    }
    assert_int_equal(*at, '\0');
    end_client(client);
}

static void test_exchange_stops_delivering_a_body_while_paused(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_app.pauses_body = true;
    t_serve_send(&serve, client,
                 "POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 600000\r\n\r\nabc");
    assert_int_equal(t_app.body.length, 3);
    send_filler(client, 600000 - 3);
    assert_int_equal(t_app.body.length, 3);
    assert_true(t_ring_at(world->ring, client)->input_taken < 2 * CV_CONN_INPUT_BYTES_MAX);
    t_world_wait(world, 60000);
    assert_int_equal(t_app.body.length, 3);
    assert_true(t_serve_is_open(&serve, client));
    covet_request_pause_body(t_app.kept[0], false);
    t_world_settle(world);
    assert_int_equal(t_app.last_count, 1);
    assert_begins(t_serve_output(&serve, client), OK_TEXT("600000"));
    end_client(client);
}

static void test_exchange_keeps_the_last_word_of_a_body_from_who_paused_at_its_end(void **state) {
    static const char *const requests[] = {
        "POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        "POST /stream HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n0\r\n\r\n",
    };
    (void)state;
    for (size_t i = 0; i < 2 * CV_ARRAY_COUNT(requests); i++) {
        uint32_t kept = t_app.kept_count;
        uint32_t last = t_app.last_count;
        int client = t_world_open(world);
        t_app.pauses_body = true;
        t_serve_send(&serve, client, requests[i / 2]);
        t_serve_send(&serve, client, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
        if (i % 2 != 0) {
            t_client_end(world->ring, client);
        }
        t_world_wait(world, 20000);
        assert_int_equal(t_app.body.length, 3);
        assert_int_equal(t_app.last_count, last);
        assert_string_equal(t_serve_output(&serve, client), "");
        covet_request_pause_body(t_app.kept[kept], false);
        t_world_settle(world);
        assert_int_equal(t_app.last_count, last + 1);
        assert_begins(t_serve_output(&serve, client), OK_TEXT("3") "\r\nabcHTTP/1.1 200");
        if (i % 2 == 0) {
            end_client(client);
        }
    }
}

// However the body's end is missed, the connection goes on behind the answer.
static void test_exchange_goes_on_when_who_paused_at_the_end_answers(void **state) {
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        uint32_t kept = t_app.kept_count;
        int client = t_world_open(world);
        t_app.pauses_body = true;
        t_serve_send(&serve, client,
                     "POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
        if (i % 2 == 0) {
            t_serve_send(&serve, client, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        if (i >= 2) {
            t_client_end(world->ring, client);
            t_world_settle(world);
        }
        (void)covet_response_text(covet_request_response(t_app.kept[kept]), "enough");
        t_world_settle(world);
        if (i == 1) {
            t_serve_send(&serve, client, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        assert_begins(t_serve_output(&serve, client), "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n");
        assert_int_equal(t_count(t_serve_output(&serve, client), "enough"), 1);
        assert_int_equal(t_count(t_serve_output(&serve, client), "hello"), i == 3 ? 0 : 1);
        if (i < 2) {
            assert_true(t_serve_is_open(&serve, client));
            t_world_wait(world, 61000);
        }
        assert_false(t_serve_is_open(&serve, client));
    }
}

static void test_exchange_holds_an_empty_body_back_from_who_paused(void **state) {
    static const char *const requests[] = {
        "POST /pause HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "POST /pause HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    };
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(requests); i++) {
        uint32_t kept = t_app.kept_count;
        uint32_t last = t_app.last_count;
        int client = t_world_open(world);
        t_serve_send(&serve, client, requests[i]);
        t_world_wait(world, 20000);
        assert_int_equal(t_app.last_count, last);
        covet_request_pause_body(t_app.kept[kept], false);
        t_world_settle(world);
        assert_int_equal(t_app.last_count, last + 1);
        assert_begins(t_serve_output(&serve, client), OK_TEXT("0"));
        end_client(client);
    }
}

static void test_exchange_does_not_time_a_body_while_paused(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_app.pauses_body = true;
    t_serve_send(&serve, client,
                 "POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
    // Nothing more comes: it is the handler who makes the client wait.
    t_world_wait(world, 20000);
    assert_true(t_serve_is_open(&serve, client));
    assert_string_equal(t_serve_output(&serve, client), "");
    covet_request_pause_body(t_app.kept[0], false);
    t_serve_send(&serve, client, "def");
    assert_string_equal(t_serve_output(&serve, client), OK_TEXT("6") "\r\nabcdef");
    end_client(client);
}

// Whoever has answered makes the client wait no more: what is left of the body is read and timed.
static void test_exchange_times_a_body_that_was_paused_when_its_answer_is_out(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_app.pauses_body = true;
    t_serve_send(&serve, client,
                 "POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
    covet_response_text(covet_request_response(t_app.kept[0]), "early");
    t_world_settle(world);
    assert_begins(t_serve_output(&serve, client), "HTTP/1.1 200");
    t_world_wait(world, 60000);
    assert_false(t_serve_is_open(&serve, client));
}

static void test_exchange_aborts_a_streamed_body_that_ends_too_early(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_app.finishes_on_abort = true;
    t_serve_send(&serve, client,
                 "POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
    t_client_end(world->ring, client);
    t_world_settle(world);
    assert_int_equal(t_app.last_count, 0);
    assert_int_equal(t_app.abort_count, 1);
    t_world_assert_empty(world);
}

static void test_exchange_never_runs_a_whole_body_that_ends_too_early(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_serve_send(&serve, client, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
    t_client_end(world->ring, client);
    t_world_settle(world);
    assert_int_equal(t_app.handler_count, 0);
    assert_string_equal(t_serve_output(&serve, client), "");
    t_world_assert_empty(world);
}

static void test_exchange_holds_little_for_a_body_that_was_only_announced(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_serve_send(&serve, client,
                 "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    size_t before = cv_pool_live_bytes(&world->pool);
    char piece[101] = {0};
    memset(piece, 'x', 100);
    t_serve_send(&serve, client, piece);
    size_t after = cv_pool_live_bytes(&world->pool);
    assert_in_range(after - before, 100, 4096);
    t_client_end(world->ring, client);
    t_world_settle(world);
    t_world_assert_empty(world);
}

static void test_exchange_refuses_a_body_that_comes_too_slowly(void **state) {
    static const char *const paths[] = {"/echo", "/stream"};
    (void)state;
    t_app.finishes_on_abort = true;
    for (size_t i = 0; i < CV_ARRAY_COUNT(paths); i++) {
        int client = t_world_open(world);
        char head[128];
        snprintf(head, sizeof(head), "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n",
                 paths[i]);
        t_serve_send(&serve, client, head);
        // A grace first, then windows of the same length.
        t_world_wait(world, 9900);
        assert_string_equal(t_serve_output(&serve, client), "");
        t_serve_send(&serve, client, "ab");
        t_world_wait(world, 400);
        assert_begins(t_serve_output(&serve, client), "HTTP/1.1 408 ");
        assert_false(t_serve_is_open(&serve, client));
        assert_int_equal(t_counter(world, COVET_COUNTER_CLOSED_BODY), i + 1);
        t_world_assert_empty(world);
        t_app.kept_count = 0;
    }
}

static void test_exchange_bears_with_a_body_that_keeps_its_rate(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_serve_send(&serve, client, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n");
    for (int i = 0; i < 10; i++) {
        assert_string_equal(t_serve_output(&serve, client), "");
        send_filler(client, 3000);
        t_world_wait(world, 4900);
    }
    assert_begins(t_serve_output(&serve, client), OK_TEXT("30000"));
    end_client(client);
}

static void test_exchange_cuts_a_client_that_does_not_read_its_answer(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_ring_at(world->ring, client)->window = 1000;
    t_serve_send(&serve, client, "GET /bytes/200000 HTTP/1.1\r\nHost: a\r\n\r\n");
    t_world_wait(world, 29000);
    t_ring_at(world->ring, client)->window = 1000;
    t_world_wait(world, 29000);
    assert_true(t_serve_is_open(&serve, client));
    t_world_wait(world, 1200);
    assert_false(t_serve_is_open(&serve, client));
    assert_int_equal(t_counter(world, COVET_COUNTER_CLOSED_WRITE), 1);
    t_world_assert_empty(world);
}

static void test_exchange_says_close_to_what_is_answered_in_a_drain(void **state) {
    (void)state;
    int client = t_world_open(world);
    defer(client);
    cv_net_drain(&world->net);
    t_world_wait(world, 10000);
    assert_true(t_serve_is_open(&serve, client));
    assert_int_equal(covet_response_text(kept_response(0), "last"), 0);
    t_world_settle(world);
    assert_int_equal(t_count(t_serve_output(&serve, client), "Connection: close"), 1);
    assert_true(t_ring_at(world->ring, client)->is_shut);
    end_client(client);
    assert_int_equal(t_counter(world, COVET_COUNTER_CLOSED_DRAIN), 1);
}

static void test_exchange_that_streamed_into_a_drain_leaves_no_idle_connection(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_serve_send(&serve, client, "GET /flow HTTP/1.1\r\nHost: a\r\n\r\n");
    cv_net_drain(&world->net);
    assert_int_equal(covet_response_end(kept_response(0)), 0);
    t_world_wait(world, T_DRAIN_IDLE_MS + 200);
    assert_false(t_serve_is_open(&serve, client));
    t_world_assert_empty(world);
}

static void test_exchange_answered_early_before_a_drain_leaves_no_idle_connection(void **state) {
    (void)state;
    int client = t_world_open(world);
    send_early(client, 100);
    cv_net_drain(&world->net);
    send_filler(client, 100);
    t_world_wait(world, T_DRAIN_IDLE_MS + 200);
    assert_false(t_serve_is_open(&serve, client));
    t_world_assert_empty(world);
}

// One conversation that takes memory in every way there is.
static void converse(int client) {
    t_serve_send(&serve, client,
                 "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
                 "GET /bytes/30000 HTTP/1.1\r\nHost: a\r\n\r\n"
                 "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3000\r\n\r\nabc");
    send_filler(client, 2997);
    t_serve_send(&serve, client,
                 "POST /stream HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                 "Expect: 100-continue\r\n\r\n");
    t_serve_send(&serve, client, "5\r\nhello\r\n0\r\n\r\n");
    t_app.kept_count = 0;
    t_serve_send(&serve, client, "GET /flow HTTP/1.1\r\nHost: a\r\n\r\nGET /hel");
    if (t_app.kept_count == 1 && t_app.kept[0] != NULL) {
        (void)covet_response_write(kept_response(0), "abcdefgh", 8);
        (void)covet_response_end(kept_response(0));
    }
    t_app.kept_count = 0;
    t_serve_send(&serve, client, "lo HTTP/1.1\r\nHost: a\r\n\r\n");
    defer(client);
    if (t_app.kept_count == 1 && t_app.kept[0] != NULL) {
        struct covet_span path = covet_request_path(t_app.kept[0]);
        struct covet_span body = covet_request_body(t_app.kept[0]);
        assert_int_equal(path.length, 6);
        assert_memory_equal(path.data, "/defer", 6);
        assert_int_equal(body.length, 4);
        assert_memory_equal(body.data, "body", 4);
        (void)covet_response_text(kept_response(0), "late");
    }
    t_app.kept_count = 0;
    t_world_settle(world);
    t_serve_send(&serve, client, "BAD\r\n\r\n");
    t_client_end(world->ring, client);
    t_world_settle(world);
}

static void survive_without_memory(bool fails_on) {
    t_app.finishes_on_abort = true;
    acquire_fails_at = 0;
    acquire_count = 0;
    converse(t_world_open(world));
    t_world_assert_empty(world);
    uint64_t total = acquire_count;
    assert_true(total > 20);
    acquire_fails_on = fails_on;
    for (uint64_t nth = 1; nth <= total; nth++) {
        acquire_count = 0;
        acquire_fails_at = nth;
        int client = t_world_open(world);
        converse(client);
        acquire_fails_at = 0;
        t_world_wait(world, 70000);
        assert_false(t_serve_is_open(&serve, client));
        t_world_assert_empty(world);
    }
}

static void test_exchange_survives_the_failure_of_each_allocation(void **state) {
    (void)state;
    survive_without_memory(false);
}

static void test_exchange_survives_without_any_more_memory(void **state) {
    (void)state;
    survive_without_memory(true);
}

static void test_exchange_times_out_a_body_without_memory_for_the_refusal(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_serve_send(&serve, client, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
    acquire_count = 0;
    acquire_fails_at = 1;
    acquire_fails_on = true;
    t_world_wait(world, 16000);
    acquire_fails_at = 0;
    assert_false(t_serve_is_open(&serve, client));
    t_world_assert_empty(world);
}

static void test_exchange_keeps_what_a_request_refers_to_when_its_connection_breaks(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_serve_send(&serve, client, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    // The stream's head finds no memory in each place in turn; the handler holds the request on.
    for (uint64_t nth = 1; nth < 8; nth++) {
        acquire_count = 0;
        acquire_fails_at = nth;
        acquire_fails_on = false;
        t_app.kept_count = 0;
        client = t_world_open(world);
        t_serve_send(&serve, client,
                     "POST /flow HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
        acquire_fails_at = 0;
        if (t_app.kept_count == 1) {
            struct covet_span path = covet_request_path(t_app.kept[0]);
            struct covet_span body = covet_request_body(t_app.kept[0]);
            // All of it, or nothing where there was no memory to keep it.
            assert_true(path.length == 5 || path.length == 0);
            assert_true(body.length == 4 || body.length == 0);
            assert_int_equal(path.length == 0, body.length == 0);
            assert_memory_equal(path.data, "/flow", path.length);
            assert_memory_equal(body.data, "body", body.length);
            (void)covet_response_end(kept_response(0));
        }
        t_client_end(world->ring, client);
        t_world_settle(world);
    }
}

static void test_exchange_keeps_its_memory_until_the_body_is_acknowledged(void **state) {
    (void)state;
    int client = t_serve_open_silent(&serve);
    t_serve_send(&serve, client, "GET /bytes/100000 HTTP/1.1\r\nHost: a\r\n\r\n");
    t_serve_send(&serve, client, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(world->ring->zero_copies, 1);
    assert_int_equal(t_count(t_serve_output(&serve, client), "hello"), 1);
    assert_true(cv_pool_live_bytes(&world->pool) >= 100000);
    t_ring_at(world->ring, client)->is_silent = false;
    t_world_settle(world);
    assert_int_equal(cv_pool_live_bytes(&world->pool), 0);
    assert_true(t_serve_is_open(&serve, client));
}

static void test_exchange_copies_a_long_body_once(void **state) {
    static char request[100100];
    (void)state;
    int client = t_serve_open_silent(&serve);
    int length = snprintf(request, sizeof(request),
                          "POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    memset(request + length, 'x', 100000);
    t_client_send(world->ring, client, request, (size_t)length + 100000);
    t_world_settle(world);
    assert_int_equal(world->ring->zero_copies, 1);
    // The handler's own bytes are its own again.
    memset(t_app.body.data, 'y', t_app.body.length);
    t_ring_at(world->ring, client)->is_silent = false;
    t_world_settle(world);
    struct t_bytes *output = &t_ring_at(world->ring, client)->output;
    assert_true(output->length > 100000);
    assert_memory_equal(output->data + output->length - 100000, request + length, 100000);
    assert_int_equal(cv_pool_live_bytes(&world->pool), 0);
}

static void test_exchange_last_body_of_a_connection_is_acknowledged_before_its_end(void **state) {
    (void)state;
    int client = t_serve_open_silent(&serve);
    t_serve_send(&serve, client,
                 "GET /bytes/100000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_int_equal(world->ring->zero_copies, 1);
    assert_true(t_serve_is_open(&serve, client));
    t_ring_at(world->ring, client)->is_silent = false;
    t_world_settle(world);
    assert_false(t_serve_is_open(&serve, client));
    assert_false(t_ring_at(world->ring, client)->resets_on_close);
    t_world_assert_empty(world);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_exchange_reads_no_request_behind_a_connect),
        TEST(test_exchange_answers_each_framing_the_same_however_it_is_cut),
        TEST(test_exchange_answers_each_framing_byte_by_byte),
        TEST(test_exchange_answers_what_came_before_a_fin),
        TEST(test_exchange_refuses_a_chunked_body_as_soon_as_it_is_too_long),
        TEST(test_exchange_asks_for_a_body_that_waits_to_be_asked_for),
        TEST(test_exchange_asks_for_a_body_before_it_begins_its_answer),
        TEST(test_exchange_never_asks_for_a_body_in_the_middle_of_an_answer),
        TEST(test_exchange_does_not_ask_for_a_body_that_is_there),
        TEST(test_exchange_closes_when_it_answers_in_place_of_asking),
        TEST(test_exchange_ignores_the_expectation_of_a_request_without_a_body),
        TEST(test_exchange_drops_a_short_unread_body_and_goes_on),
        TEST(test_exchange_closes_with_linger_on_a_long_unread_body),
        TEST(test_exchange_closes_on_an_unread_chunked_body),
        TEST(test_exchange_cuts_a_client_that_sends_a_dropped_body_too_slowly),
        TEST(test_exchange_may_be_answered_in_the_middle_of_its_body),
        TEST(test_exchange_moves_a_deferred_request_out_of_the_receive_buffer),
        TEST(test_exchange_lets_pipelined_requests_wait_for_a_deferred_answer),
        TEST(test_exchange_stops_receiving_while_a_deferred_answer_is_due),
        TEST(test_exchange_tells_a_deferred_request_once_that_its_client_left),
        TEST(test_exchange_may_be_finished_from_the_abort_notice),
        TEST(test_exchange_answers_a_client_that_half_closed_while_it_was_deferred),
        TEST(test_exchange_answers_a_half_closed_client_all_it_asked_for),
        TEST(test_exchange_cancelled_later_cuts_the_connection),
        TEST(test_exchange_streams_chunks_with_back_pressure),
        TEST(test_exchange_refuses_to_queue_without_end_for_a_client_that_does_not_read),
        TEST(test_exchange_ends_a_stream_to_http_1_0_with_the_connection),
        TEST(test_exchange_sends_no_body_of_a_stream_to_head),
        TEST(test_exchange_tells_a_stream_that_its_client_left),
        TEST(test_exchange_cancelled_in_a_stream_cuts_the_connection),
        TEST(test_exchange_sends_large_bodies_whole_however_the_client_reads),
        TEST(test_exchange_stops_delivering_a_body_while_paused),
        TEST(test_exchange_keeps_the_last_word_of_a_body_from_who_paused_at_its_end),
        TEST(test_exchange_goes_on_when_who_paused_at_the_end_answers),
        TEST(test_exchange_holds_an_empty_body_back_from_who_paused),
        TEST(test_exchange_does_not_time_a_body_while_paused),
        TEST(test_exchange_times_a_body_that_was_paused_when_its_answer_is_out),
        TEST(test_exchange_aborts_a_streamed_body_that_ends_too_early),
        TEST(test_exchange_never_runs_a_whole_body_that_ends_too_early),
        TEST(test_exchange_holds_little_for_a_body_that_was_only_announced),
        TEST(test_exchange_refuses_a_body_that_comes_too_slowly),
        TEST(test_exchange_bears_with_a_body_that_keeps_its_rate),
        TEST(test_exchange_cuts_a_client_that_does_not_read_its_answer),
        TEST(test_exchange_says_close_to_what_is_answered_in_a_drain),
        TEST(test_exchange_that_streamed_into_a_drain_leaves_no_idle_connection),
        TEST(test_exchange_answered_early_before_a_drain_leaves_no_idle_connection),
        TEST(test_exchange_survives_the_failure_of_each_allocation),
        TEST(test_exchange_survives_without_any_more_memory),
        TEST(test_exchange_times_out_a_body_without_memory_for_the_refusal),
        TEST(test_exchange_keeps_what_a_request_refers_to_when_its_connection_breaks),
        TEST(test_exchange_keeps_its_memory_until_the_body_is_acknowledged),
        TEST(test_exchange_copies_a_long_body_once),
        TEST(test_exchange_last_body_of_a_connection_is_acknowledged_before_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
