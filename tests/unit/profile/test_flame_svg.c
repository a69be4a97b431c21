// The picture as text: escaped, placed, counted.
#include "profile/flame_svg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *svg;
static struct cv_flame_tree tree;

static uint32_t add(uint32_t parent, const char *name, enum cv_origin origin, uint64_t weight) {
    uint32_t node = cv_flame_tree_child(&tree, parent, (struct cv_frame){name, origin});

    assert_int_not_equal(node, 0);
    cv_flame_tree_weigh(&tree, node, weight);
    return node;
}

static void draw(const char *title) {
    const struct cv_flame_svg_text text = {title, "then & <there>", "samples"};
    size_t bytes = 0;

    free(svg);
    svg = NULL;
    FILE *file = open_memstream(&svg, &bytes);
    assert_non_null(file);
    cv_flame_tree_sort(&tree);
    cv_flame_svg_write(&tree, &text, file);
    assert_int_equal(fclose(file), 0);
}

static size_t count(const char *part) {
    size_t found = 0;

    for (const char *at = svg; (at = strstr(at, part)) != NULL; at++)
        found++;
    return found;
}

static void test_flame_svg_places_frames_by_weight(void **state) {
    (void)state;
    uint32_t worker = add(0, "covet-w0", CV_ORIGIN_THREAD, 0);
    add(add(worker, "first", CV_ORIGIN_SERVER, 10), "inside", CV_ORIGIN_KERNEL, 20);
    add(worker, "second", CV_ORIGIN_LIBURING, 70);
    draw("title");
    // 1180 px for 100 samples; rows of 17 px upward from the root's.
    assert_int_equal(count("class=\"frame\""), 5);
    assert_int_equal(count("data-x=\"0\" data-n=\"100\" data-d=\"0\"><title>all\n"), 1);
    assert_int_equal(
        count("data-x=\"0\" data-n=\"30\" data-d=\"2\"><title>first\n(server) 30 samples, "
              "30.00 %, itself 10.00 %</title><rect x=\"10.00\" y=\"109\" "
              "width=\"354.00\" height=\"16\""),
        1);
    assert_int_equal(count("<title>inside\n(kernel) 20 samples, 20.00 %</title><rect x=\"10.00\" "
                           "y=\"92\" width=\"236.00\""),
                     1);
    assert_int_equal(count("<title>second\n(liburing) 70 samples, 70.00 %</title><rect "
                           "x=\"364.00\" y=\"109\" width=\"826.00\""),
                     1);
    assert_int_equal(count("server 10.0 %</text>"), 1);
    assert_int_equal(count("kernel 20.0 %</text>"), 1);
    assert_int_equal(count("thread"), 2);  // Nothing of it in the legend: no thread is code.
}

static void test_flame_svg_escapes_what_xml_knows(void **state) {
    (void)state;
    add(0, "a<b>&\"c'\x01\x7f\xff]]>", CV_ORIGIN_SERVER, 1);
    draw("<script>alert(1)</script>\n\xc3\xa9");
    assert_int_equal(count("<title>a&lt;b&gt;&amp;\"c'???]]&gt;\n"), 1);
    assert_int_equal(count(">&lt;script&gt;alert(1)&lt;/script&gt;??"
                           "?</text>"),
                     1);
    assert_int_equal(count("then &amp; &lt;there&gt;"), 1);
    assert_int_equal(count("<script"), 1);
    assert_int_equal(count("]]>"), 1);
}

static void test_flame_svg_cuts_names_and_leaves_out_what_nobody_sees(void **state) {
    char name[400];

    (void)state;
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    add(0, name, CV_ORIGIN_SERVER, 999999);
    add(add(0, "thin", CV_ORIGIN_SERVER, 0), "thinner", CV_ORIGIN_SERVER, 1);
    draw(name);
    assert_int_equal(count("class=\"frame\""), 2);
    assert_int_equal(count("thin"), 0);
    assert_int_equal(count("<desc>1 branches"), 1);
    assert_int_equal(count("nnn…</text>"), 2);  // A function's and the picture's.
}

static void test_flame_svg_draws_one_sample(void **state) {
    (void)state;
    add(0, "w", CV_ORIGIN_THREAD, 1);
    draw("");
    assert_int_equal(count("class=\"frame\""), 2);
    assert_int_equal(count("width=\"1180.00\""), 2);
    assert_int_equal(count("nan"), 0);
    assert_int_equal(count("inf"), 0);
    assert_int_equal(count("<desc>"), 0);
}

static void test_flame_svg_carries_its_script_and_style(void **state) {
    (void)state;
    add(0, "w", CV_ORIGIN_THREAD, 1);
    draw("title");
    assert_non_null(strstr(svg, "\"use strict\""));
    assert_non_null(strstr(svg, ".frame rect"));
    assert_null(strstr(svg, "href"));  // It needs nothing from anywhere.
    assert_null(strstr(svg, "import"));
    assert_int_equal(count("http"), 2);  // Two names of XML dialects.
    assert_non_null(strstr(svg, "]]></script>\n</svg>\n"));
}

static int set_up(void **state) {
    (void)state;
    return cv_flame_tree_init(&tree);
}

static int tear_down(void **state) {
    (void)state;
    cv_flame_tree_deinit(&tree);
    free(svg);
    svg = NULL;
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_flame_svg_places_frames_by_weight, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_flame_svg_escapes_what_xml_knows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_flame_svg_cuts_names_and_leaves_out_what_nobody_sees,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_flame_svg_draws_one_sample, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_flame_svg_carries_its_script_and_style, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
