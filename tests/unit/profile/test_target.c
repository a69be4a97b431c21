// Whom a profiler looks at while covets end, hand over and fail to.
#include "profile/target.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "profile/successor.h"

// The world: which supervisors live, and who comes after whom (0: nobody).
static pid_t alive[4];
static pid_t child;
static pid_t heir;

int __wrap_cv_running_refresh(struct cv_running *running);
bool __wrap_cv_successor_find_child(const struct cv_running *running, struct cv_running *next);
bool __wrap_cv_successor_find_heir(const struct cv_running *running, uint64_t start_ns,
                                   struct cv_running *next);
uint64_t __wrap_cv_successor_start_ns(const struct cv_running *running);

int __wrap_cv_running_refresh(struct cv_running *running) {
    for (size_t i = 0; i < CV_ARRAY_COUNT(alive); i++) {
        if (alive[i] == running->supervisor_pid) {
            running->server_pid = running->supervisor_pid + 100;
            return 0;
        }
    }
    return -ESRCH;
}

bool __wrap_cv_successor_find_child(const struct cv_running *running, struct cv_running *next) {
    *next = (struct cv_running){.supervisor_pid = child};
    return child != 0 && child != running->supervisor_pid;
}

bool __wrap_cv_successor_find_heir(const struct cv_running *running, uint64_t start_ns,
                                   struct cv_running *next) {
    assert_int_equal(start_ns, (uint64_t)running->supervisor_pid * 1000);
    *next = (struct cv_running){.supervisor_pid = heir};
    return heir != 0;
}

uint64_t __wrap_cv_successor_start_ns(const struct cv_running *running) {
    return (uint64_t)running->supervisor_pid * 1000;
}

static struct cv_target target;

static void live(pid_t first, pid_t second) {
    alive[0] = first;
    alive[1] = second;
}

static int set_up(void **state) {
    (void)state;
    child = heir = 0;
    live(1, -1);
    target = (struct cv_target){0};
    cv_target_aim(&target, &(struct cv_running){.supervisor_pid = 1});
    return 0;
}

static void test_target_keeps_one_that_lives(void **state) {
    (void)state;
    assert_true(cv_target_look(&target));
    assert_int_equal(target.running.supervisor_pid, 1);
    assert_int_equal(target.running.server_pid, 101);
}

static void test_target_ends_with_one_that_has_no_heir(void **state) {
    (void)state;
    live(-1, -1);
    assert_false(cv_target_look(&target));
}

static void test_target_goes_on_to_the_child_that_serves(void **state) {
    (void)state;
    child = 2;
    live(1, 2);
    assert_true(cv_target_look(&target));
    assert_int_equal(target.running.supervisor_pid, 2);
    assert_int_equal(target.start_ns, 2000);
    live(2, -1);
    assert_true(cv_target_look(&target));
    assert_int_equal(target.running.supervisor_pid, 2);
}

static void test_target_goes_back_when_the_new_one_fails(void **state) {
    (void)state;
    child = 2;
    live(1, 2);
    assert_true(cv_target_look(&target));
    child = 0;
    live(1, -1);
    assert_true(cv_target_look(&target));
    assert_int_equal(target.running.supervisor_pid, 1);
    live(-1, -1);
    assert_false(cv_target_look(&target));
}

static void test_target_finds_the_heir_of_one_that_is_gone(void **state) {
    (void)state;
    heir = 3;
    live(3, -1);
    assert_true(cv_target_look(&target));
    assert_int_equal(target.running.supervisor_pid, 3);
    assert_int_equal(target.before.supervisor_pid, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_target_keeps_one_that_lives, set_up),
        cmocka_unit_test_setup(test_target_ends_with_one_that_has_no_heir, set_up),
        cmocka_unit_test_setup(test_target_goes_on_to_the_child_that_serves, set_up),
        cmocka_unit_test_setup(test_target_goes_back_when_the_new_one_fails, set_up),
        cmocka_unit_test_setup(test_target_finds_the_heir_of_one_that_is_gone, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
