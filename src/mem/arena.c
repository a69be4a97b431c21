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

struct cv_arena_chunk {
    struct cv_arena_chunk *next;  // owned
    size_t bytes;                 // As acquired, with this header.
};

_Static_assert(sizeof(struct cv_arena_chunk) == CV_ARENA_ALIGN_BYTES, "allocations follow aligned");

void cv_arena_init(struct cv_arena *arena, struct cv_pool *pool) {
    *arena = (struct cv_arena){.pool = pool};
}

static void release_chunks(struct cv_arena *arena, struct cv_arena_chunk *chunk) {
    while (chunk != NULL) {
        struct cv_arena_chunk *next = chunk->next;

        cv_pool_release(arena->pool, chunk, chunk->bytes);
        chunk = next;
    }
}

void cv_arena_deinit_slow(struct cv_arena *arena) {
    release_chunks(arena, arena->chunks);
    cv_arena_init(arena, arena->pool);
}

// Begins to fill `chunk`, which has the size of all that are filled.
static void fill(struct cv_arena *arena, struct cv_arena_chunk *chunk) {
    arena->at = (uint8_t *)(chunk + 1);
    arena->end = (uint8_t *)chunk + CV_ARENA_CHUNK_BYTES;
    cv_poison_set(arena->at, CV_ARENA_CHUNK_BYTES - sizeof(*chunk));
}

void cv_arena_reset(struct cv_arena *arena) {
    struct cv_arena_chunk *kept = arena->chunks;

    if (kept == NULL)
        return;
    if (kept->bytes != CV_ARENA_CHUNK_BYTES) {
        cv_arena_deinit(arena);
        return;
    }
    release_chunks(arena, kept->next);
    kept->next = NULL;
    fill(arena, kept);
}

static struct cv_arena_chunk *add_chunk(struct cv_arena *arena, struct cv_arena_chunk **link,
                                        size_t bytes) {
    struct cv_arena_chunk *chunk = cv_pool_acquire(arena->pool, bytes);

    if (chunk == NULL)
        return NULL;
    chunk->bytes = bytes;
    chunk->next = *link;
    *link = chunk;
    return chunk;
}

// Behind the chunk being filled, which stays the first one.
static void *alloc_alone(struct cv_arena *arena, size_t bytes) {
    struct cv_arena_chunk **link = arena->chunks == NULL ? &arena->chunks : &arena->chunks->next;
    struct cv_arena_chunk *chunk = add_chunk(arena, link, sizeof(*chunk) + bytes);

    return chunk == NULL ? NULL : chunk + 1;
}

void *cv_arena_alloc_slow(struct cv_arena *arena, size_t bytes) {
    size_t wanted = CV_MAX(bytes, 1u);

    if (wanted > SIZE_MAX - sizeof(struct cv_arena_chunk) - CV_ARENA_ALIGN_BYTES)
        return NULL;
    if (wanted > CV_ARENA_CHUNK_BYTES - sizeof(struct cv_arena_chunk))
        return alloc_alone(arena, wanted);
    if (wanted > (size_t)(arena->end - arena->at)) {
        struct cv_arena_chunk *chunk = add_chunk(arena, &arena->chunks, CV_ARENA_CHUNK_BYTES);

        if (chunk == NULL)
            return NULL;
        fill(arena, chunk);
    }
    return cv_arena_alloc(arena, wanted);
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
