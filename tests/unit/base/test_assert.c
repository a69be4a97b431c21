// A failed assertion writes one line and aborts; in a child, as it ends the process.
#include "base/assert.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

// Runs `body` in a child and returns its wait status; its standard error goes to `text`.
static int run_child(void (*body)(void), char *text, size_t text_bytes) {
    int ends[2];
    int status = 0;
    size_t length = 0;
    ssize_t count;

    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        body();
        _exit(0);
    }
    close(ends[1]);
    while ((count = read(ends[0], text + length, text_bytes - 1 - length)) > 0)
        length += (size_t)count;
    text[length] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static volatile int one = 1;

static void break_an_assertion(void) {
    CV_ASSERT(one == 2 && "quoted");
}

static void keep_an_assertion(void) {
    CV_ASSERT(one == 1);
    CV_DEBUG_ASSERT(one == 1);
}

static void test_assert_failure_aborts_with_one_line(void **state) {
    char text[2048];
    int status = run_child(break_an_assertion, text, sizeof(text));

    (void)state;
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_non_null(strstr(text, "level=error event=assertion_failed "));
    assert_non_null(strstr(text, "condition=\"one == 2 && \\\"quoted\\\"\""));
    assert_non_null(strstr(text, "test_assert.c line="));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void test_assert_that_holds_does_nothing(void **state) {
    char text[2048];
    int status = run_child(keep_an_assertion, text, sizeof(text));

    (void)state;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_string_equal(text, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_assert_failure_aborts_with_one_line),
        cmocka_unit_test(test_assert_that_holds_does_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
