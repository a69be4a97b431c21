// Slabs and their buddy allocator.
//
// The blocks of a slab are the nodes of a complete binary tree, numbered as in a heap: node 1 is
// the whole slab, the halves of node n are 2n and 2n + 1, so the buddy of n is n ^ 1 and a block's
// node follows from its offset and order. One bit per node says that the block is free as a whole.
//
//   order 10         1            2 MiB
//   order  9     2       3        1 MiB
//   order  8   4   5   6   7      512 KiB, ..., order 0: nodes 1024 to 2047, 2 KiB
//
// All of it is kept beside the slab, so a free block is never touched: what wrote to it in error
// broke no allocator, and its pages need not exist.
//
// The lowest slab with room serves, so that the higher ones become unused. One unused slab is kept,
// lest a block at the edge of one maps and unmaps it in turn.
#include "mem/slab.h"

#include <fcntl.h>
#include <linux/mman.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "mem/piece.h"
#include "mem/poison.h"

#define ORDER_TOP (CV_SLAB_ORDER_COUNT - 1)
#define BLOCK_SHIFT_MIN 11
#define NODE_COUNT (2u << ORDER_TOP)
#define THP_ENABLED "/sys/kernel/mm/transparent_hugepage/enabled"

_Static_assert(CV_SLAB_BLOCK_BYTES_MIN == 1u << BLOCK_SHIFT_MIN, "order 0 is the smallest");
_Static_assert(CV_SLAB_BYTES == (size_t)CV_SLAB_BLOCK_BYTES_MIN << ORDER_TOP,
               "the highest order is a slab");

struct cv_slab {
    uint8_t *memory;  // owned
    enum cv_slab_pages pages;
    size_t used_bytes;
    uint16_t free_count[CV_SLAB_ORDER_COUNT];
    uint64_t free[NODE_COUNT / 64];  // One bit per node.
    struct cv_piece piece[CV_SLAB_BYTES / CV_SLAB_BLOCK_BYTES_MIN];
};

// Order and node.
static uint32_t order_of(size_t bytes) {
    size_t rounded = CV_MAX(bytes, (size_t)CV_SLAB_BLOCK_BYTES_MIN);

    return (uint32_t)(64 - BLOCK_SHIFT_MIN - __builtin_clzl(rounded - 1));
}

static uint32_t first_node(uint32_t order) {
    return 1u << (ORDER_TOP - order);
}

static size_t order_bytes(uint32_t order) {
    return (size_t)CV_SLAB_BLOCK_BYTES_MIN << order;
}

static bool is_free(const struct cv_slab *slab, uint32_t node) {
    return (slab->free[node / 64] >> node % 64 & 1) != 0;
}

static void set_free(struct cv_slab *slab, uint32_t node, uint32_t order) {
    slab->free[node / 64] |= (uint64_t)1 << node % 64;
    slab->free_count[order]++;
}

static void clear_free(struct cv_slab *slab, uint32_t node, uint32_t order) {
    slab->free[node / 64] &= ~((uint64_t)1 << node % 64);
    slab->free_count[order]--;
}

// The lowest free block of an order that has one.
static uint32_t find_free(const struct cv_slab *slab, uint32_t order) {
    uint32_t first = first_node(order);
    uint32_t word = first / 64;
    // Orders of fewer than 64 blocks share word 0.
    uint64_t bits = slab->free[word] & ~(uint64_t)0 << first % 64;

    while (bits == 0)
        bits = slab->free[++word];
    return word * 64 + (uint32_t)__builtin_ctzl(bits);
}

// Which orders the slab at `index` can serve, and where to look for them.
static void note_orders(struct cv_slabs *slabs, uint32_t index) {
    const struct cv_slab *slab = slabs->set->slab[index];
    uint32_t orders = 0;

    for (uint32_t order = 0; order < CV_SLAB_ORDER_COUNT; order++)
        orders |= (uint32_t)(slab->free_count[order] > 0) << order;
    slabs->set->free_orders[index] = (uint16_t)orders;
    for (uint32_t order = 0; orders >> order != 0; order++)
        slabs->first[order] = CV_MIN(slabs->first[order], index);
}

