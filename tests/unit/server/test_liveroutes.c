// Orders at the admin address, and what is said to those that cannot be carried out.
#include "server/liveroutes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/app.h"
#include "http/parser.h"

static struct covet_app *app;

static void handle(struct covet_request *request, struct covet_response *response) {
    (void)request, (void)response;
}

static int set_up(void **state) {
    (void)state;
    app = cv_app_create();
    assert_non_null(app);
    assert_int_equal(covet_route(app, COVET_GET, "/old/{id}", handle, NULL), 0);
    assert_int_equal(covet_handler(app, "plain", handle, NULL), 0);
    assert_int_equal(covet_group_handler(covet_group(app, "/g"), "guarded", handle, NULL), 0);
    return cv_app_seal(app);
}

static int tear_down(void **state) {
    (void)state;
    cv_app_destroy(app);
    return 0;
}

// The status; the text goes to `text`.
static int ask(uint16_t method, const char *query, char *text, size_t room) {
    struct cv_admin_reply reply = {.status = 200};

    cv_liveroutes_answer(app, method, cv_span_of(query), &reply);
    assert_true(reply.body_bytes < room);
    if (reply.body_bytes > 0) {
        memcpy(text, reply.body, reply.body_bytes);
    }
    text[reply.body_bytes] = '\0';
    free(reply.body);
    return reply.status;
}

static void test_liveroutes_are_listed_changed_and_removed(void **state) {
    static const struct {
        uint16_t method;
        const char *query;
        const char *listed;  // Afterwards.
    } cases[] = {
        {CV_METHOD_POST, "method=GET&pattern=%2Fa+b&handler=plain", "GET /a b\nGET /old/{id}\n"},
        {CV_METHOD_POST, "method=GET&method=PUT&pattern=/old/%7Bx%7D&handler=plain",
         "GET /a b\nGET,PUT /old/{x}\n"},
        {CV_METHOD_DELETE, "pattern=/a%20b&method=GET,POST", "GET,PUT /old/{x}\n"},
        {CV_METHOD_DELETE, "pattern=/old/{y}&method=GET", "PUT /old/{x}\n"},
        {CV_METHOD_POST, "method=GET&pattern=/g/1&handler=guarded&mode=add",
         "GET /g/1\nPUT /old/{x}\n"},
    };
    char text[1024];

    (void)state;
    assert_int_equal(ask(CV_METHOD_GET, "", text, sizeof(text)), 200);
    assert_string_equal(text, "GET /old/{id}\n");
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        if (ask(cases[i].method, cases[i].query, text, sizeof(text)) != 200) {
            fail_msg("%s: %s", cases[i].query, text);
        }
        assert_int_equal(ask(CV_METHOD_GET, "", text, sizeof(text)), 200);
        assert_string_equal(text, cases[i].listed);
    }
}

static void test_liveroutes_refuse_with_a_sentence(void **state) {
    static const struct {
        uint16_t method;
        const char *query;
        int status;
        const char *word;
    } cases[] = {
        {CV_METHOD_POST, "", 400, "which method"},
        {CV_METHOD_POST, "method=GET&handler=plain", 400, "which pattern"},
        {CV_METHOD_POST, "method=&pattern=/x&handler=plain", 400, "a method is one of"},
        {CV_METHOD_POST, "method=GET,&pattern=/x&handler=plain", 400, "a method is one of"},
        {CV_METHOD_POST, "method=TRACE&pattern=/x&handler=plain", 400, "a method is one of"},
        {CV_METHOD_POST, "method=GET&pattern=/x", 404, "plain"},
        {CV_METHOD_POST, "method=GET&pattern=/x&handler=other", 404, "\"other\""},
        {CV_METHOD_POST, "method=GET&pattern=/x&handler=guarded", 400, "\"/g\""},
        {CV_METHOD_POST, "method=GET&pattern=/g&handler=guarded", 400, "begins with"},
        {CV_METHOD_POST, "method=GET&pattern=x&handler=plain", 400, "begins with"},
        {CV_METHOD_POST, "method=GET&pattern=/%00&handler=plain", 400, "decoded"},
        {CV_METHOD_POST, "method=GET&pattern=/%4&handler=plain", 400, "decoded"},
        {CV_METHOD_POST, "method=GET&pattern=/x&handler=plain&mode=soon", 400, "mode"},
        {CV_METHOD_POST, "method=GET&pattern=/x&handler=plain&x=y", 400, "known"},
        {CV_METHOD_POST, "method=GET&pattern=/old/{n}&handler=plain&mode=add", 409, "/old/{id}"},
        {CV_METHOD_DELETE, "method=GET&pattern=/x", 404, "\"/x\""},
        {CV_METHOD_DELETE, "method=GET&pattern=/{", 400, "parameter"},
    };
    char text[1024];

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        int status = ask(cases[i].method, cases[i].query, text, sizeof(text));

        if (status != cases[i].status || strstr(text, cases[i].word) == NULL ||
            strchr(text, '\n') == NULL) {
            fail_msg("%s: %d %s", cases[i].query, status, text);
        }
    }
    assert_int_equal(ask(CV_METHOD_GET, "", text, sizeof(text)), 200);
    assert_string_equal(text, "GET /old/{id}\n");
}

static void test_liveroutes_refuse_values_that_are_too_long(void **state) {
    char query[4096] = "method=GET&handler=plain&pattern=/", text[1024];

    (void)state;
    memset(query + strlen(query), 'a', 2000);
    assert_int_equal(ask(CV_METHOD_POST, query, text, sizeof(text)), 400);
    assert_non_null(strstr(text, "too long"));
}

static void test_liveroutes_of_a_drained_server_are_none(void **state) {
    struct cv_admin_reply reply = {.status = 200};
    char text[64];

    (void)state;
    app = NULL;
    assert_int_equal(ask(CV_METHOD_GET, "", text, sizeof(text)), 503);
    assert_string_equal(text, "drained\n");
    assert_int_equal(ask(CV_METHOD_DELETE, "method=GET&pattern=/x", text, sizeof(text)), 503);
    cv_liveroutes_tables(NULL, &reply);
    assert_int_equal(reply.status, 503);
    free(reply.body);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_liveroutes_are_listed_changed_and_removed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_liveroutes_refuse_with_a_sentence, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_liveroutes_refuse_values_that_are_too_long, set_up,
                                        tear_down),
        cmocka_unit_test(test_liveroutes_of_a_drained_server_are_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
