// Allocation by moving a pointer through a chunk of the pool.
//
//   chunk: | header | allocation | allocation | free |
//          0        16                        at     end
//
// An allocation that no chunk could hold gets one of its own, and the chunk that was being filled
// goes on being filled. Under AddressSanitizer a chunk is poisoned where nothing has been
// handed out, and every allocation ends at its last byte.
#include "mem/arena.h"

#include "base/assert.h"
#include "mem/poison.h"

#define ALIGN_BYTES 16u

struct cv_arena_chunk {
    struct cv_arena_chunk *next;  // owned
    size_t bytes;                 // As acquired, with this header.
};

_Static_assert(sizeof(struct cv_arena_chunk) == ALIGN_BYTES, "allocations follow aligned");

void cv_arena_init(struct cv_arena *arena, struct cv_pool *pool) {
    *arena = (struct cv_arena){.pool = pool};
}

void cv_arena_deinit(struct cv_arena *arena) {
    struct cv_arena_chunk *chunk = arena->chunks;

    while (chunk != NULL) {
        struct cv_arena_chunk *next = chunk->next;

        cv_pool_release(arena->pool, chunk, chunk->bytes);
        chunk = next;
    }
    cv_arena_init(arena, arena->pool);
}

static struct cv_arena_chunk *acquire_chunk(struct cv_arena *arena, size_t bytes) {
    struct cv_arena_chunk *chunk = cv_pool_acquire(arena->pool, bytes);

    if (chunk == NULL)
        return NULL;
    chunk->bytes = bytes;
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    cv_poison_set(chunk + 1, bytes - sizeof(*chunk));
    return chunk;
}

static void *alloc_alone(struct cv_arena *arena, size_t bytes) {
    struct cv_arena_chunk *chunk = acquire_chunk(arena, sizeof(*chunk) + bytes);

    return chunk == NULL ? NULL : chunk + 1;
}

static bool add_chunk(struct cv_arena *arena) {
    struct cv_arena_chunk *chunk = acquire_chunk(arena, CV_ARENA_CHUNK_BYTES);

    if (chunk == NULL)
        return false;
    arena->at = (uint8_t *)(chunk + 1);
    arena->end = (uint8_t *)chunk + CV_ARENA_CHUNK_BYTES;
    return true;
}

void *cv_arena_alloc(struct cv_arena *arena, size_t bytes) {
    size_t wanted = CV_MAX(bytes, 1u);
    size_t rounded = (wanted + ALIGN_BYTES - 1) & ~(size_t)(ALIGN_BYTES - 1);
    void *memory;

    if (rounded < wanted || rounded > SIZE_MAX - sizeof(struct cv_arena_chunk))
        return NULL;
    if (rounded > CV_ARENA_CHUNK_BYTES - sizeof(struct cv_arena_chunk)) {
        memory = alloc_alone(arena, rounded);
    } else {
        if (rounded > (size_t)(arena->end - arena->at) && !add_chunk(arena))
            return NULL;
        memory = arena->at;
        arena->at += rounded;
    }
    if (memory != NULL)
        cv_poison_clear(memory, wanted);
    return memory;
}

char *cv_arena_copy(struct cv_arena *arena, struct cv_span span) {
    CV_ASSERT(span.length < SIZE_MAX);
    char *copy = cv_arena_alloc(arena, span.length + 1);

    if (copy == NULL)
        return NULL;
    if (span.length > 0)
        memcpy(copy, span.data, span.length);
    copy[span.length] = '\0';
    return copy;
}
