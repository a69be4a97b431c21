#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "json/escape.h"
#include "json/object.h"

struct rating {
    double score;
    uint32_t count;
};

struct all {
    bool boolean;
    int8_t int8;
    int16_t int16;
    int32_t int32;
    int64_t int64;
    uint8_t uint8;
    uint16_t uint16;
    uint32_t uint32;
    uint64_t uint64;
    float single;
    double real;
    struct covet_span span;
    const char *text;
    struct covet_span raw;
    struct rating rating;
    struct rating *pointer;
    struct covet_span *spans;
    size_t span_count;
    int64_t *numbers;
    size_t number_count;
    const char **texts;
    size_t text_count;
    struct rating *ratings;
    size_t rating_count;
    double *doubles;
    size_t double_count;
};

COVET_JSON(rating_json, struct rating, COVET_JSON_FIELD(struct rating, score),
           COVET_JSON_FIELD(struct rating, count));

COVET_JSON(all_json, struct all, COVET_JSON_FIELD(struct all, boolean),
           COVET_JSON_FIELD(struct all, int8), COVET_JSON_FIELD(struct all, int16),
           COVET_JSON_FIELD(struct all, int32), COVET_JSON_FIELD(struct all, int64),
           COVET_JSON_FIELD(struct all, uint8), COVET_JSON_FIELD(struct all, uint16),
           COVET_JSON_FIELD(struct all, uint32), COVET_JSON_FIELD(struct all, uint64),
           COVET_JSON_FIELD(struct all, single), COVET_JSON_FIELD(struct all, real),
           COVET_JSON_FIELD(struct all, span), COVET_JSON_FIELD(struct all, text),
           COVET_JSON_RAW(struct all, raw), COVET_JSON_OBJECT(struct all, rating, rating_json),
           COVET_JSON_POINTER(struct all, pointer, rating_json),
           COVET_JSON_ARRAY(struct all, spans, span_count),
           COVET_JSON_ARRAY(struct all, numbers, number_count),
           COVET_JSON_ARRAY(struct all, texts, text_count),
           COVET_JSON_OBJECTS(struct all, ratings, rating_count, rating_json,
                              .key = "a key that does not fit into one fragment"),
           COVET_JSON_ARRAY(struct all, doubles, double_count,
                            .key = "another key that does not fit into one fragment"));

struct maybe {
    int32_t a;
    bool has_a;
    int32_t b;
    bool has_b;
    struct covet_span c;
    const char *d;
    struct rating *e;
    struct covet_span *f;
    size_t f_count;
    struct covet_span g;
    struct rating h;
    bool has_h;
};

COVET_JSON(maybe_json, struct maybe,
           COVET_JSON_FIELD(struct maybe, a, .flags = COVET_JSON_OPTIONAL,
                            COVET_JSON_PRESENT(struct maybe, has_a)),
           COVET_JSON_FIELD(struct maybe, b, .flags = COVET_JSON_NULLABLE,
                            COVET_JSON_PRESENT(struct maybe, has_b)),
           COVET_JSON_FIELD(struct maybe, c, .flags = COVET_JSON_NULLABLE),
           COVET_JSON_FIELD(struct maybe, d, .flags = COVET_JSON_OPTIONAL),
           COVET_JSON_POINTER(struct maybe, e, rating_json, .flags = COVET_JSON_OPTIONAL),
           COVET_JSON_ARRAY(struct maybe, f, f_count, .flags = COVET_JSON_NULLABLE),
           COVET_JSON_RAW(struct maybe, g, .flags = COVET_JSON_OPTIONAL | COVET_JSON_NULLABLE,
                          .key = "another key that does not fit into one fragment"),
           COVET_JSON_OBJECT(struct maybe, h, rating_json, .flags = COVET_JSON_OPTIONAL,
                             COVET_JSON_PRESENT(struct maybe, has_h)));

struct tree {
    int value;
    struct tree *next;
    struct tree *children;
    size_t child_count;
};

