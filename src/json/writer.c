// The calls that write a text piece by piece.
//
// What may come next follows from three facts: what is open at this depth, whether a key waits for
// its value, whether a value stands before.
#include "json/writer.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "json/escape.h"
#include "json/number.h"
#include "json/utf8.h"

#define FIRST_BYTES 256u       // Of memory from `alloc`.
#define PIECE_BYTES 1024u      // Of text that is escaped at a time,
#define TIGHT_PIECE_BYTES 16u  // when the memory is nearly full.

int cv_writer_fail(struct covet_json_writer *writer, int error) {
    if (writer->error == 0)
        writer->error = error;
    return writer->error;
}

void covet_json_writer_init(struct covet_json_writer *writer, void *memory, size_t bytes,
                            covet_json_alloc_fn alloc, void *context) {
    *writer = (struct covet_json_writer){
        .start = memory,
        .at = memory,
        .end = memory == NULL ? NULL : (char *)memory + bytes,
        .alloc = alloc,
        .context = context,
    };
}

// Room.

CV_COLD char *cv_writer_grow(struct covet_json_writer *writer, char *at, size_t bytes) {
    size_t used = writer->start == NULL ? 0 : (size_t)(at - writer->start);
    size_t capacity = writer->start == NULL ? 0 : (size_t)(writer->end - writer->start);
    size_t wanted = CV_MAX(CV_MAX(used + bytes, 2 * capacity), FIRST_BYTES);
    char *memory;

    if (writer->alloc == NULL) {
        cv_writer_fail(writer, -ENOSPC);
        return NULL;
    }
    memory =
        bytes > SIZE_MAX / 4 || used > SIZE_MAX / 4 ? NULL : writer->alloc(writer->context, wanted);
    if (memory == NULL) {
        cv_writer_fail(writer, -ENOMEM);
        return NULL;
    }
    if (used > 0)
        memcpy(memory, writer->start, used);
    writer->start = memory;
    writer->at = memory + used;
    writer->end = memory + wanted;
    return writer->at;
}

// Where a piece can be written that touches up to `bytes` bytes: at the end of the text, or at
// `beside` when the memory is fixed and nearly full. put_piece takes it from there. NULL with the
// error set.
static char *piece_place(struct covet_json_writer *writer, char *beside, size_t bytes) {
    if (CV_LIKELY(bytes <= (size_t)(writer->end - writer->at)))
        return writer->at;
    return writer->alloc == NULL ? beside : cv_writer_grow(writer, writer->at, bytes);
}

static bool put_piece(struct covet_json_writer *writer, const char *piece, size_t bytes) {
    char *at = writer->at;

    if (piece != at) {
        at = cv_writer_room(writer, at, bytes);
        if (at == NULL)
            return false;
        memcpy(at, piece, bytes);
    }
    writer->at = at + bytes;
    return true;
}

static bool put_byte(struct covet_json_writer *writer, char byte) {
    char *at = cv_writer_room(writer, writer->at, 1);

    if (at == NULL)
        return false;
    *at = byte;
    writer->at = at + 1;
    return true;
}

// Structure.

static bool is_in_object(const struct covet_json_writer *writer) {
    return writer->depth > 0 && (writer->objects >> (writer->depth - 1) & 1) != 0;
}

bool cv_writer_open_next(struct covet_json_writer *writer) {
    bool in_object = is_in_object(writer);

    if (writer->error != 0)
        return false;
    if (in_object ? !writer->has_key : writer->depth == 0 && writer->has_value) {
        cv_writer_fail(writer, -EINVAL);
        return false;
    }
    if (writer->has_value && !in_object && !put_byte(writer, ','))
        return false;
    writer->has_key = false;
    writer->has_value = true;
    return true;
}

int cv_writer_push(struct covet_json_writer *writer, bool is_object) {
    if (writer->depth == COVET_JSON_DEPTH_MAX)
        return cv_writer_fail(writer, -ELOOP);
    uint64_t bit = UINT64_C(1) << writer->depth;

    writer->objects = is_object ? writer->objects | bit : writer->objects & ~bit;
    writer->depth++;
    writer->has_value = false;
    put_byte(writer, is_object ? '{' : '[');
    return writer->error;
}

static int begin(struct covet_json_writer *writer, bool is_object) {
    return cv_writer_open_value(writer) ? cv_writer_push(writer, is_object) : writer->error;
}

static int end(struct covet_json_writer *writer, bool is_object) {
    if (writer->error != 0)
        return writer->error;
    if (writer->depth == 0 || is_in_object(writer) != is_object || writer->has_key)
        return cv_writer_fail(writer, -EINVAL);
    writer->depth--;
    writer->has_value = true;
    put_byte(writer, is_object ? '}' : ']');
    return writer->error;
}

int covet_json_write_object_begin(struct covet_json_writer *writer) {
    return begin(writer, true);
}

int covet_json_write_object_end(struct covet_json_writer *writer) {
    return end(writer, true);
}

int covet_json_write_array_begin(struct covet_json_writer *writer) {
    return begin(writer, false);
}

int covet_json_write_array_end(struct covet_json_writer *writer) {
    return end(writer, false);
}

int covet_json_writer_finish(struct covet_json_writer *writer, struct covet_span *text) {
    if (writer->depth != 0 || !writer->has_value)
        cv_writer_fail(writer, -EINVAL);
    if (writer->error == 0) {
        text->data = writer->start;
        text->length = (size_t)(writer->at - writer->start);
    }
    return writer->error;
}

