#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "json/description.h"

struct inner {
    int32_t x;
    bool known;
};

struct outer {
    bool boolean;
    int8_t int8;
    int16_t int16;
    int32_t int32;
    int64_t int64;
    long long long_long;
    uint8_t uint8;
    uint16_t uint16;
    uint32_t uint32;
    uint64_t uint64;
    unsigned long long unsigned_long_long;
    float single;
    double real;
    struct covet_span span;
    const char *text;
    char *writable;
    struct covet_span raw;
    struct inner inner;
    struct inner *pointer;
    const struct inner *constant;
    struct covet_span *spans;
    const int64_t *numbers;
    const char **texts;
    const char *const *constants;
    bool *flags;
    struct inner *inners;
    size_t count;
    bool has_int32;
};

COVET_JSON(inner_json, struct inner, COVET_JSON_FIELD(struct inner, x));

COVET_JSON(
    outer_json, struct outer, COVET_JSON_FIELD(struct outer, boolean),
    COVET_JSON_FIELD(struct outer, int8), COVET_JSON_FIELD(struct outer, int16),
    COVET_JSON_FIELD(struct outer, int32, .key = "a \xe2\x82\xac", .flags = COVET_JSON_OPTIONAL,
                     COVET_JSON_PRESENT(struct outer, has_int32)),
    COVET_JSON_FIELD(struct outer, int64), COVET_JSON_FIELD(struct outer, long_long),
    COVET_JSON_FIELD(struct outer, uint8), COVET_JSON_FIELD(struct outer, uint16),
    COVET_JSON_FIELD(struct outer, uint32), COVET_JSON_FIELD(struct outer, uint64),
    COVET_JSON_FIELD(struct outer, unsigned_long_long), COVET_JSON_FIELD(struct outer, single),
    COVET_JSON_FIELD(struct outer, real), COVET_JSON_FIELD(struct outer, span),
    COVET_JSON_FIELD(struct outer, text, .flags = COVET_JSON_NULLABLE),
    COVET_JSON_FIELD(struct outer, writable), COVET_JSON_RAW(struct outer, raw),
    COVET_JSON_OBJECT(struct outer, inner, inner_json),
    COVET_JSON_POINTER(struct outer, pointer, inner_json),
    COVET_JSON_POINTER(struct outer, constant, inner_json, .flags = COVET_JSON_OPTIONAL),
    COVET_JSON_ARRAY(struct outer, spans, count), COVET_JSON_ARRAY(struct outer, numbers, count),
    COVET_JSON_ARRAY(struct outer, texts, count), COVET_JSON_ARRAY(struct outer, constants, count),
    COVET_JSON_ARRAY(struct outer, flags, count),
    COVET_JSON_OBJECTS(struct outer, inners, count, inner_json,
                       .key = "a key that is too long to be kept"));

// Mistakes: described by hand, as the macros leave little room for them, and compiled by the test.
struct tree {
    int value;
    struct tree *next;
};

COVET_JSON(tree_json, struct tree, COVET_JSON_FIELD(struct tree, value),
           COVET_JSON_POINTER(struct tree, next, tree_json));

static const struct covet_json_field *field(const char *key) {
    return cv_description_find(&outer_json, key, strlen(key));
}

static void test_description_is_compiled_before_main(void **state) {
    const char *member = "unset";

    (void)state;
    assert_true(cv_description_is_right(&outer_json));
    assert_null(covet_json_error(&outer_json, &member));
    assert_null(member);
    assert_int_equal(outer_json.field_count, 26);
    assert_int_equal(outer_json.bytes, sizeof(struct outer));
    assert_int_equal(covet_json_compile(&outer_json), 0);
}

