// The table of views, and what they share.
#include "top/view.h"

#include "support/top_world.h"

static void test_view_is_found_by_its_name(void **state) {
    static const char *const names[] = {"workers", "syscalls", "ring", "network", "latency"};
    (void)state;
    assert_int_equal(CV_ARRAY_COUNT(names), TOP_VIEW_COUNT);
    for (unsigned i = 0; i < TOP_VIEW_COUNT; i++) {
        assert_int_equal(top_view_find(names[i]), i);
        assert_string_equal(top_views[i]->name, names[i]);
    }
    assert_int_equal(top_view_find("1"), TOP_VIEW_COUNT);
    assert_int_equal(top_view_find(""), TOP_VIEW_COUNT);
}

static void test_view_titles_fit_their_columns(void **state) {
    (void)state;
    for (unsigned i = 0; i < TOP_VIEW_COUNT; i++) {
        for (unsigned j = 0; j < top_views[i]->column_count; j++) {
            const struct top_column *column = &top_views[i]->columns[j];
            assert_non_null(column->title);
            if (strlen(column->title) > column->width) {
                fail_msg("%s: '%s'", top_views[i]->name, column->title);
            }
        }
        assert_true(top_views[i]->choice.sorted < top_views[i]->column_count);
    }
}

// A group's title may be as wide as its columns together, one blank between them.
static void test_view_groups_fit_their_columns(void **state) {
    (void)state;
    for (unsigned i = 0; i < TOP_VIEW_COUNT; i++) {
        const struct top_column *columns = top_views[i]->columns;
        for (unsigned j = 0; j < top_views[i]->column_count; j++) {
            unsigned room = columns[j].width;
            const char *group = columns[j].group;
            while (group != NULL && j + 1 < top_views[i]->column_count &&
                   columns[j + 1].group != NULL && strcmp(columns[j + 1].group, group) == 0) {
                room += 1 + columns[++j].width;
            }
            if (group != NULL && strlen(group) > room) {
                fail_msg("%s: '%s'", top_views[i]->name, group);
            }
        }
    }
}

static void test_view_says_what_would_measure_it(void **state) {
    static const struct {
        uint32_t level, wanted;
        const char *expected;
    } cases[] = {
        {0, 2,
         "\nThings from level 2 on, and no profiler is attached.\n"
         "To see them: sudo covet-prof --level 2\n"},
        {1, 2,
         "\nThings from level 2 on; this is level 1.\n"
         "To see them: sudo covet-prof --level 2\n"},
    };
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        const struct top_sample *sample = t_top_begin(cases[i].level);
        top_page_begin(&t_top_page, 60);
        top_view_needs_level(&t_top_page, sample, "Things", cases[i].wanted);
        assert_string_equal(t_top_text(&t_top_page), cases[i].expected);
        t_top_end();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_view_is_found_by_its_name),
        cmocka_unit_test(test_view_titles_fit_their_columns),
        cmocka_unit_test(test_view_groups_fit_their_columns),
        cmocka_unit_test(test_view_says_what_would_measure_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
