// Tables: order of rows, columns that do not fit, titles, warnings.
#include "top/table.h"

#include <math.h>

#include "support/top_world.h"

enum { NAME, COUNT, SHARE, TIME, COLUMN_COUNT };

static const struct top_column columns[COLUMN_COUNT] = {
    [NAME] = {.title = "name", .kind = TOP_CELL_TEXT, .width = 6},
    [COUNT] = {.group = "both", .title = "count", .width = 5, .warn = 10, .bad = 20},
    [SHARE] = {.group = "both", .title = "%", .unit = TOP_PERCENT, .width = 5},
    [TIME] = {.group = "time", .title = "max", .unit = TOP_TIME, .width = 7},
};

static struct top_table table;

static void add(const char *name, double count, double share, double time) {
    struct top_row *row = top_table_add(&table);
    row->cells[NAME].text = name;
    row->cells[COUNT].value = count;
    row->cells[SHARE].value = share;
    row->cells[TIME].value = time;
}

static int begin(void **state) {
    (void)state;
    top_table_begin(&table, columns, COLUMN_COUNT, 1);
    add("pear", 5, 10, 1000);
    add("apple", 15, NAN, 1000);
    add("fig", 25, 90.4, 2e9);
    return 0;
}

static int end(void **state) {
    (void)state;
    top_table_deinit(&table);
    t_top_end();
    return 0;
}

static const char *draw(unsigned width, unsigned scroll, unsigned sorted) {
    top_page_begin(&t_top_page, width);
    top_table_draw_head(&table, &t_top_page, scroll, sorted);
    top_table_draw_rows(&table, &t_top_page, scroll);
    return t_top_text(&t_top_page);
}

static void test_table_is_laid_out(void **state) {
    (void)state;
    assert_string_equal(draw(40, 0, COUNT), "            both         time\n"
                                            "name    count      %      max\n"
                                            "pear        5   10.0   1.00us\n"
                                            "apple      15      -   1.00us\n"
                                            "fig        25   90.4    2.00s\n");
}

static void test_table_leaves_out_whole_columns_and_says_so(void **state) {
    (void)state;
    assert_string_equal(draw(24, 0, NAME), "           both\n"
                                           "name   count     %     >\n"
                                           "pear       5  10.0\n"
                                           "apple     15     -\n"
                                           "fig       25  90.4\n");
    assert_string_equal(draw(20, 1, NAME), "        both    time\n"
                                           "name  <    %     max\n"
                                           "pear    10.0  1.00us\n"
                                           "apple      -  1.00us\n"
                                           "fig     90.4   2.00s\n");
}

static void test_table_scrolls_until_the_last_column_is_in_sight(void **state) {
    (void)state;
    assert_int_equal(top_table_scroll_max(&table, 80), 0);
    assert_int_equal(top_table_scroll_max(&table, 26), 0);
    assert_int_equal(top_table_scroll_max(&table, 25), 1);
    assert_int_equal(top_table_scroll_max(&table, 20), 1);
    assert_int_equal(top_table_scroll_max(&table, 19), 2);
    assert_int_equal(top_table_scroll_max(&table, 1), 2);
}

static void test_table_scrolls_to_a_column(void **state) {
    static const struct {
        const char *name;
        unsigned width, scroll, column, expected;
    } cases[] = {
        {"it is there", 80, 0, TIME, 0},           {"to the right", 20, 0, TIME, 1},
        {"to the left", 20, 2, COUNT, 0},          {"it is there after scrolling", 20, 1, TIME, 1},
        {"fixed ones always are", 20, 2, NAME, 2}, {"too narrow for any", 3, 0, TIME, 2},
    };
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        unsigned scroll =
            top_table_scroll_to(&table, cases[i].width, cases[i].scroll, cases[i].column);
        if (scroll != cases[i].expected) {
            fail_msg("%s: %u", cases[i].name, scroll);
        }
    }
}

static void assert_order(unsigned column, const char *first, const char *second,
                         const char *third) {
    top_table_sort(&table, column);
    assert_string_equal(table.rows[0].cells[NAME].text, first);
    assert_string_equal(table.rows[1].cells[NAME].text, second);
    assert_string_equal(table.rows[2].cells[NAME].text, third);
}

static void test_table_sorts_texts_up_and_figures_down(void **state) {
    (void)state;
    assert_order(COUNT, "fig", "apple", "pear");
    assert_order(NAME, "apple", "fig", "pear");
    assert_order(SHARE, "fig", "pear", "apple");  // What is not measured comes last.
    assert_order(TIME, "fig", "pear", "apple");   // Equal ones as they were added.
}

static void test_table_keeps_a_total_in_front(void **state) {
    (void)state;
    add("total", 1, 1, 1);
    table.rows[3].is_total = true;
    top_table_sort(&table, COUNT);
    assert_string_equal(table.rows[0].cells[NAME].text, "total");
    top_table_sort(&table, NAME);
    assert_string_equal(table.rows[0].cells[NAME].text, "total");
}

static enum top_style style_at(unsigned line, unsigned column) {
    return top_page_glyphs(&t_top_page, line)[column].style;
}

static void test_table_shows_what_is_too_much(void **state) {
    (void)state;
    draw(40, 0, COUNT);
    assert_int_equal(style_at(1, 8), TOP_SORTED);
    assert_int_equal(style_at(1, 0), TOP_HEAD);
    assert_int_equal(style_at(0, 39), TOP_HEAD);
    assert_int_equal(style_at(2, 12), TOP_PLAIN);
    assert_int_equal(style_at(3, 12), TOP_WARN);
    assert_int_equal(style_at(4, 12), TOP_BAD);
    assert_int_equal(style_at(3, 19), TOP_DIM);  // Not measured.
}

static void test_table_without_groups_has_one_line_of_titles(void **state) {
    static const struct top_column plain[] = {
        {.title = "port", .kind = TOP_CELL_PORT, .width = 5},
        {.title = "shape", .kind = TOP_CELL_SHAPE, .width = 5},
        {.title = "who", .kind = TOP_CELL_THREAD, .width = 5},
    };
    static const uint64_t counts[5] = {0, 1, 8, 1, 0};
    (void)state;
    top_table_begin(&table, plain, CV_ARRAY_COUNT(plain), 1);
    struct top_row *row = top_table_add(&table);
    row->cells[0].value = 8000;
    row->cells[1].counts = counts;
    row->cells[2].value = 3;
    row = top_table_add(&table);
    row->cells[2].value = -1;
    assert_string_equal(draw(60, 0, 0), "port   shape  who\n"
                                        "8000    ▁█▁   w3\n"
                                        "all           workers\n");
}

#define TABLE_TEST(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TABLE_TEST(test_table_is_laid_out),
        TABLE_TEST(test_table_leaves_out_whole_columns_and_says_so),
        TABLE_TEST(test_table_scrolls_until_the_last_column_is_in_sight),
        TABLE_TEST(test_table_scrolls_to_a_column),
        TABLE_TEST(test_table_sorts_texts_up_and_figures_down),
        TABLE_TEST(test_table_keeps_a_total_in_front),
        TABLE_TEST(test_table_shows_what_is_too_much),
        TABLE_TEST(test_table_without_groups_has_one_line_of_titles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