static void test_description_knows_kinds_by_the_members_types(void **state) {
    static const struct {
        const char *key;
        enum covet_json_type type;
        bool is_array;
        size_t bytes;
    } cases[] = {
        {"boolean", COVET_JSON_TYPE_BOOL, false, 1},
        {"int8", COVET_JSON_TYPE_INT8, false, 1},
        {"int16", COVET_JSON_TYPE_INT16, false, 2},
        {"a \xe2\x82\xac", COVET_JSON_TYPE_INT32, false, 4},
        {"int64", COVET_JSON_TYPE_INT64, false, 8},
        {"long_long", COVET_JSON_TYPE_INT64, false, 8},
        {"uint8", COVET_JSON_TYPE_UINT8, false, 1},
        {"uint16", COVET_JSON_TYPE_UINT16, false, 2},
        {"uint32", COVET_JSON_TYPE_UINT32, false, 4},
        {"uint64", COVET_JSON_TYPE_UINT64, false, 8},
        {"unsigned_long_long", COVET_JSON_TYPE_UINT64, false, 8},
        {"single", COVET_JSON_TYPE_FLOAT, false, 4},
        {"real", COVET_JSON_TYPE_DOUBLE, false, 8},
        {"span", COVET_JSON_TYPE_SPAN, false, 16},
        {"text", COVET_JSON_TYPE_TEXT, false, 8},
        {"writable", COVET_JSON_TYPE_TEXT, false, 8},
        {"raw", COVET_JSON_TYPE_RAW, false, 16},
        {"inner", COVET_JSON_TYPE_OBJECT, false, sizeof(struct inner)},
        {"pointer", COVET_JSON_TYPE_POINTER, false, sizeof(struct inner)},
        {"constant", COVET_JSON_TYPE_POINTER, false, sizeof(struct inner)},
        {"spans", COVET_JSON_TYPE_SPAN, true, 16},
        {"numbers", COVET_JSON_TYPE_INT64, true, 8},
        {"texts", COVET_JSON_TYPE_TEXT, true, 8},
        {"constants", COVET_JSON_TYPE_TEXT, true, 8},
        {"flags", COVET_JSON_TYPE_BOOL, true, 1},
        {"a key that is too long to be kept", COVET_JSON_TYPE_OBJECT, true, sizeof(struct inner)},
    };

    (void)state;
    assert_int_equal(CV_ARRAY_COUNT(cases), outer_json.field_count);
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        const struct covet_json_field *found = field(cases[i].key);

        assert_non_null(found);
        assert_int_equal(found->type, cases[i].type);
        assert_int_equal(found->is_array, cases[i].is_array);
        assert_int_equal(found->bytes, cases[i].bytes);
        assert_int_equal(found->index, i);
        assert_int_equal(found->key_bytes, strlen(cases[i].key));
    }
    assert_null(field("missing"));
    assert_null(field(""));
}

static void test_description_keeps_what_stands_before_a_value(void **state) {
    static const struct {
        const char *key;
        const char *fragment;
    } cases[] = {
        {"int8", ",\"int8\":"},
        {"span", ",\"span\":\""},
        {"spans", ",\"spans\":["},
        {"inner", ",\"inner\":"},
        {"a \xe2\x82\xac", ",\"a \xe2\x82\xac\":"},
        {"a key that is too long to be kept", ""},
    };

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        const struct covet_json_field *found = field(cases[i].key);

        assert_int_equal(found->fragment_bytes, strlen(cases[i].fragment));
        assert_memory_equal(found->fragment, cases[i].fragment, strlen(cases[i].fragment));
    }
    assert_int_equal(field("int8")->key_word, 0x38746e69);
}

static void test_description_knows_what_must_be_there(void **state) {
    uint64_t optional = UINT64_C(1) << 3 | UINT64_C(1) << 19;

    (void)state;
    assert_int_equal(outer_json.required, ((UINT64_C(1) << 26) - 1) & ~optional);
    assert_int_equal(field("pointer")->flags, COVET_JSON_NULLABLE);
    assert_int_equal(field("constant")->flags, COVET_JSON_NULLABLE | COVET_JSON_OPTIONAL);
}

static void test_description_knows_what_is_absent(void **state) {
    struct outer outer = {.has_int32 = false};

    (void)state;
    assert_true(cv_description_is_absent(field("a \xe2\x82\xac"), &outer));
    assert_true(cv_description_is_absent(field("text"), &outer));
    assert_true(cv_description_is_absent(field("pointer"), &outer));
    assert_false(cv_description_is_absent(field("span"), &outer));
    assert_false(cv_description_is_absent(field("int8"), &outer));
    outer.has_int32 = true;
    outer.text = "";
    outer.pointer = &outer.inner;
    assert_false(cv_description_is_absent(field("a \xe2\x82\xac"), &outer));
    assert_false(cv_description_is_absent(field("text"), &outer));
    assert_false(cv_description_is_absent(field("pointer"), &outer));
}

static void test_description_may_lead_back_to_itself_through_a_pointer(void **state) {
    (void)state;
    assert_null(covet_json_error(&tree_json, NULL));
}

#define LONG_KEY_64 "0123456789012345678901234567890123456789012345678901234567890123"
#define LONG_KEY_256 LONG_KEY_64 LONG_KEY_64 LONG_KEY_64 LONG_KEY_64

static struct covet_json wrong_json = {.bytes = 8, .error = NULL};
static struct covet_json itself_json;

#define INT(...) \
    { .type = COVET_JSON_TYPE_INT32, .bytes = 4, __VA_ARGS__ }

