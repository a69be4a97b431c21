#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/guard.h"
#include "support/json_reference.h"
#include "json/index.h"
#include "json/utf8.h"

struct rating {
    double score;
    uint32_t count;
};

struct item {
    int64_t id;
    struct covet_span name;
    double price;
    bool has_price;
    bool active;
    struct covet_span *tags;
    size_t tag_count;
    struct rating rating;
    struct rating *best;
    struct rating *ratings;
    size_t rating_count;
    struct covet_span note;
    struct covet_span raw;
    const char *text;
    int64_t *numbers;
    size_t number_count;
};

COVET_JSON(rating_json, struct rating, COVET_JSON_FIELD(struct rating, score),
           COVET_JSON_FIELD(struct rating, count));

COVET_JSON(item_json, struct item, COVET_JSON_FIELD(struct item, id),
           COVET_JSON_FIELD(struct item, name, .key = "title"),
           COVET_JSON_FIELD(struct item, price, .flags = COVET_JSON_OPTIONAL,
                            COVET_JSON_PRESENT(struct item, has_price)),
           COVET_JSON_FIELD(struct item, active, .flags = COVET_JSON_OPTIONAL,
                            COVET_JSON_PRESENT(struct item, has_price)),
           COVET_JSON_ARRAY(struct item, tags, tag_count, .flags = COVET_JSON_OPTIONAL),
           COVET_JSON_OBJECT(struct item, rating, rating_json, .flags = COVET_JSON_OPTIONAL,
                             COVET_JSON_PRESENT(struct item, has_price)),
           COVET_JSON_POINTER(struct item, best, rating_json, .flags = COVET_JSON_OPTIONAL),
           COVET_JSON_OBJECTS(struct item, ratings, rating_count, rating_json,
                              .flags = COVET_JSON_OPTIONAL | COVET_JSON_NULLABLE),
           COVET_JSON_FIELD(struct item, note, .flags = COVET_JSON_OPTIONAL | COVET_JSON_NULLABLE),
           COVET_JSON_RAW(struct item, raw, .flags = COVET_JSON_OPTIONAL),
           COVET_JSON_FIELD(struct item, text, .flags = COVET_JSON_OPTIONAL),
           COVET_JSON_ARRAY(struct item, numbers, number_count, .flags = COVET_JSON_OPTIONAL,
                            .key = "a key that is too long to be kept"));

struct integers {
    int8_t i8;
    uint8_t u8;
    int16_t i16;
    uint16_t u16;
    int32_t i32;
    uint32_t u32;
    int64_t i64;
    uint64_t u64;
    float f;
    double d;
    bool b;
};

#define OPTIONAL(name) \
    COVET_JSON_FIELD(struct integers, name, .flags = COVET_JSON_OPTIONAL, \
                     COVET_JSON_PRESENT(struct integers, b))
COVET_JSON(integers_json, struct integers, OPTIONAL(i8), OPTIONAL(u8), OPTIONAL(i16), OPTIONAL(u16),
           OPTIONAL(i32), OPTIONAL(u32), OPTIONAL(i64), OPTIONAL(u64), OPTIONAL(f), OPTIONAL(d));

// The same without flags, which is another way through the reader.
struct plain {
    int8_t i8;
    uint8_t u8;
    int32_t i32;
    uint64_t u64;
    bool b;
    float f;
};
#define PLAIN(name) COVET_JSON_FIELD(struct plain, name)
COVET_JSON(plain_json, struct plain, PLAIN(i8), PLAIN(u8), PLAIN(i32), PLAIN(u64), PLAIN(b),
           PLAIN(f));

struct node {
    int64_t value;
    struct node *next;
};

static struct covet_json node_json;
static struct covet_json_field node_fields[] = {
    COVET_JSON_FIELD(struct node, value),
    COVET_JSON_POINTER(struct node, next, node_json, .flags = COVET_JSON_OPTIONAL),
    {.member = NULL},
};
static struct covet_json node_json = {
    .fields = node_fields, .field_count = 2, .bytes = sizeof(struct node)};

