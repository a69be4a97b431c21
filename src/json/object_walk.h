// Structs to text, by their descriptions. Compiled once per code path, by object_avx2.c and
// object_scalar.c, which say in macros how texts (copy_plain of escape.h) and fragments
// (COVET_JSON_FRAGMENT_BYTES) are copied.
//
// Before an object there is room for all of it that has a largest size; only texts, arrays and what
// is pointed to ask for more. So a plain field costs one store of a fixed size for all that stands
// before its value, and a few more for the value: no length is looked at but to move on.
//
//     ,"id":      7        ,"name":"     covet    "   ,"active":   true
//     fragment    number   fragment      text         fragment     word
//
// The comma of the first field, whichever it is, becomes the brace in the end.
#ifndef CV_JSON_OBJECT_WALK_H
#define CV_JSON_OBJECT_WALK_H

#ifdef CV_WALK_COPY_PLAIN

#include <errno.h>
#include <string.h>

#include "json/description.h"
#include "json/escape.h"
#include "json/number.h"
#include "json/object.h"
#include "json/writer.h"

// What a store may touch behind the bytes that count.
#define SLACK_BYTES 64u
_Static_assert(SLACK_BYTES >= COVET_JSON_FRAGMENT_BYTES, "a fragment is stored whole");
_Static_assert(SLACK_BYTES >= CV_NUMBER_ROOM_BYTES, "numbers are");
_Static_assert(SLACK_BYTES >= CV_ESCAPE_SLACK_BYTES, "texts are");

// What an element of an array takes, but for texts and objects: a number and a comma.
#define ELEMENT_BYTES (CV_NUMBER_BYTES_MAX + 1)

// Where a value goes. `reserve` is the room that must be left for what is still to come of the
// objects around, slack included.
struct place {
    struct covet_json_writer *writer;  // Its depth is kept up to date, its `at` is not.
    size_t reserve;
};

static char *write_object(struct place place, char *at, const struct covet_json *description,
                          const char *value);

static CV_COLD char *fail(struct place place, int error) {
    cv_writer_fail(place.writer, error);
    return NULL;
}

static CV_COLD char *write_text_slowly(struct place place, char *at, const char *data,
                                       size_t length) {
    struct covet_json_writer *writer = place.writer;
    char *before = writer->at;
    bool is_fixed = writer->alloc == NULL;

    writer->at = at;
    at = cv_writer_put_text(writer, data, length)
             ? cv_writer_room(writer, writer->at, place.reserve)
             : NULL;
    // Where the object begins, should it have to be written once more.
    if (is_fixed)
        writer->at = before;
    return at;
}

// A text and its closing quote.
static CV_ALWAYS_INLINE char *write_text(struct place place, char *at, const char *data,
                                         size_t length) {
    at = cv_writer_room(place.writer, at, place.reserve + length);
    if (CV_UNLIKELY(at == NULL))
        return NULL;
    if (CV_UNLIKELY(!CV_WALK_COPY_PLAIN(at, data, length)))
        return write_text_slowly(place, at, data, length);
    at[length] = '"';
    return at + length + 1;
}

static char *write_raw(struct place place, char *at, const struct covet_span *json) {
    size_t length = json->length == 0 ? 4 : json->length;

    at = cv_writer_room(place.writer, at, place.reserve + length);
    if (at == NULL)
        return NULL;
    memcpy(at, json->length == 0 ? "null" : json->data, length);
    return at + length;
}

