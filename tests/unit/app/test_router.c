#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "app/routes.h"
#include "base/compiler.h"
#include "http/parser.h"
#include "support/guard.h"
#include "support/naive_router.h"

#define ERROR_BYTES 512u

static void handle(struct covet_request *request, struct covet_response *response) {
    (void)request, (void)response;
}

static struct cv_span path_of(const char *text) {
    return cv_span_of(text);
}

static int add(struct cv_routes *routes, const char *pattern, unsigned methods, char *error) {
    struct covet_route_options options = {
        .methods = methods, .pattern = pattern, .handler = handle};
    struct cv_route *route;
    int result = cv_routes_make(&route, "", &options, error, ERROR_BYTES);

    return result == 0 ? cv_routes_add(routes, route, CV_ROUTES_ADD, error, ERROR_BYTES) : result;
}

static const struct cv_router *published(struct cv_routes *routes) {
    assert_int_equal(cv_routes_publish(routes), 0);
    return atomic_load(&routes->current);
}

static const char *const patterns[] = {
    "/",
    "/users",
    "/users/",
    "/users/me",
    "/users/{id:int}",
    "/users/{name}",
    "/users/{name}/posts",
    "/users/{id:int}/posts/{post}/comments",
    "/users/me/{rest...}",
    "/files/{path...}",
    "/a/{x}/c/d",
    "/a/b/{y}/e",
    "/a/{z...}",
    "/mixed/{a:int}/{b}/{c...}",
};

struct match_case {
    const char *name;
    const char *path;
    const char *pattern;  // NULL: not found
    const char *params;   // name=value, joined with ' '
};

static const struct match_case match_cases[] = {
    {"root", "/", "/", ""},
    {"plain text", "/users", "/users", ""},
    {"the slash at the end counts", "/users/", "/users/", ""},
    {"text before parameters", "/users/me", "/users/me", ""},
    {"int before name", "/users/42", "/users/{id:int}", "id=42"},
    {"negative int", "/users/-42", "/users/{id:int}", "id=-42"},
    {"leading zeros are digits", "/users/007", "/users/{id:int}", "id=007"},
    {"largest int", "/users/9223372036854775807", "/users/{id:int}", "id=9223372036854775807"},
    {"one above it is a name", "/users/9223372036854775808", "/users/{name}",
     "name=9223372036854775808"},
    {"smallest int", "/users/-9223372036854775808", "/users/{id:int}", "id=-9223372036854775808"},
    {"one below it is a name", "/users/-9223372036854775809", "/users/{name}",
     "name=-9223372036854775809"},
    {"twenty digits are a name", "/users/00000000000000000001", "/users/{name}",
     "name=00000000000000000001"},
    {"a sign alone is a name", "/users/-", "/users/{name}", "name=-"},
    {"a plus is no sign", "/users/+1", "/users/{name}", "name=+1"},
    {"a space is no digit", "/users/1 ", "/users/{name}", "name=1 "},
    {"case counts", "/users/ME", "/users/{name}", "name=ME"},
    {"back from text to name", "/users/mee/posts", "/users/{name}/posts", "name=mee"},
    {"back from int to name", "/users/42/posts", "/users/{name}/posts", "name=42"},
    {"below int", "/users/42/posts/7/comments", "/users/{id:int}/posts/{post}/comments",
     "id=42 post=7"},
    {"no way below name", "/users/bob/posts/7/comments", NULL, ""},
    {"rest below text", "/users/me/x/y", "/users/me/{rest...}", "rest=x/y"},
    {"rest wins by its text prefix", "/users/me/posts", "/users/me/{rest...}", "rest=posts"},
    {"rest with slashes", "/files/a/b//c/", "/files/{path...}", "path=a/b//c/"},
    {"rest may be empty", "/files/", "/files/{path...}", "path="},
    {"but its slash may not be missing", "/files", NULL, ""},
    {"text first", "/a/b/c/e", "/a/b/{y}/e", "y=c"},
    {"back out of text", "/a/b/c/d", "/a/{x}/c/d", "x=b"},
    {"back out of everything", "/a/b/c/f", "/a/{z...}", "z=b/c/f"},
    {"a name is not empty", "/a//c/d", "/a/{z...}", "z=/c/d"},
    {"three kinds", "/mixed/1/2/3/4", "/mixed/{a:int}/{b}/{c...}", "a=1 b=2 c=3/4"},
    {"missing segment", "/mixed/1", NULL, ""},
    {"an empty segment is no name", "/users//posts", NULL, ""},
    {"unknown", "/nothing", NULL, ""},
    {"empty path", "", NULL, ""},
    {"no slash at the start", "users", NULL, ""},
    {"asterisk", "*", NULL, ""},
    {"double slash at the start", "//users", NULL, ""},
};

