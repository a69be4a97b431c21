// The parts a JSON text is made of, one by one: white space, strings, numbers, literals.
//
// A document ends, once the white space behind it is taken off, in a bracket, or one is put behind
// it (cv_token_open). No part but a closing bracket itself can run over that byte: it is no white
// space, no digit, no comma; and the index marks it as a stop, so that no string runs over it
// either. So nothing here compares a position with the end, but what loads several bytes at once.
//
// Functions take the position of a part's first byte, or what the comment says, and return that
// behind the part. They return NULL after having noted an error in the reader; the first one stays.
#ifndef CV_JSON_TOKEN_H
#define CV_JSON_TOKEN_H

#include <errno.h>
#include <string.h>

#include <covet/json.h>

#include "base/compiler.h"
#include "json/decimal.h"

struct cv_token_number {
    enum covet_json_kind kind;  // INT, UINT or DOUBLE
    uint64_t magnitude;         // INT and UINT: without the sign.
    bool negative;
    double value;  // DOUBLE
};

// Prepares the reader for `length` bytes. Its `at` is then the first byte that is no white space.
// False after an error.
CV_MUST_USE bool cv_token_open(struct covet_json_reader *reader, const char *data, size_t length,
                               struct covet_json_memory *memory);

// Checks that `at`, behind the outermost value, is the end. False after an error.
CV_MUST_USE bool cv_token_close(struct covet_json_reader *reader, const char *at);

// Notes an error unless there is one. `error` is negative, `reason` static text. Returns NULL.
CV_COLD const char *cv_token_fail(struct covet_json_reader *reader, const char *at, int error,
                                  const char *reason);

// Memory that lives as long as what is read; NULL after an error noted at `at`.
CV_MUST_USE void *cv_token_alloc(struct covet_json_reader *reader, const char *at, size_t bytes);

// The slow halves of what is below.
uint64_t cv_token_last_word(const struct covet_json_reader *reader, size_t left);
const char *cv_token_skip_spaces(const char *at, const char *end);
const char *cv_token_find_stop(struct covet_json_reader *reader, const char *at);
const char *cv_token_read_escaped(struct covet_json_reader *reader, const char *at,
                                  const char *stop, struct covet_span *text);
const char *cv_token_skip_escaped(struct covet_json_reader *reader, const char *stop);
const char *cv_token_find_value(struct covet_json_reader *reader, const char *at);
const char *cv_token_read_number(struct covet_json_reader *reader, const char *at,
                                 struct cv_token_number *number);

// A whole value of any kind, checked like one that is read. Objects and arrays are left again.
const char *cv_token_skip_value(struct covet_json_reader *reader, const char *at);

// The same for what is left of the innermost object or array, from behind a value of it or behind
// the bracket that opened it.
const char *cv_token_skip_rest(struct covet_json_reader *reader, const char *at);

// The closing bracket at `at` ends the innermost object or array.
static inline const char *cv_token_leave(struct covet_json_reader *reader, const char *at) {
    reader->depth--;
    // Only the outermost one may end with the document.
    if (CV_UNLIKELY(at + 1 >= reader->last && (reader->depth > 0 || at + 1 > reader->last)))
        return cv_token_fail(reader, reader->last, -EBADMSG, "");
    return at + 1;
}

static inline const char *cv_token_enter(struct covet_json_reader *reader, const char *at) {
    uint64_t bit;

    if (CV_UNLIKELY(reader->depth == COVET_JSON_DEPTH_MAX))
        return cv_token_fail(reader, at, -EBADMSG, "nested more than 64 deep");
    bit = UINT64_C(1) << reader->depth;
    reader->objects = *at == '{' ? reader->objects | bit : reader->objects & ~bit;
    reader->starts[reader->depth++] = (uint32_t)(at + 1 - reader->begin);
    return at + 1;
}

// The innermost one is an object. Not to be asked outside of any.
static inline bool cv_token_in_object(const struct covet_json_reader *reader) {
    return (reader->objects >> (reader->depth - 1) & 1) != 0;
}

// `at` is right behind the bracket that opened the innermost one: no value ends in such a byte.
static inline bool cv_token_is_first(const char *at) {
    return (at[-1] | 0x20) == '{';
}

static inline const char *cv_token_no_comma(bool in_object) {
    return in_object ? "a comma or } is expected" : "a comma or ] is expected";
}

static inline const char *cv_token_skip_space(const struct covet_json_reader *reader,
                                              const char *at) {
    if (CV_LIKELY((unsigned char)*at > ' '))
        return at;
    if (*at == ' ' && (unsigned char)at[1] > ' ')
        return at + 1;
    at = cv_token_skip_spaces(at, reader->end);
    if (at == NULL)
        __builtin_unreachable();  // Said for the sake of static analysis.
    return at;
}

// The first byte from `at` on, inside a string, that is no plain text: a quotation mark, or what
// only the functions for escapes can tell, errors among it.
static inline const char *cv_token_stop(struct covet_json_reader *reader, const char *at) {
    size_t index = (size_t)(at - reader->window);
    uint64_t bits;

    if (CV_LIKELY(index < COVET_JSON_WINDOW_BYTES)) {
        memcpy(&bits, (const char *)reader->stops + index / 8, sizeof(bits));
        bits >>= index % 8;
        if (CV_LIKELY(bits != 0))
            return at + __builtin_ctzll(bits);
    }
    return cv_token_find_stop(reader, at);
}

