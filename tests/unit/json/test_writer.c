#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "json/writer.h"

// Memory that ends where it was asked to end, so that a sanitizer sees every byte too many.
struct heap {
    void *blocks[64];
    size_t count;
    size_t count_max;  // The block after these is refused.
};

static void *heap_alloc(void *context, size_t bytes) {
    struct heap *heap = context;

    if (heap->count == heap->count_max)
        return NULL;
    heap->blocks[heap->count] = malloc(bytes);
    return heap->blocks[heap->count++];
}

static void heap_free(struct heap *heap) {
    for (size_t i = 0; i < heap->count; i++)
        free(heap->blocks[i]);
    heap->count = 0;
}

typedef int (*write_fn)(struct covet_json_writer *writer);

static void check_text(struct covet_json_writer *writer, const char *expected) {
    struct covet_span text = {NULL, 0};

    assert_int_equal(covet_json_writer_finish(writer, &text), 0);
    assert_int_equal(text.length, strlen(expected));
    assert_memory_equal(text.data, expected, text.length);
}

static void check_refused(struct covet_json_writer *writer, int error) {
    struct covet_span text = {"unchanged", 9};

    assert_int_equal(covet_json_writer_finish(writer, &text), error);
    assert_string_equal(text.data, "unchanged");
    // The first error stays, whatever comes.
    assert_int_equal(covet_json_write_null(writer), error);
    assert_int_equal(covet_json_write_key(writer, "key"), error);
    assert_int_equal(covet_json_write_array_begin(writer), error);
    assert_int_equal(covet_json_write_array_end(writer), error);
    assert_int_equal(covet_json_writer_finish(writer, &text), error);
}

// Runs `write` into memory that grows, then into fixed memory of every size up to what it needs.
static void run(write_fn write, const char *expected) {
    struct heap heap = {.count_max = 64};
    struct covet_json_writer writer;
    size_t length = strlen(expected);

    covet_json_writer_init(&writer, NULL, 0, heap_alloc, &heap);
    assert_int_equal(write(&writer), 0);
    check_text(&writer, expected);
    for (size_t bytes = 0; bytes <= length + 100; bytes += bytes < length + 2 ? 1 : 7) {
        char *memory = malloc(bytes + 1);

        covet_json_writer_init(&writer, memory, bytes, NULL, NULL);
        if (bytes < length) {
            write(&writer);
            check_refused(&writer, -ENOSPC);
        } else {
            assert_int_equal(write(&writer), 0);
            check_text(&writer, expected);
        }
        free(memory);
    }
    heap_free(&heap);
}

static struct covet_span span(const char *text) {
    return (struct covet_span){text, strlen(text)};
}

static int write_all_kinds(struct covet_json_writer *writer) {
    covet_json_write_object_begin(writer);
    covet_json_write_key(writer, "int");
    covet_json_write_int(writer, INT64_MIN);
    covet_json_write_key_span(writer, span("uint"));
    covet_json_write_uint(writer, UINT64_MAX);
    covet_json_write_key(writer, "doubles");
    covet_json_write_array_begin(writer);
    covet_json_write_double(writer, 0.1);
    covet_json_write_double(writer, -1e300);
    covet_json_write_array_end(writer);
    covet_json_write_key(writer, "\"\n");
    covet_json_write_array_begin(writer);
    covet_json_write_bool(writer, true);
    covet_json_write_bool(writer, false);
    covet_json_write_null(writer);
    covet_json_write_array_begin(writer);
    covet_json_write_array_end(writer);
    covet_json_write_object_begin(writer);
    covet_json_write_object_end(writer);
    covet_json_write_array_end(writer);
    covet_json_write_key(writer, "");
    covet_json_write_text(writer, "caf\xc3\xa9 \"\\\x1f");
    covet_json_write_key(writer, "none");
    covet_json_write_text(writer, NULL);
    covet_json_write_key(writer, "span");
    covet_json_write_span(writer, span("0123456789012345678901234567890123456789"));
    covet_json_write_key(writer, "raw");
    covet_json_write_raw(writer, span("{\"x\": 1}"));
    return covet_json_write_object_end(writer);
}

static void test_writer_writes_every_kind_of_value(void **state) {
    (void)state;
    run(write_all_kinds,
        "{\"int\":-9223372036854775808,\"uint\":18446744073709551615,\"doubles\":[0.1,-1e+300],"
        "\"\\\"\\n\":[true,false,null,[],{}],\"\":\"caf\xc3\xa9 \\\"\\\\\\u001f\",\"none\":null,"
        "\"span\":\"0123456789012345678901234567890123456789\",\"raw\":{\"x\": 1}}");
}

