#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/guard.h"
#include "support/json_reference.h"
#include "json/index.h"
#include "json/utf8.h"

static struct t_guard guard;

static int set_up(void **state) {
    (void)state;
    guard = t_guard_create();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    t_guard_destroy(guard);
    cv_index_force(cv_cpu_simd());
    cv_utf8_force(cv_cpu_simd());
    return 0;
}

#define TEXT(literal) \
    { (literal), sizeof(literal) - 1 }

struct text {
    const char *data;
    size_t length;
};

static const struct text right[] = {
    TEXT("{}"),
    TEXT("[]"),
    TEXT(" \t\r\n[ \t\r\n] \t\r\n"),
    TEXT("{ }"),
    TEXT("0"),
    TEXT("-0"),
    TEXT(" 1 "),
    TEXT("-12.5e-3"),
    TEXT("1E+2"),
    TEXT("0e1"),
    TEXT("true"),
    TEXT("false"),
    TEXT("null"),
    TEXT("\"\""),
    TEXT("\"a\""),
    TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""),
    TEXT("\"\\u0000\\u001f\\u007f\\u00e9\\u20AC\\uFFFF\""),
    TEXT("\"\\ud83d\\ude00\\uDBFF\\uDFFF\\ud800\\udc00\""),
    TEXT("\"\\\\u0041\""),
    TEXT("\"\x7f\""),
    TEXT("\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf\xef\xbf\xbe\""),
    TEXT("\"[{]},:\""),
    TEXT("[1,-1,0,1.5,\"x\",true,false,null,{},[]]"),
    TEXT("{\"a\":1,\"b\":[{\"c\":\"d\"},{\"e\":null}],\"\":{\"a\":{}}}"),
    TEXT("{\"a\":1,\"a\":2}"),
    TEXT("{\"a\\\"b\\u0020\":{\"\\\\\":\"\\\\\"}}"),
    TEXT("{\"a\" : [ 1 , 2 ] , \"b\" : \"c\" }"),
    TEXT("[[[[[[[[[[]]]]]]]]]]"),
    TEXT("[9223372036854775807,9223372036854775808,18446744073709551615,18446744073709551616,"
         "-9223372036854775808,-9223372036854775809,12345678,123456789012345678901234567890]"),
    TEXT("[1e308,1e-400,0.00000000000000000000000000000000000001,1e00000000000000000001]"),
    TEXT("{\"id\":31415,\"name\":\"Copper Garden Lamp\",\"category\":\"outdoor\",\"price\":149.95,"
         "\"active\":true,\"tags\":[\"solar\",\"warm\"],\"rating\":{\"score\":4.7,\"count\":381}}"),
};

