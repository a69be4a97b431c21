// Random calls of the JSON writer, and a struct of random values. What comes out is JSON by the
// grammar of RFC 8259, checked here byte by byte; texts and doubles read back as they were; fixed
// memory of exactly the length is enough; AVX2 and scalar write the same.
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "json/escape.h"
#include "json/number.h"
#include "json/object.h"
#include "json/utf8.h"
#include "json/writer.h"

#define OUT_BYTES (1u << 20)

// The input, read from the front; 0 behind its end.
struct input {
    const uint8_t *at;
    const uint8_t *end;
};

static uint8_t take_byte(struct input *input) {
    return input->at < input->end ? *input->at++ : 0;
}

static uint64_t take_word(struct input *input) {
    uint64_t word = 0;

    for (int i = 0; i < 8; i++)
        word = word << 8 | take_byte(input);
    return word;
}

// A text of up to 90 bytes in memory of its own, so that a byte too many is seen.
static struct covet_span take_text(struct input *input) {
    size_t length = take_byte(input) % 91;
    size_t left = (size_t)(input->end - input->at);
    char *text;

    length = length < left ? length : left;
    text = malloc(length == 0 ? 1 : length);
    if (length > 0)
        memcpy(text, input->at, length);
    input->at += length;
    return (struct covet_span){text, length};
}

// The checker: each function returns the end of what it takes, NULL when it is none.

static const char *take_value(const char *at, const char *end, unsigned depth);

static const char *take_string(const char *at, const char *end) {
    if (at == end || *at++ != '"')
        return NULL;
    while (at < end && *at != '"') {
        unsigned char byte = (unsigned char)*at++;

        if (byte < 0x20)
            return NULL;
        if (byte != '\\')
            continue;
        if (at == end)
            return NULL;
        if (*at == 'u') {
            if (end - at < 5)
                return NULL;
            for (int i = 1; i < 5; i++) {
                if (strchr("0123456789abcdefABCDEF", at[i]) == NULL || at[i] == '\0')
                    return NULL;
            }
            at += 5;
        } else if (*at == '\0' || strchr("\"\\/bfnrt", *at++) == NULL) {
            return NULL;
        }
    }
    return at == end ? NULL : at + 1;
}

static const char *take_digits(const char *at, const char *end) {
    const char *start = at;

    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at == start ? NULL : at;
}

static const char *take_number(const char *at, const char *end) {
    if (at < end && *at == '-')
        at++;
    if (at < end && *at == '0')
        at++;
    else if ((at = take_digits(at, end)) == NULL)
        return NULL;
    if (at < end && *at == '.' && (at = take_digits(at + 1, end)) == NULL)
        return NULL;
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-'))
            at++;
        return take_digits(at, end);
    }
    return at;
}

static const char *take_literal(const char *at, const char *end, const char *literal) {
    size_t length = strlen(literal);

    return (size_t)(end - at) >= length && memcmp(at, literal, length) == 0 ? at + length : NULL;
}

static const char *take_members(const char *at, const char *end, unsigned depth, bool is_object) {
    char close = is_object ? '}' : ']';

    if (depth > COVET_JSON_DEPTH_MAX)
        return NULL;
    if (at < end && *at == close)
        return at + 1;
    while (at != NULL) {
        if (is_object) {
            at = take_string(at, end);
            if (at == NULL || at == end || *at++ != ':')
                return NULL;
        }
        at = take_value(at, end, depth);
        if (at == NULL || at == end)
            return NULL;
        if (*at == close)
            return at + 1;
        if (*at++ != ',')
            return NULL;
    }
    return NULL;
}

static const char *take_value(const char *at, const char *end, unsigned depth) {
    if (at == end)
        return NULL;
    switch (*at) {
    case '{':
    case '[':
        return take_members(at + 1, end, depth + 1, *at == '{');
    case '"':
        return take_string(at, end);
    case 't':
        return take_literal(at, end, "true");
    case 'f':
        return take_literal(at, end, "false");
    case 'n':
        return take_literal(at, end, "null");
    default:
        return take_number(at, end);
    }
}

