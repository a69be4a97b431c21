// The files of the page inside the program: whole, of the right kind, and asking nobody else.
#include "profile/page_assets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"

static const struct {
    const char *path;
    const char *file;
    const char *type;
} assets[] = {
    {"/", "src/profile/page/index.html", "text/html; charset=utf-8"},
    {"/page.css", "src/profile/page/page.css", "text/css; charset=utf-8"},
    {"/page.js", "src/profile/page/page.js", "text/javascript; charset=utf-8"},
    {"/plots.js", "src/profile/page/plots.js", "text/javascript; charset=utf-8"},
};

static void test_page_assets_are_the_files(void **state) {
    (void)state;
    static char file[1 << 18];
    for (size_t i = 0; i < CV_ARRAY_COUNT(assets); i++) {
        struct cv_span type;
        struct cv_span body;
        assert_true(cv_page_assets_find(cv_span_of(assets[i].path), &type, &body));
        assert_true(cv_span_equal(type, cv_span_of(assets[i].type)));
        FILE *opened = fopen(assets[i].file, "rb");
        if (opened == NULL) {
            skip();  // Tests may be run away from the sources.
        }
        size_t length = fread(file, 1, sizeof(file), opened);
        fclose(opened);
        assert_int_equal(body.length, length);
        assert_memory_equal(body.data, file, length);
    }
}

static void test_page_assets_name_no_other_place(void **state) {
    (void)state;
    static const char *const foreign[] = {"http://", "https://", "//cdn",   "@import",
                                          "<style",  "style=\"", "onclick", "innerHTML"};
    for (size_t i = 0; i < CV_ARRAY_COUNT(assets); i++) {
        struct cv_span type;
        struct cv_span body;
        assert_true(cv_page_assets_find(cv_span_of(assets[i].path), &type, &body));
        for (size_t j = 0; j < CV_ARRAY_COUNT(foreign); j++) {
            if (memmem(body.data, body.length, foreign[j], strlen(foreign[j])) != NULL) {
                fail_msg("%s has %s", assets[i].file, foreign[j]);
            }
        }
    }
}

static void test_page_assets_are_nothing_else(void **state) {
    (void)state;
    static const char *const paths[] = {"",   "/index.html", "/page",      "/page.js/",
                                        "//", "/Page.js",    "/../page.js"};
    struct cv_span type = CV_SPAN("before");
    struct cv_span body = CV_SPAN("before");
    for (size_t i = 0; i < CV_ARRAY_COUNT(paths); i++) {
        assert_false(cv_page_assets_find(cv_span_of(paths[i]), &type, &body));
        assert_true(cv_span_equal(body, CV_SPAN("before")));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page_assets_are_the_files),
        cmocka_unit_test(test_page_assets_name_no_other_place),
        cmocka_unit_test(test_page_assets_are_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
