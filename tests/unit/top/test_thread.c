// Threads as numbers, and their names.
#include "top/thread.h"

#include "support/top_world.h"

static void test_thread_has_a_name(void **state) {
    const struct {
        double thread;
        const char *expected;
    } cases[] = {
        {top_thread_of_worker(0, false), "w0"},     {top_thread_of_worker(255, false), "w255"},
        {top_thread_of_worker(0, true), "workers"}, {top_thread_of_role(COVET_MAIN), "main"},
        {top_thread_of_role(COVET_IO_WQ), "io-wq"}, {top_thread_of_role(COVET_SQPOLL), "sqpoll"},
        {top_thread_of_role(COVET_OTHER), "other"}, {top_thread_of_role((enum covet_role)77), "?"},
    };
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        char name[TOP_QUANTITY_BYTES];
        top_thread_name(name, cases[i].thread);
        assert_string_equal(name, cases[i].expected);
    }
}

static void test_thread_order_is_all_then_each_then_the_others(void **state) {
    (void)state;
    assert_true(top_thread_of_worker(9, true) < top_thread_of_worker(0, false));
    assert_true(top_thread_of_worker(COVET_WORKERS_MAX, false) < top_thread_of_role(COVET_MAIN));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_thread_has_a_name),
        cmocka_unit_test(test_thread_order_is_all_then_each_then_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
