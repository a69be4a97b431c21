// Path decoding: what comes out is UTF-8 without dot segments, never longer than what went in, and
// a path that is called plain comes out as it went in.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "http/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Decodes one scalar value the long way round; 0 bytes when it is none (RFC 3629).
static size_t scalar_bytes(const uint8_t *text, size_t length) {
    uint32_t value = text[0];
    size_t count = value < 0x80       ? 1
                   : value >> 5 == 6  ? 2
                   : value >> 4 == 14 ? 3
                   : value >> 3 == 30 ? 4
                                      : 0;

    if (count <= 1 || count > length)
        return count <= length ? count : 0;
    value &= 0x7fu >> count;
    for (size_t i = 1; i < count; i++) {
        if (text[i] >> 6 != 2)
            return 0;
        value = value << 6 | (text[i] & 0x3f);
    }
    bool is_short = (count == 2 && value < 0x80) || (count == 3 && value < 0x800) ||
                    (count == 4 && value < 0x10000);
    return is_short || value > 0x10ffff || (value >= 0xd800 && value < 0xe000) ? 0 : count;
}

static void check_utf8(const char *text, size_t length) {
    for (size_t at = 0; at < length;) {
        size_t bytes = scalar_bytes((const uint8_t *)text + at, length - at);

        CV_ASSERT(bytes > 0);
        at += bytes;
    }
}

static void check_segments(const char *path, size_t length) {
    for (size_t at = 0; at < length; at++) {
        size_t end = at + 1;

        if (path[at] != '/')
            continue;
        while (end < length && path[end] != '/')
            end++;
        struct cv_span segment = cv_span_make(path + at + 1, end - at - 1);
        CV_ASSERT(!cv_span_equal(segment, CV_SPAN(".")));
        CV_ASSERT(!cv_span_equal(segment, CV_SPAN("..")));
    }
}

static void check_component(struct cv_span text, char *out) {
    size_t length = SIZE_MAX;

    if (cv_target_decode_component(text, out, &length))
        CV_ASSERT(length <= text.length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    // Both as long as they say, for the sanitizer.
    char *in = malloc(size == 0 ? 1 : size);
    char *out = malloc(size == 0 ? 1 : size);
    const char *reason = NULL;
    size_t length = SIZE_MAX;

    CV_ASSERT(in != NULL && out != NULL);
    memcpy(in, data, size);
    struct cv_span path = cv_span_make(in, size);
    bool is_plain = cv_target_path_is_plain(path);
    if (cv_target_decode_path(path, out, &length, &reason)) {
        CV_ASSERT(length <= size);
        CV_ASSERT(length == 0 || out[0] == '/');
        CV_ASSERT(memchr(out, '\0', length) == NULL && memchr(out, '\\', length) == NULL);
        check_utf8(out, length);
        check_segments(out, length);
        CV_ASSERT(!is_plain || (length == size && memcmp(in, out, size) == 0));
    } else {
        CV_ASSERT(!is_plain && reason != NULL && strlen(reason) > 5);
    }
    check_component(path, out);
    free(in);
    free(out);
    return 0;
}
