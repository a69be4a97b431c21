#include "recorder.h"

// Everything that runs writes its letter here: "b1" is before of 1, "a1" after, "h" the handler.
static char trace[256];
static char stop_at;      // This one answers early.
static char stop_silent;  // This one stops without an answer.
static char answer_next;  // This one answers but says COVET_NEXT.
static char defer_at;     // This one defers.
static bool stream;

static void note(char kind, char name) {
    size_t length = strlen(trace);

    trace[length] = kind;
    trace[length + 1] = name;
    trace[length + 2] = '\0';
}

static enum covet_next before(struct covet_request *request, struct covet_response *response,
                              void *context) {
    char name = *(char *)context;

    note('b', name);
    if (name == stop_at)
        covet_response_error(response, 401);
    if (name == answer_next)
        covet_response_error(response, 403);
    if (name == defer_at)
        covet_request_defer(request);
    return name == stop_at || name == stop_silent || name == defer_at ? COVET_STOP : COVET_NEXT;
}

static void after(struct covet_request *request, struct covet_response *response, void *context) {
    char name = *(char *)context, text[2] = {name, '\0'};

    (void)request;
    note('a', name);
    assert_int_equal(covet_response_header(response, "X-After", text), 0);
    // Too late for these, whoever tries.
    assert_int_equal(covet_response_text(response, "other"), -EALREADY);
    assert_int_equal(covet_response_begin(response, NULL, 1), -EALREADY);
    assert_int_equal(covet_response_cancel(response), -EALREADY);
}

static void change_status(struct covet_request *request, struct covet_response *response,
                          void *context) {
    (void)request;
    (void)context;
    if (covet_response_get_status(response) == 200)
        assert_int_equal(covet_response_status(response, 202), 0);
}

static void handler(struct covet_request *request, struct covet_response *response) {
    (void)request;
    strcat(trace, "h.");
    if (!stream) {
        covet_response_text(response, "ok");
        return;
    }
    covet_response_begin(response, NULL, COVET_LENGTH_UNKNOWN);
    strcat(trace, "w.");
    covet_response_end(response);
}

static int init(struct covet_app *app) {
    static char one = '1', two = '2', three = '3', four = '4', five = '5';
    struct covet_group *outer = covet_group(app, "/outer");
    struct covet_group *inner = covet_group_in(outer, "/{id}");

    // Routes first: middleware counts wherever it is registered.
    covet_route(app, COVET_GET, "/", handler, NULL);
    covet_group_route(outer, COVET_GET, "/x", handler, NULL);
    covet_group_route(inner, COVET_GET, "/y", handler, NULL);
    covet_group_use(inner, before, after, &five);
    covet_group_use(outer, before, NULL, &three);
    covet_group_use(outer, NULL, after, &four);
    covet_use(app, before, after, &one);
    covet_use(app, NULL, change_status, NULL);
    return covet_use(app, before, after, &two);
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

struct order_case {
    const char *line;
    char stop_at, stop_silent, answer_next, defer_at;
    bool stream;
    const char *trace;
    int status;
    const char *fields;
};

static void test_middleware_runs_around_handlers(void **state) {
    static const struct order_case cases[] = {
        {"GET /", 0, 0, 0, 0, false, "b1b2h.a2a1", 202, "X-After: 2\r\nX-After: 1\r\n"},
        {"GET /outer/x", 0, 0, 0, 0, false, "b1b2b3h.a4a2a1", 202,
         "X-After: 4\r\nX-After: 2\r\nX-After: 1\r\n"},
        {"GET /outer/7/y", 0, 0, 0, 0, false, "b1b2b3b5h.a5a4a2a1", 202,
         "X-After: 5\r\nX-After: 4\r\nX-After: 2\r\nX-After: 1\r\n"},
        {"GET /", 0, 0, 0, 0, true, "b1b2h.a2a1w.", 202, "X-After: 2\r\nX-After: 1\r\n"},
        // An early answer: what was entered is left, the one that answered included.
        {"GET /outer/7/y", '1', 0, 0, 0, false, "b1a1", 401, "X-After: 1\r\n"},
        {"GET /outer/7/y", '3', 0, 0, 0, false, "b1b2b3a2a1", 401, "X-After: 2\r\nX-After: 1\r\n"},
        {"GET /", 0, 0, '2', 0, false, "b1b2a2a1", 403, "X-After: 2\r\nX-After: 1\r\n"},
        // Who stops without an answer, does not let anybody through.
        {"GET /", 0, '1', 0, 0, false, "b1a1", 500, "X-After: 1\r\n"},
        // Automatic answers have the application's middleware.
        {"GET /outer/7/z", 0, 0, 0, 0, false, "b1b2a2a1", 404, "X-After: 2\r\nX-After: 1\r\n"},
        {"PUT /", 0, 0, 0, 0, false, "b1b2a2a1", 405,
         "Allow: GET, HEAD, OPTIONS\r\nX-After: 2\r\nX-After: 1\r\n"},
        {"OPTIONS /", '1', 0, 0, 0, false, "b1a1", 401, "X-After: 1\r\n"},
        {"GET /%zz", '1', 0, 0, 0, false, "", 400, ""},
    };
    struct t_fixture *fixture = *state;

    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        const struct order_case *row = &cases[i];
        struct t_exchange *exchange;

        trace[0] = '\0';
        stop_at = row->stop_at;
        stop_silent = row->stop_silent;
        answer_next = row->answer_next;
        defer_at = row->defer_at;
        stream = row->stream;
        exchange = t_run(fixture->worker, row->line, "", "");
        if (strcmp(trace, row->trace) != 0 || exchange->status != row->status ||
            strcmp(exchange->fields, row->fields) != 0)
            fail_msg("case %zu: %s %d \"%s\"", i, trace, exchange->status, exchange->fields);
        t_close(exchange);
    }
}