static void test_description_names_each_mistake(void **state) {
    static const struct {
        struct covet_json_field fields[2];
        const char *error;
        const char *member;
    } cases[] = {
        {{INT(.member = "a"), INT(.member = "a")}, "two fields have this key", "a"},
        {{INT(.member = "a"), INT(.member = "b", .key = "a")}, "two fields have this key", "b"},
        {{INT(.member = "a", .key = "b"), INT(.member = "b")}, "two fields have this key", "b"},
        {{INT(.member = "a", .key = "\""), INT(.member = "b")}, "the key needs an escape", "a"},
        {{INT(.member = "a", .key = "\n"), INT(.member = "b")}, "the key needs an escape", "a"},
        {{INT(.member = "a", .key = "\\"), INT(.member = "b")}, "the key needs an escape", "a"},
        {{INT(.member = "a", .key = "\xff"), INT(.member = "b")}, "the key is not UTF-8", "a"},
        {{INT(.member = "a", .key = LONG_KEY_256), INT(.member = "b")},
         "the key is longer than 255 bytes",
         "a"},
        {{{.member = "a"}, INT(.member = "b")}, "a field that no macro made", "a"},
        {{{.member = "a", .type = COVET_JSON_TYPE_COUNT}, INT(.member = "b")},
         "a field that no macro made",
         "a"},
        {{{.member = "a", .type = COVET_JSON_TYPE_INT32}, INT(.member = "b")},
         "a value of no bytes",
         "a"},
        {{INT(.member = "a", .flags = COVET_JSON_NULLABLE), INT(.member = "b")},
         "nullable, but nothing says whether there is a value",
         "a"},
        {{INT(.member = "a", .present = 1), INT(.member = "b")},
         "may be absent, but is neither optional nor nullable",
         "a"},
        {{{.member = "a", .type = COVET_JSON_TYPE_OBJECT, .bytes = 4, .nested = &wrong_json},
          INT(.member = "b")},
         "the description is that of another struct",
         "a"},
        {{{.member = "a", .type = COVET_JSON_TYPE_POINTER, .bytes = 8, .nested = &wrong_json},
          INT(.member = "b")},
         "its description has a mistake",
         "a"},
        {{{.member = "a", .type = COVET_JSON_TYPE_OBJECT, .bytes = 8, .nested = &itself_json},
          INT(.member = "b")},
         "a struct inside itself",
         "a"},
    };

    (void)state;
    wrong_json.field_count = COVET_JSON_FIELDS_MAX + 1;
    assert_int_equal(covet_json_compile(&wrong_json), -EINVAL);
    assert_string_equal(covet_json_error(&wrong_json, NULL), "more than 64 fields");
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        struct covet_json_field fields[3] = {cases[i].fields[0], cases[i].fields[1]};
        const char *member = NULL;

        itself_json = (struct covet_json){.fields = fields, .field_count = 2, .bytes = 8};
        assert_string_equal(covet_json_error(&itself_json, NULL), "it was not compiled");
        assert_false(cv_description_is_right(&itself_json));
        assert_int_equal(covet_json_compile(&itself_json), -EINVAL);
        assert_int_equal(covet_json_compile(&itself_json), -EINVAL);
        assert_string_equal(covet_json_error(&itself_json, &member), cases[i].error);
        assert_string_equal(member, cases[i].member);
        assert_false(cv_description_is_right(&itself_json));
    }
}

static void test_description_has_a_largest_size(void **state) {
    static struct covet_json levels[12];
    static struct covet_json_field fields[12][9];
    static const char *const keys[] = {"a", "b", "c", "d", "e", "f", "g", "h"};

    (void)state;
    for (size_t level = 0; level < 12; level++) {
        for (size_t i = 0; i < 8; i++) {
            fields[level][i] = (struct covet_json_field){
                .member = keys[i],
                .type = level == 0 ? COVET_JSON_TYPE_INT64 : COVET_JSON_TYPE_OBJECT,
                .bytes = 8,
                .nested = level == 0 ? NULL : &levels[level - 1],
            };
        }
        levels[level] = (struct covet_json){.fields = fields[level], .field_count = 8, .bytes = 8};
    }
    assert_int_equal(covet_json_compile(&levels[0]), 0);
    assert_int_equal(levels[0].written_max, 2 + 8 * (4 + 1 + 20));
    assert_int_equal(covet_json_compile(&levels[1]), 0);
    assert_int_equal(levels[1].written_max, 2 + 8 * (4 + 1 + levels[0].written_max));
    assert_int_equal(covet_json_compile(&levels[11]), -EINVAL);
    assert_string_equal(levels[11].error, "its description has a mistake");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_description_is_compiled_before_main),
        cmocka_unit_test(test_description_knows_kinds_by_the_members_types),
        cmocka_unit_test(test_description_keeps_what_stands_before_a_value),
        cmocka_unit_test(test_description_knows_what_must_be_there),
        cmocka_unit_test(test_description_knows_what_is_absent),
        cmocka_unit_test(test_description_may_lead_back_to_itself_through_a_pointer),
        cmocka_unit_test(test_description_names_each_mistake),
        cmocka_unit_test(test_description_has_a_largest_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