static const struct text wrong[] = {
    TEXT(""),
    TEXT(" "),
    TEXT("\n\t\r "),
    TEXT("\xef\xbb\xbf{}"),
    TEXT("\xfe\xff"),
    TEXT("\0"),
    TEXT("[]\0"),
    TEXT("\0[]"),
    TEXT("[\0]"),
    TEXT("{\"a\0b\":1}"),
    TEXT("\f[]"),
    TEXT("\xa0[]"),
    TEXT("\xc2\xa0[]"),
    TEXT("[\v]"),
    TEXT("{"),
    TEXT("["),
    TEXT("}"),
    TEXT("]"),
    TEXT("[}"),
    TEXT("{]"),
    TEXT("[[]"),
    TEXT("[]]"),
    TEXT("{}}"),
    TEXT("{}{}"),
    TEXT("[][]"),
    TEXT("[],"),
    TEXT("1 2"),
    TEXT("\"a\"\"b\""),
    TEXT("true false"),
    TEXT("[1,]"),
    TEXT("[,1]"),
    TEXT("[,]"),
    TEXT("[1,,2]"),
    TEXT("[1 2]"),
    TEXT("[1:2]"),
    TEXT("{\"a\":1,}"),
    TEXT("{,\"a\":1}"),
    TEXT("{,}"),
    TEXT("{\"a\",1}"),
    TEXT("{\"a\"}"),
    TEXT("{\"a\":}"),
    TEXT("{\"a\"::1}"),
    TEXT("{\"a\":1 \"b\":2}"),
    TEXT("{\"a\":1,,\"b\":2}"),
    TEXT("{a:1}"),
    TEXT("{'a':1}"),
    TEXT("{1:1}"),
    TEXT("{null:1}"),
    TEXT("{\"a\":1]"),
    TEXT("[\"a\":1]"),
    TEXT("// comment\n[]"),
    TEXT("[]// comment"),
    TEXT("[/**/]"),
    TEXT("['a']"),
    TEXT("[a]"),
    TEXT("tru"),
    TEXT("truE"),
    TEXT("True"),
    TEXT("truee"),
    TEXT("[true1]"),
    TEXT("[tru]"),
    TEXT("[nul]"),
    TEXT("[nulll]"),
    TEXT("[fals]"),
    TEXT("[NaN]"),
    TEXT("NaN"),
    TEXT("[Infinity]"),
    TEXT("-Infinity"),
    TEXT("-"),
    TEXT("[-]"),
    TEXT("[--1]"),
    TEXT("+1"),
    TEXT("[+1]"),
    TEXT("01"),
    TEXT("[01]"),
    TEXT("[-01]"),
    TEXT("[00]"),
    TEXT("[012345678]"),
    TEXT("[00000000]"),
    TEXT("[01.5]"),
    TEXT(".5"),
    TEXT("[.5]"),
    TEXT("[-.5]"),
    TEXT("1."),
    TEXT("[1.]"),
    TEXT("[1.e1]"),
    TEXT("[1..5]"),
    TEXT("[1.5.5]"),
    TEXT("1e"),
    TEXT("[1e]"),
    TEXT("[1e+]"),
    TEXT("[1e-]"),
    TEXT("[1.5e]"),
    TEXT("[1e1.5]"),
    TEXT("[1ee1]"),
    TEXT("[e1]"),
    TEXT("[0x10]"),
    TEXT("[1_000]"),
    TEXT("[1a]"),
    TEXT("[12345678a]"),
    TEXT("[1.5a]"),
    TEXT("[1e400]"),
    TEXT("[-1e400]"),
    TEXT("1e999999999999999999999"),
    TEXT("[\xef\xbc\x91]"),
    TEXT("\""),
    TEXT("\"a"),
    TEXT("[\"a]"),
    TEXT("{\"a]"),
    TEXT("{\"a\":\"b}"),
    TEXT("\"\\\""),
    TEXT("[\"\\]"),
    TEXT("[\"\\\\\\]"),
    TEXT("\"\\"),
    TEXT("\"\\x\""),
    TEXT("\"\\a\""),
    TEXT("\"\\'\""),
    TEXT("\"\\0\""),
    TEXT("\"\\U0041\""),
    TEXT("\"\\u\""),
    TEXT("\"\\u1\""),
    TEXT("\"\\u12\""),
    TEXT("\"\\u123\""),
    TEXT("[\"\\u123]"),
    TEXT("\"\\u123g\""),
    TEXT("\"\\u 123\""),
    TEXT("\"\\u+123\""),
    TEXT("\"\\ud800\""),
    TEXT("\"\\ud800a\""),
    TEXT("\"\\ud800\\n\""),
    TEXT("\"\\ud800\\u0041\""),
    TEXT("\"\\ud800\\ud800\""),
    TEXT("\"\\ud83d\\ude0\""),
    TEXT("\"\\udc00\""),
    TEXT("\"\\udc00\\ud800\""),
    TEXT("\"\\udfff\""),
    TEXT("\"\\\xc3\xa9\""),
    TEXT("\"\t\""),
    TEXT("\"\n\""),
    TEXT("\"\x1f\""),
    TEXT("\"a\0\""),
    TEXT("\"\x80\""),
    TEXT("\"\xc3\""),
    TEXT("\"\xc3(\""),
    TEXT("\"\xc0\x80\""),
    TEXT("\"\xc1\xbf\""),
    TEXT("\"\xe0\x80\x80\""),
    TEXT("\"\xe2\x82\""),
    TEXT("\"\xed\xa0\x80\""),
    TEXT("\"\xed\xbf\xbf\""),
    TEXT("\"\xf0\x80\x80\x80\""),
    TEXT("\"\xf4\x90\x80\x80\""),
    TEXT("\"\xf5\x80\x80\x80\""),
    TEXT("\"\xff\""),
    TEXT("{\"\xff\":1}"),
    TEXT("\xc3\xa9"),
};