static int write_seven(struct covet_json_writer *writer) {
    return covet_json_write_int(writer, 7);
}

static int write_empty_text(struct covet_json_writer *writer) {
    return covet_json_write_span(writer, (struct covet_span){NULL, 0});
}

static int write_empty_array(struct covet_json_writer *writer) {
    covet_json_write_array_begin(writer);
    return covet_json_write_array_end(writer);
}

static void test_writer_takes_any_value_as_root(void **state) {
    (void)state;
    run(write_seven, "7");
    run(write_empty_text, "\"\"");
    run(write_empty_array, "[]");
}

// A text of 5000 bytes, every 7th of which needs an escape.
static char long_text[5001];
static char long_json[10003];

static int write_long(struct covet_json_writer *writer) {
    return covet_json_write_text(writer, long_text);
}

static void test_writer_writes_long_texts_with_escapes(void **state) {
    char *out = long_json;

    (void)state;
    *out++ = '"';
    for (size_t i = 0; i < 5000; i++) {
        long_text[i] = i % 7 == 0 ? '\t' : 'x';
        memcpy(out, i % 7 == 0 ? "\\t" : "x", 2);
        out += i % 7 == 0 ? 2 : 1;
    }
    memcpy(out, "\"", 2);

    struct heap heap = {.count_max = 64};
    struct covet_json_writer writer;
    covet_json_writer_init(&writer, NULL, 0, heap_alloc, &heap);
    assert_int_equal(write_long(&writer), 0);
    check_text(&writer, long_json);
    heap_free(&heap);
    for (size_t bytes = strlen(long_json) - 2; bytes < strlen(long_json) + 50; bytes++) {
        char *memory = malloc(bytes);

        covet_json_writer_init(&writer, memory, bytes, NULL, NULL);
        assert_int_equal(write_long(&writer), bytes < strlen(long_json) ? -ENOSPC : 0);
        free(memory);
    }
}

static void end_array(struct covet_json_writer *writer) {
    covet_json_write_array_end(writer);
}

static void two_roots(struct covet_json_writer *writer) {
    covet_json_write_int(writer, 1);
    covet_json_write_int(writer, 2);
}

static void two_root_objects(struct covet_json_writer *writer) {
    covet_json_write_object_begin(writer);
    covet_json_write_object_end(writer);
    covet_json_write_object_begin(writer);
}

static void nothing(struct covet_json_writer *writer) {
    (void)writer;
}

static void unfinished_array(struct covet_json_writer *writer) {
    covet_json_write_array_begin(writer);
}

static void unfinished_object(struct covet_json_writer *writer) {
    covet_json_write_object_begin(writer);
    covet_json_write_key(writer, "a");
    covet_json_write_int(writer, 1);
}

static void key_as_root(struct covet_json_writer *writer) {
    covet_json_write_key(writer, "a");
}

static void key_in_array(struct covet_json_writer *writer) {
    covet_json_write_array_begin(writer);
    covet_json_write_key(writer, "a");
}

static void two_keys(struct covet_json_writer *writer) {
    covet_json_write_object_begin(writer);
    covet_json_write_key(writer, "a");
    covet_json_write_key(writer, "b");
}

static void value_without_key(struct covet_json_writer *writer) {
    covet_json_write_object_begin(writer);
    covet_json_write_int(writer, 1);
}

static void array_without_key(struct covet_json_writer *writer) {
    covet_json_write_object_begin(writer);
    covet_json_write_array_begin(writer);
}

static void end_behind_key(struct covet_json_writer *writer) {
    covet_json_write_object_begin(writer);
    covet_json_write_key(writer, "a");
    covet_json_write_object_end(writer);
}

static void wrong_end(struct covet_json_writer *writer) {
    covet_json_write_array_begin(writer);
    covet_json_write_object_end(writer);
}

static void empty_raw(struct covet_json_writer *writer) {
    covet_json_write_raw(writer, (struct covet_span){"", 0});
}

static void not_a_number(struct covet_json_writer *writer) {
    covet_json_write_double(writer, __builtin_nan(""));
}

static void infinity(struct covet_json_writer *writer) {
    covet_json_write_array_begin(writer);
    covet_json_write_double(writer, -__builtin_inf());
    covet_json_write_array_end(writer);
}

static void not_utf8(struct covet_json_writer *writer) {
    covet_json_write_text(writer, "caf\xe9");
}

static void late_not_utf8(struct covet_json_writer *writer) {
    covet_json_write_text(writer, "0123456789012345678901234567890123456789\"\xed\xa0\x80");
}

