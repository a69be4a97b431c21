// Where everything random in a simulation comes from: one generator, one seed (xoshiro256**,
// seeded through splitmix64; both by Blackman and Vigna).
#ifndef SIM_RANDOM_H
#define SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct sim_random {
    uint64_t state[4];
};

static inline void sim_random_seed(struct sim_random *random, uint64_t seed) {
    for (int i = 0; i < 4; i++) {
        uint64_t z = (seed += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        random->state[i] = z ^ (z >> 31);
    }
}

static inline uint64_t sim_rotate(uint64_t value, int bits) {
    return (value << bits) | (value >> (64 - bits));
}

#ifdef CV_FUZZING
// A fuzzer's choice of what is drawn next; false where it leaves that to the generator.
bool sim_random_choose(uint64_t *draw);
#endif

static inline uint64_t sim_random_next(struct sim_random *random) {
#ifdef CV_FUZZING
    uint64_t chosen;
    if (sim_random_choose(&chosen)) {
        return chosen;
    }
#endif
    uint64_t *s = random->state;
    uint64_t result = sim_rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = sim_rotate(s[3], 45);
    return result;
}

// 0 to `end` - 1; `end` is not 0.
static inline uint32_t sim_random_below(struct sim_random *random, uint32_t end) {
    return (uint32_t)(((sim_random_next(random) >> 32) * end) >> 32);
}

static inline uint32_t sim_random_between(struct sim_random *random, uint32_t first,
                                          uint32_t last) {
    return first + sim_random_below(random, last - first + 1);
}

// Many small ones and a few large ones: every power of two is as likely as the next. 1 to `max`.
static inline uint32_t sim_random_size(struct sim_random *random, uint32_t max) {
    uint32_t bits = 32 - (uint32_t)__builtin_clz(max);
    uint32_t limit = 1u << sim_random_below(random, bits);
    uint32_t size = sim_random_between(random, limit, 2 * limit - 1);
    return size < max ? size : max;
}

static inline bool sim_random_chance(struct sim_random *random, uint32_t in_thousand) {
    return sim_random_below(random, 1000) < in_thousand;
}

#endif
