// The view of system calls, of figures that are made up (support/top_world.h).
#include "support/top_world.h"
#include "top/views.h"

static const struct top_view *const view = &top_view_syscalls;

static int end(void **state) {
    (void)state;
    t_top_end();
    return 0;
}

static void test_syscalls_of_all_workers_are_summed_up(void **state) {
    struct top_choice choice = view->choice;
    (void)state;
    t_top_begin(2);
    const char *text = t_top_view(view, &choice);
    // calls, per 1000 requests, errors since, last error, busy a call, busy, blocked, longest,
    // since
    t_top_assert_line(text, "workers io_uring_enter 300 50 150 ETIME 3.00us 0.1 30.0 90.0us 3000");
    t_top_assert_line(text, "workers setsockopt 15 2.5");
    t_top_assert_line(text, "workers read 0 0 0 - 0.0 0.0 0 0");
    t_top_assert_line(text, "main write 11 1.8");
    assert_int_equal(t_top_page.frozen, 3);
}

static void test_syscalls_of_each_worker_are_divided_by_its_own_requests(void **state) {
    struct top_choice choice = view->choice;
    (void)state;
    choice.is_total = false;
    t_top_begin(2);
    const char *text = t_top_view(view, &choice);
    t_top_assert_line(text, "w0 io_uring_enter 100 100 50 ETIME");
    t_top_assert_line(text, "w2 io_uring_enter 100 33.3 50 ETIME");
}

static enum top_style style_of_zero_line(unsigned column) {
    return top_page_glyphs(&t_top_page, 0)[column].style;
}

static void test_syscalls_say_that_the_classic_ones_are_not_made(void **state) {
    struct top_choice choice = view->choice;
    (void)state;
    t_top_begin(2);
    const char *expected = "Workers since the baseline:  read 0  write 0  sendto 0  recvfrom 0\n";
    assert_memory_equal(t_top_view(view, &choice), expected, strlen(expected));
    assert_int_equal(style_of_zero_line(30), TOP_GOOD);
}

static void test_syscalls_warn_when_one_of_them_is_made(void **state) {
    struct top_choice choice = view->choice;
    (void)state;
    t_top_begin(2);
    t_top_sample.since_total.syscalls[0].stats.count = 7;
    assert_non_null(strstr(t_top_view(view, &choice), "read 7  write 0"));
    assert_int_equal(style_of_zero_line(30), TOP_WARN);
    assert_int_equal(style_of_zero_line(38), TOP_GOOD);
}

static void test_syscalls_are_not_there_below_level_2(void **state) {
    struct top_choice choice = view->choice;
    (void)state;
    for (uint32_t level = 0; level < 2; level++) {
        t_top_begin(level);
        assert_non_null(strstr(t_top_view(view, &choice), "sudo covet-prof --level 2"));
        t_top_end();
    }
}

#define SYSCALLS_TEST(function) cmocka_unit_test_teardown(function, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        SYSCALLS_TEST(test_syscalls_of_all_workers_are_summed_up),
        SYSCALLS_TEST(test_syscalls_of_each_worker_are_divided_by_its_own_requests),
        SYSCALLS_TEST(test_syscalls_say_that_the_classic_ones_are_not_made),
        SYSCALLS_TEST(test_syscalls_warn_when_one_of_them_is_made),
        SYSCALLS_TEST(test_syscalls_are_not_there_below_level_2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
