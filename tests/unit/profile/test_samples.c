// The programs in the kernel, on threads of this very process. Needs the rights; skips without.
#include "profile/samples.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define HZ 500u

struct seen {
    unsigned count[4];  // by event, of the thread by that name
    unsigned without_registers;
    unsigned without_stack;
    unsigned in_kernel;
    const char *name;
    uint64_t asleep_ns;
    uint64_t since_ns;
    uint32_t thread_id;
};

static atomic_bool is_over;
static char message[256];

static void note(void *context, const struct covet_stack_record *record) {
    struct seen *seen = context;

    assert_in_range(record->head.event, COVET_STACK_RUNNING, COVET_STACK_RESUMED);
    if (record->head.event == COVET_STACK_RESUMED) {
        if (record->head.thread_id == seen->thread_id && seen->since_ns != 0) {
            seen->asleep_ns += record->head.time_ns - seen->since_ns;
            seen->count[COVET_STACK_RESUMED]++;
            seen->since_ns = 0;
        }
        return;
    }
    if (strncmp(record->name, seen->name, sizeof(record->name)) != 0)
        return;
    uint64_t rsp = record->registers[COVET_STACK_RSP];
    seen->count[record->head.event]++;
    seen->without_registers += record->registers[COVET_STACK_RIP] == 0;
    seen->without_stack += rsp < record->stack_start || rsp - record->stack_start >= 1024 ||
                           record->stack_bytes <= rsp - record->stack_start;
    seen->in_kernel += record->kernel_count > 0;
    seen->thread_id = record->head.thread_id;
    seen->since_ns = record->head.time_ns;
}

static struct cv_samples *open_samples(bool off_cpu) {
    const struct cv_samples_options options = {
        .server_pid = getpid(), .hz = HZ, .off_cpu = off_cpu};
    struct cv_samples *samples = NULL;
    int error = cv_samples_open(&samples, &options, message, sizeof(message));

    if (error == -EPERM || error == -EOPNOTSUPP) {
        print_message("skipped: %s\n", message);
        skip();
    }
    if (error != 0)
        fail_msg("%s", message);
    return samples;
}

static void *spin(void *unused) {
    prctl(PR_SET_NAME, "spinner");
    while (!atomic_load(&is_over))
        continue;
    return unused;
}

static void *doze(void *unused) {
    const struct timespec nap = {.tv_nsec = 20000000};

    prctl(PR_SET_NAME, "dozer");
    while (!atomic_load(&is_over))
        nanosleep(&nap, NULL);
    return unused;
}

