#include "unit/app/acting.h"

static int init(struct covet_app *app) {
    struct covet_route_options stream = {.methods = COVET_POST,
                                         .pattern = "/stream",
                                         .handler = t_act_handler,
                                         .stream_body = 1,
                                         .body_bytes_max = 77};

    covet_route(app, COVET_GET, "/", t_act_handler, NULL);
    covet_route(app, COVET_POST | COVET_PUT, "/write", t_act_handler, NULL);
    covet_route(app, COVET_OPTIONS, "/own", t_act_handler, NULL);
    return covet_route_with(app, &stream);
}

static bool has_no_memory;

void *__real_cv_arena_alloc_slow(struct cv_arena *arena, size_t bytes);
void *__wrap_cv_arena_alloc_slow(struct cv_arena *arena, size_t bytes);
void *__wrap_cv_arena_alloc_slow(struct cv_arena *arena, size_t bytes) {
    return has_no_memory ? NULL : __real_cv_arena_alloc_slow(arena, bytes);
}

static int setup(void **state) {
    return t_act_setup(state, init);
}

static struct t_exchange *run(void **state, const char *line, t_action action) {
    return t_act_run(state, line, "", action);
}

static void say_ok(struct covet_request *request, struct covet_response *response) {
    (void)request;
    covet_response_text(response, "ok");
}

static void test_request_without_a_handler_is_answered(void **state) {
    static const struct {
        const char *line;
        int status;
        const char *fields, *body;
    } cases[] = {
        {"GET /", 200, "", "ok"},
        {"GET http://a.example", 200, "", "ok"},
        {"GET /missing", 404, "", "404 Not Found\n"},
        {"BREW /missing", 404, "", "404 Not Found\n"},
        {"HEAD /missing", 404, "", ""},
        {"GET /write", 405, "Allow: POST, PUT, OPTIONS\r\n", "405 Method Not Allowed\n"},
        {"BREW /", 405, "Allow: GET, HEAD, OPTIONS\r\n", "405 Method Not Allowed\n"},
        {"TRACE /", 405, "Allow: GET, HEAD, OPTIONS\r\n", "405 Method Not Allowed\n"},
        {"OPTIONS /", 204, "Allow: GET, HEAD, OPTIONS\r\n", ""},
        {"OPTIONS /missing", 404, "", "404 Not Found\n"},
        {"OPTIONS /own", 200, "", "ok"},
        {"OPTIONS *", 204, "Allow: GET, HEAD, POST, PUT, OPTIONS\r\n", ""},
        {"CONNECT a.example:443", 501, "", "501 Not Implemented\n"},
        {"GET /%zz", 400, "", "400 Bad Request\n"},
        {"GET /a%2fb", 400, "", "400 Bad Request\n"},
        {"GET /../x", 400, "", "400 Bad Request\n"},
        {"GET /%2e/", 200, "", "ok"},
    };

    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        struct t_exchange *exchange = run(state, cases[i].line, say_ok);

        if (exchange->status != cases[i].status || strcmp(exchange->fields, cases[i].fields) != 0 ||
            strcmp(exchange->body, cases[i].body) != 0)
            fail_msg("%s: %d \"%s\" \"%s\"", cases[i].line, exchange->status, exchange->fields,
                     exchange->body);
        assert_int_equal(exchange->framing, cases[i].status == 204 ? CV_HEAD_NONE : CV_HEAD_LENGTH);
        t_close(exchange);
    }
}

