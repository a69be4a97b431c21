// Zero-copy sends: memory is given back when the peer has acknowledged it and no sooner, whatever
// happens to the connection meanwhile, and every byte arrives once. The fake ring compares what was
// lent when it is free again.
#include "net/zerocopy.h"

#include "support/net_world.h"

#define BODY_BYTES 100000u
#define PIECE_BYTES CV_CONN_SEND_BYTES_MAX

static struct t_world state_of_world;
static struct t_world *const world = &state_of_world;
static uint8_t body[4 * PIECE_BYTES];
static uint32_t released;

static void on_open(struct cv_conn *conn) {
    (void)conn;
}

static size_t on_input(struct cv_conn *conn, const uint8_t *data, size_t length) {
    (void)conn, (void)data;
    return length;
}

static void on_end(struct cv_conn *conn) {
    cv_conn_finish(conn, COVET_COUNTER_CLOSED_CLIENT, false);
}

static const struct cv_conn_ops ops = {
    on_open, on_input, on_open, on_end, on_open, on_open, on_open, on_open,
};

static int set_up(void **state) {
    (void)state;
    released = 0;
    for (size_t i = 0; i < sizeof(body); i++) {
        body[i] = (uint8_t)((i * 2654435761u) >> 13);
    }
    t_world_init(world, &ops, 16);
    world->ring->features.zero_copy = true;
    cv_net_set_limits(&world->net, &world->limits);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    t_world_deinit(world);
    return 0;
}

// A client that reads and acknowledges only when told to.
static int open_silent(void) {
    int client = t_world_open(world);
    t_ring_at(world->ring, client)->is_silent = true;
    return client;
}

static struct t_socket *socket_of(int client) {
    return t_ring_at(world->ring, client);
}

static void on_release(void *context) {
    (void)context;
    released++;
}

static void queue(int client, size_t bytes) {
    struct cv_conn *conn = t_world_conn(world, client);
    struct cv_span span = cv_span_make((const char *)body, bytes);
    assert_int_equal(cv_outq_reference(cv_conn_output(conn), &world->pool, span, on_release, NULL),
                     0);
    cv_conn_flush(conn);
}

static void queue_head(int client) {
    struct cv_conn *conn = t_world_conn(world, client);
    assert_int_equal(cv_outq_copy(cv_conn_output(conn), &world->pool, CV_SPAN("head")), 0);
    cv_conn_flush(conn);
}

static void acknowledge(int client) {
    socket_of(client)->is_silent = false;
    t_world_settle(world);
}

static void assert_received(int client, size_t bytes) {
    const struct t_bytes *output = &socket_of(client)->output;
    assert_int_equal(output->length, bytes);
    assert_memory_equal(output->data, body, bytes);
}

static void assert_counted(uint64_t sends, uint64_t copied) {
    assert_int_equal(t_counter(world, COVET_COUNTER_ZERO_COPY_SENDS), sends);
    assert_int_equal(t_counter(world, COVET_COUNTER_ZERO_COPY_COPIED), copied);
}

static void test_zerocopy_keeps_a_body_until_it_is_acknowledged(void **state) {
    (void)state;
    int client = open_silent();
    queue(client, BODY_BYTES);
    t_world_settle(world);
    assert_received(client, BODY_BYTES);
    assert_int_equal(cv_conn_queued(t_world_conn(world, client)), 0);
    assert_true(cv_conn_has_output(t_world_conn(world, client)));
    assert_int_equal(released, 0);
    acknowledge(client);
    assert_int_equal(released, 1);
    assert_false(cv_conn_has_output(t_world_conn(world, client)));
    assert_int_equal(cv_pool_live_bytes(&world->pool), 0);
    assert_counted(1, 0);
}

static void test_zerocopy_sends_what_stands_in_front_in_an_ordinary_way(void **state) {
    (void)state;
    int client = open_silent();
    queue_head(client);
    queue(client, BODY_BYTES);
    queue_head(client);
    t_world_settle(world);
    assert_int_equal(world->ring->sends, 3);
    assert_int_equal(world->ring->zero_copies, 1);
    struct t_bytes *output = &socket_of(client)->output;
    assert_int_equal(output->length, BODY_BYTES + 8);
    assert_memory_equal(output->data, "head", 4);
    assert_memory_equal(output->data + 4, body, BODY_BYTES);
    assert_memory_equal(output->data + 4 + BODY_BYTES, "head", 4);
    acknowledge(client);
    assert_int_equal(released, 1);
}

