// The configuration file: what a line may be, and where an error is said to be.
#include "cli/config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/compiler.h"

static char path[64];
static char seen[4096];

static int set_up(void **state) {
    (void)state;
    snprintf(path, sizeof(path), "/tmp/covet-test-config-%d", (int)getpid());
    seen[0] = '\0';
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    unlink(path);
    return 0;
}

static void write_file(const char *text, size_t length) {
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static int record(void *context, const char *key, const char *value, char *reason,
                  size_t reason_bytes) {
    (void)context;
    if (strcmp(key, "bad") == 0) {
        snprintf(reason, reason_bytes, "told so");
        return -EINVAL;
    }
    size_t length = strlen(seen);
    snprintf(seen + length, sizeof(seen) - length, "%s=%s|", key, value);
    return 0;
}

static int read_text(const char *text, char *message, size_t message_bytes) {
    seen[0] = '\0';
    message[0] = '\0';
    write_file(text, strlen(text));
    return cv_config_read(path, record, NULL, message, message_bytes);
}

static void test_config_reads_keys_and_values(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *expected;
    } cases[] = {
        {"", ""},
        {"a=b", "a=b|"},
        {"a = b\n", "a=b|"},
        {"  a\t=\tb c \r\n", "a=b c|"},
        {"a=b\nc=d\n", "a=b|c=d|"},
        {"# comment\n\n   \n#\na=b # more\n", "a=b|"},
        {"a=b#c\n", "a=b#c|"},
        {"a=b=c\n", "a=b=c|"},
        {"a=\n", "a=|"},
        {"a=1\na=2\n", "a=1|a=2|"},
    };
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        char message[256];
        assert_int_equal(read_text(cases[i].text, message, sizeof(message)), 0);
        assert_string_equal(seen, cases[i].expected);
        assert_string_equal(message, "");
    }
}

static void test_config_names_the_line_of_an_error(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *expected;
    } cases[] = {
        {"bad=1\n", ":1: told so"},
        {"a=1\n\n# x\nbad=1\nb=2\n", ":4: told so"},
        {"a\n", ":1: a line is written key = value"},
        {"a=1\nword # = comment\n", ":2: a line is written key = value"},
        {"=b\n", ":1: the key is missing"},
    };
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        char message[256];
        char expected[256];
        snprintf(expected, sizeof(expected), "%s%s", path, cases[i].expected);
        assert_true(read_text(cases[i].text, message, sizeof(message)) < 0);
        assert_string_equal(message, expected);
    }
}

static void test_config_refuses_long_lines_and_nul(void **state) {
    (void)state;
    char message[256];
    char line[CV_CONFIG_LINE_BYTES_MAX + 2];
    memset(line, 'v', sizeof(line));
    memcpy(line, "a=", 2);
    write_file(line, CV_CONFIG_LINE_BYTES_MAX - 1);
    assert_int_equal(cv_config_read(path, record, NULL, message, sizeof(message)), 0);
    write_file(line, CV_CONFIG_LINE_BYTES_MAX);
    assert_true(cv_config_read(path, record, NULL, message, sizeof(message)) < 0);
    assert_non_null(strstr(message, ":1: a line has at most"));
    write_file("a=b\nc=\0d\n", 10);
    assert_true(cv_config_read(path, record, NULL, message, sizeof(message)) < 0);
    assert_non_null(strstr(message, ":2: the line holds a NUL byte"));
}

static void test_config_says_why_a_file_cannot_be_read(void **state) {
    (void)state;
    char message[256];
    assert_int_equal(cv_config_read("/nonexistent/x", record, NULL, message, sizeof(message)),
                     -ENOENT);
    assert_string_equal(message, "/nonexistent/x: No such file or directory");
    assert_true(cv_config_read("/tmp", record, NULL, message, sizeof(message)) < 0);
    assert_string_equal(message, "/tmp: Is a directory");
}

int main(void) {
#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_FILE(test_config_reads_keys_and_values),
        WITH_FILE(test_config_names_the_line_of_an_error),
        WITH_FILE(test_config_refuses_long_lines_and_nul),
        WITH_FILE(test_config_says_why_a_file_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
