#include "unit/app/acting.h"

static int init(struct covet_app *app) {
    return covet_route(app, COVET_GET, "/", t_act_handler, NULL);
}

static bool has_no_memory;

char *__real_cv_arena_copy(struct cv_arena *arena, struct cv_span span);
char *__wrap_cv_arena_copy(struct cv_arena *arena, struct cv_span span);
char *__wrap_cv_arena_copy(struct cv_arena *arena, struct cv_span span) {
    return has_no_memory ? NULL : __real_cv_arena_copy(arena, span);
}

static int setup(void **state) {
    return t_act_setup(state, init);
}

static struct t_exchange *run(void **state, const char *line, t_action action) {
    return t_act_run(state, line, "", action);
}

static void begin_chunked(struct covet_request *request, struct covet_response *response) {
    (void)request;
    assert_int_equal(covet_response_header(response, "X-A", "1"), 0);
    assert_int_equal(covet_response_trailer(response, "X-Sum", " 42 "), 0);
    assert_int_equal(covet_response_begin(response, "text/csv", COVET_LENGTH_UNKNOWN), 0);
    assert_int_equal(covet_response_header(response, "X-B", "1"), -EALREADY);
    assert_int_equal(covet_response_text(response, "no"), -EALREADY);
    assert_true(covet_response_write(response, "one,", 4) == 0);
}

static void test_stream_goes_on_after_the_handler(void **state) {
    struct t_exchange *exchange = run(state, "GET /", begin_chunked);
    struct covet_response *response = &exchange->request.response;

    assert_int_equal(exchange->end, T_STREAMING);
    assert_int_equal(exchange->framing, CV_HEAD_CHUNKED);
    assert_string_equal(exchange->type, "text/csv");
    assert_string_equal(exchange->fields, "X-A: 1\r\n");
    exchange->queued = 17;
    assert_true(covet_response_write(response, "two", 3) == 17);
    assert_true(covet_response_write(response, NULL, 0) == 17);
    assert_int_equal(covet_response_trailer(response, "X-More", "x"), 0);
    assert_int_equal(covet_response_end(response), 0);
    assert_int_equal(exchange->end, T_ENDED);
    assert_string_equal(exchange->body, "one,two");
    assert_string_equal(exchange->trailers, "X-Sum: 42\r\nX-More: x\r\n");
    t_close(exchange);
}

static void bad_trailers(struct covet_request *request, struct covet_response *response) {
    static const char *const names[] = {"Content-Length",
                                        "transfer-encoding",
                                        "Host",
                                        "Set-Cookie",
                                        "Content-Type",
                                        "Authorization",
                                        "Trailer",
                                        "X A",
                                        "X:",
                                        "Cache-Control",
                                        "Connection",
                                        ""};

    (void)request;
    for (size_t i = 0; i < CV_ARRAY_COUNT(names); i++)
        assert_int_equal(covet_response_trailer(response, names[i], "x"), -EBADMSG);
    assert_int_equal(covet_response_trailer(response, "X", "a\r\nb: c"), -EBADMSG);
    assert_int_equal(covet_response_begin(response, NULL, COVET_LENGTH_UNKNOWN), 0);
    assert_int_equal(covet_response_end(response), 0);
}

static void test_stream_refuses_trailers_that_steer(void **state) {
    struct t_exchange *exchange = run(state, "GET /", bad_trailers);

    assert_int_equal(exchange->end, T_ENDED);
    assert_int_equal(exchange->status, 200);
    assert_string_equal(exchange->trailers, "");
    t_close(exchange);
}

static void exact_length(struct covet_request *request, struct covet_response *response) {
    (void)request;
    assert_int_equal(covet_response_begin(response, NULL, 5), 0);
    assert_true(covet_response_write(response, "abc", 3) == 0);
    assert_true(covet_response_write(response, "def", 3) == -EMSGSIZE);
    assert_true(covet_response_write(response, "de", 2) == 0);
    assert_true(covet_response_write(response, "f", 1) == -EMSGSIZE);
    assert_int_equal(covet_response_end(response), 0);
}

