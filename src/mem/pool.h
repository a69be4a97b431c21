// A worker's memory: power-of-two size classes with a free list each.
//
// One pool belongs to one thread and is used by it alone: no lock, no atomic. Classes up to
// CV_POOL_CARVED_BYTES are carved from 64 KiB chunks that stay with the pool; larger blocks come
// from malloc and are kept on the free list while the pool's cache of them is below its cap.
#ifndef CV_MEM_POOL_H
#define CV_MEM_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define CV_POOL_CLASS_BYTES_MIN 64u
#define CV_POOL_CARVED_BYTES 4096u
#define CV_POOL_CLASS_BYTES_MAX (1024u * 1024u)
#define CV_POOL_CLASS_COUNT 15u  // 64, 128, ... 1 MiB.
#define CV_POOL_CACHE_BYTES_MAX (8u * 1024u * 1024u)

struct cv_pool_block;  // A free block: its first bytes link to the next one.
struct cv_pool_chunk;

struct cv_pool {
    struct cv_pool_block *free[CV_POOL_CLASS_COUNT];  // owned
    struct cv_pool_chunk *chunks;                     // owned
    size_t cached_bytes;                              // Free blocks above CV_POOL_CARVED_BYTES.
    size_t held_bytes;  // All memory taken from the system: in use, cached and carved.
    size_t live_bytes;  // Handed out now, in whole classes.
};

void cv_pool_init(struct cv_pool *pool);

// Frees everything the pool holds. Every block must have been released (asserted).
void cv_pool_deinit(struct cv_pool *pool);

// At least `bytes` bytes, aligned to 16; NULL when the system has none left. Blocks above
// CV_POOL_CLASS_BYTES_MAX come straight from malloc and go straight back.
CV_MUST_USE void *cv_pool_acquire(struct cv_pool *pool, size_t bytes);

// Gives back a block; `bytes` is what was asked for, or any size of the same class. NULL is
// ignored.
void cv_pool_release(struct cv_pool *pool, void *block, size_t bytes);

// The usable size of a block acquired for `bytes`.
size_t cv_pool_capacity(size_t bytes);

#endif
