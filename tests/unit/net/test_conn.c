// The life of a connection on a ring without a kernel: completions in every order, short sends,
// want of buffers, deadlines on a clock that stands still, and a long random walk that must leave
// nothing.
#include "net/conn.h"

#include "support/net_world.h"

#include <stdio.h>
#include <time.h>

#define PROBES_MAX 4096u
#define MIB (1024u * 1024u)

enum where {
    ON_OPEN,
    ON_INPUT,
    ON_HALF_CLOSE,
    ON_END,
    ON_OUTPUT,
    ON_READ_TIMEOUT,
    ON_DRAIN,
    ON_CLOSE,
    WHERE_COUNT
};

// What a connection's protocol saw and does.
struct probe {
    struct cv_conn *conn;
    uint32_t calls[WHERE_COUNT];
    struct t_bytes got;
    size_t step_bytes;     // Of input, used up per call; 0: all.
    bool yields;           // After each step.
    bool finishes_at_end;  // As a protocol should.
    void (*act)(struct probe *probe, enum where where);
};

static struct t_world state_of_world;
static struct t_world *const world = &state_of_world;
static struct probe probes[PROBES_MAX];
static uint32_t probe_count;
static struct probe next_probe;  // How the next connection's begins.

static void see(struct cv_conn *conn, enum where where) {
    struct probe *probe = conn->protocol;
    probe->calls[where]++;
    assert_int_equal(probe->calls[ON_CLOSE], where == ON_CLOSE ? 1 : 0);
    if (probe->act != NULL) {
        probe->act(probe, where);
    }
}

static void on_open(struct cv_conn *conn) {
    assert_true(probe_count < PROBES_MAX);
    struct probe *probe = &probes[probe_count++];
    *probe = next_probe;
    probe->conn = conn;
    conn->protocol = probe;
    see(conn, ON_OPEN);
}

static size_t on_input(struct cv_conn *conn, const uint8_t *data, size_t length) {
    struct probe *probe = conn->protocol;
    size_t used = probe->step_bytes == 0 ? length : CV_MIN(length, probe->step_bytes);
    assert_true(length > 0);
    t_bytes_append(&probe->got, data, used);
    see(conn, ON_INPUT);
    if (conn->state == CV_CONN_OPEN && probe->yields && used < length) {
        cv_conn_yield(conn);
    }
    return used;
}

static void on_half_close(struct cv_conn *conn) {
    see(conn, ON_HALF_CLOSE);
}

static void on_end(struct cv_conn *conn) {
    struct probe *probe = conn->protocol;
    see(conn, ON_END);
    if (probe->finishes_at_end) {
        cv_conn_finish(conn, COVET_COUNTER_CLOSED_CLIENT, false);
    }
}

static void on_output(struct cv_conn *conn) {
    see(conn, ON_OUTPUT);
}

static void on_read_timeout(struct cv_conn *conn) {
    see(conn, ON_READ_TIMEOUT);
}

static void on_drain(struct cv_conn *conn) {
    see(conn, ON_DRAIN);
}

static void on_close(struct cv_conn *conn) {
    see(conn, ON_CLOSE);
}

static const struct cv_conn_ops ops = {
    on_open, on_input, on_half_close, on_end, on_output, on_read_timeout, on_drain, on_close,
};

static void forget_probes(void) {
    for (uint32_t i = 0; i < probe_count; i++) {
        free(probes[i].got.data);
    }
    probe_count = 0;
    next_probe = (struct probe){.finishes_at_end = true};
}

static int set_up(void **state) {
    (void)state;
    forget_probes();
    t_world_init(world, &ops, 16);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    t_world_deinit(world);
    for (uint32_t i = 0; i < probe_count; i++) {
        assert_int_equal(probes[i].calls[ON_CLOSE], 1);
    }
    forget_probes();
    return 0;
}

static void send_text(int client, const char *text) {
    t_client_send(world->ring, client, text, strlen(text));
    t_world_settle(world);
}

static uint8_t pattern(size_t at) {
    return (uint8_t)((at * 2654435761u) >> 13);
}

static void assert_pattern(const struct t_bytes *bytes, size_t length) {
    assert_int_equal(bytes->length, length);
    for (size_t i = 0; i < length; i++) {
        if (bytes->data[i] != pattern(i)) {
            fail_msg("byte %zu of %zu is not in its place", i, length);
        }
    }
}

static struct t_socket *socket_of(int client) {
    return t_ring_at(world->ring, client);
}

static void queue_copy(struct cv_conn *conn, const void *data, size_t length) {
    struct cv_outq *outq = cv_conn_output(conn);
    assert_non_null(outq);
    assert_int_equal(cv_outq_copy(outq, &world->pool, cv_span_make(data, length)), 0);
    cv_conn_flush(conn);
}

static void test_conn_gives_its_protocol_what_arrives(void **state) {
    (void)state;
    int client = t_world_open(world);
    send_text(client, "one ");
    send_text(client, "two");
    assert_int_equal(probes[0].calls[ON_INPUT], 2);
    assert_int_equal(probes[0].got.length, 7);
    assert_memory_equal(probes[0].got.data, "one two", 7);
    assert_int_equal(world->ring->receives, 1);
    assert_int_equal(cv_pool_live_bytes(&world->pool), 0);
}

static void test_conn_keeps_what_was_not_used(void **state) {
    (void)state;
    next_probe.step_bytes = 3;
    int client = t_world_open(world);
    send_text(client, "abcde");
    assert_int_equal(probes[0].got.length, 3);
    send_text(client, "f");
    assert_int_equal(probes[0].got.length, 6);
    assert_memory_equal(probes[0].got.data, "abcdef", 6);
    assert_int_equal(cv_pool_live_bytes(&world->pool), 0);
}

