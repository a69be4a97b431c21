#include "recorder.h"

static int init(struct covet_app *app) {
    (void)app;
    return 0;
}

static int setup(void **state) {
    struct t_fixture *fixture = malloc(sizeof(*fixture));

    t_open_fixture(fixture, init);
    *state = fixture;
    return 0;
}

static int teardown(void **state) {
    t_close_fixture(*state);
    free(*state);
    return 0;
}

static void test_context_knows_its_worker(void **state) {
    struct t_fixture *fixture = *state;

    assert_int_equal(covet_worker_index(fixture->worker), 0);
    assert_int_equal(covet_worker_count(fixture->worker), T_WORKERS);
    assert_true(covet_worker_now_ms(fixture->worker) == fixture->hosts[0].clock.now_ms);
}

static int calls;

static void count(struct covet_worker *worker, void *context) {
    calls++;
    if (context != NULL) {  // Repeats, and stops another timer from inside.
        struct covet_timer **other = context;

        covet_timer_cancel(*other);
        *other = NULL;
        assert_non_null(covet_timer_start(worker, 10, count, NULL));
    }
}

static void test_context_timer_is_never_early(void **state) {
    struct t_fixture *fixture = *state;
    struct t_host *host = &fixture->hosts[0];

    calls = 0;
    // Almost a millisecond of the present one is over.
    cv_clock_set(&host->clock, host->clock.now_ns + 900000, 1700000000);
    assert_non_null(covet_timer_start(fixture->worker, 10, count, NULL));
    cv_clock_set(&host->clock, host->clock.now_ns + 9900000, 1700000000);
    cv_wheel_run(&host->wheel, host->clock.now_ms);
    assert_int_equal(calls, 0);
    cv_clock_set(&host->clock, host->clock.now_ns + 1000000, 1700000000);
    cv_wheel_run(&host->wheel, host->clock.now_ms);
    assert_int_equal(calls, 1);
    t_host_advance(host, 1000);
    assert_int_equal(calls, 1);
}

static void test_context_timers_can_be_cancelled_and_started_inside(void **state) {
    struct t_fixture *fixture = *state;
    struct t_host *host = &fixture->hosts[0];
    struct covet_timer *other;
    size_t live = cv_pool_live_bytes(&host->pool);

    calls = 0;
    other = covet_timer_start(fixture->worker, 30, count, NULL);
    assert_non_null(covet_timer_start(fixture->worker, 20, count, &other));
    t_host_advance(host, 25);
    assert_int_equal(calls, 1);
    assert_null(other);
    t_host_advance(host, 100);
    assert_int_equal(calls, 2);
    covet_timer_cancel(NULL);
    covet_timer_cancel(covet_timer_start(fixture->worker, UINT64_MAX, count, NULL));
    assert_int_equal(cv_pool_live_bytes(&host->pool), live);
    assert_int_equal(host->wheel.count, 0);
}

static void test_context_complains_once_a_second(void **state) {
    struct t_fixture *fixture = *state;

    t_host_advance(&fixture->hosts[0], 5000);
    for (int i = 0; i < 10; i++)
        cv_context_complain(fixture->worker, "test", "i=%d", i);
    assert_int_equal(fixture->worker->complaint_count, 9);
    t_host_advance(&fixture->hosts[0], CV_CONTEXT_COMPLAINT_MS);
    cv_context_complain(fixture->worker, "test", "i=%d", 10);
    assert_int_equal(fixture->worker->complaint_count, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_context_knows_its_worker),
        cmocka_unit_test(test_context_timer_is_never_early),
        cmocka_unit_test(test_context_timers_can_be_cancelled_and_started_inside),
        cmocka_unit_test(test_context_complains_once_a_second),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
