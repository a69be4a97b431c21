// What stands behind the free lists of a pool.
//
// Small classes take and give blocks of pieces (mem/piece.h), larger ones blocks of the slabs
// themselves, which the buddy allocator joins. A list is short, so that memory a peak needed finds
// its way back: what does not fit on it goes straight to its piece or slab. Lists of the largest
// classes hold nothing at all; who uses that much memory takes longer than the buddy allocator.
//
// Under AddressSanitizer every byte that was not asked for is poisoned.
#include "mem/pool.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "mem/guard.h"
#include "mem/piece.h"
#include "mem/remote.h"

#define CLASS_END (CV_POOL_CLASS_BYTES_MIN << (CV_POOL_CLASS_COUNT - 1))

_Static_assert(CLASS_END == CV_POOL_CLASS_BYTES_MAX, "the last class is the largest");
_Static_assert(CV_POOL_CLASS_BYTES_MIN >= sizeof(struct cv_pool_block), "a link fits a block");
_Static_assert(CV_POOL_SMALL_BYTES_MAX < CV_SLAB_BLOCK_BYTES_MIN, "small classes are cut");
_Static_assert(CV_POOL_CLASS_BYTES_MIN << (CV_POOL_SMALL_COUNT - 1) == CV_POOL_SMALL_BYTES_MAX,
               "the last small class is the largest");
_Static_assert(CV_SLAB_BLOCK_BYTES_MIN / CV_POOL_CLASS_BYTES_MIN <= CV_POOL_LIST_COUNT_MAX,
               "a list has room for a piece");
_Static_assert(CV_POOL_CLASS_BYTES_MAX <= CV_SLAB_BYTES, "every class lies in slabs");

#define TWICE(class_index) class_index, class_index
#define TIMES_4(class_index) TWICE(class_index), TWICE(class_index)
#define TIMES_16(class_index) \
    TIMES_4(class_index), TIMES_4(class_index), TIMES_4(class_index), TIMES_4(class_index)

const uint8_t cv_pool_small_class[CV_POOL_SMALL_BYTES_MAX / CV_POOL_CLASS_BYTES_MIN] = {
    0,           1,           TWICE(2),    TIMES_4(3),  TIMES_4(4),  TIMES_4(4),  TIMES_16(5),
    TIMES_16(6), TIMES_16(6), TIMES_16(7), TIMES_16(7), TIMES_16(7), TIMES_16(7),
};

void cv_pool_init_plain(struct cv_pool *pool) {
    *pool = (struct cv_pool){.bytes_max = SIZE_MAX};
    cv_slab_init(&pool->slabs);
    for (uint32_t i = 0; i < CV_POOL_CLASS_COUNT; i++) {
        pool->free[i].count_max = (uint32_t)CV_MIN(CV_POOL_LIST_BYTES_MAX / cv_pool_class_bytes(i),
                                                   (size_t)CV_POOL_LIST_COUNT_MAX);
    }
}

void cv_pool_init(struct cv_pool *pool) {
    const char *wish = getenv("COVET_MEMORY");

    cv_pool_init_plain(pool);
    if (wish != NULL && strcmp(wish, "debug") == 0)
        cv_guard_enable(pool);
}

void cv_pool_deinit(struct cv_pool *pool) {
    if (pool->remote != NULL)
        cv_remote_deinit(pool);
    CV_ASSERT(cv_pool_live_bytes(pool) == 0);
    if (pool->guard != NULL)
        cv_guard_disable(pool);
    cv_slab_deinit(&pool->slabs);
    CV_ASSERT(pool->system_bytes == 0);
    *pool = (struct cv_pool){0};
}

size_t cv_pool_live_bytes(const struct cv_pool *pool) {
    size_t bytes = pool->system_bytes;

    for (uint32_t i = 0; i < CV_POOL_CLASS_COUNT; i++)
        bytes += (pool->block_count[i] - pool->free[i].count) * cv_pool_class_bytes(i);
    return bytes;
}

static size_t note_peak(struct cv_pool *pool) {
    size_t live_bytes = cv_pool_live_bytes(pool);

    pool->peak_bytes = CV_MAX(pool->peak_bytes, live_bytes);
    return live_bytes;
}

size_t cv_pool_turn(struct cv_pool *pool) {
    if (pool->remote != NULL)
        (void)cv_remote_collect(pool);
    if (CV_UNLIKELY(pool->guard != NULL))
        cv_guard_check(pool->guard);
    return note_peak(pool);
}

struct cv_slabs *cv_pool_slabs(struct cv_pool *pool) {
    // In debug mode the blocks lie in the pool below.
    return pool->guard != NULL ? &cv_guard_pool(pool->guard)->slabs : &pool->slabs;
}

size_t cv_pool_held_bytes(const struct cv_pool *pool) {
    if (pool->guard != NULL)
        return cv_pool_held_bytes(cv_guard_pool(pool->guard));
    return cv_slab_count(&pool->slabs) * CV_SLAB_BYTES + pool->system_bytes;
}