static void test_zerocopy_leaves_short_bodies_and_blocks_to_others(void **state) {
    (void)state;
    int client = open_silent();
    queue(client, T_ZERO_COPY_MIN - 1);
    t_world_settle(world);
    assert_received(client, T_ZERO_COPY_MIN - 1);
    assert_int_equal(released, 1);
    struct cv_outq *outq = cv_conn_output(t_world_conn(world, client));
    struct cv_span span = cv_span_make((const char *)body, BODY_BYTES);
    assert_int_equal(cv_outq_copy(outq, &world->pool, span), 0);
    cv_conn_flush(t_world_conn(world, client));
    t_world_settle(world);
    assert_int_equal(world->ring->zero_copies, 0);
    queue(client, T_ZERO_COPY_MIN);
    t_world_settle(world);
    assert_int_equal(world->ring->zero_copies, 1);
}

static void test_zerocopy_goes_on_after_a_short_send(void **state) {
    (void)state;
    int client = open_silent();
    socket_of(client)->window = 30000;
    queue(client, BODY_BYTES);
    t_world_settle(world);
    assert_received(client, 30000);
    assert_int_equal(world->ring->zero_copies, 2);  // The second one waits for room.
    socket_of(client)->window = 40000;
    t_world_settle(world);
    assert_received(client, 70000);
    assert_int_equal(world->ring->zero_copies, 2);  // The rest is short.
    socket_of(client)->window = SIZE_MAX;
    t_world_settle(world);
    assert_received(client, BODY_BYTES);
    assert_int_equal(released, 0);
    // Both sends lent from the same body.
    t_world_complete(world, t_ring_freed(world->ring, client));
    assert_int_equal(released, 0);
    t_world_complete(world, t_ring_freed(world->ring, client));
    assert_int_equal(released, 1);
    assert_counted(2, 0);
}

static void test_zerocopy_sends_a_long_body_in_pieces_and_frees_it_once(void **state) {
    (void)state;
    int client = open_silent();
    queue(client, sizeof(body));
    t_world_settle(world);
    assert_received(client, sizeof(body));
    assert_int_equal(socket_of(client)->loan_count, 4);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(released, 0);
        t_world_complete(world, t_ring_freed(world->ring, client));
    }
    assert_int_equal(released, 1);
    assert_int_equal(cv_pool_live_bytes(&world->pool), 0);
}

static void test_zerocopy_frees_each_body_when_its_own_bytes_are_acknowledged(void **state) {
    (void)state;
    int client = open_silent();
    queue(client, BODY_BYTES);
    t_world_settle(world);
    queue(client, 50000);
    t_world_settle(world);
    assert_int_equal(socket_of(client)->loan_count, 2);
    t_world_complete(world, t_ring_freed(world->ring, client));
    assert_int_equal(released, 1);
    t_world_complete(world, t_ring_freed(world->ring, client));
    assert_int_equal(released, 2);
}

static void test_zerocopy_is_given_up_where_the_kernel_copies_anyway(void **state) {
    (void)state;
    int client = t_world_open(world), other = t_world_open(world);
    socket_of(client)->copies = true;
    queue(client, BODY_BYTES);
    t_world_settle(world);
    assert_counted(1, 1);
    queue(client, BODY_BYTES);
    t_world_settle(world);
    assert_int_equal(socket_of(client)->output.length, 2 * BODY_BYTES);
    assert_int_equal(world->ring->zero_copies, 1);
    assert_int_equal(released, 2);
    queue(other, BODY_BYTES);
    t_world_settle(world);
    assert_counted(2, 1);
}

static void test_zerocopy_falls_back_to_an_ordinary_send_of_the_same_bytes(void **state) {
    static const int32_t errors[] = {-ENOMEM, -ENOBUFS, -EOPNOTSUPP, -EINVAL, -EFAULT};
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(errors); i++) {
        int client = t_world_open(world);
        world->ring->zero_copy_error = errors[i];
        queue(client, sizeof(body));
        t_world_settle(world);
        assert_received(client, sizeof(body));
        assert_true(socket_of(client)->is_open);
        assert_int_equal(world->ring->zero_copies, i + 1);
        assert_int_equal(released, i + 1);
        cv_conn_close(t_world_conn(world, client), COVET_COUNTER_CLOSED_SERVER);
        t_world_settle(world);
    }
    assert_counted(0, 0);
}

static void test_zerocopy_error_may_be_followed_by_a_second_completion(void **state) {
    (void)state;
    int client = open_silent();
    queue(client, BODY_BYTES);
    (void)cv_net_run(&world->net);
    struct cv_completion error = t_ring_sent(world->ring, client, -ENOBUFS);
    error.more = true;
    t_world_complete(world, error);
    t_world_settle(world);
    assert_received(client, BODY_BYTES);
    assert_int_equal(released, 0);
    error.more = false;
    error.is_free = true;
    error.result = 1;
    t_world_complete(world, error);
    assert_int_equal(released, 1);
    assert_counted(0, 0);
}