static void test_conn_yields_to_others_between_steps(void **state) {
    (void)state;
    next_probe.step_bytes = 1;
    next_probe.yields = true;
    int first = t_world_open(world), second = t_world_open(world);
    t_client_send(world->ring, first, "aaaaaaaa", 8);
    t_client_send(world->ring, second, "b", 1);
    t_world_turn(world);
    assert_int_equal(probes[1].got.length, 1);
    assert_true(probes[0].got.length < 8);
    t_world_settle(world);
    assert_int_equal(probes[0].got.length, 8);
}

static void test_conn_takes_data_of_a_receive_that_ends_and_arms_again(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_world_complete(world, t_ring_received(world->ring, client, "last", 4, false));
    assert_int_equal(probes[0].got.length, 4);
    assert_true(socket_of(client)->receive.is_armed);
    assert_true(socket_of(client)->receive.is_poll_first);
    assert_int_equal(world->ring->receives, 2);
    static const int32_t harmless[] = {-EINTR, -EAGAIN, -ECANCELED};
    for (size_t i = 0; i < CV_ARRAY_COUNT(harmless); i++) {
        t_world_complete(world, t_ring_receive_ended(world->ring, client, harmless[i]));
        assert_true(socket_of(client)->receive.is_armed);
    }
}

static void test_conn_starves_in_order_and_goes_on_when_buffers_are_back(void **state) {
    (void)state;
    int client[40];
    uint32_t held[16];
    for (uint32_t i = 0; i < CV_ARRAY_COUNT(client); i++) {
        client[i] = t_world_open(world);
    }
    // All buffers are with somebody else; every client sends.
    for (uint32_t i = 0; i < 16; i++) {
        held[i] = i;
        world->ring->holders[i] = 1;
        world->ring->lent++;
    }
    for (uint32_t i = 0; i < CV_ARRAY_COUNT(client); i++) {
        t_client_send(world->ring, client[i], "data", 4);
    }
    t_world_settle(world);
    uint64_t receives = world->ring->receives;
    t_world_settle(world);
    assert_int_equal(world->ring->receives, receives);  // No busy loop meanwhile.
    for (uint32_t i = 0; i < CV_ARRAY_COUNT(client); i++) {
        assert_false(socket_of(client[i])->receive.is_armed);
        assert_true(socket_of(client[i])->is_open);
    }
    assert_int_equal(t_counter(world, COVET_COUNTER_BUFFERS_STARVED), CV_ARRAY_COUNT(client));
    cv_ring_give_back(world->ring, held[0]);
    (void)cv_net_run(&world->net);
    // Each waits for data before it takes the buffer, so all may try; the first may have nothing.
    for (uint32_t i = 0; i < CV_ARRAY_COUNT(client); i++) {
        assert_true(socket_of(client[i])->receive.is_armed);
        assert_true(socket_of(client[i])->receive.is_poll_first);
    }
    t_world_settle(world);
    for (uint32_t i = 0; i < CV_ARRAY_COUNT(client); i++) {
        assert_int_equal(probes[i].got.length, 4);
    }
    for (uint32_t i = 1; i < 16; i++) {
        cv_ring_give_back(world->ring, held[i]);
    }
    t_world_settle(world);
    for (uint32_t i = 0; i < CV_ARRAY_COUNT(client); i++) {
        assert_int_equal(probes[i].got.length, 4);
        assert_true(socket_of(client[i])->receive.is_armed);
    }
    assert_int_equal(world->net.starved_head, 0);
}

static void test_conn_that_starves_is_not_silent(void **state) {
    (void)state;
    int client = t_world_open(world);
    cv_conn_set_read_timeout(probes[0].conn, 1000);
    for (uint32_t i = 0; i < 16; i++) {
        world->ring->holders[i] = 1;
        world->ring->lent++;
    }
    t_world_wait(world, 900);
    t_client_send(world->ring, client, "data", 4);
    t_world_settle(world);
    t_world_wait(world, 5000);
    assert_int_equal(probes[0].calls[ON_READ_TIMEOUT], 0);
    assert_int_equal(probes[0].got.length, 0);
    cv_ring_give_back(world->ring, 0);
    t_world_settle(world);
    assert_int_equal(probes[0].got.length, 4);
    t_world_wait(world, 200);
    assert_int_equal(probes[0].calls[ON_READ_TIMEOUT], 1);
    for (uint32_t i = 1; i < 16; i++) {
        cv_ring_give_back(world->ring, i);
    }
}

static void test_conn_may_be_closed_while_it_starves(void **state) {
    (void)state;
    int client[3];
    for (uint32_t i = 0; i < 3; i++) {
        client[i] = t_world_open(world);
        t_world_complete(world, t_ring_receive_ended(world->ring, client[i], -ENOBUFS));
    }
    cv_conn_close(probes[1].conn, COVET_COUNTER_CLOSED_SERVER);
    t_world_settle(world);
    assert_int_equal(world->net.open_count, 2);
    assert_true(socket_of(client[0])->receive.is_armed);
    assert_true(socket_of(client[2])->receive.is_armed);
}

