// Time a thread waits for its processor: not while it has one, nor while it sleeps.
#include "base/schedstat.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"

#define MS 1000000ull
#define SKIP 77

static atomic_bool is_over;

static void *take_processor(void *context) {
    while (!atomic_load(&is_over)) {
    }
    return context;
}

static void run_for(uint64_t ns) {
    uint64_t end_ns = cv_clock_monotonic_ns() + ns;

    while (cv_clock_monotonic_ns() < end_ns) {
    }
}

static int one_processor(void **state) {
    cpu_set_t cpus;

    (void)state;
    CPU_ZERO(&cpus);
    CPU_SET((size_t)sched_getcpu(), &cpus);
    return sched_setaffinity(0, sizeof(cpus), &cpus);
}

static void test_schedstat_counts_what_another_thread_takes(void **state) {
    pthread_t other;
    int descriptor = cv_schedstat_open();

    (void)state;
    assert_true(descriptor >= 0);
    uint64_t begin_ns = cv_clock_monotonic_ns();
    uint64_t before_ns = cv_schedstat_waited_ns(descriptor);
    assert_int_equal(pthread_create(&other, NULL, take_processor, NULL), 0);
    run_for(300 * MS);
    uint64_t waited_ns = cv_schedstat_waited_ns(descriptor) - before_ns;
    atomic_store(&is_over, true);
    assert_int_equal(pthread_join(other, NULL), 0);
    assert_in_range(waited_ns, 30 * MS, cv_clock_monotonic_ns() - begin_ns);
    assert_int_equal(close(descriptor), 0);
}

// Other processes may have the processor when it wakes.
static void test_schedstat_counts_no_sleep(void **state) {
    const struct timespec pause = {.tv_nsec = 300 * MS};
    int descriptor = cv_schedstat_open();

    (void)state;
    uint64_t begin_ns = cv_clock_monotonic_ns();
    uint64_t before_ns = cv_schedstat_waited_ns(descriptor);
    assert_int_equal(nanosleep(&pause, NULL), 0);
    uint64_t waited_ns = cv_schedstat_waited_ns(descriptor) - before_ns;
    assert_in_range(waited_ns, 0, cv_clock_monotonic_ns() - begin_ns - 300 * MS);
    assert_int_equal(close(descriptor), 0);
}

static void test_schedstat_is_none_without_a_descriptor(void **state) {
    (void)state;
    assert_int_equal(cv_schedstat_waited_ns(-1), 0);
    assert_int_equal(cv_schedstat_waited_ns(4711), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schedstat_counts_what_another_thread_takes),
        cmocka_unit_test(test_schedstat_counts_no_sleep),
        cmocka_unit_test(test_schedstat_is_none_without_a_descriptor),
    };
    int descriptor = cv_schedstat_open();

    if (descriptor < 0) {
        print_message("no /proc/thread-self/schedstat\n");
        return SKIP;
    }
    (void)close(descriptor);
    return cmocka_run_group_tests(tests, one_processor, NULL);
}
