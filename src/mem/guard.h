// A pool that looks for mistakes: COVET_MEMORY=debug.
//
//   block: | header | bytes asked for | tail |
//          -32      0                 bytes
//
// Every block stands alone between a header and a tail that must not change. A block that is
// released is filled with a pattern and kept back for a while; the pattern is checked each loop
// turn and when the block leaves. Any mistake found ends the process with one log line:
//
//   event=memory_error kind=... address=... bytes=... class_bytes=... at=...
//
//   double_free     released although it was free already
//   use_after_free  written to while it was free; `at` is the first byte that changed
//   overrun         written to behind its end
//   bad_free        what was released is no block, was written to before its start, or was freed
//                   long ago
//   wrong_size      released with a size of another class
//
// The pool itself runs on a plain pool below it. Its own free lists stay empty, so that the fast
// paths of cv_pool_acquire and cv_pool_release never take a block and need not ask.
#ifndef CV_MEM_GUARD_H
#define CV_MEM_GUARD_H

#include <stddef.h>

#include "base/compiler.h"

struct cv_guard;
struct cv_pool;

#define CV_GUARD_KEPT_BYTES_MAX (1024u * 1024u)    // Freed blocks kept back.
#define CV_GUARD_FREED_WORD 0xdfdfdfdfdfdfdfdfull  // What eight bytes of one look like.

// Switches a pool that was not used yet. Without memory for it the pool stays as it is.
void cv_guard_enable(struct cv_pool *pool);

// Checks and frees everything below the pool.
void cv_guard_disable(struct cv_pool *pool);

// The plain pool below.
struct cv_pool *cv_guard_pool(struct cv_guard *guard);

// Contents of a new block are a pattern. NULL when memory is exhausted.
CV_MUST_USE void *cv_guard_acquire(struct cv_guard *guard, size_t bytes);
void cv_guard_release(struct cv_guard *guard, void *block, size_t bytes);

// Checks every freed block that is kept back.
void cv_guard_check(struct cv_guard *guard);

// The end of the process: `kind` as above.
_Noreturn CV_COLD void cv_guard_fail(const char *kind, const void *block, size_t bytes);

// The same for a block that is kept back and is freed again.
_Noreturn CV_COLD void cv_guard_fail_freed(const void *block);

#endif