static bool skip_all(const char *data, size_t length) {
    struct t_json_memory memory;
    struct covet_json_reader reader;
    int error;

    t_json_memory_init(&memory);
    covet_json_open(&reader, data, length, &memory.memory);
    error = covet_json_close(&reader, NULL);
    t_json_memory_deinit(&memory);
    return error == 0;
}

// Walked and skipped, as the reference says, with what is around it out of reach.
static void check_at(const char *data, size_t length, bool expected,
                     const struct t_json_dump *expected_dump) {
    struct t_json_dump dump = {0};

    if (t_json_read(data, length, &dump) != expected || skip_all(data, length) != expected)
        fail_msg("%.*s is %s", (int)length, data, expected ? "refused" : "accepted");
    if (expected && (dump.length != expected_dump->length ||
                     memcmp(dump.data, expected_dump->data, dump.length) != 0))
        fail_msg("%.*s: %.*s, not %.*s", (int)length, data, (int)dump.length, dump.data,
                 (int)expected_dump->length, expected_dump->data);
    free(dump.data);
}

static bool check(const char *data, size_t length) {
    struct t_json_dump dump = {0};
    bool expected = t_json_reference(data, length, &dump);

    for (int simd = CV_SIMD_SCALAR; simd <= (int)cv_cpu_simd(); simd++) {
        assert_true(cv_index_force((enum cv_simd)simd));
        assert_true(cv_utf8_force((enum cv_simd)simd));
        check_at(t_guard_at_end(guard, data, length), length, expected, &dump);
        check_at(t_guard_at_begin(guard, data, length), length, expected, &dump);
    }
    free(dump.data);
    return expected;
}

static void check_truncated(const char *data, size_t length) {
    for (size_t i = 0; i < length; i++)
        check(data, i);
}

static void test_reader_accepts_what_rfc_8259_allows(void **state) {
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(right); i++) {
        if (!check(right[i].data, right[i].length))
            fail_msg("%s", right[i].data);
        check_truncated(right[i].data, right[i].length);
    }
}

static void test_reader_refuses_what_it_does_not(void **state) {
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(wrong); i++) {
        if (check(wrong[i].data, wrong[i].length))
            fail_msg("%s", wrong[i].data);
        check_truncated(wrong[i].data, wrong[i].length);
    }
}

// The same inside of others, so that what ends early there does not end the text.
static void test_reader_tells_the_same_inside_of_others(void **state) {
    static const struct text around[][2] = {
        {TEXT("["), TEXT("]")},
        {TEXT("{\"key\":"), TEXT("}")},
        {TEXT("[{\"a\":[1,"), TEXT(",\"behind it\"]},{\"b\":\"long enough for whole words\"}]")},
    };
    char text[512];

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(around); i++) {
        for (size_t j = 0; j < CV_ARRAY_COUNT(right) + CV_ARRAY_COUNT(wrong); j++) {
            const struct text *inner =
                j < CV_ARRAY_COUNT(right) ? &right[j] : &wrong[j - CV_ARRAY_COUNT(right)];
            size_t length = around[i][0].length;

            memcpy(text, around[i][0].data, length);
            memcpy(text + length, inner->data, inner->length);
            length += inner->length;
            memcpy(text + length, around[i][1].data, around[i][1].length);
            length += around[i][1].length;
            // "1,2" and "[],[]" are right there, and so on: the reference knows.
            check(text, length);
        }
    }
}

static size_t nest(char *text, size_t depth, char open, const char *inner, char close) {
    size_t length = strlen(inner);

    memset(text, open, depth);
    memcpy(text + depth, inner, length);
    memset(text + depth + length, close, depth);
    return 2 * depth + length;
}

