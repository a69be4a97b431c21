// Small blocks: a piece is one of the slabs' smallest blocks, cut into blocks of one size.
//
// Blocks are aligned to their size and nothing is left over. What is known of a piece is kept
// beside its slab. A piece all of whose blocks are back goes back to the slabs.
#ifndef CV_MEM_PIECE_H
#define CV_MEM_PIECE_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct cv_pool_block;
struct cv_slabs;

struct cv_piece {
    struct cv_piece *next;  // In the list of open ones.
    struct cv_piece *previous;
    struct cv_pool_block *free;  // Blocks that are here.
    size_t free_count;
};

// All the blocks that some piece of `*open` has, linked, and their number; a new piece is cut when
// none has any. `*open` lists the pieces of this size that hold blocks and changes accordingly.
// NULL when the slabs have no memory.
CV_MUST_USE struct cv_pool_block *cv_piece_take(struct cv_slabs *slabs, struct cv_piece **open,
                                                size_t block_bytes, size_t *count);

// Takes one block back into its piece.
void cv_piece_give(struct cv_slabs *slabs, struct cv_piece **open, size_t block_bytes,
                   void *memory);

#endif
