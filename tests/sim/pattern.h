// Bytes that both ends of a simulation can tell without keeping them: those of a nonce.
#ifndef SIM_PATTERN_H
#define SIM_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline uint8_t sim_pattern_at(uint64_t nonce, uint64_t offset) {
    return (uint8_t)(nonce * 167 + offset * 7 + (offset >> 8) * 13 + (offset >> 16));
}

static inline void sim_pattern_fill(uint8_t *out, size_t length, uint64_t nonce, uint64_t offset) {
    for (size_t i = 0; i < length; i++) {
        out[i] = sim_pattern_at(nonce, offset + i);
    }
}

static inline bool sim_pattern_is(const uint8_t *data, size_t length, uint64_t nonce,
                                  uint64_t offset) {
    for (size_t i = 0; i < length; i++) {
        if (data[i] != sim_pattern_at(nonce, offset + i)) {
            return false;
        }
    }
    return true;
}

#endif