static void key_not_utf8(struct covet_json_writer *writer) {
    covet_json_write_object_begin(writer);
    covet_json_write_key(writer, "\xff");
    covet_json_write_int(writer, 1);
    covet_json_write_object_end(writer);
}

static void test_writer_refuses_what_would_be_no_json(void **state) {
    static const struct {
        void (*write)(struct covet_json_writer *writer);
        int error;
    } cases[] = {
        {end_array, -EINVAL},         {two_roots, -EINVAL},
        {two_root_objects, -EINVAL},  {nothing, -EINVAL},
        {unfinished_array, -EINVAL},  {unfinished_object, -EINVAL},
        {key_as_root, -EINVAL},       {key_in_array, -EINVAL},
        {two_keys, -EINVAL},          {value_without_key, -EINVAL},
        {array_without_key, -EINVAL}, {end_behind_key, -EINVAL},
        {wrong_end, -EINVAL},         {empty_raw, -EINVAL},
        {not_a_number, -EDOM},        {infinity, -EDOM},
        {not_utf8, -EILSEQ},          {late_not_utf8, -EILSEQ},
        {key_not_utf8, -EILSEQ},
    };
    char memory[512];

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        struct covet_json_writer writer;

        covet_json_writer_init(&writer, memory, sizeof(memory), NULL, NULL);
        cases[i].write(&writer);
        check_refused(&writer, cases[i].error);
    }
}

static void test_writer_nests_64_deep_and_no_deeper(void **state) {
    struct covet_json_writer writer;
    char memory[512];

    (void)state;
    for (unsigned levels = 63; levels <= 65; levels++) {
        int result = 0;

        covet_json_writer_init(&writer, memory, sizeof(memory), NULL, NULL);
        for (unsigned level = 0; level < levels; level++) {
            // Objects and arrays in turn.
            if (level % 2 == 0) {
                result = covet_json_write_array_begin(&writer);
            } else {
                covet_json_write_object_begin(&writer);
                result = covet_json_write_key(&writer, "k");
            }
        }
        if (levels > COVET_JSON_DEPTH_MAX) {
            assert_int_equal(result, -ELOOP);
            check_refused(&writer, -ELOOP);
            continue;
        }
        if (levels % 2 == 0)
            covet_json_write_null(&writer);
        for (unsigned level = levels; level-- > 0;)
            result = level % 2 == 0 ? covet_json_write_array_end(&writer)
                                    : covet_json_write_object_end(&writer);
        assert_int_equal(result, 0);
        struct covet_span text;
        assert_int_equal(covet_json_writer_finish(&writer, &text), 0);
    }
}

static void test_writer_says_when_memory_is_exhausted(void **state) {
    (void)state;
    for (size_t blocks = 0; blocks < 3; blocks++) {
        struct heap heap = {.count_max = blocks};
        struct covet_json_writer writer;

        covet_json_writer_init(&writer, NULL, 0, heap_alloc, &heap);
        covet_json_write_array_begin(&writer);
        for (int i = 0; i < 1000; i++)
            covet_json_write_text(&writer, "some text");
        check_refused(&writer, -ENOMEM);
        heap_free(&heap);
    }
}

static void test_writer_goes_on_from_the_memory_given(void **state) {
    struct heap heap = {.count_max = 64};
    struct covet_json_writer writer;
    struct covet_span text;
    char memory[40];

    (void)state;
    covet_json_writer_init(&writer, memory, sizeof(memory), heap_alloc, &heap);
    covet_json_write_array_begin(&writer);
    for (int i = 0; i < 2000; i++)
        covet_json_write_int(&writer, i % 10);
    covet_json_write_array_end(&writer);
    assert_int_equal(covet_json_writer_finish(&writer, &text), 0);
    assert_int_equal(text.length, 2 + 2000 + 1999);
    assert_memory_equal(text.data, "[0,1,2,3,4,5,6,7,8,9,0", 22);
    assert_memory_equal(text.data + text.length - 4, "8,9]", 4);
    // Growing by halves at least, it did not ask often.
    assert_true(heap.count < 8);
    heap_free(&heap);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writer_writes_every_kind_of_value),
        cmocka_unit_test(test_writer_takes_any_value_as_root),
        cmocka_unit_test(test_writer_writes_long_texts_with_escapes),
        cmocka_unit_test(test_writer_refuses_what_would_be_no_json),
        cmocka_unit_test(test_writer_nests_64_deep_and_no_deeper),
        cmocka_unit_test(test_writer_says_when_memory_is_exhausted),
        cmocka_unit_test(test_writer_goes_on_from_the_memory_given),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