static void test_reader_stops_at_64_levels(void **state) {
    char text[1024];
    size_t length = 0;

    (void)state;
    assert_true(check(text, nest(text, 64, '[', "", ']')));
    assert_true(check(text, nest(text, 63, '[', "{\"a\":1}", ']')));
    assert_false(check(text, nest(text, 65, '[', "", ']')));
    assert_false(check(text, nest(text, 64, '[', "{\"a\":1}", ']')));
    assert_false(check(text, nest(text, 200, '[', "", ']')));
    for (int i = 0; i < 64; i++, length += 5)
        memcpy(text + length, "{\"a\":", 5);
    text[length++] = '1';
    memset(text + length, '}', 64);
    length += 64;
    assert_true(check(text, length));
    text[length - 65] = '[';
    text[length - 64] = ']';
    assert_false(check(text, length));
}

// Strings and what stands in them at and around the ends of the index's window and its words.
static void test_reader_finds_stops_across_the_window(void **state) {
    static const struct text inners[] = {
        TEXT(""),
        TEXT("\\n"),
        TEXT("\\ud83d\\ude00"),
        TEXT("\xe2\x82\xac"),
        TEXT("\xf0\x9f\x98\x80"),
        TEXT("\xf0\x9f\x98"),
        TEXT("\xe2\x82"),
        TEXT("\x80"),
        TEXT("\x01"),
        TEXT("\",\"\\\\"),
    };
    static char text[2 * COVET_JSON_WINDOW_BYTES + 256];

    (void)state;
    for (size_t place = COVET_JSON_WINDOW_BYTES - 16; place < COVET_JSON_WINDOW_BYTES + 72;
         place++) {
        for (size_t i = 0; i < CV_ARRAY_COUNT(inners); i++) {
            size_t length = place;

            memset(text, 'x', sizeof(text));
            memcpy(text, "[\"", 2);
            memcpy(text + length, inners[i].data, inners[i].length);
            length += inners[i].length + place % 67;
            memcpy(text + length, "\"]", 2);
            check(text, length + 2);
        }
    }
}

static void test_reader_checks_utf_8_in_texts_longer_than_a_window(void **state) {
    static char text[5 * COVET_JSON_WINDOW_BYTES];
    size_t length = 1;

    (void)state;
    text[0] = '[';
    while (length < sizeof(text) - 64)
        length +=
            (size_t)snprintf(text + length, 64, "%s\"k%zu \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"",
                             length == 1 ? "" : ",", length * 7919);
    text[length++] = ']';
    assert_true(check(text, length));
    // Any one byte of a sequence lost is found.
    for (size_t i = 0; i < length; i += 97) {
        char kept = text[i];

        if ((unsigned char)kept < 0x80)
            continue;
        text[i] = 'x';
        assert_false(check(text, length));
        text[i] = kept;
    }
}

// COVET_JSON_MUTATIONS=1e7 does more of them than are done here.
static void test_reader_agrees_on_mutated_texts(void **state) {
    const char *wanted = getenv("COVET_JSON_MUTATIONS");
    uint64_t runs_max = wanted == NULL ? 60000 : (uint64_t)strtod(wanted, NULL);
    static const char bytes[] = "\"\\{}[]:,0123456789.eE+-truefalsn \n\t\x80\xc3\xa9\x01u/";
    char text[512];

    (void)state;
    srandom(7);
    for (uint64_t i = 0; i < runs_max; i++) {
        const struct text *from = &right[(size_t)random() % CV_ARRAY_COUNT(right)];
        size_t length = from->length;

        memcpy(text, from->data, length);
        for (long changes = 1 + random() % 3; changes > 0; changes--) {
            size_t place = (size_t)random() % (length + 1);
            char byte = bytes[(size_t)random() % (sizeof(bytes) - 1)];

            switch (random() % 3) {
            case 0:
                text[place == length ? 0 : place] = byte;
                break;
            case 1:
                memmove(text + place + 1, text + place, length - place);
                text[place] = byte;
                length++;
                break;
            default:
                if (place < length && length > 1)
                    memmove(text + place, text + place + 1, --length - place);
            }
        }
        check(text, length);
    }
}

