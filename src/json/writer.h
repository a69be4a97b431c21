// JSON text in the making: the public calls of <covet/json.h>, and what the writing of structs
// shares with them.
//
// Behind `at` there may be less room than a fast store touches. So a piece is written in place when
// there is room for all it touches, and beside and copied when the memory is fixed and nearly full.
#ifndef CV_JSON_WRITER_H
#define CV_JSON_WRITER_H

#include <stdbool.h>
#include <stddef.h>

#include <covet/json.h>

#include "base/compiler.h"

// Keeps the first error; returns the one kept.
int cv_writer_fail(struct covet_json_writer *writer, int error);

// Makes `bytes` bytes of room behind `at`, which is the end of the text so far. Returns the end of
// the text, moved perhaps, or NULL with the error set.
char *cv_writer_grow(struct covet_json_writer *writer, char *at, size_t bytes);

// The same for at least 1 byte, when there may be room enough already.
static inline char *cv_writer_room(struct covet_json_writer *writer, char *at, size_t bytes) {
    if (CV_UNLIKELY(bytes > (size_t)(writer->end - at)))
        return cv_writer_grow(writer, at, bytes);
    // Spares the callers' test for NULL the common path.
    if (at == NULL)
        __builtin_unreachable();
    return at;
}

bool cv_writer_open_next(struct covet_json_writer *writer);

// Begins a value: its comma, if one is due. False when none may stand here.
static inline bool cv_writer_open_value(struct covet_json_writer *writer) {
    // The first value of all, nearly always.
    if (CV_LIKELY((writer->depth | (unsigned)writer->error) == 0 && !writer->has_value)) {
        writer->has_value = true;
        return true;
    }
    return cv_writer_open_next(writer);
}

// Opens an object or array where a value was begun.
int cv_writer_push(struct covet_json_writer *writer, bool is_object);

int cv_writer_put_float(struct covet_json_writer *writer, float value);

// A text's bytes, escaped where needed, and the closing quote, at writer->at. False with the error
// set.
bool cv_writer_put_text(struct covet_json_writer *writer, const char *data, size_t length);

#endif
