// A worker's memory: power-of-two size classes with a free list each.
//
// One pool belongs to one thread and is used by it alone: no lock, no atomic. Blocks up to
// CV_POOL_CLASS_BYTES_MAX lie in the pool's slabs (mem/slab.h), so the kernel can send from them
// without a copy; larger ones are malloc's. docs/notes/0007-memory.md argues the shape.
//
// With COVET_MEMORY=debug in the environment a pool looks for mistakes (mem/guard.h).
#ifndef CV_MEM_POOL_H
#define CV_MEM_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/compiler.h"
#include "mem/poison.h"
#include "mem/slab.h"

#define CV_POOL_CLASS_BYTES_MIN 8u
#define CV_POOL_SMALL_BYTES_MAX 1024u  // Up to here blocks are cut from pieces of slabs.
#define CV_POOL_CLASS_BYTES_MAX (1024u * 1024u)
#define CV_POOL_CLASS_COUNT 18u  // 8, 16, ... 1 MiB.
#define CV_POOL_SMALL_COUNT 8u   // Those up to CV_POOL_SMALL_BYTES_MAX.
// What a free list holds at most; the slabs get what is more.
#define CV_POOL_LIST_COUNT_MAX 512u
#define CV_POOL_LIST_BYTES_MAX (128u * 1024u)

// A free block: its first bytes link to the next one.
struct cv_pool_block {
    struct cv_pool_block *next;
};

struct cv_guard;
struct cv_remote;

// Free blocks of one class. Their number rides along so that what is handed out is known without a
// sum that every acquire and release would wait for in turn.
struct cv_pool_list {
    struct cv_pool_block *head;  // owned
    uint32_t count;
    uint32_t count_max;  // 0: nothing is ever on the list.
};

struct cv_pool {
    struct cv_pool_list free[CV_POOL_CLASS_COUNT];
    size_t block_count[CV_POOL_CLASS_COUNT];     // Of each class, handed out or on the list.
    struct cv_piece *open[CV_POOL_SMALL_COUNT];  // Pieces that hold free blocks of the class.
    size_t system_bytes;                         // From malloc, beyond every class.
    size_t bytes_max;                            // Of slabs and malloc together.
    size_t peak_bytes;
    uint64_t refills;       // Times a list was empty and the slabs or malloc were asked.
    uint64_t remote_frees;  // Blocks that another thread freed.
    struct cv_slabs slabs;
    struct cv_guard *guard;    // owned; NULL but in debug mode
    struct cv_remote *remote;  // owned; NULL before the first block that other threads may free
};

void cv_pool_init(struct cv_pool *pool);

// Without a look at the environment.
void cv_pool_init_plain(struct cv_pool *pool);

// Gives everything back to the system. Every block must have been released (asserted).
void cv_pool_deinit(struct cv_pool *pool);

// From now on the pool takes no more from the system than `bytes_max`, in whole slabs; at first it
// takes what there is. What it holds already stays.
void cv_pool_set_bytes_max(struct cv_pool *pool, size_t bytes_max);

// Once per loop turn: takes back what other threads freed, and in debug mode checks what is free.
// Returns what is live then.
size_t cv_pool_turn(struct cv_pool *pool);

// Where the blocks lie.
struct cv_slabs *cv_pool_slabs(struct cv_pool *pool);

// What is handed out now, in whole classes.
size_t cv_pool_live_bytes(const struct cv_pool *pool);

// Everything the pool took from the system: in use and free. cv_pool_turn and refills note the most
// that was live then in `peak_bytes`.
size_t cv_pool_held_bytes(const struct cv_pool *pool);

// The rest of the two functions below: what no free list can serve or take.
CV_MUST_USE void *cv_pool_acquire_slow(struct cv_pool *pool, size_t bytes);
void cv_pool_release_slow(struct cv_pool *pool, void *block, size_t bytes);