static void check_json(struct covet_span text) {
    const char *end = text.data + text.length;

    CV_ASSERT(take_value(text.data, end, 0) == end);
    CV_ASSERT(cv_utf8_scalar.is_valid(text.data, text.length));
}

// Takes the escapes off a string and compares.
static void check_string(const char *json, struct covet_span text) {
    size_t at = 0;

    for (json++; *json != '"'; at++) {
        unsigned byte = (unsigned char)*json++;

        if (byte == '\\') {
            static const char names[] = "bfnrt\"\\";
            static const char bytes[] = "\b\f\n\r\t\"\\";

            if (*json == 'u') {
                char digits[5] = {json[1], json[2], json[3], json[4]};

                byte = (unsigned)strtoul(digits, NULL, 16);
                json += 5;
            } else {
                byte = (unsigned char)bytes[strchr(names, *json++) - names];
            }
        }
        CV_ASSERT(at < text.length && (unsigned char)text.data[at] == byte);
    }
    CV_ASSERT(at == text.length);
}

// The writer as it is used wrong and right.
static void write_calls(struct input input, struct covet_json_writer *writer) {
    for (int calls = 0; calls < 400 && input.at < input.end; calls++) {
        struct covet_span text;
        uint64_t word;
        double value;

        switch (take_byte(&input) % 14) {
        case 0:
            covet_json_write_object_begin(writer);
            break;
        case 1:
            covet_json_write_object_end(writer);
            break;
        case 2:
            covet_json_write_array_begin(writer);
            break;
        case 3:
            covet_json_write_array_end(writer);
            break;
        case 4:
        case 5:
            text = take_text(&input);
            covet_json_write_key_span(writer, text);
            free((char *)text.data);
            break;
        case 6:
            covet_json_write_int(writer, (int64_t)take_word(&input));
            break;
        case 7:
            covet_json_write_uint(writer, take_word(&input) >> take_byte(&input) % 64);
            break;
        case 8:
            word = take_word(&input);
            memcpy(&value, &word, sizeof(value));
            covet_json_write_double(writer, value);
            break;
        case 9:
            covet_json_write_bool(writer, take_byte(&input) % 2 != 0);
            break;
        case 10:
            covet_json_write_null(writer);
            break;
        case 11:
            covet_json_write_raw(writer, (struct covet_span){"[1,{}]", 6});
            break;
        case 12:
            covet_json_write_text(writer, take_byte(&input) % 8 == 0 ? NULL : "a text");
            break;
        default:
            text = take_text(&input);
            covet_json_write_span(writer, text);
            free((char *)text.data);
        }
    }
}

struct inner {
    double value;
    float single;
};

struct outer {
    struct covet_span text;
    int64_t number;
    double real;
    bool flag;
    struct covet_span texts[3];
    struct covet_span *all;
    size_t count;
    struct inner inner;
    struct inner *maybe;
    uint16_t small;
    bool has_small;
};

COVET_JSON(inner_json, struct inner, COVET_JSON_FIELD(struct inner, value),
           COVET_JSON_FIELD(struct inner, single));

COVET_JSON(outer_json, struct outer, COVET_JSON_FIELD(struct outer, text),
           COVET_JSON_FIELD(struct outer, number), COVET_JSON_FIELD(struct outer, real),
           COVET_JSON_FIELD(struct outer, flag), COVET_JSON_ARRAY(struct outer, all, count),
           COVET_JSON_OBJECT(struct outer, inner, inner_json),
           COVET_JSON_POINTER(struct outer, maybe, inner_json, .flags = COVET_JSON_OPTIONAL),
           COVET_JSON_FIELD(struct outer, small, .flags = COVET_JSON_NULLABLE,
                            COVET_JSON_PRESENT(struct outer, has_small)));

static char out[OUT_BYTES];

