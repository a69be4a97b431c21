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

struct cv_arena_chunk;

struct cv_arena {
    struct cv_pool *pool;           // borrowed until cv_arena_deinit
    struct cv_arena_chunk *chunks;  // owned; newest first
    uint8_t *at;                    // Next free byte of the chunk being filled.
    uint8_t *end;
};

void cv_arena_init(struct cv_arena *arena, struct cv_pool *pool);

// Releases every allocation; the arena can be used again.
void cv_arena_deinit(struct cv_arena *arena);

// `bytes` bytes aligned to 16, not cleared; NULL when memory is exhausted. 0 bytes gives a valid
// pointer.
CV_MUST_USE void *cv_arena_alloc(struct cv_arena *arena, size_t bytes);

// A copy of `span` followed by a NUL byte; NULL when memory is exhausted.
CV_MUST_USE char *cv_arena_copy(struct cv_arena *arena, struct cv_span span);

#endif
