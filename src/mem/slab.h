// Where a worker's memory comes from: slabs of 2 MiB, aligned to their size, in huge pages when the
// system has them, cut up by a buddy allocator.
//
// Owned and used by one thread. A slab is one fixed buffer for the kernel: cv_slab_watch tells when
// slabs come and go, cv_slab_find whether some memory lies in one.
#ifndef CV_MEM_SLAB_H
#define CV_MEM_SLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define CV_SLAB_BYTES ((size_t)2 * 1024 * 1024)
#define CV_SLAB_BLOCK_BYTES_MIN 2048u
#define CV_SLAB_ORDER_COUNT 11u  // Blocks of 2 KiB << order: 2 KiB to the whole slab.
#define CV_SLAB_COUNT_MAX 4096u  // 8 GiB. Indexes are below it.
#define CV_SLAB_TABLE_ENTRIES (2 * CV_SLAB_COUNT_MAX)

enum cv_slab_pages {
    CV_SLAB_HUGETLB,      // Reserved huge pages (vm.nr_hugepages).
    CV_SLAB_TRANSPARENT,  // Ordinary memory that the kernel was asked to back with huge pages.
    CV_SLAB_PLAIN,
    CV_SLAB_PAGES_COUNT
};

struct cv_piece;
struct cv_slab;

// Everything that is sized by the number of slabs; made with the first one.
struct cv_slab_set {
    struct cv_slab *slab[CV_SLAB_COUNT_MAX];  // owned; NULL: the index is free
    uint16_t free_orders[CV_SLAB_COUNT_MAX];  // Bit k: a free block of order k in that slab.
    uintptr_t table[CV_SLAB_TABLE_ENTRIES];   // Open addressing: address | index, 0 is empty.
};

// A slab was mapped (or will be unmapped when `on_removed` returns; nothing in it is in use then).
// Both run on the owner's thread, out of cv_slab_acquire and cv_slab_release.
typedef void (*cv_slab_added_fn)(void *context, uint32_t index, void *memory, size_t bytes);
typedef void (*cv_slab_removed_fn)(void *context, uint32_t index);

struct cv_slabs {
    struct cv_slab_set *set;              // owned; NULL before the first slab
    uint32_t end;                         // One more than the highest index in use.
    uint32_t unused_count;                // Slabs without a block handed out: at most one is kept.
    uint32_t first[CV_SLAB_ORDER_COUNT];  // No slab below this index has room for that order.
    uint32_t count[CV_SLAB_PAGES_COUNT];  // Slabs by what backs them.
    uint32_t count_max;                   // In all; what is there beyond it stays.
    cv_slab_added_fn on_added;            // NULL: nobody watches.
    cv_slab_removed_fn on_removed;
    void *context;
};

void cv_slab_init(struct cv_slabs *slabs);

// Maps the first slab ahead of its use, which takes address space and no memory. Nothing happens
// when there is one or none can be had.
void cv_slab_prepare(struct cv_slabs *slabs);

// Unmaps every slab, whatever is in use of them; tells the watcher first.
void cv_slab_deinit(struct cv_slabs *slabs);

// All slabs there are.
static inline uint32_t cv_slab_count(const struct cv_slabs *slabs) {
    uint32_t count = 0;

    for (uint32_t pages = 0; pages < CV_SLAB_PAGES_COUNT; pages++)
        count += slabs->count[pages];
    return count;
}

// One watcher. `on_added` is called at once for every slab there is. NULL functions: `on_removed`
// of the watcher before is called for every slab, then nobody watches.
void cv_slab_watch(struct cv_slabs *slabs, cv_slab_added_fn on_added, cv_slab_removed_fn on_removed,
                   void *context);

// A block of at least `bytes` (at most CV_SLAB_BYTES, asserted), aligned to its size: a power of
// two of at least CV_SLAB_BLOCK_BYTES_MIN. NULL when the system has no memory, or `count_max` slabs
// (at first CV_SLAB_COUNT_MAX) are in use. Contents are undefined.
CV_MUST_USE void *cv_slab_acquire(struct cv_slabs *slabs, size_t bytes);

// Gives back a block; `bytes` as at cv_slab_acquire. A slab that becomes unused is unmapped if
// there is another unused one already.
void cv_slab_release(struct cv_slabs *slabs, void *memory, size_t bytes);

// The record kept beside the slab for the smallest block that `memory` lies in; cleared when the
// slab is new. It must be of these slabs (asserted).
struct cv_piece *cv_slab_piece(const struct cv_slabs *slabs, const void *memory);

// Whether all of `memory` lies in one slab of these; then sets `*index` to that slab's. The offset
// in it is (uintptr_t)memory % CV_SLAB_BYTES. Constant time; never reads `memory`, which may be
// anything.
static inline bool cv_slab_find(const struct cv_slabs *slabs, const void *memory, size_t bytes,
                                uint32_t *index) {
    uintptr_t offset = (uintptr_t)memory % CV_SLAB_BYTES;
    uintptr_t base = (uintptr_t)memory - offset;

    if (slabs->set == NULL || bytes > CV_SLAB_BYTES - offset)
        return false;
    for (uintptr_t at = base / CV_SLAB_BYTES;; at++) {
        uintptr_t entry = slabs->set->table[at % CV_SLAB_TABLE_ENTRIES];

        if (entry - entry % CV_SLAB_BYTES == base && entry != 0) {
            *index = (uint32_t)(entry % CV_SLAB_BYTES);
            return true;
        }
        if (entry == 0)
            return false;
    }
}

#endif