static void test_request_route_says_how_the_body_is_taken(void **state) {
    static const struct {
        const char *line;
        enum cv_request_plan plan;
        uint64_t body_bytes_max;
    } cases[] = {
        {"GET /", CV_REQUEST_BODY_WHOLE, CV_APP_BODY_BYTES_MAX},
        {"POST /stream", CV_REQUEST_BODY_STREAM, 77},
        // Nobody wants the body of a 404, so it is not collected.
        {"POST /missing", CV_REQUEST_BODY_STREAM, CV_APP_BODY_BYTES_MAX},
    };
    struct t_fixture *fixture = *state;

    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        char text[128];
        enum cv_request_plan plan;
        struct t_exchange *exchange;

        snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: a\r\n\r\n", cases[i].line);
        exchange = t_open(fixture->worker, text, NULL);
        cv_request_deinit(&exchange->request);
        cv_request_begin(&exchange->request, exchange->text);
        plan = cv_request_route(&exchange->request);
        assert_int_equal(plan, cases[i].plan);
        assert_true(cv_request_body_bytes_max(&exchange->request) == cases[i].body_bytes_max);
        t_close(exchange);
    }
}

static void do_nothing(struct covet_request *request, struct covet_response *response) {
    (void)request;
    covet_response_header(response, "X-A", "1");
}

static void test_request_that_nobody_keeps_gets_a_500(void **state) {
    struct t_exchange *exchange = run(state, "GET /", do_nothing);

    assert_int_equal(exchange->end, T_ANSWERED);
    assert_int_equal(exchange->status, 500);
    t_close(exchange);
}

static void test_request_time_is_counted_once(void **state) {
    struct t_fixture *fixture = *state;
    uint64_t before = fixture->hosts[0].stats.handler_time.count;
    struct t_exchange *exchange = run(state, "GET /", say_ok);

    assert_int_equal(fixture->hosts[0].stats.handler_time.count, before + 1);
    t_close(exchange);
}

static void defer(struct covet_request *request, struct covet_response *response) {
    (void)response;
    covet_request_defer(request);
}

static void test_request_can_be_answered_later(void **state) {
    struct t_fixture *fixture = *state;
    struct t_exchange *exchange = run(state, "GET /", defer);

    assert_int_equal(exchange->end, T_OPEN);
    assert_int_equal(fixture->worker->pins, 1);
    // The record is gone, and overwritten, inside this very call.
    exchange->deinit_on_finish = true;
    assert_int_equal(covet_response_text(&exchange->request.response, "late"), 0);
    assert_string_equal(exchange->body, "late");
    assert_int_equal(fixture->worker->pins, 0);
    t_close(exchange);
}

struct notice {
    int count;
    bool aborted;
    bool cancel;
};

static struct notice notice;

static void on_abort(struct covet_request *request, void *context) {
    struct notice *told = context;

    told->count++;
    told->aborted = covet_request_aborted(request);
    if (told->cancel)
        assert_int_equal(covet_response_cancel(covet_request_response(request)), -ECONNRESET);
}

static void defer_with_notice(struct covet_request *request, struct covet_response *response) {
    notice = (struct notice){0};
    covet_request_on_abort(request, on_abort, &notice);
    defer(request, response);
}

static void test_request_tells_once_that_the_client_left(void **state) {
    struct t_exchange *exchange = run(state, "GET /", defer_with_notice);

    cv_request_aborted(&exchange->request);
    cv_request_aborted(&exchange->request);
    assert_int_equal(notice.count, 1);
    assert_int_equal(exchange->end, T_OPEN);
    // It stays until the handler finishes it, and the sink hears of that.
    exchange->deinit_on_finish = true;
    assert_int_equal(covet_response_text(&exchange->request.response, "x"), -ECONNRESET);
    assert_int_equal(exchange->end, T_ANSWERED);
    t_close(exchange);
}

static void test_request_may_be_finished_by_the_notice(void **state) {
    struct t_exchange *exchange = run(state, "GET /", defer_with_notice);

    notice.cancel = true;
    exchange->deinit_on_finish = true;
    cv_request_aborted(&exchange->request);
    assert_int_equal(notice.count, 1);
    assert_int_equal(exchange->end, T_CUT);
    assert_true(exchange->deinit_done);
    t_close(exchange);
}