static void test_zerocopy_interrupted_send_is_tried_again(void **state) {
    (void)state;
    int client = open_silent();
    queue(client, BODY_BYTES);
    (void)cv_net_run(&world->net);
    t_world_complete(world, t_ring_sent(world->ring, client, -EINTR));
    t_world_settle(world);
    assert_received(client, BODY_BYTES);
    assert_int_equal(world->ring->zero_copies, 2);
}

static void test_zerocopy_both_completions_may_come_at_once(void **state) {
    (void)state;
    int client = open_silent();
    queue(client, BODY_BYTES);
    (void)cv_net_run(&world->net);
    struct cv_completion sent = t_ring_sent(world->ring, client, 50000);
    struct cv_completion freed = t_ring_freed(world->ring, client);
    // The kernel posts them in order, both before we look.
    t_world_complete(world, sent);
    t_world_complete(world, freed);
    t_world_settle(world);
    assert_received(client, BODY_BYTES);
}

static void test_zerocopy_record_waits_for_the_last_acknowledgement(void **state) {
    (void)state;
    int client = open_silent();
    struct cv_conn *conn = t_world_conn(world, client);
    queue(client, BODY_BYTES);
    t_world_settle(world);
    cv_conn_close(conn, COVET_COUNTER_CLOSED_SERVER);
    // Or the kernel would hold the memory for a client that may never read.
    assert_true(socket_of(client)->resets_on_close);
    t_world_complete(world, t_ring_receive_ended(world->ring, client, -ECANCELED));
    assert_int_equal(world->net.open_count, 1);
    assert_int_equal(conn->state, CV_CONN_CLOSING);
    assert_int_equal(released, 0);
    t_world_complete(world, t_ring_freed(world->ring, client));
    assert_int_equal(released, 1);
    t_world_assert_empty(world);
}

static void test_zerocopy_send_in_flight_is_cancelled_by_a_close(void **state) {
    (void)state;
    int client = open_silent();
    socket_of(client)->window = 30000;
    queue(client, BODY_BYTES);
    t_world_settle(world);
    assert_true(socket_of(client)->send.is_armed);
    cv_conn_close(t_world_conn(world, client), COVET_COUNTER_CLOSED_SERVER);
    assert_true(socket_of(client)->send.is_cancelled);
    t_world_settle(world);
    assert_int_equal(released, 1);
    t_world_assert_empty(world);
}

static void test_zerocopy_reset_frees_everything(void **state) {
    (void)state;
    int client = open_silent();
    socket_of(client)->window = 30000;
    queue(client, BODY_BYTES);
    queue(client, BODY_BYTES);
    t_world_settle(world);
    t_client_reset(world->ring, client);
    t_world_settle(world);
    assert_int_equal(released, 2);
    assert_int_equal(t_counter(world, COVET_COUNTER_CLOSED_RESET), 1);
    t_world_assert_empty(world);
}

static void test_zerocopy_end_of_a_connection_waits_for_the_acknowledgement(void **state) {
    (void)state;
    int client = open_silent();
    queue(client, BODY_BYTES);
    cv_conn_finish(t_world_conn(world, client), COVET_COUNTER_CLOSED_SERVER, false);
    t_world_settle(world);
    assert_received(client, BODY_BYTES);
    assert_true(socket_of(client)->is_open);
    acknowledge(client);
    assert_false(socket_of(client)->is_open);
    assert_false(socket_of(client)->resets_on_close);
    t_world_assert_empty(world);
}

static void test_zerocopy_short_last_answer_does_not_close_over_a_loan(void **state) {
    (void)state;
    int client = open_silent();
    queue(client, BODY_BYTES);
    t_world_settle(world);
    queue_head(client);
    cv_conn_finish(t_world_conn(world, client), COVET_COUNTER_CLOSED_SERVER, false);
    t_world_settle(world);
    assert_int_equal(socket_of(client)->output.length, BODY_BYTES + 4);
    assert_true(socket_of(client)->is_open);
    acknowledge(client);
    t_world_assert_empty(world);
}

