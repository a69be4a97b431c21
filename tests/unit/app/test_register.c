#include "recorder.h"

static void handler(struct covet_request *request, struct covet_response *response) {
    (void)request;
    covet_response_empty(response);
}

static enum covet_next before(struct covet_request *request, struct covet_response *response,
                              void *context) {
    (void)request;
    (void)response;
    (void)context;
    return COVET_NEXT;
}

static int conflict(struct covet_app *app) {
    struct covet_group *group = covet_group(app, "/api");

    covet_route(app, COVET_GET, "/api/users/{id}", handler, NULL);
    return covet_group_route(group, COVET_ANY_METHOD, "/users/{name}", handler, NULL);
}

static int bad_pattern(struct covet_app *app) {
    return covet_route(app, COVET_GET, "/a{b}", handler, NULL);
}

static int no_slash(struct covet_app *app) {
    return covet_group_route(covet_group(app, "/api"), COVET_GET, "users", handler, NULL);
}

static int no_pattern(struct covet_app *app) {
    return covet_route(app, COVET_GET, NULL, handler, NULL);
}

static int no_handler(struct covet_app *app) {
    return covet_route(app, COVET_GET, "/lonely", NULL, NULL);
}

static int odd_method(struct covet_app *app) {
    return covet_route(app, COVET_GET | 1u << 16, "/odd", handler, NULL);
}

static int bad_prefix(struct covet_app *app) {
    struct covet_group *group = covet_group(app, "/api/");

    assert_null(group);
    assert_null(covet_group_in(group, "/x"));
    assert_int_equal(covet_group_use(group, before, NULL, NULL), -EINVAL);
    return covet_group_route(group, COVET_GET, "/x", handler, NULL);
}

static int bad_group_param(struct covet_app *app) {
    return covet_group_route(covet_group(app, "/{rest...}"), COVET_GET, "/x", handler, NULL);
}

static int no_function(struct covet_app *app) {
    return covet_use(app, NULL, NULL, NULL);
}

static int too_much_middleware(struct covet_app *app) {
    struct covet_group *group = covet_group(app, "/g");

    for (int i = 0; i < 32; i++)
        assert_int_equal(covet_group_use(group, before, NULL, NULL), 0);
    return covet_group_use(group, before, NULL, NULL);
}

static int hook_twice(struct covet_app *app) {
    assert_int_equal(covet_on_worker(app, NULL, NULL, NULL), 0);
    return covet_on_worker(app, NULL, NULL, NULL);
}

static int too_many_hooks(struct covet_app *app) {
    static char key[17];

    for (int i = 0; i < 16; i++)
        assert_int_equal(covet_on_worker(app, NULL, NULL, &key[i]), 0);
    return covet_on_worker(app, NULL, NULL, &key[16]);
}

static int name_twice(struct covet_app *app) {
    assert_int_equal(covet_handler(app, "name", handler, NULL), 0);
    return covet_group_handler(covet_group(app, "/g"), "name", handler, NULL);
}

static int no_name(struct covet_app *app) {
    return covet_handler(app, "", handler, NULL);
}

static int long_name(struct covet_app *app) {
    char name[CV_APP_HANDLER_NAME_BYTES_MAX + 2];

    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(covet_handler(app, name + 1, handler, NULL), 0);
    return covet_handler(app, name, handler, NULL);
}

static int no_function_to_name(struct covet_app *app) {
    return covet_handler(app, "name", NULL, NULL);
}

