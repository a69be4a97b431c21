// Value by value, on demand.
//
// Between two calls reading stands behind a value, or behind an opening bracket (`first`). What
// comes next is then told by one byte: the comma, or the bracket that closes.
#include "json/place.h"
#include "json/token.h"

void covet_json_open(struct covet_json_reader *reader, const char *data, size_t length,
                     struct covet_json_memory *memory) {
    (void)!cv_token_open(reader, data, length, memory);
}

static void keep_integer(struct covet_json_value *value, uint64_t magnitude, bool negative) {
    double number = (double)(int64_t)magnitude;

    value->kind = COVET_JSON_INT;
    value->int64 = (int64_t)(negative ? 0 - magnitude : magnitude);
    value->number = negative ? -number : number;
}

static CV_NOINLINE const char *read_number(struct covet_json_reader *reader, const char *at,
                                           struct covet_json_value *value) {
    struct cv_token_number number;

    at = cv_token_read_number(reader, at, &number);
    if (at == NULL)
        return NULL;
    if (number.kind == COVET_JSON_INT && number.magnitude <= INT64_MAX) {
        keep_integer(value, number.magnitude, number.negative);
        return at;
    }
    value->kind = number.kind;
    value->number = number.value;
    if (number.kind != COVET_JSON_DOUBLE) {
        // Above INT64_MAX, or INT64_MIN.
        value->uint64 = number.magnitude;
        value->number = number.negative ? -(double)number.magnitude : (double)number.magnitude;
    }
    return at;
}

// Reads the value at `at`, enters it when it is an object or array. NULL after an error.
static CV_ALWAYS_INLINE const char *read_value(struct covet_json_reader *reader, const char *at,
                                               struct covet_json_value *value) {
    const char *behind;
    uint64_t magnitude;
    char byte = *at;

    value->start = at;
    if (byte == '"') {
        value->kind = COVET_JSON_STRING;
        return cv_token_string(reader, at + 1, &value->text);
    }
    if (byte == '-' || (byte >= '0' && byte <= '9')) {
        behind = cv_token_small_integer(reader, at + (byte == '-'), &magnitude);
        if (CV_UNLIKELY(behind == NULL))
            return read_number(reader, at, value);
        keep_integer(value, magnitude, byte == '-');
        return behind;
    }
    switch (byte) {
    case '{':
        value->kind = COVET_JSON_OBJECT;
        return cv_token_enter(reader, at);
    case '[':
        value->kind = COVET_JSON_ARRAY;
        return cv_token_enter(reader, at);
    case 't':
    case 'f':
        value->kind = COVET_JSON_BOOL;
        return cv_token_bool(reader, at, &value->boolean);
    default:
        value->kind = COVET_JSON_NULL;
        return cv_token_null(reader, at);
    }
}

static inline enum covet_json_kind finish(struct covet_json_reader *reader, const char *at,
                                          struct covet_json_value *value) {
    if (CV_UNLIKELY(at == NULL))
        return value->kind = COVET_JSON_ERROR;
    reader->at = at;
    return value->kind;
}

static inline enum covet_json_kind finish_with(struct covet_json_reader *reader,
                                               struct covet_json_value *value, const char *at,
                                               const char *reason) {
    cv_token_fail(reader, at, -EBADMSG, reason);
    return value->kind = COVET_JSON_ERROR;
}

// Outside of the outermost value: before it, or behind it.
static CV_NOINLINE enum covet_json_kind next_outermost(struct covet_json_reader *reader,
                                                       struct covet_json_value *value) {
    const char *at = reader->at;

    if (reader->error != 0)
        return value->kind = COVET_JSON_ERROR;
    if (!reader->first)
        return value->kind = cv_token_close(reader, at) ? COVET_JSON_DONE : COVET_JSON_ERROR;
    reader->first = false;
    value->key = (struct covet_span){NULL, 0};
    return finish(reader, read_value(reader, at, value), value);
}

