// Size classes with a free list each, so that acquire and release are a push and a pop.
//
// Blocks up to CV_POOL_CARVED_BYTES are cut from the newest chunk, in address order, only when
// their class has no free block: a chunk's pages are first touched when their blocks are, and all
// small classes share one chunk. What is left of a chunk that is too small for the next block goes
// to the free lists of the smaller classes. Chunks never go back before the pool ends, because
// their blocks are spread over the free lists; blocks above that size are malloc's own and do.
//
//   chunk: | header | block | block | ... | not cut yet |
//          0        64                    used          65536
//
// Under AddressSanitizer every byte that is not handed out is poisoned.
#include "mem/pool.h"

#include <stdlib.h>

#include "base/assert.h"
#include "mem/poison.h"

#define CHUNK_BYTES (64u * 1024u)
#define CLASS_SHIFT_MIN 6  // 2^6 bytes in the smallest class.

struct cv_pool_block {
    struct cv_pool_block *next;
};

struct cv_pool_chunk {
    struct cv_pool_chunk *next;  // owned
    size_t used;
} CV_CACHE_ALIGNED;

_Static_assert(CV_POOL_CLASS_BYTES_MIN == 1u << CLASS_SHIFT_MIN, "class 0 is the smallest");
_Static_assert(CV_POOL_CLASS_BYTES_MAX == CV_POOL_CLASS_BYTES_MIN << (CV_POOL_CLASS_COUNT - 1),
               "the last class is the largest");
_Static_assert(sizeof(struct cv_pool_chunk) == CV_POOL_CLASS_BYTES_MIN, "blocks stay aligned");

static size_t class_of(size_t bytes) {
    size_t rounded = CV_MAX(bytes, CV_POOL_CLASS_BYTES_MIN);

    return (size_t)(64 - CLASS_SHIFT_MIN - __builtin_clzl(rounded - 1));
}

static size_t class_bytes(size_t class) {
    return (size_t)CV_POOL_CLASS_BYTES_MIN << class;
}

size_t cv_pool_capacity(size_t bytes) {
    return bytes > CV_POOL_CLASS_BYTES_MAX ? bytes : class_bytes(class_of(bytes));
}

static void push_free(struct cv_pool *pool, size_t class, void *memory) {
    struct cv_pool_block *block = memory;

    cv_poison_clear(block, sizeof(*block));
    block->next = pool->free[class];
    pool->free[class] = block;
    cv_poison_set(block, class_bytes(class));
}

static void *pop_free(struct cv_pool *pool, size_t class) {
    struct cv_pool_block *block = pool->free[class];

    if (block != NULL) {
        cv_poison_clear(block, class_bytes(class));
        pool->free[class] = block->next;
    }
    return block;
}

static void *system_alloc(struct cv_pool *pool, size_t bytes) {
    void *memory = malloc(bytes);

    if (memory != NULL)
        pool->held_bytes += bytes;
    return memory;
}

static void system_free(struct cv_pool *pool, void *memory, size_t bytes) {
    cv_poison_clear(memory, bytes);
    pool->held_bytes -= bytes;
    free(memory);
}

// Hands the uncut end of a chunk to the free lists, largest blocks first.
static void spend_chunk(struct cv_pool *pool, struct cv_pool_chunk *chunk) {
    size_t class = class_of(CV_POOL_CARVED_BYTES);

    while (chunk->used < CHUNK_BYTES) {
        if (class_bytes(class) > CHUNK_BYTES - chunk->used) {
            class --;
            continue;
        }
        push_free(pool, class, (uint8_t *)chunk + chunk->used);
        chunk->used += class_bytes(class);
    }
}

static struct cv_pool_chunk *add_chunk(struct cv_pool *pool) {
    struct cv_pool_chunk *chunk = aligned_alloc(CV_CACHE_LINE_BYTES, CHUNK_BYTES);

    if (chunk == NULL)
        return NULL;
    if (pool->chunks != NULL)
        spend_chunk(pool, pool->chunks);
    chunk->next = pool->chunks;
    chunk->used = sizeof(*chunk);
    cv_poison_set(chunk + 1, CHUNK_BYTES - sizeof(*chunk));
    pool->chunks = chunk;
    pool->held_bytes += CHUNK_BYTES;
    return chunk;
}

static void *carve(struct cv_pool *pool, size_t bytes) {
    struct cv_pool_chunk *chunk = pool->chunks;

    if (chunk == NULL || CHUNK_BYTES - chunk->used < bytes) {
        chunk = add_chunk(pool);
        if (chunk == NULL)
            return NULL;
    }
    void *block = (uint8_t *)chunk + chunk->used;
    chunk->used += bytes;
    cv_poison_clear(block, bytes);
    return block;
}

void cv_pool_init(struct cv_pool *pool) {
    *pool = (struct cv_pool){0};
}

void cv_pool_deinit(struct cv_pool *pool) {
    CV_ASSERT(pool->live_bytes == 0);
    for (size_t class = 0; class < CV_POOL_CLASS_COUNT; class ++) {
        if (class_bytes(class) <= CV_POOL_CARVED_BYTES)
            continue;
        for (void *block; (block = pop_free(pool, class)) != NULL;)
            system_free(pool, block, class_bytes(class));
    }
    while (pool->chunks != NULL) {
        struct cv_pool_chunk *chunk = pool->chunks;

        pool->chunks = chunk->next;
        system_free(pool, chunk, CHUNK_BYTES);
    }
    CV_ASSERT(pool->held_bytes == 0);
    cv_pool_init(pool);
}

// A block of a class that has no free one.
static CV_NOINLINE void *acquire_new(struct cv_pool *pool, size_t bytes) {
    return bytes <= CV_POOL_CARVED_BYTES ? carve(pool, bytes) : system_alloc(pool, bytes);
}

void *cv_pool_acquire(struct cv_pool *pool, size_t bytes) {
    size_t capacity = cv_pool_capacity(bytes);
    void *block = NULL;

    if (CV_LIKELY(capacity <= CV_POOL_CLASS_BYTES_MAX))
        block = pop_free(pool, class_of(capacity));
    if (block == NULL)
        block = acquire_new(pool, capacity);
    else if (capacity > CV_POOL_CARVED_BYTES)
        pool->cached_bytes -= capacity;
    if (block != NULL)
        pool->live_bytes += capacity;
    return block;
}

void cv_pool_release(struct cv_pool *pool, void *block, size_t bytes) {
    size_t capacity = cv_pool_capacity(bytes);

    if (block == NULL)
        return;
    CV_DEBUG_ASSERT(!cv_poison_test(block));
    CV_ASSERT(pool->live_bytes >= capacity);
    pool->live_bytes -= capacity;
    if (capacity > CV_POOL_CARVED_BYTES) {
        if (capacity > CV_POOL_CLASS_BYTES_MAX ||
            capacity > CV_POOL_CACHE_BYTES_MAX - pool->cached_bytes) {
            system_free(pool, block, capacity);
            return;
        }
        pool->cached_bytes += capacity;
    }
    push_free(pool, class_of(capacity), block);
}
