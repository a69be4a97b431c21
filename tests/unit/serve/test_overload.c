// What a worker does as its connections or its memory run out, and how a request is refused.
#include "serve/overload.h"

#include "support/serve_world.h"

#define HELLO "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
#define BUSY_TEXT "503 Service Unavailable: overloaded\n"
#define BUSY_FIELDS \
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 36\r\nContent-Type: text/plain\r\n" \
    "Retry-After: 1\r\n"
#define BUSY BUSY_FIELDS T_DATE "\r\n" BUSY_TEXT
#define BUSY_LAST BUSY_FIELDS "Connection: close\r\n" T_DATE "\r\n" BUSY_TEXT
#define MEMORY_MAX 1000000u
#define SCHEDSTAT 4711

static struct t_serve serve;
static struct t_world *const world = &serve.world;
static struct cv_overload *const overload = &serve.http1.overload;
static size_t live_bytes;
static int listener;

uint64_t __wrap_cv_clock_monotonic_ns(void);

uint64_t __wrap_cv_clock_monotonic_ns(void) {
    return world->clock.now_ns;
}

// How long the thread has waited for a processor, and how often that was read.
static uint64_t waited_ns;
static unsigned waited_reads;

uint64_t __wrap_cv_schedstat_waited_ns(int descriptor);

uint64_t __wrap_cv_schedstat_waited_ns(int descriptor) {
    assert_int_equal(descriptor, SCHEDSTAT);
    waited_reads++;
    return waited_ns;
}

static int set_up(void **state) {
    (void)state;
    waited_ns = waited_reads = 0;
    t_serve_init(&serve);
    world->limits.connections_max = 100;
    world->limits.idle_timeout_ms = 60000;
    world->limits.header_timeout_ms = 60000;
    cv_net_set_limits(&world->net, &world->limits);
    listener = t_ring_socket(world->ring);
    assert_int_equal(cv_listener_open_all(&world->net, &listener, 1), 0);
    cv_overload_init(overload, &world->net, MEMORY_MAX, SCHEDSTAT);
    live_bytes = 0;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cv_wheel_stop(&world->wheel, &overload->timer);
    t_serve_deinit(&serve);
    return 0;
}

static void turn(void) {
    t_world_settle(world);
    if (cv_overload_end_turn(overload, live_bytes)) {
        cv_overload_on_echo(overload);
    }
}

static void wait_ms(uint32_t ms) {
    for (; ms > 0; ms -= CV_MIN(ms, 50u)) {
        t_world_wait(world, CV_MIN(ms, 50u));
        turn();
    }
}

static uint64_t gauge(enum covet_counter counter) {
    return t_counter(world, counter);
}

static void ask(int client, const char *text, const char *answer) {
    t_serve_forget_output(&serve, client);
    t_serve_send(&serve, client, text);
    assert_string_equal(t_serve_output(&serve, client), answer);
}

static int clients[200];

static void open_some(uint32_t from, uint32_t count) {
    for (uint32_t i = from; i < from + count; i++) {
        clients[i] = t_world_open(world);
        t_serve_send(&serve, clients[i], HELLO);
    }
    turn();
}

static void close_some(uint32_t from, uint32_t count) {
    for (uint32_t i = from; i < from + count; i++) {
        t_client_end(world->ring, clients[i]);
    }
    turn();
}

static bool is_accepting(void) {
    struct t_operation *accept = &t_ring_at(world->ring, listener)->accept;
    return accept->is_armed && !accept->is_cancelled;
}

static void complete_accept(void) {
    struct t_operation *accept = &t_ring_at(world->ring, listener)->accept;
    struct cv_completion completion = {accept->user_data, -ECANCELED, CV_RING_NO_BUFFER, false,
                                       false};
    accept->is_armed = false;
    cv_listener_complete(&world->net, &completion);
}

static void test_overload_enters_and_leaves_each_level_of_connections(void **state) {
    static const struct {
        uint32_t open;
        uint32_t percent;
    } steps[] = {{84, 0},  {85, 85}, {91, 85}, {92, 92}, {94, 92}, {95, 95}, {100, 95}, {92, 95},
                 {91, 92}, {89, 92}, {88, 85}, {82, 85}, {81, 0},  {84, 0},  {85, 85},  {0, 0}};
    (void)state;
    uint32_t open = 0;
    for (size_t i = 0; i < CV_ARRAY_COUNT(steps); i++) {
        if (steps[i].open > open) {
            open_some(open, steps[i].open - open);
        } else {
            close_some(steps[i].open, open - steps[i].open);
        }
        open = steps[i].open;
        if (gauge(COVET_COUNTER_OVERLOAD_CONNECTIONS) != steps[i].percent) {
            fail_msg("with %u: %lu", open, gauge(COVET_COUNTER_OVERLOAD_CONNECTIONS));
        }
    }
    assert_int_equal(gauge(COVET_COUNTER_OVERLOADS_85), 2);
    assert_int_equal(gauge(COVET_COUNTER_OVERLOADS_92), 1);
    assert_int_equal(gauge(COVET_COUNTER_OVERLOADS_95), 1);
    assert_int_equal(gauge(COVET_COUNTER_OVERLOAD_MEMORY), 0);
}

