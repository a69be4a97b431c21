// What the parts of a JSON text need rarely, or at length. See token.h.
#include "json/token.h"

#ifdef __SSE2__
#include <immintrin.h>
#endif

#include "base/assert.h"
#include "json/index.h"
#include "json/utf8.h"

#define DIGITS_19 19

const char *cv_token_fail(struct covet_json_reader *reader, const char *at, int error,
                          const char *reason) {
    if (reader->error == 0) {
        bool is_over = at >= reader->last && error == -EBADMSG;

        reader->error = error;
        reader->reason = is_over ? "the text ends too early" : reason;
        reader->error_at = CV_MIN(at, reader->begin + reader->length);
    }
    return NULL;
}

void *cv_token_alloc(struct covet_json_reader *reader, const char *at, size_t bytes) {
    struct covet_json_memory *memory = reader->memory;
    void *block;

    if (memory == NULL || bytes > memory->bytes_left) {
        cv_token_fail(reader, at, -E2BIG, "more memory is needed than is allowed");
        return NULL;
    }
    memory->bytes_left -= bytes;
    block = memory->alloc(memory->context, bytes);
    if (block == NULL)
        cv_token_fail(reader, at, -ENOMEM, "no memory");
    return block;
}

static bool is_space(char byte) {
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

// Documents that do not end in a bracket are rare: a single scalar, or a mistake. They are copied,
// with a bracket behind.
static bool put_guard_behind(struct covet_json_reader *reader) {
    size_t length = (size_t)(reader->end - reader->begin);
    size_t bytes_left = reader->memory == NULL ? 0 : reader->memory->bytes_left;
    ptrdiff_t start = reader->at - reader->begin;
    char *copy;

    // A mistake needs no memory to be one, only to be found.
    if (length >= bytes_left && (*reader->at == '{' || *reader->at == '['))
        return cv_token_fail(reader, reader->last, -EBADMSG, "") != NULL;
    copy = cv_token_alloc(reader, reader->begin, length + 1);
    if (copy == NULL)
        return false;
    memcpy(copy, reader->begin, length);
    copy[length] = ']';
    reader->begin = reader->validated = copy;
    reader->at = copy + start;
    reader->last = copy + length;
    reader->end = reader->window = copy + length + 1;
    return true;
}

bool cv_token_open(struct covet_json_reader *reader, const char *data, size_t length,
                   struct covet_json_memory *memory) {
    const char *end = data + length;

    reader->begin = reader->at = reader->window = reader->validated = data;
    reader->length = length;
    reader->memory = memory;
    reader->error = 0;
    reader->reason = NULL;
    reader->depth = 0;
    reader->objects = 0;
    reader->first = true;
    while (end > data && is_space(end[-1]))
        end--;
    reader->end = reader->last = end;
    if (end == data)
        return cv_token_fail(reader, end, -EBADMSG, "") != NULL;
    if (length > UINT32_MAX)
        return cv_token_fail(reader, data, -EBADMSG, "longer than 4 GiB") != NULL;
    while (is_space(*reader->at))
        reader->at++;
    reader->window = end;  // No position is inside.
    return end[-1] == '}' || end[-1] == ']' || put_guard_behind(reader);
}

bool cv_token_close(struct covet_json_reader *reader, const char *at) {
    if (at == reader->last)
        return true;
    at = cv_token_skip_space(reader, at);
    return cv_token_fail(reader, at, -EBADMSG, "something stands behind the value") != NULL;
}

const char *cv_token_skip_spaces(const char *at, const char *end) {
#ifdef __SSE2__
    for (; end - at >= 16; at += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i blank = _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(' ')),
                                     _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\n')));
        __m128i other = _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('\t')),
                                     _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\r')));
        unsigned rest = ~(unsigned)_mm_movemask_epi8(_mm_or_si128(blank, other)) & 0xffff;

        if (rest != 0)
            return at + __builtin_ctz(rest);
    }