static void test_register_remembers_the_first_failure(void **state) {
    static const struct {
        int (*init)(struct covet_app *);
        int error;
        const char *words[2];  // In the message.
    } cases[] = {
        {conflict, -EEXIST, {"\"/api/users/{name}\"", "\"/api/users/{id}\""}},
        {bad_pattern, -EINVAL, {"/a{b}", "whole segment"}},
        {no_slash, -EINVAL, {"/apiusers", "begins with '/'"}},
        {no_pattern, -EINVAL, {"route", "begins with '/'"}},
        {no_handler, -EINVAL, {"/lonely", "no handler"}},
        {odd_method, -EINVAL, {"/odd", "methods"}},
        {bad_prefix, -EINVAL, {"group", "/api/"}},
        {bad_group_param, -EINVAL, {"/{rest...}/x", "last segment"}},
        {no_function, -EINVAL, {"middleware", "no function"}},
        {too_much_middleware, -ENOSPC, {"/g", "32"}},
        {hook_twice, -EEXIST, {"hooks", "same context"}},
        {too_many_hooks, -ENOSPC, {"hooks", "16"}},
        {name_twice, -EEXIST, {"\"name\"", "there is one"}},
        {no_name, -EINVAL, {"handler", "1 to 63"}},
        {long_name, -EINVAL, {"nnnn", "1 to 63"}},
        {no_function_to_name, -EINVAL, {"\"name\"", "no function"}},
    };

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        struct covet_app *app = cv_app_create();

        assert_int_equal(cases[i].init(app), cases[i].error);
        // A later failure, and a later success, change nothing.
        assert_int_equal(covet_route(app, COVET_GET, "other", handler, NULL), -EINVAL);
        assert_int_equal(covet_route(app, COVET_GET, "/fine", handler, NULL), 0);
        assert_int_equal(cv_app_seal(app), cases[i].error);
        for (int word = 0; word < 2; word++)
            if (strstr(cv_app_error(app), cases[i].words[word]) == NULL)
                fail_msg("case %zu: \"%s\"", i, cv_app_error(app));
        cv_app_destroy(app);
    }
}

static int too_deep(struct covet_app *app) {
    struct covet_group *group = covet_group(app, "");

    for (int depth = 0; depth < 8; depth++) {
        for (int i = 0; i < 32; i++)
            assert_int_equal(covet_group_use(group, before, NULL, NULL), 0);
        group = covet_group_in(group, "/d");
    }
    return 0;
}

static void test_register_limits_the_depth_of_middleware(void **state) {
    struct covet_app *app = cv_app_create();

    (void)state;
    assert_int_equal(too_deep(app), 0);
    assert_int_equal(cv_app_seal(app), -ENOSPC);
    assert_non_null(strstr(cv_app_error(app), "levels"));
    cv_app_destroy(app);
}

static void test_register_is_over_when_sealed(void **state) {
    struct covet_app *app = cv_app_create();
    struct covet_group *group = covet_group(app, "/g");

    (void)state;
    assert_int_equal(cv_app_seal(app), 0);
    assert_int_equal(cv_app_seal(app), 0);
    assert_string_equal(cv_app_error(app), "");
    assert_int_equal(covet_use(app, before, NULL, NULL), -EPERM);
    assert_int_equal(covet_group_use(group, before, NULL, NULL), -EPERM);
    assert_int_equal(covet_on_worker(app, NULL, NULL, NULL), -EPERM);
    assert_null(covet_group(app, "/h"));
    assert_int_equal(covet_handler(app, "h", handler, NULL), -EPERM);
    assert_int_equal(covet_group_handler(group, "h", handler, NULL), -EPERM);
    cv_app_destroy(app);
}

static const struct cv_route *route_of(struct covet_app *app, uint16_t method, const char *path) {
    struct cv_match match;

    cv_router_match(atomic_load(&app->routes.current), method, cv_span_of(path), &match);
    return match.route;
}

static void test_register_changes_routes_of_a_sealed_application(void **state) {
    struct covet_app *app = cv_app_create();
    struct covet_group *group = covet_group(app, "/g");
    char why[128] = "";
    int context;
    struct covet_route_options options = {.group = group,
                                          .methods = COVET_GET,
                                          .pattern = "/{name}",
                                          .handler = handler,
                                          .context = &context,
                                          .why = why,
                                          .why_bytes = sizeof(why)};

    (void)state;
    assert_int_equal(covet_use(app, before, NULL, NULL), 0);
    assert_int_equal(covet_group_use(group, before, NULL, NULL), 0);
    assert_int_equal(cv_app_seal(app), 0);
    assert_int_equal(covet_route(app, COVET_GET, "/", handler, NULL), 0);
    assert_int_equal(route_of(app, COVET_GET, "/")->group->chain.count, 1);
    assert_int_equal(covet_group_route(group, COVET_GET, "/{id}", handler, NULL), 0);
    assert_int_equal(route_of(app, COVET_GET, "/g/7")->group->chain.count, 2);
    // A mistake is told to the caller and to nobody else.
    assert_int_equal(covet_route_with(app, &options), -EEXIST);
    assert_non_null(strstr(why, "\"/g/{name}\""));
    assert_non_null(strstr(why, "\"/g/{id}\""));
    why[0] = '\0';
    options.why_bytes = 0;
    assert_int_equal(covet_route_with(app, &options), -EEXIST);
    assert_string_equal(why, "");
    assert_int_equal(covet_route(app, COVET_GET, "bad", handler, NULL), -EINVAL);
    assert_string_equal(cv_app_error(app), "");
    assert_int_equal(covet_route_replace(app, &options), 0);
    assert_ptr_equal(route_of(app, COVET_GET, "/g/7")->context, &context);
    assert_int_equal(route_of(app, COVET_GET, "/g/7")->group->chain.count, 2);
    assert_int_equal(covet_route_remove(app, COVET_GET, "/{x}"), -ENOENT);
    assert_int_equal(covet_route_remove(app, COVET_GET, NULL), -EINVAL);
    assert_int_equal(covet_route_remove(app, COVET_CONNECT, "/g/{x}"), -ENOENT);
    assert_int_equal(covet_route_remove(app, COVET_ANY_METHOD, "/g/{x}"), 0);
    assert_null(route_of(app, COVET_GET, "/g/7"));
    cv_app_destroy(app);
}

