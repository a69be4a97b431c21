#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "app/router.h"
#include "base/compiler.h"
#include "http/parser.h"

#define ERROR_BYTES 512u

static struct cv_span path_of(const char *text) {
    return cv_span_of(text);
}

static int add(struct cv_router *router, struct cv_route *route, const char *pattern,
               unsigned methods, char *error) {
    *route = (struct cv_route){.pattern = pattern, .methods = (uint16_t)methods};
    return cv_router_add(router, route, error, ERROR_BYTES);
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

static void test_router_finds_the_best_route(void **state) {
    struct cv_route routes[CV_ARRAY_COUNT(patterns)];
    char error[ERROR_BYTES], params[256];
    struct cv_router router;

    (void)state;
    // The order of registration must not matter.
    for (int backwards = 0; backwards < 2; backwards++) {
        cv_router_init(&router);
        for (size_t i = 0; i < CV_ARRAY_COUNT(patterns); i++) {
            size_t at = backwards ? CV_ARRAY_COUNT(patterns) - 1 - i : i;

            assert_int_equal(add(&router, &routes[at], patterns[at], COVET_GET, error), 0);
        }
        for (size_t i = 0; i < CV_ARRAY_COUNT(match_cases); i++) {
            const struct match_case *row = &match_cases[i];
            struct cv_match match;
            enum cv_router_result result =
                cv_router_match(&router, CV_METHOD_GET, path_of(row->path), &match);

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
        cv_router_deinit(&router);
    }
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
    struct cv_route routes[6], head;
    char error[ERROR_BYTES], text[CV_ROUTER_ALLOW_BYTES_MAX];
    struct cv_router router;

    (void)state;
    cv_router_init(&router);
    assert_int_equal(add(&router, &routes[0], "/x", COVET_GET, error), 0);
    assert_int_equal(add(&router, &routes[1], "/x", COVET_POST, error), 0);
    assert_int_equal(add(&router, &routes[2], "/{any}", COVET_PUT, error), 0);
    assert_int_equal(add(&router, &routes[3], "/head/", COVET_GET, error), 0);
    assert_int_equal(add(&router, &head, "/head/", COVET_HEAD, error), 0);
    assert_int_equal(add(&router, &routes[5], "/own/x", COVET_OPTIONS, error), 0);
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        const struct method_case *row = &cases[i];
        struct cv_match match;
        enum cv_router_result result =
            cv_router_match(&router, row->method, path_of(row->path), &match);
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
    assert_int_equal(cv_router_match(&router, CV_METHOD_HEAD, path_of("/head/"), &match),
                     CV_ROUTER_FOUND);
    assert_ptr_equal(match.route, &head);
    assert_true(cv_span_equal(cv_router_allow_text(router.methods, text),
                              cv_span_of("GET, HEAD, POST, PUT, OPTIONS")));
    assert_true(cv_span_equal(cv_router_allow_text(0x7f, text),
                              cv_span_of("GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH")));
    cv_router_deinit(&router);
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
        struct cv_route first, second;
        char error[ERROR_BYTES] = "";
        struct cv_router router;
        int result;

        cv_router_init(&router);
        assert_int_equal(add(&router, &first, cases[i].first, cases[i].first_methods, error), 0);
        result = add(&router, &second, cases[i].second, cases[i].second_methods, error);
        if (result != cases[i].result)
            fail_msg("%s and %s: %d", cases[i].first, cases[i].second, result);
        if (result != 0) {
            assert_non_null(strstr(error, cases[i].first));
            assert_non_null(strstr(error, cases[i].second));
        }
        cv_router_deinit(&router);
    }
}

static void test_router_refuses_what_is_no_pattern(void **state) {
    static const char *const bad[] = {
        "",         "a",       "*",       "/{",       "/}",           "/{}",
        "/{a",      "/a}",     "/x{a}",   "/{a}x",    "/{a}{b}",      "/{a b}",
        "/{a-b}",   "/{:int}", "/{...}",  "/{a:str}", "/{a:int}/{a}", "/{r...}/x",
        "/{r...}/", "/a/./b",  "/a/../b", "/..",      "/{a:int...}",  "/{a......}",
    };
    char error[ERROR_BYTES], text[CV_ROUTER_PATTERN_BYTES_MAX + 8];
    struct cv_router router;
    struct cv_route route;

    (void)state;
    cv_router_init(&router);
    for (size_t i = 0; i < CV_ARRAY_COUNT(bad); i++) {
        error[0] = '\0';
        if (add(&router, &route, bad[i], COVET_GET, error) != -EINVAL)
            fail_msg("\"%s\" was taken", bad[i]);
        assert_non_null(strstr(error, bad[i]));
    }
    assert_int_equal(add(&router, &route, "/m", 0, error), -EINVAL);
    assert_int_equal(add(&router, &route, "/m", COVET_TRACE, error), -EINVAL);
    assert_int_equal(add(&router, &route, "/m", COVET_GET | COVET_CONNECT, error), -EINVAL);

    // Limits, each at its end and one beyond.
    memset(text, 'a', sizeof(text));
    text[0] = '/';
    text[CV_ROUTER_PATTERN_BYTES_MAX] = '\0';
    struct cv_route longest, deepest, most;
    assert_int_equal(add(&router, &longest, text, COVET_GET, error), 0);
    char longer[CV_ROUTER_PATTERN_BYTES_MAX + 8];
    memcpy(longer, text, CV_ROUTER_PATTERN_BYTES_MAX);
    strcpy(longer + CV_ROUTER_PATTERN_BYTES_MAX, "a");
    assert_int_equal(add(&router, &route, longer, COVET_GET, error), -EINVAL);

    char deep[2 * CV_ROUTER_SEGMENTS_MAX + 3];
    for (size_t i = 0; i < CV_ROUTER_SEGMENTS_MAX + 1; i++)
        memcpy(deep + 2 * i, "/s", 2);
    deep[2 * CV_ROUTER_SEGMENTS_MAX + 2] = '\0';
    assert_int_equal(add(&router, &route, deep, COVET_GET, error), -EINVAL);
    assert_int_equal(add(&router, &deepest, deep + 2, COVET_GET, error), 0);

    char many[256] = "", one_more[280];
    for (size_t i = 0; i < CV_ROUTER_PARAMS_MAX; i++)
        sprintf(many + strlen(many), "/{p%zu}", i);
    sprintf(one_more, "%s/{q}", many);
    assert_int_equal(add(&router, &most, many, COVET_GET, error), 0);
    assert_int_equal(add(&router, &route, one_more, COVET_GET, error), -EINVAL);
    cv_router_deinit(&router);
}

// A second matcher, written as the documentation reads: every route is tried, the best one wins.

struct naive_result {
    const struct cv_route *route;
    uint16_t allowed;
};

static bool naive_is_int(const char *text, size_t length) {
    size_t digits = length - (length > 0 && text[0] == '-');
    char copy[24];

    if (digits < 1 || digits > 19 || strspn(text + (length - digits), "0123456789") < digits)
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    errno = 0;
    strtoll(copy, NULL, 10);
    return errno == 0;
}

// 0 when it does not match, else the ranks of its segments as letters: lower sorts first.
static bool naive_rank(const char *pattern, const char *path, char *rank) {
    while (*pattern == '/' && *path == '/') {
        size_t p = strcspn(++pattern, "/"), s = strcspn(++path, "/");
        bool is_param = pattern[0] == '{';

        if (is_param && memcmp(pattern + p - 4, "...}", 4) == 0) {
            *rank++ = 'd';
            *rank = '\0';
            return true;
        }
        if (!is_param) {
            if (p != s || memcmp(pattern, path, p) != 0)
                return false;
            *rank++ = 'a';
        } else if (p > 5 && memcmp(pattern + p - 5, ":int}", 5) == 0) {
            if (!naive_is_int(path, s))
                return false;
            *rank++ = 'b';
        } else {
            if (s == 0)
                return false;
            *rank++ = 'c';
        }
        pattern += p;
        path += s;
    }
    *rank = '\0';
    return *pattern == '\0' && *path == '\0';
}

static struct naive_result naive_match(struct cv_route *routes, size_t count, uint16_t method,
                                       const char *path) {
    struct naive_result best = {0};
    char best_rank[80] = "", rank[80];

    for (size_t i = 0; i < count; i++) {
        if (!naive_rank(routes[i].pattern, path, rank))
            continue;
        best.allowed |= routes[i].methods;
        if ((routes[i].methods & method) != 0 &&
            (best.route == NULL || strcmp(rank, best_rank) < 0)) {
            best.route = &routes[i];
            strcpy(best_rank, rank);
        }
    }
    return best;
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

static void test_router_agrees_with_a_naive_matcher(void **state) {
    static const char *const pattern_segments[] = {"a",     "b",         "7",        "",
                                                   "{p%u}", "{n%u:int}", "{r%u...}", "{p%u}"};
    static const char *const path_segments[] = {
        "a", "b", "7", "", "c", "-3", "99999999999999999999"};
    static const uint16_t methods[] = {CV_METHOD_GET, CV_METHOD_POST, CV_METHOD_PUT};
    unsigned found = 0, allowed = 0, backed = 0;

    (void)state;
    for (int round = 0; round < 300; round++) {
        struct cv_route routes[40];
        char text[40][128], error[ERROR_BYTES], path[128];
        struct cv_router router;
        size_t count = 0;

        cv_router_init(&router);
        while (count < CV_ARRAY_COUNT(routes)) {
            make_random(text[count], pattern_segments, CV_ARRAY_COUNT(pattern_segments),
                        1 + next_random(4));
            // A refused route stays behind as an unused entry; it takes the next pattern's place.
            routes[count] =
                (struct cv_route){.pattern = text[count], .methods = methods[next_random(3)]};
            if (cv_router_add(&router, &routes[count], error, sizeof(error)) != 0) {
                routes[count].methods = 0;
                assert_non_null(strstr(error, text[count]));
            }
            count++;
        }
        for (int probe = 0; probe < 200; probe++) {
            uint16_t method = methods[next_random(3)];
            struct naive_result expected;
            struct cv_match match;

            make_random(path, path_segments, CV_ARRAY_COUNT(path_segments), 1 + next_random(5));
            expected = naive_match(routes, count, method, path);
            switch (cv_router_match(&router, method, path_of(path), &match)) {
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
            if (match.route != expected.route)
                fail_msg("%s: %s, not %s", path, match.route ? match.route->pattern : "nothing",
                         expected.route ? expected.route->pattern : "nothing");
            if (match.route != NULL)
                assert_int_equal(match.param_count, match.route->param_count);
        }
        cv_router_deinit(&router);
    }
    // The comparison means something only when every kind of result occurred often.
    assert_true(found > 5000 && allowed > 1000 && backed > 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_router_finds_the_best_route),
        cmocka_unit_test(test_router_knows_which_methods_a_path_has),
        cmocka_unit_test(test_router_names_both_routes_of_a_conflict),
        cmocka_unit_test(test_router_refuses_what_is_no_pattern),
        cmocka_unit_test(test_router_agrees_with_a_naive_matcher),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
