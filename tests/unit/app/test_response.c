#include "unit/app/acting.h"

static int init(struct covet_app *app) {
    return covet_route(app, COVET_ANY_METHOD & ~COVET_OPTIONS, "/", t_act_handler, NULL);
}

static int setup(void **state) {
    return t_act_setup(state, init);
}

static struct t_exchange *run(void **state, const char *line, t_action action) {
    return t_act_run(state, line, "the body", action);
}

static void say_text(struct covet_request *request, struct covet_response *response) {
    (void)request;
    assert_int_equal(covet_response_text(response, "hi"), 0);
}

static void test_response_sends_text(void **state) {
    struct t_exchange *exchange = run(state, "GET /", say_text);

    assert_int_equal(exchange->status, 200);
    assert_string_equal(exchange->type, "text/plain; charset=utf-8");
    assert_string_equal(exchange->body, "hi");
    assert_string_equal(exchange->fields, "");
    assert_int_equal(exchange->framing, CV_HEAD_LENGTH);
    assert_int_equal(exchange->content_length, 2);
    assert_int_equal(exchange->lifetime, CV_BODY_COPY);
    t_close(exchange);
}

static void test_response_to_head_keeps_the_length(void **state) {
    struct t_exchange *exchange = run(state, "HEAD /", say_text);

    assert_int_equal(exchange->status, 200);
    assert_int_equal(exchange->body_bytes, 0);
    assert_int_equal(exchange->content_length, 2);
    assert_int_equal(exchange->framing, CV_HEAD_LENGTH);
    assert_string_equal(exchange->type, "text/plain; charset=utf-8");
    t_close(exchange);
}

static void say_json(struct covet_request *request, struct covet_response *response) {
    (void)request;
    assert_int_equal(covet_response_status(response, 201), 0);
    assert_int_equal(covet_response_get_status(response), 201);
    assert_int_equal(covet_response_header(response, "X-One", " 1 "), 0);
    assert_int_equal(covet_response_header(response, "x-two", ""), 0);
    assert_int_equal(covet_response_header(response, "X-One", "caf\xc3\xa9\tau lait"), 0);
    assert_int_equal(covet_response_json(response, "{}"), 0);
}

static void test_response_sends_fields_in_order(void **state) {
    struct t_exchange *exchange = run(state, "GET /", say_json);

    assert_int_equal(exchange->status, 201);
    assert_string_equal(exchange->type, "application/json");
    assert_string_equal(exchange->fields, "X-One: 1\r\nx-two: \r\nX-One: caf\xc3\xa9\tau lait\r\n");
    assert_string_equal(exchange->body, "{}");
    t_close(exchange);
}

static void say_bytes(struct covet_request *request, struct covet_response *response) {
    struct covet_span body = covet_request_body(request);

    assert_int_equal(covet_response_header(response, "Content-Type", "image/png"), 0);
    assert_int_equal(covet_response_header(response, "content-type", "image/gif"), 0);
    assert_int_equal(
        covet_response_body(response, "text/plain", body.data, body.length, COVET_REQUEST), 0);
}

static void test_response_has_one_content_type(void **state) {
    struct t_exchange *exchange = run(state, "POST /", say_bytes);

    assert_string_equal(exchange->type, "image/gif");
    assert_string_equal(exchange->fields, "");
    assert_string_equal(exchange->body, "the body");
    assert_int_equal(exchange->lifetime, CV_BODY_REQUEST);
    t_close(exchange);
}

static int status_to_send;

static void say_status(struct covet_request *request, struct covet_response *response) {
    (void)request;
    assert_int_equal(covet_response_status(response, status_to_send), 0);
    assert_int_equal(covet_response_bytes(response, "text/plain", "abc", 3), 0);
}

static void test_response_without_content_loses_the_body(void **state) {
    static const struct {
        int status;
        enum cv_head_body framing;
        uint64_t content_length;
        size_t body_bytes;
        const char *type;
    } cases[] = {
        {200, CV_HEAD_LENGTH, 3, 3, "text/plain"}, {204, CV_HEAD_NONE, 3, 0, ""},
        {205, CV_HEAD_LENGTH, 0, 0, ""},           {304, CV_HEAD_NONE, 3, 0, ""},
        {404, CV_HEAD_LENGTH, 3, 3, "text/plain"}, {599, CV_HEAD_LENGTH, 3, 3, "text/plain"},
    };

    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        status_to_send = cases[i].status;
        struct t_exchange *exchange = run(state, "GET /", say_status);

        assert_int_equal(exchange->status, cases[i].status);
        assert_int_equal(exchange->framing, cases[i].framing);
        if (cases[i].framing == CV_HEAD_LENGTH)
            assert_int_equal(exchange->content_length, cases[i].content_length);
        assert_int_equal(exchange->body_bytes, cases[i].body_bytes);
        assert_string_equal(exchange->type, cases[i].type);
        t_close(exchange);
    }
}