// Mapping.
static void *map(size_t bytes, int flags) {
    void *memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

static void *map_aligned(void) {
    uint8_t *memory = map(CV_SLAB_BYTES, 0);

    // Kernels from 6.7 on align what is this large.
    if (memory == NULL || (uintptr_t)memory % CV_SLAB_BYTES == 0)
        return memory;
    (void)munmap(memory, CV_SLAB_BYTES);
    memory = map(2 * CV_SLAB_BYTES, 0);
    if (memory == NULL)
        return NULL;
    size_t before = -(uintptr_t)memory % CV_SLAB_BYTES;

    if (before > 0)
        (void)munmap(memory, before);
    (void)munmap(memory + before + CV_SLAB_BYTES, CV_SLAB_BYTES - before);
    return memory + before;
}

// madvise succeeds where an administrator switched transparent huge pages off, so we ask.
static bool are_huge_pages_off(void) {
    char text[64] = "";
    int file = open(THP_ENABLED, O_RDONLY | O_CLOEXEC);

    if (file < 0)
        return false;
    ssize_t length = read(file, text, sizeof(text) - 1);
    (void)close(file);
    return length > 0 && strstr(text, "[never]") != NULL;
}

static void *map_slab(enum cv_slab_pages *pages) {
    void *memory = map(CV_SLAB_BYTES, MAP_HUGETLB | MAP_HUGE_2MB);

    *pages = CV_SLAB_HUGETLB;
    if (memory != NULL)
        return memory;
    memory = map_aligned();
    if (memory == NULL)
        return NULL;
    *pages = madvise(memory, CV_SLAB_BYTES, MADV_HUGEPAGE) == 0 && !are_huge_pages_off()
                 ? CV_SLAB_TRANSPARENT
                 : CV_SLAB_PLAIN;
    return memory;
}

// The table of slabs.
static void enter(struct cv_slab_set *set, uint32_t index) {
    uintptr_t base = (uintptr_t)set->slab[index]->memory;
    uintptr_t at = base / CV_SLAB_BYTES;

    while (set->table[at % CV_SLAB_TABLE_ENTRIES] != 0)
        at++;
    set->table[at % CV_SLAB_TABLE_ENTRIES] = base | index;
}

// Entries behind the one that is gone may have been put there because of it.
static void leave(struct cv_slab_set *set, uint32_t index) {
    uintptr_t at = (uintptr_t)set->slab[index]->memory / CV_SLAB_BYTES;

    while (set->table[at % CV_SLAB_TABLE_ENTRIES] % CV_SLAB_BYTES != index)
        at++;
    set->table[at++ % CV_SLAB_TABLE_ENTRIES] = 0;
    for (uintptr_t entry; (entry = set->table[at % CV_SLAB_TABLE_ENTRIES]) != 0; at++) {
        set->table[at % CV_SLAB_TABLE_ENTRIES] = 0;
        enter(set, (uint32_t)(entry % CV_SLAB_BYTES));
    }
}

static uint32_t free_index(const struct cv_slabs *slabs) {
    uint32_t index = 0;

    while (index < slabs->end && slabs->set->slab[index] != NULL)
        index++;
    return index;
}

static struct cv_slab *make_slab(void) {
    struct cv_slab *slab = calloc(1, sizeof(*slab));

    if (slab == NULL)
        return NULL;
    slab->memory = map_slab(&slab->pages);
    if (slab->memory == NULL) {
        free(slab);
        return NULL;
    }
    set_free(slab, 1, ORDER_TOP);
    cv_poison_set(slab->memory, CV_SLAB_BYTES);
    cv_poison_add_root(slab->memory, CV_SLAB_BYTES);
    return slab;
}

static bool add_slab(struct cv_slabs *slabs) {
    if (cv_slab_count(slabs) >= slabs->count_max)
        return false;
    if (slabs->set == NULL)
        slabs->set = calloc(1, sizeof(*slabs->set));
    if (slabs->set == NULL)
        return false;
    uint32_t index = free_index(slabs);
    struct cv_slab *slab = index == CV_SLAB_COUNT_MAX ? NULL : make_slab();

    if (slab == NULL)
        return false;
    slabs->set->slab[index] = slab;
    slabs->end = CV_MAX(slabs->end, index + 1);
    slabs->count[slab->pages]++;
    slabs->unused_count++;
    enter(slabs->set, index);
    note_orders(slabs, index);
    if (slabs->on_added != NULL)
        slabs->on_added(slabs->context, index, slab->memory, CV_SLAB_BYTES);
    return true;
}

static void remove_slab(struct cv_slabs *slabs, uint32_t index) {
    struct cv_slab *slab = slabs->set->slab[index];

    if (slabs->on_removed != NULL)
        slabs->on_removed(slabs->context, index);
    leave(slabs->set, index);
    slabs->set->slab[index] = NULL;
    slabs->set->free_orders[index] = 0;
    slabs->count[slab->pages]--;
    if (slab->used_bytes == 0)
        slabs->unused_count--;
    while (slabs->end > 0 && slabs->set->slab[slabs->end - 1] == NULL)
        slabs->end--;
    cv_poison_remove_root(slab->memory, CV_SLAB_BYTES);
    cv_poison_clear(slab->memory, CV_SLAB_BYTES);
    (void)munmap(slab->memory, CV_SLAB_BYTES);
    free(slab);
}

// Life.
void cv_slab_init(struct cv_slabs *slabs) {
    *slabs = (struct cv_slabs){.count_max = CV_SLAB_COUNT_MAX};
}

void cv_slab_prepare(struct cv_slabs *slabs) {
    if (slabs->end == 0)
        (void)add_slab(slabs);
}

void cv_slab_deinit(struct cv_slabs *slabs) {
    for (uint32_t index = slabs->end; index-- > 0;) {
        if (slabs->set->slab[index] != NULL)
            remove_slab(slabs, index);
    }
    free(slabs->set);
    cv_slab_init(slabs);
}

void cv_slab_watch(struct cv_slabs *slabs, cv_slab_added_fn on_added, cv_slab_removed_fn on_removed,
                   void *context) {
    for (uint32_t index = 0; index < slabs->end; index++) {
        const struct cv_slab *slab = slabs->set->slab[index];

        if (slab != NULL && on_added != NULL)
            on_added(context, index, slab->memory, CV_SLAB_BYTES);
        else if (slab != NULL && on_added == NULL && slabs->on_removed != NULL)
            slabs->on_removed(slabs->context, index);
    }
    slabs->on_added = on_added;
    slabs->on_removed = on_removed;
    slabs->context = context;
}

struct cv_piece *cv_slab_piece(const struct cv_slabs *slabs, const void *memory) {
    uint32_t index;
    bool found = cv_slab_find(slabs, memory, 1, &index);

    CV_ASSERT(found);
    return &slabs->set->slab[index]
                ->piece[(uintptr_t)memory % CV_SLAB_BYTES / CV_SLAB_BLOCK_BYTES_MIN];
}

// Blocks.
static bool find_slab(struct cv_slabs *slabs, uint32_t order, uint32_t *index) {
    uint32_t at = slabs->first[order];

    while (at < slabs->end && slabs->set->free_orders[at] >> order == 0)
        at++;
    slabs->first[order] = at;
    *index = at;
    return at < slabs->end;
}

// Splits the smallest free block that is large enough.
static uint32_t take_node(struct cv_slab *slab, uint32_t free_orders, uint32_t order) {
    uint32_t from = order + (uint32_t)__builtin_ctz(free_orders >> order);
    uint32_t node = find_free(slab, from);

    clear_free(slab, node, from);
    while (from > order) {
        from--;
        node *= 2;
        set_free(slab, node + 1, from);
    }
    return node;
}

void *cv_slab_acquire(struct cv_slabs *slabs, size_t bytes) {
    CV_ASSERT(bytes <= CV_SLAB_BYTES);
    uint32_t order = order_of(bytes);
    uint32_t index;

    if (!find_slab(slabs, order, &index) && (!add_slab(slabs) || !find_slab(slabs, order, &index)))
        return NULL;
    struct cv_slab *slab = slabs->set->slab[index];
    uint32_t node = take_node(slab, slabs->set->free_orders[index], order);
    uint8_t *memory = slab->memory + (node - first_node(order)) * order_bytes(order);

    if (slab->used_bytes == 0)
        slabs->unused_count--;
    slab->used_bytes += order_bytes(order);
    note_orders(slabs, index);
    cv_poison_clear(memory, order_bytes(order));
    return memory;
}

// Joins the block with its buddy as long as that is free too.
static void free_node(struct cv_slab *slab, uint32_t node, uint32_t order) {
    CV_ASSERT(!is_free(slab, node));
    while (order < ORDER_TOP && is_free(slab, node ^ 1)) {
        clear_free(slab, node ^ 1, order);
        node /= 2;
        order++;
    }
    set_free(slab, node, order);
}

void cv_slab_release(struct cv_slabs *slabs, void *memory, size_t bytes) {
    uint32_t order = order_of(bytes);
    size_t offset = (uintptr_t)memory % CV_SLAB_BYTES;
    uint32_t index;
    bool found = cv_slab_find(slabs, memory, order_bytes(order), &index);

    CV_ASSERT(found && offset % order_bytes(order) == 0);
    struct cv_slab *slab = slabs->set->slab[index];

    cv_poison_set(memory, order_bytes(order));
    free_node(slab, first_node(order) + (uint32_t)(offset / order_bytes(order)), order);
    slab->used_bytes -= order_bytes(order);
    if (slab->used_bytes == 0 && slabs->unused_count++ > 0)
        remove_slab(slabs, index);
    else
        note_orders(slabs, index);
}