static void show_params(const struct cv_match *match, char *out, size_t room) {
    size_t at = 0;

    out[0] = '\0';
    for (uint32_t i = 0; i < match->param_count; i++)
        at += (size_t)snprintf(out + at, room - at, "%s%.*s=%.*s", i == 0 ? "" : " ",
                               (int)match->route->param_name[i].length,
                               match->route->param_name[i].data, (int)match->param[i].length,
                               match->param[i].data);
}

static void check_matches(const struct cv_router *router) {
    char params[256];

    for (size_t i = 0; i < CV_ARRAY_COUNT(match_cases); i++) {
        const struct match_case *row = &match_cases[i];
        struct cv_match match;
        enum cv_router_result result =
            cv_router_match(router, CV_METHOD_GET, path_of(row->path), &match);

        if ((result == CV_ROUTER_FOUND) != (row->pattern != NULL))
            fail_msg("%s: result %d", row->name, result);
        if (row->pattern == NULL) {
            assert_int_equal(result, CV_ROUTER_NOT_FOUND);
            assert_null(match.route);
            continue;
        }
        show_params(&match, params, sizeof(params));
        if (strcmp(match.route->pattern, row->pattern) != 0 || strcmp(params, row->params) != 0)
            fail_msg("%s: %s with \"%s\"", row->name, match.route->pattern, params);
    }
}

static void test_router_finds_the_best_route(void **state) {
    (void)state;
    // The order of registration must not matter.
    for (int backwards = 0; backwards < 2; backwards++) {
        struct cv_routes routes;
        char error[ERROR_BYTES];

        assert_int_equal(cv_routes_init(&routes), 0);
        for (size_t i = 0; i < CV_ARRAY_COUNT(patterns); i++) {
            size_t at = backwards ? CV_ARRAY_COUNT(patterns) - 1 - i : i;

            assert_int_equal(add(&routes, patterns[at], COVET_GET, error), 0);
        }
        check_matches(published(&routes));
        cv_routes_deinit(&routes);
    }
}

static void test_router_without_routes_finds_nothing(void **state) {
    struct cv_routes routes;
    struct cv_match match;

    (void)state;
    assert_int_equal(cv_routes_init(&routes), 0);
    const struct cv_router *router = published(&routes);
    for (const char *const *path = (const char *const[]){"/", "/a", "", "/0123456789abcdef", NULL};
         *path != NULL; path++)
        assert_int_equal(cv_router_match(router, CV_METHOD_GET, path_of(*path), &match),
                         CV_ROUTER_NOT_FOUND);
    assert_int_equal(cv_router_methods(router), 0);
    cv_routes_deinit(&routes);
}

struct method_case {
    uint16_t method;
    const char *path;
    const char *pattern;  // NULL: not allowed
    const char *allow;
};

