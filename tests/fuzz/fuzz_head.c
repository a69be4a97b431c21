// Response injection: whatever an application gives as fields, a head has the lines it was meant to
// have and no other. Names and values come from the input as "name\xff value\xff"; what is taken is
// held against the grammar of RFC 9110 section 5 here, byte by byte.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "app/lines.h"
#include "base/assert.h"
#include "http/head.h"
#include "mem/pool.h"

#define SEPARATOR 0xff
#define LINES_MAX 64u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct line {
    struct cv_span name, value;
};

// Up to the next separator; in memory of its own, as long as it says, for the sanitizer.
static struct cv_span take_text(const uint8_t **at, const uint8_t *end) {
    const uint8_t *stop = memchr(*at, SEPARATOR, (size_t)(end - *at));
    size_t length = (size_t)((stop == NULL ? end : stop) - *at);
    char *copy = malloc(CV_MAX(length, (size_t)1));
    CV_ASSERT(copy != NULL);
    memcpy(copy, *at, length);
    *at += length + (stop == NULL ? 0 : 1);
    return cv_span_make(copy, length);
}

static void drop(struct cv_span text) {
    free((void *)(uintptr_t)text.data);
}

static bool is_token(struct cv_span text) {
    for (size_t i = 0; i < text.length; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        if (byte <= ' ' || byte >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", byte) != NULL) {
            return false;
        }
    }
    return text.length > 0;
}

static bool is_value(struct cv_span text) {
    for (size_t i = 0; i < text.length; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        if ((byte < ' ' && byte != '\t') || byte == 0x7f) {
            return false;
        }
    }
    return true;
}

static struct cv_span trim(struct cv_span text) {
    while (text.length > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text = cv_span_make(text.data + 1, text.length - 1);
    }
    while (text.length > 0 &&
           (text.data[text.length - 1] == ' ' || text.data[text.length - 1] == '\t')) {
        text.length--;
    }
    return text;
}

static const char *expect(const char *at, const char *end, struct cv_span text) {
    CV_ASSERT((size_t)(end - at) >= text.length);
    CV_ASSERT(text.length == 0 || memcmp(at, text.data, text.length) == 0);
    return at + text.length;
}

// The lines that were taken, in their order, and nothing behind them.
static void check_lines(struct cv_span text, const struct line *lines, unsigned count) {
    const char *at = text.length > 0 ? text.data : "", *end = at + text.length;
    for (unsigned i = 0; i < count; i++) {
        at = expect(at, end, lines[i].name);
        at = expect(at, end, CV_SPAN(": "));
        at = expect(at, end, trim(lines[i].value));
        at = expect(at, end, CV_SPAN("\r\n"));
    }
    CV_ASSERT(at == end);
}

static unsigned count_ends(struct cv_span text) {
    unsigned count = 0;
    for (size_t i = 0; i < text.length; i++) {
        bool is_end = text.data[i] == '\r' && i + 1 < text.length && text.data[i + 1] == '\n';
        CV_ASSERT(text.data[i] != '\n' && text.data[i] != '\0');
        CV_ASSERT(text.data[i] != '\r' || is_end);
        i += is_end;
        count += is_end;
    }
    return count;
}

static void check_head(struct cv_span fields, unsigned count, uint8_t choice) {
    struct cv_head head = {
        .status = (uint16_t)(200 + choice),
        .content_type = (choice & 1) != 0 ? CV_SPAN("text/plain") : (struct cv_span){0},
        .date = CV_SPAN("Sun, 06 Nov 1994 08:49:37 GMT"),
        .fields = fields,
        .content_length = (uint64_t)choice << (choice % 56),
        .body = (enum cv_head_body)(choice % 3),
        .close = (choice & 4) != 0,
    };
    unsigned lines =
        3 + count + (choice & 1) + (head.close ? 1 : 0) + (head.body != CV_HEAD_NONE ? 1 : 0);
    size_t bytes_max = cv_head_bytes_max(&head);
    char *out = malloc(bytes_max);
    CV_ASSERT(out != NULL);
    size_t bytes = cv_head_write(out, &head);
    CV_ASSERT(bytes <= bytes_max && bytes > 4 && memcmp(out + bytes - 4, "\r\n\r\n", 4) == 0);
    CV_ASSERT(count_ends(cv_span_make(out, bytes)) == lines);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct cv_pool pool;
    static bool is_ready;
    struct line lines[LINES_MAX];
    struct cv_lines taken = {0};
    struct cv_arena arena;
    unsigned count = 0;
    if (size < 1) {
        return 0;
    }
    if (!is_ready) {
        cv_pool_init_plain(&pool);
        is_ready = true;
    }
    cv_arena_init(&arena, &pool);
    const uint8_t *at = data + 1, *end = data + size;
    while (at < end && count < LINES_MAX) {
        struct line line = {.name = take_text(&at, end)};
        line.value = take_text(&at, end);
        int error = cv_lines_append(&taken, &arena, line.name, line.value);
        if (error == 0) {
            CV_ASSERT(is_token(line.name) && is_value(line.value));
            lines[count++] = line;
        } else {
            drop(line.name);
            drop(line.value);
        }
    }
    check_lines(cv_lines_span(&taken), lines, count);
    check_head(cv_lines_span(&taken), count, data[0]);
    for (unsigned i = 0; i < count; i++) {
        drop(lines[i].name);
        drop(lines[i].value);
    }
    cv_arena_deinit(&arena);
    return 0;
}
