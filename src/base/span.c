// The span operations that are too long to be inline. All of them are for text that is compared or
// read once per request or less; byte searches over request heads live in http/scan.
#include "base/span.h"

#include <stdlib.h>

static unsigned char lower(char c) {
    unsigned char byte = (unsigned char)c;

    return byte >= 'A' && byte <= 'Z' ? (unsigned char)(byte | 0x20) : byte;
}

bool cv_span_equal_nocase(struct cv_span a, struct cv_span b) {
    if (a.length != b.length)
        return false;
    for (size_t i = 0; i < a.length; i++) {
        if (lower(a.data[i]) != lower(b.data[i]))
            return false;
    }
    return true;
}

bool cv_span_to_uint64(struct cv_span text, uint64_t value_max, uint64_t *value) {
    uint64_t result = 0;

    if (text.length == 0)
        return false;
    if (text.length <= 19) {  // Cannot exceed 64 bits: one look at the end is enough.
        for (size_t i = 0; i < text.length; i++) {
            uint64_t digit = (uint64_t)(unsigned char)text.data[i] - '0';

            if (digit > 9)
                return false;
            result = result * 10 + digit;
        }
        if (result > value_max)
            return false;
        *value = result;
        return true;
    }
    for (size_t i = 0; i < text.length; i++) {
        uint64_t digit = (uint64_t)(unsigned char)text.data[i] - '0';

        if (digit > 9 || digit > value_max || result > (value_max - digit) / 10)
            return false;
        result = result * 10 + digit;
    }
    *value = result;
    return true;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

char *cv_span_duplicate(struct cv_span text) {
    char *copy = malloc(text.length + 1);

    if (copy != NULL) {
        if (text.length > 0)
            memcpy(copy, text.data, text.length);
        copy[text.length] = '\0';
    }
    return copy;
}

struct cv_span cv_span_trim(struct cv_span text) {
    while (text.length > 0 && is_blank(text.data[0])) {
        text.data++;
        text.length--;
    }
    while (text.length > 0 && is_blank(text.data[text.length - 1]))
        text.length--;
    return text;
}
