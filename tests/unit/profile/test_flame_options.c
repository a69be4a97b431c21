// Command lines: what they mean and what is refused.
#include "profile/flame_options.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define WORDS_MAX 20

// Reads words that are apart by spaces; what is printed goes nowhere.
static int read_line(struct cv_flame_options *options, const char *line) {
    static char text[256];
    char *words[WORDS_MAX + 1] = {NULL};
    int count = 0;

    snprintf(text, sizeof(text), "flame %s", line);
    char *rest = text;
    for (char *word; (word = strsep(&rest, " ")) != NULL && count < WORDS_MAX;) {
        if (word[0] != '\0')
            words[count++] = word;
    }
    int kept[] = {dup(STDOUT_FILENO), dup(STDERR_FILENO)};
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    fflush(stdout);
    assert_true(dup2(nowhere, STDOUT_FILENO) >= 0 && dup2(nowhere, STDERR_FILENO) >= 0);
    int code = cv_flame_options_read(options, count, words);
    fflush(stdout);
    dup2(kept[0], STDOUT_FILENO);
    dup2(kept[1], STDERR_FILENO);
    close(kept[0]);
    close(kept[1]);
    close(nowhere);
    return code;
}

static void test_flame_options_have_defaults(void **state) {
    struct cv_flame_options options;

    (void)state;
    assert_int_equal(read_line(&options, ""), -1);
    assert_int_equal(options.pid, 0);
    assert_true(options.seconds == 10);
    assert_int_equal(options.hz, 997);
    assert_false(options.off_cpu);
    assert_false(options.has_workers);
    assert_string_equal(options.svg_path, "flame.svg");
    assert_null(options.folded_path);
}

static void test_flame_options_are_read(void **state) {
    struct cv_flame_options options;

    (void)state;
    assert_int_equal(read_line(&options, "-p 77 -d 0.5 -F 49 -w 0-1,5 --off-cpu --folded a -o -"),
                     -1);
    assert_int_equal(options.pid, 77);
    assert_true(options.seconds == 0.5);
    assert_int_equal(options.hz, 49);
    assert_true(options.off_cpu);
    assert_true(options.has_workers);
    for (unsigned i = 0; i < COVET_WORKERS_MAX; i++)
        assert_int_equal(options.is_wanted[i], i == 0 || i == 1 || i == 5);
    assert_string_equal(options.svg_path, "-");
    assert_string_equal(options.folded_path, "a");
    assert_int_equal(read_line(&options, "--pid 1 --duration 1 --frequency 1 --workers 255"), -1);
    assert_true(options.is_wanted[255]);
}

static void test_flame_options_refuse_what_makes_no_sense(void **state) {
    static const char *const lines[] = {
        "-p 0",
        "-p x",
        "-p -1",
        "-p 99999999999",
        "-d 0",
        "-d -1",
        "-d nan",
        "-d 1e9",
        "-d 1s",
        "-F 0",
        "-F 20001",
        "-F 1.5",
        "-w",
        "-w x",
        "-w 3-1",
        "-w 256",
        "-z",
        "--nothing",
        "a.svg",
        "-o",
        "-o a --folded a",
        "-o - --folded -",
    };
    struct cv_flame_options options;

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(lines); i++)
        assert_int_equal(read_line(&options, lines[i]), 64);
}

static void test_flame_options_print_help(void **state) {
    struct cv_flame_options options;

    (void)state;
    assert_int_equal(read_line(&options, "--help"), 0);
    assert_int_equal(read_line(&options, "-h -z"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flame_options_have_defaults),
        cmocka_unit_test(test_flame_options_are_read),
        cmocka_unit_test(test_flame_options_refuse_what_makes_no_sense),
        cmocka_unit_test(test_flame_options_print_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
