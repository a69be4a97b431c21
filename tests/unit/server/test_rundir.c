// The run directory: whose are removed, and whose stay.
#include "server/rundir.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char base[] = "/tmp/covet-run-XXXXXX";
static char theirs[64];

// A directory of a process that cannot be seen.
static int set_up(void **state) {
    pid_t gone = fork();

    (void)state;
    if (gone == 0)
        _exit(0);
    waitpid(gone, NULL, 0);
    snprintf(theirs, sizeof(theirs), "%s/%d", base, (int)gone);
    return mkdir(theirs, 0755);
}

static int tear_down(void **state) {
    (void)state;
    rmdir(theirs);
    return 0;
}

static bool is_there(const char *path) {
    struct stat status;

    return stat(path, &status) == 0;
}

static void test_rundir_is_made_and_removed(void **state) {
    struct cv_rundir rundir;
    char path[64];

    (void)state;
    snprintf(path, sizeof(path), "%s/%d", base, (int)getpid());
    assert_int_equal(cv_rundir_create(&rundir), 0);
    assert_string_equal(rundir.path, path);
    assert_true(is_there(path));
    cv_rundir_destroy(&rundir);
    assert_false(is_there(path));
    cv_rundir_destroy(&rundir);
}

static void test_rundir_of_a_process_that_is_gone_is_removed(void **state) {
    struct cv_rundir rundir;

    (void)state;
    assert_int_equal(cv_rundir_create(&rundir), 0);
    assert_false(is_there(theirs));
    cv_rundir_destroy(&rundir);
}

static void test_rundir_of_a_process_in_another_namespace_stays(void **state) {
    struct cv_rundir rundir;
    int fd = open(theirs, O_RDONLY | O_DIRECTORY);

    (void)state;
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(cv_rundir_create(&rundir), 0);
    assert_true(is_there(theirs));
    cv_rundir_destroy(&rundir);
    close(fd);
}

static void test_rundir_is_locked_until_it_is_removed(void **state) {
    struct cv_rundir rundir;

    (void)state;
    assert_int_equal(cv_rundir_create(&rundir), 0);
    int fd = open(rundir.path, O_RDONLY | O_DIRECTORY);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), -1);
    cv_rundir_destroy(&rundir);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rundir_is_made_and_removed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rundir_of_a_process_that_is_gone_is_removed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_rundir_of_a_process_in_another_namespace_stays, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_rundir_is_locked_until_it_is_removed, set_up,
                                        tear_down),
    };

    if (mkdtemp(base) == NULL)
        return 1;
    setenv("RUNTIME_DIRECTORY", base, 1);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(base);
    return failed;
}