static void test_conn_stops_receiving_what_nobody_reads_and_goes_on_later(void **state) {
    (void)state;
    static uint8_t bytes[MIB];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = pattern(i);
    }
    int client = t_world_open(world);
    size_t half = sizeof(bytes) / 2;
    for (size_t taken = 0; taken < sizeof(bytes); taken += half) {  // The second time as well.
        cv_conn_pause(probes[0].conn);
        t_client_send(world->ring, client, bytes + taken, half);
        t_world_settle(world);
        assert_false(socket_of(client)->receive.is_armed);
        assert_in_range(socket_of(client)->input_taken, taken + CV_CONN_INPUT_BYTES_MAX,
                        taken + CV_CONN_INPUT_BYTES_MAX + 2 * CV_RING_BUFFER_BYTES);
        assert_int_equal(probes[0].got.length, taken);
        cv_conn_resume(probes[0].conn);
        t_world_settle(world);
        assert_pattern(&probes[0].got, taken + half);
        assert_true(socket_of(client)->receive.is_armed);
    }
    assert_int_equal(cv_pool_live_bytes(&world->pool), 0);
}

static void test_conn_asks_for_bundles_once_more_comes_than_a_buffer_holds(void **state) {
    static const struct {
        bool bundles;
        size_t bytes;
        bool is_bundle;
    } cases[] = {
        {true, CV_RING_BUFFER_BYTES - 1, false},
        {true, CV_RING_BUFFER_BYTES, true},
        {false, CV_RING_BUFFER_BYTES, false},
    };
    static uint8_t bytes[CV_RING_BUFFER_BYTES];
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        world->ring->features.bundles = cases[i].bundles;
        int client = t_world_open(world);
        uint64_t cancels = world->ring->cancels;
        for (int times = 0; times < 3; times++) {
            t_client_send(world->ring, client, bytes, cases[i].bytes);
            t_world_settle(world);
            assert_true(socket_of(client)->receive.is_armed);
            assert_int_equal(socket_of(client)->receive.bundle_bytes,
                             cases[i].is_bundle ? CV_CONN_INPUT_BYTES_MAX : 0);
        }
        assert_int_equal(world->ring->cancels - cancels, cases[i].is_bundle ? 1 : 0);
        assert_int_equal(probes[i].got.length, 3 * cases[i].bytes);
    }
}

static void test_conn_tells_the_end_behind_the_data(void **state) {
    (void)state;
    next_probe.step_bytes = 3;
    int client = t_world_open(world);
    cv_conn_pause(probes[0].conn);
    t_client_send(world->ring, client, "abcdefgh", 8);
    t_client_end(world->ring, client);
    t_world_settle(world);
    assert_int_equal(probes[0].calls[ON_HALF_CLOSE], 1);
    assert_int_equal(probes[0].calls[ON_END], 0);
    cv_conn_resume(probes[0].conn);
    t_world_settle(world);
    assert_int_equal(probes[0].calls[ON_END], 1);
    assert_int_equal(probes[0].got.length, 3);
    assert_false(socket_of(client)->is_open);
    assert_int_equal(t_counter(world, COVET_COUNTER_CLOSED_CLIENT), 1);
    t_world_assert_empty(world);
}

static void test_conn_reset_closes_it(void **state) {
    (void)state;
    int client = t_world_open(world);
    t_client_send(world->ring, client, "data", 4);
    t_client_reset(world->ring, client);
    t_world_settle(world);
    assert_int_equal(probes[0].got.length, 4);
    assert_int_equal(t_counter(world, COVET_COUNTER_CLOSED_RESET), 1);
    t_world_assert_empty(world);
}

static uint32_t released;

static void on_release(void *context) {
    (void)context;
    released++;
}

static void test_conn_sends_every_byte_once_and_in_order(void **state) {
    (void)state;
    static uint8_t bytes[MIB];
    uint32_t seed = 11, references = 0;
    size_t queued = 0;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = pattern(i);
    }
    released = 0;
    int client = t_world_open(world);
    struct cv_conn *conn = probes[0].conn;
    socket_of(client)->window = 0;
    for (uint32_t turns = 0; queued < sizeof(bytes) || cv_conn_queued(conn) > 0; turns++) {
        assert_true(turns < 100000);
        seed = seed * 1664525u + 1013904223u;
        if (queued < sizeof(bytes)) {
            size_t part = CV_MIN(1 + (seed >> 8) % 20000, sizeof(bytes) - queued);
            struct cv_span span = cv_span_make((const char *)bytes + queued, part);
            struct cv_outq *outq = cv_conn_output(conn);
            if ((seed >> 30) == 0) {
                assert_int_equal(cv_outq_reference(outq, &world->pool, span, on_release, NULL), 0);
                references++;
            } else {
                assert_int_equal(cv_outq_copy(outq, &world->pool, span), 0);
            }
            cv_conn_flush(conn);
            queued += part;
        }
        socket_of(client)->window += (seed >> 12) % 9000;
        t_world_settle(world);
    }
    assert_pattern(&socket_of(client)->output, sizeof(bytes));
    assert_int_equal(released, references);
    assert_true(references > 10);
    assert_int_equal(t_counter(world, COVET_COUNTER_SENT_BYTES), sizeof(bytes));
    assert_int_equal(cv_pool_live_bytes(&world->pool), 0);
}

static void test_conn_sends_all_answers_of_a_turn_at_once(void **state) {
    (void)state;
    int client = t_world_open(world);
    for (int i = 0; i < 10; i++) {
        queue_copy(probes[0].conn, "answer ", 7);
    }
    t_world_settle(world);
    assert_int_equal(world->ring->sends, 1);
    assert_int_equal(socket_of(client)->output.length, 70);
}

static void answer_much(struct probe *probe, enum where where) {
    static const char answer[600];
    if (where == ON_INPUT) {
        queue_copy(probe->conn, answer, sizeof(answer));
    }
}

