// Structs as values: the fast walk where there is room for it, else piece by piece.
//
// The walk asks for the largest size an object may have. Fixed memory that is nearly full has not
// that room, while the text may still fit: then the calls of writer.c write the object.
#include "json/object.h"

#include <errno.h>
#include <string.h>

#include "base/compiler.h"
#include "json/description.h"
#include "json/writer.h"

struct cv_object_ops cv_object_chosen;

bool cv_object_force(enum cv_simd simd) {
    if (simd > cv_cpu_simd())
        return false;
#ifdef __x86_64__
    if (simd == CV_SIMD_AVX2) {
        cv_object_chosen = cv_object_avx2;
        return true;
    }
#endif
    cv_object_chosen = cv_object_scalar;
    return simd == CV_SIMD_SCALAR;
}

__attribute__((constructor)) static void choose(void) {
    (void)cv_object_force(cv_cpu_simd());
}

static void put_object(struct covet_json_writer *writer, const struct covet_json *description,
                       const char *value);

static void put_text(struct covet_json_writer *writer, const char *text) {
    covet_json_write_text(writer, text == NULL ? "" : text);
}

static void put_raw(struct covet_json_writer *writer, struct covet_span json) {
    if (json.length == 0)
        covet_json_write_null(writer);
    else
        covet_json_write_raw(writer, json);
}

static void put_value(struct covet_json_writer *writer, const struct covet_json_field *field,
                      const char *member) {
    switch (field->type) {
    case COVET_JSON_TYPE_BOOL:
        covet_json_write_bool(writer, CV_LOAD(bool, member));
        break;
    case COVET_JSON_TYPE_INT8:
        covet_json_write_int(writer, CV_LOAD(int8_t, member));
        break;
    case COVET_JSON_TYPE_INT16:
        covet_json_write_int(writer, CV_LOAD(int16_t, member));
        break;
    case COVET_JSON_TYPE_INT32:
        covet_json_write_int(writer, CV_LOAD(int32_t, member));
        break;
    case COVET_JSON_TYPE_INT64:
        covet_json_write_int(writer, CV_LOAD(int64_t, member));
        break;
    case COVET_JSON_TYPE_UINT8:
        covet_json_write_uint(writer, CV_LOAD(uint8_t, member));
        break;
    case COVET_JSON_TYPE_UINT16:
        covet_json_write_uint(writer, CV_LOAD(uint16_t, member));
        break;
    case COVET_JSON_TYPE_UINT32:
        covet_json_write_uint(writer, CV_LOAD(uint32_t, member));
        break;
    case COVET_JSON_TYPE_UINT64:
        covet_json_write_uint(writer, CV_LOAD(uint64_t, member));
        break;
    case COVET_JSON_TYPE_FLOAT:
        cv_writer_put_float(writer, CV_LOAD(float, member));
        break;
    case COVET_JSON_TYPE_DOUBLE:
        covet_json_write_double(writer, CV_LOAD(double, member));
        break;
    case COVET_JSON_TYPE_SPAN:
        covet_json_write_span(writer, CV_LOAD(struct covet_span, member));
        break;
    case COVET_JSON_TYPE_TEXT:
        put_text(writer, CV_LOAD(const char *, member));
        break;
    case COVET_JSON_TYPE_RAW:
        put_raw(writer, CV_LOAD(struct covet_span, member));
        break;
    case COVET_JSON_TYPE_OBJECT:
        put_object(writer, field->nested, member);
        break;
    default:
        put_object(writer, field->nested, CV_LOAD(const char *, member));
        break;
    }
}

static void put_elements(struct covet_json_writer *writer, const struct covet_json_field *field,
                         const char *value) {
    const char *element = CV_LOAD(const char *, value + field->offset);
    size_t count = element == NULL ? 0 : CV_LOAD(size_t, value + field->count_offset);

    covet_json_write_array_begin(writer);
    for (; count > 0 && writer->error == 0; count--, element += field->bytes)
        put_value(writer, field, element);
    covet_json_write_array_end(writer);
}

static void put_fields(struct covet_json_writer *writer, const struct covet_json *description,
                       const char *value) {
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
}

static void put_object(struct covet_json_writer *writer, const struct covet_json *description,
                       const char *value) {
    if (!cv_description_is_right(description))
        cv_writer_fail(writer, -EINVAL);
    covet_json_write_object_begin(writer);
    put_fields(writer, description, value);
    covet_json_write_object_end(writer);
}

CV_COLD int cv_object_write_by_pieces(struct covet_json_writer *writer, uint32_t depth,
                                      const struct covet_json *description, const void *value) {
    if (writer->error != -ENOSPC)
        return writer->error;
    writer->error = 0;
    writer->depth = depth;
    cv_writer_push(writer, true);
    put_fields(writer, description, value);
    return covet_json_write_object_end(writer);
}

int covet_json_write_struct(struct covet_json_writer *writer, const struct covet_json *description,
                            const void *value) {
    if (CV_UNLIKELY(!cv_description_is_right(description)))
        return cv_writer_fail(writer, -EINVAL);
    if (CV_UNLIKELY(!cv_writer_open_value(writer)))
        return writer->error;
    return cv_object_chosen.write(writer, description, value);
}