// From behind the opening quotation mark.
static inline const char *cv_token_string(struct covet_json_reader *reader, const char *at,
                                          struct covet_span *text) {
    const char *stop = cv_token_stop(reader, at);

    if (CV_UNLIKELY(*stop != '"'))
        return cv_token_read_escaped(reader, at, stop, text);
    text->data = at;
    text->length = (size_t)(stop - at);
    return stop + 1;
}

// The same, for nobody.
static inline const char *cv_token_skip_string(struct covet_json_reader *reader, const char *at) {
    const char *stop = cv_token_stop(reader, at);

    return CV_LIKELY(*stop == '"') ? stop + 1 : cv_token_skip_escaped(reader, stop);
}

// 8 bytes, zeros behind the end. `at` is before the end.
static inline uint64_t cv_token_word(const struct covet_json_reader *reader, const char *at) {
    size_t left = (size_t)(reader->end - at);
    uint64_t word;

    if (CV_UNLIKELY(left < sizeof(word)))
        return cv_token_last_word(reader, left);
    memcpy(&word, at, sizeof(word));
    return word;
}

// How many of the 8 bytes are digits, up to the first that is none. A byte that is none puts wrong
// carries into those above it only.
static inline unsigned cv_token_digit_count(uint64_t word) {
    uint64_t above = word + 0x4646464646464646, below = word - 0x3030303030303030;
    uint64_t others = (word | above | below) & 0x8080808080808080;

    return others == 0 ? 8 : (unsigned)__builtin_ctzll(others) / 8;
}

// The number made by the first `count` (1 to 8) bytes, which are digits: neighbours are joined to
// pairs, those to fours, those to eight.
static inline uint64_t cv_token_digits(uint64_t word, unsigned count) {
    uint64_t digits = (word - 0x3030303030303030) << (64 - 8 * count);

    digits = (digits * 10 + (digits >> 8)) & 0x00ff00ff00ff00ff;
    digits = (digits * 100 + (digits >> 16)) & 0x0000ffff0000ffff;
    return (digits * 10000 + (digits >> 32)) & 0xffffffff;
}

// A number goes on in `byte`, behind its first digits.
static inline bool cv_token_goes_on(char byte) {
    return byte == '.' || (byte | 0x20) == 'e';
}

// Most integers: up to 7 digits from `first` on, which may be any byte. NULL, without an error, for
// any other number and for what is none.
static inline const char *cv_token_small_integer(const struct covet_json_reader *reader,
                                                 const char *first, uint64_t *magnitude) {
    uint64_t word = cv_token_word(reader, first);
    unsigned count = cv_token_digit_count(word);

    if (CV_UNLIKELY(count - 1 >= 7 || cv_token_goes_on((char)(word >> 8 * count)) ||
                    ((char)word == '0' && count > 1)))
        return NULL;
    *magnitude = cv_token_digits(word, count);
    return first + count;
}

// The same for most fractions, such as prices: 7 bytes with the point. Digits and power of ten are
// exact as doubles, so one division rounds once.
static inline const char *cv_token_small_fraction(const struct covet_json_reader *reader,
                                                  const char *first, double *value) {
    static const double powers[8] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7};
    uint64_t word = cv_token_word(reader, first), fraction;
    unsigned count = cv_token_digit_count(word), fraction_count;

    if (CV_UNLIKELY(count - 1 >= 5 || (char)(word >> 8 * count) != '.' ||
                    ((char)word == '0' && count > 1)))
        return NULL;
    fraction = word >> 8 * (count + 1);
    fraction_count = cv_token_digit_count(fraction);
    if (CV_UNLIKELY(fraction_count == 0 || count + fraction_count > 6 ||
                    cv_token_goes_on((char)(fraction >> 8 * fraction_count))))
        return NULL;
    // The point taken out.
    word = fraction << 8 * count | (word & ((UINT64_C(1) << 8 * count) - 1));
    *value =
        (double)(int64_t)cv_token_digits(word, count + fraction_count) / powers[fraction_count];
    return first + count + 1 + fraction_count;
}

static inline const char *cv_token_bool(struct covet_json_reader *reader, const char *at,
                                        bool *value) {
    uint64_t word = cv_token_word(reader, at);

    if ((uint32_t)word == 0x65757274) {  // true, low byte first
        *value = true;
        return at + 4;
    }
    if ((word & 0xffffffffff) == 0x65736c6166) {  // false
        *value = false;
        return at + 5;
    }
    return cv_token_fail(reader, at, -EBADMSG, "a value is expected");
}

static inline const char *cv_token_null(struct covet_json_reader *reader, const char *at) {
    if ((uint32_t)cv_token_word(reader, at) == 0x6c6c756e)
        return at + 4;
    return cv_token_fail(reader, at, -EBADMSG, "a value is expected");
}

// From the quotation mark of a key to the first byte of the member's value.
static inline const char *cv_token_key(struct covet_json_reader *reader, const char *at,
                                       struct covet_span *key) {
    const char *behind;

    if (CV_UNLIKELY(*at != '"'))
        return cv_token_fail(reader, at, -EBADMSG, "a key in quotation marks is expected");
    behind = cv_token_string(reader, at + 1, key);
    if (CV_LIKELY(behind != NULL && *behind == ':' && (unsigned char)behind[1] > ' '))
        return behind + 1;
    return cv_token_find_value(reader, behind);
}

#endif
