#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/target.h"

// Decodes into memory of exactly the size the contract asks for.
static bool decode(struct cv_span path, char **out, size_t *length, const char **reason) {
    *out = malloc(path.length + (path.length == 0));
    assert_non_null(*out);
    return cv_target_decode_path(path, *out, length, reason);
}

static void test_target_decodes_paths(void **state) {
    static const struct {
        struct cv_span path, expected;
    } cases[] = {
        {CV_SPAN(""), CV_SPAN("")},
        {CV_SPAN("/"), CV_SPAN("/")},
        {CV_SPAN("/a/b"), CV_SPAN("/a/b")},
        {CV_SPAN("//etc"), CV_SPAN("//etc")},
        {CV_SPAN("/a//"), CV_SPAN("/a//")},
        {CV_SPAN("/a%20b%2b%3F%23"), CV_SPAN("/a b+?#")},
        {CV_SPAN("/a+b"), CV_SPAN("/a+b")},
        {CV_SPAN("/%25"), CV_SPAN("/%")},
        {CV_SPAN("/%252e%252e/"), CV_SPAN("/%2e%2e/")},
        {CV_SPAN("/%61%7A%7a"), CV_SPAN("/azz")},
        {CV_SPAN("/%c3%a9"), CV_SPAN("/\xc3\xa9")},
        {CV_SPAN("/\xc3\xa9"), CV_SPAN("/\xc3\xa9")},
        {CV_SPAN("/%e2%82%ac"), CV_SPAN("/\xe2\x82\xac")},
        {CV_SPAN("/%F0%9F%98%80"), CV_SPAN("/\xf0\x9f\x98\x80")},
        {CV_SPAN("/%f4%8f%bf%bf"), CV_SPAN("/\xf4\x8f\xbf\xbf")},
        {CV_SPAN("/%ed%9f%bf"), CV_SPAN("/\xed\x9f\xbf")},
        {CV_SPAN("/."), CV_SPAN("/")},
        {CV_SPAN("/./"), CV_SPAN("/")},
        {CV_SPAN("/./a"), CV_SPAN("/a")},
        {CV_SPAN("/a/."), CV_SPAN("/a/")},
        {CV_SPAN("/a/./b"), CV_SPAN("/a/b")},
        {CV_SPAN("/a/.."), CV_SPAN("/")},
        {CV_SPAN("/a/../"), CV_SPAN("/")},
        {CV_SPAN("/a/../b"), CV_SPAN("/b")},
        {CV_SPAN("/a/b/c/./../../g"), CV_SPAN("/a/g")},
        {CV_SPAN("/a//../b"), CV_SPAN("/a/b")},
        {CV_SPAN("//.."), CV_SPAN("/")},
        {CV_SPAN("/a/%2e%2E/b"), CV_SPAN("/b")},
        {CV_SPAN("/a/%2e/b"), CV_SPAN("/a/b")},
        {CV_SPAN("/a/.%2e"), CV_SPAN("/")},
        {CV_SPAN("/..."), CV_SPAN("/...")},
        {CV_SPAN("/.a"), CV_SPAN("/.a")},
        {CV_SPAN("/..a/b.."), CV_SPAN("/..a/b..")},
        {CV_SPAN("/a/.b/../c"), CV_SPAN("/a/c")},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *out;
        size_t length = SIZE_MAX;
        const char *reason = NULL;

        if (!decode(cases[i].path, &out, &length, &reason))
            fail_msg("%s: %s", cases[i].path.data, reason);
        if (!cv_span_equal(cv_span_make(out, length), cases[i].expected))
            fail_msg("%s: %.*s", cases[i].path.data, (int)length, out);
        if (cv_target_path_is_plain(cases[i].path))
            assert_true(cv_span_equal(cases[i].path, cases[i].expected));
        free(out);
    }
}