static void test_router_knows_which_methods_a_path_has(void **state) {
    static const struct method_case cases[] = {
        {CV_METHOD_GET, "/x", "/x", ""},
        {CV_METHOD_HEAD, "/x", "/x", ""},
        {CV_METHOD_POST, "/x", "/x", ""},
        {CV_METHOD_DELETE, "/x", NULL, "GET, HEAD, POST, PUT, OPTIONS"},
        {CV_METHOD_OTHER, "/x", NULL, "GET, HEAD, POST, PUT, OPTIONS"},
        {CV_METHOD_TRACE, "/x", NULL, "GET, HEAD, POST, PUT, OPTIONS"},
        // A name route takes what the text route does not, and both are in Allow.
        {CV_METHOD_PUT, "/x", "/{any}", ""},
        {CV_METHOD_PUT, "/y", "/{any}", ""},
        {CV_METHOD_PATCH, "/x", NULL, "GET, HEAD, POST, PUT, OPTIONS"},
        {CV_METHOD_GET, "/y", NULL, "PUT, OPTIONS"},
        {CV_METHOD_HEAD, "/y", NULL, "PUT, OPTIONS"},
        {CV_METHOD_HEAD, "/head/", "/head/", ""},
        {CV_METHOD_OPTIONS, "/own/x", "/own/x", ""},
    };
    char error[ERROR_BYTES], text[CV_ROUTER_ALLOW_BYTES_MAX];
    struct cv_routes routes;

    (void)state;
    assert_int_equal(cv_routes_init(&routes), 0);
    assert_int_equal(add(&routes, "/x", COVET_GET, error), 0);
    assert_int_equal(add(&routes, "/x", COVET_POST, error), 0);
    assert_int_equal(add(&routes, "/{any}", COVET_PUT, error), 0);
    assert_int_equal(add(&routes, "/head/", COVET_GET, error), 0);
    assert_int_equal(add(&routes, "/head/", COVET_HEAD, error), 0);
    assert_int_equal(add(&routes, "/own/x", COVET_OPTIONS, error), 0);
    const struct cv_router *router = published(&routes);
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        const struct method_case *row = &cases[i];
        struct cv_match match;
        enum cv_router_result result =
            cv_router_match(router, row->method, path_of(row->path), &match);
        struct cv_span allow = cv_router_allow_text(match.allowed, text);

        if (row->pattern != NULL) {
            assert_int_equal(result, CV_ROUTER_FOUND);
            assert_string_equal(match.route->pattern, row->pattern);
            continue;
        }
        assert_int_equal(result, CV_ROUTER_METHOD_NOT_ALLOWED);
        assert_true(cv_span_equal(allow, cv_span_of(row->allow)));
    }
    struct cv_match match;
    assert_int_equal(cv_router_match(router, CV_METHOD_HEAD, path_of("/head/"), &match),
                     CV_ROUTER_FOUND);
    assert_int_equal(match.route->methods, COVET_HEAD);
    assert_true(cv_span_equal(cv_router_allow_text(cv_router_methods(router), text),
                              cv_span_of("GET, HEAD, POST, PUT, OPTIONS")));
    assert_true(cv_span_equal(cv_router_allow_text(0x7f, text),
                              cv_span_of("GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH")));
    cv_routes_deinit(&routes);
}

static void test_router_names_both_routes_of_a_conflict(void **state) {
    static const struct {
        const char *first, *second;
        unsigned first_methods, second_methods;
        int result;
    } cases[] = {
        {"/a", "/a", COVET_GET, COVET_GET, -EEXIST},
        {"/a", "/a", COVET_GET, COVET_POST, 0},
        {"/a", "/a", COVET_GET | COVET_PUT, COVET_POST | COVET_PUT, -EEXIST},
        {"/a", "/a/", COVET_GET, COVET_GET, 0},
        {"/u/{id}", "/u/{name}", COVET_GET, COVET_GET, -EEXIST},
        {"/u/{id}", "/u/{id:int}", COVET_GET, COVET_GET, 0},
        {"/u/{id:int}/x", "/u/{n:int}/x", COVET_GET, COVET_GET, -EEXIST},
        {"/u/{id}", "/u/{rest...}", COVET_GET, COVET_GET, 0},
        {"/u/{all...}", "/u/{rest...}", COVET_GET, COVET_GET, -EEXIST},
        {"/u/{all...}", "/u/{rest...}", COVET_GET, COVET_PUT, 0},
        {"/a", "/a", COVET_GET, COVET_HEAD, 0},
        {"/A", "/a", COVET_GET, COVET_GET, 0},
    };

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        char error[ERROR_BYTES] = "";
        struct cv_routes routes;
        int result;

        assert_int_equal(cv_routes_init(&routes), 0);
        assert_int_equal(add(&routes, cases[i].first, cases[i].first_methods, error), 0);
        result = add(&routes, cases[i].second, cases[i].second_methods, error);
        if (result != cases[i].result)
            fail_msg("%s and %s: %d", cases[i].first, cases[i].second, result);
        if (result != 0) {
            assert_non_null(strstr(error, cases[i].first));
            assert_non_null(strstr(error, cases[i].second));
        }
        cv_routes_deinit(&routes);
    }
}

