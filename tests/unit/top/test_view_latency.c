// The view of latencies, of figures that are made up (support/top_world.h).
#include "support/top_world.h"
#include "top/views.h"

static const struct top_view *const view = &top_view_latency;

static int end(void **state) {
    (void)state;
    t_top_end();
    return 0;
}

static void test_latency_without_a_profiler_is_that_of_handlers(void **state) {
    struct top_choice choice = view->choice;
    (void)state;
    t_top_begin(0);
    const char *text = t_top_view(view, &choice);
    t_top_assert_line(text, "workers handlers 6000 <1.02us <16.4us <16.4us <1.02us <16.4us <16.4us "
                            "█   ▁");
    t_top_assert_line(text, "handlers, workers: 60000 since the baseline");
    t_top_assert_line(text, " <1.02us 58800 98.0% ███");
    t_top_assert_line(text, " <8.19us 0 0.0%\n");  // Empty ones in between are there,
    assert_null(strstr(text, "<512ns"));           // those around are not.
    assert_null(strstr(text, "run queue"));
}

static void test_latency_of_the_run_queue_comes_with_a_profiler(void **state) {
    struct top_choice choice = view->choice;
    (void)state;
    t_top_begin(1);
    const char *text = t_top_view(view, &choice);
    t_top_assert_line(text, "workers run queue 123 <4.00us <1.02ms <1.02ms");
    t_top_assert_line(text, "run queue, workers: 1230 since the baseline");
}

static void test_latency_of_calls_and_operations_comes_at_level_3(void **state) {
    struct top_choice choice = view->choice;
    (void)state;
    t_top_begin(3);
    const char *text = t_top_view(view, &choice);
    t_top_assert_line(text, "workers io_uring_enter 100 <8.00us");
    t_top_assert_line(text, "workers SEND 1000 <32.0us");
    t_top_assert_line(text, "SEND, workers: 10000 since the baseline");
}

static void test_latency_of_each_worker_has_a_line(void **state) {
    struct top_choice choice = view->choice;
    (void)state;
    choice.is_total = false;
    t_top_begin(3);
    const char *text = t_top_view(view, &choice);
    t_top_assert_line(text, "w0 handlers 1000 ");
    t_top_assert_line(text, "w2 handlers 3000 ");
    t_top_assert_line(text, "w0 SEND 1000 ");
    t_top_assert_line(text, "run queue, w1: 410 since the baseline");
}

static void test_latency_of_nothing_has_no_bars(void **state) {
    struct top_choice choice = view->choice;
    (void)state;
    t_top_begin(0);
    t_top_sample.change_total.workers[0].handler_time = (struct covet_histogram){.count = 0};
    t_top_sample.since_total.workers[0].handler_time = (struct covet_histogram){.count = 0};
    const char *text = t_top_view(view, &choice);
    t_top_assert_line(text, "workers handlers 0 - - - - - -\n");
    assert_int_equal(t_top_page.line_count, 3);
}

static void test_latency_above_all_buckets_is_long(void **state) {
    struct top_choice choice = view->choice;
    (void)state;
    t_top_begin(0);
    t_top_sample.since_total.workers[0].handler_time.bucket[23] = 60000;
    const char *text = t_top_view(view, &choice);
    t_top_assert_line(text, "    long 60000 50.0% ██");
}

#define LATENCY_TEST(function) cmocka_unit_test_teardown(function, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        LATENCY_TEST(test_latency_without_a_profiler_is_that_of_handlers),
        LATENCY_TEST(test_latency_of_the_run_queue_comes_with_a_profiler),
        LATENCY_TEST(test_latency_of_calls_and_operations_comes_at_level_3),
        LATENCY_TEST(test_latency_of_each_worker_has_a_line),
        LATENCY_TEST(test_latency_of_nothing_has_no_bars),
        LATENCY_TEST(test_latency_above_all_buckets_is_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
