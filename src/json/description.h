// What a compiled struct description (<covet/json.h>) promises to writer and reader:
// - `key` is set, its length in `key_bytes`; keys are UTF-8, need no escape, and differ.
// - A nested description is compiled before the one it is nested in, but for those that lead back
//   to themselves through a pointer or an array; `bytes` of both agree.
// - `step` is what to do: the type of a plain value, one that is always written and whose fragment
//   is kept; CV_DESCRIPTION_ARRAY for plain arrays, CV_DESCRIPTION_OTHER for all others; 0 behind
//   the last field.
// - `fragment` is what stands before a value in the text, comma first, with the quote or bracket
//   that opens it. It is kept in a fixed size, so that it can be stored with one.
#ifndef CV_JSON_DESCRIPTION_H
#define CV_JSON_DESCRIPTION_H

#include <stdbool.h>

#include <covet/json.h>

#include "base/compiler.h"

enum cv_description_step {
    CV_DESCRIPTION_ARRAY = COVET_JSON_TYPE_COUNT,
    CV_DESCRIPTION_OTHER = COVET_JSON_TYPE_COUNT + 1,
};

enum cv_description_state {
    CV_DESCRIPTION_NEW = 0,
    CV_DESCRIPTION_OPEN = 1,  // Being compiled: seen again, it leads back to itself.
    CV_DESCRIPTION_RIGHT = 2,
    CV_DESCRIPTION_WRONG = 3,
};

// The object of a type at an address that only a description knows.
#define CV_LOAD(type, address) (*(type const *)(const void *)(address))

static inline bool cv_description_is_text(const struct covet_json_field *field) {
    return field->type == COVET_JSON_TYPE_SPAN || field->type == COVET_JSON_TYPE_TEXT;
}

// Whether nothing is there to write: never for what must be there or is always there.
static inline bool cv_description_is_absent(const struct covet_json_field *field,
                                            const void *value) {
    const char *bytes = value;

    if (field->flags == 0)
        return false;
    if (field->present != 0 && !CV_LOAD(bool, bytes + field->present - 1))
        return true;
    return field->may_be_null && CV_LOAD(void *, bytes + field->offset) == NULL;
}

// Can it be used? False for one with a mistake and for one that was not compiled.
static inline bool cv_description_is_right(const struct covet_json *description) {
    return description->state == CV_DESCRIPTION_RIGHT;
}

// The field called `key`, NULL when there is none. For compiled descriptions; a plain search.
const struct covet_json_field *cv_description_find(const struct covet_json *description,
                                                   const char *key, size_t key_bytes);

#endif
