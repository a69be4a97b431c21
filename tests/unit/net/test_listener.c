// Accepting: which ends of an accept are followed by another one, at once or later, and what a stop
// does with the connections that wait.
#include "net/listener.h"

#include "support/net_world.h"

static struct t_world state_of_world;
static struct t_world *const world = &state_of_world;
static int listener, second_listener;

static void on_open(struct cv_conn *conn) {
    (void)conn;
}

static size_t on_input(struct cv_conn *conn, const uint8_t *data, size_t length) {
    (void)conn, (void)data;
    return length;
}

static void on_end(struct cv_conn *conn) {
    cv_conn_close(conn, COVET_COUNTER_CLOSED_CLIENT);
}

static const struct cv_conn_ops ops = {
    on_open, on_input, on_open, on_end, on_open, on_open, on_open, on_open,
};

static void open_with(uint32_t connections_max) {
    t_world_init(world, &ops, 16);
    world->limits.connections_max = connections_max;
    cv_net_set_limits(&world->net, &world->limits);
    listener = t_ring_socket(world->ring);
    assert_int_equal(cv_listener_open_all(&world->net, &listener, 1), 0);
}

static int set_up(void **state) {
    (void)state;
    open_with(0);
    return 0;
}

static int set_up_for_two(void **state) {
    (void)state;
    open_with(2);
    return 0;
}

// With room for a whole backlog, and for one connection more.
static int set_up_two_for_a_backlog(void **state) {
    (void)state;
    t_world_init(world, &ops, 16);
    world->limits.connections_max = 8193;
    cv_net_set_limits(&world->net, &world->limits);
    listener = t_ring_socket(world->ring);
    second_listener = t_ring_socket(world->ring);
    const int both[] = {listener, second_listener};
    assert_int_equal(cv_listener_open_all(&world->net, both, 2), 0);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    (void)cv_net_close_all(&world->net);
    struct cv_timer *timer = &world->net.listeners[0].timer;
    cv_wheel_stop(&world->wheel, timer);
    t_world_deinit(world);
    return 0;
}

static struct t_operation *accept_of(void) {
    return &t_ring_at(world->ring, listener)->accept;
}

// The accept completes: a descriptor or -errno.
static void complete(int32_t result, bool more) {
    struct cv_completion completion = {accept_of()->user_data, result, CV_RING_NO_BUFFER, more,
                                       false};
    assert_true(accept_of()->is_armed);
    accept_of()->is_armed = more;
    cv_listener_complete(&world->net, &completion);
}

static int arrive(void) {
    int client = t_ring_socket(world->ring);
    complete(client, accept_of()->is_multishot);
    return client;
}

static void leave(int client) {
    t_client_end(world->ring, client);
    t_world_settle(world);
}

static void test_listener_opens_what_it_accepts(void **state) {
    (void)state;
    for (int i = 0; i < 10; i++) {
        (void)arrive();
    }
    assert_int_equal(world->net.open_count, 10);
    assert_true(accept_of()->is_armed);
    assert_int_equal(t_counter(world, COVET_COUNTER_CONNECTIONS_ACCEPTED), 10);
}

static void test_listener_arms_again_at_once_after_what_passes(void **state) {
    static const int32_t passing[] = {-ECONNABORTED, -EINTR, -EAGAIN, -ECANCELED, -EPROTO};
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(passing); i++) {
        complete(passing[i], false);
        assert_true(accept_of()->is_armed);
    }
    complete(t_ring_socket(world->ring), false);
    assert_true(accept_of()->is_armed);
    assert_int_equal(t_counter(world, COVET_COUNTER_ACCEPT_PAUSES), 0);
}

static void test_listener_pauses_without_descriptors_and_goes_on_after_a_while(void **state) {
    static const int32_t wants[] = {-EMFILE, -ENFILE, -ENOBUFS, -ENOMEM, -EPERM};
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(wants); i++) {
        complete(wants[i], false);
        assert_false(accept_of()->is_armed);
        t_world_wait(world, 50);
        assert_false(accept_of()->is_armed);
        t_world_wait(world, 60);
        assert_true(accept_of()->is_armed);
        assert_int_equal(t_counter(world, COVET_COUNTER_ACCEPT_PAUSES), i + 1);
    }
}

