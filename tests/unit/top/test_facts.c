// Small lists of figures.
#include "top/facts.h"

#include <math.h>

#include "support/top_world.h"

static void test_facts_stand_below_their_titles(void **state) {
    struct top_facts facts;
    (void)state;
    top_page_begin(&t_top_page, 60);
    top_facts_begin(&facts, &t_top_page, "Sorts", "per 1000 req");
    top_facts_add(&facts, "apples", 1234567, 10, 99.5, 0);
    top_facts_add(&facts, "pears", 0, 0, NAN, 0);
    top_facts_begin(&facts, &t_top_page, "Others", "");
    top_facts_say(&facts, "none");
    assert_string_equal(t_top_text(&t_top_page),
                        "Sorts                              /s   since  per 1000 req\n"
                        "apples                          1.23M      10          99.5\n"
                        "pears                               0       0             -\n"
                        "\n"
                        "Others                             /s   since\n"
                        "none\n");
    t_top_end();
}

static void test_facts_warn_from_a_count_on(void **state) {
    static const struct {
        double since, warn;
        enum top_style expected;
    } cases[] = {{5, 0, TOP_PLAIN}, {5, 6, TOP_PLAIN}, {5, 5, TOP_WARN}, {0, 1, TOP_DIM}};
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        struct top_facts facts;
        top_page_begin(&t_top_page, 60);
        top_facts_begin(&facts, &t_top_page, "Sorts", "");
        top_facts_add(&facts, "apples", 0, cases[i].since, NAN, cases[i].warn);
        assert_int_equal(top_page_glyphs(&t_top_page, 1)[44].style, cases[i].expected);
    }
    t_top_end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_facts_stand_below_their_titles),
        cmocka_unit_test(test_facts_warn_from_a_count_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