#endif
    while (is_space(*at))
        at++;
    return at;
}

uint64_t cv_token_last_word(const struct covet_json_reader *reader, size_t left) {
    uint64_t word = 0;

    if (reader->end - reader->begin < (ptrdiff_t)sizeof(word)) {
        memcpy(&word, reader->end - left, left);
        return word;
    }
    memcpy(&word, reader->end - sizeof(word), sizeof(word));
    return word >> 8 * (sizeof(word) - left);
}

// Strings.

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

const char *cv_token_find_value(struct covet_json_reader *reader, const char *at) {
    if (at == NULL)
        return NULL;
    at = cv_token_skip_space(reader, at);
    if (*at != ':')
        return cv_token_fail(reader, at, -EBADMSG, "a colon is expected behind a key");
    return cv_token_skip_space(reader, at + 1);
}

// Numbers.

static const uint64_t powers[9] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};

// Digits joined to `*digits`, which wraps around above 19 of them.
static CV_ALWAYS_INLINE const char *take_digits(const struct covet_json_reader *reader,
                                                const char *at, uint64_t *digits) {
    uint64_t word = cv_token_word(reader, at);
    unsigned count = cv_token_digit_count(word);

    while (count == 8) {
        *digits = *digits * 100000000 + cv_token_digits(word, 8);
        at += 8;
        word = cv_token_word(reader, at);
        count = cv_token_digit_count(word);
    }
    if (count > 0)
        *digits = *digits * powers[count] + cv_token_digits(word, count);
    return at + count;
}

// The exponent behind 'e', as far as it can matter: a text has fewer than 2^32 digits to make up
// for it.
static const char *take_exponent(struct covet_json_reader *reader, const char *at,
                                 int64_t *exponent) {
    bool negative = *at == '-';
    int64_t value = 0;

    at += *at == '-' || *at == '+';
    if (*at < '0' || *at > '9')
        return cv_token_fail(reader, at, -EBADMSG, "a digit is expected in an exponent");
    for (; *at >= '0' && *at <= '9'; at++)
        value = CV_MIN(value * 10 + (*at - '0'), INT64_C(1) << 40);
    *exponent = negative ? -value : value;
    return at;
}

// Takes the significant digits of more than 19 again, one by one.
static void take_leading_digits(struct cv_decimal *decimal) {
    int64_t count = 0;

    decimal->digits = 0;
    for (size_t i = 0; i < decimal->text.length; i++) {
        char byte = decimal->text.data[i];

        if ((byte | 0x20) == 'e')
            break;
        if (byte < '0' || byte > '9' || (count == 0 && byte == '0'))
            continue;
        count++;
        if (count <= DIGITS_19)
            decimal->digits = decimal->digits * 10 + (uint64_t)(byte - '0');
        else
            decimal->truncated = decimal->truncated || byte != '0';
    }
    decimal->exponent += CV_MAX(count - DIGITS_19, 0);
}

// An integer of `count` digits; false when it does not fit 64 bits with its sign.
static bool take_integer(const char *first, size_t count, struct cv_token_number *number) {
    if (count > DIGITS_19) {
        uint64_t all = 0;

        if (count > DIGITS_19 + 1)
            return false;
        for (size_t i = 0; i < count; i++) {
            if (__builtin_mul_overflow(all, UINT64_C(10), &all) ||
                __builtin_add_overflow(all, (uint64_t)(first[i] - '0'), &all))
                return false;
        }
        number->magnitude = all;
    }
    number->kind = number->magnitude > INT64_MAX ? COVET_JSON_UINT : COVET_JSON_INT;
    if (!number->negative || number->kind == COVET_JSON_INT)
        return true;
    number->kind = COVET_JSON_INT;
    return number->magnitude == (uint64_t)INT64_MAX + 1;
}