static void test_listener_ends_its_pause_when_a_connection_goes(void **state) {
    (void)state;
    int client = arrive();
    complete(-EMFILE, false);
    leave(client);
    assert_true(accept_of()->is_armed);
    assert_int_equal(world->wheel.count, 0);
}

static void test_listener_gives_up_a_broken_descriptor(void **state) {
    (void)state;
    complete(-EBADF, false);
    assert_false(accept_of()->is_armed);
    assert_true(cv_listener_all_closed(&world->net));
    assert_false(t_ring_at(world->ring, listener)->is_open);
}

static void test_listener_accepts_no_more_than_the_limit(void **state) {
    (void)state;
    int first = arrive();
    (void)arrive();
    t_world_settle(world);
    assert_false(accept_of()->is_armed);
    assert_int_equal(world->net.open_count, 2);
    leave(first);
    assert_true(accept_of()->is_armed);
    (void)arrive();
    assert_false(accept_of()->is_armed);
    assert_int_equal(t_counter(world, COVET_COUNTER_CLOSED_LIMIT), 0);
}

static void test_listener_accepts_again_when_the_limit_is_raised(void **state) {
    (void)state;
    (void)arrive();
    (void)arrive();
    assert_false(accept_of()->is_armed);
    struct cv_limits more = world->limits;
    more.connections_max = 3;
    cv_net_set_limits(&world->net, &more);
    assert_true(accept_of()->is_armed);
    cv_net_set_limits(&world->net, &world->limits);
}

static void test_listener_accepts_one_by_one_close_to_the_limit(void **state) {
    (void)state;
    assert_false(accept_of()->is_multishot);
}

// Each of them takes its whole backlog before it can be cancelled, whichever brought the one too
// many.
static void test_listener_cancels_the_multishot_accepts_of_all_close_to_the_limit(void **state) {
    (void)state;
    struct t_operation *other = &t_ring_at(world->ring, second_listener)->accept;
    assert_true(accept_of()->is_multishot);
    assert_true(other->is_multishot);
    (void)arrive();
    assert_true(accept_of()->is_cancelled);
    assert_true(other->is_cancelled);
}

static void test_listener_stopped_takes_what_waits(void **state) {
    (void)state;
    struct t_socket *socket = t_ring_at(world->ring, listener);
    for (int i = 0; i < 3; i++) {
        int client = t_ring_socket(world->ring);
        t_ring_at(world->ring, listener)->queue[socket->queue_count++] = client;
    }
    cv_listener_stop_all(&world->net, true);
    assert_true(accept_of()->is_cancelled);
    assert_false(cv_listener_all_closed(&world->net));
    assert_true(socket->is_open);
    // One more arrives before the cancel does.
    complete(t_ring_socket(world->ring), true);
    complete(-ECANCELED, false);
    assert_true(cv_listener_all_closed(&world->net));
    assert_false(t_ring_at(world->ring, listener)->is_open);
    assert_int_equal(world->net.open_count, 4);
    cv_listener_stop_all(&world->net, true);
}

static void test_listener_stopped_takes_what_waits_behind_an_aborted_connection(void **state) {
    (void)state;
    int client = t_ring_socket(world->ring);  // May move the table of sockets.
    struct t_socket *socket = t_ring_at(world->ring, listener);
    socket->queue[socket->queue_count++] = client;
    world->ring->accept_now_errors[0] = -ECONNABORTED;
    world->ring->accept_now_errors[1] = -EINTR;
    cv_listener_stop_all(&world->net, true);
    complete(-ECANCELED, false);
    assert_true(cv_listener_all_closed(&world->net));
    assert_int_equal(world->net.open_count, 1);
}

