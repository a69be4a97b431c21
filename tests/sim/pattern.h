// Bytes that both ends of a simulation can tell without keeping them: those of a nonce. Within each
// 256 of them a byte is seven more than the one before, so they lie in a table of the sevens, from
// some place on.
#ifndef SIM_PATTERN_H
#define SIM_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SIM_PATTERN_PERIOD 256u
#define SIM_PATTERN_INVERSE 183u  // 7 * 183 is 1 modulo 256.

#define SIM_SEVEN(n) (uint8_t)(7u * (n))
#define SIM_SEVENS_4(n) SIM_SEVEN(n), SIM_SEVEN((n) + 1), SIM_SEVEN((n) + 2), SIM_SEVEN((n) + 3)
#define SIM_SEVENS_16(n) \
    SIM_SEVENS_4(n), SIM_SEVENS_4((n) + 4), SIM_SEVENS_4((n) + 8), SIM_SEVENS_4((n) + 12)
#define SIM_SEVENS_64(n) \
    SIM_SEVENS_16(n), SIM_SEVENS_16((n) + 16), SIM_SEVENS_16((n) + 32), SIM_SEVENS_16((n) + 48)
#define SIM_SEVENS_256 SIM_SEVENS_64(0), SIM_SEVENS_64(64), SIM_SEVENS_64(128), SIM_SEVENS_64(192)

static const uint8_t sim_pattern_sevens[2 * SIM_PATTERN_PERIOD] = {SIM_SEVENS_256, SIM_SEVENS_256};

static inline uint8_t sim_pattern_at(uint64_t nonce, uint64_t offset) {
    return (uint8_t)(nonce * 167 + offset * 7 + (offset >> 8) * 13 + (offset >> 16));
}

// The bytes from `offset` on: `*length` of them, or up to the end of the period.
static inline const uint8_t *sim_pattern_piece(uint64_t nonce, uint64_t offset, size_t *length) {
    size_t left = SIM_PATTERN_PERIOD - offset % SIM_PATTERN_PERIOD;
    *length = *length < left ? *length : left;
    return &sim_pattern_sevens[(uint8_t)(sim_pattern_at(nonce, offset) * SIM_PATTERN_INVERSE)];
}

static inline void sim_pattern_fill(uint8_t *out, size_t length, uint64_t nonce, uint64_t offset) {
    for (size_t at = 0; at < length;) {
        size_t piece = length - at;
        const uint8_t *bytes = sim_pattern_piece(nonce, offset + at, &piece);
        memcpy(out + at, bytes, piece);
        at += piece;
    }
}

static inline bool sim_pattern_is(const uint8_t *data, size_t length, uint64_t nonce,
                                  uint64_t offset) {
    for (size_t at = 0; at < length;) {
        size_t piece = length - at;
        const uint8_t *bytes = sim_pattern_piece(nonce, offset + at, &piece);
        if (memcmp(data + at, bytes, piece) != 0) {
            return false;
        }
        at += piece;
    }
    return true;
}

#endif