// Measures a thread that runs `work` for a while; gives the seconds.
static double watch(struct cv_samples *samples, void *(*work)(void *), struct seen *seen) {
    struct timespec from, to;
    const struct timespec pause = {.tv_nsec = 400000000};
    pthread_t thread;

    atomic_store(&is_over, false);
    clock_gettime(CLOCK_MONOTONIC, &from);
    assert_int_equal(pthread_create(&thread, NULL, work, NULL), 0);
    nanosleep(&pause, NULL);
    cv_samples_read(samples, note, seen);
    clock_gettime(CLOCK_MONOTONIC, &to);
    atomic_store(&is_over, true);
    pthread_join(thread, NULL);
    return (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
}

static void test_samples_find_a_running_thread(void **state) {
    struct cv_samples *samples = open_samples(false);
    struct seen seen = {.name = "spinner"};

    (void)state;
    double seconds = watch(samples, spin, &seen);
    // Other processes take their share of the cores; no thread is on two of them.
    assert_in_range(seen.count[COVET_STACK_RUNNING], 5, (unsigned)(1.3 * seconds * HZ) + 5);
    assert_int_equal(seen.count[COVET_STACK_BLOCKED], 0);
    assert_int_equal(seen.without_registers, 0);
    assert_int_equal(seen.without_stack, 0);
    assert_int_equal(cv_samples_lost(samples), 0);

    cv_samples_stop(samples);
    cv_samples_read(samples, note, &seen);
    unsigned count = seen.count[COVET_STACK_RUNNING];
    watch(samples, spin, &seen);
    assert_int_equal(seen.count[COVET_STACK_RUNNING], count);
    cv_samples_close(samples);
}

static void test_samples_measure_a_sleeping_thread(void **state) {
    struct cv_samples *samples = open_samples(true);
    struct seen seen = {.name = "dozer"};

    (void)state;
    double seconds = watch(samples, doze, &seen);
    assert_in_range(seen.count[COVET_STACK_BLOCKED], 3, (unsigned)(seconds / 0.02) + 2);
    assert_in_range(seen.count[COVET_STACK_RESUMED], 3, seen.count[COVET_STACK_BLOCKED]);
    assert_true((double)seen.asleep_ns > 0.02e9 * seen.count[COVET_STACK_RESUMED] * 0.9);
    assert_true((double)seen.asleep_ns <= seconds * 1e9);
    assert_int_equal(seen.without_registers, 0);
    assert_int_equal(seen.without_stack, 0);
    assert_int_equal(seen.in_kernel, seen.count[COVET_STACK_BLOCKED]);
    assert_int_equal(seen.count[COVET_STACK_RUNNING], 0);
    cv_samples_close(samples);
}

static int gate[2];  // A pipe.
static atomic_int sleeper;

static void *sleep_at_gate(void *unused) {
    char byte;

    prctl(PR_SET_NAME, "sleeper");
    atomic_store(&sleeper, gettid());
    assert_int_equal(read(gate[0], &byte, 1), 1);
    return unused;
}

static bool is_asleep(int thread_id) {
    char path[64], text[64] = "";

    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", thread_id);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(file >= 0);
    assert_true(read(file, text, sizeof(text) - 1) > 0);
    close(file);
    return strstr(text, "(sleeper) S ") != NULL;
}

static void test_samples_find_who_was_asleep_before(void **state) {
    const struct timespec pause = {.tv_nsec = 1000000};
    struct seen seen = {.name = "sleeper"};
    pthread_t thread;

    (void)state;
    cv_samples_close(open_samples(true));  // Skips without the rights.
    assert_int_equal(pipe(gate), 0);
    assert_int_equal(pthread_create(&thread, NULL, sleep_at_gate, NULL), 0);
    while (atomic_load(&sleeper) == 0 || !is_asleep(atomic_load(&sleeper)))
        nanosleep(&pause, NULL);
    struct cv_samples *samples = open_samples(true);
    cv_samples_read(samples, note, &seen);
    assert_int_equal(write(gate[1], "", 1), 1);
    pthread_join(thread, NULL);
    close(gate[0]);
    close(gate[1]);
    assert_int_equal(seen.count[COVET_STACK_ASLEEP], 1);
    assert_int_equal(seen.count[COVET_STACK_BLOCKED], 0);
    assert_int_equal(seen.without_registers, 0);
    assert_int_equal(seen.without_stack, 0);
    cv_samples_close(samples);
}

static void test_samples_refuse_a_process_that_is_gone(void **state) {
    const struct cv_samples_options options = {.server_pid = INT32_MAX, .hz = HZ};
    struct cv_samples *samples = NULL;

    (void)state;
    cv_samples_close(open_samples(false));  // Skips without the rights.
    assert_int_equal(cv_samples_open(&samples, &options, message, sizeof(message)), -ESRCH);
    assert_null(samples);
    assert_string_equal(message, "process 2147483647 is gone");
}

static void test_samples_refuse_a_rate_the_kernel_does_not_give(void **state) {
    const struct cv_samples_options options = {.server_pid = getpid(), .hz = 1u << 30};
    struct cv_samples *samples = NULL;

    (void)state;
    cv_samples_close(open_samples(false));
    assert_int_equal(cv_samples_open(&samples, &options, message, sizeof(message)), -EINVAL);
    assert_null(samples);
    assert_non_null(strstr(message, "kernel.perf_event_max_sample_rate"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples_find_a_running_thread),
        cmocka_unit_test(test_samples_measure_a_sleeping_thread),
        cmocka_unit_test(test_samples_find_who_was_asleep_before),
        cmocka_unit_test(test_samples_refuse_a_process_that_is_gone),
        cmocka_unit_test(test_samples_refuse_a_rate_the_kernel_does_not_give),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
