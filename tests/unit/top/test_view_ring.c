// The view of ring operations, of figures that are made up (support/top_world.h).
#include "support/top_world.h"
#include "top/views.h"

static const struct top_view *const view = &top_view_ring;

static int end(void **state) {
    (void)state;
    t_top_end();
    return 0;
}

static void test_ring_operations_of_all_workers_are_summed_up(void **state) {
    struct top_choice choice = view->choice;
    (void)state;
    t_top_begin(1);
    const char *text = t_top_view(view, &choice);
    // submitted, completed, per 1000 requests each, errors since, last error, punted since, waited
    t_top_assert_line(text, "workers SEND 3000 3000 500 500 60 ECONNRES 0 0");
    t_top_assert_line(text, "workers RECV 30 3000 5 500 0 30 0");
}

static void test_ring_operations_of_each_worker_have_a_line(void **state) {
    struct top_choice choice = view->choice;
    (void)state;
    choice.is_total = false;
    t_top_begin(1);
    const char *text = t_top_view(view, &choice);
    t_top_assert_line(text, "w0 RECV 10 1000 10 1000");
    t_top_assert_line(text, "w2 RECV 10 1000 3.3 333");
}

static void test_ring_times_are_there_at_level_3(void **state) {
    struct top_choice choice = view->choice;
    (void)state;
    choice.is_total = false;
    t_top_begin(3);
    const char *text = t_top_view(view, &choice);
    const char *line = strstr(text, "w0       SEND");
    assert_non_null(line);
    assert_true(strstr(line, "2.50us") < strchr(line, '\n'));
    assert_true(strstr(line, "<32.0us") < strchr(line, '\n'));
}

static void test_ring_shows_the_servers_own_count_at_every_level(void **state) {
    struct top_choice choice = view->choice;
    (void)state;
    for (uint32_t level = 0; level <= 2; level++) {
        t_top_begin(level);
        t_top_assert_line(t_top_view(view, &choice), "io_uring_enter calls 600 6000 100");
        t_top_end();
    }
}

static void test_ring_without_a_profiler_says_what_is_missing(void **state) {
    struct top_choice choice = view->choice;
    (void)state;
    t_top_begin(0);
    assert_non_null(strstr(t_top_view(view, &choice), "sudo covet-prof --level 1"));
}

#define RING_TEST(function) cmocka_unit_test_teardown(function, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        RING_TEST(test_ring_operations_of_all_workers_are_summed_up),
        RING_TEST(test_ring_operations_of_each_worker_have_a_line),
        RING_TEST(test_ring_times_are_there_at_level_3),
        RING_TEST(test_ring_shows_the_servers_own_count_at_every_level),
        RING_TEST(test_ring_without_a_profiler_says_what_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
