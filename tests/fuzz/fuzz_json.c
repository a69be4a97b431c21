// The JSON reader against a second one that follows the grammar byte by byte: the same texts are
// accepted, the same values found, with AVX2 and without, and whether values are asked for or
// skipped. The text lies in memory of exactly its size.
#include "support/json_reference.h"
#include "json/index.h"
#include "json/utf8.h"

static void check_same(const struct t_json_dump *left, const struct t_json_dump *right) {
    CV_ASSERT(left->length == right->length);
    CV_ASSERT(left->length == 0 || memcmp(left->data, right->data, left->length) == 0);
}

static bool read_with(enum cv_simd simd, const char *text, size_t size, struct t_json_dump *dump) {
    (void)cv_index_force(simd);
    (void)cv_utf8_force(simd);
    return t_json_read(text, size, dump);
}

static bool skip(const char *text, size_t size) {
    struct t_json_memory memory;
    struct covet_json_reader reader;
    struct covet_json_value value;
    struct covet_json_failure failure = {0};
    bool is_right;

    t_json_memory_init(&memory);
    covet_json_open(&reader, text, size, &memory.memory);
    (void)covet_json_next(&reader, &value);
    is_right = covet_json_close(&reader, &failure) == 0;
    CV_ASSERT(is_right == (failure.reason == NULL));
    CV_ASSERT(failure.offset <= size);
    t_json_memory_deinit(&memory);
    return is_right;
}

// The text of each member of an object is found again by its key, and is JSON.
static void find(const char *text, size_t size) {
    struct t_json_memory memory;
    struct covet_json_reader reader;
    struct covet_json_value value;
    static const char *const keys[] = {"id", "a", "", "name", "b"};

    t_json_memory_init(&memory);
    covet_json_open(&reader, text, size, &memory.memory);
    (void)covet_json_next(&reader, &value);
    for (size_t i = 0; i < CV_ARRAY_COUNT(keys); i++) {
        struct t_json_dump dump = {0};
        if (covet_json_find(&reader, keys[i], &value) <= COVET_JSON_END)
            continue;
        struct covet_span raw = covet_json_raw(&reader, &value);
        if (raw.data == NULL)
            break;
        CV_ASSERT(t_json_reference(raw.data, raw.length, &dump));
        free(dump.data);
    }
    (void)covet_json_close(&reader, NULL);
    t_json_memory_deinit(&memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct t_json_dump expected = {0}, avx2 = {0}, scalar = {0};
    char *text = malloc(size == 0 ? 1 : size);
    bool is_right;

    CV_ASSERT(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    is_right = t_json_reference(text, size, &expected);
    CV_ASSERT(read_with(CV_SIMD_SCALAR, text, size, &scalar) == is_right);
    CV_ASSERT(skip(text, size) == is_right);
    CV_ASSERT(read_with(cv_cpu_simd(), text, size, &avx2) == is_right);
    CV_ASSERT(skip(text, size) == is_right);
    find(text, size);
    if (is_right) {
        check_same(&expected, &scalar);
        check_same(&expected, &avx2);
    }
    free(expected.data);
    free(scalar.data);
    free(avx2.data);
    free(text);
    return 0;
}
