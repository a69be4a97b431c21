// Strings, where the index says they stop: at an escape, or behind its window. See token.h.
#include "json/token.h"

#include "base/assert.h"
#include "json/index.h"
#include "json/utf8.h"

// Makes the window begin at `at`. What it shows for the first time is checked to be UTF-8, up to
// the last byte that does not belong to a sequence it shows in part. The first byte that is none
// becomes a stop, which no string gets past: the error is the reader's only when it is read.
static void move_window(struct covet_json_reader *reader, const char *at) {
    const char *last = reader->end - 1;  // The bracket: a stop.
    size_t shown = CV_MIN((size_t)(last - at), COVET_JSON_WINDOW_BYTES + 63);
    const char *first = CV_MAX(reader->validated, at), *limit = at + shown;
    bool is_ascii = !cv_index_chosen.fill(at, shown, reader->stops);

    reader->window = at;
    // No sequence has more than three bytes behind its first one.
    for (int i = 0; i < 3 && limit > first && limit < last && (*limit & 0xc0) == 0x80; i++)
        limit--;
    if (limit <= first)
        return;
    reader->validated = limit;
    if (!is_ascii && !cv_utf8_valid(first, (size_t)(limit - first))) {
        reader->validated = first + cv_utf8_valid_bytes(first, (size_t)(limit - first));
        size_t index = (size_t)(reader->validated - at);
        reader->stops[index / 64] |= UINT64_C(1) << index % 64;
    }
}

const char *cv_token_find_stop(struct covet_json_reader *reader, const char *at) {
    for (;;) {
        size_t index = (size_t)(at - reader->window);
        uint64_t bits;

        if (index >= COVET_JSON_WINDOW_BYTES) {
            move_window(reader, at);
            index = 0;
        }
        bits = reader->stops[index / 64] >> index % 64;
        if (bits != 0)
            return at + __builtin_ctzll(bits);
        at += 64 - index % 64;
    }
}