// On demand.

struct on_demand {
    struct t_json_memory memory;
    struct covet_json_reader reader;
    struct covet_json_value value;
};

static struct on_demand *open_bytes(const char *text, size_t length) {
    struct on_demand *read = malloc(sizeof(*read));

    assert_non_null(read);
    t_json_memory_init(&read->memory);
    covet_json_open(&read->reader, text, length, &read->memory.memory);
    return read;
}

static struct on_demand *open(const char *text) {
    return open_bytes(text, strlen(text));
}

static enum covet_json_kind next(struct on_demand *read) {
    return covet_json_next(&read->reader, &read->value);
}

static enum covet_json_kind find(struct on_demand *read, const char *key) {
    return covet_json_find(&read->reader, key, &read->value);
}

static int close_it(struct on_demand *read) {
    int error = covet_json_close(&read->reader, NULL);

    t_json_memory_deinit(&read->memory);
    free(read);
    return error;
}

static void close_not_utf_8(struct on_demand *read, size_t offset) {
    struct covet_json_failure failure;

    assert_int_equal(covet_json_close(&read->reader, &failure), -EBADMSG);
    assert_string_equal(failure.reason, "not UTF-8");
    assert_int_equal(failure.offset, offset);
    assert_int_equal(close_it(read), -EBADMSG);
}

// A text with escapes is read twice, and the window stands elsewhere the second time. What is wrong
// behind it may be in sight then, and must not matter yet.
static void test_reader_decodes_texts_in_front_of_what_is_no_utf_8(void **state) {
    static char text[5 * COVET_JSON_WINDOW_BYTES];
    static const size_t distances[] = {0, 1, 60, 500, 2000, 4000, 4090, 4100};

    (void)state;
    for (size_t place = 0; place < 2 * COVET_JSON_WINDOW_BYTES; place += 333) {
        for (size_t i = 0; i < CV_ARRAY_COUNT(distances); i++) {
            size_t behind = place + 4200, length = behind + distances[i] + 8;

            memset(text, 'x', sizeof(text));
            memcpy(text, "[\"", 2);
            memcpy(text + 2 + place, "\\n", 2);
            memcpy(text + behind, "\\n\",\"", 5);
            memcpy(text + length - 3, "\xff\"]", 3);
            assert_false(check(text, length));
            struct on_demand *read = open_bytes(text, length);
            assert_int_equal(next(read), COVET_JSON_ARRAY);
            assert_int_equal(next(read), COVET_JSON_STRING);
            assert_int_equal(read->value.text.length, behind - 2);
            assert_int_equal(next(read), COVET_JSON_ERROR);
            close_not_utf_8(read, length - 3);
        }
    }
}

static void test_reader_finds_the_first_byte_that_is_no_utf_8(void **state) {
    static char text[3 * COVET_JSON_WINDOW_BYTES];

    (void)state;
    for (size_t place = 2; place < COVET_JSON_WINDOW_BYTES + 70; place++) {
        memset(text, 0x80, sizeof(text));
        memset(text, 'x', place);
        memcpy(text, "[\"", 2);
        memcpy(text + sizeof(text) - 2, "\"]", 2);
        struct on_demand *read = open_bytes(text, sizeof(text));
        close_not_utf_8(read, place);
    }
}

