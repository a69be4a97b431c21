// JSON a second time, byte by byte as RFC 8259 is written, to compare the reader with: is a text
// allowed, and what is in it? Both sides write down what they find in the same form.
#ifndef CV_TESTS_SUPPORT_JSON_REFERENCE_H
#define CV_TESTS_SUPPORT_JSON_REFERENCE_H

#include <covet/json.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

// Memory for a reader, freed as a whole. A block ends where the memory asked for ends, so that a
// sanitizer sees what runs over.
struct t_json_memory {
    struct covet_json_memory memory;
    struct t_json_block *blocks;  // owned
};

struct t_json_block {
    _Alignas(16) struct t_json_block *next;  // owned
};

static inline void *t_json_alloc(void *context, size_t bytes) {
    struct t_json_memory *memory = context;
    struct t_json_block *block = malloc(sizeof(*block) + bytes);

    if (block == NULL)
        return NULL;
    block->next = memory->blocks;
    memory->blocks = block;
    return block + 1;
}

static inline void t_json_memory_init(struct t_json_memory *memory) {
    memory->blocks = NULL;
    memory->memory = (struct covet_json_memory){t_json_alloc, memory, SIZE_MAX};
}

static inline void t_json_memory_deinit(struct t_json_memory *memory) {
    while (memory->blocks != NULL) {
        struct t_json_block *block = memory->blocks;

        memory->blocks = block->next;
        free(block);
    }
}

struct t_json_dump {
    char *data;  // owned
    size_t length, capacity;
};

static inline void t_json_put(struct t_json_dump *dump, const void *data, size_t length) {
    if (dump->length + length > dump->capacity) {
        dump->capacity = 2 * (dump->length + length);
        dump->data = realloc(dump->data, dump->capacity);
        CV_ASSERT(dump->data != NULL);
    }
    if (length > 0) {
        CV_ASSERT(dump->data != NULL);
        memcpy(dump->data + dump->length, data, length);
    }
    dump->length += length;
}

static inline void t_json_put_text(struct t_json_dump *dump, char mark, const char *text,
                                   size_t length) {
    char head[32];
    int bytes = snprintf(head, sizeof(head), "%c%zu:", mark, length);

    t_json_put(dump, head, (size_t)bytes);
    t_json_put(dump, text, length);
}

static inline void t_json_put_number(struct t_json_dump *dump, char mark, uint64_t integer,
                                     double number) {
    char text[80];
    int bytes =
        snprintf(text, sizeof(text), "%c%llx=%a;", mark, (unsigned long long)integer, number);

    t_json_put(dump, text, (size_t)bytes);
}

// What the reader finds. False when it refuses the text.
static inline bool t_json_read(const char *data, size_t length, struct t_json_dump *dump) {
    static const char marks[] = {[COVET_JSON_END] = '.',
                                 [COVET_JSON_NULL] = 'n',
                                 [COVET_JSON_OBJECT] = '{',
                                 [COVET_JSON_ARRAY] = '['};
    struct t_json_memory memory;
    struct covet_json_reader reader;
    struct covet_json_value value;
    bool is_right;

    t_json_memory_init(&memory);
    covet_json_open(&reader, data, length, &memory.memory);
    while (covet_json_next(&reader, &value) > COVET_JSON_DONE) {
        if (value.kind != COVET_JSON_END && value.key.data != NULL)
            t_json_put_text(dump, 'k', value.key.data, value.key.length);
        if (value.kind == COVET_JSON_STRING)
            t_json_put_text(dump, 's', value.text.data, value.text.length);
        else if (value.kind == COVET_JSON_BOOL)
            t_json_put(dump, value.boolean ? "t" : "f", 1);
        else if (value.kind == COVET_JSON_INT || value.kind == COVET_JSON_UINT)
            t_json_put_number(dump, 'i', value.uint64, value.number);
        else if (value.kind == COVET_JSON_DOUBLE)
            t_json_put_number(dump, 'd', 0, value.number);
        else
            t_json_put(dump, &marks[value.kind], 1);
    }
    is_right = covet_json_close(&reader, NULL) == 0;
    t_json_memory_deinit(&memory);
    return is_right;
}

// The same by the grammar.

struct t_json_text {
    const char *at, *end;
    struct t_json_dump *dump;
    unsigned depth;
};

static inline bool t_json_take(struct t_json_text *text, const char *word) {
    size_t length = strlen(word);

    if ((size_t)(text->end - text->at) < length || memcmp(text->at, word, length) != 0)
        return false;
    text->at += length;
    return true;
}

static inline int t_json_peek(const struct t_json_text *text) {
    return text->at < text->end ? (unsigned char)*text->at : -1;
}

static inline void t_json_space(struct t_json_text *text) {
    while (t_json_take(text, " ") || t_json_take(text, "\t") || t_json_take(text, "\n") ||
           t_json_take(text, "\r"))
        continue;
}

static inline bool t_json_digits(struct t_json_text *text) {
    const char *first = text->at;

    while (t_json_peek(text) >= '0' && t_json_peek(text) <= '9')
        text->at++;
    return text->at > first;
}

