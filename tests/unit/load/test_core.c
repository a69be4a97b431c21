// A core's own account, and what of a thread's time it explains.
#include "load/core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

static void test_core_has_an_account_that_only_grows(void **state) {
    (void)state;
    struct load_core before = load_core_now(0);
    struct timespec pause = {.tv_nsec = 50000000};
    nanosleep(&pause, NULL);
    struct load_core after = load_core_now(0);
    assert_true(before.idle_ns > 0);
    assert_true(after.idle_ns >= before.idle_ns && after.taken_ns >= before.taken_ns);
}

static void test_core_that_is_not_there_has_none(void **state) {
    (void)state;
    struct load_core none = load_core_now(99999);
    assert_int_equal(none.idle_ns + none.taken_ns, 0);
}

static void test_core_fills_a_thread_with_what_it_was_taken_for(void **state) {
    static const struct {
        const char *name;
        uint64_t idle_ns, taken_ns, used_ns, expected;
    } cases[] = {
        {"alone and full", 0, 100, 900, 1000},
        {"alone with room", 500, 50, 400, 450},
        {"interrupts are in its time already", 500, 50, 500, 500},
        {"somebody else has the rest", 0, 50, 100, 150},
        {"nothing known of the core", 0, 0, 700, 700},
        {"more than passed", 0, 500, 900, 1000},
        {"idle in coarse ticks", 1100, 10, 20, 20},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct load_core before = {7, 9};
        struct load_core after = {7 + cases[i].idle_ns, 9 + cases[i].taken_ns};
        uint64_t filled = load_core_filled_ns(before, after, cases[i].used_ns, 1000);
        if (filled != cases[i].expected) {
            fail_msg("%s: %lu", cases[i].name, (unsigned long)filled);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_core_has_an_account_that_only_grows),
        cmocka_unit_test(test_core_that_is_not_there_has_none),
        cmocka_unit_test(test_core_fills_a_thread_with_what_it_was_taken_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
