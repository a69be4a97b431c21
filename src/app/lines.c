// The lines are appended in place while they fit the block they are in; a fuller one moves to a
// block twice the size, in the same arena, so a response with few fields costs one small
// allocation.
#include "app/lines.h"

#include <errno.h>

#include <covet/response.h>

#include "base/compiler.h"
#include "http/headers.h"

#define FIRST_BYTES 240u

_Static_assert(CV_LINES_BYTES_MAX == COVET_FIELDS_BYTES_MAX, "what is documented");

static int reserve(struct cv_lines *lines, struct cv_arena *arena, size_t bytes) {
    size_t needed = lines->length + bytes;
    size_t capacity = lines->capacity == 0 ? FIRST_BYTES : lines->capacity;
    char *data;

    if (needed > CV_LINES_BYTES_MAX)
        return -E2BIG;
    if (needed <= lines->capacity)
        return 0;
    while (capacity < needed)
        capacity *= 2;
    data = cv_arena_alloc(arena, capacity);
    if (data == NULL)
        return -ENOMEM;
    if (lines->length > 0)
        memcpy(data, lines->data, lines->length);
    lines->data = data;
    lines->capacity = (uint32_t)capacity;
    return 0;
}

int cv_lines_append(struct cv_lines *lines, struct cv_arena *arena, struct cv_span name,
                    struct cv_span value) {
    char *at;
    int error;

    if (!cv_headers_is_token(name) || !cv_headers_is_value(value))
        return -EBADMSG;
    if (name.length > CV_LINES_BYTES_MAX || value.length > CV_LINES_BYTES_MAX)
        return -E2BIG;
    error = reserve(lines, arena, name.length + 2 + value.length + 2);
    if (error != 0)
        return error;
    at = lines->data + lines->length;
    memcpy(at, name.data, name.length);
    at += name.length;
    memcpy(at, ": ", 2);
    at += 2;
    if (value.length > 0)
        memcpy(at, value.data, value.length);
    at += value.length;
    memcpy(at, "\r\n", 2);
    lines->length = (uint32_t)(at + 2 - lines->data);
    return 0;
}

static bool is_among(struct cv_span name, const struct cv_span *names, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (cv_span_equal_nocase(name, names[i]))
            return true;
    return false;
}

#define NAME(literal) \
    { (literal), sizeof(literal) - 1 }

bool cv_lines_is_owned(struct cv_span name) {
    static const struct cv_span owned[] = {NAME("content-length"), NAME("transfer-encoding"),
                                           NAME("connection"), NAME("date")};

    return is_among(name, owned, CV_ARRAY_COUNT(owned));
}

bool cv_lines_is_forbidden_trailer(struct cv_span name) {
    static const struct cv_span forbidden[] = {NAME("trailer"),
                                               NAME("te"),
                                               NAME("keep-alive"),
                                               NAME("upgrade"),
                                               NAME("host"),
                                               NAME("max-forwards"),
                                               NAME("cache-control"),
                                               NAME("expires"),
                                               NAME("pragma"),
                                               NAME("vary"),
                                               NAME("age"),
                                               NAME("location"),
                                               NAME("retry-after"),
                                               NAME("content-encoding"),
                                               NAME("content-type"),
                                               NAME("content-range"),
                                               NAME("authorization"),
                                               NAME("www-authenticate"),
                                               NAME("set-cookie"),
                                               NAME("proxy-authenticate"),
                                               NAME("proxy-connection"),
                                               NAME("proxy-authorization"),
                                               NAME("expect"),
                                               NAME("range")};

    return cv_lines_is_owned(name) || is_among(name, forbidden, CV_ARRAY_COUNT(forbidden));
}