static void test_stream_keeps_to_the_length_announced(void **state) {
    struct t_exchange *exchange = run(state, "GET /", exact_length);

    assert_int_equal(exchange->end, T_ENDED);
    assert_int_equal(exchange->framing, CV_HEAD_LENGTH);
    assert_int_equal(exchange->content_length, 5);
    assert_string_equal(exchange->body, "abcde");
    t_close(exchange);
}

static void short_length(struct covet_request *request, struct covet_response *response) {
    (void)request;
    assert_int_equal(covet_response_begin(response, NULL, 5), 0);
    assert_true(covet_response_write(response, "abcd", 4) == 0);
    assert_int_equal(covet_response_end(response), -EPROTO);
}

static void test_stream_that_is_short_cuts_the_connection(void **state) {
    struct t_exchange *exchange = run(state, "GET /", short_length);

    assert_int_equal(exchange->end, T_CUT);
    t_close(exchange);
}

static void test_stream_to_head_is_one_answer_at_the_end(void **state) {
    struct t_exchange *exchange = run(state, "HEAD /", exact_length);

    assert_int_equal(exchange->end, T_ANSWERED);
    assert_int_equal(exchange->framing, CV_HEAD_LENGTH);
    assert_int_equal(exchange->content_length, 5);
    assert_int_equal(exchange->body_bytes, 0);
    t_close(exchange);

    exchange = run(state, "HEAD /", begin_chunked);
    assert_int_equal(exchange->end, T_OPEN);
    assert_true(covet_response_write(&exchange->request.response, "more", 4) == 0);
    assert_int_equal(covet_response_end(&exchange->request.response), 0);
    assert_int_equal(exchange->end, T_ANSWERED);
    assert_int_equal(exchange->framing, CV_HEAD_NONE);
    assert_string_equal(exchange->type, "text/csv");
    assert_string_equal(exchange->fields, "X-A: 1\r\n");
    t_close(exchange);
}

static void begin_without_memory(struct covet_request *request, struct covet_response *response) {
    (void)request;
    has_no_memory = true;
    assert_int_equal(covet_response_begin(response, "text/csv", COVET_LENGTH_UNKNOWN), -EBADMSG);
    has_no_memory = false;
}

// GET's answer has a type, so HEAD's must, or say that it failed.
static void test_stream_to_head_without_memory_for_its_type_is_refused(void **state) {
    struct t_exchange *exchange = run(state, "HEAD /", begin_without_memory);

    assert_int_equal(exchange->end, T_ANSWERED);
    assert_int_equal(exchange->status, 500);
    assert_int_equal(exchange->body_bytes, 0);
    t_close(exchange);
}

static void no_content(struct covet_request *request, struct covet_response *response) {
    (void)request;
    assert_int_equal(covet_response_status(response, 204), 0);
    assert_int_equal(covet_response_begin(response, "text/plain", COVET_LENGTH_UNKNOWN), 0);
    assert_true(covet_response_write(response, "lost", 4) == 0);
    assert_int_equal(covet_response_end(response), 0);
}

static void test_stream_of_204_has_no_body(void **state) {
    struct t_exchange *exchange = run(state, "GET /", no_content);

    assert_int_equal(exchange->end, T_ANSWERED);
    assert_int_equal(exchange->status, 204);
    assert_int_equal(exchange->framing, CV_HEAD_NONE);
    assert_int_equal(exchange->body_bytes, 0);
    assert_string_equal(exchange->type, "");
    t_close(exchange);
}

static int drains;

static void on_drain(struct covet_request *request, struct covet_response *response,
                     void *context) {
    assert_ptr_equal(&request->response, response);
    assert_ptr_equal(context, &drains);
    drains++;
}

static void begin_with_drain(struct covet_request *request, struct covet_response *response) {
    (void)request;
    covet_response_on_drain(response, on_drain, &drains);
    assert_int_equal(covet_response_begin(response, NULL, COVET_LENGTH_UNKNOWN), 0);
}