// Each request finds the quiet send of the answer before it on its way.
static void test_conn_puts_an_answer_where_the_last_one_was(void **state) {
    (void)state;
    next_probe.act = answer_much;
    int client = t_world_open(world);
    for (size_t i = 1; i <= 50; i++) {
        send_text(client, "?");
        assert_int_equal(socket_of(client)->output.length, i * 600);
        assert_int_equal(cv_pool_live_bytes(&world->pool), 1024 + 128);
    }
}

static void test_conn_goes_on_after_a_send_found_no_room(void **state) {
    (void)state;
    int client = t_world_open(world);
    socket_of(client)->window = 0;
    queue_copy(probes[0].conn, "abc", 3);
    t_world_settle(world);
    assert_true(socket_of(client)->send.is_armed);
    assert_int_not_equal(socket_of(client)->send.mode, CV_RING_SEND_QUIET);
    queue_copy(probes[0].conn, "def", 3);
    t_world_settle(world);
    assert_int_equal(socket_of(client)->output.length, 0);
    socket_of(client)->window = SIZE_MAX;
    t_world_settle(world);
    assert_int_equal(socket_of(client)->output.length, 6);
    assert_memory_equal(socket_of(client)->output.data, "abcdef", 6);
    t_world_settle(world);  // The worker's next turn, whatever wakes it.
    assert_int_equal(cv_pool_live_bytes(&world->pool), 0);
}

// Queues one byte more as soon as input comes in the turn in which a send completed.
static void answer_input(struct probe *probe, enum where where) {
    if (where == ON_INPUT) {
        queue_copy(probe->conn, "!", 1);
    }
}

static void test_conn_sends_what_is_queued_in_the_turn_of_a_send_completion(void **state) {
    (void)state;
    static uint8_t big[100000];
    next_probe.act = answer_input;
    int client = t_world_open(world);
    socket_of(client)->window = 0;
    queue_copy(probes[0].conn, big, sizeof(big));
    t_world_settle(world);
    assert_true(socket_of(client)->send.is_armed);
    // A long send completes but for a short tail, and a request arrives right behind that.
    size_t flight = t_operation_bytes(&socket_of(client)->send);
    queue_copy(probes[0].conn, "tail", 4);
    t_world_settle(world);
    socket_of(client)->window = SIZE_MAX;
    t_world_complete(world, t_ring_sent(world->ring, client, (int32_t)flight));
    t_world_complete(world, t_ring_received(world->ring, client, "x", 1, true));
    world->has_more = cv_net_run(&world->net);
    t_world_submit(world);
    while (world->has_more || t_ring_wakes(world->ring)) {
        t_world_turn(world);
    }
    // Nothing wakes the worker any more: all of it must be out.
    assert_int_equal(socket_of(client)->output.length, sizeof(big) + 4 + 1);
}

static void test_conn_cuts_a_peer_that_does_not_read(void **state) {
    (void)state;
    int client = t_world_open(world);
    socket_of(client)->window = 0;
    queue_copy(probes[0].conn, "abc", 3);
    t_world_wait(world, world->limits.write_timeout_ms - 100);
    assert_true(socket_of(client)->is_open);
    t_world_wait(world, 200);
    assert_false(socket_of(client)->is_open);
    assert_true(socket_of(client)->resets_on_close);
    assert_int_equal(t_counter(world, COVET_COUNTER_CLOSED_WRITE), 1);
    t_world_assert_empty(world);
}

// A client whose half is closed, and who has not read the answer yet.
static int open_ended(const uint8_t *bytes, size_t count, bool ends_first) {
    next_probe.finishes_at_end = false;
    int client = t_world_open(world);
    socket_of(client)->window = 0;
    if (ends_first) {
        t_client_end(world->ring, client);
        t_world_settle(world);
    }
    queue_copy(probes[0].conn, bytes, count);
    t_world_settle(world);
    if (!ends_first) {
        assert_true(socket_of(client)->send.is_armed);
        t_client_end(world->ring, client);
        t_world_settle(world);
    }
    return client;
}

static void test_conn_no_send_waits_for_a_peer_that_has_ended(void **state) {
    (void)state;
    static uint8_t bytes[300000];
    static const bool orders[] = {false, true};
    for (size_t i = 0; i < CV_ARRAY_COUNT(orders); i++) {
        forget_probes();
        for (size_t at = 0; at < sizeof(bytes); at++) {
            bytes[at] = pattern(at);
        }
        int client = open_ended(bytes, sizeof(bytes), orders[i]);
        struct t_socket *socket = socket_of(client);
        for (int wait = 0; wait < 20; wait++) {
            uint64_t sends = world->ring->sends;
            assert_false(socket->send.is_armed);
            t_world_wait(world, 64);
            // By timer, and no oftener: after a second of waiting not at each grain of it.
            assert_in_range(world->ring->sends - sends, wait < 7 ? 1 : 0, 2);
        }
        while (socket->output.length < sizeof(bytes)) {
            socket->window += 7000;
            t_world_wait(world, 64);
            assert_false(socket->send.is_armed);
        }
        assert_pattern(&socket->output, sizeof(bytes));
        cv_conn_finish(probes[0].conn, COVET_COUNTER_CLOSED_CLIENT, false);
        t_world_settle(world);
        t_world_assert_empty(world);
    }
}

static void test_conn_cuts_a_peer_that_has_ended_and_does_not_read(void **state) {
    (void)state;
    static uint8_t bytes[100000];
    int client = open_ended(bytes, sizeof(bytes), true);
    t_world_wait(world, world->limits.write_timeout_ms - 1200);
    assert_true(socket_of(client)->is_open);
    socket_of(client)->window = 1000;
    t_world_wait(world, world->limits.write_timeout_ms - 100);
    assert_true(socket_of(client)->is_open);
    t_world_wait(world, 1400);
    assert_false(socket_of(client)->is_open);
    assert_int_equal(t_counter(world, COVET_COUNTER_CLOSED_WRITE), 1);
    t_world_assert_empty(world);
}