// What malloc gave is no longer there for slabs.
static void bound_slabs(struct cv_pool *pool) {
    size_t left = pool->bytes_max - CV_MIN(pool->bytes_max, pool->system_bytes);

    pool->slabs.count_max = (uint32_t)CV_MIN(left / CV_SLAB_BYTES, (size_t)CV_SLAB_COUNT_MAX);
}

void cv_pool_set_bytes_max(struct cv_pool *pool, size_t bytes_max) {
    if (pool->guard != NULL)
        pool = cv_guard_pool(pool->guard);
    pool->bytes_max = bytes_max;
    bound_slabs(pool);
}

// `bytes` is at least 1 from here on.
static void *pop(struct cv_pool_list *list, size_t bytes) {
    return list->head == NULL ? NULL : cv_pool_pop(list, bytes);
}

static void *refill_small(struct cv_pool *pool, uint32_t class_index, size_t bytes) {
    struct cv_pool_list *list = &pool->free[class_index];
    size_t count = 0;

    list->head = cv_piece_take(&pool->slabs, &pool->open[class_index],
                               cv_pool_class_bytes(class_index), &count);
    list->count = (uint32_t)count;
    pool->block_count[class_index] += count;
    return pop(list, bytes);
}

static void *refill(struct cv_pool *pool, uint32_t class_index, size_t bytes) {
    pool->refills++;
    (void)note_peak(pool);
    if (class_index < CV_POOL_SMALL_COUNT)
        return refill_small(pool, class_index, bytes);
    void *block = cv_slab_acquire(&pool->slabs, bytes);

    if (block == NULL)
        return NULL;
    pool->block_count[class_index]++;
    cv_poison_set(block, cv_pool_capacity(bytes));
    cv_poison_clear(block, bytes);
    return block;
}

static void *acquire_class(struct cv_pool *pool, size_t bytes) {
    uint32_t class_index = cv_pool_class(bytes);
    void *block = pop(&pool->free[class_index], bytes);

    if (block == NULL && pool->remote != NULL && cv_remote_collect(pool))
        block = pop(&pool->free[class_index], bytes);
    return block != NULL ? block : refill(pool, class_index, bytes);
}

static void *acquire_system(struct cv_pool *pool, size_t bytes) {
    size_t held = cv_pool_held_bytes(pool);
    size_t left = pool->bytes_max - CV_MIN(pool->bytes_max, held);
    void *memory = bytes > PTRDIFF_MAX || bytes > left ? NULL : malloc(bytes);

    pool->refills++;
    if (memory != NULL) {
        pool->system_bytes += bytes;
        bound_slabs(pool);
    }
    return memory;
}

// The debug mode counts its blocks as if they were ours.
static void *acquire_guarded(struct cv_pool *pool, size_t bytes) {
    void *block = cv_guard_acquire(pool->guard, bytes);

    if (block == NULL)
        return NULL;
    if (bytes > CV_POOL_CLASS_BYTES_MAX)
        pool->system_bytes += bytes;
    else
        pool->block_count[cv_pool_class(CV_MAX(bytes, 1u))]++;
    return block;
}

void *cv_pool_acquire_slow(struct cv_pool *pool, size_t bytes) {
    if (pool->guard != NULL)
        return acquire_guarded(pool, bytes);
    if (bytes > CV_POOL_CLASS_BYTES_MAX)
        return acquire_system(pool, bytes);
    return acquire_class(pool, CV_MAX(bytes, 1u));
}

static void release_class(struct cv_pool *pool, uint32_t class_index, void *block) {
    size_t bytes = cv_pool_class_bytes(class_index);
    struct cv_pool_list *list = &pool->free[class_index];

    CV_ASSERT(list->count < pool->block_count[class_index]);
    if (list->count < list->count_max) {
        cv_pool_push(list, block, bytes);
        return;
    }
    CV_DEBUG_ASSERT(!cv_poison_test(block));
    pool->block_count[class_index]--;
    if (class_index < CV_POOL_SMALL_COUNT)
        cv_piece_give(&pool->slabs, &pool->open[class_index], bytes, block);
    else
        cv_slab_release(&pool->slabs, block, bytes);
}

void cv_pool_release_slow(struct cv_pool *pool, void *block, size_t bytes) {
    bool is_system = bytes > CV_POOL_CLASS_BYTES_MAX;
    uint32_t class_index = is_system ? 0 : cv_pool_class(CV_MAX(bytes, 1u));

    if (pool->guard != NULL)
        cv_guard_release(pool->guard, block, bytes);
    else if (is_system)
        free(block);
    else
        release_class(pool, class_index, block);
    if (is_system) {
        pool->system_bytes -= bytes;
        bound_slabs(pool);
    } else if (pool->guard != NULL)
        pool->block_count[class_index]--;
}