static void test_request_of_a_half_closed_client_can_be_answered(void **state) {
    struct t_exchange *exchange = run(state, "GET /", defer_with_notice);

    cv_request_half_closed(&exchange->request);
    assert_int_equal(notice.count, 1);
    assert_false(notice.aborted);
    assert_int_equal(covet_response_text(&exchange->request.response, "x"), 0);
    cv_request_half_closed(&exchange->request);
    cv_request_aborted(&exchange->request);
    assert_int_equal(notice.count, 1);
    t_close(exchange);

    exchange = run(state, "GET /", defer_with_notice);
    cv_request_half_closed(&exchange->request);
    cv_request_aborted(&exchange->request);
    cv_request_half_closed(&exchange->request);
    assert_int_equal(notice.count, 2);
    assert_true(notice.aborted);
    covet_response_cancel(&exchange->request.response);
    t_close(exchange);
}

static void abort_inside(struct covet_request *request, struct covet_response *response) {
    defer_with_notice(request, response);
    cv_request_aborted(request);
    assert_int_equal(notice.count, 0);
    assert_true(covet_request_aborted(request));
}

static void test_request_is_not_told_inside_the_handler(void **state) {
    struct t_exchange *exchange = run(state, "GET /", abort_inside);

    assert_int_equal(notice.count, 1);
    covet_response_cancel(&exchange->request.response);
    t_close(exchange);
}

// Streamed bodies.

struct taken {
    char text[64];
    size_t length;
    int calls;
    int lasts;
    bool answer;
    bool defer;
    bool pause;
    int resume_after;
};

static struct taken taken;

static void on_body(struct covet_request *request, const void *data, size_t length, bool last,
                    void *context) {
    struct taken *to = context;

    if (length > 0)
        memcpy(to->text + to->length, data, length);
    to->length += length;
    to->lasts += last;
    to->calls++;
    if (to->pause) {
        covet_request_pause_body(request, true);
        if (to->resume_after-- > 0)
            covet_request_pause_body(request, false);
    }
    if (last && to->defer)
        covet_request_defer(request);
    if (last && to->answer)
        assert_int_equal(covet_response_text(covet_request_response(request), "done"), 0);
}

static void take_body(struct covet_request *request, struct covet_response *response) {
    (void)response;
    assert_int_equal(covet_request_on_body(request, on_body, &taken), 0);
}

static void feed(struct t_exchange *exchange, const char *text, bool last) {
    cv_request_body(&exchange->request, cv_span_of(text), last);
}

static void test_request_streams_its_body(void **state) {
    struct t_exchange *exchange;

    taken = (struct taken){.answer = true};
    exchange = run(state, "POST /stream", take_body);
    exchange->deinit_on_finish = true;
    feed(exchange, "one,", false);
    feed(exchange, "", false);
    feed(exchange, "two", false);
    assert_int_equal(exchange->end, T_OPEN);
    feed(exchange, "", true);
    assert_int_equal(exchange->end, T_ANSWERED);
    assert_true(exchange->deinit_done);
    assert_memory_equal(taken.text, "one,two", 7);
    assert_int_equal(taken.length, 7);
    assert_int_equal(taken.calls, 3);
    assert_int_equal(taken.lasts, 1);
    t_close(exchange);
}

static void test_request_unanswered_at_the_end_of_its_body_gets_a_500(void **state) {
    struct t_exchange *exchange;

    taken = (struct taken){0};
    exchange = run(state, "POST /stream", take_body);
    exchange->deinit_on_finish = true;
    feed(exchange, "x", true);
    assert_int_equal(exchange->status, 500);
    t_close(exchange);

    taken = (struct taken){.defer = true};
    exchange = run(state, "POST /stream", take_body);
    feed(exchange, "x", true);
    feed(exchange, "y", true);
    assert_int_equal(taken.lasts, 1);
    assert_int_equal(exchange->end, T_OPEN);
    assert_int_equal(covet_response_empty(&exchange->request.response), 0);
    t_close(exchange);
}

