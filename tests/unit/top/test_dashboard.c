// What keys do.
#include "top/dashboard.h"

#include "support/top_world.h"
#include "top/keys.h"

static struct top_dashboard dashboard;

static int begin(void **state) {
    (void)state;
    top_dashboard_begin(&dashboard, 1, 0);
    return 0;
}

static struct top_choice *choice(void) {
    return &dashboard.choices[dashboard.view];
}

static void press(int key, enum top_wish expected) {
    assert_int_equal(top_dashboard_key(&dashboard, key), expected);
}

static void test_dashboard_begins_as_asked(void **state) {
    (void)state;
    top_dashboard_begin(&dashboard, 0.5, 3);
    assert_int_equal(dashboard.view, 3);
    assert_true(dashboard.seconds == 0.5);
    assert_false(dashboard.is_paused);
    for (unsigned i = 0; i < TOP_VIEW_COUNT; i++) {
        assert_int_equal(dashboard.choices[i].sorted, top_views[i]->choice.sorted);
    }
}

static void test_dashboard_changes_views(void **state) {
    static const struct {
        int key;
        unsigned expected;
    } steps[] = {{'5', 4}, {'\t', 0}, {'\t', 1}, {TOP_KEY_BACK_TAB, 0}, {TOP_KEY_BACK_TAB, 4},
                 {'1', 0}};
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(steps); i++) {
        press(steps[i].key, TOP_WISH_FRAME);
        assert_int_equal(dashboard.view, steps[i].expected);
    }
    press('6', TOP_WISH_NOTHING);
    press('0', TOP_WISH_NOTHING);
    assert_int_equal(dashboard.view, 0);
}

static void test_dashboard_keeps_a_choice_for_each_view(void **state) {
    (void)state;
    press('t', TOP_WISH_FRAME);
    assert_true(choice()->is_total);
    press('2', TOP_WISH_FRAME);
    press('t', TOP_WISH_FRAME);
    assert_false(choice()->is_total);
    press('1', TOP_WISH_FRAME);
    assert_true(choice()->is_total);
}

static void test_dashboard_goes_round_the_columns(void **state) {
    (void)state;
    for (unsigned view = 0; view < TOP_VIEW_COUNT; view++) {
        press('1' + (int)view, TOP_WISH_FRAME);
        unsigned first = choice()->sorted;
        for (unsigned i = 1; i <= top_views[view]->column_count; i++) {
            press('s', TOP_WISH_FRAME);
            assert_int_equal(choice()->sorted, (first + i) % top_views[view]->column_count);
            assert_true(choice()->shows_sorted);
        }
        press('S', TOP_WISH_FRAME);
        press('s', TOP_WISH_FRAME);
        assert_int_equal(choice()->sorted, first);
    }
}

static void test_dashboard_scrolls(void **state) {
    (void)state;
    dashboard.page_lines = 10;
    press(TOP_KEY_UP, TOP_WISH_FRAME);
    assert_int_equal(choice()->line, 0);
    press(TOP_KEY_DOWN, TOP_WISH_FRAME);
    press(TOP_KEY_PAGE_DOWN, TOP_WISH_FRAME);
    assert_int_equal(choice()->line, 11);
    press(TOP_KEY_PAGE_UP, TOP_WISH_FRAME);
    press(TOP_KEY_PAGE_UP, TOP_WISH_FRAME);
    assert_int_equal(choice()->line, 0);
    press(TOP_KEY_LEFT, TOP_WISH_FRAME);
    assert_int_equal(choice()->sideways, 0);
    press(TOP_KEY_RIGHT, TOP_WISH_FRAME);
    press(TOP_KEY_RIGHT, TOP_WISH_FRAME);
    press(TOP_KEY_LEFT, TOP_WISH_FRAME);
    assert_int_equal(choice()->sideways, 1);
    press(TOP_KEY_END, TOP_WISH_FRAME);
    assert_true(choice()->line > 100000);
    press(TOP_KEY_HOME, TOP_WISH_FRAME);
    assert_int_equal(choice()->line, 0);
    assert_int_equal(choice()->sideways, 0);
}

static void test_dashboard_scrolls_the_help_apart(void **state) {
    (void)state;
    press('h', TOP_WISH_FRAME);
    press(TOP_KEY_DOWN, TOP_WISH_FRAME);
    assert_int_equal(dashboard.help.line, 1);
    assert_int_equal(choice()->line, 0);
    press('?', TOP_WISH_FRAME);
    assert_false(dashboard.has_help);
    press('h', TOP_WISH_FRAME);
    assert_int_equal(dashboard.help.line, 0);
    press(TOP_KEY_ESCAPE, TOP_WISH_FRAME);
    assert_false(dashboard.has_help);
    press('h', TOP_WISH_FRAME);
    press('3', TOP_WISH_FRAME);
    assert_false(dashboard.has_help);
}

static void test_dashboard_asks_for_what_it_cannot_do(void **state) {
    (void)state;
    press('p', TOP_WISH_FRAME);
    assert_true(dashboard.is_paused);
    press(' ', TOP_WISH_RESUME);
    assert_false(dashboard.is_paused);
    press('r', TOP_WISH_REBASE);
    press('q', TOP_WISH_QUIT);
    press('Q', TOP_WISH_QUIT);
    press('\f', TOP_WISH_FRAME);
    press('x', TOP_WISH_NOTHING);
    press(TOP_KEY_NONE, TOP_WISH_NOTHING);
}

static void test_dashboard_changes_its_pace(void **state) {
    static const struct {
        double seconds;
        bool is_longer;
        double expected;
    } cases[] = {
        {1, true, 2},     {1, false, 0.5},   {0.1, false, 0.1},  {60, true, 60},
        {0.3, true, 0.5}, {0.3, false, 0.2}, {3600, true, 3600}, {3600, false, 60},
    };
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        assert_true(top_dashboard_pace(cases[i].seconds, cases[i].is_longer) == cases[i].expected);
    }
    press('+', TOP_WISH_PACE);
    assert_true(dashboard.seconds == 2);
    press('-', TOP_WISH_PACE);
    press('-', TOP_WISH_PACE);
    assert_true(dashboard.seconds == 0.5);
    dashboard.seconds = 60;
    press('+', TOP_WISH_NOTHING);
}

#define DASHBOARD_TEST(function) cmocka_unit_test_setup(function, begin)

int main(void) {
    const struct CMUnitTest tests[] = {
        DASHBOARD_TEST(test_dashboard_begins_as_asked),
        DASHBOARD_TEST(test_dashboard_changes_views),
        DASHBOARD_TEST(test_dashboard_keeps_a_choice_for_each_view),
        DASHBOARD_TEST(test_dashboard_goes_round_the_columns),
        DASHBOARD_TEST(test_dashboard_scrolls),
        DASHBOARD_TEST(test_dashboard_scrolls_the_help_apart),
        DASHBOARD_TEST(test_dashboard_asks_for_what_it_cannot_do),
        DASHBOARD_TEST(test_dashboard_changes_its_pace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