static int hex_digit(char byte) {
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

// The number behind \u, -1 when these are not 4 hexadecimal digits; any other byte than a bracket
// may stand before the end.
static int32_t read_unit(const struct covet_json_reader *reader, const char *at) {
    int32_t unit = 0;

    if (reader->end - at < 6 || at[0] != '\\' || at[1] != 'u')
        return -1;
    for (int i = 2; i < 6; i++) {
        int digit = hex_digit(at[i]);

        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

static bool is_high_surrogate(int32_t unit) {
    return (unit & 0xfc00) == 0xd800;
}

static bool is_low_surrogate(int32_t unit) {
    return (unit & 0xfc00) == 0xdc00;
}

// The code point of the \u escape at `*at`, which is moved behind it; -1 when it is none: half a
// surrogate pair has no meaning in UTF-8.
static int32_t read_code_point(const struct covet_json_reader *reader, const char **at) {
    int32_t unit = read_unit(reader, *at), low;

    if (unit < 0 || is_low_surrogate(unit))
        return -1;
    *at += 6;
    if (!is_high_surrogate(unit))
        return unit;
    low = read_unit(reader, *at);
    if (low < 0 || !is_low_surrogate(low))
        return -1;
    *at += 6;
    return 0x10000 + ((unit & 0x3ff) << 10 | (low & 0x3ff));
}

// The byte that an escape of two bytes means, 0 when it is none.
static char short_escape(char byte) {
    switch (byte) {
    case '"':
    case '\\':
    case '/':
        return byte;
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return '\0';
    }
}

static const char *fail_in_string(struct covet_json_reader *reader, const char *at,
                                  const char *reason) {
    // The bracket at the end was reached from inside a string.
    return cv_token_fail(reader, at >= reader->end - 1 ? reader->last : at, -EBADMSG, reason);
}

// Behind the escape at `at`; NULL after an error. Neither kind can take the bracket at the end.
static const char *skip_escape(struct covet_json_reader *reader, const char *at) {
    const char *behind = at + 2;

    if (short_escape(at[1]) != '\0')
        return behind;
    behind = at;
    if (read_code_point(reader, &behind) >= 0)
        return behind;
    return fail_in_string(reader, at + 1 == reader->end - 1 ? at + 1 : at,
                          "an escape that means nothing");
}

// From the first stop of a string to behind its closing quotation mark.
const char *cv_token_skip_escaped(struct covet_json_reader *reader, const char *stop) {
    while (*stop != '"') {
        const char *behind;

        if (*stop != '\\')
            return fail_in_string(reader, stop,
                                  (unsigned char)*stop < ' ' ? "a control byte in a string"
                                                             : "not UTF-8");
        behind = skip_escape(reader, stop);
        if (behind == NULL)
            return NULL;
        stop = cv_token_stop(reader, behind);
    }
    return stop + 1;
}

static char *put_code_point(char *out, int32_t point) {
    if (point < 0x80) {
        *out++ = (char)point;
        return out;
    }
    if (point < 0x800) {
        *out++ = (char)(0xc0 | point >> 6);
    } else {
        if (point < 0x10000) {
            *out++ = (char)(0xe0 | point >> 12);
        } else {
            *out++ = (char)(0xf0 | point >> 18);
            *out++ = (char)(0x80 | (point >> 12 & 0x3f));
        }
        *out++ = (char)(0x80 | (point >> 6 & 0x3f));
    }
    *out++ = (char)(0x80 | (point & 0x3f));
    return out;
}

// The closing quotation mark of a string with a stop at `stop`, whatever its escapes are worth;
// NULL, without an error, when there is none.
static const char *find_quote(struct covet_json_reader *reader, const char *stop) {
    while (*stop != '"') {
        if (*stop != '\\' || reader->end - stop < 3)
            return NULL;
        stop = cv_token_stop(reader, stop + 2);
    }
    return stop;
}

// Most pieces between escapes are short, and a copy of a fixed size is no call.
static inline char *copy_piece(char *out, const char *at, size_t bytes, size_t room) {
    if (bytes <= 16 && room >= 16)
        memcpy(out, at, 16);
    else
        memcpy(out, at, bytes);
    return out + bytes;
}

// Decodes the text from `at` to the quotation mark at `quote`. No escape is shorter than what it
// means, so what is written fits what was read, but for a copy of 16 bytes. NULL after an error.
static char *decode(struct covet_json_reader *reader, const char *at, const char *stop,
                    const char *quote, char *out) {
    for (;;) {
        char byte;

        out = copy_piece(out, at, (size_t)(stop - at), (size_t)(quote - at));
        if (stop == quote)
            return out;
        byte = short_escape(stop[1]);
        at = stop + 2;
        if (byte != '\0') {
            *out++ = byte;
        } else {
            int32_t point;

            at = stop;
            point = read_code_point(reader, &at);
            if (point < 0)
                return NULL;
            out = put_code_point(out, point);
        }
        stop = cv_token_stop(reader, at);
        // What find_quote saw from another window is what this one shows.
        CV_ASSERT(stop == quote || (stop < quote && *stop == '\\'));
    }
}

// What is wrong with a string whose first stop is `stop`: both ways through it must agree.
static const char *explain(struct covet_json_reader *reader, const char *stop) {
    const char *behind = cv_token_skip_escaped(reader, stop);

    CV_ASSERT(behind == NULL);
    return NULL;
}

const char *cv_token_read_escaped(struct covet_json_reader *reader, const char *at,
                                  const char *stop, struct covet_span *text) {
    const char *quote = find_quote(reader, stop);
    char *memory, *end;

    if (quote == NULL)
        return explain(reader, stop);
    memory = cv_token_alloc(reader, at, (size_t)(quote - at));
    if (memory == NULL)
        return NULL;
    end = decode(reader, at, stop, quote, memory);
    if (end == NULL)
        return explain(reader, stop);
    text->data = memory;
    text->length = (size_t)(end - memory);
    return quote + 1;
}
