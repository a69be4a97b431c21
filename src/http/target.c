// Paths are decoded once, checked, and only then cleared of dot segments: an escaped dot is a dot,
// an escaped separator is refused, so what comes out has one meaning for the router and for the
// file system alike. Nothing is decoded twice: "%252e" becomes the text "%2e".
#include "http/target.h"

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"

static int hex_value(char byte) {
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte = (char)(byte | 0x20);
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

// The byte that the escape at `text` stands for, -1 when it is broken.
static int unescape(const char *text, size_t length) {
    if (length < 3)
        return -1;
    int high = hex_value(text[1]);
    int low = hex_value(text[2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

// NULL, or why the path cannot be decoded.
static const char *decode_escapes(struct cv_span path, char *out, size_t *length) {
    size_t count = 0;

    for (size_t i = 0; i < path.length; i++) {
        char byte = path.data[i];

        if (byte == '%') {
            int value = unescape(path.data + i, path.length - i);

            if (value < 0)
                return "a percent sign without two hex digits";
            if (value == '/')
                return "an escaped path separator";
            byte = (char)value;
            i += 2;
        }
        if (byte == '\0')
            return "a NUL byte";
        if (byte == '\\')
            return "a backslash";
        out[count++] = byte;
    }
    *length = count;
    return NULL;
}

// The length of the UTF-8 sequence at `text` (RFC 3629 section 4), 0 when it is none.
static size_t sequence_bytes(const char *text, size_t length) {
    const unsigned char *bytes = (const unsigned char *)text;
    unsigned char second_min = 0x80;
    unsigned char second_max = 0xbf;
    size_t count;

    if (bytes[0] < 0x80)
        return 1;
    if (bytes[0] >= 0xc2 && bytes[0] <= 0xdf)
        count = 2;
    else if ((bytes[0] & 0xf0) == 0xe0)
        count = 3;
    else if (bytes[0] >= 0xf0 && bytes[0] <= 0xf4)
        count = 4;
    else
        return 0;
    // No second form of what fits fewer bytes, no surrogates, nothing above U+10FFFF.
    if (bytes[0] == 0xe0)
        second_min = 0xa0;
    else if (bytes[0] == 0xed)
        second_max = 0x9f;
    else if (bytes[0] == 0xf0)
        second_min = 0x90;
    else if (bytes[0] == 0xf4)
        second_max = 0x8f;
    if (length < count || bytes[1] < second_min || bytes[1] > second_max)
        return 0;
    for (size_t i = 2; i < count; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
    }
    return count;
}

static bool is_utf8(const char *text, size_t length) {
    size_t at = 0;

    while (at < length) {
        size_t bytes = sequence_bytes(text + at, length - at);

        if (bytes == 0)
            return false;
        at += bytes;
    }
    return true;
}

static size_t segment_bytes(const char *text, size_t length) {
    const char *slash = memchr(text, '/', length);

    return slash == NULL ? length : (size_t)(slash - text);
}

// Works in place. `path` begins with '/', and at every turn so does what is left of it; what is
// kept so far is a run of segments, each with its '/' in front. False when ".." has nothing to take
// away.
static bool remove_dot_segments(char *path, size_t *length) {
    size_t kept = 0;
    size_t at = 0;

    while (at < *length) {
        size_t bytes = segment_bytes(path + at + 1, *length - at - 1);
        struct cv_span segment = cv_span_make(path + at + 1, bytes);
        bool last = at + 1 + bytes == *length;
        bool up = cv_span_equal(segment, CV_SPAN(".."));

        if (up) {
            if (kept == 0)
                return false;
            do
                kept--;
            while (path[kept] != '/');
        }
        if (up || cv_span_equal(segment, CV_SPAN("."))) {
            if (last)
                path[kept++] = '/';
        } else {
            memmove(path + kept, path + at, bytes + 1);
            kept += bytes + 1;
        }
        at += bytes + 1;
    }
    *length = kept;
    return true;
}

bool cv_target_decode_path(struct cv_span path, char *out, size_t *length, const char **reason) {
    size_t decoded = 0;
    const char *wrong = NULL;

    if (path.length > 0 && path.data[0] != '/')
        wrong = "a path that does not begin with a slash";
    if (wrong == NULL)
        wrong = decode_escapes(path, out, &decoded);
    if (wrong == NULL && !is_utf8(out, decoded))
        wrong = "bytes that are not UTF-8";
    if (wrong == NULL && !remove_dot_segments(out, &decoded))
        wrong = "dot segments that lead above the root";
    if (wrong != NULL) {
        *reason = wrong;
        return false;
    }
    *length = decoded;
    return true;
}

static __m128i bytes_equal(__m128i bytes, char byte) {
    return _mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte));
}

// May a path hold these sixteen bytes as they are?
static bool is_plain(__m128i bytes) {
    __m128i wrong = _mm_or_si128(_mm_or_si128(bytes_equal(bytes, '%'), bytes_equal(bytes, '\\')),
                                 _mm_or_si128(bytes_equal(bytes, '\0'), bytes));
    int dots = _mm_movemask_epi8(bytes_equal(bytes, '.'));
    int slashes = _mm_movemask_epi8(bytes_equal(bytes, '/'));

    return (_mm_movemask_epi8(wrong) | (dots & slashes << 1)) == 0;
}

// Loads overlap by a byte at least, so that no "/." lies across two of them. One that is there only
// because they stand side by side costs a longer look at the path.
bool cv_target_path_is_plain(struct cv_span path) {
    const char *end = path.data + path.length;

    if (path.length == 0)
        return true;
    if (path.data[0] != '/')
        return false;
    if (path.length < 4) {
        uint32_t last = (uint8_t)end[-1];
        uint32_t middle = (uint8_t)path.data[path.length / 2];

        return is_plain(_mm_set1_epi32((int)('/' | middle << 8 | last << 16 | last << 24)));
    }
    if (path.length < 8)
        return is_plain(_mm_set1_epi64x(
            (int64_t)(cv_bytes_load_4(path.data) | (uint64_t)cv_bytes_load_4(end - 4) << 32)));
    if (path.length < 16)
        return is_plain(
            _mm_set_epi64x((int64_t)cv_bytes_load_8(end - 8), (int64_t)cv_bytes_load_8(path.data)));
    for (const char *at = path.data; at + 16 < end; at += 15) {
        if (!is_plain(_mm_loadu_si128((const __m128i *)(const void *)at)))
            return false;
    }
    return is_plain(_mm_loadu_si128((const __m128i *)(const void *)(end - 16)));
}

bool cv_target_decode_component(struct cv_span text, char *out, size_t *length) {
    size_t count = 0;

    for (size_t i = 0; i < text.length; i++) {
        char byte = text.data[i];

        if (byte == '+') {
            byte = ' ';
        } else if (byte == '%') {
            int value = unescape(text.data + i, text.length - i);

            if (value < 0)
                return false;
            byte = (char)value;
            i += 2;
        }
        out[count++] = byte;
    }
    *length = count;
    return true;
}

// Cuts `*text` at the first `separator`: what is before it is returned, what is behind it is left.
static struct cv_span take_before(struct cv_span *text, char separator) {
    const char *found = text->length == 0 ? NULL : memchr(text->data, separator, text->length);
    struct cv_span before = *text;

    if (found == NULL) {
        *text = cv_span_make(text->data + text->length, 0);
        return before;
    }
    before.length = (size_t)(found - text->data);
    *text = cv_span_make(found + 1, text->length - before.length - 1);
    return before;
}

bool cv_target_next_pair(struct cv_span *rest, struct cv_span *name, struct cv_span *value) {
    while (rest->length > 0) {
        struct cv_span pair = take_before(rest, '&');

        if (pair.length > 0) {
            *name = take_before(&pair, '=');
            *value = pair;
            return true;
        }
    }
    return false;
}
