// The probe leaves nothing behind, and errors become one line that says what to change.
#include "ring/probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <string.h>

static uint32_t entries_of(const char *path) {
    uint32_t count = 0;
    DIR *directory = opendir(path);
    assert_non_null(directory);
    while (readdir(directory) != NULL) {
        count++;
    }
    (void)closedir(directory);
    return count;
}

static void test_probe_finds_what_is_required_here(void **state) {
    struct cv_probe_line lines[CV_PROBE_LINES_MAX];
    (void)state;
    size_t count = cv_probe_run(lines);
    assert_in_range(count, 5, CV_PROBE_LINES_MAX);
    for (size_t i = 0; i < count; i++) {
        assert_true(lines[i].feature[0] != '\0' && lines[i].why[0] != '\0');
        if (lines[i].required && !lines[i].available) {
            fail_msg("%s is not found", lines[i].feature);
        }
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(lines[i].feature, lines[k].feature);
        }
    }
}

static void test_probe_leaves_neither_descriptors_nor_threads(void **state) {
    struct cv_probe_line lines[CV_PROBE_LINES_MAX];
    (void)state;
    (void)cv_probe_run(lines);
    uint32_t descriptors = entries_of("/proc/self/fd"), threads = entries_of("/proc/self/task");
    for (int i = 0; i < 20; i++) {
        (void)cv_probe_run(lines);
    }
    assert_int_equal(entries_of("/proc/self/fd"), descriptors);
    assert_int_equal(entries_of("/proc/self/task"), threads);
}

static void test_probe_explains_errors_in_one_line(void **state) {
    static const struct {
        int error;
        const char *word;
    } cases[] = {
        {EPERM, "seccomp"},    {EACCES, "seccomp"},   {ENOSYS, "6.1"},    {ENOMEM, "ulimit -l"},
        {EMFILE, "ulimit -n"}, {ENFILE, "ulimit -n"}, {EINVAL, "EINVAL"}, {99999, "unknown"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (int sign = -1; sign <= 1; sign += 2) {
            char text[512];
            cv_probe_explain(sign * cases[i].error, text, sizeof(text));
            assert_null(strchr(text, '\n'));
            assert_true(strlen(text) > 20);
            if (strstr(text, cases[i].word) == NULL && strstr(text, "io_uring_disabled") == NULL) {
                fail_msg("\"%s\" does not say %s", text, cases[i].word);
            }
        }
    }
}

static void test_probe_explains_into_little_room(void **state) {
    char text[16];
    (void)state;
    memset(text, 'x', sizeof(text));
    cv_probe_explain(-ENOMEM, text, 8);
    assert_int_equal(text[7], '\0');
    assert_int_equal(text[8], 'x');
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_probe_finds_what_is_required_here),
        cmocka_unit_test(test_probe_leaves_neither_descriptors_nor_threads),
        cmocka_unit_test(test_probe_explains_errors_in_one_line),
        cmocka_unit_test(test_probe_explains_into_little_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
