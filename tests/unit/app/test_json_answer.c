#include "unit/app/acting.h"

struct point {
    int32_t x;
    double y;
    struct covet_span name;
};

COVET_JSON(point_json, struct point, COVET_JSON_FIELD(struct point, x),
           COVET_JSON_FIELD(struct point, y),
           COVET_JSON_FIELD(struct point, name, .flags = COVET_JSON_OPTIONAL));

static struct covet_json never_compiled;

static const struct covet_json *description;
static struct point point;
static int result;
static int init(struct covet_app *app) {
    return covet_route(app, COVET_GET, "/", t_act_handler, NULL);
}

static int setup(void **state) {
    description = &point_json;
    point = (struct point){1, 2.5, {NULL, 0}};
    result = 1;
    return t_act_setup(state, init);
}

static struct t_exchange *run(void **state, const char *line, t_action action) {
    return t_act_run(state, line, "", action);
}

static void answer_struct(struct covet_request *request, struct covet_response *response) {
    (void)request;
    result = covet_response_json_struct(response, description, &point);
}

static void test_json_answer_sends_a_struct_from_the_requests_memory(void **state) {
    struct t_exchange *exchange = run(state, "GET /", answer_struct);

    assert_int_equal(result, 0);
    assert_int_equal(exchange->status, 200);
    assert_string_equal(exchange->type, "application/json");
    assert_string_equal(exchange->body, "{\"x\":1,\"y\":2.5}");
    assert_int_equal(exchange->lifetime, CV_BODY_REQUEST);
    t_close(exchange);
}

static void test_json_answer_keeps_status_and_loses_the_body_for_head(void **state) {
    struct t_exchange *exchange = run(state, "HEAD /", answer_struct);

    assert_int_equal(exchange->status, 200);
    assert_int_equal(exchange->content_length, 15);
    assert_int_equal(exchange->body_bytes, 0);
    t_close(exchange);
}

static void test_json_answer_grows_beyond_its_first_memory(void **state) {
    char text[5000];

    memset(text, 'x', sizeof(text));
    text[100] = '"';
    point.name = (struct covet_span){text, sizeof(text)};
    struct t_exchange *exchange = run(state, "GET /", answer_struct);

    assert_int_equal(exchange->status, 200);
    assert_int_equal(exchange->body_bytes, strlen("{\"x\":1,\"y\":2.5,\"name\":\"\"}") + 5001);
    t_close(exchange);
}

static void check_failed(struct t_exchange *exchange) {
    assert_int_equal(result, -EBADMSG);
    assert_int_equal(exchange->status, 500);
    assert_string_equal(exchange->body, "500 Internal Server Error\n");
    t_close(exchange);
}

static void test_json_answer_sends_a_500_for_what_has_no_form(void **state) {
    point.y = __builtin_nan("");
    check_failed(run(state, "GET /", answer_struct));
    point.y = 0;
    point.name = (struct covet_span){"\xff", 1};
    check_failed(run(state, "GET /", answer_struct));
    description = &never_compiled;
    check_failed(run(state, "GET /", answer_struct));
}

static void answer_twice(struct covet_request *request, struct covet_response *response) {
    struct covet_json_writer writer;

    covet_response_text(response, "first");
    covet_json_writer_init_request(&writer, request);
    covet_json_write_int(&writer, 1);
    assert_int_equal(covet_response_json_writer(response, &writer), -EALREADY);
    result = covet_response_json_struct(response, description, &point);
}

static void test_json_answer_is_one_answer(void **state) {
    struct t_exchange *exchange = run(state, "GET /", answer_twice);

    assert_int_equal(result, -EALREADY);
    assert_string_equal(exchange->body, "first");
    t_close(exchange);
}

static void answer_calls(struct covet_request *request, struct covet_response *response) {
    struct covet_json_writer writer;

    covet_response_status(response, 201);
    covet_json_writer_init_request(&writer, request);
    covet_json_write_array_begin(&writer);
    for (int i = 0; i < 1000; i++)
        covet_json_write_struct(&writer, &point_json, &point);
    covet_json_write_array_end(&writer);
    result = covet_response_json_writer(response, &writer);
}

static void test_json_answer_sends_what_was_written_by_calls(void **state) {
    struct t_exchange *exchange = run(state, "GET /", answer_calls);

    assert_int_equal(result, 0);
    assert_int_equal(exchange->status, 201);
    assert_string_equal(exchange->type, "application/json");
    assert_int_equal(exchange->body_bytes, 1 + 1000 * 16);
    assert_int_equal(exchange->lifetime, CV_BODY_REQUEST);
    t_close(exchange);
}

static void answer_unfinished(struct covet_request *request, struct covet_response *response) {
    struct covet_json_writer writer;

    covet_json_writer_init_request(&writer, request);
    covet_json_write_array_begin(&writer);
    result = covet_response_json_writer(response, &writer);
}

static void test_json_answer_sends_a_500_for_an_unfinished_text(void **state) {
    check_failed(run(state, "GET /", answer_unfinished));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_json_answer_sends_a_struct_from_the_requests_memory,
                                        setup, t_act_teardown),
        cmocka_unit_test_setup_teardown(test_json_answer_keeps_status_and_loses_the_body_for_head,
                                        setup, t_act_teardown),
        cmocka_unit_test_setup_teardown(test_json_answer_grows_beyond_its_first_memory, setup,
                                        t_act_teardown),
        cmocka_unit_test_setup_teardown(test_json_answer_sends_a_500_for_what_has_no_form, setup,
                                        t_act_teardown),
        cmocka_unit_test_setup_teardown(test_json_answer_is_one_answer, setup, t_act_teardown),
        cmocka_unit_test_setup_teardown(test_json_answer_sends_what_was_written_by_calls, setup,
                                        t_act_teardown),
        cmocka_unit_test_setup_teardown(test_json_answer_sends_a_500_for_an_unfinished_text, setup,
                                        t_act_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