COVET_JSON(tree_json, struct tree, COVET_JSON_FIELD(struct tree, value),
           COVET_JSON_POINTER(struct tree, next, tree_json, .flags = COVET_JSON_OPTIONAL),
           COVET_JSON_OBJECTS(struct tree, children, child_count, tree_json,
                              .flags = COVET_JSON_OPTIONAL));

static struct covet_span span(const char *text) {
    return (struct covet_span){text, strlen(text)};
}

static void *blocks[64];
static size_t block_count;

static void *alloc(void *context, size_t bytes) {
    (void)context;
    assert_true(block_count < 64);
    blocks[block_count] = malloc(bytes);
    return blocks[block_count++];
}

static void free_blocks(void) {
    while (block_count > 0)
        free(blocks[--block_count]);
}

// Writes the struct in memory that grows and in fixed memory of every size, on every code path.
static void check(const struct covet_json *description, const void *value, const char *expected) {
    struct covet_json_writer writer;
    struct covet_span text;
    size_t length = strlen(expected);

    for (int simd = CV_SIMD_SCALAR; simd <= CV_SIMD_AVX2; simd++) {
        if (!cv_object_force((enum cv_simd)simd) || !cv_escape_force((enum cv_simd)simd))
            continue;
        covet_json_writer_init(&writer, NULL, 0, alloc, NULL);
        assert_int_equal(covet_json_write_struct(&writer, description, value), 0);
        assert_int_equal(covet_json_writer_finish(&writer, &text), 0);
        if (text.length != length || memcmp(text.data, expected, length) != 0)
            fail_msg("%.*s", (int)text.length, text.data);
        free_blocks();
        for (size_t bytes = 0; bytes < length + 900; bytes++) {
            char *memory = malloc(bytes + 1);
            int result = bytes < length ? -ENOSPC : 0;

            covet_json_writer_init(&writer, memory, bytes, NULL, NULL);
            assert_int_equal(covet_json_write_struct(&writer, description, value), result);
            assert_int_equal(covet_json_writer_finish(&writer, &text), result);
            if (result == 0) {
                assert_int_equal(text.length, length);
                assert_memory_equal(text.data, expected, length);
            }
            free(memory);
        }
    }
    cv_object_force(cv_cpu_simd());
    cv_escape_force(cv_cpu_simd());
}

static void test_object_writes_every_kind_of_field(void **state) {
    struct covet_span spans[] = {span("a"),
                                 {NULL, 0},
                                 span("\"quoted\""),
                                 span("this one has more than thirty-two bytes in it")};
    int64_t numbers[] = {0, -1, INT64_MAX, 12345678};
    const char *texts[] = {"x", NULL, "caf\xc3\xa9"};
    struct rating ratings[] = {{4.5, 10}, {1e21, 4000000000}};
    double doubles[] = {0.1, -2, 1e-7};
    struct all all = {
        .boolean = true,
        .int8 = INT8_MIN,
        .int16 = INT16_MIN,
        .int32 = INT32_MIN,
        .int64 = INT64_MIN,
        .uint8 = UINT8_MAX,
        .uint16 = UINT16_MAX,
        .uint32 = UINT32_MAX,
        .uint64 = UINT64_MAX,
        .single = 0.1f,
        .real = -1.7976931348623157e308,
        .span = span("Hello, World!"),
        .text = "tab\there",
        .raw = span("[1, 2]"),
        .rating = {4.6, 318},
        .pointer = &ratings[0],
        .spans = spans,
        .span_count = 4,
        .numbers = numbers,
        .number_count = 4,
        .texts = texts,
        .text_count = 3,
        .ratings = ratings,
        .rating_count = 2,
        .doubles = doubles,
        .double_count = 3,
    };

    (void)state;
    check(&all_json, &all,
          "{\"boolean\":true,\"int8\":-128,\"int16\":-32768,\"int32\":-2147483648,"
          "\"int64\":-9223372036854775808,\"uint8\":255,\"uint16\":65535,\"uint32\":4294967295,"
          "\"uint64\":18446744073709551615,\"single\":0.1,\"real\":-1.7976931348623157e+308,"
          "\"span\":\"Hello, World!\",\"text\":\"tab\\there\",\"raw\":[1, 2],"
          "\"rating\":{\"score\":4.6,\"count\":318},\"pointer\":{\"score\":4.5,\"count\":10},"
          "\"spans\":[\"a\",\"\",\"\\\"quoted\\\"\","
          "\"this one has more than thirty-two bytes in it\"],"
          "\"numbers\":[0,-1,9223372036854775807,12345678],"
          "\"texts\":[\"x\",\"\",\"caf\xc3\xa9\"],"
          "\"a key that does not fit into one fragment\":"
          "[{\"score\":4.5,\"count\":10},{\"score\":1e+21,\"count\":4000000000}],"
          "\"another key that does not fit into one fragment\":[0.1,-2,1e-7]}");
}