static CV_ALWAYS_INLINE char *write_bool(char *at, bool value) {
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

static inline char *write_fragment(char *at, const struct covet_json_field *field) {
    CV_WALK_COPY_FRAGMENT(at, field->fragment);
    return at + field->fragment_bytes;
}

// Any value at `member`, which is not an array; of a text what is behind the opening quote.
static CV_NOINLINE char *write_value(struct place place, char *at,
                                     const struct covet_json_field *field, const char *member) {
    switch (field->type) {
    case COVET_JSON_TYPE_BOOL:
        return write_bool(at, CV_LOAD(bool, member));
    case COVET_JSON_TYPE_INT8:
        return cv_number_write_int64(at, CV_LOAD(int8_t, member));
    case COVET_JSON_TYPE_INT16:
        return cv_number_write_int64(at, CV_LOAD(int16_t, member));
    case COVET_JSON_TYPE_INT32:
        return cv_number_write_int64(at, CV_LOAD(int32_t, member));
    case COVET_JSON_TYPE_INT64:
        return cv_number_write_int64(at, CV_LOAD(int64_t, member));
    case COVET_JSON_TYPE_UINT8:
        return cv_number_write_uint64(at, CV_LOAD(uint8_t, member));
    case COVET_JSON_TYPE_UINT16:
        return cv_number_write_uint64(at, CV_LOAD(uint16_t, member));
    case COVET_JSON_TYPE_UINT32:
        return cv_number_write_uint64(at, CV_LOAD(uint32_t, member));
    case COVET_JSON_TYPE_UINT64:
        return cv_number_write_uint64(at, CV_LOAD(uint64_t, member));
    case COVET_JSON_TYPE_FLOAT:
        at = cv_number_write_float(at, CV_LOAD(float, member));
        return at == NULL ? fail(place, -EDOM) : at;
    case COVET_JSON_TYPE_DOUBLE:
        at = cv_number_write_double(at, CV_LOAD(double, member));
        return at == NULL ? fail(place, -EDOM) : at;
    case COVET_JSON_TYPE_SPAN:
        return write_text(place, at, CV_LOAD(struct covet_span, member).data,
                          CV_LOAD(struct covet_span, member).length);
    case COVET_JSON_TYPE_TEXT: {
        const char *text = CV_LOAD(const char *, member);

        return write_text(place, at, text, text == NULL ? 0 : strlen(text));
    }
    case COVET_JSON_TYPE_RAW:
        return write_raw(place, at, &CV_LOAD(struct covet_span, member));
    case COVET_JSON_TYPE_OBJECT:
        return write_object(place, at, field->nested, member);
    default:
        return write_pointed(place, at, field->nested, CV_LOAD(const char *, member));
    }
}

static char *write_spans(struct place place, char *at, const struct covet_span *text,
                         size_t count) {
    for (; count > 0; count--, text++) {
        at = cv_writer_room(place.writer, at, place.reserve);
        if (CV_UNLIKELY(at == NULL))
            return NULL;
        *at = '"';
        at = write_text(place, at + 1, text->data, text->length);
        if (CV_UNLIKELY(at == NULL))
            return NULL;
        *at++ = ',';
    }
    at[-1] = ']';
    return at;
}

// The elements of an array that has some, and the closing bracket.
static char *write_elements(struct place place, char *at, const struct covet_json_field *field,
                            const char *element, size_t count) {
    unsigned is_text = cv_description_is_text(field);

    for (; count > 0; count--, element += field->bytes) {
        at = cv_writer_room(place.writer, at, place.reserve);
        if (CV_UNLIKELY(at == NULL))
            return NULL;
        *at = '"';
        at = write_value(place, at + is_text, field, element);
        if (CV_UNLIKELY(at == NULL))
            return NULL;
        *at++ = ',';
    }
    at[-1] = ']';
    return at;
}

static CV_NOINLINE char *write_array(struct place place, char *at,
                                     const struct covet_json_field *field, const char *value) {
    const char *element = CV_LOAD(const char *, value + field->offset);
    size_t count = CV_LOAD(size_t, value + field->count_offset);

    if (place.writer->depth == COVET_JSON_DEPTH_MAX)
        return fail(place, -ELOOP);
    if (element == NULL || count == 0) {
        *at = ']';
        return at + 1;
    }
    place.reserve += ELEMENT_BYTES;
    if (field->type == COVET_JSON_TYPE_OBJECT) {
        if (!cv_description_is_right(field->nested))
            return fail(place, -EINVAL);
        place.reserve += field->nested->written_max;
    }
    place.writer->depth++;
    at = field->type == COVET_JSON_TYPE_SPAN
             ? write_spans(place, at, (const struct covet_span *)(const void *)element, count)
             : write_elements(place, at, field, element, count);
    place.writer->depth--;
    return at;
}

// A key too long to be kept in a fragment.
static char *write_long_key(char *at, const struct covet_json_field *field) {
    memcpy(at, ",\"", 2);
    memcpy(at + 2, field->key, field->key_bytes);
    at += 2 + field->key_bytes;
    memcpy(at, "\":", 2);
    at[2] = field->is_array ? '[' : '"';
    return at + 2 + (field->is_array || cv_description_is_text(field));
}

// Fields that may be absent, arrays, long keys.
static CV_NOINLINE char *write_field(struct place place, char *at,
                                     const struct covet_json_field *field, const char *value) {
    bool is_absent = cv_description_is_absent(field, value);

    if (is_absent && (field->flags & COVET_JSON_OPTIONAL) != 0)
        return at;
    if (CV_LIKELY(field->fragment_bytes != 0)) {
        at = write_fragment(at, field);
    } else {
        at = write_long_key(at, field);
    }
    if (is_absent) {
        // In place of the quote or bracket that opens the value.
        at -= field->is_array || cv_description_is_text(field);
        memcpy(at, "null", 4);
        return at + 4;
    }
    if (field->is_array)
        return write_array(place, at, field, value);
    return write_value(place, at, field, value + field->offset);
}

// All fields up to the one behind the last.
static CV_ALWAYS_INLINE char *write_fields(struct place place, char *at,
                                           const struct covet_json_field *field,
                                           const char *value) {
    for (field--;;) {
        field++;
        const char *member = value + field->offset;
        switch (field->step) {
        case COVET_JSON_TYPE_NONE:
            return at;
        case COVET_JSON_TYPE_BOOL:
            at = write_bool(write_fragment(at, field), CV_LOAD(bool, member));
            continue;
        case COVET_JSON_TYPE_INT8:
            at = cv_number_write_int64(write_fragment(at, field), CV_LOAD(int8_t, member));
            continue;
        case COVET_JSON_TYPE_INT16:
            at = cv_number_write_int64(write_fragment(at, field), CV_LOAD(int16_t, member));
            continue;
        case COVET_JSON_TYPE_INT32:
            at = cv_number_write_int64(write_fragment(at, field), CV_LOAD(int32_t, member));
            continue;
        case COVET_JSON_TYPE_INT64:
            at = cv_number_write_int64(write_fragment(at, field), CV_LOAD(int64_t, member));
            continue;
        case COVET_JSON_TYPE_UINT8:
            at = cv_number_write_uint64(write_fragment(at, field), CV_LOAD(uint8_t, member));
            continue;
        case COVET_JSON_TYPE_UINT16:
            at = cv_number_write_uint64(write_fragment(at, field), CV_LOAD(uint16_t, member));
            continue;
        case COVET_JSON_TYPE_UINT32:
            at = cv_number_write_uint64(write_fragment(at, field), CV_LOAD(uint32_t, member));
            continue;
        case COVET_JSON_TYPE_UINT64:
            at = cv_number_write_uint64(write_fragment(at, field), CV_LOAD(uint64_t, member));
            continue;
        case COVET_JSON_TYPE_DOUBLE:
            at = cv_number_write_double(write_fragment(at, field), CV_LOAD(double, member));
            if (CV_UNLIKELY(at == NULL))
                return fail(place, -EDOM);
            continue;
        case COVET_JSON_TYPE_SPAN:
            at = write_text(place, write_fragment(at, field),
                            CV_LOAD(struct covet_span, member).data,
                            CV_LOAD(struct covet_span, member).length);
            break;
        case COVET_JSON_TYPE_OBJECT:
            at = write_object(place, write_fragment(at, field), field->nested, member);
            break;
        case CV_DESCRIPTION_ARRAY:
            at = write_array(place, write_fragment(at, field), field, value);
            break;
        case CV_DESCRIPTION_OTHER:
            at = write_field(place, at, field, value);
            break;
        case COVET_JSON_TYPE_FLOAT:
        case COVET_JSON_TYPE_TEXT:
        case COVET_JSON_TYPE_RAW:
        case COVET_JSON_TYPE_POINTER:
            at = write_value(place, write_fragment(at, field), field, member);
            break;
        default:
            __builtin_unreachable();
        }
        if (CV_UNLIKELY(at == NULL))
            return NULL;
    }
}

static CV_ALWAYS_INLINE char *write_whole(struct place place, char *at,
                                          const struct covet_json *description, const char *value) {
    // The memory may move, the place of the brace in it does not.
    size_t start = (size_t)(at - place.writer->start);

    if (CV_UNLIKELY(place.writer->depth == COVET_JSON_DEPTH_MAX))
        return fail(place, -ELOOP);
    place.writer->depth++;
    at = write_fields(place, at, description->fields, value);
    if (CV_UNLIKELY(at == NULL))
        return NULL;
    place.writer->depth--;
    char *brace = place.writer->start + start;
    if (CV_UNLIKELY(at == brace))
        at++;
    *brace = '{';
    *at = '}';
    return at + 1;
}

// An object inside of another.
static char *write_object(struct place place, char *at, const struct covet_json *description,
                          const char *value) {
    return write_whole(place, at, description, value);
}

static int write_struct(struct covet_json_writer *writer, const struct covet_json *description,
                        const void *value) {
    struct place place = {writer, description->written_max + SLACK_BYTES};
    uint32_t depth = writer->depth;
    char *at = cv_writer_room(writer, writer->at, place.reserve);

    if (CV_LIKELY(at != NULL))
        at = write_whole(place, at, description, value);
    if (CV_UNLIKELY(at == NULL))
        return cv_object_write_by_pieces(writer, depth, description, value);
    writer->at = at;
    return 0;
}

#endif
#endif