static void misuse(struct covet_request *request, struct covet_response *response) {
    (void)request;
    assert_int_equal(covet_response_status(response, 199), -EINVAL);
    assert_int_equal(covet_response_status(response, 100), -EINVAL);
    assert_int_equal(covet_response_status(response, 600), -EINVAL);
    assert_int_equal(covet_response_status(response, -1), -EINVAL);
    assert_int_equal(covet_response_text(response, NULL), -EINVAL);
    assert_int_equal(covet_response_json(response, NULL), -EINVAL);
    assert_int_equal(covet_response_bytes(response, NULL, NULL, 1), -EINVAL);
    assert_int_equal(covet_response_body(response, NULL, "", 0, (enum covet_lifetime)3), -EINVAL);
    assert_int_equal(covet_response_error(response, 200), -EINVAL);
    assert_int_equal(covet_response_error(response, 600), -EINVAL);
    assert_int_equal(covet_response_redirect(response, 300, "/"), -EINVAL);
    assert_int_equal(covet_response_redirect(response, 304, "/"), -EINVAL);
    assert_int_equal(covet_response_redirect(response, 302, NULL), -EINVAL);
    assert_int_equal(covet_response_header(response, NULL, "x"), -EINVAL);
    assert_int_equal(covet_response_header(response, "x", NULL), -EINVAL);
    assert_int_equal(covet_response_end(response), -EINVAL);
    assert_true(covet_response_write(response, "x", 1) == -EINVAL);
    assert_int_equal(covet_response_text(response, "still fine"), 0);
    // And after the answer everything is too late.
    assert_int_equal(covet_response_text(response, "again"), -EALREADY);
    assert_int_equal(covet_response_error(response, 500), -EALREADY);
    assert_int_equal(covet_response_empty(response), -EALREADY);
    assert_int_equal(covet_response_redirect(response, 302, "/"), -EALREADY);
    assert_int_equal(covet_response_begin(response, NULL, 1), -EALREADY);
    assert_true(covet_response_write(response, "x", 1) == -EALREADY);
    assert_int_equal(covet_response_end(response), -EALREADY);
    assert_int_equal(covet_response_cancel(response), -EALREADY);
    assert_int_equal(covet_response_header(response, "x", "y"), -EALREADY);
    assert_int_equal(covet_response_status(response, 404), -EALREADY);
    assert_int_equal(covet_response_trailer(response, "x", "y"), -EALREADY);
}

static void test_response_refuses_misuse_and_second_answers(void **state) {
    struct t_exchange *exchange = run(state, "GET /", misuse);

    assert_int_equal(exchange->status, 200);
    assert_string_equal(exchange->body, "still fine");
    assert_string_equal(exchange->fields, "");
    t_close(exchange);
}

struct injection {
    const char *name;
    struct covet_span value;
};

static const struct injection *injection;

static void inject(struct covet_request *request, struct covet_response *response) {
    (void)request;
    assert_int_equal(covet_response_header(response, "X-Before", "1"), 0);
    assert_int_equal(covet_response_header_span(response, injection->name, injection->value),
                     -EBADMSG);
    assert_int_equal(covet_response_text(response, "secret"), -EBADMSG);
    assert_int_equal(covet_response_text(response, "secret"), -EALREADY);
}

#define VALUE(literal) \
    { (literal), sizeof(literal) - 1 }