static void test_reader_finds_keys_in_any_order(void **state) {
    struct on_demand *read =
        open("{ \"a\":1, \"b\":{\"a\":2,\"z\":[1,2]}, \"\\u0063\":[3,4], \"a\":5, \"d\":\"x\" }");

    (void)state;
    assert_int_equal(next(read), COVET_JSON_OBJECT);
    assert_int_equal(find(read, "d"), COVET_JSON_STRING);
    assert_int_equal(find(read, "c"), COVET_JSON_ARRAY);
    assert_int_equal(next(read), COVET_JSON_INT);
    assert_int_equal(read->value.int64, 3);
    assert_true(covet_json_leave(&read->reader));
    assert_int_equal(find(read, "b"), COVET_JSON_OBJECT);
    assert_int_equal(find(read, "z"), COVET_JSON_ARRAY);
    assert_true(covet_json_leave(&read->reader));
    assert_int_equal(find(read, "a"), COVET_JSON_INT);
    assert_int_equal(read->value.int64, 2);
    assert_true(covet_json_leave(&read->reader));
    // The first of two.
    assert_int_equal(find(read, "a"), COVET_JSON_INT);
    assert_int_equal(read->value.int64, 1);
    assert_int_equal(find(read, "nothing"), COVET_JSON_END);
    assert_int_equal(find(read, "d"), COVET_JSON_STRING);
    assert_int_equal(next(read), COVET_JSON_END);
    assert_int_equal(next(read), COVET_JSON_DONE);
    assert_int_equal(next(read), COVET_JSON_DONE);
    assert_int_equal(close_it(read), 0);
}

static void test_reader_stands_at_the_end_of_an_object_without_the_key(void **state) {
    static const char *const texts[] = {"{}", "{ }", "{\"a\":1}", "{\"a\":{} }"};

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(texts); i++) {
        struct on_demand *read = open(texts[i]);

        assert_int_equal(next(read), COVET_JSON_OBJECT);
        assert_int_equal(find(read, "b"), COVET_JSON_END);
        assert_int_equal(find(read, "b"), COVET_JSON_END);
        assert_int_equal(next(read), COVET_JSON_END);
        assert_int_equal(close_it(read), 0);
    }
}

static void test_reader_wants_keys_of_objects_only(void **state) {
    struct on_demand *read = open("[1]");

    (void)state;
    assert_int_equal(find(read, "a"), COVET_JSON_ERROR);
    assert_int_equal(next(read), COVET_JSON_ERROR);
    assert_int_equal(close_it(read), -EBADMSG);
    read = open("[1]");
    assert_int_equal(next(read), COVET_JSON_ARRAY);
    assert_int_equal(find(read, "a"), COVET_JSON_ERROR);
    assert_int_equal(close_it(read), -EBADMSG);
    read = open("[1]");
    assert_false(covet_json_leave(&read->reader));
    assert_int_equal(close_it(read), -EBADMSG);
}

static void check_raw(struct on_demand *read, const char *expected) {
    struct covet_span raw = covet_json_raw(&read->reader, &read->value);

    assert_non_null(raw.data);
    assert_int_equal(raw.length, strlen(expected));
    assert_memory_equal(raw.data, expected, raw.length);
}

static void test_reader_gives_values_as_they_stand_in_the_text(void **state) {
    struct on_demand *read = open("{\"a\": [1, {\"b\":\"]\"}] ,\"c\":\"\\n\",\"d\":-1.50}");

    (void)state;
    assert_int_equal(next(read), COVET_JSON_OBJECT);
    assert_int_equal(next(read), COVET_JSON_ARRAY);
    check_raw(read, "[1, {\"b\":\"]\"}]");
    assert_int_equal(next(read), COVET_JSON_STRING);
    assert_int_equal(read->value.text.length, 1);
    check_raw(read, "\"\\n\"");
    assert_int_equal(next(read), COVET_JSON_DOUBLE);
    check_raw(read, "-1.50");
    assert_int_equal(next(read), COVET_JSON_END);
    assert_null(covet_json_raw(&read->reader, &read->value).data);
    assert_int_equal(close_it(read), 0);
}

static void test_reader_refuses_at_the_end_what_was_left_out(void **state) {
    static const char *const texts[] = {
        "{\"a\":1,\"b\":[01]}", "{\"a\":1,\"b\":\"\\x\"}", "{\"a\":1,\"b\":tru}",
        "{\"a\":1} x",          "{\"a\":1,\"b\":{\"c\"}}", "{\"a\":1,\"b\":\"\xff\"}",
    };

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(texts); i++) {
        struct on_demand *read = open(texts[i]);

        assert_int_equal(next(read), COVET_JSON_OBJECT);
        assert_int_equal(find(read, "a"), COVET_JSON_INT);
        assert_int_equal(close_it(read), -EBADMSG);
    }
}