static void test_router_refuses_what_is_no_pattern(void **state) {
    static const char *const bad[] = {
        "",         "a",       "*",       "/{",       "/}",           "/{}",
        "/{a",      "/a}",     "/x{a}",   "/{a}x",    "/{a}{b}",      "/{a b}",
        "/{a-b}",   "/{:int}", "/{...}",  "/{a:str}", "/{a:int}/{a}", "/{r...}/x",
        "/{r...}/", "/a/./b",  "/a/../b", "/..",      "/{a:int...}",  "/{a......}",
        "/\xff",
    };
    char error[ERROR_BYTES];
    struct cv_routes routes;

    (void)state;
    assert_int_equal(cv_routes_init(&routes), 0);
    for (size_t i = 0; i < CV_ARRAY_COUNT(bad); i++) {
        error[0] = '\0';
        if (add(&routes, bad[i], COVET_GET, error) != -EINVAL)
            fail_msg("\"%s\" was taken", bad[i]);
        assert_non_null(strstr(error, bad[i]));
    }
    assert_int_equal(add(&routes, "/m", 0, error), -EINVAL);
    assert_int_equal(add(&routes, "/m", COVET_TRACE, error), -EINVAL);
    assert_int_equal(add(&routes, "/m", COVET_GET | COVET_CONNECT, error), -EINVAL);
    cv_routes_deinit(&routes);
}

// Each limit at its end and one beyond.
static void test_router_keeps_limits_of_patterns(void **state) {
    char error[ERROR_BYTES], text[CV_PATTERN_BYTES_MAX + 2];
    char deep[2 * CV_PATTERN_SEGMENTS_MAX + 3], many[256] = "", one_more[280];
    struct cv_routes routes;
    struct cv_match match;

    (void)state;
    assert_int_equal(cv_routes_init(&routes), 0);
    memset(text, 'a', sizeof(text));
    text[0] = '/';
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(add(&routes, text, COVET_GET, error), -EINVAL);
    text[CV_PATTERN_BYTES_MAX] = '\0';
    assert_int_equal(add(&routes, text, COVET_GET, error), 0);
    for (size_t i = 0; i < CV_PATTERN_SEGMENTS_MAX + 1; i++)
        memcpy(deep + 2 * i, "/s", 2);
    deep[sizeof(deep) - 1] = '\0';
    assert_int_equal(add(&routes, deep, COVET_GET, error), -EINVAL);
    assert_int_equal(add(&routes, deep + 2, COVET_GET, error), 0);
    for (size_t i = 0; i < CV_PATTERN_PARAMS_MAX; i++)
        sprintf(many + strlen(many), "/{p%zu}", i);
    sprintf(one_more, "%s/{q}", many);
    assert_int_equal(add(&routes, many, COVET_GET, error), 0);
    assert_int_equal(add(&routes, one_more, COVET_GET, error), -EINVAL);

    const struct cv_router *router = published(&routes);
    assert_int_equal(cv_router_match(router, CV_METHOD_GET, path_of(text), &match),
                     CV_ROUTER_FOUND);
    assert_int_equal(cv_router_match(router, CV_METHOD_GET, path_of(deep + 2), &match),
                     CV_ROUTER_FOUND);
    deep[2 * CV_PATTERN_PARAMS_MAX] = '\0';
    assert_int_equal(cv_router_match(router, CV_METHOD_GET, path_of(deep), &match),
                     CV_ROUTER_FOUND);
    assert_int_equal(match.param_count, CV_PATTERN_PARAMS_MAX);
    cv_routes_deinit(&routes);
}

// What decoding would change must be decoded first: a percent sign in a pattern is one in the
// decoded path, and no client sends it like that.
static void test_router_finds_plain_routes_where_the_path_means_itself(void **state) {
    static const struct {
        const char *pattern;
        bool is_plain;
    } cases[] = {
        {"/", true},      {"/a//b", true},         {"/plain.txt", true}, {"/50%", false},
        {"/a/.b", false}, {"/back\\slash", false}, {"/\xc3\xa4", false},
    };
    char error[ERROR_BYTES];
    struct cv_routes routes;

    (void)state;
    assert_int_equal(cv_routes_init(&routes), 0);
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++)
        assert_int_equal(add(&routes, cases[i].pattern, COVET_GET, error), 0);
    const struct cv_router *router = published(&routes);
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        struct cv_span path = path_of(cases[i].pattern);
        const struct cv_route *route = cv_router_find_plain(router, CV_METHOD_GET, path);

        if (cases[i].is_plain)
            assert_string_equal(route->pattern, cases[i].pattern);
        else
            assert_null(route);
        assert_ptr_equal(cv_router_find_plain(router, CV_METHOD_HEAD, path), route);
        assert_null(cv_router_find_plain(router, CV_METHOD_POST, path));
        assert_null(cv_router_find_plain(router, CV_METHOD_OTHER, path));
    }
    assert_null(cv_router_find_plain(router, CV_METHOD_GET, path_of("")));
    assert_null(cv_router_find_plain(router, CV_METHOD_GET, path_of("/missing")));
    cv_routes_deinit(&routes);
}

