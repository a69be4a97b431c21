// The help fits, and explains every column of every view.
#include "top/help.h"

#include "support/top_world.h"

// Words as they are on a page, however its lines were broken.
static char *joined(const char *text) {
    char *words = strdup(text), *out = words;
    assert_non_null(words);
    for (const char *at = text; *at != '\0'; at++) {
        bool is_blank = *at == ' ' || *at == '\n';
        if (!is_blank || (out > words && out[-1] != ' ')) {
            *out++ = is_blank ? ' ' : *at;
        }
    }
    *out = '\0';
    return words;
}

static void test_help_explains_every_column_at_every_width(void **state) {
    static const unsigned widths[] = {60, 80, 81, 200};
    (void)state;
    for (size_t width = 0; width < CV_ARRAY_COUNT(widths); width++) {
        for (unsigned i = 0; i < TOP_VIEW_COUNT; i++) {
            top_page_begin(&t_top_page, widths[width]);
            top_help_write(&t_top_page, top_views[i]);
            char *text = joined(t_top_text(&t_top_page));
            for (unsigned column = 0; column < top_views[i]->column_count; column++) {
                assert_non_null(top_views[i]->columns[column].meaning);
                if (strstr(text, top_views[i]->columns[column].meaning) == NULL) {
                    fail_msg("%s, column %u at %u columns", top_views[i]->name, column,
                             widths[width]);
                }
            }
            assert_non_null(strstr(text, top_views[i]->about));
            assert_non_null(strstr(text, "another view"));
            free(text);
        }
    }
    t_top_end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_help_explains_every_column_at_every_width),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