static void test_listener_stopped_without_taking_leaves_what_waits(void **state) {
    (void)state;
    int client = t_ring_socket(world->ring);  // May move the table of sockets.
    struct t_socket *socket = t_ring_at(world->ring, listener);
    socket->queue[socket->queue_count++] = client;
    cv_listener_stop_all(&world->net, false);
    complete(-ECANCELED, false);
    assert_true(cv_listener_all_closed(&world->net));
    assert_int_equal(world->net.open_count, 0);
    assert_int_equal(t_ring_at(world->ring, listener)->queue_count, 1);
}

static void test_listener_stopped_in_a_pause_closes_at_once(void **state) {
    (void)state;
    complete(-EMFILE, false);
    cv_listener_stop_all(&world->net, true);
    assert_true(cv_listener_all_closed(&world->net));
    assert_int_equal(world->wheel.count, 0);
    t_world_wait(world, 200);
    assert_false(accept_of()->is_armed);
}

static void test_listener_stopped_is_not_armed_by_a_connection_that_goes(void **state) {
    (void)state;
    int client = arrive();
    cv_listener_stop_all(&world->net, true);
    leave(client);
    complete(-ECANCELED, false);
    t_world_wait(world, 200);
    assert_false(accept_of()->is_armed);
}

static void test_listener_held_opens_what_comes_and_accepts_no_more(void **state) {
    (void)state;
    cv_listener_hold(&world->net, true);
    assert_true(accept_of()->is_cancelled);
    int client = arrive();
    assert_int_equal(world->net.open_count, 1);
    complete(-ECANCELED, false);
    assert_false(accept_of()->is_armed);
    // Neither a connection that goes nor time ends it.
    leave(client);
    t_world_wait(world, 200);
    assert_false(accept_of()->is_armed);
    cv_listener_hold(&world->net, false);
    assert_true(accept_of()->is_armed);
    assert_int_equal(t_counter(world, COVET_COUNTER_ACCEPT_PAUSES), 1);
}

static void test_listener_let_go_before_its_cancel_worked_accepts_on(void **state) {
    (void)state;
    cv_listener_hold(&world->net, true);
    cv_listener_hold(&world->net, false);
    complete(-ECANCELED, false);
    assert_true(accept_of()->is_armed);
    assert_false(accept_of()->is_cancelled);
}

static void test_listener_stopped_while_held_takes_what_waits(void **state) {
    (void)state;
    struct t_socket *socket = t_ring_at(world->ring, listener);
    cv_listener_hold(&world->net, true);
    complete(-ECANCELED, false);
    socket->queue[socket->queue_count++] = t_ring_socket(world->ring);
    cv_listener_stop_all(&world->net, true);
    assert_int_equal(world->net.open_count, 1);
    assert_true(cv_listener_all_closed(&world->net));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_FOR_TWO(name) cmocka_unit_test_setup_teardown(name, set_up_for_two, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_listener_opens_what_it_accepts),
        TEST(test_listener_arms_again_at_once_after_what_passes),
        TEST(test_listener_pauses_without_descriptors_and_goes_on_after_a_while),
        TEST(test_listener_ends_its_pause_when_a_connection_goes),
        TEST(test_listener_gives_up_a_broken_descriptor),
        TEST_FOR_TWO(test_listener_accepts_no_more_than_the_limit),
        TEST_FOR_TWO(test_listener_accepts_again_when_the_limit_is_raised),
        TEST_FOR_TWO(test_listener_accepts_one_by_one_close_to_the_limit),
        cmocka_unit_test_setup_teardown(
            test_listener_cancels_the_multishot_accepts_of_all_close_to_the_limit,
            set_up_two_for_a_backlog, tear_down),
        TEST(test_listener_stopped_takes_what_waits),
        TEST(test_listener_stopped_takes_what_waits_behind_an_aborted_connection),
        TEST(test_listener_stopped_without_taking_leaves_what_waits),
        TEST(test_listener_stopped_in_a_pause_closes_at_once),
        TEST(test_listener_stopped_is_not_armed_by_a_connection_that_goes),
        TEST(test_listener_held_opens_what_comes_and_accepts_no_more),
        TEST(test_listener_let_go_before_its_cancel_worked_accepts_on),
        TEST(test_listener_stopped_while_held_takes_what_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