static void test_router_finds_the_plain_route_of_each_method(void **state) {
    char error[ERROR_BYTES];
    struct cv_routes routes;

    (void)state;
    assert_int_equal(cv_routes_init(&routes), 0);
    assert_int_equal(add(&routes, "/both", COVET_POST | COVET_PUT, error), 0);
    assert_int_equal(add(&routes, "/both", COVET_GET, error), 0);
    assert_int_equal(add(&routes, "/post/a", COVET_POST, error), 0);
    assert_int_equal(add(&routes, "/longer/than/what/a/slot/has/room/for", COVET_GET, error), 0);
    const struct cv_router *router = published(&routes);
    struct cv_span both = path_of("/both"), post = path_of("/post/a");
    assert_int_equal(cv_router_find_plain(router, CV_METHOD_GET, both)->methods, COVET_GET);
    assert_int_equal(cv_router_find_plain(router, CV_METHOD_HEAD, both)->methods, COVET_GET);
    assert_int_equal(cv_router_find_plain(router, CV_METHOD_PUT, both)->methods,
                     COVET_POST | COVET_PUT);
    assert_null(cv_router_find_plain(router, CV_METHOD_DELETE, both));
    assert_int_equal(cv_router_find_plain(router, CV_METHOD_POST, post)->methods, COVET_POST);
    assert_null(cv_router_find_plain(router, CV_METHOD_GET, post));
    assert_null(cv_router_find_plain(router, CV_METHOD_HEAD, post));
    // Longer ones are for cv_router_match.
    assert_null(cv_router_find_plain(router, CV_METHOD_GET,
                                     path_of("/longer/than/what/a/slot/has/room/for")));
    cv_routes_deinit(&routes);
}

// One node with a child for every byte that may follow, so more than one vector of them.
static void test_router_finds_children_of_wide_nodes(void **state) {
    char error[ERROR_BYTES], text[32];
    struct cv_routes routes;
    struct cv_match match;

    (void)state;
    for (unsigned count = 1; count <= 250; count += count < 40 ? 1 : 30) {
        unsigned made = 0;

        assert_int_equal(cv_routes_init(&routes), 0);
        for (unsigned byte = 1; byte < 255 && made < count; byte++) {
            if (byte == '/' || byte == '{' || byte == '}' || byte == '.')
                continue;
            snprintf(text, sizeof(text), "/%cx/{p}", (char)byte);
            assert_int_equal(add(&routes, text, COVET_GET, error), 0);
            made++;
        }
        const struct cv_router *router = published(&routes);
        made = 0;
        for (unsigned byte = 0; byte < 256; byte++) {
            const struct cv_span path = {text, 5};

            memcpy(text, "/?x/y", 5);
            text[1] = (char)byte;
            if (cv_router_match(router, CV_METHOD_GET, path, &match) == CV_ROUTER_FOUND) {
                assert_int_equal((unsigned char)match.route->pattern[1], byte);
                made++;
            }
        }
        assert_int_equal(made, count);
        cv_routes_deinit(&routes);
    }
}