static struct t_guard guard;
static struct t_json_memory memory;
static struct covet_json_failure failure;

static int set_up(void **state) {
    (void)state;
    guard = t_guard_create();
    assert_int_equal(covet_json_compile(&node_json), 0);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    t_guard_destroy(guard);
    cv_index_force(cv_cpu_simd());
    cv_utf8_force(cv_cpu_simd());
    return 0;
}

static int begin(void **state) {
    (void)state;
    t_json_memory_init(&memory);
    memset(&failure, 0, sizeof(failure));
    return 0;
}

static int end(void **state) {
    (void)state;
    t_json_memory_deinit(&memory);
    return 0;
}

static int parse(const struct covet_json *description, void *target, const char *text) {
    size_t length = strlen(text);

    memset(target, 0x5a, description->bytes);
    return covet_json_parse(description, target, t_guard_at_end(guard, text, length), length,
                            &memory.memory, 0, &failure);
}

static void check_span(struct covet_span span, const char *expected) {
    assert_non_null(span.data);
    assert_int_equal(span.length, strlen(expected));
    assert_memory_equal(span.data, expected, span.length);
}

static void check_item(const struct item *item) {
    assert_int_equal(item->id, -7);
    check_span(item->name, "L\xc3\xa4mp");
    assert_true(item->price == 1.5 && item->has_price && item->active);
    assert_int_equal(item->tag_count, 3);
    check_span(item->tags[0], "a");
    check_span(item->tags[1], "");
    check_span(item->tags[2], "\n");
    assert_true(item->rating.score == 4.25 && item->rating.count == 3);
    assert_true(item->best->score == -1 && item->best->count == 0);
    assert_int_equal(item->rating_count, 2);
    assert_true(item->ratings[0].score == 1 && item->ratings[1].count == 4);
    check_span(item->note, "n");
    check_span(item->raw, "{\"x\":[1,2]}");
    assert_string_equal(item->text, "plain");
    assert_int_equal(item->number_count, 2);
    assert_true(item->numbers[0] == 1 && item->numbers[1] == -2);
}

static void test_bind_fills_a_struct_whatever_the_form(void **state) {
    static const char *const texts[] = {
        "{\"id\":-7,\"title\":\"L\xc3\xa4mp\",\"price\":1.5,\"active\":true,\"tags\":[\"a\",\"\","
        "\"\\n\"],"
        "\"rating\":{\"score\":4.25,\"count\":3},\"best\":{\"score\":-1,\"count\":0},"
        "\"ratings\":[{\"score\":1,\"count\":2},{\"score\":3,\"count\":4}],\"note\":\"n\","
        "\"raw\":{\"x\":[1,2]},\"text\":\"plain\",\"a key that is too long to be kept\":[1,-2]}",
        // White space everywhere.
        " { \"id\" : -7 , \"title\" : \"L\\u00e4mp\" , \"price\": 15e-1, \"active\" :true "
        ",\n\"tags\" "
        ": [ \"a\" , \"\" , \"\\u000a\" ] , \"rating\": { \"score\": 4.25 , \"count\": 3 "
        "},\t\"best\" : "
        "{ \"score\" : -1.0 , \"count\" : 0 } , \"ratings\" : [ { \"score\":1 , \"count\" :2 } , "
        "{\"score\": 3, \"count\": 4 } ] , \"note\" :\"n\" , \"raw\" : {\"x\":[1,2]} , \"text\" : "
        "\"plain\" , \"a key that is too long to be kept\" : [ 1 , -2 ] } ",
        // Any order, unknown members between, escapes in keys.
        "{\"a key that is too long to be kept\":[1,-2],\"text\":\"plain\",\"raw\":{\"x\":[1,2]},"
        "\"what\":[{\"id\":9}],\"not\\u0065\":\"n\",\"ratings\":[{\"count\":2,\"score\":1},"
        "{\"count\":4,\"x\":null,\"score\":3}],\"best\":{\"count\":0,\"score\":-1},\"Id\":true,"
        "\"rating\":{\"count\":3,\"score\":4.25},\"tags\":[\"a\",\"\",\"\\n\"],\"active\":true,"
        "\"price\":1.5,\"\\u0074itle\":\"L\xc3\xa4mp\",\"id\":-7,\"idd\":7,\"i\":0}",
    };

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(texts); i++) {
        for (int simd = CV_SIMD_SCALAR; simd <= (int)cv_cpu_simd(); simd++) {
            struct item item;

            assert_true(cv_index_force((enum cv_simd)simd) && cv_utf8_force((enum cv_simd)simd));
            if (parse(&item_json, &item, texts[i]) != 0)
                fail_msg("%s at %zu, %s", failure.reason, failure.offset, failure.path);
            check_item(&item);
        }
    }
}