static void test_overload_measures_memory_the_same_way(void **state) {
    (void)state;
    live_bytes = MEMORY_MAX / 100 * 93;
    turn();
    assert_int_equal(gauge(COVET_COUNTER_OVERLOAD_MEMORY), 92);
    live_bytes = MEMORY_MAX;
    turn();
    assert_int_equal(gauge(COVET_COUNTER_OVERLOAD_MEMORY), 95);
    live_bytes = MEMORY_MAX / 2;
    turn();
    assert_int_equal(gauge(COVET_COUNTER_OVERLOAD_MEMORY), 0);
    assert_int_equal(gauge(COVET_COUNTER_OVERLOADS_85), 1);
}

static void test_overload_closes_the_longest_idle_until_there_is_room(void **state) {
    (void)state;
    open_some(0, 40);
    wait_ms(20000);
    open_some(40, 47);
    wait_ms(1000);
    // 87 of 100: those idle for 20 s go, in one look, as none idle for 30 s is there.
    assert_int_equal(world->net.open_count, 47);
    assert_int_equal(gauge(COVET_COUNTER_CLOSED_SPARED), 40);
    assert_int_equal(gauge(COVET_COUNTER_OVERLOAD_CONNECTIONS), 0);
    assert_true(t_serve_is_open(&serve, clients[40]));
    assert_false(t_serve_is_open(&serve, clients[39]));
}

static void test_overload_closes_nobody_who_was_heard_lately(void **state) {
    (void)state;
    open_some(0, 90);
    wait_ms(1900);
    assert_int_equal(world->net.open_count, 90);
    ask(clients[7], HELLO, strstr(t_serve_output(&serve, clients[7]), "HTTP"));
    wait_ms(300);
    assert_int_equal(world->net.open_count, 1);
    assert_true(t_serve_is_open(&serve, clients[7]));
}

static void test_overload_spares_connections_with_something_to_do(void **state) {
    (void)state;
    int half = t_world_open(world);
    t_serve_send(&serve, half, "GET /hel");
    int deferred = t_world_open(world);
    t_serve_send(&serve, deferred, "GET /defer HTTP/1.1\r\nHost: a\r\n\r\n");
    int silent = t_world_open(world);
    open_some(0, 87);
    wait_ms(4000);
    assert_true(t_serve_is_open(&serve, half));
    assert_true(t_serve_is_open(&serve, deferred));
    assert_false(t_serve_is_open(&serve, silent));
    assert_int_equal(world->net.open_count, 2);
    (void)covet_response_text(covet_request_response(t_app.kept[0]), "late");
    t_world_settle(world);
    assert_non_null(strstr(t_serve_output(&serve, deferred), "late"));
}