static void test_zerocopy_peer_that_never_acknowledges_is_cut(void **state) {
    (void)state;
    int client = open_silent();
    uint32_t limit_ms = world->limits.write_timeout_ms;
    queue(client, BODY_BYTES);
    t_world_settle(world);
    t_world_wait(world, limit_ms + 200);
    assert_true(socket_of(client)->is_open);  // Only now is it known how much it owes.
    t_world_wait(world, limit_ms);
    assert_false(socket_of(client)->is_open);
    assert_true(socket_of(client)->resets_on_close);
    assert_int_equal(t_counter(world, COVET_COUNTER_CLOSED_WRITE), 1);
    assert_int_equal(released, 1);
    t_world_assert_empty(world);
}

static void test_zerocopy_peer_that_reads_slowly_is_not(void **state) {
    (void)state;
    int client = open_silent();
    queue(client, BODY_BYTES);
    t_world_settle(world);
    for (uint32_t i = 1; i <= 10; i++) {
        t_world_wait(world, world->limits.write_timeout_ms);
        socket_of(client)->told_bytes = i * 5000u;
    }
    assert_true(socket_of(client)->is_open);
    acknowledge(client);
    t_world_wait(world, 3ull * world->limits.write_timeout_ms);
    assert_true(socket_of(client)->is_open);
}

static void test_zerocopy_never_lends_to_peers_on_this_machine(void **state) {
    static const struct cv_peer near[] = {
        {CV_PEER_IPV4, 0, 1, {127, 0, 0, 1}},
        {CV_PEER_IPV4, 0, 1, {127, 9, 8, 7}},
        {CV_PEER_IPV6, 0, 1, {[15] = 1}},
        {CV_PEER_IPV6, 0, 1, {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}},
        {CV_PEER_UNIX, 0, 0, {0}},
        {CV_PEER_UNKNOWN, 0, 0, {0}},
    };
    static const struct cv_peer far[] = {
        {CV_PEER_IPV4, 0, 1, {128, 0, 0, 1}},
        {CV_PEER_IPV6, 0, 1, {0x20, 0x01, 0x0d, 0xb8, [15] = 1}},
        {CV_PEER_IPV6, 0, 1, {[10] = 0xff, [11] = 0xff, [12] = 192, [13] = 0, [14] = 2, [15] = 1}},
    };
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(near); i++) {
        int client = t_world_open(world);
        socket_of(client)->peer = near[i];
        queue(client, BODY_BYTES);
        t_world_settle(world);
        assert_received(client, BODY_BYTES);
        assert_int_equal(world->ring->zero_copies, 0);
    }
    for (size_t i = 0; i < CV_ARRAY_COUNT(far); i++) {
        int client = t_world_open(world);
        socket_of(client)->peer = far[i];
        queue(client, BODY_BYTES);
        t_world_settle(world);
        assert_int_equal(world->ring->zero_copies, i + 1);
    }
}

static void test_zerocopy_can_be_switched_off_and_needs_the_kernel(void **state) {
    (void)state;
    int client = t_world_open(world);
    world->limits.zero_copy_bytes_min = 0;
    cv_net_set_limits(&world->net, &world->limits);
    queue(client, BODY_BYTES);
    t_world_settle(world);
    world->limits.zero_copy_bytes_min = 1;
    world->ring->features.zero_copy = false;
    cv_net_set_limits(&world->net, &world->limits);
    queue(client, BODY_BYTES);
    t_world_settle(world);
    assert_int_equal(socket_of(client)->output.length, 2 * BODY_BYTES);
    assert_int_equal(world->ring->zero_copies, 0);
}

static void queue_from_pool(int client, size_t bytes, void **memory) {
    struct cv_conn *conn = t_world_conn(world, client);
    *memory = cv_pool_acquire(&world->pool, bytes);
    assert_non_null(*memory);
    memcpy(*memory, body, bytes);
    struct cv_span span = cv_span_make(*memory, bytes);
    assert_int_equal(cv_outq_reference(cv_conn_output(conn), &world->pool, span, on_release, NULL),
                     0);
    cv_conn_flush(conn);
    t_world_settle(world);
    assert_received(client, bytes);
}

static void on_slab_added(void *context, uint32_t index, void *memory, size_t bytes) {
    (void)context;
    assert_int_equal(cv_ring_add_memory(world->ring, index, memory, bytes), 0);
}

static void on_slab_removed(void *context, uint32_t index) {
    (void)context;
    cv_ring_remove_memory(world->ring, index);
}