static void test_bind_leaves_what_is_missing_clear(void **state) {
    struct item item;

    (void)state;
    assert_int_equal(parse(&item_json, &item, "{\"id\":1,\"title\":\"\"}"), 0);
    assert_int_equal(item.id, 1);
    assert_true(item.price == 0 && !item.has_price && !item.active);
    assert_true(item.tags == NULL && item.tag_count == 0 && item.best == NULL);
    assert_true(item.note.data == NULL && item.text == NULL);
}

static void test_bind_takes_null_where_it_may_be(void **state) {
    struct item item;

    (void)state;
    assert_int_equal(parse(&item_json, &item,
                           "{\"id\":1,\"title\":\"\",\"best\":null,\"ratings\":null,\"note\":null,"
                           "\"raw\":null}"),
                     0);
    assert_true(item.best == NULL && item.ratings == NULL && item.note.data == NULL);
    check_span(item.raw, "null");
    assert_int_equal(parse(&item_json, &item, "{\"id\":1,\"title\":null}"), -EDOM);
    assert_string_equal(failure.reason, "null is not allowed here");
    assert_string_equal(failure.path, "title");
}

static void test_bind_tells_empty_arrays_from_absent_ones(void **state) {
    struct item item;

    (void)state;
    assert_int_equal(
        parse(&item_json, &item, "{\"id\":1,\"title\":\"\",\"tags\":[ ],\"ratings\":[]}"), 0);
    assert_true(item.tags != NULL && item.tag_count == 0);
    assert_true(item.ratings != NULL && item.rating_count == 0);
}

static void test_bind_keeps_every_element_of_long_arrays(void **state) {
    static char text[16384];
    struct item item;

    (void)state;
    for (size_t count = 1; count < 400; count += count < 70 ? 1 : 29) {
        size_t length =
            (size_t)snprintf(text, sizeof(text), "{\"id\":1,\"title\":\"\",\"ratings\":[");

        for (size_t i = 0; i < count; i++)
            length += (size_t)snprintf(text + length, sizeof(text) - length,
                                       "%s{\"score\":1,\"count\":%zu}", i == 0 ? "" : ",", i);
        assert_true(length + 4 < sizeof(text));
        memcpy(text + length, "]}", 3);
        assert_int_equal(parse(&item_json, &item, text), 0);
        assert_int_equal(item.rating_count, count);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(item.ratings[i].count, i);
    }
}

