#include "unit/app/recorder.h"

struct point {
    int32_t x;
    int32_t y;
    struct covet_span *tags;
    size_t tag_count;
};

COVET_JSON(point_json, struct point, COVET_JSON_FIELD(struct point, x),
           COVET_JSON_FIELD(struct point, y),
           COVET_JSON_ARRAY(struct point, tags, tag_count, .flags = COVET_JSON_OPTIONAL));

static struct covet_json_field wrong_fields[] = {
    COVET_JSON_FIELD(struct point, x, .key = "y"),
    COVET_JSON_FIELD(struct point, y),
    {.member = NULL},
};
static struct covet_json wrong_json = {
    .fields = wrong_fields, .field_count = 2, .bytes = sizeof(struct point)};

static const struct covet_json *description;
static int result;
static struct point point;

static void read_body(struct covet_request *request, struct covet_response *response) {
    result = covet_request_json(request, description, &point);
    if (result == 0)
        covet_response_text(response, "read");
    else
        assert_int_equal(covet_request_json(request, description, &point), -EALREADY);
}

static int init(struct covet_app *app) {
    return covet_route(app, COVET_POST, "/", read_body, NULL);
}

static int setup(void **state) {
    struct t_fixture *fixture = malloc(sizeof(*fixture));

    assert_non_null(fixture);
    t_open_fixture(fixture, init);
    description = &point_json;
    result = 1;
    *state = fixture;
    return 0;
}

static int teardown(void **state) {
    t_close_fixture(*state);
    free(*state);
    return 0;
}

static struct t_exchange *run(void **state, const char *fields, const char *body) {
    struct t_fixture *fixture = *state;

    return t_run(fixture->worker, "POST /", fields, body);
}

static void check(void **state, const char *fields, const char *body, int error, int status,
                  const char *answer) {
    struct t_exchange *exchange = run(state, fields, body);

    assert_int_equal(result, error);
    assert_int_equal(exchange->status, status);
    assert_string_equal(exchange->body, answer);
    if (error != 0)
        assert_string_equal(exchange->type, "application/json");
    t_close(exchange);
}

#define JSON "Content-Type: application/json\r\n"

static void test_json_body_is_read_into_a_struct(void **state) {
    check(state, JSON, "{\"x\":1,\"y\":-2,\"tags\":[\"a\",\"\\n\"]}", 0, 200, "read");
    assert_true(point.x == 1 && point.y == -2 && point.tag_count == 2);
}

static void test_json_body_is_told_by_its_type(void **state) {
    static const struct {
        const char *fields;
        bool is_json;
    } cases[] = {
        {JSON, true},
        {"content-type: Application/JSON; charset=utf-8\r\n", true},
        {"Content-Type: application/json ;q=1\r\n", true},
        {"Content-Type: application/merge-patch+json\r\n", true},
        {"Content-Type: application/problem+JSON;x=y\r\n", true},
        {"", false},
        {"Content-Type: text/plain\r\n", false},
        {"Content-Type: application/jsonp\r\n", false},
        {"Content-Type: text/json\r\n", false},
        {"Content-Type: +json\r\n", false},
        {"Content-Type: \r\n", false},
        {"Content-Type: text/plain; a=application/json\r\n", false},
    };

    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++)
        check(state, cases[i].fields, "{\"x\":1,\"y\":2}", cases[i].is_json ? 0 : -ENOTSUP,
              cases[i].is_json ? 200 : 415,
              cases[i].is_json
                  ? "read"
                  : "{\"error\":{\"message\":\"the Content-Type must be application/json\"}}");
}

static void test_json_body_that_is_no_json_is_answered_with_400(void **state) {
    check(state, JSON, "", -EBADMSG, 400,
          "{\"error\":{\"message\":\"the text ends too early\",\"offset\":0,\"line\":1,"
          "\"column\":1}}");
    check(state, JSON, "{\"x\":1,\n\"y\":[2,]}", -EBADMSG, 400,
          "{\"error\":{\"message\":\"a value is expected\",\"offset\":15,\"line\":2,\"column\":8,"
          "\"path\":\"y[1]\"}}");
}

static void test_json_body_that_does_not_fit_is_answered_with_422(void **state) {
    check(state, JSON, "{\"x\":1,\"y\":\"2\"}", -EDOM, 422,
          "{\"error\":{\"message\":\"an integer is expected\",\"offset\":11,\"line\":1,"
          "\"column\":12,\"path\":\"y\"}}");
    check(state, JSON, "{\"x\":1}", -EDOM, 422,
          "{\"error\":{\"message\":\"a key is missing\",\"offset\":0,\"line\":1,\"column\":1,"
          "\"path\":\"y\"}}");
}

static void test_json_body_is_refused_by_a_wrong_description(void **state) {
    (void)covet_json_compile(&wrong_json);
    description = &wrong_json;
    check(state, JSON, "{}", -EINVAL, 500,
          "{\"error\":{\"message\":\"the server cannot read this\"}}");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_json_body_is_read_into_a_struct),
        TEST(test_json_body_is_told_by_its_type),
        TEST(test_json_body_that_is_no_json_is_answered_with_400),
        TEST(test_json_body_that_does_not_fit_is_answered_with_422),
        TEST(test_json_body_is_refused_by_a_wrong_description),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
