#include "recorder.h"

static char log_text[256];
static int fail_at;  // The hook that fails.

static int on_init(struct covet_worker *worker, void *context) {
    int number = *(int *)context;
    char text[16];

    snprintf(text, sizeof(text), "+%d", number);
    strcat(log_text, text);
    assert_int_equal(covet_worker_set_state(worker, context, context), 0);
    return number == fail_at ? -ENODEV : 0;
}

static void on_exit_hook(struct covet_worker *worker, void *context) {
    char text[16];

    assert_ptr_equal(covet_worker_state(worker, context), context);
    snprintf(text, sizeof(text), "-%d", *(int *)context);
    strcat(log_text, text);
}

static void defer(struct covet_request *request, struct covet_response *response) {
    (void)response;
    covet_request_defer(request);
}

static int init(struct covet_app *app) {
    static int one = 1, two = 2, three = 3;

    covet_on_worker(app, on_init, on_exit_hook, &one);
    covet_on_worker(app, NULL, on_exit_hook, &two);
    covet_on_worker(app, on_init, NULL, &three);
    return covet_route(app, COVET_GET, "/", defer, NULL);
}

static int init_pair(struct covet_app *app) {
    static int one = 1, two = 2;

    covet_on_worker(app, on_init, on_exit_hook, &one);
    covet_on_worker(app, on_init, on_exit_hook, &two);
    return covet_route(app, COVET_GET, "/", defer, NULL);
}

static void test_app_runs_hooks_around_a_worker(void **state) {
    struct t_fixture fixture;

    (void)state;
    log_text[0] = '\0';
    fail_at = 0;
    t_open_fixture(&fixture, init_pair);
    assert_string_equal(log_text, "+1+2");
    t_close_fixture(&fixture);
    assert_string_equal(log_text, "+1+2-2-1");
}

static void test_app_unwinds_hooks_when_one_fails(void **state) {
    struct t_host *hosts = malloc(T_WORKERS * sizeof(*hosts));
    struct covet_app *app = t_app(init_pair);
    struct covet_worker *worker = NULL;

    (void)state;
    t_host_init(hosts);
    log_text[0] = '\0';
    fail_at = 2;
    assert_int_equal(cv_app_attach(app, &hosts[0].env, &worker), -ENODEV);
    assert_null(worker);
    assert_string_equal(log_text, "+1+2-1");
    fail_at = 0;
    cv_app_destroy(app);
    t_host_deinit(hosts);
    free(hosts);
}

static void test_app_hooks_may_be_missing(void **state) {
    struct t_fixture fixture;
    static int unknown;

    (void)state;
    log_text[0] = '\0';
    t_open_fixture(&fixture, init);
    assert_string_equal(log_text, "+1+3");
    assert_null(covet_worker_state(fixture.worker, &unknown));
    assert_int_equal(covet_worker_set_state(fixture.worker, &unknown, &unknown), -ENOENT);
    covet_worker_set_state(fixture.worker, fixture.app->hook[1].context,
                           fixture.app->hook[1].context);
    t_close_fixture(&fixture);
    assert_string_equal(log_text, "+1+3-2-1");
}

// A reload while a request waits: the old generation stays until it is answered, its timers run on.

static int expired;

static void count_expiry(struct covet_worker *worker, void *context) {
    struct t_exchange *exchange = context;

    (void)worker;
    expired++;
    if (exchange != NULL)
        covet_response_text(&exchange->request.response, "now");
}

static void test_app_generation_stays_while_a_request_is_open(void **state) {
    struct t_fixture fixture;
    struct t_exchange *exchange;
    struct covet_app *next;
    struct covet_worker *next_worker;
    struct t_host *host;

    (void)state;
    expired = 0;
    t_open_fixture(&fixture, init_pair);
    host = &fixture.hosts[0];
    exchange = t_get(fixture.worker, "/");
    exchange->deinit_on_finish = true;
    assert_non_null(covet_timer_start(fixture.worker, 50, count_expiry, exchange));
    assert_non_null(covet_timer_start(fixture.worker, 500, count_expiry, NULL));

    next = t_app(init_pair);
    next_worker = t_attach(next, host);
    log_text[0] = '\0';
    cv_app_retire(fixture.worker);
    assert_int_equal(host->released_count, 0);
    t_host_advance(host, 40);
    assert_int_equal(expired, 0);
    // The answer is the last pin: the hooks run, then the other timer is dropped without a call.
    t_host_advance(host, 20);
    assert_int_equal(expired, 1);
    assert_string_equal(exchange->body, "now");
    assert_string_equal(log_text, "-2-1");
    assert_ptr_equal(host->released, fixture.worker);
    assert_int_equal(host->released_count, 1);
    t_host_advance(host, 1000);
    assert_int_equal(expired, 1);
    cv_app_detach(fixture.worker);
    cv_app_destroy(fixture.app);

    t_close(exchange);
    cv_app_retire(next_worker);
    assert_int_equal(host->released_count, 2);
    cv_app_detach(next_worker);
    cv_app_destroy(next);
    t_host_deinit(fixture.hosts);
    free(fixture.hosts);
}