static void test_bind_checks_ranges(void **state) {
    static const struct {
        const char *key;
        const char *lowest, *highest, *below, *above;
    } cases[] = {
        {"i8", "-128", "127", "-129", "128"},
        {"u8", "0", "255", "-1", "256"},
        {"i16", "-32768", "32767", "-32769", "32768"},
        {"u16", "-0", "65535", "-1", "65536"},
        {"i32", "-2147483648", "2147483647", "-2147483649", "2147483648"},
        {"u32", "0", "4294967295", "-4294967295", "4294967296"},
        {"i64", "-9223372036854775808", "9223372036854775807", "-9223372036854775809",
         "9223372036854775808"},
        {"u64", "0", "18446744073709551615", "-1", "18446744073709551616"},
        {"f", "-3.4028234663852886e38", "3.4028234663852886e38", "-3.5e38", "3.5e38"},
    };
    struct integers integers;
    char text[128];

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        const char *const numbers[] = {cases[i].lowest, cases[i].highest, cases[i].below,
                                       cases[i].above};

        for (size_t j = 0; j < CV_ARRAY_COUNT(numbers); j++) {
            (void)snprintf(text, sizeof(text), "{\"%s\":%s}", cases[i].key, numbers[j]);
            assert_int_equal(parse(&integers_json, &integers, text), j < 2 ? 0 : -EDOM);
            if (j < 2)
                continue;
            assert_string_equal(failure.reason, "the number is out of range");
            assert_string_equal(failure.path, cases[i].key);
            assert_int_equal(failure.offset, strlen(cases[i].key) + 4);
        }
    }
}

static void test_bind_reads_numbers_of_every_width(void **state) {
    struct integers integers;
    struct plain plain;

    (void)state;
    assert_int_equal(parse(&integers_json, &integers,
                           "{\"i8\":-8,\"u8\":200,\"i16\":-1600,\"u16\":60000,\"i32\":-320000,"
                           "\"u32\":4000000000,\"i64\":-6400000000,\"u64\":18000000000000000000,"
                           "\"f\":0.5,\"d\":7}"),
                     0);
    assert_true(integers.i8 == -8 && integers.u8 == 200 && integers.i16 == -1600 &&
                integers.u16 == 60000 && integers.i32 == -320000);
    assert_true(integers.u32 == 4000000000u && integers.i64 == -6400000000);
    assert_true(integers.u64 == 18000000000000000000u && integers.f == 0.5f && integers.d == 7);
    assert_true(integers.b);
    assert_int_equal(parse(&plain_json, &plain,
                           "{\"i8\": -8,\"u8\":\n200,\"i32\":-320000,\"u64\":18000000000000000000,"
                           "\"b\": false,\"f\": -0.0}"),
                     0);
    assert_true(plain.i8 == -8 && plain.u8 == 200 && plain.i32 == -320000);
    assert_true(plain.u64 == 18000000000000000000u && !plain.b);
    assert_true(plain.f == 0 && signbit(plain.f));
}