static void test_conn_read_deadline_moves_without_touching_the_wheel(void **state) {
    (void)state;
    int client = t_world_open(world);
    struct cv_conn *conn = probes[0].conn;
    cv_conn_set_read_timeout(conn, 1000);
    assert_int_equal(world->wheel.count, 1);
    uint64_t armed_for = conn->timer.deadline_ms;
    for (int i = 0; i < 50; i++) {
        t_world_wait(world, 100);
        cv_conn_set_read_timeout(conn, 1000);
        assert_int_equal(world->wheel.count, 1);
        if (i < 9) {
            assert_int_equal(conn->timer.deadline_ms, armed_for);
        }
    }
    assert_int_equal(probes[0].calls[ON_READ_TIMEOUT], 0);
    t_world_wait(world, 980);
    assert_int_equal(probes[0].calls[ON_READ_TIMEOUT], 0);
    t_world_wait(world, 120);
    assert_int_equal(probes[0].calls[ON_READ_TIMEOUT], 1);
    cv_conn_set_read_timeout(conn, 50000);
    cv_conn_set_read_timeout(conn, 100);  // An earlier one is armed for at once.
    t_world_wait(world, 200);
    assert_int_equal(probes[0].calls[ON_READ_TIMEOUT], 2);
    cv_conn_set_read_timeout(conn, 100);
    cv_conn_set_read_timeout(conn, 0);
    t_world_wait(world, 1000);
    assert_int_equal(probes[0].calls[ON_READ_TIMEOUT], 2);
    assert_true(socket_of(client)->is_open);
}

static void test_conn_deadlines_work_across_the_turn_of_the_clock(void **state) {
    (void)state;
    // The low word of the milliseconds is about to wrap.
    cv_clock_set(&world->clock, ((1ull << 32) * 2000 - 500) * 1000000u, T_REALTIME_S);
    t_world_settle(world);
    (void)t_world_open(world);
    cv_conn_set_read_timeout(probes[0].conn, 1000);
    t_world_wait(world, 950);
    assert_int_equal(probes[0].calls[ON_READ_TIMEOUT], 0);
    t_world_wait(world, 150);
    assert_int_equal(probes[0].calls[ON_READ_TIMEOUT], 1);
}

static void test_conn_finishes_when_all_is_sent(void **state) {
    (void)state;
    int client = t_world_open(world);
    socket_of(client)->window = 0;
    queue_copy(probes[0].conn, "good bye", 8);
    cv_conn_finish(probes[0].conn, COVET_COUNTER_CLOSED_SERVER, false);
    t_client_send(world->ring, client, "ignored", 7);
    t_world_settle(world);
    assert_int_equal(probes[0].calls[ON_INPUT], 0);
    assert_int_equal(probes[0].calls[ON_CLOSE], 0);
    socket_of(client)->window = SIZE_MAX;
    t_world_settle(world);
    assert_memory_equal(socket_of(client)->output.data, "good bye", 8);
    assert_false(socket_of(client)->is_open);
    assert_int_equal(t_counter(world, COVET_COUNTER_CLOSED_SERVER), 1);
    t_world_assert_empty(world);
}

static void test_conn_lingers_until_the_peer_ends(void **state) {
    (void)state;
    int client = t_world_open(world);
    queue_copy(probes[0].conn, "refused", 7);
    cv_conn_finish(probes[0].conn, COVET_COUNTER_CLOSED_ERROR, true);
    t_world_settle(world);
    assert_true(socket_of(client)->is_shut);
    assert_true(socket_of(client)->is_open);
    send_text(client, "more of the same");
    assert_int_equal(probes[0].calls[ON_INPUT], 0);
    t_client_end(world->ring, client);
    t_world_settle(world);
    assert_false(socket_of(client)->is_open);
    // Why it ended is what finished it, not how the peer said good-bye.
    assert_int_equal(t_counter(world, COVET_COUNTER_CLOSED_ERROR), 1);
    t_world_assert_empty(world);
}

static void test_conn_lingers_for_a_while_only(void **state) {
    (void)state;
    int client = t_world_open(world);
    cv_conn_finish(probes[0].conn, COVET_COUNTER_CLOSED_ERROR, true);
    t_world_wait(world, world->limits.linger_timeout_ms - 100);
    assert_true(socket_of(client)->is_open);
    t_world_wait(world, 200);
    assert_false(socket_of(client)->is_open);
    assert_int_equal(t_counter(world, COVET_COUNTER_CLOSED_ERROR), 1);
    t_world_assert_empty(world);
}

static void test_conn_lingers_for_so_many_bytes_only(void **state) {
    (void)state;
    static uint8_t bytes[CV_CONN_LINGER_BYTES_MAX + 8192];
    int client = t_world_open(world);
    cv_conn_finish(probes[0].conn, COVET_COUNTER_CLOSED_ERROR, true);
    t_client_send(world->ring, client, bytes, CV_CONN_LINGER_BYTES_MAX);
    t_world_settle(world);
    assert_true(socket_of(client)->is_open);
    t_client_send(world->ring, client, bytes, 8192);
    t_world_settle(world);
    assert_false(socket_of(client)->is_open);
    t_world_assert_empty(world);
}