static void test_overload_ends_connections_with_their_answers_at_92_percent(void **state) {
    (void)state;
    open_some(0, 92);
    t_serve_forget_output(&serve, clients[0]);
    t_serve_send(&serve, clients[0], HELLO);
    assert_non_null(strstr(t_serve_output(&serve, clients[0]), "200 OK"));
    assert_non_null(strstr(t_serve_output(&serve, clients[0]), "Connection: close\r\n"));
    assert_true(is_accepting());
    t_client_end(world->ring, clients[0]);
    turn();
    assert_int_equal(gauge(COVET_COUNTER_CLOSED_OVERLOAD), 1);
    close_some(1, 20);
    ask(clients[30], HELLO,
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n" T_DATE "\r\nhello");
}

static void test_overload_refuses_and_stops_accepting_at_95_percent(void **state) {
    (void)state;
    open_some(0, 94);
    int deferred = t_world_open(world);
    t_serve_send(&serve, deferred, "GET /defer HTTP/1.1\r\nHost: a\r\n\r\n");
    turn();
    uint32_t handled = t_app.handler_count;
    assert_false(is_accepting());
    complete_accept();
    assert_false(is_accepting());
    ask(clients[0], HELLO, BUSY_LAST);
    assert_int_equal(t_app.handler_count, handled);
    assert_int_equal(gauge(COVET_COUNTER_REFUSED_LIMIT), 1);
    // What was asked before is answered.
    (void)covet_response_text(covet_request_response(t_app.kept[0]), "late");
    t_world_settle(world);
    assert_non_null(strstr(t_serve_output(&serve, deferred), "late"));
    t_client_end(world->ring, clients[0]);
    t_client_end(world->ring, deferred);
    turn();
    assert_false(is_accepting());
    close_some(1, 2);
    assert_true(is_accepting());
    assert_int_equal(gauge(COVET_COUNTER_ACCEPT_PAUSES), 1);
}

static void test_overload_of_memory_refuses_too(void **state) {
    (void)state;
    int client = t_world_open(world);
    live_bytes = MEMORY_MAX;
    turn();
    ask(client, HELLO, BUSY_LAST);
    live_bytes = 0;
    turn();
    ask(t_world_open(world), HELLO,
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n" T_DATE "\r\nhello");
}

static void test_overload_serves_requests_of_a_full_small_server(void **state) {
    (void)state;
    world->limits.connections_max = 2;
    cv_net_set_limits(&world->net, &world->limits);
    open_some(0, 2);
    assert_int_equal(gauge(COVET_COUNTER_OVERLOAD_CONNECTIONS), 95);
    assert_false(is_accepting());
    t_serve_forget_output(&serve, clients[0]);
    t_serve_send(&serve, clients[0], HELLO);
    assert_non_null(strstr(t_serve_output(&serve, clients[0]), "200 OK"));
}

// How a request is refused.
static void shed_all(void) {
    overload->shed = (struct cv_shed){.is_on = true, .is_spent = true};
    overload->refuses = true;
}

static const struct {
    const char *name;
    const char *request;
    const char *answer;
    bool stays;
} refused[] = {
    {"without a body", HELLO, BUSY, true},
    {"HEAD", "HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n", BUSY_FIELDS T_DATE "\r\n", true},
    {"with a body", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", BUSY, true},
    {"pipelined", HELLO HELLO, BUSY BUSY, true},
    {"pipelined behind a body",
     "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" HELLO, BUSY BUSY, true},
    {"a last one", "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", BUSY_LAST, false},
    {"HTTP/1.0", "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", BUSY_LAST, false},
    {"chunked",
     "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
     BUSY_LAST, false},
    {"a long body", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\nhello",
     BUSY_LAST, false},
    {"a body to be asked for",
     "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
     BUSY_LAST, false},
    {"CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", BUSY_LAST, false},
};

static void test_overload_keeps_the_connection_where_framing_is_certain(void **state) {
    (void)state;
    shed_all();
    for (size_t i = 0; i < CV_ARRAY_COUNT(refused); i++) {
        int client = t_world_open(world);
        t_serve_send(&serve, client, refused[i].request);
        if (strcmp(t_serve_output(&serve, client), refused[i].answer) != 0) {
            fail_msg("%s: %s", refused[i].name, t_serve_output(&serve, client));
        }
        struct cv_conn *conn = t_world_conn(world, client);
        if ((conn != NULL && conn->state == CV_CONN_OPEN) != refused[i].stays) {
            fail_msg("%s: stays: %d", refused[i].name, refused[i].stays);
        }
        t_client_end(world->ring, client);
        t_world_settle(world);
    }
    assert_int_equal(t_app.handler_count, 0);
    assert_int_equal(gauge(COVET_COUNTER_REFUSED_LAG), 13);
    assert_int_equal(gauge(COVET_COUNTER_RESPONSES_5XX), 13);
}

// The rest of a refused body is no request, wherever it is cut.
static void test_overload_drops_the_rest_of_a_body(void **state) {
    static const char text[] =
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 32\r\n\r\n" HELLO HELLO;
    (void)state;
    assert_int_equal(strlen(HELLO), 32);
    for (size_t cut = 1; cut < sizeof(text) - 1; cut++) {
        int client = t_world_open(world);
        shed_all();
        t_client_send(world->ring, client, text, cut);
        t_world_settle(world);
        t_client_send(world->ring, client, text + cut, sizeof(text) - 1 - cut);
        t_world_settle(world);
        assert_string_equal(t_serve_output(&serve, client), BUSY BUSY);
        t_client_end(world->ring, client);
        t_world_settle(world);
    }
}

static void test_overload_times_a_body_out_that_does_not_come(void **state) {
    (void)state;
    shed_all();
    int client = t_world_open(world);
    ask(client, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 32\r\n\r\n1", BUSY);
    t_world_wait(world, 11000);
    assert_false(t_serve_is_open(&serve, client));
    assert_int_equal(gauge(COVET_COUNTER_CLOSED_BODY), 1);
}

static void test_overload_answers_in_order_what_is_shed_behind_what_is_not(void **state) {
    (void)state;
    int client = t_world_open(world);
    overload->shed = (struct cv_shed){.is_on = true, .begin_ns = world->clock.now_ns};
    overload->refuses = true;
    overload->shed.admitted = CV_SHED_REQUESTS_MIN - 1;
    world->limits.lag_max_ms = 0;  // No time at all.
    t_serve_send(&serve, client, HELLO HELLO HELLO);
    const char *output = t_serve_output(&serve, client);
    assert_int_equal(t_app.handler_count, 1);
    assert_non_null(strstr(output, "\r\n\r\nhello" BUSY BUSY));
}

static void test_overload_writes_refused_requests_to_the_log(void **state) {
    (void)state;
    serve.http1.access.enabled = true;
    shed_all();
    ask(t_world_open(world), HELLO, BUSY);
    t_bytes_append(&serve.log, "", 1);
    assert_non_null(strstr((const char *)serve.log.data, "\"GET /hello HTTP/1.1\" 503 36"));
}

static void test_overload_turns_connections_away_when_none_may_be_opened(void **state) {
    (void)state;
    world->net.openings_left = 1;
    int first = t_world_open(world);
    int second = t_world_open(world);
    assert_true(t_serve_is_open(&serve, first));
    assert_false(t_serve_is_open(&serve, second));
    assert_int_equal(world->net.turned_away, 1);
    assert_int_equal(gauge(COVET_COUNTER_CLOSED_OVERLOAD), 1);
    cv_overload_on_echo(overload);
    assert_true(t_serve_is_open(&serve, t_world_open(world)));
}

// The lag.
static void wait_for_echo(int client, uint64_t handlers_ns) {
    t_serve_send(&serve, client, HELLO);
    assert_int_equal(cv_overload_end_turn(overload, 0), true);
    for (int k = 0; k < 9; k++) {
        t_serve_send(&serve, client, HELLO);
    }
    cv_clock_set(&world->clock, world->clock.now_ns + handlers_ns, T_REALTIME_S);
    overload->net->stats->handler_time.sum_ns += handlers_ns;
    cv_overload_on_echo(overload);
}

static void test_overload_asks_for_stolen_time_only_where_an_echo_is_late(void **state) {
    (void)state;
    int client = t_world_open(world);
    for (int i = 0; i < 10; i++) {
        wait_for_echo(client, 40000000);
    }
    assert_int_equal(waited_reads, 0);
    for (int i = 0; i < 10; i++) {
        waited_ns += 15000000;
        wait_for_echo(client, 60000000);
    }
    turn();
    assert_int_equal(waited_reads, 10);
    assert_false(overload->refuses);
}

static void test_overload_sheds_for_lag_and_tells_so(void **state) {
    (void)state;
    int client = t_world_open(world);
    for (int i = 0; i < 3; i++) {
        wait_for_echo(client, 60000000);
    }
    turn();
    assert_true(overload->refuses);
    assert_int_equal(gauge(COVET_COUNTER_SHEDDING), 1);
    assert_int_equal(gauge(COVET_COUNTER_OVERLOADS_LAG), 1);
    assert_int_not_equal(world->net.openings_left, UINT32_MAX);
    // Its end needs no request.
    wait_ms(2000);
    assert_false(overload->refuses);
    assert_int_equal(gauge(COVET_COUNTER_SHEDDING), 0);
    assert_int_equal(world->net.openings_left, UINT32_MAX);
    assert_false(cv_timer_armed(&overload->timer));
}

#define OVERLOAD_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        OVERLOAD_TEST(test_overload_enters_and_leaves_each_level_of_connections),
        OVERLOAD_TEST(test_overload_measures_memory_the_same_way),
        OVERLOAD_TEST(test_overload_closes_the_longest_idle_until_there_is_room),
        OVERLOAD_TEST(test_overload_closes_nobody_who_was_heard_lately),
        OVERLOAD_TEST(test_overload_spares_connections_with_something_to_do),
        OVERLOAD_TEST(test_overload_ends_connections_with_their_answers_at_92_percent),
        OVERLOAD_TEST(test_overload_refuses_and_stops_accepting_at_95_percent),
        OVERLOAD_TEST(test_overload_of_memory_refuses_too),
        OVERLOAD_TEST(test_overload_serves_requests_of_a_full_small_server),
        OVERLOAD_TEST(test_overload_keeps_the_connection_where_framing_is_certain),
        OVERLOAD_TEST(test_overload_drops_the_rest_of_a_body),
        OVERLOAD_TEST(test_overload_times_a_body_out_that_does_not_come),
        OVERLOAD_TEST(test_overload_answers_in_order_what_is_shed_behind_what_is_not),
        OVERLOAD_TEST(test_overload_writes_refused_requests_to_the_log),
        OVERLOAD_TEST(test_overload_turns_connections_away_when_none_may_be_opened),
        OVERLOAD_TEST(test_overload_asks_for_stolen_time_only_where_an_echo_is_late),
        OVERLOAD_TEST(test_overload_sheds_for_lag_and_tells_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