static void test_bind_says_what_does_not_fit_and_where(void **state) {
    static const struct {
        const char *text, *reason, *path;
    } cases[] = {
        {"[]", "an object is expected", ""},
        {"1", "an object is expected", ""},
        {"null", "an object is expected", ""},
        {"{}", "a key is missing", "id"},
        {"{\"id\":1}", "a key is missing", "title"},
        {"{\"id\":\"1\",\"title\":\"\"}", "an integer is expected", "id"},
        {"{\"id\":1.0,\"title\":\"\"}", "an integer is expected", "id"},
        {"{\"id\":1e3,\"title\":\"\"}", "an integer is expected", "id"},
        {"{\"id\":1234567890123456789012,\"title\":\"\"}", "the number is out of range", "id"},
        {"{\"id\":true,\"title\":\"\"}", "an integer is expected", "id"},
        {"{\"id\":1,\"title\":2}", "a string is expected", "title"},
        {"{\"id\":1,\"title\":\"\",\"price\":\"2\"}", "a number is expected", "price"},
        {"{\"id\":1,\"title\":\"\",\"active\":1}", "true or false is expected", "active"},
        {"{\"id\":1,\"title\":\"\",\"tags\":{}}", "an array is expected", "tags"},
        {"{\"id\":1,\"title\":\"\",\"tags\":[\"a\",5]}", "a string is expected", "tags[1]"},
        {"{\"id\":1,\"title\":\"\",\"tags\":[\"a\",null]}", "null is not allowed here", "tags[1]"},
        {"{\"id\":1,\"title\":\"\",\"rating\":[]}", "an object is expected", "rating"},
        {"{\"id\":1,\"title\":\"\",\"best\":[]}", "an object is expected", "best"},
        {"{\"id\":1,\"title\":\"\",\"rating\":{\"score\":1}}", "a key is missing", "rating.count"},
        {"{\"id\":1,\"title\":\"\",\"ratings\":[{\"score\":1,\"count\":1},{\"score\":{},\"count\":"
         "1}]}",
         "a number is expected", "ratings[1].score"},
        {"{\"id\":1,\"title\":\"\",\"ratings\":[{\"score\":1,\"count\":1},{\"score\":1}]}",
         "a key is missing", "ratings[1].count"},
        {"{\"id\":1,\"title\":\"\",\"id\":2}", "a key for the second time", "id"},
        {"{\"id\":1,\"\\u0069d\":2,\"title\":\"\"}", "a key for the second time", "id"},
        {"{\"id\":1,\"title\":\"\",\"best\":{\"score\":1,\"score\":1,\"count\":1}}",
         "a key for the second time", "best.score"},
        {"{\"id\":1,\"title\":\"\",\"text\":\"a\\u0000b\"}",
         "a NUL byte in a text that ends in one", "text"},
        {"{\"id\":1,\"title\":\"\",\"text\":7}", "a string is expected", "text"},
        // The first of several.
        {"{\"id\":[1],\"title\":5,\"tags\":7}", "an integer is expected", "id"},
    };

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        struct item item;

        assert_int_equal(parse(&item_json, &item, cases[i].text), -EDOM);
        assert_int_equal(failure.error, -EDOM);
        assert_string_equal(failure.reason, cases[i].reason);
        assert_string_equal(failure.path, cases[i].path);
    }
}

static void test_bind_prefers_to_say_that_it_is_no_json(void **state) {
    static const char *const texts[] = {
        "{\"id\":\"wrong type\",\"title\":\"\",}",
        "{\"title\":\"\"} x",
        "{\"id\":1,\"id\":2,\"title\":\"\",\"x\":[1,}",
        "[1,2",
        "{\"id\":1,\"title\":\"\\q\"}",
        "{\"id\":01,\"title\":\"\"}",
        "{\"id\":1,\"title\":\"\",\"tags\":[\"a\",]}",
        "{\"id\":1,\"title\":\"\",\"x\":[\"a\",]}",
        "{\"id\":1,\"title\":\"\xc3\"}",
        "{\"id\":1,\"title\":\"\",\"raw\":{a}}",
        "{\"id\":1,\"title\":\"\",\"best\":nul}",
        "",
        "{\"id\":1,\"title\"::\"\"}",
        "{\"id\":1,\"title\":\"\",\"tags\":[\"a\" \"b\"]}",
    };

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(texts); i++) {
        struct item item;

        if (parse(&item_json, &item, texts[i]) != -EBADMSG)
            fail_msg("%s", texts[i]);
    }
}

static void test_bind_never_takes_a_truncated_text(void **state) {
    static const char text[] =
        "{\"id\":-7,\"title\":\"L\xc3\xa4mp\",\"price\":1.5,\"tags\":[\"a\",\"\\n\"],\"rating\":"
        "{\"score\":4.25,\"count\":3},\"unknown\":[{}],\"text\":\"plain\"}";

    (void)state;
    for (size_t length = 0; length < sizeof(text) - 1; length++) {
        struct item item;

        assert_int_equal(covet_json_parse(&item_json, &item, t_guard_at_end(guard, text, length),
                                          length, &memory.memory, 0, &failure),
                         -EBADMSG);
        assert_true(failure.offset <= length);
    }
}