// A thread that covet_module_init has started may be in the middle of covet_route when the
// application is sealed.
static struct covet_app *seal_meanwhile;

int __real_cv_routes_add(struct cv_routes *routes, struct cv_route *route, enum cv_routes_mode mode,
                         char *error, size_t error_bytes);

int __wrap_cv_routes_add(struct cv_routes *routes, struct cv_route *route, enum cv_routes_mode mode,
                         char *error, size_t error_bytes) {
    if (seal_meanwhile != NULL)
        assert_int_equal(cv_app_seal(seal_meanwhile), 0);
    return __real_cv_routes_add(routes, route, mode, error, error_bytes);
}

static enum covet_next deny(struct covet_request *request, struct covet_response *response,
                            void *context) {
    (void)request, (void)context;
    covet_response_text(response, "denied");
    return COVET_STOP;
}

static int init_meanwhile(struct covet_app *app) {
    covet_use(app, deny, NULL, NULL);
    seal_meanwhile = app;
    int result = covet_route(app, COVET_GET, "/secret", handler, NULL);
    seal_meanwhile = NULL;
    return result;
}

static void test_register_puts_middleware_around_a_route_added_while_sealing(void **state) {
    struct t_fixture fixture;
    struct t_exchange *exchange;

    (void)state;
    t_open_fixture(&fixture, init_meanwhile);
    exchange = t_get(fixture.worker, "/secret");
    assert_string_equal(exchange->body, "denied");
    t_close(exchange);
    t_close_fixture(&fixture);
}

static void test_register_knows_handlers_by_name(void **state) {
    struct covet_app *app = cv_app_create();
    int context;

    (void)state;
    assert_int_equal(covet_handler(app, "one", handler, &context), 0);
    assert_int_equal(covet_group_handler(NULL, "two", handler, NULL), -EINVAL);
    assert_int_equal(cv_app_seal(app), 0);
    assert_ptr_equal(cv_app_find_handler(app, CV_SPAN("one"))->context, &context);
    assert_null(cv_app_find_handler(app, CV_SPAN("on")));
    assert_null(cv_app_find_handler(app, CV_SPAN("")));
    cv_app_destroy(app);
}

static void test_register_refuses_the_group_of_another_application(void **state) {
    struct covet_app *app = cv_app_create(), *other = cv_app_create();
    struct covet_route_options options = {.group = covet_group(other, "/g"),
                                          .methods = COVET_GET,
                                          .pattern = "/",
                                          .handler = handler};

    (void)state;
    assert_int_equal(covet_route_with(app, &options), -EINVAL);
    cv_app_destroy(app);
    cv_app_destroy(other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_register_remembers_the_first_failure),
        cmocka_unit_test(test_register_limits_the_depth_of_middleware),
        cmocka_unit_test(test_register_is_over_when_sealed),
        cmocka_unit_test(test_register_changes_routes_of_a_sealed_application),
        cmocka_unit_test(test_register_puts_middleware_around_a_route_added_while_sealing),
        cmocka_unit_test(test_register_knows_handlers_by_name),
        cmocka_unit_test(test_register_refuses_the_group_of_another_application),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