static void test_response_never_sends_an_injected_field(void **state) {
    static char huge[COVET_FIELDS_BYTES_MAX + 1];
    static const struct injection cases[] = {
        {"X-A", VALUE("a\r\nSet-Cookie: b=c")},
        {"X-A", VALUE("a\nb")},
        {"X-A", VALUE("a\rb")},
        {"X-A", VALUE("a\r\n")},
        {"X-A", VALUE("\r\n\r\n<html>")},
        {"X-A", VALUE("a\0b")},
        {"X-A", VALUE("\0")},
        {"X-A", VALUE("a\x7f")},
        {"X-A", VALUE("a\x1b[31m")},
        {"X-A", VALUE("\v")},
        {"", VALUE("a")},
        {"X A", VALUE("a")},
        {"X-A:", VALUE("a")},
        {"X-A\r\nY", VALUE("a")},
        {"X-A ", VALUE("a")},
        {" X-A", VALUE("a")},
        {"X\tA", VALUE("a")},
        {"X(A)", VALUE("a")},
        {"X-\xc3\xa9", VALUE("a")},
        {"Content-Length", VALUE("5")},
        {"content-length", VALUE("5")},
        {"TRANSFER-ENCODING", VALUE("chunked")},
        {"Connection", VALUE("close")},
        {"Date", VALUE("now")},
        {"Content-Type", VALUE("a\r\nb: c")},
        {"Content-Type", VALUE("")},
        {"X-Huge", {huge, sizeof(huge)}},
        {"Content-Type", {huge, sizeof(huge)}},
    };

    memset(huge, 'h', sizeof(huge));
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        injection = &cases[i];
        struct t_exchange *exchange = run(state, "GET /", inject);

        if (exchange->status != 500 || exchange->fields[0] != '\0' ||
            strcmp(exchange->body, "500 Internal Server Error\n") != 0)
            fail_msg("case %zu: %d \"%s\" \"%s\"", i, exchange->status, exchange->fields,
                     exchange->body);
        assert_string_equal(exchange->type, "text/plain");
        t_close(exchange);
    }
}

static void inject_type(struct covet_request *request, struct covet_response *response) {
    (void)request;
    assert_int_equal(covet_response_bytes(response, "text/plain\r\nX: y", "a", 1), -EBADMSG);
}

static void inject_stream_type(struct covet_request *request, struct covet_response *response) {
    (void)request;
    assert_int_equal(covet_response_begin(response, "text/plain\r\nX: y", 1), -EBADMSG);
}

static void inject_location(struct covet_request *request, struct covet_response *response) {
    (void)request;
    assert_int_equal(covet_response_redirect(response, 302, "/\r\nX: y"), -EBADMSG);
}

static void inject_late(struct covet_request *request, struct covet_response *response) {
    (void)request;
    assert_int_equal(covet_response_header(response, "X", "a\nb"), -EBADMSG);
    assert_int_equal(covet_response_redirect(response, 302, "/"), -EBADMSG);
}

static void test_response_never_sends_an_injected_type_or_location(void **state) {
    void (*const actions[])(struct covet_request *, struct covet_response *) = {
        inject_type, inject_stream_type, inject_location, inject_late};

    for (size_t i = 0; i < CV_ARRAY_COUNT(actions); i++) {
        struct t_exchange *exchange = run(state, "GET /", actions[i]);

        assert_int_equal(exchange->end, T_ANSWERED);
        assert_int_equal(exchange->status, 500);
        assert_string_equal(exchange->type, "text/plain");
        assert_string_equal(exchange->fields, "");
        t_close(exchange);
    }
}

static void fill(struct covet_request *request, struct covet_response *response) {
    char value[1000];

    (void)request;
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    // "F: " and CRLF make lines of 1004 bytes: 4 of them are more than the block they start in.
    for (int i = 0; i < 4; i++)
        assert_int_equal(covet_response_header(response, "F", value), 0);
    assert_int_equal(covet_response_text(response, ""), 0);
}

static void test_response_fields_grow(void **state) {
    struct t_exchange *exchange = run(state, "GET /", fill);

    assert_int_equal(strlen(exchange->fields), 4 * 1004);
    for (int i = 0; i < 4; i++)
        assert_memory_equal(exchange->fields + 1004 * i, "F: v", 4);
    t_close(exchange);
}

static void redirect(struct covet_request *request, struct covet_response *response) {
    (void)request;
    assert_int_equal(covet_response_redirect(response, 303, "/there?a=b"), 0);
}

static void test_response_redirects(void **state) {
    struct t_exchange *exchange = run(state, "POST /", redirect);

    assert_int_equal(exchange->status, 303);
    assert_string_equal(exchange->fields, "Location: /there?a=b\r\n");
    assert_int_equal(exchange->content_length, 0);
    t_close(exchange);
}

static void say_nothing(struct covet_request *request, struct covet_response *response) {
    (void)request;
    assert_int_equal(covet_response_empty(response), 0);
}

static void say_error(struct covet_request *request, struct covet_response *response) {
    (void)request;
    assert_int_equal(covet_response_header(response, "Retry-After", "5"), 0);
    assert_int_equal(covet_response_error(response, 503), 0);
}

static void say_odd_error(struct covet_request *request, struct covet_response *response) {
    (void)request;
    assert_int_equal(covet_response_error(response, 499), 0);
}

