// Pages as bytes: what a terminal gets, and what a pipe gets.
#include "top/screen.h"

#include "support/top_world.h"

static struct top_screen screen;

static int begin(void **state) {
    (void)state;
    screen = (struct top_screen){.way = {.has_colors = false, .has_utf8 = true}};
    top_page_begin(&t_top_page, 10);
    top_page_line(&t_top_page);
    return 0;
}

static int end(void **state) {
    (void)state;
    top_screen_deinit(&screen);
    t_top_end();
    return 0;
}

static const char *bytes_of_frame(unsigned height) {
    top_screen_begin(&screen);
    for (unsigned i = 0; i < t_top_page.line_count; i++) {
        top_screen_line(&screen, &t_top_page, i);
    }
    top_screen_end(&screen, height);
    *top_screen_room(&screen, 1) = '\0';
    return screen.bytes;
}

static void test_screen_addresses_every_row_and_wipes_behind_it(void **state) {
    (void)state;
    top_page_put(&t_top_page, 0, TOP_PLAIN, "abc");
    top_page_line(&t_top_page);
    assert_string_equal(bytes_of_frame(3), "\033[?2026h"
                                           "\033[1;1H\033[mabc\033[m\033[K"
                                           "\033[2;1H\033[m\033[m\033[K"
                                           "\033[m\033[3;1H\033[J"
                                           "\033[?2026l");
}

static void test_screen_neither_scrolls_nor_wipes_what_is_full(void **state) {
    (void)state;
    top_page_put(&t_top_page, 0, TOP_PLAIN, "0123456789");
    // The cursor stays on the last column: to wipe there would take the 9 away.
    assert_string_equal(bytes_of_frame(1), "\033[?2026h"
                                           "\033[1;1H\033[m0123456789"
                                           "\033[m"
                                           "\033[?2026l");
}

static void test_screen_has_colours_only_when_asked(void **state) {
    (void)state;
    for (int style = 0; style < TOP_STYLE_COUNT; style++) {
        top_page_glyph(&t_top_page, (unsigned)style, (enum top_style)style, 'x');
    }
    assert_null(strstr(bytes_of_frame(1), ";3"));
    assert_null(strstr(screen.bytes, "\033[3"));
    assert_non_null(strstr(screen.bytes, "\033[0;7m"));  // Reverse is no colour.
    screen.way.has_colors = true;
    assert_non_null(strstr(bytes_of_frame(1), "\033[0;1;31m"));
}

static void test_screen_draws_a_bar_of_titles_to_the_edge(void **state) {
    (void)state;
    top_page_fill(&t_top_page, 0, TOP_HEAD);
    assert_non_null(strstr(bytes_of_frame(1), "\033[0;7m          \033[m"));
}

static void test_screen_writes_ascii_where_there_is_no_utf8(void **state) {
    (void)state;
    screen.way.has_utf8 = false;
    top_page_put(&t_top_page, 0, TOP_PLAIN, "a▁▄█▌▏ä");
    top_screen_text(&screen, &t_top_page);
    *top_screen_room(&screen, 1) = '\0';
    assert_string_equal(screen.bytes, "a.=##|?\n");
}

static void test_screen_writes_text_without_styles_or_blanks_at_the_end(void **state) {
    (void)state;
    top_page_put(&t_top_page, 2, TOP_BAD, "ä█");
    top_page_fill(&t_top_page, 0, TOP_HEAD);
    top_page_line(&t_top_page);
    top_screen_text(&screen, &t_top_page);
    top_screen_raw(&screen, "end");
    *top_screen_room(&screen, 1) = '\0';
    assert_string_equal(screen.bytes, "  ä█\n\nend");
    assert_int_equal(screen.length, strlen(screen.bytes));
}

#define SCREEN_TEST(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        SCREEN_TEST(test_screen_addresses_every_row_and_wipes_behind_it),
        SCREEN_TEST(test_screen_neither_scrolls_nor_wipes_what_is_full),
        SCREEN_TEST(test_screen_has_colours_only_when_asked),
        SCREEN_TEST(test_screen_draws_a_bar_of_titles_to_the_edge),
        SCREEN_TEST(test_screen_writes_ascii_where_there_is_no_utf8),
        SCREEN_TEST(test_screen_writes_text_without_styles_or_blanks_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
