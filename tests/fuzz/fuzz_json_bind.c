// Any text into a struct: what the reference validator refuses is refused as no JSON, what is
// accepted is written and read again to the same text, with AVX2 and without.
#include "support/json_reference.h"
#include "json/index.h"
#include "json/utf8.h"

struct inner {
    double number;
    float narrow;
    bool flag;
    const char *text;
};

// Every type of number, alone and in arrays.
struct widths {
    int8_t i8;
    int16_t i16;
    int32_t i32;
    int64_t i64;
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    const char *text;
    int8_t *i8s;
    int16_t *i16s;
    int32_t *i32s;
    int64_t *i64s;
    uint8_t *u8s;
    uint32_t *u32s;
    uint64_t *u64s;
    double *doubles;
    bool *flags;
    size_t count[9];
    int32_t rare;
};

struct outer {
    int64_t id;
    uint8_t small;
    struct covet_span name;
    bool has_name;
    struct covet_span *tags;
    size_t tag_count;
    struct inner inner;
    struct inner *pointer;
    struct inner *list;
    size_t list_count;
    struct covet_span raw;
    uint16_t *numbers;
    size_t number_count;
    struct widths *widths;
};

#define OPTIONAL .flags = COVET_JSON_OPTIONAL
#define LONG_KEY "a key that is longer than what is kept ready to be copied at once, so it is not"
#define NULLABLE .flags = COVET_JSON_OPTIONAL | COVET_JSON_NULLABLE

COVET_JSON(inner_json, struct inner, COVET_JSON_FIELD(struct inner, number),
           COVET_JSON_FIELD(struct inner, narrow), COVET_JSON_FIELD(struct inner, flag),
           COVET_JSON_FIELD(struct inner, text, NULLABLE));

#define NUMBER(name) COVET_JSON_FIELD(struct widths, name)
#define NUMBERS(name, index) COVET_JSON_ARRAY(struct widths, name, count[index], OPTIONAL)

COVET_JSON(widths_json, struct widths, NUMBER(i8), NUMBER(i16), NUMBER(i32), NUMBER(i64),
           NUMBER(u8), NUMBER(u16), NUMBER(u32), NUMBER(u64), NUMBER(text), NUMBERS(i8s, 0),
           NUMBERS(i16s, 1), NUMBERS(i32s, 2), NUMBERS(i64s, 3), NUMBERS(u8s, 4), NUMBERS(u32s, 5),
           NUMBERS(u64s, 6), NUMBERS(doubles, 7), NUMBERS(flags, 8),
           COVET_JSON_FIELD(struct widths, rare, .key = LONG_KEY, OPTIONAL));

COVET_JSON(outer_json, struct outer, COVET_JSON_FIELD(struct outer, id),
           COVET_JSON_FIELD(struct outer, small, .key = "a key of more than sixteen"),
           COVET_JSON_FIELD(struct outer, name, NULLABLE,
                            COVET_JSON_PRESENT(struct outer, has_name)),
           COVET_JSON_ARRAY(struct outer, tags, tag_count, OPTIONAL),
           COVET_JSON_OBJECT(struct outer, inner, inner_json),
           COVET_JSON_POINTER(struct outer, pointer, inner_json, OPTIONAL),
           COVET_JSON_OBJECTS(struct outer, list, list_count, inner_json, OPTIONAL),
           COVET_JSON_RAW(struct outer, raw, OPTIONAL),
           COVET_JSON_ARRAY(struct outer, numbers, number_count, OPTIONAL),
           COVET_JSON_POINTER(struct outer, widths, widths_json, OPTIONAL));

struct parsed {
    struct t_json_memory memory;
    struct outer outer;
    int error;
    struct covet_json_failure failure;
    struct covet_span text;  // Written again.
};

static void parse(struct parsed *parsed, const char *text, size_t size, unsigned flags) {
    struct covet_json_writer writer;

    t_json_memory_init(&parsed->memory);
    // Not more than a server would allow: elements can be much larger than their text.
    parsed->memory.memory.bytes_left = 64u << 20;
    memset(&parsed->failure, 0, sizeof(parsed->failure));
    parsed->text = (struct covet_span){NULL, 0};
    parsed->error = covet_json_parse(&outer_json, &parsed->outer, text, size,
                                     &parsed->memory.memory, flags, &parsed->failure);
    CV_ASSERT(parsed->error == parsed->failure.error);
    CV_ASSERT(parsed->failure.offset <= size);
    CV_ASSERT(memchr(parsed->failure.path, '\0', COVET_JSON_PATH_BYTES) != NULL);
    if (parsed->error != 0)
        return;
    covet_json_writer_init(&writer, NULL, 0, t_json_alloc, &parsed->memory);
    CV_ASSERT(covet_json_write_struct(&writer, &outer_json, &parsed->outer) == 0);
    CV_ASSERT(covet_json_writer_finish(&writer, &parsed->text) == 0);
}

static void check_same(const struct parsed *left, const struct parsed *right) {
    CV_ASSERT(left->error == right->error);
    CV_ASSERT(left->failure.reason == right->failure.reason);
    CV_ASSERT(left->failure.offset == right->failure.offset);
    CV_ASSERT(strcmp(left->failure.path, right->failure.path) == 0);
    CV_ASSERT(left->text.length == right->text.length);
    CV_ASSERT(left->text.length == 0 ||
              memcmp(left->text.data, right->text.data, left->text.length) == 0);
}

// Written text has no unknown keys left, and writes the same.
static void check_again(const struct parsed *first) {
    struct parsed *again = malloc(sizeof(*again));

    CV_ASSERT(again != NULL);
    parse(again, first->text.data, first->text.length, COVET_JSON_REFUSE_UNKNOWN);
    check_same(first, again);
    t_json_memory_deinit(&again->memory);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct parsed avx2, scalar;
    struct t_json_dump dump = {0};
    char *text = malloc(size == 0 ? 1 : size);
    bool is_json;

    CV_ASSERT(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    (void)cv_index_force(CV_SIMD_SCALAR);
    (void)cv_utf8_force(CV_SIMD_SCALAR);
    parse(&scalar, text, size, 0);
    (void)cv_index_force(cv_cpu_simd());
    (void)cv_utf8_force(cv_cpu_simd());
    parse(&avx2, text, size, 0);
    check_same(&scalar, &avx2);
    is_json = t_json_reference(text, size, &dump);
    CV_ASSERT(is_json == (avx2.error == 0 || avx2.error == -EDOM));
    if (avx2.error == 0)
        check_again(&avx2);
    t_json_memory_deinit(&scalar.memory);
    t_json_memory_deinit(&avx2.memory);
    free(dump.data);
    free(text);
    return 0;
}