static void test_middleware_may_defer_and_answer_later(void **state) {
    struct t_fixture *fixture = *state;
    struct t_exchange *exchange;

    trace[0] = '\0';
    stop_at = stop_silent = answer_next = '\0';
    defer_at = '2';
    exchange = t_get(fixture->worker, "/");
    assert_string_equal(trace, "b1b2");
    assert_int_equal(exchange->end, T_OPEN);
    assert_int_equal(covet_response_error(&exchange->request.response, 403), 0);
    assert_string_equal(trace, "b1b2a2a1");
    assert_int_equal(exchange->status, 403);
    t_close(exchange);
}

static void test_middleware_does_not_run_after_a_cancelled_request(void **state) {
    struct t_fixture *fixture = *state;
    struct t_exchange *exchange;

    trace[0] = '\0';
    stop_at = stop_silent = answer_next = '\0';
    defer_at = '2';
    exchange = t_get(fixture->worker, "/");
    covet_response_cancel(&exchange->request.response);
    assert_string_equal(trace, "b1b2");
    t_close(exchange);
}

static void refuse_field(struct covet_request *request, struct covet_response *response,
                         void *context) {
    (void)request;
    (void)context;
    covet_response_header(response, "X", "a\r\nb");
}

static int init_refusing(struct covet_app *app) {
    covet_route(app, COVET_GET, "/", handler, NULL);
    return covet_use(app, NULL, refuse_field, NULL);
}

static void test_middleware_field_that_is_refused_makes_a_500(void **state) {
    struct t_fixture fixture;
    struct t_exchange *exchange;

    (void)state;
    trace[0] = '\0';
    stream = false;
    t_open_fixture(&fixture, init_refusing);
    exchange = t_get(fixture.worker, "/");
    assert_int_equal(exchange->status, 500);
    assert_string_equal(exchange->fields, "");
    t_close(exchange);
    t_close_fixture(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_middleware_runs_around_handlers),
        cmocka_unit_test(test_middleware_may_defer_and_answer_later),
        cmocka_unit_test(test_middleware_does_not_run_after_a_cancelled_request),
        cmocka_unit_test(test_middleware_field_that_is_refused_makes_a_500),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
