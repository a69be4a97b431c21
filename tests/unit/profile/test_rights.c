// Capabilities, given up in a child.
#include "profile/rights.h"

#include <linux/capability.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int in_child(int (*check)(void)) {
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        _exit(check());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// The number of the first thing that is wrong.
static int check_reduced(void) {
    cv_rights_reduce();
    bool may_profile =
        (cv_rights_has(CAP_BPF) && cv_rights_has(CAP_PERFMON)) || cv_rights_has(CAP_SYS_ADMIN);
    return !may_profile                                  ? 1
           : cv_rights_has(CAP_CHOWN)                    ? 2
           : cv_rights_has(CAP_SETUID)                   ? 3
           : prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 ? 4
           : syscall(SYS_setuid, 1) == 0                 ? 5
                                                         : 0;
}

static void test_rights_keep_what_profiling_needs_and_no_more(void **state) {
    (void)state;
    if (!cv_rights_has(CAP_SETUID) || !cv_rights_has(CAP_BPF)) {
        print_message("skipped: there are no capabilities to give up\n");
        skip();
    }
    assert_int_equal(in_child(check_reduced), 0);
    assert_true(cv_rights_has(CAP_SETUID));
}

static int check_reduced_twice(void) {
    cv_rights_reduce();
    bool may_load = cv_rights_has(CAP_BPF);
    cv_rights_reduce();
    return cv_rights_has(CAP_BPF) == may_load ? 0 : 1;
}

static void test_rights_can_be_reduced_again(void **state) {
    (void)state;
    assert_int_equal(in_child(check_reduced_twice), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rights_keep_what_profiling_needs_and_no_more),
        cmocka_unit_test(test_rights_can_be_reduced_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