static void test_target_refuses_paths_with_two_meanings(void **state) {
    static const struct cv_span cases[] = {
        CV_SPAN("a"),
        CV_SPAN("*"),
        CV_SPAN("/%"),
        CV_SPAN("/%1"),
        CV_SPAN("/%zz"),
        CV_SPAN("/%1g"),
        CV_SPAN("/%%41"),
        CV_SPAN("/% 1"),
        CV_SPAN("/%+1"),
        CV_SPAN("/%00"),
        CV_SPAN("/a%00.png"),
        CV_SPAN("/\0"),
        CV_SPAN("/%2f"),
        CV_SPAN("/a%2Fb"),
        CV_SPAN("/%5c"),
        CV_SPAN("/..%5C"),
        CV_SPAN("/a\\b"),
        CV_SPAN("/.."),
        CV_SPAN("/../"),
        CV_SPAN("/../etc"),
        CV_SPAN("/a/../.."),
        CV_SPAN("/a/../../b"),
        CV_SPAN("/%2e%2e/"),
        CV_SPAN("/.%2E"),
        CV_SPAN("/./.."),
        CV_SPAN("/%80"),
        CV_SPAN("/%c0%ae"),
        CV_SPAN("/%c1%bf"),
        CV_SPAN("/%e0%80%ae"),
        CV_SPAN("/%e0%9f%bf"),
        CV_SPAN("/%ed%a0%80"),
        CV_SPAN("/%c3"),
        CV_SPAN("/%c3a"),
        CV_SPAN("/%e2%82"),
        CV_SPAN("/%e2%82a"),
        CV_SPAN("/%f0%8f%bf%bf"),
        CV_SPAN("/%f0%9f%98"),
        CV_SPAN("/%f4%90%80%80"),
        CV_SPAN("/%f5%80%80%80"),
        CV_SPAN("/%ff"),
        CV_SPAN("/\xff"),
        CV_SPAN("/%bf%bf"),
        CV_SPAN("/%f0%9f%c3%80"),
        CV_SPAN("/%e2%c3%a9"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *out;
        size_t length = 77;
        const char *reason = NULL;

        if (decode(cases[i], &out, &length, &reason))
            fail_msg("%s was taken", cases[i].data);
        assert_non_null(reason);
        assert_int_equal(length, 77);
        assert_false(cv_target_path_is_plain(cases[i]));
        free(out);
    }
}

static void test_target_knows_paths_to_use_in_place(void **state) {
    (void)state;
    assert_true(cv_target_path_is_plain(CV_SPAN("/")));
    assert_true(cv_target_path_is_plain(CV_SPAN("/api/users/42/a.b..c")));
    assert_true(cv_target_path_is_plain(CV_SPAN("//a")));
    assert_true(cv_target_path_is_plain(CV_SPAN("")));
    assert_false(cv_target_path_is_plain(CV_SPAN("/.a")));
    assert_false(cv_target_path_is_plain(CV_SPAN("/a%20")));
    assert_false(cv_target_path_is_plain(CV_SPAN("/\xc3\xa9")));
    assert_false(cv_target_path_is_plain(CV_SPAN("a")));
}

static void test_target_decodes_components(void **state) {
    static const struct {
        struct cv_span text;
        bool right;
        struct cv_span expected;
    } cases[] = {
        {CV_SPAN(""), true, CV_SPAN("")},
        {CV_SPAN("abc"), true, CV_SPAN("abc")},
        {CV_SPAN("a+b%2Bc"), true, CV_SPAN("a b+c")},
        {CV_SPAN("%00%ff%2f"), true, CV_SPAN("\0\xff/")},
        {CV_SPAN("%2525"), true, CV_SPAN("%25")},
        {CV_SPAN("%"), false, CV_SPAN("")},
        {CV_SPAN("a%4"), false, CV_SPAN("")},
        {CV_SPAN("%4x"), false, CV_SPAN("")},
        {CV_SPAN("%x4"), false, CV_SPAN("")},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *out = malloc(cases[i].text.length + 1);
        size_t length = 77;

        assert_non_null(out);
        assert_int_equal(cv_target_decode_component(cases[i].text, out, &length), cases[i].right);
        if (cases[i].right)
            assert_true(cv_span_equal(cv_span_make(out, length), cases[i].expected));
        else
            assert_int_equal(length, 77);
        free(out);
    }
}

static void test_target_walks_pairs(void **state) {
    static const struct {
        const char *query;
        const char *pairs[3][2];
    } cases[] = {
        {"", {{NULL, NULL}}},
        {"&&", {{NULL, NULL}}},
        {"a=1", {{"a", "1"}}},
        {"a=1&b=2&c", {{"a", "1"}, {"b", "2"}, {"c", ""}}},
        {"&a=&=b&", {{"a", ""}, {"", "b"}}},
        {"a=b=c&=", {{"a", "b=c"}, {"", ""}}},
        {"a%3D=%26+", {{"a%3D", "%26+"}}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cv_span rest = cv_span_of(cases[i].query);
        struct cv_span name;
        struct cv_span value;

        for (size_t k = 0; k < 3 && cases[i].pairs[k][0] != NULL; k++) {
            assert_true(cv_target_next_pair(&rest, &name, &value));
            assert_true(cv_span_equal(name, cv_span_of(cases[i].pairs[k][0])));
            assert_true(cv_span_equal(value, cv_span_of(cases[i].pairs[k][1])));
        }
        assert_false(cv_target_next_pair(&rest, &name, &value));
    }
}

// Wherever it stands, and whatever stands beside it.
static void test_target_plain_paths_are_told_at_every_length(void **state) {
    static const char *const wrong[] = {"%", "\\", "\x80", "\xff", "/.", "/./", "/..", "//."};
    char path[64];

    (void)state;
    for (size_t length = 1; length <= 40; length++) {
        memset(path, '.', length);
        path[0] = 'a';  // Decided by the first byte, so the rest is looked at with '/' there.
        assert_false(cv_target_path_is_plain(cv_span_make(path, length)));
        memset(path, 'a', length);
        for (size_t at = 0; at < length; at += 3)
            path[at] = '/';
        assert_true(cv_target_path_is_plain(cv_span_make(path, length)));
        for (size_t i = 0; i < CV_ARRAY_COUNT(wrong); i++) {
            size_t bytes = strlen(wrong[i]);

            for (size_t at = 1; at + bytes <= length; at++) {
                char tried[64];

                memcpy(tried, path, length);
                memcpy(tried + at, wrong[i], bytes);
                assert_false(cv_target_path_is_plain(cv_span_make(tried, length)));
                memcpy(tried + at, "\0", 1);
                assert_false(cv_target_path_is_plain(cv_span_make(tried, length)));
            }
        }
        memset(path, '.', length);
        path[0] = '/';
        if (length > 1)
            path[1] = 'a';
        assert_true(cv_target_path_is_plain(cv_span_make(path, length)));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_target_plain_paths_are_told_at_every_length),
        cmocka_unit_test(test_target_decodes_paths),
        cmocka_unit_test(test_target_refuses_paths_with_two_meanings),
        cmocka_unit_test(test_target_knows_paths_to_use_in_place),
        cmocka_unit_test(test_target_decodes_components),
        cmocka_unit_test(test_target_walks_pairs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
