// Lines of glyphs: what is written where, and what is cut off.
#include "top/page.h"

#include "support/top_world.h"

static int begin(void **state) {
    (void)state;
    top_page_begin(&t_top_page, 10);
    top_page_line(&t_top_page);
    return 0;
}

static int end(void **state) {
    (void)state;
    t_top_end();
    return 0;
}

static void test_page_cuts_at_its_width(void **state) {
    (void)state;
    assert_int_equal(top_page_put(&t_top_page, 7, TOP_PLAIN, "abcdef"), 10);
    assert_int_equal(top_page_put(&t_top_page, 12, TOP_PLAIN, "abcdef"), 10);
    top_page_glyph(&t_top_page, 10, TOP_PLAIN, 'x');
    assert_string_equal(t_top_text(&t_top_page), "       abc\n");
}

static void test_page_prints_right_aligned(void **state) {
    (void)state;
    top_page_put_right(&t_top_page, 5, TOP_PLAIN, "12");
    top_page_put_right(&t_top_page, 10, TOP_PLAIN, "▁▂");
    assert_string_equal(t_top_text(&t_top_page), "   12   ▁▂\n");
    top_page_put_right(&t_top_page, 2, TOP_PLAIN, "abc");
    assert_string_equal(t_top_text(&t_top_page), "abc12   ▁▂\n");
}

static void test_page_lets_no_control_character_through(void **state) {
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"a\033[Jb", "a?[Jb\n"},
        {"a\nb\tc\x7f", "a?b?c?\n"},
        {"\x80\xff", "??\n"},
        {"\xc2\x9b"
         "1m",
         "?1m\n"},                       // The C1 form of ESC [.
        {"\xe2\x96", "??\n"},            // Cut in two.
        {"\xed\xa0\x80", "?\n"},         // A surrogate.
        {"\xf0\x9f\x98\x80", "????\n"},  // Beyond the plane; two columns wide at that.
        {"\xc0\xaf", "??\n"},            // Overlong.
        {"\xe0\x80\xaf", "?\n"},
        {"äö█", "äö█\n"},
    };
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        top_page_begin(&t_top_page, 10);
        top_page_line(&t_top_page);
        top_page_put(&t_top_page, 0, TOP_PLAIN, cases[i].text);
        assert_string_equal(t_top_text(&t_top_page), cases[i].expected);
    }
}

static void test_page_draws_bars_in_eighths(void **state) {
    static const struct {
        double share;
        const char *expected;
    } cases[] = {
        {0, "\n"},       {1e-9, "▏\n"}, {0.125, "█\n"},    {0.5, "████\n"},
        {0.0625, "▌\n"}, {0.2, "█▋\n"}, {1, "████████\n"}, {7, "████████\n"},
    };
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        top_page_begin(&t_top_page, 10);
        top_page_line(&t_top_page);
        top_page_bar(&t_top_page, 0, 8, cases[i].share);
        assert_string_equal(t_top_text(&t_top_page), cases[i].expected);
    }
}

static void test_page_keeps_lines_apart_and_begins_anew(void **state) {
    (void)state;
    top_page_put(&t_top_page, 0, TOP_PLAIN, "first");
    for (unsigned i = 0; i < 500; i++) {
        top_page_line(&t_top_page);
    }
    top_page_print(&t_top_page, 0, TOP_STRONG, "%s %d", "last", 7);
    assert_int_equal(t_top_page.line_count, 501);
    assert_int_equal(top_page_glyphs(&t_top_page, 0)[0].code, 'f');
    assert_int_equal(top_page_glyphs(&t_top_page, 500)[5].code, '7');
    assert_int_equal(top_page_glyphs(&t_top_page, 500)[5].style, TOP_STRONG);
    top_page_begin(&t_top_page, 3);
    top_page_line(&t_top_page);
    assert_string_equal(t_top_text(&t_top_page), "\n");
}

static void test_page_fills_the_rest_of_a_line_with_a_style(void **state) {
    (void)state;
    top_page_put(&t_top_page, 0, TOP_PLAIN, "abc");
    top_page_fill(&t_top_page, 2, TOP_HEAD);
    assert_int_equal(top_page_glyphs(&t_top_page, 0)[1].style, TOP_PLAIN);
    assert_int_equal(top_page_glyphs(&t_top_page, 0)[2].style, TOP_HEAD);
    assert_int_equal(top_page_glyphs(&t_top_page, 0)[2].code, 'c');
    assert_int_equal(top_page_glyphs(&t_top_page, 0)[9].style, TOP_HEAD);
}

#define PAGE_TEST(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        PAGE_TEST(test_page_cuts_at_its_width),
        PAGE_TEST(test_page_prints_right_aligned),
        PAGE_TEST(test_page_lets_no_control_character_through),
        PAGE_TEST(test_page_draws_bars_in_eighths),
        PAGE_TEST(test_page_keeps_lines_apart_and_begins_anew),
        PAGE_TEST(test_page_fills_the_rest_of_a_line_with_a_style),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
