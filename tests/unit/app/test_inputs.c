#include "recorder.h"

#define IS(span, text) is((span), (text), __LINE__)

// The handler hands its request to the function the route was registered with.
typedef void (*look_fn)(struct covet_request *request);

static look_fn look;

static void handler(struct covet_request *request, struct covet_response *response) {
    look(request);
    covet_response_empty(response);
}

static int init(struct covet_app *app) {
    static char context[] = "context";

    covet_route(app, COVET_ANY_METHOD, "/{one}/{two:int}/{rest...}", handler, context);
    return covet_route(app, COVET_ANY_METHOD, "/{all...}", handler, NULL);
}

static void is(struct covet_span span, const char *text, int line) {
    if (text == NULL) {
        if (span.data != NULL)
            fail_msg("line %d: \"%.*s\", not nothing", line, (int)span.length, span.data);
    } else if (span.data == NULL || span.length != strlen(text) ||
               memcmp(span.data, text, span.length) != 0) {
        fail_msg("line %d: \"%.*s\", not \"%s\"", line, (int)span.length,
                 span.data == NULL ? "" : span.data, text);
    }
}

static void with(look_fn function, const char *line, const char *fields, const char *body) {
    struct t_fixture fixture;
    struct t_exchange *exchange;

    look = function;
    t_open_fixture(&fixture, init);
    exchange = t_run(fixture.worker, line, fields, body);
    assert_int_equal(exchange->status, 204);
    t_close(exchange);
    t_close_fixture(&fixture);
}

static void look_at_line(struct covet_request *request) {
    assert_int_equal(covet_request_method(request), COVET_PATCH);
    IS(covet_request_method_text(request), "PATCH");
    IS(covet_request_path(request), "/a b/-12/x");
    IS(covet_request_path_raw(request), "/a%20b/y/../-12/./x");
    IS(covet_request_query_raw(request), "q=1&r");
    IS(covet_request_authority(request), "a.example");
    assert_int_equal(covet_request_version_minor(request), 1);
    assert_string_equal(covet_request_context(request), "context");
}

static void test_inputs_show_the_request_line(void **state) {
    (void)state;
    with(look_at_line, "PATCH /a%20b/y/../-12/./x?q=1&r", "", "");
}

static void look_at_params(struct covet_request *request) {
    int64_t value = 7;

    IS(covet_request_param(request, "one"), "a b");
    IS(covet_request_param(request, "two"), "-9223372036854775808");
    IS(covet_request_param(request, "rest"), "");
    IS(covet_request_param(request, "on"), NULL);
    assert_int_equal(covet_request_param_int(request, "two", &value), 0);
    assert_true(value == INT64_MIN);
    assert_int_equal(covet_request_param_int(request, "one", &value), -EINVAL);
    assert_int_equal(covet_request_param_int(request, "three", &value), -ENOENT);
    assert_true(value == INT64_MIN);
}

static void look_at_number(struct covet_request *request) {
    int64_t value = 0;

    assert_int_equal(covet_request_param_int(request, "two", &value), 0);
    assert_true(value == -12);
}

static void test_inputs_show_parameters(void **state) {
    (void)state;
    with(look_at_number, "GET /a/-12/", "", "");
    with(look_at_params, "GET /a%20b/-9223372036854775808/", "", "");
}

static void look_at_query(struct covet_request *request) {
    struct covet_span name, value;
    size_t at = 0;

    IS(covet_request_query(request, "a"), "1");
    IS(covet_request_query(request, "b c"), "x y&=");
    IS(covet_request_query(request, "empty"), "");
    IS(covet_request_query(request, "alone"), "");
    IS(covet_request_query(request, "bad"), NULL);
    IS(covet_request_query(request, "missing"), NULL);
    assert_true(covet_request_query_next(request, &at, &name, &value));
    IS(name, "a");
    IS(value, "1");
    assert_true(covet_request_query_next(request, &at, &name, &value));
    IS(name, "b c");
    IS(value, "x y&=");
    assert_true(covet_request_query_next(request, &at, &name, &value));
    IS(name, "a");
    IS(value, "2");
    assert_true(covet_request_query_next(request, &at, &name, &value));
    IS(name, "empty");
    assert_true(covet_request_query_next(request, &at, &name, &value));
    IS(name, "alone");
    assert_false(covet_request_query_next(request, &at, &name, &value));
    assert_false(covet_request_query_next(request, &at, &name, &value));
}

static void test_inputs_decode_the_query(void **state) {
    (void)state;
    with(look_at_query, "GET /?a=1&b+c=x%20y%26%3d&&a=2&bad=%zz&empty=&alone", "", "");
}

static void look_at_no_query(struct covet_request *request) {
    struct covet_span name, value;
    size_t at = 0;

    IS(covet_request_query_raw(request), NULL);
    IS(covet_request_query(request, ""), NULL);
    assert_false(covet_request_query_next(request, &at, &name, &value));
    IS(covet_request_form(request, "a"), NULL);
    IS(covet_request_header(request, "content-type"), NULL);
    IS(covet_request_cookie(request, "a"), NULL);
    assert_true(covet_request_content_length(request) == -1);
    assert_int_equal(covet_request_body(request).length, 0);
    assert_null(covet_request_context(request));
}

static void test_inputs_say_nothing_where_nothing_is(void **state) {
    (void)state;
    with(look_at_no_query, "GET /", "", "");
}

static void look_at_form(struct covet_request *request) {
    struct covet_span name, value;
    size_t at = 0;

    IS(covet_request_form(request, "name"), "J\xc3\xb6rg");
    IS(covet_request_form(request, "x"), "");
    assert_true(covet_request_form_next(request, &at, &name, &value));
    IS(name, "name");
    assert_true(covet_request_form_next(request, &at, &name, &value));
    IS(name, "x");
    assert_false(covet_request_form_next(request, &at, &name, &value));
    assert_true(covet_request_content_length(request) == 14);
    IS(covet_request_body(request), "name=J%C3%B6rg&x=");
}

