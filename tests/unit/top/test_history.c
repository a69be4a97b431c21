// The last values and their sparkline.
#include "top/history.h"

#include "support/top_world.h"

static void test_history_draws_the_newest_at_the_right(void **state) {
    struct top_history history = {.count = 0};
    (void)state;
    for (unsigned i = 0; i <= 8; i++) {
        top_history_add(&history, i);
    }
    top_page_begin(&t_top_page, 12);
    top_page_line(&t_top_page);
    top_history_draw(&history, &t_top_page, 1, 10);
    assert_string_equal(t_top_text(&t_top_page), "   ▁▂▃▄▅▆▇█\n");
    t_top_end();
}

static void test_history_scales_to_what_is_in_sight(void **state) {
    struct top_history history = {.count = 0};
    (void)state;
    top_history_add(&history, 1000);
    top_history_add(&history, 4);
    top_history_add(&history, 8);
    assert_true(top_history_max(&history, 2) == 8);
    assert_true(top_history_max(&history, 3) == 1000);
    top_page_begin(&t_top_page, 2);
    top_page_line(&t_top_page);
    top_history_draw(&history, &t_top_page, 0, 2);
    assert_string_equal(t_top_text(&t_top_page), "▄█\n");
    t_top_end();
}

static void test_history_forgets_the_oldest(void **state) {
    struct top_history history = {.count = 0};
    (void)state;
    top_history_add(&history, 1e9);
    for (unsigned i = 0; i < TOP_HISTORY_MAX; i++) {
        top_history_add(&history, 5);
    }
    assert_int_equal(history.count, TOP_HISTORY_MAX);
    assert_true(top_history_max(&history, TOP_HISTORY_MAX) == 5);
    assert_true(top_history_last(&history) == 5);
}

static void test_history_without_values_is_blank(void **state) {
    struct top_history history = {.count = 0};
    (void)state;
    assert_true(top_history_last(&history) == 0);
    assert_true(top_history_max(&history, 10) == 0);
    top_page_begin(&t_top_page, 5);
    top_page_line(&t_top_page);
    top_history_draw(&history, &t_top_page, 0, 5);
    assert_string_equal(t_top_text(&t_top_page), "\n");
    t_top_end();
}

static void test_history_shows_what_is_small(void **state) {
    (void)state;
    assert_int_equal(top_history_glyph(1, 1e9), 0x2581);
    assert_int_equal(top_history_glyph(1e9, 1e9), 0x2588);
    assert_int_equal(top_history_glyph(0, 1e9), ' ');
    assert_int_equal(top_history_glyph(0, 0), ' ');
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_history_draws_the_newest_at_the_right),
        cmocka_unit_test(test_history_scales_to_what_is_in_sight),
        cmocka_unit_test(test_history_forgets_the_oldest),
        cmocka_unit_test(test_history_without_values_is_blank),
        cmocka_unit_test(test_history_shows_what_is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