static void test_stream_stops_at_the_end_of_the_queue(void **state) {
    struct t_exchange *exchange = run(state, "GET /", begin_with_drain);
    struct covet_response *response = &exchange->request.response;

    drains = 0;
    exchange->queued = COVET_QUEUE_BYTES_MAX + 1;
    assert_true(covet_response_write(response, "a", 1) == COVET_QUEUE_BYTES_MAX + 1);
    assert_true(covet_response_write(response, "b", 1) == -EAGAIN);
    assert_string_equal(exchange->body, "a");
    exchange->queued = 100;
    cv_request_drained(&exchange->request);
    assert_int_equal(drains, 1);
    assert_true(covet_response_write(response, "c", 1) == 100);
    assert_string_equal(exchange->body, "ac");
    assert_int_equal(covet_response_end(response), 0);
    cv_request_drained(&exchange->request);
    assert_int_equal(drains, 1);
    t_close(exchange);
}

static void test_stream_tells_through_on_drain_that_the_client_left(void **state) {
    struct t_exchange *exchange = run(state, "GET /", begin_with_drain);
    struct covet_response *response = &exchange->request.response;

    drains = 0;
    cv_request_aborted(&exchange->request);
    cv_request_aborted(&exchange->request);
    cv_request_drained(&exchange->request);
    assert_int_equal(drains, 1);
    assert_true(covet_response_write(response, "a", 1) == -ECONNRESET);
    assert_int_equal(exchange->body_bytes, 0);
    assert_int_equal(covet_response_end(response), -ECONNRESET);
    assert_int_equal(exchange->end, T_ENDED);
    t_close(exchange);
}

static int aborts;

static void cancel_on_abort(struct covet_request *request, void *context) {
    (void)context;
    aborts++;
    assert_true(covet_request_aborted(request));
    assert_int_equal(covet_response_cancel(covet_request_response(request)), -ECONNRESET);
}

static void begin_with_abort(struct covet_request *request, struct covet_response *response) {
    covet_request_on_abort(request, cancel_on_abort, NULL);
    assert_int_equal(covet_response_begin(response, NULL, COVET_LENGTH_UNKNOWN), 0);
}

static void test_stream_whose_write_finds_the_client_gone_is_told_later(void **state) {
    struct t_fixture *fixture = *state;
    struct t_exchange *exchange = run(state, "GET /", begin_with_abort);

    aborts = 0;
    exchange->reset_on_write = true;
    exchange->deinit_on_finish = true;
    // Inside the call the request must stay, so the notice waits for the loop.
    assert_true(covet_response_write(&exchange->request.response, "a", 1) == -ECONNRESET);
    assert_int_equal(aborts, 0);
    t_host_advance(&fixture->hosts[0], 1);
    assert_int_equal(aborts, 1);
    assert_int_equal(exchange->end, T_CUT);
    t_close(exchange);

    // Finished before the loop came to it, there is no notice.
    exchange = run(state, "GET /", begin_with_abort);
    exchange->reset_on_write = true;
    exchange->deinit_on_finish = true;
    assert_true(covet_response_write(&exchange->request.response, "a", 1) == -ECONNRESET);
    assert_int_equal(covet_response_cancel(&exchange->request.response), -ECONNRESET);
    t_host_advance(&fixture->hosts[0], 1);
    assert_int_equal(aborts, 1);
    t_close(exchange);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream_goes_on_after_the_handler),
        cmocka_unit_test(test_stream_refuses_trailers_that_steer),
        cmocka_unit_test(test_stream_keeps_to_the_length_announced),
        cmocka_unit_test(test_stream_that_is_short_cuts_the_connection),
        cmocka_unit_test(test_stream_to_head_is_one_answer_at_the_end),
        cmocka_unit_test(test_stream_to_head_without_memory_for_its_type_is_refused),
        cmocka_unit_test(test_stream_of_204_has_no_body),
        cmocka_unit_test(test_stream_stops_at_the_end_of_the_queue),
        cmocka_unit_test(test_stream_tells_through_on_drain_that_the_client_left),
        cmocka_unit_test(test_stream_whose_write_finds_the_client_gone_is_told_later),
    };

    return cmocka_run_group_tests(tests, setup, t_act_teardown);
}