static void test_object_writes_a_zeroed_struct_as_empty_values(void **state) {
    struct all all;

    (void)state;
    memset(&all, 0, sizeof(all));
    check(&all_json, &all,
          "{\"boolean\":false,\"int8\":0,\"int16\":0,\"int32\":0,\"int64\":0,\"uint8\":0,"
          "\"uint16\":0,\"uint32\":0,\"uint64\":0,\"single\":0,\"real\":0,\"span\":\"\","
          "\"text\":\"\",\"raw\":null,\"rating\":{\"score\":0,\"count\":0},\"pointer\":null,"
          "\"spans\":[],\"numbers\":[],\"texts\":[],"
          "\"a key that does not fit into one fragment\":[],"
          "\"another key that does not fit into one fragment\":[]}");
}

static void test_object_leaves_out_or_nulls_what_is_absent(void **state) {
    struct covet_span spans[] = {span("x")};
    struct rating rating = {1, 2};
    struct maybe maybe = {.a = 5, .b = 6};

    (void)state;
    check(&maybe_json, &maybe, "{\"b\":null,\"c\":null,\"f\":null}");
    maybe.has_a = true;
    maybe.c = span("");
    maybe.f = spans;
    check(&maybe_json, &maybe, "{\"a\":5,\"b\":null,\"c\":\"\",\"f\":[]}");
    maybe = (struct maybe){
        .b = 6,
        .has_b = true,
        .c = span("c"),
        .d = "d",
        .e = &rating,
        .f = spans,
        .f_count = 1,
        .g = span("{}"),
        .h = rating,
        .has_h = true,
    };
    check(&maybe_json, &maybe,
          "{\"b\":6,\"c\":\"c\",\"d\":\"d\",\"e\":{\"score\":1,\"count\":2},\"f\":[\"x\"],"
          "\"another key that does not fit into one fragment\":{},"
          "\"h\":{\"score\":1,\"count\":2}}");
}

struct only {
    const char *text;
};

COVET_JSON(only_json, struct only,
           COVET_JSON_FIELD(struct only, text, .flags = COVET_JSON_OPTIONAL));

static void test_object_may_be_empty(void **state) {
    struct only only = {NULL};

    (void)state;
    check(&only_json, &only, "{}");
    only.text = "a";
    check(&only_json, &only, "{\"text\":\"a\"}");
}

static void test_object_writes_what_leads_back_to_itself(void **state) {
    struct tree leaves[] = {{.value = 3}, {.value = 4}};
    struct tree second = {.value = 2, .children = leaves, .child_count = 2};
    struct tree first = {.value = 1, .next = &second};

    (void)state;
    check(&tree_json, &first,
          "{\"value\":1,\"next\":{\"value\":2,\"children\":[{\"value\":3},{\"value\":4}]}}");
}

static int write_chain(size_t length, size_t bytes) {
    struct tree *nodes = calloc(length, sizeof(*nodes));
    struct covet_json_writer writer;
    struct covet_span text;
    char *memory = malloc(bytes);

    for (size_t i = 0; i + 1 < length; i++)
        nodes[i].next = &nodes[i + 1];
    covet_json_writer_init(&writer, memory, bytes, NULL, NULL);
    covet_json_write_struct(&writer, &tree_json, nodes);
    int result = covet_json_writer_finish(&writer, &text);
    free(nodes);
    free(memory);
    return result;
}