static void test_conn_still_answering_drops_what_it_is_sent_without_limit(void **state) {
    (void)state;
    static uint8_t bytes[2 * CV_CONN_LINGER_BYTES_MAX];
    int client = t_world_open(world);
    socket_of(client)->window = 0;
    queue_copy(probes[0].conn, "earlier answers", 15);
    cv_conn_finish(probes[0].conn, COVET_COUNTER_CLOSED_ERROR, true);
    t_client_send(world->ring, client, bytes, sizeof(bytes));
    t_world_settle(world);
    assert_true(socket_of(client)->is_open);
    socket_of(client)->window = SIZE_MAX;
    t_world_settle(world);
    assert_int_equal(socket_of(client)->output.length, 15);
    assert_true(socket_of(client)->is_shut);
    t_client_end(world->ring, client);
    t_world_settle(world);
    t_world_assert_empty(world);
}

static void test_conn_reads_on_while_it_lingers_whatever_was_unread(void **state) {
    (void)state;
    static uint8_t bytes[3 * CV_CONN_INPUT_BYTES_MAX];
    int client = t_world_open(world);
    cv_conn_pause(probes[0].conn);
    t_client_send(world->ring, client, bytes, sizeof(bytes));
    t_world_settle(world);
    cv_conn_finish(probes[0].conn, COVET_COUNTER_CLOSED_ERROR, true);
    t_world_settle(world);
    assert_true(socket_of(client)->is_shut);
    // Unread bytes at the close would reset the connection, and the answer with it.
    assert_int_equal(socket_of(client)->input_taken, sizeof(bytes));
    t_client_end(world->ring, client);
    t_world_settle(world);
    t_world_assert_empty(world);
}

static void test_conn_record_is_used_again_only_when_nothing_is_under_way(void **state) {
    (void)state;
    // Bit 0: a send is in flight; bit 1: it ends before the receive; bit 2: the receive still
    // brings data after the close.
    for (uint32_t order = 0; order < 8; order++) {
        int client = t_world_open(world);
        struct probe *probe = &probes[probe_count - 1];
        struct cv_conn *conn = probe->conn;
        uint32_t index = conn->index;
        uint16_t generation = conn->generation;
        if ((order & 1) != 0) {
            socket_of(client)->window = 0;
            queue_copy(conn, "abc", 3);
            t_world_settle(world);
        }
        cv_conn_close(conn, COVET_COUNTER_CLOSED_SERVER);
        assert_int_equal(probe->calls[ON_CLOSE], 1);
        int other = t_world_open(world);
        assert_int_not_equal(probes[probe_count - 1].conn->index, index);
        if ((order & 3) == 3) {
            t_world_complete(world, t_ring_sent(world->ring, client, -ECANCELED));
        }
        assert_int_equal(conn->state, CV_CONN_CLOSING);
        if ((order & 4) != 0) {
            t_world_complete(world, t_ring_received(world->ring, client, "late", 4, true));
        }
        t_world_complete(world, t_ring_receive_ended(world->ring, client, -ECANCELED));
        if ((order & 3) == 1) {
            assert_int_equal(conn->state, CV_CONN_CLOSING);
            t_world_complete(world, t_ring_sent(world->ring, client, 2));
        }
        t_world_settle(world);
        assert_int_equal(conn->state, CV_CONN_FREE);
        assert_int_equal(conn->generation, (uint16_t)(generation + 1));
        assert_int_equal(probe->calls[ON_INPUT], 0);
        t_client_end(world->ring, other);
        t_world_settle(world);
        t_world_assert_empty(world);
    }
}

static enum where close_where;

static void close_there(struct probe *probe, enum where where) {
    if (where == close_where) {
        cv_conn_close(probe->conn, COVET_COUNTER_CLOSED_SERVER);
    }
}

static void test_conn_may_be_closed_in_every_callback(void **state) {
    (void)state;
    for (close_where = ON_OPEN; close_where < ON_CLOSE; close_where++) {
        next_probe.act = close_there;
        next_probe.finishes_at_end = close_where != ON_END;
        int client = t_world_open(world);
        struct cv_conn *conn = probes[probe_count - 1].conn;
        if (conn->state == CV_CONN_OPEN) {
            queue_copy(conn, "out", 3);
            cv_conn_set_read_timeout(conn, 100);
        }
        t_client_send(world->ring, client, "in", 2);
        t_world_settle(world);
        t_world_wait(world, close_where == ON_READ_TIMEOUT ? 300 : 1);
        cv_conn_set_read_timeout(conn, 0);
        cv_net_drain(&world->net);
        world->net.draining = false;
        t_world_settle(world);
        if (socket_of(client)->is_open) {
            t_client_end(world->ring, client);
            t_world_settle(world);
        }
        assert_false(socket_of(client)->is_open);
        assert_int_equal(probes[probe_count - 1].calls[close_where] >= 1, 1);
        t_world_assert_empty(world);
    }
}

static void test_conn_beyond_the_table_is_closed(void **state) {
    (void)state;
    uint32_t room = world->net.table_count;
    assert_true(room < T_SOCKETS_MAX);
    for (uint32_t i = 0; i < PROBES_MAX && i < room; i++) {
        (void)t_world_open(world);
    }
    if (probe_count == room) {
        int client = t_world_open(world);
        assert_false(socket_of(client)->is_open);
        assert_int_equal(t_counter(world, COVET_COUNTER_CLOSED_LIMIT), 1);
    }
}

