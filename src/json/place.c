// A walk over the text in front of an error, which is known to be right: so brackets match, and a
// quotation mark begins a string.
#include "json/place.h"

#include <stdio.h>
#include <string.h>

#include "base/span.h"

struct level {
    struct cv_span key;  // Of the member being read; `data` is NULL before it.
    size_t index;        // In an array.
    bool is_object;
};

struct walk {
    struct level levels[COVET_JSON_DEPTH_MAX];
    uint32_t depth;
    size_t line;
    const char *line_start;
};

// The path is written from its end, which says more than its beginning.
struct path {
    char *text;
    size_t at;  // Of the first byte written.
    bool is_full;
};

// The closing quotation mark of the string that begins at `at`, or `end`.
static const char *find_quote(const char *at, const char *end) {
    for (at++; at < end && *at != '"'; at++)
        at += *at == '\\' && at + 1 < end;
    return at;
}

// Takes one byte, or a string.
static const char *step(struct walk *walk, const char *at, const char *end) {
    struct level *level = walk->depth == 0 ? NULL : &walk->levels[walk->depth - 1];
    const char *behind = at + 1;

    switch (*at) {
    case '\n':
        walk->line++;
        walk->line_start = behind;
        break;
    case '"':
        behind = find_quote(at, end);
        if (behind < end && level != NULL && level->is_object && level->key.data == NULL)
            level->key = cv_span_make(at + 1, (size_t)(behind - at) - 1);
        return behind + (behind < end);
    case ',':
        if (level != NULL) {
            level->index++;
            level->key.data = NULL;
        }
        break;
    case '{':
    case '[':
        if (walk->depth < COVET_JSON_DEPTH_MAX)
            walk->levels[walk->depth++] = (struct level){.is_object = *at == '{'};
        break;
    case '}':
    case ']':
        walk->depth -= walk->depth > 0;
        break;
    default:
        break;
    }
    return behind;
}

static void prepend(struct path *path, const char *text, size_t bytes) {
    path->is_full = path->is_full || bytes > path->at;
    if (path->is_full)
        return;
    path->at -= bytes;
    memcpy(path->text + path->at, text, bytes);
}

static void prepend_key(struct path *path, const char *key, size_t bytes) {
    // A key and its point, both or none.
    if (bytes + 1 > path->at)
        path->is_full = true;
    prepend(path, key, bytes);
    prepend(path, ".", 1);
}

static void prepend_level(struct path *path, const struct level *level) {
    char index[32];

    if (!level->is_object) {
        int bytes = snprintf(index, sizeof(index), "[%zu]", level->index);

        prepend(path, index, (size_t)bytes);
    } else if (level->key.data != NULL) {
        prepend_key(path, level->key.data, level->key.length);
    }
}

static void write_path(const struct walk *walk, const char *member, size_t member_bytes,
                       char out[COVET_JSON_PATH_BYTES]) {
    char text[COVET_JSON_PATH_BYTES];
    struct path path = {.text = text, .at = COVET_JSON_PATH_BYTES - sizeof("...")};
    size_t bytes, dots;

    if (member != NULL)
        prepend_key(&path, member, member_bytes);
    for (uint32_t depth = walk->depth; depth > 0; depth--)
        prepend_level(&path, &walk->levels[depth - 1]);
    bytes = COVET_JSON_PATH_BYTES - sizeof("...") - path.at;
    dots = path.is_full ? 3 : 0;
    // The outermost key needs no point in front.
    if (dots == 0 && bytes > 0 && text[path.at] == '.') {
        path.at++;
        bytes--;
    }
    memcpy(out, "...", dots);
    memcpy(out + dots, text + path.at, bytes);
    out[dots + bytes] = '\0';
}

void cv_place_explain(const struct covet_json_reader *reader, const char *member,
                      size_t member_bytes, struct covet_json_failure *failure) {
    struct walk walk = {.line = 1, .line_start = reader->begin};

    for (const char *at = reader->begin; at < reader->error_at;)
        at = step(&walk, at, reader->error_at);
    failure->error = reader->error;
    failure->reason = reader->reason;
    failure->offset = (size_t)(reader->error_at - reader->begin);
    failure->line = walk.line;
    failure->column = (size_t)(reader->error_at - walk.line_start) + 1;
    write_path(&walk, member, member_bytes, failure->path);
}