static void test_request_pauses_its_body_between_calls(void **state) {
    struct t_exchange *exchange;

    taken = (struct taken){.pause = true, .resume_after = 1};
    exchange = run(state, "POST /stream", take_body);
    // Paused and resumed inside one call is nothing for the sink to hear of.
    feed(exchange, "a", false);
    assert_int_equal(exchange->pauses, 0);
    assert_int_equal(exchange->resumes, 0);
    feed(exchange, "b", false);
    assert_int_equal(exchange->pauses, 1);
    covet_request_pause_body(&exchange->request, true);
    assert_int_equal(exchange->pauses, 1);
    covet_request_pause_body(&exchange->request, false);
    assert_int_equal(exchange->resumes, 1);
    covet_response_cancel(&exchange->request.response);
    covet_request_pause_body(&exchange->request, true);
    assert_int_equal(exchange->pauses, 1);
    t_close(exchange);
}

static void pause_at_once(struct covet_request *request, struct covet_response *response) {
    take_body(request, response);
    covet_request_pause_body(request, true);
}

static void test_request_pauses_from_the_handler(void **state) {
    struct t_exchange *exchange = run(state, "POST /stream", pause_at_once);

    assert_int_equal(exchange->pauses, 1);
    covet_response_cancel(&exchange->request.response);
    t_close(exchange);
}

static void answer_early(struct covet_request *request, struct covet_response *response) {
    take_body(request, response);
    covet_response_text(response, "enough");
}

static void test_request_answered_early_gets_no_more_body(void **state) {
    struct t_exchange *exchange;

    taken = (struct taken){0};
    exchange = run(state, "POST /stream", answer_early);
    assert_string_equal(exchange->body, "enough");
    feed(exchange, "x", true);
    assert_int_equal(taken.length + (size_t)taken.lasts, 0);
    t_close(exchange);
}

static void test_request_that_waits_for_a_body_ends_with_its_client(void **state) {
    struct t_exchange *exchange;

    taken = (struct taken){0};
    exchange = run(state, "POST /stream", take_body);
    exchange->deinit_on_finish = true;
    feed(exchange, "x", false);
    cv_request_aborted(&exchange->request);
    assert_int_equal(exchange->end, T_CUT);
    assert_int_equal(taken.lasts, 0);
    t_close(exchange);
}

static void take_whole(struct covet_request *request, struct covet_response *response) {
    assert_int_equal(covet_request_on_body(request, on_body, NULL), -EINVAL);
    covet_response_empty(response);
}

static void test_request_with_a_whole_body_does_not_stream_it(void **state) {
    struct t_exchange *exchange = run(state, "GET /", take_whole);

    assert_int_equal(exchange->status, 204);
    t_close(exchange);
}

static void test_request_takes_no_memory_for_a_plain_answer(void **state) {
    struct t_fixture *fixture = *state;
    size_t live = cv_pool_live_bytes(&fixture->hosts[0].pool);
    struct t_exchange *exchange = run(state, "GET /", say_ok);

    assert_int_equal(cv_pool_live_bytes(&fixture->hosts[0].pool), live);
    t_close(exchange);
}

static void test_request_without_memory_for_its_path_is_told_so(void **state) {
    has_no_memory = true;
    struct t_exchange *exchange = run(state, "GET /%61", say_ok);

    has_no_memory = false;
    assert_int_equal(exchange->status, 503);
    assert_string_equal(exchange->body, "503 Service Unavailable\n");
    t_close(exchange);
}

static void do_empty(struct covet_request *request, struct covet_response *response) {
    (void)request;
    covet_response_empty(response);
}