// Integer digits, and what follows them.
static const char *take_number(struct covet_json_reader *reader, const char *first,
                               struct cv_token_number *number) {
    struct cv_decimal decimal = {.negative = number->negative};
    uint64_t digits = 0;
    const char *behind = take_digits(reader, first, &digits), *point = behind;

    if (behind == first)
        return cv_token_fail(reader, first, -EBADMSG,
                             number->negative ? "a digit is expected" : "a value is expected");
    if (*first == '0' && behind - first > 1)
        return cv_token_fail(reader, first, -EBADMSG, "a number with a leading zero");
    number->magnitude = digits;
    if (*behind != '.' && (*behind | 0x20) != 'e' &&
        take_integer(first, (size_t)(behind - first), number))
        return behind;
    if (*behind == '.') {
        behind = take_digits(reader, point + 1, &digits);
        if (behind == point + 1)
            return cv_token_fail(reader, behind, -EBADMSG, "a digit is expected behind the point");
        decimal.exponent = point + 1 - behind;
    }
    decimal.digits = digits;
    size_t count = (size_t)(point - first - decimal.exponent);
    if ((*behind | 0x20) == 'e') {
        int64_t exponent = 0;

        behind = take_exponent(reader, behind + 1, &exponent);
        if (behind == NULL)
            return NULL;
        decimal.exponent += exponent;
    }
    decimal.text = cv_span_make(first, (size_t)(behind - first));
    if (count > DIGITS_19)
        take_leading_digits(&decimal);
    number->kind = COVET_JSON_DOUBLE;
    if (!cv_decimal_to_double(&decimal, &number->value))
        return cv_token_fail(reader, first, -EBADMSG, "a number beyond all doubles");
    return behind;
}

const char *cv_token_read_number(struct covet_json_reader *reader, const char *at,
                                 struct cv_token_number *number) {
    const char *behind;

    number->negative = *at == '-';
    at += number->negative;
    behind = cv_token_small_fraction(reader, at, &number->value);
    if (behind == NULL)
        return take_number(reader, at, number);
    number->kind = COVET_JSON_DOUBLE;
    number->value = number->negative ? -number->value : number->value;
    return behind;
}

// Values nobody asks for.

static const char *skip_scalar(struct covet_json_reader *reader, const char *at) {
    struct cv_token_number number;
    bool value;

    switch (*at) {
    case '"':
        return cv_token_skip_string(reader, at + 1);
    case 't':
    case 'f':
        return cv_token_bool(reader, at, &value);
    case 'n':
        return cv_token_null(reader, at);
    default:
        return cv_token_read_number(reader, at, &number);
    }
}

const char *cv_token_skip_rest(struct covet_json_reader *reader, const char *at) {
    uint32_t depth = reader->depth;

    while (at != NULL) {
        bool in_object = cv_token_in_object(reader), first = cv_token_is_first(at);

        at = cv_token_skip_space(reader, at);
        if (*at == (in_object ? '}' : ']')) {
            at = cv_token_leave(reader, at);
            if (reader->depth < depth)
                return at;
            continue;
        }
        if (!first) {
            if (*at != ',')
                return cv_token_fail(reader, at, -EBADMSG, cv_token_no_comma(in_object));
            at = cv_token_skip_space(reader, at + 1);
        }
        if (in_object) {
            if (*at != '"')
                return cv_token_fail(reader, at, -EBADMSG, "a key in quotation marks is expected");
            at = cv_token_find_value(reader, cv_token_skip_string(reader, at + 1));
            if (at == NULL)
                return NULL;
        }
        at = *at == '{' || *at == '[' ? cv_token_enter(reader, at) : skip_scalar(reader, at);
    }
    return NULL;
}

const char *cv_token_skip_value(struct covet_json_reader *reader, const char *at) {
    if (*at != '{' && *at != '[')
        return skip_scalar(reader, at);
    at = cv_token_enter(reader, at);
    return at == NULL ? NULL : cv_token_skip_rest(reader, at);
}