static void test_bind_refuses_unknown_keys_when_asked(void **state) {
    static const char text[] =
        "{\"id\":1,\"title\":\"\",\"best\":{\"score\":1,\"count\":1,\"x\":2}}";
    struct item item;

    (void)state;
    assert_int_equal(parse(&item_json, &item, text), 0);
    assert_int_equal(covet_json_parse(&item_json, &item, text, strlen(text), &memory.memory,
                                      COVET_JSON_REFUSE_UNKNOWN, &failure),
                     -EDOM);
    assert_string_equal(failure.reason, "a key that is not known");
    assert_string_equal(failure.path, "best.x");
}

static void test_bind_follows_pointers_up_to_64_levels(void **state) {
    char text[2048];
    struct node node;

    (void)state;
    for (size_t levels = 63; levels <= 65; levels++) {
        size_t length = 0;

        for (size_t i = 0; i < levels; i++)
            length += (size_t)snprintf(text + length, sizeof(text) - length, "{\"value\":%zu%s", i,
                                       i + 1 == levels ? "" : ",\"next\":");
        memset(text + length, '}', levels);
        text[length + levels] = '\0';
        if (levels == 65) {
            assert_int_equal(parse(&node_json, &node, text), -EBADMSG);
            assert_string_equal(failure.reason, "nested more than 64 deep");
            continue;
        }
        assert_int_equal(parse(&node_json, &node, text), 0);
        const struct node *at = &node;
        for (size_t i = 0; i < levels; i++, at = at->next)
            assert_int_equal(at->value, i);
        assert_null(at);
    }
}

static void test_bind_keeps_to_the_memory_allowed(void **state) {
    static const char *const texts[] = {
        "{\"id\":1,\"title\":\"\\n\"}",
        "{\"id\":1,\"title\":\"\",\"tags\":[\"a\"]}",
        "{\"id\":1,\"title\":\"\",\"best\":{\"score\":1,\"count\":1}}",
        "{\"id\":1,\"title\":\"\",\"text\":\"a\"}",
    };
    struct item item;

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(texts); i++) {
        memory.memory.bytes_left = SIZE_MAX;
        assert_int_equal(parse(&item_json, &item, texts[i]), 0);
        // One byte less than it needs.
        memory.memory.bytes_left = SIZE_MAX - memory.memory.bytes_left - 1;
        assert_int_equal(parse(&item_json, &item, texts[i]), -E2BIG);
    }
    assert_int_equal(covet_json_parse(&item_json, &item, texts[0], strlen(texts[0]), NULL, 0, NULL),
                     -E2BIG);
}

static void test_bind_refuses_a_description_with_a_mistake(void **state) {
    static struct covet_json_field fields[] = {
        COVET_JSON_FIELD(struct rating, score),
        COVET_JSON_FIELD(struct rating, count, .key = "score"),
        {.member = NULL},
    };
    static struct covet_json description = {
        .fields = fields, .field_count = 2, .bytes = sizeof(struct rating)};
    struct rating rating;

    (void)state;
    assert_int_equal(covet_json_parse(&description, &rating, "{}", 2, NULL, 0, &failure), -EINVAL);
    assert_int_equal(covet_json_compile(&description), -EINVAL);
    assert_int_equal(covet_json_parse(&description, &rating, "{}", 2, NULL, 0, &failure), -EINVAL);
    assert_string_equal(failure.reason, "two fields have this key");
}

struct child;

struct parent {
    struct child *child;
    struct child *children;
    size_t child_count;
};

struct child {
    struct parent *parent;
    uint32_t first, second;
};

// The child's mistake is found when the parent's, which leads back to it, has been compiled.
static struct covet_json parent_json;
COVET_JSON(child_json, struct child, COVET_JSON_POINTER(struct child, parent, parent_json),
           COVET_JSON_FIELD(struct child, first, .key = "parent"),
           COVET_JSON_FIELD(struct child, second));