static void test_request_counts_how_its_route_was_found(void **state) {
    struct t_fixture *fixture = *state;
    static const char *const lines[] = {"GET /", "HEAD /", "GET /nothing", "PUT /", "GET /%zz"};
    const struct covet_stats_worker *stats = &fixture->hosts[0].stats;
    uint64_t hits = cv_counter_read(stats, COVET_COUNTER_ROUTE_CACHE_HITS);
    uint64_t misses = cv_counter_read(stats, COVET_COUNTER_ROUTE_CACHE_MISSES);

    assert_int_equal(covet_route(fixture->app, COVET_GET, "/{name}/x", t_act_handler, NULL), 0);
    for (size_t i = 0; i < CV_ARRAY_COUNT(lines); i++)
        t_close(run(state, lines[i], do_empty));
    t_close(run(state, "GET /a/x", do_empty));
    // Neither for a path that is none.
    assert_int_equal(cv_counter_read(stats, COVET_COUNTER_ROUTE_CACHE_HITS) - hits, 2);
    assert_int_equal(cv_counter_read(stats, COVET_COUNTER_ROUTE_CACHE_MISSES) - misses, 3);
}

static void keep(struct covet_request *request, struct covet_response *response) {
    (void)response;
    covet_request_defer(request);
}

static void count_removal(void *context) {
    (*(int *)context)++;
}

static void test_request_keeps_a_route_that_is_replaced(void **state) {
    struct t_fixture *fixture = *state;
    int first = 0, later = 0;
    struct covet_route_options options = {.methods = COVET_GET,
                                          .pattern = "/live",
                                          .handler = t_act_handler,
                                          .context = &first,
                                          .on_removed = count_removal};

    assert_int_equal(covet_route_with(fixture->app, &options), 0);
    struct t_exchange *open = run(state, "GET /live", keep);
    options.context = &later;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(covet_route_replace(covet_worker_app(fixture->worker), &options), 0);
    assert_int_equal(first, 0);
    assert_int_equal(later, 999);
    assert_ptr_equal(covet_request_context(&open->request), &first);
    assert_string_equal(open->request.match.route->pattern, "/live");
    covet_response_empty(&open->request.response);
    t_close(open);
    assert_false(cv_routes_reclaim(&fixture->app->routes));
    assert_int_equal(first, 1);
    assert_int_equal(covet_route_remove(fixture->app, COVET_GET, "/live"), 0);
    assert_int_equal(later, 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_without_a_handler_is_answered),
        cmocka_unit_test(test_request_route_says_how_the_body_is_taken),
        cmocka_unit_test(test_request_that_nobody_keeps_gets_a_500),
        cmocka_unit_test(test_request_time_is_counted_once),
        cmocka_unit_test(test_request_can_be_answered_later),
        cmocka_unit_test(test_request_tells_once_that_the_client_left),
        cmocka_unit_test(test_request_may_be_finished_by_the_notice),
        cmocka_unit_test(test_request_of_a_half_closed_client_can_be_answered),
        cmocka_unit_test(test_request_is_not_told_inside_the_handler),
        cmocka_unit_test(test_request_streams_its_body),
        cmocka_unit_test(test_request_unanswered_at_the_end_of_its_body_gets_a_500),
        cmocka_unit_test(test_request_pauses_its_body_between_calls),
        cmocka_unit_test(test_request_pauses_from_the_handler),
        cmocka_unit_test(test_request_answered_early_gets_no_more_body),
        cmocka_unit_test(test_request_that_waits_for_a_body_ends_with_its_client),
        cmocka_unit_test(test_request_with_a_whole_body_does_not_stream_it),
        cmocka_unit_test(test_request_takes_no_memory_for_a_plain_answer),
        cmocka_unit_test(test_request_without_memory_for_its_path_is_told_so),
        cmocka_unit_test(test_request_counts_how_its_route_was_found),
        cmocka_unit_test(test_request_keeps_a_route_that_is_replaced),
    };

    return cmocka_run_group_tests(tests, setup, t_act_teardown);
}
