// Numbers of JSON texts by their paths.
#include "profile/figures.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/covet-figures-XXXXXX";
static struct cv_figures figures;
static char message[200];

static int make_file(void **state) {
    int fd = mkstemp(path);

    (void)state;
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state) {
    (void)state;
    return unlink(path);
}

static int read_text(const char *text) {
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    return cv_figures_read(&figures, path, message, sizeof(message));
}

static void test_figures_are_found_by_their_paths(void **state) {
    (void)state;
    assert_int_equal(read_text("{\"a\":1,\"b\":{\"c\":{\"d\":2.5},\"e\":3},\"f\":\"\\u00e4\\n\","
                               "\"g\":null,\"h\":[1,{\"i\":9}],\"buckets\":{\"j\":8},\"k\":-4}"),
                     0);
    assert_int_equal(figures.count, 4);
    assert_true(*cv_figures_find(&figures, "a") == 1);
    assert_true(*cv_figures_find(&figures, "b.c.d") == 2.5);
    assert_true(*cv_figures_find(&figures, "b.e") == 3);
    assert_true(*cv_figures_find(&figures, "k") == -4);
    assert_null(cv_figures_find(&figures, "b.c"));
    cv_figures_deinit(&figures);
}

static void test_figures_with_paths_that_do_not_fit_are_left_out(void **state) {
    char text[512];

    (void)state;
    snprintf(text, sizeof(text), "{\"%0100d\":{\"a\":1},\"%0100d\":2,\"b\":3}", 0, 1);
    assert_int_equal(read_text(text), 0);
    assert_int_equal(figures.count, 1);
    assert_true(*cv_figures_find(&figures, "b") == 3);
    cv_figures_deinit(&figures);
}

static void test_figures_of_bad_texts_are_refused_with_the_place(void **state) {
    static const struct {
        const char *text;
        const char *place;
    } cases[] = {
        {"", ":1:1: "},
        {"{\n\"a\":1,}", ":2:"},
        {"[1]", ":1:1: not an object"},
        {"{\"a\":1}\n{\"a\":2}", ":2:1: "},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(read_text(cases[i].text) < 0);
        assert_memory_equal(message, path, strlen(path));
        assert_non_null(strstr(message, cases[i].place));
    }
    assert_int_equal(cv_figures_read(&figures, "/nowhere", message, sizeof(message)), -ENOENT);
    assert_string_equal(message, "/nowhere: No such file or directory");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_figures_are_found_by_their_paths),
        cmocka_unit_test(test_figures_with_paths_that_do_not_fit_are_left_out),
        cmocka_unit_test(test_figures_of_bad_texts_are_refused_with_the_place),
    };

    return cmocka_run_group_tests(tests, make_file, remove_file);
}
