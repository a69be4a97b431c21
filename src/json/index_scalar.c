// The pass in plain C, a byte at a time.
#include "json/index.h"

static bool fill(const char *data, size_t length, uint64_t *stops) {
    unsigned char any = 0;

    for (size_t word = 0; word <= length / 64; word++) {
        size_t count = length - word * 64 < 64 ? length - word * 64 : 64;
        uint64_t bits = count < 64 ? ~UINT64_C(0) << count : 0;

        for (size_t bit = 0; bit < count; bit++) {
            unsigned char byte = (unsigned char)data[word * 64 + bit];

            any |= byte;
            bits |= (uint64_t)(byte < 0x20 || byte == '"' || byte == '\\') << bit;
        }
        stops[word] = bits;
    }
    return any > 0x7f;
}

const struct cv_index_ops cv_index_scalar = {fill};
