// Blocks of a pool that any thread may free.
//
// A block names its pool's record in front of it. The owner frees directly; any other thread pushes
// the block onto a list in that record, with one compare-and-swap, and the owner takes the whole
// list over with one exchange: in cv_pool_turn, and when a class of its pool ran empty.
//
// The record outlives the pool for as long as such a block is out. When the pool's thread ends
// first, the pool moves into the record, and late frees go through a lock there; the last one gives
// everything back to the system.
#ifndef CV_MEM_REMOTE_H
#define CV_MEM_REMOTE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

struct cv_pool;

// At least `bytes` bytes from the calling thread's own pool, aligned to 16, not cleared; NULL when
// memory is exhausted.
CV_MUST_USE void *cv_remote_alloc(struct cv_pool *pool, size_t bytes);

// Any thread. NULL is ignored. Freeing twice ends the process while that can still be told: always
// before the block is used again, and for a while longer in debug mode.
void cv_remote_free(void *memory);

// Owner's thread: takes over what others freed. Returns whether there was anything. The pool has a
// record.
bool cv_remote_collect(struct cv_pool *pool);

// Owner's thread, at its end: the pool is gone for the caller. Blocks that others hold stay valid
// until they free them. Blocks that the owner itself left behind are never freed, nor is anything
// then.
void cv_remote_close(struct cv_pool *pool);

// For cv_pool_deinit: takes over what others freed, then frees the record. No block may be out.
void cv_remote_deinit(struct cv_pool *pool);

#endif
