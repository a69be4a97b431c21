// The command line of `covet-prof serve`.
#include "profile/serve_options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define WORDS_MAX 24

static struct cv_serve_options options;

// Reads the words between the bars of `line`.
static enum cv_serve_action read_options(const char *line) {
    static char words[512];  // The options borrow from it.
    char *argv[WORDS_MAX + 1] = {0};
    char *rest = words;
    int argc = 0;
    snprintf(words, sizeof(words), "%s", line);
    while (rest != NULL) {
        assert_true(argc < WORDS_MAX);
        argv[argc++] = strsep(&rest, "|");
    }
    return cv_serve_options_read(&options, argc, argv);
}

static void test_options_have_defaults(void **state) {
    (void)state;
    assert_int_equal(read_options("serve"), CV_SERVE_RUN);
    assert_string_equal(options.listen, "127.0.0.1:9464");
    assert_int_equal(options.pid, 0);
    assert_int_equal(options.level, 2);
    assert_int_equal(options.interval_ns, 1000000000);
    assert_false(options.allow_remote);
    assert_int_equal(options.host_count, 0);
}

static void test_options_are_read(void **state) {
    (void)state;
    assert_int_equal(read_options("serve|-l|[::1]:1|--allow-remote|--host|a|--host=b|-p12|-i|0.5|"
                                  "--level|0|--pin-dir|/x"),
                     CV_SERVE_RUN);
    assert_string_equal(options.listen, "[::1]:1");
    assert_true(options.allow_remote);
    assert_int_equal(options.host_count, 2);
    assert_string_equal(options.hosts[1], "b");
    assert_int_equal(options.pid, 12);
    assert_int_equal(options.interval_ns, 500000000);
    assert_int_equal(options.level, 0);
    assert_string_equal(options.pin_dir, "/x");
}

static void test_options_refuse_what_cannot_be(void **state) {
    (void)state;
    static const char *const lines[] = {
        "serve|--level|4",      "serve|--level|-1", "serve|--level|two", "serve|--level|1.5",
        "serve|--level|",       "serve|-p|0",       "serve|-p|x",        "serve|-p|1 ",
        "serve|-p|99999999999", "serve|-i|0",       "serve|-i|0.09",     "serve|-i|10.1",
        "serve|-i|nan",         "serve|-i|",        "serve|-i|1s",       "serve|--listen",
        "serve|--nothing",      "serve|-x",         "serve|word",        "serve|--allow-remote=1",
    };
    for (size_t i = 0; i < CV_ARRAY_COUNT(lines); i++) {
        if (read_options(lines[i]) != CV_SERVE_WRONG) {
            fail_msg("taken: %s", lines[i]);
        }
    }
}

static void test_options_bound_the_number_of_hosts(void **state) {
    (void)state;
    assert_int_equal(read_options("serve|--host|1|--host|2|--host|3|--host|4|--host|5|--host|6|"
                                  "--host|7|--host|8"),
                     CV_SERVE_RUN);
    assert_int_equal(read_options("serve|--host|1|--host|2|--host|3|--host|4|--host|5|--host|6|"
                                  "--host|7|--host|8|--host|9"),
                     CV_SERVE_WRONG);
}

static void test_options_give_help(void **state) {
    (void)state;
    assert_int_equal(read_options("serve|--help"), CV_SERVE_HELP);
    assert_int_equal(read_options("serve|-h"), CV_SERVE_HELP);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_have_defaults),
        cmocka_unit_test(test_options_are_read),
        cmocka_unit_test(test_options_refuse_what_cannot_be),
        cmocka_unit_test(test_options_bound_the_number_of_hosts),
        cmocka_unit_test(test_options_give_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