static void test_conn_counts_connections_per_address(void **state) {
    (void)state;
    struct cv_limits strict = world->limits;
    strict.connections_per_address_max = 2;
    cv_net_set_limits(&world->net, &strict);
    int first = t_world_open(world), second = t_world_open(world), third = t_world_open(world);
    assert_true(socket_of(first)->is_open && socket_of(second)->is_open);
    assert_false(socket_of(third)->is_open);
    assert_int_equal(t_counter(world, COVET_COUNTER_CLOSED_LIMIT), 1);
    t_client_end(world->ring, first);
    t_world_settle(world);
    int fourth = t_world_open(world), fifth = t_world_open(world);
    assert_true(socket_of(fourth)->is_open);
    assert_false(socket_of(fifth)->is_open);
    t_world_settle(world);
    cv_net_set_limits(&world->net, &world->limits);
}

static void test_conn_of_unknown_address_is_not_counted_when_it_is_known_later(void **state) {
    (void)state;
    struct cv_limits strict = world->limits;
    strict.connections_per_address_max = 1;
    cv_net_set_limits(&world->net, &strict);
    int client = t_ring_socket(world->ring);
    struct cv_peer peer = socket_of(client)->peer;
    socket_of(client)->peer.family = CV_PEER_UNKNOWN;
    cv_net_open(&world->net, client);
    socket_of(client)->peer = peer;
    assert_int_equal(cv_conn_peer(probes[0].conn)->family, CV_PEER_IPV4);
    int second = t_world_open(world);
    assert_true(socket_of(second)->is_open);
    t_client_end(world->ring, client);
    t_client_end(world->ring, second);
    t_world_settle(world);
    assert_int_equal(world->net.open_count, 0);
    cv_net_set_limits(&world->net, &world->limits);
}

static void test_conn_hands_unread_input_to_a_new_protocol(void **state) {
    (void)state;
    next_probe.step_bytes = 2;
    int client = t_world_open(world);
    send_text(client, "abcd");
    static struct probe after;
    after = (struct probe){.conn = probes[0].conn, .finishes_at_end = true};
    cv_conn_set_protocol(probes[0].conn, &ops, &after);
    t_world_settle(world);
    assert_int_equal(after.got.length, 2);
    assert_memory_equal(after.got.data, "cd", 2);
    t_client_end(world->ring, client);
    t_world_settle(world);
    assert_int_equal(after.calls[ON_CLOSE], 1);
    assert_int_equal(probes[0].calls[ON_CLOSE], 0);
    probes[0].calls[ON_CLOSE] = 1;
    free(after.got.data);
}

// A random walk: clients, protocol and kernel do what they like; what must hold, holds.
static uint64_t walk_seed;

static uint32_t chance(uint32_t below) {
    walk_seed = walk_seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(walk_seed >> 33) % below;
}

static void act_at_random(struct probe *probe, enum where where) {
    static uint8_t filler[70000];
    struct cv_conn *conn = probe->conn;
    if (where == ON_CLOSE || where == ON_OPEN) {
        return;
    }
    switch (chance(24)) {
    case 0:
        cv_conn_close(conn, COVET_COUNTER_CLOSED_SERVER);
        break;
    case 1:
        cv_conn_finish(conn, COVET_COUNTER_CLOSED_SERVER, chance(2) != 0);
        break;
    case 2:
        cv_conn_pause(conn);
        break;
    case 3:
    case 4:
        cv_conn_resume(conn);
        break;
    case 5:
        cv_conn_set_read_timeout(conn, chance(500));
        break;
    case 6:
        cv_conn_look_again(conn);
        break;
    default:
        if (conn->state == CV_CONN_OPEN) {
            struct cv_outq *outq = cv_conn_output(conn);
            struct cv_span span =
                cv_span_make((const char *)filler, 1 + chance(chance(8) == 0 ? 70000 : 900));
            if (chance(3) == 0) {
                assert_int_equal(cv_outq_reference(outq, &world->pool, span, on_release, NULL), 0);
            } else {
                assert_int_equal(cv_outq_copy(outq, &world->pool, span), 0);
            }
            cv_conn_flush(conn);
        }
        break;
    }
}

static void step_at_random(void) {
    static const uint8_t bytes[9000];
    uint32_t open = world->ring->socket_count > 0 ? 1 : 0;
    int client = open != 0 ? (int)chance((uint32_t)world->ring->socket_count) : 0;
    // Most of the time one of the younger ones.
    if (open != 0 && world->ring->socket_count > 20 && chance(4) != 0) {
        client = world->ring->socket_count - 1 - (int)chance(20);
    }
    switch (chance(10)) {
    case 0:
        if (probe_count < PROBES_MAX) {
            next_probe.act = act_at_random;
            next_probe.step_bytes = chance(3) == 0 ? 1 + chance(3000) : 0;
            next_probe.yields = chance(2) != 0;
            int fresh = t_world_open(world);
            socket_of(fresh)->window = chance(2) != 0 ? SIZE_MAX : 0;
            socket_of(fresh)->is_silent = chance(2) != 0;
            socket_of(fresh)->copies = chance(4) == 0;
        }
        break;
    case 1:
    case 2:
    case 3:
        if (open != 0 && !socket_of(client)->is_ended) {
            t_client_send(world->ring, client, bytes, chance(9000));
        }
        break;
    case 4:
        if (open != 0 && chance(6) == 0) {
            t_client_end(world->ring, client);
        }
        break;
    case 5:
        if (open != 0 && chance(10) == 0) {
            t_client_reset(world->ring, client);
        }
        break;
    case 6:
        if (open != 0) {
            socket_of(client)->window = chance(3) == 0 ? SIZE_MAX : chance(20000);
            socket_of(client)->is_silent = chance(2) != 0;
            world->ring->zero_copy_error = chance(8) == 0 ? -ENOBUFS : 0;
        }
        break;
    case 7:
        cv_clock_set(&world->clock, world->clock.now_ns + chance(200) * 1000000ull, T_REALTIME_S);
        break;
    case 8:
        if (open != 0 && t_world_conn(world, client) != NULL) {
            struct cv_conn *conn = t_world_conn(world, client);
            if (conn->state == CV_CONN_OPEN) {
                act_at_random(conn->protocol, ON_DRAIN);
            }
        }
        break;
    default:
        break;
    }
}