static inline bool t_json_number(struct t_json_text *text) {
    const char *first = text->at;
    bool negative = t_json_take(text, "-"), integer = true;
    size_t length;
    double number;

    if (!t_json_take(text, "0") && !t_json_digits(text))
        return false;
    if (t_json_take(text, ".")) {
        integer = false;
        if (!t_json_digits(text))
            return false;
    }
    if (t_json_take(text, "e") || t_json_take(text, "E")) {
        integer = false;
        if (!t_json_take(text, "+"))
            (void)t_json_take(text, "-");
        if (!t_json_digits(text))
            return false;
    }
    length = (size_t)(text->at - first);
    char *copy = malloc(length + 1);
    CV_ASSERT(copy != NULL);
    memcpy(copy, first, length);
    copy[length] = '\0';
    number = strtod(copy, NULL);
    errno = 0;
    uint64_t value = negative ? (uint64_t)strtoll(copy, NULL, 10) : strtoull(copy, NULL, 10);
    bool fits = integer && errno == 0;
    free(copy);
    if (isinf(number))
        return false;
    t_json_put_number(text->dump, fits ? 'i' : 'd', fits ? value : 0, number);
    return true;
}

static inline int t_json_unit(struct t_json_text *text) {
    unsigned unit = 0;

    for (int i = 0; i < 4; i++) {
        const char *digits = "0123456789abcdef0123456789ABCDEF";
        int byte = t_json_peek(text);
        const char *found = byte <= 0 ? NULL : strchr(digits, byte);

        if (found == NULL)
            return -1;
        unit = unit * 16 + (unsigned)(found - digits) % 16;
        text->at++;
    }
    return (int)unit;
}

// The length of the UTF-8 sequence here, 0 when it is none (RFC 3629 section 4).
static inline size_t t_json_sequence(const struct t_json_text *text) {
    const unsigned char *at = (const unsigned char *)text->at;
    size_t left = (size_t)(text->end - text->at);
    size_t count = at[0] < 0x80                    ? 1
                   : at[0] >= 0xc2 && at[0] < 0xe0 ? 2
                   : at[0] >= 0xe0 && at[0] < 0xf0 ? 3
                   : at[0] >= 0xf0 && at[0] < 0xf5 ? 4
                                                   : 0;

    if (count == 0 || count > left)
        return 0;
    for (size_t i = 1; i < count; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) ||
        (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f))
        return 0;
    return count;
}

static inline void t_json_put_point(struct t_json_dump *dump, unsigned point) {
    unsigned char bytes[4] = {(unsigned char)point};
    size_t count = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    static const unsigned char leads[5] = {0, 0, 0xc0, 0xe0, 0xf0};

    for (size_t i = count; count > 1 && i-- > 0; point >>= 6)
        bytes[i] = (unsigned char)(i == 0 ? leads[count] | point : 0x80 | (point & 0x3f));
    t_json_put(dump, bytes, count);
}

static inline bool t_json_escape(struct t_json_text *text, struct t_json_dump *out) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    int byte = t_json_peek(text), unit, low;
    const char *found = byte <= 0 ? NULL : strchr(from, byte);

    text->at++;
    if (found != NULL) {
        t_json_put(out, &to[found - from], 1);
        return true;
    }
    if (byte != 'u' || (unit = t_json_unit(text)) < 0)
        return false;
    if (unit >= 0xd800 && unit < 0xdc00) {
        if (!t_json_take(text, "\\u") || (low = t_json_unit(text)) < 0xdc00 || low > 0xdfff)
            return false;
        unit = 0x10000 + (unit - 0xd800) * 0x400 + (low - 0xdc00);
    } else if (unit >= 0xdc00 && unit < 0xe000) {
        return false;
    }
    t_json_put_point(out, (unsigned)unit);
    return true;
}

static inline bool t_json_string(struct t_json_text *text, char mark) {
    struct t_json_dump out = {0};
    bool is_right = t_json_take(text, "\"");

    while (is_right && !t_json_take(text, "\"")) {
        int byte = t_json_peek(text);

        if (byte < 0x20) {
            is_right = false;
        } else if (byte == '\\') {
            text->at++;
            is_right = t_json_escape(text, &out);
        } else {
            size_t count = t_json_sequence(text);

            is_right = count > 0;
            t_json_put(&out, text->at, count);
            text->at += count;
        }
    }
    if (is_right)
        t_json_put_text(text->dump, mark, out.data, out.length);
    free(out.data);
    return is_right;
}

static inline bool t_json_value(struct t_json_text *text);

static inline bool t_json_container(struct t_json_text *text, bool object) {
    const char *close = object ? "}" : "]";

    t_json_put(text->dump, object ? "{" : "[", 1);
    text->at++;
    if (++text->depth > COVET_JSON_DEPTH_MAX)
        return false;
    t_json_space(text);
    if (!t_json_take(text, close)) {
        do {
            t_json_space(text);
            if (object) {
                if (!t_json_string(text, 'k'))
                    return false;
                t_json_space(text);
                if (!t_json_take(text, ":"))
                    return false;
                t_json_space(text);
            }
            if (!t_json_value(text))
                return false;
            t_json_space(text);
        } while (t_json_take(text, ","));
        if (!t_json_take(text, close))
            return false;
    }
    text->depth--;
    t_json_put(text->dump, ".", 1);
    return true;
}

static inline bool t_json_value(struct t_json_text *text) {
    switch (t_json_peek(text)) {
    case '{':
        return t_json_container(text, true);
    case '[':
        return t_json_container(text, false);
    case '"':
        return t_json_string(text, 's');
    case 't':
        t_json_put(text->dump, "t", 1);
        return t_json_take(text, "true");
    case 'f':
        t_json_put(text->dump, "f", 1);
        return t_json_take(text, "false");
    case 'n':
        t_json_put(text->dump, "n", 1);
        return t_json_take(text, "null");
    default:
        return t_json_number(text);
    }
}

static inline bool t_json_reference(const char *data, size_t length, struct t_json_dump *dump) {
    struct t_json_text text = {.at = data, .end = data + length, .dump = dump};

    t_json_space(&text);
    if (!t_json_value(&text))
        return false;
    t_json_space(&text);
    return text.at == text.end;
}

#endif
