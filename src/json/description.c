// Completes a struct description: checks it, fills in keys, fragments and sizes.
//
// Runs once per description before any thread uses it (a constructor that COVET_JSON defines), so
// there is no lazy check and no lock where it is used. All memory is the description's own.
#include "json/description.h"

#include <errno.h>
#include <string.h>

#include "json/utf8.h"

// Objects larger than this without their texts are a mistake: in-place nesting grows by powers.
#define WRITTEN_MAX (1u << 20)

// What stands around a value but its key: the comma, two quotes, the colon.
#define AROUND_KEY_BYTES 4u

// The most bytes a value takes; of texts, arrays, pointers and raw values only what is always
// there.
static const uint8_t value_bytes[COVET_JSON_TYPE_COUNT] = {
    [COVET_JSON_TYPE_BOOL] = 5,    [COVET_JSON_TYPE_INT8] = 4,    [COVET_JSON_TYPE_INT16] = 6,
    [COVET_JSON_TYPE_INT32] = 11,  [COVET_JSON_TYPE_INT64] = 20,  [COVET_JSON_TYPE_UINT8] = 4,
    [COVET_JSON_TYPE_UINT16] = 5,  [COVET_JSON_TYPE_UINT32] = 10, [COVET_JSON_TYPE_UINT64] = 20,
    [COVET_JSON_TYPE_FLOAT] = 25,  [COVET_JSON_TYPE_DOUBLE] = 25, [COVET_JSON_TYPE_SPAN] = 4,
    [COVET_JSON_TYPE_TEXT] = 4,    [COVET_JSON_TYPE_RAW] = 4,     [COVET_JSON_TYPE_OBJECT] = 4,
    [COVET_JSON_TYPE_POINTER] = 4,
};

static int fail(struct covet_json *description, const struct covet_json_field *field,
                const char *error) {
    description->error = error;
    description->error_member = field == NULL ? NULL : field->member;
    return -EINVAL;
}

static bool needs_escape(const char *key, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        if ((unsigned char)key[i] < 0x20 || key[i] == '"' || key[i] == '\\')
            return true;
    }
    return false;
}

static bool has_pointer(const struct covet_json_field *field) {
    return field->is_array || cv_description_is_text(field) || field->type == COVET_JSON_TYPE_RAW ||
           field->type == COVET_JSON_TYPE_POINTER;
}

// What is wrong with the field by itself, or NULL.
static const char *find_mistake(const struct covet_json_field *field, size_t key_bytes) {
    if (key_bytes > COVET_JSON_KEY_BYTES_MAX)
        return "the key is longer than 255 bytes";
    if (needs_escape(field->key, key_bytes))
        return "the key needs an escape";
    if (!cv_utf8_scalar.is_valid(field->key, key_bytes))
        return "the key is not UTF-8";
    if (field->type == COVET_JSON_TYPE_NONE || field->type >= COVET_JSON_TYPE_COUNT)
        return "a field that no macro made";
    if (field->bytes == 0)
        return "a value of no bytes";
    if ((field->flags & COVET_JSON_NULLABLE) != 0 && field->present == 0 && !has_pointer(field))
        return "nullable, but nothing says whether there is a value";
    if (field->present != 0 && field->flags == 0)
        return "may be absent, but is neither optional nor nullable";
    return NULL;
}

static const char *compile_nested(const struct covet_json_field *field) {
    struct covet_json *nested = field->nested;

    if (nested->bytes != field->bytes)
        return "the description is that of another struct";
    if (covet_json_compile(nested) != 0)
        return "its description has a mistake";
    if (nested->state == CV_DESCRIPTION_OPEN && field->type == COVET_JSON_TYPE_OBJECT &&
        !field->is_array)
        return "a struct inside itself";
    return NULL;
}