static void test_object_nests_64_deep_and_no_deeper(void **state) {
    static const char link[] = "{\"value\":0,\"next\":}";
    size_t length = COVET_JSON_DEPTH_MAX * (sizeof(link) - 1) - sizeof(",\"next\":") + 1;

    (void)state;
    assert_int_equal(write_chain(64, 1 << 16), 0);
    assert_int_equal(write_chain(65, 1 << 16), -ELOOP);
    // Piece by piece, too: without room for the walk.
    assert_int_equal(write_chain(64, length), 0);
    assert_int_equal(write_chain(64, length - 1), -ENOSPC);
    assert_int_equal(write_chain(65, length + 18), -ELOOP);
}

static void test_object_that_contains_itself_ends(void **state) {
    struct tree tree = {.value = 1};
    struct covet_json_writer writer;
    char memory[4096];

    (void)state;
    tree.next = &tree;
    covet_json_writer_init(&writer, memory, sizeof(memory), NULL, NULL);
    assert_int_equal(covet_json_write_struct(&writer, &tree_json, &tree), -ELOOP);
}

static void test_object_refuses_what_has_no_form(void **state) {
    static const char bad[] = "caf\xe9";
    struct covet_span spans[] = {span("a"), span(bad)};
    double doubles[] = {1, __builtin_inf()};
    const struct {
        struct all all;
        int error;
    } cases[] = {
        {{.real = __builtin_nan("")}, -EDOM},
        {{.real = -__builtin_inf()}, -EDOM},
        {{.single = __builtin_inff()}, -EDOM},
        {{.rating = {__builtin_inf(), 1}}, -EDOM},
        {{.doubles = doubles, .double_count = 2}, -EDOM},
        {{.span = {bad, 4}}, -EILSEQ},
        {{.text = bad}, -EILSEQ},
        {{.spans = spans, .span_count = 2}, -EILSEQ},
    };
    char memory[4096];

    (void)state;
    for (int simd = CV_SIMD_SCALAR; simd <= CV_SIMD_AVX2; simd++) {
        if (!cv_object_force((enum cv_simd)simd))
            continue;
        for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
            // The second size has no room for the walk.
            for (size_t bytes = sizeof(memory); bytes > 0; bytes = bytes == 700 ? 0 : 700) {
                struct covet_json_writer writer;
                struct covet_span text;

                covet_json_writer_init(&writer, memory, bytes, NULL, NULL);
                assert_int_equal(covet_json_write_struct(&writer, &all_json, &cases[i].all),
                                 cases[i].error);
                assert_int_equal(covet_json_writer_finish(&writer, &text), cases[i].error);
            }
        }
    }
}

static void test_object_is_a_value_among_others(void **state) {
    struct rating rating = {2.5, 7};
    struct covet_json_writer writer;
    struct covet_span text;
    static const char expected[] =
        "{\"a\":[{\"score\":2.5,\"count\":7},{\"score\":2.5,\"count\":7}],"
        "\"b\":{\"score\":2.5,\"count\":7}}";

    (void)state;
    for (size_t bytes = 0; bytes < sizeof(expected) + 200; bytes++) {
        char *memory = malloc(bytes + 1);
        int result = bytes < sizeof(expected) - 1 ? -ENOSPC : 0;

        covet_json_writer_init(&writer, memory, bytes, NULL, NULL);
        covet_json_write_object_begin(&writer);
        covet_json_write_key(&writer, "a");
        covet_json_write_array_begin(&writer);
        covet_json_write_struct(&writer, &rating_json, &rating);
        covet_json_write_struct(&writer, &rating_json, &rating);
        covet_json_write_array_end(&writer);
        covet_json_write_key(&writer, "b");
        covet_json_write_struct(&writer, &rating_json, &rating);
        covet_json_write_object_end(&writer);
        assert_int_equal(covet_json_writer_finish(&writer, &text), result);
        if (result == 0) {
            assert_int_equal(text.length, sizeof(expected) - 1);
            assert_memory_equal(text.data, expected, text.length);
        }
        free(memory);
    }
}