COVET_JSON(parent_json, struct parent,
           COVET_JSON_POINTER(struct parent, child, child_json, .flags = COVET_JSON_OPTIONAL),
           COVET_JSON_OBJECTS(struct parent, children, child_count, child_json,
                              .flags = COVET_JSON_OPTIONAL));

static void test_bind_refuses_a_mistake_in_what_leads_back(void **state) {
    static const char *const texts[] = {"{\"child\":{\"\":1}}", "{\"children\":[{\"\":1}]}"};
    struct parent parent;

    (void)state;
    assert_int_equal(covet_json_compile(&child_json), -EINVAL);
    assert_int_equal(covet_json_compile(&parent_json), 0);
    for (size_t i = 0; i < CV_ARRAY_COUNT(texts); i++) {
        memory.memory.bytes_left = SIZE_MAX;
        assert_int_equal(parse(&parent_json, &parent, texts[i]), -EINVAL);
        assert_string_equal(failure.reason, "two fields have this key");
    }
    assert_int_equal(parse(&parent_json, &parent, "{\"child\":null}"), 0);
}

static void test_bind_reads_what_the_writer_writes(void **state) {
    static struct rating ratings[] = {{0.1, 1}, {1e300, 4294967295}};
    static struct covet_span tags[] = {{"\"\\\n\x01\xc3\xa9", 6}, {"", 0}};
    static int64_t numbers[] = {INT64_MIN, INT64_MAX, 0};
    const struct item item = {.id = INT64_MIN,
                              .name = {"/\x7f\"", 3},
                              .price = -0.0,
                              .has_price = true,
                              .tags = tags,
                              .tag_count = 2,
                              .rating = {5e-324, 7},
                              .best = &ratings[1],
                              .ratings = ratings,
                              .rating_count = 2,
                              .text = "t",
                              .numbers = numbers,
                              .number_count = 3};
    struct covet_json_writer writer;
    struct covet_span text, again;
    struct item read;
    char first[2048], second[2048];

    (void)state;
    covet_json_writer_init(&writer, first, sizeof(first), NULL, NULL);
    assert_int_equal(covet_json_write_struct(&writer, &item_json, &item), 0);
    assert_int_equal(covet_json_writer_finish(&writer, &text), 0);
    assert_int_equal(covet_json_parse(&item_json, &read, text.data, text.length, &memory.memory,
                                      COVET_JSON_REFUSE_UNKNOWN, &failure),
                     0);
    assert_true(read.id == item.id && read.numbers[1] == INT64_MAX && read.ratings[0].score == 0.1);
    covet_json_writer_init(&writer, second, sizeof(second), NULL, NULL);
    assert_int_equal(covet_json_write_struct(&writer, &item_json, &read), 0);
    assert_int_equal(covet_json_writer_finish(&writer, &again), 0);
    assert_int_equal(again.length, text.length);
    assert_memory_equal(again.data, text.data, text.length);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_bind_fills_a_struct_whatever_the_form),
        TEST(test_bind_leaves_what_is_missing_clear),
        TEST(test_bind_takes_null_where_it_may_be),
        TEST(test_bind_tells_empty_arrays_from_absent_ones),
        TEST(test_bind_keeps_every_element_of_long_arrays),
        TEST(test_bind_checks_ranges),
        TEST(test_bind_reads_numbers_of_every_width),
        TEST(test_bind_says_what_does_not_fit_and_where),
        TEST(test_bind_prefers_to_say_that_it_is_no_json),
        TEST(test_bind_never_takes_a_truncated_text),
        TEST(test_bind_refuses_unknown_keys_when_asked),
        TEST(test_bind_follows_pointers_up_to_64_levels),
        TEST(test_bind_keeps_to_the_memory_allowed),
        TEST(test_bind_refuses_a_description_with_a_mistake),
        TEST(test_bind_refuses_a_mistake_in_what_leads_back),
        TEST(test_bind_reads_what_the_writer_writes),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
