// The view of the network, of figures that are made up (support/top_world.h).
#include "support/top_world.h"
#include "top/views.h"

static const struct top_view *const view = &top_view_network;

static int end(void **state) {
    (void)state;
    t_top_end();
    return 0;
}

static void test_network_shows_accept_queues(void **state) {
    struct top_choice choice = view->choice;
    (void)state;
    t_top_begin(0);
    t_top_assert_line(t_top_view(view, &choice), "8000 3 5 12288 30.0 40");
    assert_int_equal(top_page_glyphs(&t_top_page, 1)[52].style, TOP_WARN);
}

static void test_network_counts_tcp_of_the_ports(void **state) {
    struct top_choice choice = view->choice;
    (void)state;
    t_top_begin(1);
    const char *text = t_top_view(view, &choice);
    t_top_assert_line(text, "TCP of these ports");
    t_top_assert_line(text, "segments sent again 3 30 50");  // Of 600 accepted.
    t_top_assert_line(text, "resets received 9 90 150");
    t_top_assert_line(text, "resets sent 0 0 0");
    t_top_assert_line(text, "TCP_OLD_DATA 2 20 8000");
}

static void test_network_without_a_profiler_counts_the_whole_host(void **state) {
    struct top_choice choice = view->choice;
    (void)state;
    t_top_begin(0);
    t_top_sample.change.host_retransmits = 4;
    t_top_sample.since.host_retransmits = 44;
    const char *text = t_top_view(view, &choice);
    t_top_assert_line(text, "segments sent again 4 44 -");
    assert_null(strstr(text, "Packets dropped"));
}

static void test_network_tells_how_connections_end(void **state) {
    struct top_choice choice = view->choice;
    (void)state;
    t_top_begin(1);
    const char *text = t_top_view(view, &choice);
    t_top_assert_line(text, "Connections (48 open)");
    t_top_assert_line(text, "accepted 60 600 -");
    t_top_assert_line(text, "closed 12 120 -");
    t_top_assert_line(text, "  by the client 9 90 75");
    t_top_assert_line(text, "  idle for too long 3 30 25");
    assert_null(strstr(text, "by the server"));  // None: no line.
}

static void test_network_says_when_there_is_nothing(void **state) {
    struct top_choice choice = view->choice;
    (void)state;
    t_top_begin(1);
    t_top_sample.since.listener_count = 0;
    t_top_sample.since.drops[0].count = 0;
    const char *text = t_top_view(view, &choice);
    t_top_assert_line(text, "no TCP port is known");
    t_top_assert_line(text, "none since the baseline");
}

// Whatever reason for closing a connection is counted, it is in the list.
static void test_network_knows_every_reason_for_closing(void **state) {
    struct top_choice choice = view->choice;
    (void)state;
    for (unsigned i = COVET_COUNTER_CLOSED_CLIENT; i <= COVET_COUNTER_CLOSED_OVERLOAD; i++) {
        t_top_begin(0);
        t_top_sample.change_total.workers[0].counter[i] = 123456;
        const char *text = t_top_view(view, &choice);
        assert_non_null(strstr(text, "123k"));
        t_top_end();
    }
}

#define NETWORK_TEST(function) cmocka_unit_test_teardown(function, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        NETWORK_TEST(test_network_shows_accept_queues),
        NETWORK_TEST(test_network_counts_tcp_of_the_ports),
        NETWORK_TEST(test_network_without_a_profiler_counts_the_whole_host),
        NETWORK_TEST(test_network_tells_how_connections_end),
        NETWORK_TEST(test_network_says_when_there_is_nothing),
        NETWORK_TEST(test_network_knows_every_reason_for_closing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
