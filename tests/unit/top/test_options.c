// The command line: defaults, every option, every sentence of refusal.
#include "top/options.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/top_world.h"

#define ARGUMENTS_MAX 16

// Words are separated by blanks.
static void read_line(struct top_options *options, const char *line) {
    static char words[256];
    static char *argv[ARGUMENTS_MAX + 1];
    int argc = 1;
    argv[0] = (char *)(uintptr_t) "covet-top";
    snprintf(words, sizeof(words), "%s", line);
    for (char *rest = words; rest != NULL && *rest != '\0';) {
        assert_true(argc < ARGUMENTS_MAX);
        argv[argc++] = strsep(&rest, " ");
    }
    argv[argc] = NULL;
    top_options_read(options, argc, argv);
}

// Reads a line that ends the program, in a child. Returns the status; what it said is in `text`.
static int status_of(const char *line, int stream, char *text, size_t bytes) {
    int out[2], status;
    size_t used = 0;
    assert_int_equal(pipe(out), 0);
    fflush(stdout);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct top_options options;
        dup2(out[1], stream);
        read_line(&options, line);
        fflush(stdout);
        _exit(99);  // It has not ended.
    }
    close(out[1]);
    for (ssize_t got; (got = read(out[0], text + used, bytes - used - 1)) > 0;) {
        used += (size_t)got;
    }
    text[used] = '\0';
    close(out[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_options_have_defaults(void **state) {
    struct top_options options;
    (void)state;
    unsetenv("COVET_PIN_DIR");
    read_line(&options, "");
    assert_int_equal(options.pid, 0);
    assert_true(options.seconds == 1);
    assert_false(options.once);
    assert_false(options.json);
    assert_int_equal(options.view, 0);
    assert_null(options.pin_dir);
}

static void test_options_are_read(void **state) {
    struct top_options options;
    (void)state;
    read_line(&options, "-p 4711 -i 0.5 --once --json --view latency --pin-dir /x");
    assert_int_equal(options.pid, 4711);
    assert_true(options.seconds == 0.5);
    assert_true(options.once);
    assert_true(options.json);
    assert_int_equal(options.view, top_view_find("latency"));
    assert_string_equal(options.pin_dir, "/x");
    read_line(&options, "--pid=1 --interval=3600");
    assert_int_equal(options.pid, 1);
    assert_true(options.seconds == 3600);
}

static void test_options_take_the_pin_directory_of_the_environment(void **state) {
    static const struct {
        const char *variable, *line, *expected;
    } cases[] = {{"/y", "", "/y"}, {"/y", "--pin-dir /z", "/z"}, {"", "", NULL}};
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        struct top_options options;
        setenv("COVET_PIN_DIR", cases[i].variable, 1);
        read_line(&options, cases[i].line);
        assert_int_equal(options.pin_dir == NULL, cases[i].expected == NULL);
        if (options.pin_dir != NULL) {
            assert_string_equal(options.pin_dir, cases[i].expected);
        }
    }
}

static void test_options_that_make_no_sense_are_refused(void **state) {
    static const struct {
        const char *line, *expected;
    } cases[] = {
        {"-p 0", "-p: '0' is no process id"},
        {"-p -5", "-p: '-5' is no process id"},
        {"-p 99999999999", "-p: '99999999999' is no process id"},
        {"-p x", "-p: 'x' is no process id"},
        {"-p", "-p needs a value"},
        {"-i 0", "-i: '0' is no number of seconds from 0.1 to 3600"},
        {"-i 1x", "-i: '1x' is no number of seconds from 0.1 to 3600"},
        {"-i nan", "-i: 'nan' is no number of seconds from 0.1 to 3600"},
        {"-i 1e9", "-i: '1e9' is no number of seconds from 0.1 to 3600"},
        {"--view disk", "--view: 'disk' is none of workers, syscalls, ring, network, latency"},
        {"--pin-dir", "--pin-dir needs a value"},
        {"-x", "there is no option -x"},
        {"--fast", "there is no option --fast, or it takes no value"},
        {"--once=1", "there is no option --once=1, or it takes no value"},
        {"4711", "'4711' is too much: there are options only"},
    };
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        char text[512], expected[512];
        snprintf(expected, sizeof(expected), "covet-top: %s\ncovet-top --help lists the options\n",
                 cases[i].expected);
        assert_int_equal(status_of(cases[i].line, STDERR_FILENO, text, sizeof(text)), 64);
        assert_string_equal(text, expected);
    }
}

static void test_options_print_help_and_version(void **state) {
    static const char *const options[] = {"-p, --pid", "-i, --interval", "--view", "--once",
                                          "--json",    "--pin-dir",      "--help", "--version"};
    char text[4096];
    (void)state;
    assert_int_equal(status_of("--help", STDOUT_FILENO, text, sizeof(text)), 0);
    for (size_t i = 0; i < CV_ARRAY_COUNT(options); i++) {
        assert_non_null(strstr(text, options[i]));
    }
    assert_int_equal(status_of("--version", STDOUT_FILENO, text, sizeof(text)), 0);
    assert_memory_equal(text, "covet-top ", 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_have_defaults),
        cmocka_unit_test(test_options_are_read),
        cmocka_unit_test(test_options_take_the_pin_directory_of_the_environment),
        cmocka_unit_test(test_options_that_make_no_sense_are_refused),
        cmocka_unit_test(test_options_print_help_and_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