static uint32_t open_sockets(void) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < world->net.table_used; i++) {
        count += world->net.table[i].state != CV_CONN_FREE ? 1 : 0;
    }
    return count;
}

// With nothing to do for the worker, every connection that has something to send is sending it, or
// will soon try again, and every one that wants input waits for it.
static void assert_nothing_forgotten(void) {
    for (uint32_t i = 0; i < world->net.table_used; i++) {
        const struct cv_conn *conn = &world->net.table[i];
        if (conn->state == CV_CONN_FREE) {
            continue;
        }
        const struct t_socket *socket = socket_of(conn->descriptor);
        bool is_tried_again = (conn->flags & CV_CONN_ENDED) != 0 && cv_timer_armed(&conn->timer) &&
                              conn->timer.deadline_ms <= world->clock.now_ms + 1064;
        bool is_sending = socket->send.is_armed || is_tried_again;
        size_t unsettled = (conn->flags & CV_CONN_QUIET) != 0 ? conn->active->quiet_bytes : 0;
        bool owes = conn->state != CV_CONN_CLOSING && cv_conn_queued(conn) > unsettled;
        if (owes && !is_sending) {
            fail_msg("connection %u: %zu bytes wait for nobody (state %u, flags %#x)", i,
                     cv_conn_queued(conn), conn->state, conn->flags);
        }
        bool wants =
            conn->state == CV_CONN_OPEN && (conn->flags & (CV_CONN_PAUSED | CV_CONN_ENDED)) == 0;
        if (wants && !socket->receive.is_armed && (conn->flags & CV_CONN_STARVED) == 0 &&
            (conn->active == NULL || conn->active->input.length < CV_CONN_INPUT_BYTES_MAX)) {
            fail_msg("connection %u does not receive", i);
        }
        if (conn->state == CV_CONN_FINISHING && !is_sending && unsettled == 0 &&
            socket->loan_count == 0) {
            fail_msg("connection %u does not finish", i);
        }
    }
}

static void test_conn_random_walk_leaves_nothing(void **state) {
    const char *given = getenv("COVET_TEST_SEED");
    (void)state;
    walk_seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)walk_seed);
    world->ring->features.zero_copy = true;
    world->limits.zero_copy_bytes_min = 500;
    cv_net_set_limits(&world->net, &world->limits);
    for (uint32_t step = 0; step < 20000; step++) {
        step_at_random();
        if (chance(3) != 0) {
            t_world_turn(world);
        }
        if (chance(16) == 0) {
            t_world_settle(world);
            assert_nothing_forgotten();
            assert_int_equal(world->ring->lent, 0);
        }
        if (step % 64 == 0) {
            assert_int_equal(open_sockets(), world->net.open_count);
        }
    }
    assert_true(world->ring->zero_copies > 100);
    (void)cv_net_close_all(&world->net);
    t_world_settle(world);
    t_world_assert_empty(world);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_conn_still_answering_drops_what_it_is_sent_without_limit),
        TEST(test_conn_gives_its_protocol_what_arrives),
        TEST(test_conn_keeps_what_was_not_used),
        TEST(test_conn_yields_to_others_between_steps),
        TEST(test_conn_takes_data_of_a_receive_that_ends_and_arms_again),
        TEST(test_conn_starves_in_order_and_goes_on_when_buffers_are_back),
        TEST(test_conn_that_starves_is_not_silent),
        TEST(test_conn_may_be_closed_while_it_starves),
        TEST(test_conn_stops_receiving_what_nobody_reads_and_goes_on_later),
        TEST(test_conn_asks_for_bundles_once_more_comes_than_a_buffer_holds),
        TEST(test_conn_tells_the_end_behind_the_data),
        TEST(test_conn_reset_closes_it),
        TEST(test_conn_sends_every_byte_once_and_in_order),
        TEST(test_conn_sends_all_answers_of_a_turn_at_once),
        TEST(test_conn_puts_an_answer_where_the_last_one_was),
        TEST(test_conn_goes_on_after_a_send_found_no_room),
        TEST(test_conn_sends_what_is_queued_in_the_turn_of_a_send_completion),
        TEST(test_conn_cuts_a_peer_that_does_not_read),
        TEST(test_conn_read_deadline_moves_without_touching_the_wheel),
        TEST(test_conn_deadlines_work_across_the_turn_of_the_clock),
        TEST(test_conn_finishes_when_all_is_sent),
        TEST(test_conn_no_send_waits_for_a_peer_that_has_ended),
        TEST(test_conn_cuts_a_peer_that_has_ended_and_does_not_read),
        TEST(test_conn_lingers_until_the_peer_ends),
        TEST(test_conn_lingers_for_a_while_only),
        TEST(test_conn_lingers_for_so_many_bytes_only),
        TEST(test_conn_reads_on_while_it_lingers_whatever_was_unread),
        TEST(test_conn_record_is_used_again_only_when_nothing_is_under_way),
        TEST(test_conn_may_be_closed_in_every_callback),
        TEST(test_conn_beyond_the_table_is_closed),
        TEST(test_conn_counts_connections_per_address),
        TEST(test_conn_of_unknown_address_is_not_counted_when_it_is_known_later),
        TEST(test_conn_hands_unread_input_to_a_new_protocol),
        TEST(test_conn_random_walk_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