static void test_response_has_short_forms(void **state) {
    struct t_exchange *exchange = run(state, "GET /", say_nothing);

    assert_int_equal(exchange->status, 204);
    assert_int_equal(exchange->framing, CV_HEAD_NONE);
    t_close(exchange);
    exchange = run(state, "GET /", say_error);
    assert_int_equal(exchange->status, 503);
    assert_string_equal(exchange->body, "503 Service Unavailable\n");
    assert_string_equal(exchange->fields, "Retry-After: 5\r\n");
    t_close(exchange);
    exchange = run(state, "GET /", say_odd_error);
    assert_int_equal(exchange->status, 499);
    assert_memory_equal(exchange->body, "499 ", 4);
    t_close(exchange);
}

static void cancel(struct covet_request *request, struct covet_response *response) {
    (void)request;
    assert_int_equal(covet_response_cancel(response), 0);
    assert_int_equal(covet_response_text(response, "late"), -EALREADY);
}

static void test_response_can_be_cancelled(void **state) {
    struct t_exchange *exchange = run(state, "GET /", cancel);

    assert_int_equal(exchange->end, T_CUT);
    t_close(exchange);
}

struct cookie_case {
    struct covet_cookie cookie;
    const char *line;  // NULL: refused
};

static const struct cookie_case *cookie_case;

static void set_cookie(struct covet_request *request, struct covet_response *response) {
    int expected = cookie_case->line == NULL ? -EBADMSG : 0;

    (void)request;
    assert_int_equal(covet_response_cookie(response, &cookie_case->cookie), expected);
    covet_response_empty(response);
}

static void test_response_sets_cookies(void **state) {
    static const struct cookie_case cases[] = {
        {{.name = "a", .value = "b"}, "Set-Cookie: a=b; SameSite=Lax; HttpOnly\r\n"},
        {{.name = "a", .value = ""}, "Set-Cookie: a=; SameSite=Lax; HttpOnly\r\n"},
        {{.name = "a", .value = "\"q\""}, "Set-Cookie: a=\"q\"; SameSite=Lax; HttpOnly\r\n"},
        {{.name = "a",
          .value = "b",
          .path = "/x",
          .domain = "a.example",
          .max_age_s = INT64_MAX,
          .same_site = COVET_SAME_SITE_NONE,
          .secure = 1,
          .script_access = 1},
         "Set-Cookie: a=b; Path=/x; Domain=a.example; Max-Age=9223372036854775807; SameSite=None; "
         "Secure\r\n"},
        {{.name = "a", .value = "", .max_age_s = -1, .same_site = COVET_SAME_SITE_STRICT},
         "Set-Cookie: a=; Max-Age=0; SameSite=Strict; HttpOnly\r\n"},
        {{.name = "a b", .value = "c"}, NULL},
        {{.name = "", .value = "c"}, NULL},
        {{.name = "a=", .value = "c"}, NULL},
        {{.name = "a", .value = "c; Domain=evil"}, NULL},
        {{.name = "a", .value = "c d"}, NULL},
        {{.name = "a", .value = "c;d"}, NULL},
        {{.name = "a", .value = "c,d"}, NULL},
        {{.name = "a", .value = "c\r\nX: y"}, NULL},
        {{.name = "a", .value = "\"c"}, NULL},
        {{.name = "a", .value = "c\\"}, NULL},
        {{.name = "a", .value = "\xc3\xa9"}, NULL},
        {{.name = "a", .value = "c", .path = "/; Secure"}, NULL},
        {{.name = "a", .value = "c", .domain = "x\ny"}, NULL},
    };

    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        cookie_case = &cases[i];
        struct t_exchange *exchange = run(state, "GET /", set_cookie);

        assert_int_equal(exchange->status, cases[i].line == NULL ? 500 : 204);
        assert_string_equal(exchange->fields, cases[i].line == NULL ? "" : cases[i].line);
        t_close(exchange);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_response_sends_text),
        cmocka_unit_test(test_response_to_head_keeps_the_length),
        cmocka_unit_test(test_response_sends_fields_in_order),
        cmocka_unit_test(test_response_has_one_content_type),
        cmocka_unit_test(test_response_without_content_loses_the_body),
        cmocka_unit_test(test_response_refuses_misuse_and_second_answers),
        cmocka_unit_test(test_response_never_sends_an_injected_field),
        cmocka_unit_test(test_response_never_sends_an_injected_type_or_location),
        cmocka_unit_test(test_response_fields_grow),
        cmocka_unit_test(test_response_redirects),
        cmocka_unit_test(test_response_has_short_forms),
        cmocka_unit_test(test_response_can_be_cancelled),
        cmocka_unit_test(test_response_sets_cookies),
    };

    return cmocka_run_group_tests(tests, setup, t_act_teardown);
}