static void test_zerocopy_sends_from_registered_slabs_where_it_can(void **state) {
    struct cv_slabs *slabs = cv_pool_slabs(&world->pool);
    void *memory[2];
    uint32_t index = CV_RING_NO_MEMORY;
    (void)state;
    int client[3] = {t_world_open(world), t_world_open(world), t_world_open(world)};
    world->net.slabs = slabs;
    // In a slab the ring does not know, and in one that it does.
    queue_from_pool(client[0], BODY_BYTES, &memory[0]);
    assert_int_equal(socket_of(client[0])->send.memory, CV_RING_NO_MEMORY);
    cv_slab_watch(slabs, on_slab_added, on_slab_removed, NULL);
    queue_from_pool(client[1], BODY_BYTES, &memory[1]);
    assert_true(cv_slab_find(slabs, memory[1], BODY_BYTES, &index));
    assert_int_equal(socket_of(client[1])->send.memory, index);
    queue(client[2], BODY_BYTES);
    t_world_settle(world);
    assert_int_equal(socket_of(client[2])->send.memory, CV_RING_NO_MEMORY);
    assert_counted(3, 0);
    cv_slab_watch(slabs, NULL, NULL, NULL);
    for (uint32_t i = 0; i < 2; i++) {
        cv_pool_release(&world->pool, memory[i], BODY_BYTES);
    }
}

static void test_zerocopy_copies_when_all_slots_are_taken(void **state) {
    static struct cv_zerocopy_send *taken[CV_ZEROCOPY_SENDS_MAX];
    struct cv_zerocopy *zerocopy = &world->net.zero_copy;
    struct cv_span data;
    (void)state;
    int holder = open_silent(), client = t_world_open(world);
    struct cv_conn *conn = t_world_conn(world, holder);
    socket_of(holder)->window = 0;
    queue(holder, BODY_BYTES);
    struct cv_outseg *segment = cv_outq_first_reference(cv_conn_output(conn), 1, &data);
    assert_int_equal(data.length, BODY_BYTES);
    for (uint32_t i = 0; i < CV_ZEROCOPY_SENDS_MAX; i++) {
        taken[i] = cv_zerocopy_begin(zerocopy, conn, segment);
        assert_non_null(taken[i]);
    }
    assert_null(cv_zerocopy_begin(zerocopy, conn, segment));
    queue(client, BODY_BYTES);
    t_world_settle(world);
    assert_received(client, BODY_BYTES);
    assert_int_equal(world->ring->zero_copies, 0);
    uint32_t slot = cv_zerocopy_slot(zerocopy, taken[7]), generation = taken[7]->generation;
    cv_zerocopy_end(zerocopy, taken[7], &world->pool);
    assert_ptr_equal(cv_zerocopy_begin(zerocopy, conn, segment), taken[7]);
    assert_ptr_equal(cv_zerocopy_at(zerocopy, slot, (generation + 1) & 0xffff), taken[7]);
    for (uint32_t i = 0; i < CV_ZEROCOPY_SENDS_MAX; i++) {
        cv_zerocopy_end(zerocopy, taken[i], &world->pool);
    }
    assert_int_equal(zerocopy->count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_zerocopy_keeps_a_body_until_it_is_acknowledged),
        TEST(test_zerocopy_sends_what_stands_in_front_in_an_ordinary_way),
        TEST(test_zerocopy_leaves_short_bodies_and_blocks_to_others),
        TEST(test_zerocopy_goes_on_after_a_short_send),
        TEST(test_zerocopy_sends_a_long_body_in_pieces_and_frees_it_once),
        TEST(test_zerocopy_frees_each_body_when_its_own_bytes_are_acknowledged),
        TEST(test_zerocopy_is_given_up_where_the_kernel_copies_anyway),
        TEST(test_zerocopy_falls_back_to_an_ordinary_send_of_the_same_bytes),
        TEST(test_zerocopy_error_may_be_followed_by_a_second_completion),
        TEST(test_zerocopy_interrupted_send_is_tried_again),
        TEST(test_zerocopy_both_completions_may_come_at_once),
        TEST(test_zerocopy_record_waits_for_the_last_acknowledgement),
        TEST(test_zerocopy_send_in_flight_is_cancelled_by_a_close),
        TEST(test_zerocopy_reset_frees_everything),
        TEST(test_zerocopy_end_of_a_connection_waits_for_the_acknowledgement),
        TEST(test_zerocopy_short_last_answer_does_not_close_over_a_loan),
        TEST(test_zerocopy_peer_that_never_acknowledges_is_cut),
        TEST(test_zerocopy_peer_that_reads_slowly_is_not),
        TEST(test_zerocopy_never_lends_to_peers_on_this_machine),
        TEST(test_zerocopy_can_be_switched_off_and_needs_the_kernel),
        TEST(test_zerocopy_sends_from_registered_slabs_where_it_can),
        TEST(test_zerocopy_copies_when_all_slots_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
