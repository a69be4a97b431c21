// The copying in plain C, eight bytes at a time.
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"
#include "json/escape.h"

#define HIGH_BITS CV_BYTES_EACH(0x80)

// The high bit of every byte that needs an escape, of those below 0x80. Without carries from byte
// to byte, as the high bits are taken off before the addition.
static uint64_t find_escapes(uint64_t word) {
    uint64_t low = word & ~HIGH_BITS;
    uint64_t above_control = low + CV_BYTES_EACH(0x80 - 0x20);
    uint64_t not_quote = (low ^ CV_BYTES_EACH('"')) + CV_BYTES_EACH(0x7f);
    uint64_t not_backslash = (low ^ CV_BYTES_EACH('\\')) + CV_BYTES_EACH(0x7f);

    return ~(above_control & not_quote & not_backslash) & ~word & HIGH_BITS;
}

static bool copy_plain(char *out, const char *data, size_t length) {
    uint64_t found = 0;
    size_t at = 0;

    for (; length - at >= 8; at += 8) {
        uint64_t word;

        memcpy(&word, data + at, 8);
        memcpy(out + at, &word, 8);
        found |= find_escapes(word) | (word & HIGH_BITS);
    }
    for (; at < length; at++) {
        out[at] = data[at];
        found |= cv_escape_is_needed(data[at]) || (unsigned char)data[at] >= 0x80;
    }
    return found == 0;
}

static size_t copy_run(char *out, const char *data, size_t length) {
    size_t at = 0;

    for (; length - at >= 8; at += 8) {
        uint64_t word;
        uint64_t found;

        memcpy(&word, data + at, 8);
        memcpy(out + at, &word, 8);
        found = find_escapes(word);
        if (found != 0)
            return at + (unsigned)__builtin_ctzll(found) / 8;
    }
    while (at < length && !cv_escape_is_needed(data[at])) {
        out[at] = data[at];
        at++;
    }
    return at;
}

const struct cv_escape_ops cv_escape_scalar = {copy_plain, copy_run};