// The next element or member, behind a comma or an opening bracket and white space.
static CV_ALWAYS_INLINE enum covet_json_kind
next_inside(struct covet_json_reader *reader, const char *at, struct covet_json_value *value) {
    if (cv_token_in_object(reader)) {
        at = cv_token_key(reader, at, &value->key);
        if (CV_UNLIKELY(at == NULL))
            return value->kind = COVET_JSON_ERROR;
    } else {
        value->key = (struct covet_span){NULL, 0};
    }
    return finish(reader, read_value(reader, at, value), value);
}

enum covet_json_kind covet_json_next(struct covet_json_reader *reader,
                                     struct covet_json_value *value) {
    const char *at = reader->at;

    if (CV_UNLIKELY(reader->depth == 0 || reader->error != 0))
        return next_outermost(reader, value);
    at = cv_token_skip_space(reader, at);
    if (CV_LIKELY(*at == ',' && !cv_token_is_first(reader->at))) {
        return next_inside(reader, cv_token_skip_space(reader, at + 1), value);
    }
    if (*at == (cv_token_in_object(reader) ? '}' : ']')) {
        value->kind = COVET_JSON_END;
        return finish(reader, cv_token_leave(reader, at), value);
    }
    if (!cv_token_is_first(reader->at))
        return finish_with(reader, value, at, cv_token_no_comma(cv_token_in_object(reader)));
    return next_inside(reader, at, value);
}

bool covet_json_leave(struct covet_json_reader *reader) {
    const char *at = NULL;

    if (reader->error == 0 && reader->depth > 0)
        at = cv_token_skip_rest(reader, reader->at);
    if (at == NULL)
        return cv_token_fail(reader, reader->at, -EBADMSG, "nothing is open to be left") != NULL;
    reader->at = at;
    return true;
}

enum covet_json_kind covet_json_find(struct covet_json_reader *reader, const char *key,
                                     struct covet_json_value *value) {
    size_t length = strlen(key);
    const char *at;

    if (reader->error != 0)
        return value->kind = COVET_JSON_ERROR;
    if (reader->depth == 0 || !cv_token_in_object(reader))
        return finish_with(reader, value, reader->at, "a key is wanted outside of an object");
    at = reader->begin + reader->starts[reader->depth - 1];
    for (bool first = true;; first = false) {
        at = cv_token_skip_space(reader, at);
        if (*at == '}') {
            value->kind = COVET_JSON_END;
            return finish(reader, at, value);
        }
        if (!first) {
            if (*at != ',')
                return finish_with(reader, value, at, cv_token_no_comma(true));
            at = cv_token_skip_space(reader, at + 1);
        }
        at = cv_token_key(reader, at, &value->key);
        if (at == NULL)
            return value->kind = COVET_JSON_ERROR;
        if (value->key.length == length && memcmp(value->key.data, key, length) == 0)
            return finish(reader, read_value(reader, at, value), value);
        at = cv_token_skip_value(reader, at);
        if (at == NULL)
            return value->kind = COVET_JSON_ERROR;
    }
}

struct covet_span covet_json_raw(struct covet_json_reader *reader,
                                 const struct covet_json_value *value) {
    bool is_open = value->kind == COVET_JSON_OBJECT || value->kind == COVET_JSON_ARRAY;

    if (reader->error != 0 || value->kind < COVET_JSON_NULL ||
        (is_open && !covet_json_leave(reader)))
        return (struct covet_span){NULL, 0};
    return (struct covet_span){value->start, (size_t)(reader->at - value->start)};
}

int covet_json_close(struct covet_json_reader *reader, struct covet_json_failure *failure) {
    struct covet_json_value value;

    while (reader->error == 0 && reader->depth > 0)
        (void)covet_json_leave(reader);
    while (covet_json_next(reader, &value) > COVET_JSON_DONE) {
        if (value.kind >= COVET_JSON_OBJECT)
            (void)covet_json_leave(reader);
    }
    if (reader->error != 0 && failure != NULL)
        cv_place_explain(reader, NULL, 0, failure);
    return reader->error;
}
