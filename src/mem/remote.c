// The header of a block that any thread may free, and the list it comes back on.
//
//   | bytes | record, class, freed | memory handed out ...
//   0       8                      16
//
// Once a block is free its first eight bytes link it into a free list of the pool, which leaves the
// second word. Records are aligned to 64, so the low bits of their address have room for the
// block's class and for whether it was freed.
#include "mem/remote.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include "mem/guard.h"
#include "mem/pool.h"

#define FREED_BIT ((uintptr_t)1)
#define CLASS_SHIFT 1
#define CLASS_NONE 31u  // Larger than every class.
#define TAG_MASK ((uintptr_t)CV_CACHE_LINE_BYTES - 1)

struct header {
    size_t bytes;  // Of the block, with this header.
    uintptr_t tagged;
};

_Static_assert(sizeof(struct header) == 16, "memory stays aligned");
_Static_assert(CV_POOL_CLASS_COUNT <= CLASS_NONE, "classes fit the tag");

// What is on the list: the link is in the memory that was handed out.
struct freed {
    struct freed *next;
};

struct cv_remote {
    struct freed *list;    // Atomic. CLOSED once the pool's thread has ended.
    uintptr_t owner;       // Atomic. this_thread of the pool's; 0 once it has ended.
    struct cv_pool *pool;  // borrowed from the owner; `left` once it has ended
    struct cv_pool left;   // owned
    pthread_mutex_t lock;
} CV_CACHE_ALIGNED;

static struct freed closed;
#define CLOSED (&closed)

// The address of a thread's own variable tells threads apart, at the cost of no call.
static uintptr_t this_thread(void) {
    static _Thread_local char here __attribute__((tls_model("initial-exec")));

    return (uintptr_t)&here;
}

static struct header *header_of(void *memory) {
    return (struct header *)memory - 1;
}

static bool make_record(struct cv_pool *pool) {
    struct cv_remote *remote = aligned_alloc(CV_CACHE_LINE_BYTES, sizeof(*remote));

    if (remote == NULL)
        return false;
    *remote = (struct cv_remote){.owner = this_thread(), .pool = pool};
    (void)pthread_mutex_init(&remote->lock, NULL);
    pool->remote = remote;
    return true;
}

void *cv_remote_alloc(struct cv_pool *pool, size_t bytes) {
    size_t total = sizeof(struct header) + CV_MAX(bytes, sizeof(struct freed));

    if (total < bytes || (pool->remote == NULL && !make_record(pool)))
        return NULL;
    struct header *header = cv_pool_acquire(pool, total);
    uintptr_t class_index = total > CV_POOL_CLASS_BYTES_MAX ? CLASS_NONE : cv_pool_class(total);

    if (header == NULL)
        return NULL;
    *header = (struct header){total, (uintptr_t)pool->remote | class_index << CLASS_SHIFT};
    return header + 1;
}

// By the owner, or under the lock after its end.
static void take_back(struct cv_remote *remote, void *memory) {
    struct header *header = header_of(memory);

    cv_pool_release(remote->pool, header, header->bytes);
}

static bool take_back_all(struct cv_remote *remote, struct freed *list) {
    size_t count = 0;

    while (list != NULL) {
        struct freed *next = list->next;

        take_back(remote, list);
        list = next;
        count++;
    }
    remote->pool->remote_frees += count;
    return count > 0;
}

// False once the owner has ended.
static bool push(struct cv_remote *remote, struct freed *freed) {
    struct freed *first = __atomic_load_n(&remote->list, __ATOMIC_ACQUIRE);

    do {
        if (first == CLOSED)
            return false;
        freed->next = first;
    } while (!__atomic_compare_exchange_n(&remote->list, &first, freed, true, __ATOMIC_RELEASE,
                                          __ATOMIC_ACQUIRE));
    return true;
}

// Gives up the lock. Whoever finds nothing left ends the pool, which frees the record.
static void unlock_or_end(struct cv_remote *remote) {
    bool is_last = cv_pool_live_bytes(&remote->left) == 0;
    struct cv_pool last = remote->left;

    (void)pthread_mutex_unlock(&remote->lock);
    if (is_last)
        cv_pool_deinit(&last);
}

static void free_late(struct cv_remote *remote, void *memory) {
    (void)pthread_mutex_lock(&remote->lock);
    take_back(remote, memory);
    unlock_or_end(remote);
}

static CV_COLD void fail_double_free(void *memory) {
    const struct header *header = header_of(memory);
    uintptr_t class_index = (header->tagged & TAG_MASK) >> CLASS_SHIFT;

    if (header->tagged == CV_GUARD_FREED_WORD)
        cv_guard_fail_freed(header);
    cv_guard_fail("double_free", memory,
                  class_index == CLASS_NONE ? CV_POOL_CLASS_BYTES_MAX + 1
                                            : cv_pool_class_bytes((uint32_t)class_index));
}

void cv_remote_free(void *memory) {
    if (memory == NULL)
        return;
    struct header *header = header_of(memory);
    struct cv_remote *remote = (struct cv_remote *)(header->tagged & ~TAG_MASK);

    if (CV_UNLIKELY((header->tagged & FREED_BIT) != 0))
        fail_double_free(memory);
    header->tagged |= FREED_BIT;
    if (__atomic_load_n(&remote->owner, __ATOMIC_RELAXED) == this_thread())
        take_back(remote, memory);
    else if (!push(remote, memory))
        free_late(remote, memory);
}

bool cv_remote_collect(struct cv_pool *pool) {
    struct cv_remote *remote = pool->remote;

    if (CV_LIKELY(__atomic_load_n(&remote->list, __ATOMIC_RELAXED) == NULL))
        return false;
    return take_back_all(remote, __atomic_exchange_n(&remote->list, NULL, __ATOMIC_ACQUIRE));
}

void cv_remote_close(struct cv_pool *pool) {
    struct cv_remote *remote = pool->remote;

    cv_slab_watch(cv_pool_slabs(pool), NULL, NULL, NULL);
    if (remote == NULL) {
        if (cv_pool_live_bytes(pool) == 0)
            cv_pool_deinit(pool);
        return;
    }
    (void)pthread_mutex_lock(&remote->lock);
    __atomic_store_n(&remote->owner, 0, __ATOMIC_RELAXED);
    remote->left = *pool;
    remote->pool = &remote->left;
    *pool = (struct cv_pool){0};
    (void)take_back_all(remote, __atomic_exchange_n(&remote->list, CLOSED, __ATOMIC_ACQ_REL));
    unlock_or_end(remote);
}

void cv_remote_deinit(struct cv_pool *pool) {
    struct cv_remote *remote = pool->remote;

    if (remote->pool != &remote->left)
        (void)cv_remote_collect(pool);
    pool->remote = NULL;
    (void)pthread_mutex_destroy(&remote->lock);
    free(remote);
}
