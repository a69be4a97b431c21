// Structs to text, by their descriptions.
//
// Before an object there is room for all of it that has a largest size; only texts, arrays and what
// is pointed to ask for more. So a plain field costs one store of a fixed size for all that stands
// before its value, and a few more for the value: no length is looked at but to move on.
//
//     ,"id":      7        ,"name":"     covet    "   ,"active":   true
//     fragment    number   fragment      text         fragment     word
//
// The comma of the first field, whichever it is, becomes the brace in the end.
//
// Fixed memory that is nearly full has not the room that is asked for here, while the text may
// still fit: then the calls of writer.c write the object, piece by piece.
#include <errno.h>
#include <math.h>
#include <string.h>

#include "json/description.h"
#include "json/escape.h"
#include "json/number.h"
#include "json/writer.h"

// What a store may touch behind the bytes that count.
#define SLACK_BYTES 64u
_Static_assert(SLACK_BYTES >= COVET_JSON_FRAGMENT_BYTES && SLACK_BYTES >= CV_NUMBER_ROOM_BYTES &&
                   SLACK_BYTES >= CV_ESCAPE_SLACK_BYTES,
               "the slack is for all stores");

// What an element of an array takes, but for texts and objects: a number and a comma.
#define ELEMENT_BYTES (CV_NUMBER_BYTES_MAX + 1)

// One value or object on its way. `reserve` is the room that must be left for what is still to come
// of the objects around, slack included.
struct place {
    struct covet_json_writer *writer;  // Its depth is kept up to date, its `at` is not.
    size_t reserve;
};

static char *write_object(struct place place, char *at, const struct covet_json *description,
                          const char *value);

#define LOAD(type, address) (*(const type *)(const void *)(address))

static char *fail(struct place place, int error) {
    cv_writer_fail(place.writer, error);
    return NULL;
}

static CV_NOINLINE char *write_text_slowly(struct place place, char *at, const char *data,
                                           size_t length) {
    place.writer->at = at;
    if (!cv_writer_put_text(place.writer, data, length))
        return NULL;
    return cv_writer_room(place.writer, place.writer->at, place.reserve);
}

// A text and its closing quote.
static inline char *write_text(struct place place, char *at, const char *data, size_t length) {
    at = cv_writer_room(place.writer, at, place.reserve + length);
    if (CV_UNLIKELY(at == NULL))
        return NULL;
    if (CV_UNLIKELY(!cv_escape_chosen.copy_plain(at, data, length)))
        return write_text_slowly(place, at, data, length);
    at[length] = '"';
    return at + length + 1;
}

static char *write_raw(struct place place, char *at, struct covet_span json) {
    if (json.length == 0)
        json = (struct covet_span){"null", 4};
    at = cv_writer_room(place.writer, at, place.reserve + json.length);
    if (at == NULL)
        return NULL;
    memcpy(at, json.data, json.length);
    return at + json.length;
}

static inline char *write_bool(char *at, bool value) {
    memcpy(at, value ? "true\0\0\0" : "false\0\0", 8);
    return at + 5 - value;
}

static char *write_pointed(struct place place, char *at, const struct covet_json *description,
                           const char *value) {
    if (!cv_description_is_right(description))
        return fail(place, -EINVAL);
    place.reserve += description->written_max;
    at = cv_writer_room(place.writer, at, place.reserve);
    return at == NULL ? NULL : write_object(place, at, description, value);
}