static void look_at_no_form(struct covet_request *request) {
    IS(covet_request_form(request, "name"), NULL);
}

static void test_inputs_read_forms_of_their_type_only(void **state) {
    (void)state;
    with(
        look_at_form, "POST /",
        "Content-Type: Application/X-WWW-Form-Urlencoded ; charset=utf-8\r\nContent-Length: 14\r\n",
        "name=J%C3%B6rg&x=");
    with(look_at_no_form, "POST /", "Content-Type: text/plain\r\nContent-Length: 6\r\n", "name=1");
    with(look_at_no_form, "POST /", "Content-Length: 6\r\n", "name=1");
}

static void look_at_fields(struct covet_request *request) {
    struct covet_span name, value;

    IS(covet_request_header(request, "x-a"), "1");
    IS(covet_request_header(request, "X-EMPTY"), "");
    IS(covet_request_header(request, "x-"), NULL);
    assert_true(covet_request_header_at(request, 0, &name, &value));
    IS(name, "Host");
    assert_true(covet_request_header_at(request, 2, &name, &value));
    IS(name, "x-A");
    IS(value, "2");
    assert_false(covet_request_header_at(request, 6, &name, &value));
    IS(covet_request_cookie(request, "id"), "a=b");
    IS(covet_request_cookie(request, "ID"), NULL);
    IS(covet_request_cookie(request, "q"), "quoted");
    IS(covet_request_cookie(request, "second"), "yes");
}

static void test_inputs_find_fields_and_cookies(void **state) {
    (void)state;
    with(look_at_fields, "GET /",
         "X-A:  1 \r\nx-A: 2\r\nX-Empty:\r\nCookie: id=a=b; q=\"quoted\"\r\ncookie: second=yes\r\n",
         "");
}

static void test_inputs_show_the_peer(void **state) {
    static const struct {
        struct cv_peer peer;
        const char *text;
    } cases[] = {
        {{CV_PEER_IPV4, 0, 80, {192, 0, 2, 7}}, "192.0.2.7"},
        {{CV_PEER_IPV6, 0, 80, {0x20, 0x01, 0x0d, 0xb8, [15] = 1}}, "2001:db8::1"},
        {{CV_PEER_UNIX, 0, 0, {0}}, "unix"},
        {{CV_PEER_UNKNOWN, 0, 0, {0}}, "unknown"},
    };
    struct t_fixture fixture;

    (void)state;
    t_open_fixture(&fixture, init);
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        struct t_exchange *exchange =
            t_open(fixture.worker, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", NULL);
        struct covet_peer peer;

        exchange->peer = cases[i].peer;
        IS(covet_request_peer_text(&exchange->request), cases[i].text);
        covet_request_peer(&exchange->request, &peer);
        assert_int_equal(peer.family, cases[i].peer.family);
        assert_int_equal(peer.port, cases[i].peer.port);
        assert_memory_equal(peer.address, cases[i].peer.address, 16);
        t_close(exchange);
    }
    t_close_fixture(&fixture);
}

static void look_at_memory(struct covet_request *request) {
    char *copy = covet_request_copy(request, covet_request_header(request, "X-A"));

    assert_string_equal(copy, "value");
    assert_int_equal((uintptr_t)covet_request_alloc(request, 10000) % 16, 0);
    assert_null(covet_request_user_data(request));
    covet_request_set_user_data(request, copy);
    assert_ptr_equal(covet_request_user_data(request), copy);
    assert_ptr_equal(covet_request_response(request), &request->response);
}

static void test_inputs_lend_memory(void **state) {
    (void)state;
    with(look_at_memory, "GET /", "X-A: value\r\n", "");
}

static void test_inputs_follow_a_head_that_moves(void **state) {
    struct t_fixture fixture;
    struct t_exchange *exchange;
    char *moved;

    (void)state;
    t_open_fixture(&fixture, init);
    exchange =
        t_open(fixture.worker, "GET /one/2/three?q=v HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\r\n", NULL);
    moved = strdup(exchange->text);
    cv_request_rebase(&exchange->request, moved);
    memset(exchange->text, '?', strlen(exchange->text));
    IS(covet_request_path(&exchange->request), "/one/2/three");
    IS(covet_request_param(&exchange->request, "rest"), "three");
    IS(covet_request_query(&exchange->request, "q"), "v");
    IS(covet_request_header(&exchange->request, "x-a"), "b");
    t_close(exchange);
    free(moved);

    // A decoded path lies in the request's own memory and does not move.
    exchange = t_open(fixture.worker, "GET /%6fne/2/three HTTP/1.1\r\nHost: a\r\n\r\n", NULL);
    moved = strdup(exchange->text);
    cv_request_rebase(&exchange->request, moved);
    IS(covet_request_param(&exchange->request, "one"), "one");
    IS(covet_request_path(&exchange->request), "/one/2/three");
    t_close(exchange);
    free(moved);
    t_close_fixture(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inputs_show_the_request_line),
        cmocka_unit_test(test_inputs_show_parameters),
        cmocka_unit_test(test_inputs_decode_the_query),
        cmocka_unit_test(test_inputs_say_nothing_where_nothing_is),
        cmocka_unit_test(test_inputs_read_forms_of_their_type_only),
        cmocka_unit_test(test_inputs_find_fields_and_cookies),
        cmocka_unit_test(test_inputs_show_the_peer),
        cmocka_unit_test(test_inputs_lend_memory),
        cmocka_unit_test(test_inputs_follow_a_head_that_moves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
