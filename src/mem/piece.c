// Cutting pieces and putting them together again. Every step is of constant time, but for the first
// cut of a piece, which touches all of it.
#include "mem/piece.h"

#include "base/assert.h"
#include "mem/poison.h"
#include "mem/pool.h"
#include "mem/slab.h"

static void link(struct cv_piece **open, struct cv_piece *piece) {
    piece->previous = NULL;
    piece->next = *open;
    if (*open != NULL)
        (*open)->previous = piece;
    *open = piece;
}

static void unlink(struct cv_piece **open, struct cv_piece *piece) {
    if (piece->previous != NULL)
        piece->previous->next = piece->next;
    else
        *open = piece->next;
    if (piece->next != NULL)
        piece->next->previous = piece->previous;
}

// `block` is in nobody's hands.
static void push(struct cv_pool_block **list, struct cv_pool_block *block, size_t block_bytes) {
    cv_poison_clear(block, sizeof(*block));
    block->next = *list;
    *list = block;
    cv_poison_set(block, block_bytes);
}

// In address order: the first block is the lowest.
static struct cv_pool_block *cut(struct cv_slabs *slabs, size_t block_bytes, size_t *count) {
    uint8_t *memory = cv_slab_acquire(slabs, CV_SLAB_BLOCK_BYTES_MIN);
    struct cv_pool_block *list = NULL;

    if (memory == NULL)
        return NULL;
    for (size_t at = CV_SLAB_BLOCK_BYTES_MIN; at > 0; at -= block_bytes)
        push(&list, (struct cv_pool_block *)(memory + at - block_bytes), block_bytes);
    *count = CV_SLAB_BLOCK_BYTES_MIN / block_bytes;
    return list;
}

struct cv_pool_block *cv_piece_take(struct cv_slabs *slabs, struct cv_piece **open,
                                    size_t block_bytes, size_t *count) {
    struct cv_piece *piece = *open;

    if (piece == NULL)
        return cut(slabs, block_bytes, count);
    struct cv_pool_block *blocks = piece->free;

    unlink(open, piece);
    *count = piece->free_count;
    *piece = (struct cv_piece){0};
    return blocks;
}

void cv_piece_give(struct cv_slabs *slabs, struct cv_piece **open, size_t block_bytes,
                   void *memory) {
    struct cv_piece *piece = cv_slab_piece(slabs, memory);

    push(&piece->free, memory, block_bytes);
    if (piece->free_count++ == 0)
        link(open, piece);
    CV_ASSERT(piece->free_count * block_bytes <= CV_SLAB_BLOCK_BYTES_MIN);
    if (piece->free_count * block_bytes < CV_SLAB_BLOCK_BYTES_MIN)
        return;
    unlink(open, piece);
    *piece = (struct cv_piece){0};
    cv_slab_release(slabs, (uint8_t *)memory - (uintptr_t)memory % CV_SLAB_BLOCK_BYTES_MIN,
                    CV_SLAB_BLOCK_BYTES_MIN);
}