// The value at `member`, which is not an array; of a text what is behind the opening quote.
static inline char *write_value(struct place place, char *at, unsigned type,
                                const struct covet_json *nested, const char *member) {
    switch (type) {
    case COVET_JSON_TYPE_BOOL:
        return write_bool(at, LOAD(bool, member));
    case COVET_JSON_TYPE_INT8:
        return cv_number_write_int64(at, LOAD(int8_t, member));
    case COVET_JSON_TYPE_INT16:
        return cv_number_write_int64(at, LOAD(int16_t, member));
    case COVET_JSON_TYPE_INT32:
        return cv_number_write_int64(at, LOAD(int32_t, member));
    case COVET_JSON_TYPE_INT64:
        return cv_number_write_int64(at, LOAD(int64_t, member));
    case COVET_JSON_TYPE_UINT8:
        return cv_number_write_uint64(at, LOAD(uint8_t, member));
    case COVET_JSON_TYPE_UINT16:
        return cv_number_write_uint64(at, LOAD(uint16_t, member));
    case COVET_JSON_TYPE_UINT32:
        return cv_number_write_uint64(at, LOAD(uint32_t, member));
    case COVET_JSON_TYPE_UINT64:
        return cv_number_write_uint64(at, LOAD(uint64_t, member));
    case COVET_JSON_TYPE_FLOAT:
        if (CV_UNLIKELY(!isfinite(LOAD(float, member))))
            return fail(place, -EDOM);
        return cv_number_write_float(at, LOAD(float, member));
    case COVET_JSON_TYPE_DOUBLE:
        if (CV_UNLIKELY(!isfinite(LOAD(double, member))))
            return fail(place, -EDOM);
        return cv_number_write_double(at, LOAD(double, member));
    case COVET_JSON_TYPE_SPAN:
        return write_text(place, at, LOAD(struct covet_span, member).data,
                          LOAD(struct covet_span, member).length);
    case COVET_JSON_TYPE_TEXT: {
        const char *text = LOAD(const char *, member);

        return write_text(place, at, text, text == NULL ? 0 : strlen(text));
    }
    case COVET_JSON_TYPE_RAW:
        return write_raw(place, at, LOAD(struct covet_span, member));
    case COVET_JSON_TYPE_OBJECT:
        return write_object(place, at, nested, member);
    default:
        return write_pointed(place, at, nested, LOAD(const char *, member));
    }
}

static bool is_text(const struct covet_json_field *field) {
    return field->type == COVET_JSON_TYPE_SPAN || field->type == COVET_JSON_TYPE_TEXT;
}

// The elements and the closing bracket.
static char *write_elements(struct place place, char *at, const struct covet_json_field *field,
                            const char *value) {
    const char *element = LOAD(const char *, value + field->offset);
    size_t count = LOAD(size_t, value + field->count_offset);
    size_t bytes = ELEMENT_BYTES;

    if (field->type == COVET_JSON_TYPE_OBJECT) {
        if (!cv_description_is_right(field->nested))
            return fail(place, -EINVAL);
        bytes += field->nested->written_max;
    }
    if (place.writer->depth == COVET_JSON_DEPTH_MAX)
        return fail(place, -ELOOP);
    if (element == NULL || count == 0) {
        *at = ']';
        return at + 1;
    }
    place.reserve += bytes;
    place.writer->depth++;
    for (; count > 0; count--, element += field->bytes) {
        at = cv_writer_room(place.writer, at, place.reserve);
        if (at == NULL)
            return NULL;
        *at = '"';
        at = write_value(place, at + is_text(field), field->type, field->nested, element);
        if (at == NULL)
            return NULL;
        *at++ = ',';
    }
    place.writer->depth--;
    at[-1] = ']';
    return at;
}

// A key too long to be kept in a fragment.
static char *write_long_key(char *at, const struct covet_json_field *field) {
    memcpy(at, ",\"", 2);
    memcpy(at + 2, field->key, field->key_bytes);
    at += 2 + field->key_bytes;
    memcpy(at, "\":", 2);
    at[2] = field->is_array ? '[' : '"';
    return at + 2 + (field->is_array || is_text(field));
}

// Fields that may be absent, arrays, long keys.
static CV_NOINLINE char *write_field(struct place place, char *at,
                                     const struct covet_json_field *field, const char *value) {
    bool is_absent = cv_description_is_absent(field, value);

    if (is_absent && (field->flags & COVET_JSON_OPTIONAL) != 0)
        return at;
    if (field->fragment_bytes != 0) {
        memcpy(at, field->fragment, COVET_JSON_FRAGMENT_BYTES);
        at += field->fragment_bytes;
    } else {
        at = write_long_key(at, field);
    }
    if (is_absent) {
        at -= field->is_array || is_text(field);
        memcpy(at, "null", 4);
        return at + 4;
    }
    if (field->is_array)
        return write_elements(place, at, field, value);
    return write_value(place, at, field->type, field->nested, value + field->offset);
}

