// Command lines of attach, run, check and clean.
#include "profile/arguments.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bpf/shared.h"
#include "profile/commands.h"

#define EVERYTHING 255u
#define WORDS_MAX 16

static struct cv_arguments arguments;
static char line[256];
static char *words[WORDS_MAX];

// Reads a command line of words separated by spaces, its first being the subcommand.
static int read_line(const char *text, unsigned accepted) {
    int count = 0;
    char *rest = NULL;
    snprintf(line, sizeof(line), "%s", text);
    for (char *word = strtok_r(line, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        words[count++] = word;
    }
    words[count] = NULL;
    return cv_arguments_read(count, words, accepted, &arguments);
}

static void test_arguments_have_defaults(void **state) {
    (void)state;
    unsetenv("COVET_PIN_DIR");
    assert_int_equal(read_line("attach", EVERYTHING), -1);
    assert_int_equal(arguments.pid, 0);
    assert_int_equal(arguments.attach.level, 2);
    assert_string_equal(arguments.attach.pin_dir, COVET_PIN_DIR);
    assert_false(arguments.attach.keep || arguments.attach.readable || arguments.is_verbose);
    assert_int_equal(arguments.control_fd, -1);
}

static void test_arguments_are_read(void **state) {
    (void)state;
    assert_int_equal(read_line("attach -p 12 --level=3 --pin-dir /x --keep --readable -v --json "
                               "--control 3",
                               EVERYTHING),
                     -1);
    assert_int_equal(arguments.pid, 12);
    assert_int_equal(arguments.attach.level, 3);
    assert_string_equal(arguments.attach.pin_dir, "/x");
    assert_true(arguments.attach.keep && arguments.attach.readable);
    assert_true(arguments.is_verbose && arguments.is_json);
    assert_int_equal(arguments.control_fd, 3);
}

static void test_arguments_take_the_directory_from_the_environment(void **state) {
    (void)state;
    setenv("COVET_PIN_DIR", "/sys/fs/bpf/other", 1);
    assert_int_equal(read_line("check", EVERYTHING), -1);
    assert_string_equal(arguments.attach.pin_dir, "/sys/fs/bpf/other");
    assert_int_equal(read_line("check --pin-dir /x", EVERYTHING), -1);
    assert_string_equal(arguments.attach.pin_dir, "/x");
    setenv("COVET_PIN_DIR", "", 1);
    assert_int_equal(read_line("check", EVERYTHING), -1);
    assert_string_equal(arguments.attach.pin_dir, COVET_PIN_DIR);
    unsetenv("COVET_PIN_DIR");
}

// What belongs to the program is the program's, whatever it looks like.
static void test_arguments_leave_the_command_alone(void **state) {
    (void)state;
    unsigned accepted = CV_ARGUMENT_LEVEL | CV_ARGUMENT_COMMAND;
    assert_int_equal(read_line("run --level 1 -- ./covet --level 9", accepted), -1);
    assert_int_equal(arguments.attach.level, 1);
    assert_string_equal(arguments.command[0], "./covet");
    assert_string_equal(arguments.command[1], "--level");
    assert_null(arguments.command[3]);
    assert_int_equal(read_line("run ./covet --level 9", accepted), -1);
    assert_int_equal(arguments.attach.level, 2);
    assert_string_equal(arguments.command[1], "--level");
}

static void test_arguments_refuse_what_is_wrong_with_64(void **state) {
    (void)state;
    static const struct {
        const char *text;
        unsigned accepted;
    } cases[] = {
        {"attach --level 0", EVERYTHING},
        {"attach --level 4", EVERYTHING},
        {"attach --level two", EVERYTHING},
        {"attach --level", EVERYTHING},
        {"attach -p 0", EVERYTHING},
        {"attach -p -1", EVERYTHING},
        {"attach -p 99999999999", EVERYTHING},
        {"attach -p", EVERYTHING},
        {"attach --pin-dir here", EVERYTHING},
        {"attach --nonsense", EVERYTHING},
        {"attach -x", EVERYTHING},
        {"attach --keep=yes", EVERYTHING},
        {"attach word", EVERYTHING},
        {"clean --level 1", CV_ARGUMENT_PIN_DIR},
        {"clean -p 1", CV_ARGUMENT_PIN_DIR},
        {"run --level 1", CV_ARGUMENT_LEVEL | CV_ARGUMENT_COMMAND},
        {"run --", CV_ARGUMENT_LEVEL | CV_ARGUMENT_COMMAND},
    };
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        if (read_line(cases[i].text, cases[i].accepted) != CV_EXIT_USAGE) {
            fail_msg("taken: %s", cases[i].text);
        }
    }
}

static void test_arguments_help_ends_well(void **state) {
    (void)state;
    assert_int_equal(read_line("attach --help", EVERYTHING), 0);
    assert_int_equal(read_line("clean -h", CV_ARGUMENT_PIN_DIR), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arguments_have_defaults),
        cmocka_unit_test(test_arguments_are_read),
        cmocka_unit_test(test_arguments_take_the_directory_from_the_environment),
        cmocka_unit_test(test_arguments_leave_the_command_alone),
        cmocka_unit_test(test_arguments_refuse_what_is_wrong_with_64),
        cmocka_unit_test(test_arguments_help_ends_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