// Texts.

// The hard cases: with escapes, beyond ASCII, or no room for a fast copy.
static bool put_text_by_pieces(struct covet_json_writer *writer, const char *data, size_t length) {
    char beside[TIGHT_PIECE_BYTES * CV_ESCAPE_BYTES_MAX + CV_ESCAPE_SLACK_BYTES];

    if (!cv_utf8_valid(data, length)) {
        cv_writer_fail(writer, -EILSEQ);
        return false;
    }
    while (length > 0) {
        size_t piece = CV_MIN(length, PIECE_BYTES);
        size_t bytes = piece * CV_ESCAPE_BYTES_MAX + CV_ESCAPE_SLACK_BYTES;
        char *place = piece_place(writer, beside, bytes);

        if (place == NULL)
            return false;
        if (place == beside)
            piece = CV_MIN(length, TIGHT_PIECE_BYTES);
        size_t written = (size_t)(cv_escape_text(place, data, piece) - place);
        if (!put_piece(writer, place, written))
            return false;
        data += piece;
        length -= piece;
    }
    return put_byte(writer, '"');
}

bool cv_writer_put_text(struct covet_json_writer *writer, const char *data, size_t length) {
    // One byte for the quote behind.
    size_t bytes = length + CV_ESCAPE_SLACK_BYTES + 1;

    if (CV_LIKELY(bytes > length) && piece_place(writer, NULL, bytes) != NULL &&
        CV_LIKELY(cv_escape_chosen.copy_plain(writer->at, data, length))) {
        writer->at[length] = '"';
        writer->at += length + 1;
        return true;
    }
    return writer->error == 0 && put_text_by_pieces(writer, data, length);
}

static int write_key(struct covet_json_writer *writer, const char *key, size_t length) {
    if (writer->error != 0)
        return writer->error;
    if (!is_in_object(writer) || writer->has_key)
        return cv_writer_fail(writer, -EINVAL);
    if ((!writer->has_value || put_byte(writer, ',')) && put_byte(writer, '"') &&
        cv_writer_put_text(writer, key, length))
        put_byte(writer, ':');
    writer->has_key = true;
    return writer->error;
}

static int write_text(struct covet_json_writer *writer, const char *text, size_t length) {
    if (cv_writer_open_value(writer) && put_byte(writer, '"'))
        cv_writer_put_text(writer, text, length);
    return writer->error;
}

int covet_json_write_key(struct covet_json_writer *writer, const char *key) {
    return write_key(writer, key, strlen(key));
}

int covet_json_write_key_span(struct covet_json_writer *writer, struct covet_span key) {
    return write_key(writer, key.data, key.length);
}

int covet_json_write_text(struct covet_json_writer *writer, const char *text) {
    if (text == NULL)
        return covet_json_write_null(writer);
    return write_text(writer, text, strlen(text));
}

int covet_json_write_span(struct covet_json_writer *writer, struct covet_span text) {
    return write_text(writer, text.data, text.length);
}

// Other values.

static int write_word(struct covet_json_writer *writer, const char *word, size_t length) {
    if (cv_writer_open_value(writer))
        put_piece(writer, word, length);
    return writer->error;
}

int covet_json_write_raw(struct covet_json_writer *writer, struct covet_span json) {
    if (json.length == 0)
        return cv_writer_fail(writer, -EINVAL);
    return write_word(writer, json.data, json.length);
}

int covet_json_write_null(struct covet_json_writer *writer) {
    return write_word(writer, "null", 4);
}

int covet_json_write_bool(struct covet_json_writer *writer, bool value) {
    return value ? write_word(writer, "true", 4) : write_word(writer, "false", 5);
}

// Begins a number; NULL with the error set.
static char *open_number(struct covet_json_writer *writer, char *beside) {
    return cv_writer_open_value(writer) ? piece_place(writer, beside, CV_NUMBER_ROOM_BYTES) : NULL;
}

// `behind` NULL: it was no number.
static int close_number(struct covet_json_writer *writer, const char *place, const char *behind) {
    if (behind == NULL)
        return cv_writer_fail(writer, -EDOM);
    put_piece(writer, place, (size_t)(behind - place));
    return writer->error;
}

int covet_json_write_int(struct covet_json_writer *writer, int64_t value) {
    char beside[CV_NUMBER_ROOM_BYTES];
    char *place = open_number(writer, beside);

    if (place == NULL)
        return writer->error;
    return close_number(writer, place, cv_number_write_int64(place, value));
}

int covet_json_write_uint(struct covet_json_writer *writer, uint64_t value) {
    char beside[CV_NUMBER_ROOM_BYTES];
    char *place = open_number(writer, beside);

    if (place == NULL)
        return writer->error;
    return close_number(writer, place, cv_number_write_uint64(place, value));
}

int covet_json_write_double(struct covet_json_writer *writer, double value) {
    char beside[CV_NUMBER_ROOM_BYTES];
    char *place = open_number(writer, beside);

    if (place == NULL)
        return writer->error;
    return close_number(writer, place, cv_number_write_double(place, value));
}

int cv_writer_put_float(struct covet_json_writer *writer, float value) {
    char beside[CV_NUMBER_ROOM_BYTES];
    char *place = open_number(writer, beside);

    if (place == NULL)
        return writer->error;
    return close_number(writer, place, cv_number_write_float(place, value));
}
