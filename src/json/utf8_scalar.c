// The check in plain C: eight ASCII bytes at a time, the rest sequence by sequence.
#include <stdint.h>
#include <string.h>

#include "json/utf8.h"

#define HIGH_BITS UINT64_C(0x8080808080808080)

static bool is_within(unsigned char byte, unsigned first, unsigned last) {
    return byte >= first && byte <= last;
}

// The bytes of the sequence at `text` (at most `left`, at least 1), 0 when it is none (RFC 3629
// section 4: the second byte's range depends on the first, the others' does not).
static size_t sequence_bytes(const unsigned char *text, size_t left) {
    unsigned char lead = text[0];
    unsigned second_first = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    unsigned second_last = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    size_t bytes;

    if (lead < 0x80)
        return 1;
    if (!is_within(lead, 0xc2, 0xf4))
        return 0;
    bytes = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (left < bytes || !is_within(text[1], second_first, second_last))
        return 0;
    for (size_t i = 2; i < bytes; i++) {
        if (!is_within(text[i], 0x80, 0xbf))
            return 0;
    }
    return bytes;
}

size_t cv_utf8_valid_bytes(const char *data, size_t length) {
    const unsigned char *text = (const unsigned char *)data;
    size_t at = 0;

    while (at < length) {
        uint64_t word = HIGH_BITS;
        size_t bytes;

        if (length - at >= sizeof(word))
            memcpy(&word, text + at, sizeof(word));
        bytes = (word & HIGH_BITS) == 0 ? sizeof(word) : sequence_bytes(text + at, length - at);
        if (bytes == 0)
            return at;
        at += bytes;
    }
    return length;
}

static bool is_valid(const char *data, size_t length) {
    return cv_utf8_valid_bytes(data, length) == length;
}

const struct cv_utf8_ops cv_utf8_scalar = {is_valid};