// Static paths of every length up to beyond what a slot holds, and all that differ in one byte.
static void test_router_compares_static_paths_byte_by_byte(void **state) {
    char error[ERROR_BYTES], text[128];
    struct cv_routes routes;
    struct cv_match match;

    (void)state;
    assert_int_equal(cv_routes_init(&routes), 0);
    for (size_t length = 1; length < 100; length++) {
        memset(text, 'p', length);
        text[0] = '/';
        text[length] = '\0';
        assert_int_equal(add(&routes, text, COVET_GET, error), 0);
    }
    const struct cv_router *router = published(&routes);
    for (size_t length = 1; length < 110; length++) {
        memset(text, 'p', length);
        text[0] = '/';
        struct cv_span path = {text, length};
        assert_int_equal(cv_router_match(router, CV_METHOD_GET, path, &match),
                         length < 100 ? CV_ROUTER_FOUND : CV_ROUTER_NOT_FOUND);
        if (length < 100)
            assert_int_equal(strlen(match.route->pattern), length);
        for (size_t at = 1; at < length; at++) {
            text[at] = 'q';
            assert_int_equal(cv_router_match(router, CV_METHOD_GET, path, &match),
                             CV_ROUTER_NOT_FOUND);
            text[at] = '\0';
            assert_int_equal(cv_router_match(router, CV_METHOD_GET, path, &match),
                             CV_ROUTER_NOT_FOUND);
            text[at] = 'p';
        }
    }
    cv_routes_deinit(&routes);
}

// The path ends at a page that must not be read, and in another run begins behind one.
static void test_router_reads_only_the_path(void **state) {
    char error[ERROR_BYTES], params[256];
    struct cv_routes routes;
    struct t_guard guard = t_guard_create();

    (void)state;
    assert_int_equal(cv_routes_init(&routes), 0);
    for (size_t i = 0; i < CV_ARRAY_COUNT(patterns); i++)
        assert_int_equal(add(&routes, patterns[i], COVET_GET, error), 0);
    assert_int_equal(add(&routes, "/long/{name}/{id:int}/tail-of-twenty-bytes", COVET_GET, error),
                     0);
    const struct cv_router *router = published(&routes);
    for (size_t i = 0; i < CV_ARRAY_COUNT(match_cases); i++) {
        const struct match_case *row = &match_cases[i];
        size_t length = strlen(row->path);

        for (int at_end = 0; at_end < 2; at_end++) {
            const char *place = at_end ? t_guard_at_end(guard, row->path, length)
                                       : t_guard_at_begin(guard, row->path, length);
            struct cv_match match;

            assert_int_equal(cv_router_match(router, CV_METHOD_GET, cv_span_make(place, length),
                                             &match) == CV_ROUTER_FOUND,
                             row->pattern != NULL);
            if (row->pattern != NULL) {
                show_params(&match, params, sizeof(params));
                assert_string_equal(params, row->params);
            }
        }
    }
    static const char whole[] =
        "/long/abcdefghijklmnopqrstu/12345678901234567/tail-of-twenty-bytes";
    for (size_t length = 0; length < sizeof(whole); length++) {
        struct cv_match match;
        const char *place = t_guard_at_end(guard, whole, length);

        assert_int_equal(cv_router_match(router, CV_METHOD_GET, cv_span_make(place, length),
                                         &match) == CV_ROUTER_FOUND,
                         length == 1 || length == sizeof(whole) - 1);
    }
    t_guard_destroy(guard);
    cv_routes_deinit(&routes);
}

static unsigned random_state = 12345;

static unsigned next_random(unsigned below) {
    random_state = random_state * 1103515245u + 12345u;
    return (random_state >> 16) % below;
}

static void make_random(char *out, const char *const *segments, unsigned count, unsigned depth) {
    out[0] = '\0';
    for (unsigned i = 0; i < depth; i++) {
        const char *segment = segments[next_random(count)];
        char named[32];

        snprintf(named, sizeof(named), segment, i);
        strcat(strcat(out, "/"), named);
        if (strstr(segment, "...") != NULL)
            break;
    }
}

// Every parameter of the match is the segment that the pattern says, by counting slashes.
static void check_params(const struct cv_match *match, const char *path) {
    const char *pattern = match->route->pattern;
    uint32_t count = 0;

    assert_int_equal(match->param_count, match->route->param_count);
    while (*pattern == '/') {
        size_t p = strcspn(++pattern, "/"), s = strcspn(++path, "/");

        if (pattern[0] == '{') {
            if (p > 4 && memcmp(pattern + p - 4, "...}", 4) == 0)
                s = strlen(path);
            assert_ptr_equal(match->param[count].data, path);
            assert_int_equal(match->param[count++].length, s);
        }
        pattern += p;
        path += s;
    }
    assert_int_equal(count, match->param_count);
}