static void fill_fragment(struct covet_json_field *field) {
    char open = field->is_array ? '[' : cv_description_is_text(field) ? '"' : '\0';
    size_t bytes = AROUND_KEY_BYTES + field->key_bytes + (open != '\0');

    memset(field->fragment, 0, sizeof(field->fragment));
    field->fragment_bytes = bytes <= sizeof(field->fragment) ? (uint8_t)bytes : 0;
    if (field->fragment_bytes == 0)
        return;
    memcpy(field->fragment, ",\"", 2);
    memcpy(field->fragment + 2, field->key, field->key_bytes);
    memcpy(field->fragment + 2 + field->key_bytes, "\":", 2);
    if (open != '\0')
        field->fragment[bytes - 1] = open;
}

static uint32_t written_max(const struct covet_json_field *field) {
    uint32_t value = value_bytes[field->type];

    if (field->type == COVET_JSON_TYPE_OBJECT && !field->is_array)
        value = CV_MAX(value, field->nested->written_max);
    return AROUND_KEY_BYTES + field->key_bytes + value;
}

static int compile_field(struct covet_json *description, struct covet_json_field *field) {
    bool is_nested =
        field->type == COVET_JSON_TYPE_OBJECT || field->type == COVET_JSON_TYPE_POINTER;
    const char *mistake;
    size_t key_bytes;

    if (field->key == NULL)
        field->key = field->member;
    key_bytes = strlen(field->key);
    mistake = find_mistake(field, key_bytes);
    if (mistake == NULL && is_nested)
        mistake = compile_nested(field);
    if (mistake == NULL && cv_description_find(description, field->key, key_bytes) != field)
        mistake = "two fields have this key";
    if (mistake != NULL)
        return fail(description, field, mistake);

    field->key_bytes = (uint8_t)key_bytes;
    memcpy(&field->key_word, field->key, CV_MIN(key_bytes, sizeof(field->key_word)));
    if (field->type == COVET_JSON_TYPE_POINTER && !field->is_array)
        field->flags |= COVET_JSON_NULLABLE;
    field->may_be_null = field->flags != 0 && has_pointer(field);
    if ((field->flags & COVET_JSON_OPTIONAL) == 0)
        description->required |= UINT64_C(1) << field->index;
    fill_fragment(field);
    bool is_plain = field->fragment_bytes != 0 && field->present == 0 && !field->may_be_null;
    field->step = !is_plain         ? CV_DESCRIPTION_OTHER
                  : field->is_array ? CV_DESCRIPTION_ARRAY
                                    : field->type;
    description->written_max += written_max(field);
    return description->written_max <= WRITTEN_MAX ? 0
                                                   : fail(description, field, "it is too large");
}

static int compile(struct covet_json *description) {
    if (description->field_count > COVET_JSON_FIELDS_MAX)
        return fail(description, NULL, "more than 64 fields");
    description->written_max = 2;  // The braces.
    for (uint32_t i = 0; i < description->field_count; i++) {
        description->fields[i].index = (uint8_t)i;
        int error = compile_field(description, &description->fields[i]);
        if (error != 0)
            return error;
    }
    return 0;
}

int covet_json_compile(struct covet_json *description) {
    if (description->state == CV_DESCRIPTION_NEW) {
        description->state = CV_DESCRIPTION_OPEN;
        description->state =
            compile(description) == 0 ? CV_DESCRIPTION_RIGHT : CV_DESCRIPTION_WRONG;
    }
    return description->error == NULL ? 0 : -EINVAL;
}

const char *covet_json_error(const struct covet_json *description, const char **member) {
    bool is_compiled =
        description->state == CV_DESCRIPTION_RIGHT || description->state == CV_DESCRIPTION_WRONG;

    if (member != NULL)
        *member = description->error_member;
    return is_compiled ? description->error : "it was not compiled";
}

const struct covet_json_field *cv_description_find(const struct covet_json *description,
                                                   const char *key, size_t key_bytes) {
    for (uint32_t i = 0; i < description->field_count; i++) {
        const struct covet_json_field *field = &description->fields[i];

        if (field->key != NULL && strlen(field->key) == key_bytes &&
            memcmp(field->key, key, key_bytes) == 0)
            return field;
    }
    return NULL;
}
