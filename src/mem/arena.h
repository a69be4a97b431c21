// A bump allocator for what lives as long as one request. Single thread; freed all at once.
// Nothing is taken from the pool before the first allocation.
#ifndef CV_MEM_ARENA_H
#define CV_MEM_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/span.h"
#include "mem/pool.h"

#define CV_ARENA_CHUNK_BYTES 2048u
#define CV_ARENA_ALIGN_BYTES 16u

struct cv_arena_chunk;

struct cv_arena {
    struct cv_pool *pool;           // borrowed until cv_arena_deinit
    struct cv_arena_chunk *chunks;  // owned; the one being filled first
    uint8_t *at;                    // Next free byte of the chunk being filled.
    uint8_t *end;
};

void cv_arena_init(struct cv_arena *arena, struct cv_pool *pool);

// The rest of cv_arena_deinit: an arena that took something from the pool.
void cv_arena_deinit_slow(struct cv_arena *arena);

// Releases every allocation; the arena can be used again.
static inline void cv_arena_deinit(struct cv_arena *arena) {
    if (arena->chunks != NULL)
        cv_arena_deinit_slow(arena);
}

// The same, but a chunk is kept for what comes next.
void cv_arena_reset(struct cv_arena *arena);

// The rest of cv_arena_alloc: what the chunk being filled has no room for.
CV_MUST_USE void *cv_arena_alloc_slow(struct cv_arena *arena, size_t bytes);

// `bytes` bytes aligned to 16, not cleared; NULL when memory is exhausted. 0 bytes gives a valid
// pointer.
CV_MUST_USE static inline void *cv_arena_alloc(struct cv_arena *arena, size_t bytes) {
    size_t rounded = (bytes + CV_ARENA_ALIGN_BYTES - 1) & ~(size_t)(CV_ARENA_ALIGN_BYTES - 1);
    uint8_t *memory = arena->at;

    // 0, and what became 0 in rounding, wrap around and are left to the other one.
    if (CV_UNLIKELY(rounded - 1 >= (size_t)(arena->end - memory)))
        return cv_arena_alloc_slow(arena, bytes);
    arena->at = memory + rounded;
    cv_poison_clear(memory, bytes);
    return memory;
}

// A copy of `span` followed by a NUL byte; NULL when memory is exhausted.
CV_MUST_USE char *cv_arena_copy(struct cv_arena *arena, struct cv_span span);

#endif
