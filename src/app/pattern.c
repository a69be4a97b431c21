// One segment after the other, each copied or cut down into the key, which is never longer than the
// pattern.
#include "app/pattern.h"

#include <stdbool.h>
#include <string.h>

static bool is_name(struct cv_span text) {
    if (text.length == 0 || text.length > CV_PATTERN_NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < text.length; i++) {
        char c = text.data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_'))
            return false;
    }
    return true;
}

static bool ends_with(struct cv_span text, struct cv_span end) {
    return text.length >= end.length &&
           memcmp(text.data + text.length - end.length, end.data, end.length) == 0;
}

static void put(struct cv_pattern *pattern, struct cv_span bytes) {
    if (bytes.length > 0)
        memcpy(pattern->key + pattern->key_bytes, bytes.data, bytes.length);
    pattern->key_bytes += (uint32_t)bytes.length;
}

static const char *take_text(struct cv_pattern *pattern, struct cv_span text) {
    if (text.length > 0 && (memchr(text.data, '{', text.length) != NULL ||
                            memchr(text.data, '}', text.length) != NULL))
        return "a parameter must be a whole segment";
    // What no path can hold after decoding would be a route never reached.
    if (text.length > 0 && memchr(text.data, CV_PATTERN_PARAM, text.length) != NULL)
        return "no path holds a byte 0xff, it is not UTF-8";
    if (cv_span_equal(text, CV_SPAN(".")) || cv_span_equal(text, CV_SPAN("..")))
        return "no path keeps a dot segment";
    put(pattern, text);
    return NULL;
}

// `text` begins with '{'.
static const char *take_param(struct cv_pattern *pattern, struct cv_span text, char *kind) {
    static const struct cv_span int_end = {":int", 4};
    static const struct cv_span rest_end = {"...", 3};

    if (text.data[text.length - 1] != '}')
        return "a parameter must be a whole segment";

    struct cv_span name = cv_span_make(text.data + 1, text.length - 2);
    *kind = CV_PATTERN_NAME;
    if (ends_with(name, int_end)) {
        *kind = CV_PATTERN_INT;
        name.length -= int_end.length;
    } else if (ends_with(name, rest_end)) {
        *kind = CV_PATTERN_REST;
        name.length -= rest_end.length;
    }
    if (!is_name(name))
        return "a parameter is {name}, {name:int} or {name...}";
    if (pattern->param_count == CV_PATTERN_PARAMS_MAX)
        return "too many parameters";
    for (uint32_t i = 0; i < pattern->param_count; i++)
        if (cv_span_equal(pattern->param_name[i], name))
            return "a parameter name is used twice";
    pattern->param_name[pattern->param_count++] = name;
    put(pattern, cv_span_make((const char[]){CV_PATTERN_PARAM, *kind}, 2));
    return NULL;
}

const char *cv_pattern_parse(struct cv_pattern *pattern, const char *text) {
    size_t length = strlen(text);
    const char *at = text, *end = text + length;
    const char *wrong = NULL;
    uint32_t segment_count = 0;
    char kind = '\0';

    pattern->key_bytes = 0;
    pattern->param_count = 0;
    if (length == 0 || text[0] != '/')
        return "a pattern begins with '/'";
    if (length > CV_PATTERN_BYTES_MAX)
        return "the pattern is too long";
    while (wrong == NULL && at < end) {
        const char *start = at + 1;

        if (segment_count++ == CV_PATTERN_SEGMENTS_MAX)
            return "too many segments";
        if (kind == CV_PATTERN_REST)
            return "{name...} must be the last segment";
        at = memchr(start, '/', (size_t)(end - start));
        at = at == NULL ? end : at;

        struct cv_span segment = cv_span_make(start, (size_t)(at - start));
        put(pattern, CV_SPAN("/"));
        if (segment.length > 0 && segment.data[0] == '{')
            wrong = take_param(pattern, segment, &kind);
        else
            wrong = take_text(pattern, segment);
    }
    pattern->key[pattern->key_bytes] = '\0';
    return wrong;
}
