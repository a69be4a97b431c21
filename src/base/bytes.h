// A few bytes at once: as one word, wherever they lie.
#ifndef CV_BASE_BYTES_H
#define CV_BASE_BYTES_H

#include <stdint.h>
#include <string.h>

#include "base/compiler.h"

// A word whose eight bytes are all `byte`.
#define CV_BYTES_EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

// The bytes at `bytes`, aligned or not; the first is the lowest.
static CV_ALWAYS_INLINE uint16_t cv_bytes_load_2(const char *bytes) {
    uint16_t word;
    memcpy(&word, bytes, sizeof(word));
    return word;
}

static CV_ALWAYS_INLINE uint32_t cv_bytes_load_4(const char *bytes) {
    uint32_t word;
    memcpy(&word, bytes, sizeof(word));
    return word;
}

static CV_ALWAYS_INLINE uint64_t cv_bytes_load_8(const char *bytes) {
    uint64_t word;
    memcpy(&word, bytes, sizeof(word));
    return word;
}

#endif