static void test_reader_keeps_to_the_memory_allowed(void **state) {
    static const char text[] = "[\"a\\nb\",\"c\\nd\"]";
    struct covet_json_failure failure;
    struct covet_json_value value;
    struct covet_json_reader reader;
    struct t_json_memory memory;

    (void)state;
    t_json_memory_init(&memory);
    memory.memory.bytes_left = 4;
    covet_json_open(&reader, text, strlen(text), &memory.memory);
    assert_int_equal(covet_json_next(&reader, &value), COVET_JSON_ARRAY);
    assert_int_equal(covet_json_next(&reader, &value), COVET_JSON_STRING);
    assert_int_equal(covet_json_next(&reader, &value), COVET_JSON_ERROR);
    assert_int_equal(covet_json_close(&reader, &failure), -E2BIG);
    assert_int_equal(failure.offset, 9);
    assert_string_equal(failure.path, "[1]");
    t_json_memory_deinit(&memory);
    // None at all is enough where nothing is needed.
    covet_json_open(&reader, "[\"a\"]", 5, NULL);
    assert_int_equal(covet_json_close(&reader, NULL), 0);
    covet_json_open(&reader, "1", 1, NULL);
    assert_int_equal(covet_json_close(&reader, NULL), -E2BIG);
    // Nor is any to see that this is no JSON.
    covet_json_open(&reader, "[\"a\"", 4, NULL);
    assert_int_equal(covet_json_close(&reader, &failure), -EBADMSG);
    assert_string_equal(failure.reason, "the text ends too early");
}

static void *alloc_nothing(void *context, size_t bytes) {
    (void)context;
    (void)bytes;
    return NULL;
}

static void test_reader_says_when_memory_is_exhausted(void **state) {
    struct covet_json_memory memory = {alloc_nothing, NULL, 100};
    struct covet_json_reader reader;
    struct covet_json_value value;

    (void)state;
    covet_json_open(&reader, "[\"\\n\"]", 6, &memory);
    assert_int_equal(covet_json_next(&reader, &value), COVET_JSON_ARRAY);
    assert_int_equal(covet_json_next(&reader, &value), COVET_JSON_ERROR);
    assert_int_equal(covet_json_close(&reader, NULL), -ENOMEM);
}

static void test_reader_says_where_and_why(void **state) {
    static const struct {
        const char *text;
        const char *reason;
        size_t offset, line, column;
        const char *path;
    } cases[] = {
        {"", "the text ends too early", 0, 1, 1, ""},
        {"  ", "the text ends too early", 0, 1, 1, ""},
        {"[1,2", "the text ends too early", 4, 1, 5, "[1]"},
        {"{\"a\":[{},{\"b\":1,\n \"c\": x}]}", "a value is expected", 23, 2, 7, "a[1].c"},
        {"{\"a\":1}\n\n]", "something stands behind the value", 9, 3, 1, ""},
        {"[1,]", "a value is expected", 3, 1, 4, "[1]"},
        {"[1 2]", "a comma or ] is expected", 3, 1, 4, "[0]"},
        {"{\"a\" 1}", "a colon is expected behind a key", 5, 1, 6, "a"},
        {"{\"a\":1,}", "a key in quotation marks is expected", 7, 1, 8, ""},
        {"{\"a\":1 2}", "a comma or } is expected", 7, 1, 8, "a"},
        {"{\"a\":\"\\x\"}", "an escape that means nothing", 6, 1, 7, "a"},
        {"{\"a\":\"x\ty\"}", "a control byte in a string", 7, 1, 8, "a"},
        {"{\"a\":\"\xc3\"}", "not UTF-8", 6, 1, 7, "a"},
        {"{\"a\":\"b}", "the text ends too early", 8, 1, 9, "a"},
        {"{\"a\":\"b\\}", "the text ends too early", 9, 1, 10, "a"},
        {"{\"a\":[01]}", "a number with a leading zero", 6, 1, 7, "a[0]"},
        {"{\"a\":[1.]}", "a digit is expected behind the point", 8, 1, 9, "a[0]"},
        {"{\"a\":[1e]}", "a digit is expected in an exponent", 8, 1, 9, "a[0]"},
        {"{\"a\":[-]}", "a digit is expected", 7, 1, 8, "a[0]"},
        {"{\"a\":1e999}", "a number beyond all doubles", 5, 1, 6, "a"},
    };

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        struct t_json_memory memory;
        struct covet_json_reader reader;
        struct covet_json_failure failure;

        t_json_memory_init(&memory);
        covet_json_open(&reader, cases[i].text, strlen(cases[i].text), &memory.memory);
        assert_int_equal(covet_json_close(&reader, &failure), -EBADMSG);
        assert_int_equal(failure.error, -EBADMSG);
        assert_string_equal(failure.reason, cases[i].reason);
        assert_int_equal(failure.offset, cases[i].offset);
        assert_int_equal(failure.line, cases[i].line);
        assert_int_equal(failure.column, cases[i].column);
        assert_string_equal(failure.path, cases[i].path);
        t_json_memory_deinit(&memory);
    }
}