static void detach_on_release(struct covet_worker *worker) {
    struct t_host *host = CV_CONTAINER_OF(worker->env, struct t_host, env);

    host->released_count++;
    cv_app_detach(worker);
}

static void test_app_worker_may_be_detached_when_released(void **state) {
    struct t_fixture fixture;
    struct t_exchange *first, *second;

    (void)state;
    t_open_fixture(&fixture, init_pair);
    fixture.worker->on_released = detach_on_release;
    first = t_get(fixture.worker, "/");
    second = t_get(fixture.worker, "/");
    cv_app_retire(fixture.worker);
    covet_response_cancel(&first->request.response);
    t_close(first);
    assert_int_equal(fixture.hosts[0].released_count, 0);
    covet_response_cancel(&second->request.response);
    t_close(second);
    assert_int_equal(fixture.hosts[0].released_count, 1);
    cv_app_destroy(fixture.app);
    t_host_deinit(fixture.hosts);
    free(fixture.hosts);
}

static int released_inside;

static void finish_last(struct covet_worker *worker, void *context) {
    struct t_exchange *exchange = context;
    struct t_host *host = CV_CONTAINER_OF(worker->env, struct t_host, env);

    covet_response_cancel(&exchange->request.response);
    t_close(exchange);
    released_inside = (int)host->released_count;
}

static void test_app_is_not_released_under_the_timer_that_ends_its_last_request(void **state) {
    struct t_fixture fixture;
    struct t_exchange *exchange;

    (void)state;
    t_open_fixture(&fixture, init_pair);
    fixture.worker->on_released = detach_on_release;
    exchange = t_get(fixture.worker, "/");
    assert_non_null(covet_timer_start(fixture.worker, 1, finish_last, exchange));
    cv_app_retire(fixture.worker);
    released_inside = -1;
    t_host_advance(&fixture.hosts[0], 10);
    assert_int_equal(released_inside, 0);
    assert_int_equal(fixture.hosts[0].released_count, 1);
    cv_app_destroy(fixture.app);
    t_host_deinit(fixture.hosts);
    free(fixture.hosts);
}

static struct covet_timer *kept_timer;

static void use_timers_on_exit(struct covet_worker *worker, void *context) {
    (void)context;
    covet_timer_cancel(kept_timer);
    assert_non_null(covet_timer_start(worker, 0, count_expiry, NULL));
}

static int init_timers_on_exit(struct covet_app *app) {
    return covet_on_worker(app, NULL, use_timers_on_exit, NULL);
}

static void test_app_drops_timers_after_exit_hooks(void **state) {
    (void)state;
    for (int hard = 0; hard < 2; hard++) {
        struct t_fixture fixture;

        expired = 0;
        t_open_fixture(&fixture, init_timers_on_exit);
        kept_timer = covet_timer_start(fixture.worker, 0, count_expiry, NULL);
        assert_non_null(covet_timer_start(fixture.worker, 0, count_expiry, NULL));
        // Without a retirement: as when the server is told to end at once.
        if (!hard)
            cv_app_retire(fixture.worker);
        cv_app_detach(fixture.worker);
        t_host_advance(&fixture.hosts[0], 100);
        assert_int_equal(expired, 0);
        cv_app_destroy(fixture.app);
        t_host_deinit(fixture.hosts);
        free(fixture.hosts);
    }
    cv_app_detach(NULL);
    cv_app_destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_app_runs_hooks_around_a_worker),
        cmocka_unit_test(test_app_unwinds_hooks_when_one_fails),
        cmocka_unit_test(test_app_hooks_may_be_missing),
        cmocka_unit_test(test_app_generation_stays_while_a_request_is_open),
        cmocka_unit_test(test_app_worker_may_be_detached_when_released),
        cmocka_unit_test(test_app_is_not_released_under_the_timer_that_ends_its_last_request),
        cmocka_unit_test(test_app_drops_timers_after_exit_hooks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