// Writes the struct into `memory`; the length, or a negative error.
static int64_t write_outer(const struct outer *outer, char *memory, size_t bytes) {
    struct covet_json_writer writer;
    struct covet_span text;

    covet_json_writer_init(&writer, memory, bytes, NULL, NULL);
    covet_json_write_struct(&writer, &outer_json, outer);
    int error = covet_json_writer_finish(&writer, &text);
    return error != 0 ? error : (int64_t)text.length;
}

static void check_outer(const struct outer *outer) {
    int64_t length = write_outer(outer, out, sizeof(out));
    bool is_finite =
        isfinite(outer->real) && isfinite(outer->inner.value) && isfinite(outer->inner.single);
    bool is_text = cv_utf8_scalar.is_valid(outer->text.data, outer->text.length);
    char *exact;

    for (size_t i = 0; i < outer->count; i++)
        is_text = is_text && cv_utf8_scalar.is_valid(outer->all[i].data, outer->all[i].length);
    CV_ASSERT((length > 0) == (is_finite && is_text));
    CV_ASSERT(length > 0 || length == -EDOM || length == -EILSEQ);
    if (length < 0)
        return;
    check_json((struct covet_span){out, (size_t)length});
    check_string(out + strlen("{\"text\":"), outer->text);

    exact = malloc((size_t)length);
    CV_ASSERT(write_outer(outer, exact, (size_t)length) == length);
    CV_ASSERT(memcmp(exact, out, (size_t)length) == 0);
    CV_ASSERT(write_outer(outer, exact, (size_t)length - 1) == -ENOSPC);
    free(exact);
}

static void check_struct(struct input input) {
    uint64_t word = take_word(&input);
    struct outer outer = {.number = (int64_t)take_word(&input), .flag = word % 2 != 0};
    uint32_t half = (uint32_t)take_word(&input);

    memcpy(&outer.real, &word, sizeof(word));
    word = take_word(&input);
    memcpy(&outer.inner.value, &word, sizeof(word));
    memcpy(&outer.inner.single, &half, sizeof(half));
    outer.small = (uint16_t)word;
    outer.has_small = half % 2 != 0;
    outer.maybe = half % 3 == 0 ? &outer.inner : NULL;
    outer.text = take_text(&input);
    outer.count = half % 4;
    outer.all = outer.texts;
    for (size_t i = 0; i < 3; i++)
        outer.texts[i] = take_text(&input);
    check_outer(&outer);
    free((char *)outer.text.data);
    for (size_t i = 0; i < 3; i++)
        free((char *)outer.texts[i].data);
}

static void check_double(double value) {
    char text[CV_NUMBER_ROOM_BYTES];
    char *end = cv_number_write_double(text, value);

    CV_ASSERT((end != NULL) == (isfinite(value) != 0));
    if (end == NULL)
        return;
    CV_ASSERT(end - text <= (ptrdiff_t)CV_NUMBER_BYTES_MAX);
    CV_ASSERT(take_number(text, end) == end);
    *end = '\0';
    double back = strtod(text, NULL);
    CV_ASSERT(back == value && signbit(back) == signbit(value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char first[OUT_BYTES];
    size_t first_length = 0;

    for (int simd = CV_SIMD_SCALAR; simd <= CV_SIMD_AVX2; simd++) {
        struct input input = {data, data + size};
        struct covet_json_writer writer;
        struct covet_span text = {NULL, 0};
        double value;
        uint64_t word;

        if (!cv_object_force((enum cv_simd)simd) || !cv_escape_force((enum cv_simd)simd) ||
            !cv_utf8_force((enum cv_simd)simd))
            continue;
        covet_json_writer_init(&writer, out, sizeof(out), NULL, NULL);
        write_calls(input, &writer);
        if (covet_json_writer_finish(&writer, &text) == 0)
            check_json(text);
        if (simd == CV_SIMD_SCALAR) {
            first_length = text.length;
            memcpy(first, out, text.length);
        }
        CV_ASSERT(text.length == first_length && memcmp(first, out, first_length) == 0);

        word = take_word(&input);
        memcpy(&value, &word, sizeof(value));
        check_double(value);
        check_struct(input);
    }
    return 0;
}
