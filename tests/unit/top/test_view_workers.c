// The view of workers, of figures that are made up (support/top_world.h).
#include "support/top_world.h"
#include "top/views.h"

static const struct top_view *const view = &top_view_workers;

static const char *text_at(uint32_t level, struct top_choice choice) {
    t_top_begin(level);
    return t_top_view(view, &choice);
}

static int end(void **state) {
    (void)state;
    t_top_end();
    return 0;
}

static void test_workers_have_a_line_each_and_one_together(void **state) {
    (void)state;
    const char *text = text_at(2, view->choice);
    // core, requests, p50, p99, connections, CPU, queued, enters, calls, batch, bytes ...
    t_top_assert_line(text, "workers - 6000 <1.02us <16.4us 48 50.0 10.0 100 200 2000 586K 11.7M "
                            "120 21 0 0 30");
    t_top_assert_line(text, "w0 0 1000 <1.02us <16.4us 16 50.0 10.0 100 200 2000 97.7K 1.95M "
                            "40 7 0 0 10");
    t_top_assert_line(text, "w2 2 3000 ");
    assert_int_equal(t_top_page.frozen, 2);
    assert_int_equal(t_top_page.line_count, 2 + 1 + 3);
}

static void test_workers_without_a_profiler_show_what_proc_knows(void **state) {
    (void)state;
    const char *text = text_at(0, view->choice);
    t_top_assert_line(text, "w1 1 2000 <1.02us <16.4us 16 50.0 10.0 100 - - 195K 3.91M 40 7 0 0 -");
}

static void test_workers_at_level_1_have_no_count_of_calls(void **state) {
    (void)state;
    t_top_assert_line(text_at(1, view->choice),
                      "w0 0 1000 <1.02us <16.4us 16 50.0 10.0 100 - 2000");
}

static void test_workers_whose_proc_is_hidden_show_what_the_profiler_knows(void **state) {
    struct top_choice choice = view->choice;
    (void)state;
    t_top_begin(1);
    struct cv_snapshot_worker *worker = &t_top_sample.change.workers[0];
    worker->has_proc = false;
    worker->cpu_ns = worker->runq_ns = 0;
    worker->sched.running_ns = 250000000;
    worker->sched.runq_ns = 10000000;
    worker->sched.voluntary_switches = 12;
    t_top_assert_line(t_top_view(view, &choice), "w0 0 1000 <1.02us <16.4us 16 25.0 1.0 ");
}

static void test_workers_of_whom_nothing_is_known_show_nothing(void **state) {
    struct top_choice choice = view->choice;
    (void)state;
    t_top_begin(0);
    t_top_sample.change.workers[1].has_proc = false;
    t_top_assert_line(t_top_view(view, &choice), "w1 1 2000 <1.02us <16.4us 16 - - 100");
}

static void test_worker_that_does_not_run_has_no_figures(void **state) {
    struct top_choice choice = view->choice;
    (void)state;
    t_top_begin(0);
    t_top_sample.change.workers[1].thread_id = 0;
    const char *text = t_top_view(view, &choice);
    t_top_assert_line(text, "w1 - - - - - -");
    // Two workers share what a share is of now: 1.5 seconds of CPU in two.
    t_top_assert_line(text, "workers - 6000 <1.02us <16.4us 48 75.0 15.0");
}

static void test_workers_can_be_one_line(void **state) {
    (void)state;
    const char *text = text_at(2, (struct top_choice){.is_total = true});
    assert_int_equal(t_top_page.line_count, 3);
    t_top_assert_line(text, "workers - 6000");
}

static void test_workers_are_sorted_by_the_chosen_column(void **state) {
    (void)state;
    const char *text = text_at(2, (struct top_choice){.sorted = 2});
    assert_true(strstr(text, "\nworkers") < strstr(text, "\nw2"));
    assert_true(strstr(text, "\nw2") < strstr(text, "\nw1"));
    assert_true(strstr(text, "\nw1") < strstr(text, "\nw0"));
}

static void test_workers_without_requests_divide_by_nothing(void **state) {
    struct top_choice choice = view->choice;
    (void)state;
    t_top_begin(2);
    t_top_sample.change.workers[0].counter[COVET_COUNTER_REQUESTS] = 0;
    t_top_sample.change.workers[0].handler_time = (struct covet_histogram){.count = 0};
    t_top_assert_line(t_top_view(view, &choice), "w0 0 0 - - 16 50.0 10.0 - - 2000");
}

#define WORKERS_TEST(function) cmocka_unit_test_teardown(function, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        WORKERS_TEST(test_workers_have_a_line_each_and_one_together),
        WORKERS_TEST(test_workers_without_a_profiler_show_what_proc_knows),
        WORKERS_TEST(test_workers_at_level_1_have_no_count_of_calls),
        WORKERS_TEST(test_workers_whose_proc_is_hidden_show_what_the_profiler_knows),
        WORKERS_TEST(test_workers_of_whom_nothing_is_known_show_nothing),
        WORKERS_TEST(test_worker_that_does_not_run_has_no_figures),
        WORKERS_TEST(test_workers_can_be_one_line),
        WORKERS_TEST(test_workers_are_sorted_by_the_chosen_column),
        WORKERS_TEST(test_workers_without_requests_divide_by_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