static char *write_object(struct place place, char *at, const struct covet_json *description,
                          const char *value) {
    const struct covet_json_field *field = description->fields;
    const struct covet_json_field *end = field + description->field_count;
    // The memory may move, the place of the brace in it does not.
    size_t start = (size_t)(at - place.writer->start);

    if (CV_UNLIKELY(place.writer->depth == COVET_JSON_DEPTH_MAX))
        return fail(place, -ELOOP);
    place.writer->depth++;
    for (; field < end; field++) {
        if (CV_LIKELY(field->step != COVET_JSON_TYPE_NONE)) {
            memcpy(at, field->fragment, COVET_JSON_FRAGMENT_BYTES);
            at = write_value(place, at + field->fragment_bytes, field->step, field->nested,
                             value + field->offset);
        } else {
            at = write_field(place, at, field, value);
        }
        if (CV_UNLIKELY(at == NULL))
            return NULL;
    }
    if (at == place.writer->start + start)
        at++;
    place.writer->start[start] = '{';
    place.writer->depth--;
    *at = '}';
    return at + 1;
}

static bool write_fast(struct covet_json_writer *writer, const struct covet_json *description,
                       const void *value) {
    struct place place = {writer, description->written_max + SLACK_BYTES};
    char *at = cv_writer_room(writer, writer->at, place.reserve);

    if (at != NULL)
        at = write_object(place, at, description, value);
    if (at == NULL)
        return false;
    writer->at = at;
    return true;
}

// Piece by piece.

static void put_object(struct covet_json_writer *writer, const struct covet_json *description,
                       const char *value);

static void put_value(struct covet_json_writer *writer, const struct covet_json_field *field,
                      const char *member) {
    char number[SLACK_BYTES];
    const char *end;

    switch (field->type) {
    case COVET_JSON_TYPE_SPAN:
        covet_json_write_span(writer, LOAD(struct covet_span, member));
        break;
    case COVET_JSON_TYPE_TEXT:
        covet_json_write_text(writer,
                              LOAD(const char *, member) == NULL ? "" : LOAD(const char *, member));
        break;
    case COVET_JSON_TYPE_RAW:
        if (LOAD(struct covet_span, member).length == 0)
            covet_json_write_null(writer);
        else
            covet_json_write_raw(writer, LOAD(struct covet_span, member));
        break;
    case COVET_JSON_TYPE_OBJECT:
        put_object(writer, field->nested, member);
        break;
    case COVET_JSON_TYPE_POINTER:
        put_object(writer, field->nested, LOAD(const char *, member));
        break;
    default:
        end = write_value((struct place){writer, 0}, number, field->type, NULL, member);
        if (end != NULL)
            covet_json_write_raw(writer, (struct covet_span){number, (size_t)(end - number)});
    }
}

static void put_elements(struct covet_json_writer *writer, const struct covet_json_field *field,
                         const char *value) {
    const char *element = LOAD(const char *, value + field->offset);
    size_t count = element == NULL ? 0 : LOAD(size_t, value + field->count_offset);

    covet_json_write_array_begin(writer);
    for (; count > 0 && writer->error == 0; count--, element += field->bytes)
        put_value(writer, field, element);
    covet_json_write_array_end(writer);
}

static void put_object(struct covet_json_writer *writer, const struct covet_json *description,
                       const char *value) {
    if (!cv_description_is_right(description))
        cv_writer_fail(writer, -EINVAL);
    covet_json_write_object_begin(writer);
    for (uint32_t i = 0; i < description->field_count && writer->error == 0; i++) {
        const struct covet_json_field *field = &description->fields[i];
        bool is_absent = cv_description_is_absent(field, value);

        if (is_absent && (field->flags & COVET_JSON_OPTIONAL) != 0)
            continue;
        covet_json_write_key_span(writer, (struct covet_span){field->key, field->key_bytes});
        if (is_absent)
            covet_json_write_null(writer);
        else if (field->is_array)
            put_elements(writer, field, value);
        else
            put_value(writer, field, value + field->offset);
    }
    covet_json_write_object_end(writer);
}

int covet_json_write_struct(struct covet_json_writer *writer, const struct covet_json *description,
                            const void *value) {
    struct covet_json_writer before = *writer;

    if (!cv_description_is_right(description))
        return cv_writer_fail(writer, -EINVAL);
    if (!cv_writer_open_value(writer))
        return writer->error;
    if (!write_fast(writer, description, value) && writer->error == -ENOSPC) {
        *writer = before;
        put_object(writer, description, value);
    }
    return writer->error;
}