static void test_router_agrees_with_a_naive_matcher(void **state) {
    static const char *const pattern_segments[] = {
        "a",     "b",     "7",         "",         "ab",  "abcdefghijklmnopqrstuvwxyz-0123456789",
        "{p%u}", "{p%u}", "{n%u:int}", "{r%u...}", "abc", "\xc3\xa4"};
    static const char *const path_segments[] = {"a",
                                                "b",
                                                "7",
                                                "",
                                                "c",
                                                "-3",
                                                "99999999999999999999",
                                                "ab",
                                                "abc",
                                                "abcdefghijklmnopqrstuvwxyz-0123456789",
                                                "\xc3\xa4",
                                                "1234567890123456789"};
    static const uint16_t methods[] = {CV_METHOD_GET, CV_METHOD_POST, CV_METHOD_PUT,
                                       CV_METHOD_HEAD};
    unsigned found = 0, allowed = 0, backed = 0, plain_count = 0;

    (void)state;
    for (int round = 0; round < 400; round++) {
        struct t_naive naive = {0};
        char text[512], error[ERROR_BYTES], path[512];
        struct cv_routes routes;

        assert_int_equal(cv_routes_init(&routes), 0);
        for (int i = 0; i < 40; i++) {
            uint16_t method = methods[next_random(CV_ARRAY_COUNT(methods))];

            make_random(text, pattern_segments, CV_ARRAY_COUNT(pattern_segments),
                        1 + next_random(4));
            if (add(&routes, text, method, error) == 0)
                t_naive_add(&naive, text, method);
            else
                assert_non_null(strstr(error, text));
        }
        const struct cv_router *router = published(&routes);
        for (int probe = 0; probe < 200; probe++) {
            uint16_t method = methods[next_random(CV_ARRAY_COUNT(methods))];
            struct t_naive_result expected;
            struct cv_match match;

            make_random(path, path_segments, CV_ARRAY_COUNT(path_segments), 1 + next_random(5));
            expected = t_naive_match(&naive, method, path);
            switch (cv_router_match(router, method, path_of(path), &match)) {
            case CV_ROUTER_FOUND:
                found++;
                backed += expected.allowed != match.route->methods;
                break;
            case CV_ROUTER_METHOD_NOT_ALLOWED:
                allowed++;
                assert_int_equal(match.allowed, expected.allowed);
                break;
            case CV_ROUTER_NOT_FOUND:
                assert_int_equal(expected.allowed, 0);
                break;
            }
            if ((match.route == NULL) != (expected.pattern == NULL) ||
                (match.route != NULL && (strcmp(match.route->pattern, expected.pattern) != 0 ||
                                         match.route->methods != expected.methods)))
                fail_msg("%s: %s, not %s", path, match.route ? match.route->pattern : "nothing",
                         expected.pattern ? expected.pattern : "nothing");
            if (match.route != NULL)
                check_params(&match, path);
            const struct cv_route *plain = cv_router_find_plain(router, method, path_of(path));
            bool is_static = match.route != NULL && match.route->param_count == 0;
            plain_count += plain != NULL;
            // What it finds is right, and it finds what is short, static and plain.
            if (plain != NULL || (is_static && strlen(path) <= 32 && strchr(path, '\xc3') == NULL))
                assert_ptr_equal(plain, match.route);
        }
        cv_routes_deinit(&routes);
        t_naive_clear(&naive);
    }
    // The comparison means something only when every kind of result occurred often.
    assert_true(found > 5000 && allowed > 1000 && backed > 1000 && plain_count > 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_router_finds_the_best_route),
        cmocka_unit_test(test_router_without_routes_finds_nothing),
        cmocka_unit_test(test_router_knows_which_methods_a_path_has),
        cmocka_unit_test(test_router_names_both_routes_of_a_conflict),
        cmocka_unit_test(test_router_refuses_what_is_no_pattern),
        cmocka_unit_test(test_router_keeps_limits_of_patterns),
        cmocka_unit_test(test_router_finds_plain_routes_where_the_path_means_itself),
        cmocka_unit_test(test_router_finds_the_plain_route_of_each_method),
        cmocka_unit_test(test_router_finds_children_of_wide_nodes),
        cmocka_unit_test(test_router_compares_static_paths_byte_by_byte),
        cmocka_unit_test(test_router_reads_only_the_path),
        cmocka_unit_test(test_router_agrees_with_a_naive_matcher),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