static void test_reader_shortens_long_paths_from_the_front(void **state) {
    char text[2048];
    size_t length = 0;
    struct covet_json_reader reader;
    struct covet_json_failure failure;

    (void)state;
    for (int i = 0; i < 30; i++)
        length += (size_t)snprintf(text + length, sizeof(text) - length, "{\"level_%02d\":[7,", i);
    length += (size_t)snprintf(text + length, sizeof(text) - length, "x}");
    covet_json_open(&reader, text, length, NULL);
    assert_int_equal(covet_json_close(&reader, &failure), -EBADMSG);
    assert_true(strlen(failure.path) < COVET_JSON_PATH_BYTES);
    assert_memory_equal(failure.path, "...", 3);
    assert_string_equal(failure.path + strlen(failure.path) - 24, ".level_28[1].level_29[1]");
}

static void test_reader_compares_keys(void **state) {
    struct covet_json_value value = {.key = {"abc", 3}};

    (void)state;
    assert_true(covet_json_key_is(&value, "abc"));
    assert_false(covet_json_key_is(&value, "ab"));
    assert_false(covet_json_key_is(&value, "abd"));
    value.key = (struct covet_span){NULL, 0};
    assert_false(covet_json_key_is(&value, ""));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reader_accepts_what_rfc_8259_allows),
        cmocka_unit_test(test_reader_refuses_what_it_does_not),
        cmocka_unit_test(test_reader_tells_the_same_inside_of_others),
        cmocka_unit_test(test_reader_stops_at_64_levels),
        cmocka_unit_test(test_reader_finds_stops_across_the_window),
        cmocka_unit_test(test_reader_checks_utf_8_in_texts_longer_than_a_window),
        cmocka_unit_test(test_reader_agrees_on_mutated_texts),
        cmocka_unit_test(test_reader_decodes_texts_in_front_of_what_is_no_utf_8),
        cmocka_unit_test(test_reader_finds_the_first_byte_that_is_no_utf_8),
        cmocka_unit_test(test_reader_finds_keys_in_any_order),
        cmocka_unit_test(test_reader_stands_at_the_end_of_an_object_without_the_key),
        cmocka_unit_test(test_reader_wants_keys_of_objects_only),
        cmocka_unit_test(test_reader_gives_values_as_they_stand_in_the_text),
        cmocka_unit_test(test_reader_refuses_at_the_end_what_was_left_out),
        cmocka_unit_test(test_reader_keeps_to_the_memory_allowed),
        cmocka_unit_test(test_reader_says_when_memory_is_exhausted),
        cmocka_unit_test(test_reader_says_where_and_why),
        cmocka_unit_test(test_reader_shortens_long_paths_from_the_front),
        cmocka_unit_test(test_reader_compares_keys),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