// The class of (index + 1) * 8 bytes. Finding the highest bit takes eight operations on half of the
// processors we run on, unless one compiles for the others.
extern const uint8_t cv_pool_small_class[CV_POOL_SMALL_BYTES_MAX / CV_POOL_CLASS_BYTES_MIN];

// 0 for at most 8 bytes, 1 for at most 16, ... `bytes` is 1 to CV_POOL_CLASS_BYTES_MAX.
static inline uint32_t cv_pool_class(size_t bytes) {
    if (!__builtin_constant_p(bytes) && bytes <= CV_POOL_SMALL_BYTES_MAX)
        return cv_pool_small_class[(bytes - 1) / CV_POOL_CLASS_BYTES_MIN];
    return 61u - (uint32_t)__builtin_clzl((bytes - 1) | (CV_POOL_CLASS_BYTES_MIN - 1));
}

static inline size_t cv_pool_class_bytes(uint32_t class_index) {
    return (size_t)CV_POOL_CLASS_BYTES_MIN << class_index;
}

// The size of the block that `bytes` bytes get. Who wants to use all of it acquires that size.
static inline size_t cv_pool_capacity(size_t bytes) {
    if (bytes == 0)
        return CV_POOL_CLASS_BYTES_MIN;
    return bytes > CV_POOL_CLASS_BYTES_MAX ? bytes : cv_pool_class_bytes(cv_pool_class(bytes));
}

// The list to try for `bytes` bytes. NULL: there is none (0 bytes, and more than the largest
// class).
static inline struct cv_pool_list *cv_pool_list(struct cv_pool *pool, size_t bytes) {
    // One comparison for 0 as well.
    if (CV_UNLIKELY(bytes - 1 >= CV_POOL_CLASS_BYTES_MAX))
        return NULL;
    return &pool->free[cv_pool_class(bytes)];
}

// The list is not empty; the first `bytes` bytes of the block may be used.
static inline void *cv_pool_pop(struct cv_pool_list *list, size_t bytes) {
    struct cv_pool_block *block = list->head;

    cv_poison_lift(block, sizeof(*block));
    list->head = block->next;
    list->count--;
    // The next one is seldom in the cache when it is wanted: since it was pushed the kernel has
    // used the cache, and a pop waits for the link in it.
    __builtin_prefetch(list->head, 1);
    cv_poison_set(block, sizeof(*block));
    cv_poison_clear(block, bytes);
    return block;
}

// The list has room; `bytes` is at most the size of its blocks.
static inline void cv_pool_push(struct cv_pool_list *list, void *memory, size_t bytes) {
    struct cv_pool_block *block = memory;

    CV_DEBUG_ASSERT(!cv_poison_test(block));
    cv_poison_clear(block, sizeof(*block));
    block->next = list->head;
    list->head = block;
    list->count++;
    cv_poison_set(block, cv_pool_capacity(bytes));
}

// At least `bytes` bytes, aligned to 16 (to 8 when `bytes` is at most 8), not cleared; NULL when
// the system has none left, or the pool its most. 0 bytes gives a valid block.
CV_MUST_USE static inline void *cv_pool_acquire(struct cv_pool *pool, size_t bytes) {
    struct cv_pool_list *list = cv_pool_list(pool, bytes);

    if (CV_UNLIKELY(list == NULL || list->head == NULL))
        return cv_pool_acquire_slow(pool, bytes);
    return cv_pool_pop(list, bytes);
}

// Gives back a block; `bytes` is what was asked for, or any size of the same class. NULL is
// ignored.
static inline void cv_pool_release(struct cv_pool *pool, void *memory, size_t bytes) {
    struct cv_pool_list *list = cv_pool_list(pool, bytes);

    if (CV_UNLIKELY(memory == NULL))
        return;
    if (CV_UNLIKELY(list == NULL || list->count >= list->count_max))
        cv_pool_release_slow(pool, memory, bytes);
    else
        cv_pool_push(list, memory, bytes);
}

#endif
