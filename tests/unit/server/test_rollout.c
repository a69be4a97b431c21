// Generations and limits go to every worker and are freed after the last one is done with them.
#include "server/rollout.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/app.h"
#include "server/worker.h"

#define WORKERS 3u

static struct cv_message posted[64];
static uint32_t posted_count;
static uint32_t refusals;  // Of the next posts.

int __wrap_cv_worker_post(struct cv_worker *worker, const struct cv_message *message) {
    (void)worker;
    if (refusals > 0) {
        refusals--;
        return -EAGAIN;
    }
    assert_true(posted_count < CV_ARRAY_COUNT(posted));
    posted[posted_count++] = *message;
    return 0;
}

static struct cv_rollout rollout;
static struct cv_settings settings;
static struct cv_limits limits;

static struct cv_generation *make_generation(void) {
    static const struct cv_generation_source source = {0};
    static const int no_fds[CV_SETTINGS_MODULES_MAX];
    struct cv_generation *generation;
    char why[256];
    assert_int_equal(
        cv_generation_create(&generation, &settings, no_fds, &source, why, sizeof(why)), 0);
    return generation;
}

static int set_up(void **state) {
    (void)state;
    posted_count = 0;
    refusals = 0;
    int result = cv_rollout_init(&rollout, make_generation(), &limits);
    rollout.worker_count = WORKERS;
    return result;
}

static int tear_down(void **state) {
    (void)state;
    cv_rollout_deinit(&rollout);
    return 0;
}

static enum cv_rollout_event tell(enum cv_message_kind kind, uint32_t worker, void *pointer,
                                  int detail) {
    struct cv_message message = {
        .kind = kind, .number = worker, .pointer = pointer, .detail = detail};
    return cv_rollout_on_message(&rollout, &message);
}

static void test_rollout_frees_the_old_generation_after_the_last_release(void **state) {
    (void)state;
    void *old = rollout.newest->app;
    assert_int_equal(cv_rollout_adopt(&rollout, make_generation()), 0);
    void *new = rollout.newest->app;
    assert_int_equal(posted_count, WORKERS);
    assert_ptr_equal(posted[2].pointer, new);
    assert_int_equal(posted[2].kind, CV_MESSAGE_ADOPT);
    assert_int_equal(tell(CV_MESSAGE_ADOPTED, 0, new, 0), CV_ROLLOUT_NOTHING);
    assert_int_equal(tell(CV_MESSAGE_RELEASED, 0, old, 0), CV_ROLLOUT_NOTHING);
    assert_int_equal(tell(CV_MESSAGE_ADOPTED, 1, new, 0), CV_ROLLOUT_NOTHING);
    assert_int_equal(tell(CV_MESSAGE_ADOPTED, 2, new, 0), CV_ROLLOUT_ADOPTED);
    tell(CV_MESSAGE_RELEASED, 1, old, 0);
    tell(CV_MESSAGE_RELEASED, 1, old, 0);  // Twice by one is not twice.
    assert_int_equal(rollout.generation_count, 2);
    tell(CV_MESSAGE_RELEASED, 2, old, 0);
    assert_int_equal(rollout.generation_count, 1);
    assert_ptr_equal(rollout.newest->app, new);
}

static void test_rollout_drops_a_generation_all_workers_refuse(void **state) {
    (void)state;
    void *old = rollout.newest->app;
    assert_int_equal(cv_rollout_adopt(&rollout, make_generation()), 0);
    void *new = rollout.newest->app;
    tell(CV_MESSAGE_ADOPTED, 0, new, -ENOMEM);
    tell(CV_MESSAGE_ADOPTED, 1, new, -ENOMEM);
    assert_int_equal(rollout.generation_count, 2);
    assert_int_equal(tell(CV_MESSAGE_ADOPTED, 2, new, -ENOMEM), CV_ROLLOUT_REFUSED);
    assert_int_equal(rollout.generation_count, 1);
    assert_ptr_equal(rollout.newest->app, old);
}

static void test_rollout_keeps_both_when_workers_disagree(void **state) {
    (void)state;
    void *old = rollout.newest->app;
    assert_int_equal(cv_rollout_adopt(&rollout, make_generation()), 0);
    void *new = rollout.newest->app;
    tell(CV_MESSAGE_ADOPTED, 0, new, 0);
    tell(CV_MESSAGE_RELEASED, 0, old, 0);
    tell(CV_MESSAGE_ADOPTED, 1, new, -EIO);
    assert_int_equal(tell(CV_MESSAGE_ADOPTED, 2, new, 0), CV_ROLLOUT_REFUSED);
    tell(CV_MESSAGE_RELEASED, 2, old, 0);
    assert_int_equal(rollout.generation_count, 2);
    // The next one ends both.
    assert_int_equal(cv_rollout_adopt(&rollout, make_generation()), 0);
    for (uint32_t i = 0; i < WORKERS; i++) {
        tell(CV_MESSAGE_ADOPTED, i, rollout.newest->app, 0);
        tell(CV_MESSAGE_RELEASED, i, i == 1 ? old : new, 0);
    }
    assert_int_equal(rollout.generation_count, 1);
}

static void test_rollout_bounds_the_generations_alive(void **state) {
    (void)state;
    for (uint32_t i = 1; i < CV_ROLLOUT_GENERATIONS_MAX; i++) {
        assert_int_equal(cv_rollout_adopt(&rollout, make_generation()), 0);
    }
    struct cv_generation *newest = rollout.newest;
    assert_int_equal(cv_rollout_adopt(&rollout, make_generation()), -EBUSY);
    assert_ptr_equal(rollout.newest, newest);
}

static void test_rollout_frees_limits_after_all_have_newer_ones(void **state) {
    (void)state;
    limits.fields_max = 7;
    assert_int_equal(cv_rollout_set_limits(&rollout, &limits), 0);
    const void *second = cv_rollout_limits(&rollout);
    limits.fields_max = 8;
    assert_int_equal(cv_rollout_set_limits(&rollout, &limits), 0);
    const void *third = cv_rollout_limits(&rollout);
    assert_int_equal(posted_count, 2 * WORKERS);
    for (uint32_t i = 0; i < WORKERS; i++) {
        tell(CV_MESSAGE_LIMITS_TAKEN, i, (void *)(uintptr_t)second, 0);
    }
    for (uint32_t i = 0; i < WORKERS; i++) {
        tell(CV_MESSAGE_LIMITS_TAKEN, i, (void *)(uintptr_t)third, 0);
    }
    // The address checker sees to it that what is left is valid and the rest is gone.
    assert_ptr_equal(cv_rollout_limits(&rollout), third);
    assert_int_equal(cv_rollout_limits(&rollout)->fields_max, 8);
}

static void test_rollout_is_patient_with_a_full_mailbox(void **state) {
    (void)state;
    refusals = 5;
    struct cv_message message = {.kind = CV_MESSAGE_STOP};
    cv_rollout_post(&rollout, &message);
    assert_int_equal(posted_count, WORKERS);
}

int main(void) {
#define WITH_ROLLOUT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_ROLLOUT(test_rollout_frees_the_old_generation_after_the_last_release),
        WITH_ROLLOUT(test_rollout_drops_a_generation_all_workers_refuse),
        WITH_ROLLOUT(test_rollout_keeps_both_when_workers_disagree),
        WITH_ROLLOUT(test_rollout_bounds_the_generations_alive),
        WITH_ROLLOUT(test_rollout_frees_limits_after_all_have_newer_ones),
        WITH_ROLLOUT(test_rollout_is_patient_with_a_full_mailbox),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
