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

static inline const char *read_number(struct covet_json_reader *reader, const char *at,
                                      struct covet_json_value *value) {
    struct cv_token_number number;

    at = cv_token_number(reader, at, &number);
    if (CV_UNLIKELY(at == NULL))
        return NULL;
    value->kind = number.kind;
    if (number.kind == COVET_JSON_DOUBLE) {
        value->number = number.value;
        return at;
    }
    value->number = number.kind == COVET_JSON_INT ? (double)(int64_t)number.magnitude
                                                  : (double)number.magnitude;
    value->number = number.negative ? -value->number : value->number;
    value->uint64 = number.negative ? 0 - number.magnitude : number.magnitude;
    return at;
}

// Reads the value at `at`, enters it when it is an object or array.
static inline const char *read_value(struct covet_json_reader *reader, const char *at,
                                     struct covet_json_value *value) {
    value->start = at;
    switch (*at) {
    case '"':
        value->kind = COVET_JSON_STRING;
        return cv_token_string(reader, at + 1, &value->text);
    case '{':
        value->kind = COVET_JSON_OBJECT;
        reader->first = true;
        return cv_token_enter(reader, at);
    case '[':
        value->kind = COVET_JSON_ARRAY;
        reader->first = true;
        return cv_token_enter(reader, at);
    case 't':
    case 'f':
        value->kind = COVET_JSON_BOOL;
        return cv_token_bool(reader, at, &value->boolean);
    case 'n':
        value->kind = COVET_JSON_NULL;
        return cv_token_null(reader, at);
    default:
        return read_number(reader, at, value);
    }
}

static enum covet_json_kind finish(struct covet_json_reader *reader, const char *at,
                                   struct covet_json_value *value) {
    if (CV_UNLIKELY(at == NULL))
        return value->kind = COVET_JSON_ERROR;
    reader->at = at;
    return value->kind;
}

// Outside of the outermost value: before it, or behind it.
static enum covet_json_kind next_outermost(struct covet_json_reader *reader,
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

enum covet_json_kind covet_json_next(struct covet_json_reader *reader,
                                     struct covet_json_value *value) {
    const char *at = reader->at;
    bool in_object, first = reader->first;

    if (CV_UNLIKELY(reader->depth == 0 || reader->error != 0))
        return next_outermost(reader, value);
    at = cv_token_skip_space(reader, at);
    in_object = cv_token_in_object(reader);
    reader->first = false;
    if (*at == (in_object ? '}' : ']')) {
        value->kind = COVET_JSON_END;
        return finish(reader, cv_token_leave(reader, at), value);
    }
    if (!first) {
        if (CV_UNLIKELY(*at != ',')) {
            cv_token_fail(reader, at, -EBADMSG, cv_token_no_comma(in_object));
            return value->kind = COVET_JSON_ERROR;
        }
        at = cv_token_skip_space(reader, at + 1);
    }
    value->key = (struct covet_span){NULL, 0};
    if (in_object && (at = cv_token_key(reader, at, &value->key)) == NULL)
        return value->kind = COVET_JSON_ERROR;
    return finish(reader, read_value(reader, at, value), value);
}

bool covet_json_leave(struct covet_json_reader *reader) {
    const char *at = NULL;

    if (reader->error == 0 && reader->depth > 0)
        at = cv_token_skip_rest(reader, reader->at, reader->first);
    if (at == NULL)
        return cv_token_fail(reader, reader->at, -EBADMSG, "nothing is open to be left") != NULL;
    reader->first = false;
    reader->at = at;
    return true;
}

enum covet_json_kind covet_json_find(struct covet_json_reader *reader, const char *key,
                                     struct covet_json_value *value) {
    struct covet_span wanted = {key, strlen(key)};
    const char *at;

    value->kind = COVET_JSON_ERROR;
    if (reader->error != 0)
        return value->kind;
    if (reader->depth == 0 || !cv_token_in_object(reader)) {
        cv_token_fail(reader, reader->at, -EBADMSG, "a key is wanted outside of an object");
        return value->kind;
    }
    at = reader->begin + reader->starts[reader->depth - 1];
    for (bool first = true;; first = false) {
        at = cv_token_skip_space(reader, at);
        if (*at == '}') {
            reader->first = first;
            value->kind = COVET_JSON_END;
            return finish(reader, at, value);
        }
        if (!first) {
            if (*at != ',')
                return finish(reader, cv_token_fail(reader, at, -EBADMSG, cv_token_no_comma(true)),
                              value);
            at = cv_token_skip_space(reader, at + 1);
        }
        at = cv_token_key(reader, at, &value->key);
        if (at == NULL)
            return value->kind;
        if (value->key.length == wanted.length &&
            memcmp(value->key.data, wanted.data, wanted.length) == 0) {
            reader->first = false;
            return finish(reader, read_value(reader, at, value), value);
        }
        at = cv_token_skip_value(reader, at);
        if (at == NULL)
            return value->kind;
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
