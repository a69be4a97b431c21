// Flattening a JSON text, by one pass of the reader with the path of where it stands beside it.
#include "profile/figures.h"

#include <covet/json.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_BYTES_MAX (16u << 20)
#define FIRST_ROOM 256u
#define TEXTS_BYTES 65536u  // For texts with escapes, which nobody looks at.

struct flattening {
    struct covet_json_reader reader;
    struct cv_figures figures;
    size_t room;
    char path[CV_FIGURES_PATH_BYTES];
    size_t ends[COVET_JSON_DEPTH_MAX + 1];  // of the path at each depth
    unsigned depth;
};

static void *cut(void *context, size_t bytes) {
    char **at = context;
    char *piece = *at;

    *at += (bytes + 15) & ~(size_t)15;
    return piece;
}

// Appends a key to the path of the object reading stands in. False when it does not fit.
static bool enter(struct flattening *flat, const struct covet_json_value *value) {
    size_t at = flat->ends[flat->depth];
    size_t length = value->key.length;

    if (at + length + 2 > sizeof(flat->path))
        return false;
    if (at > 0)
        flat->path[at++] = '.';
    if (length > 0)
        memcpy(flat->path + at, value->key.data, length);
    flat->path[at + length] = '\0';
    return true;
}

static int keep(struct flattening *flat, double value) {
    struct cv_figures *figures = &flat->figures;

    if (figures->count == flat->room) {
        size_t room = flat->room == 0 ? FIRST_ROOM : 2 * flat->room;
        void *items = realloc(figures->items, room * sizeof(*figures->items));
        if (items == NULL)
            return -ENOMEM;
        figures->items = items;
        flat->room = room;
    }
    struct cv_figure *figure = &figures->items[figures->count++];
    memcpy(figure->path, flat->path, sizeof(figure->path));
    figure->value = value;
    return 0;
}

// One value behind a key. Objects are entered, so their members come next.
static int take_value(struct flattening *flat, const struct covet_json_value *value) {
    bool is_object = value->kind == COVET_JSON_OBJECT;
    bool is_number = value->kind >= COVET_JSON_INT && value->kind <= COVET_JSON_DOUBLE;

    if (value->kind == COVET_JSON_ARRAY || (is_object && covet_json_key_is(value, "buckets"))) {
        (void)covet_json_leave(&flat->reader);
        return 0;
    }
    bool is_entered = enter(flat, value);
    if (is_object && is_entered) {
        flat->depth++;
        flat->ends[flat->depth] = strlen(flat->path);
    } else if (is_object) {
        (void)covet_json_leave(&flat->reader);
    }
    return is_number && is_entered ? keep(flat, value->number) : 0;
}

// `texts` has TEXTS_BYTES bytes.
static int flatten(struct flattening *flat, const char *text, size_t length, char *texts,
                   struct covet_json_failure *failure) {
    // Rounding up must not go beyond the end.
    struct covet_json_memory memory = {cut, &texts, TEXTS_BYTES / 16};
    struct covet_json_value value;
    int result = 0;

    covet_json_open(&flat->reader, text, length, &memory);
    bool is_object = covet_json_next(&flat->reader, &value) == COVET_JSON_OBJECT;
    for (bool goes_on = is_object; goes_on && result == 0;) {
        enum covet_json_kind kind = covet_json_next(&flat->reader, &value);

        if (kind > COVET_JSON_END)
            result = take_value(flat, &value);
        else if (kind != COVET_JSON_END || flat->depth == 0)
            goes_on = false;
        else
            flat->depth--;
    }
    int error = covet_json_close(&flat->reader, failure);
    if (error == 0 && !is_object) {
        *failure = (struct covet_json_failure){
            .error = -EDOM, .reason = "not an object", .line = 1, .column = 1};
        error = -EDOM;
    }
    return result != 0 ? result : error;
}

// The whole file; NULL with errno set.
static char *read_file(const char *path, size_t *length) {
    FILE *file = fopen(path, "re");
    char *text = NULL;

    if (file == NULL)
        return NULL;
    text = malloc(FILE_BYTES_MAX);
    if (text != NULL)
        *length = fread(text, 1, FILE_BYTES_MAX, file);
    if (text != NULL && (ferror(file) || *length == FILE_BYTES_MAX)) {
        int error = ferror(file) ? EIO : EFBIG;
        free(text);
        text = NULL;
        errno = error;
    }
    int error = errno;
    fclose(file);
    errno = error;
    return text;
}

int cv_figures_read(struct cv_figures *figures, const char *path, char *message,
                    size_t message_bytes) {
    struct covet_json_failure failure = {0};
    struct flattening flat = {0};
    size_t length = 0;
    char *text = read_file(path, &length);
    char *texts = text == NULL ? NULL : malloc(TEXTS_BYTES);

    if (texts == NULL) {
        int error = errno;
        snprintf(message, message_bytes, "%s: %s", path, strerror(error));
        free(text);
        return -error;
    }
    int result = flatten(&flat, text, length, texts, &failure);
    free(texts);
    free(text);
    if (result == 0) {
        *figures = flat.figures;
        return 0;
    }
    if (failure.reason != NULL)
        snprintf(message, message_bytes, "%s:%zu:%zu: %s", path, failure.line, failure.column,
                 failure.reason);
    else
        snprintf(message, message_bytes, "%s: out of memory", path);
    cv_figures_deinit(&flat.figures);
    return result;
}

const double *cv_figures_find(const struct cv_figures *figures, const char *path) {
    for (size_t i = 0; i < figures->count; i++) {
        if (strcmp(figures->items[i].path, path) == 0)
            return &figures->items[i].value;
    }
    return NULL;
}

void cv_figures_deinit(struct cv_figures *figures) {
    free(figures->items);
    *figures = (struct cv_figures){0};
}