static void test_object_needs_its_place_and_a_right_description(void **state) {
    static struct covet_json never_compiled;
    struct rating rating = {1, 2};
    struct covet_json_writer writer;
    char memory[512];

    (void)state;
    covet_json_writer_init(&writer, memory, sizeof(memory), NULL, NULL);
    assert_int_equal(covet_json_write_struct(&writer, &never_compiled, &rating), -EINVAL);
    covet_json_writer_init(&writer, memory, sizeof(memory), NULL, NULL);
    covet_json_write_object_begin(&writer);
    assert_int_equal(covet_json_write_struct(&writer, &rating_json, &rating), -EINVAL);
    covet_json_writer_init(&writer, memory, sizeof(memory), NULL, NULL);
    assert_int_equal(covet_json_write_struct(&writer, &rating_json, &rating), 0);
    assert_int_equal(covet_json_write_struct(&writer, &rating_json, &rating), -EINVAL);
}

static void test_object_grows_in_the_middle_of_everything(void **state) {
    static char long_text[20000];
    struct covet_span spans[300];
    int64_t numbers[3000];
    struct rating ratings[500];
    struct all all = {.spans = spans,
                      .span_count = 300,
                      .numbers = numbers,
                      .number_count = 3000,
                      .ratings = ratings,
                      .rating_count = 500,
                      .text = long_text};
    struct covet_json_writer writer;
    struct covet_span text[2];

    (void)state;
    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[10000] = '\n';
    for (size_t i = 0; i < 300; i++)
        spans[i] = (struct covet_span){long_text, i % 60};
    for (size_t i = 0; i < 3000; i++)
        numbers[i] = (int64_t)(i * 0x9e3779b97f4a7c15u);
    for (size_t i = 0; i < 500; i++)
        ratings[i] = (struct rating){(double)i / 7, (uint32_t)i};
    for (int simd = CV_SIMD_SCALAR; simd <= CV_SIMD_AVX2; simd++) {
        if (!cv_object_force((enum cv_simd)simd))
            continue;
        for (int round = 0; round < 2; round++) {
            // Once from nothing, growing many times, once into memory that is large enough.
            size_t bytes = round == 0 ? 0 : 1 << 20;

            covet_json_writer_init(&writer, bytes == 0 ? NULL : alloc(NULL, bytes), bytes, alloc,
                                   NULL);
            assert_int_equal(covet_json_write_struct(&writer, &all_json, &all), 0);
            assert_int_equal(covet_json_writer_finish(&writer, &text[round]), 0);
        }
        assert_int_equal(text[0].length, text[1].length);
        assert_memory_equal(text[0].data, text[1].data, text[0].length);
        free_blocks();
    }
}

static int tear_down(void **state) {
    (void)state;
    cv_object_force(cv_cpu_simd());
    free_blocks();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_object_writes_every_kind_of_field),
        cmocka_unit_test(test_object_writes_a_zeroed_struct_as_empty_values),
        cmocka_unit_test(test_object_leaves_out_or_nulls_what_is_absent),
        cmocka_unit_test(test_object_may_be_empty),
        cmocka_unit_test(test_object_writes_what_leads_back_to_itself),
        cmocka_unit_test(test_object_nests_64_deep_and_no_deeper),
        cmocka_unit_test(test_object_that_contains_itself_ends),
        cmocka_unit_test(test_object_refuses_what_has_no_form),
        cmocka_unit_test(test_object_is_a_value_among_others),
        cmocka_unit_test(test_object_needs_its_place_and_a_right_description),
        cmocka_unit_test(test_object_grows_in_the_middle_of_everything),
    };

    return cmocka_run_group_tests(tests, NULL, tear_down);
}
