// Pools are set to their debug mode by main.c, in which nothing waits on a free list: every block
// is asked for in cv_pool_acquire_slow. Arenas are cut short after each allocation, so that each
// takes a block. The debug mode finds what is used after it was given back, too.
#include "torture/memory.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"
#include "mem/arena.h"
#include "mem/pool.h"
#include "torture/points.h"

#define LIVE_MAX 65536u

// What was handed out and not given back, in no order.
static struct live {
    const void *memory;
    size_t bytes;
    const void *caller;
} live[LIVE_MAX];
static uint32_t live_count;
static size_t mapped_bytes;

static void *note(void *memory, size_t bytes, const void *caller) {
    if (memory == NULL) {
        return NULL;
    }
    if (live_count == LIVE_MAX) {
        points_fail("more than %u blocks of memory are live", LIVE_MAX);
    }
    live[live_count++] = (struct live){memory, bytes, caller};
    return memory;
}

static void forget(const void *memory) {
    for (uint32_t i = live_count; i > 0; i--) {
        if (live[i - 1].memory == memory) {
            live[i - 1] = live[--live_count];
            return;
        }
    }
    points_fail("memory %p is given back and was never handed out", memory);
}

static bool fails(const char *what) {
    if (points_reach(what, 1) == 0) {
        return false;
    }
    errno = ENOMEM;
    return true;
}

#define CALLER __builtin_return_address(0)

void *torture_malloc(size_t bytes) {
    return fails("malloc") ? NULL : note(malloc(bytes), bytes, CALLER);
}

void *torture_calloc(size_t count, size_t bytes) {
    return fails("calloc") ? NULL : note(calloc(count, bytes), count * bytes, CALLER);
}

void *torture_realloc(void *memory, size_t bytes) {
    if (fails("realloc")) {
        return NULL;
    }
    if (memory != NULL) {
        forget(memory);
    }
    return note(realloc(memory, bytes), bytes, CALLER);
}

void *torture_aligned_alloc(size_t alignment, size_t bytes) {
    return fails("aligned_alloc") ? NULL : note(aligned_alloc(alignment, bytes), bytes, CALLER);
}

char *torture_strdup(const char *text) {
    return fails("strdup") ? NULL : note(strdup(text), strlen(text) + 1, CALLER);
}

void torture_free(void *memory) {
    if (memory != NULL) {
        forget(memory);
        free(memory);
    }
}

void *torture_mmap(void *at, size_t bytes, int protection, int flags, int descriptor,
                   off_t offset) {
    if (fails("mmap")) {
        return MAP_FAILED;
    }
    void *memory = mmap(at, bytes, protection, flags, descriptor, offset);
    mapped_bytes += memory == MAP_FAILED ? 0 : bytes;
    return memory;
}

int torture_munmap(void *memory, size_t bytes) {
    mapped_bytes -= bytes;
    return munmap(memory, bytes);
}

int torture_madvise(void *memory, size_t bytes, int advice) {
    return fails("madvise") ? -1 : madvise(memory, bytes, advice);
}

FILE *torture_fopen(const char *path, const char *mode) {
    return fails("fopen") ? NULL : fopen(path, mode);
}

void memory_check(void) {
    if (live_count > 0) {
        extern char __executable_start;
        uintptr_t at = (uintptr_t)live[0].caller - (uintptr_t)&__executable_start;
        points_fail("%u blocks are leaked, one of %zu bytes: addr2line -spfe %s 0x%lx", live_count,
                    live[0].bytes, program_invocation_name, (unsigned long)at);
    }
    if (mapped_bytes > 0) {
        points_fail("%zu bytes stay mapped", mapped_bytes);
    }
}

// The pool.
void *__real_cv_pool_acquire_slow(struct cv_pool *pool, size_t bytes);
void *__wrap_cv_pool_acquire_slow(struct cv_pool *pool, size_t bytes);
void *__wrap_cv_pool_acquire_slow(struct cv_pool *pool, size_t bytes) {
    // The pool below the one in debug mode is the same block once more.
    if (pool->guard != NULL && fails("cv_pool_acquire")) {
        return NULL;
    }
    return __real_cv_pool_acquire_slow(pool, bytes);
}

static void cut_short(struct cv_arena *arena) {
    arena->end = arena->at;
}

void *__real_cv_arena_alloc_slow(struct cv_arena *arena, size_t bytes);
void *__wrap_cv_arena_alloc_slow(struct cv_arena *arena, size_t bytes);
void *__wrap_cv_arena_alloc_slow(struct cv_arena *arena, size_t bytes) {
    void *memory = __real_cv_arena_alloc_slow(arena, bytes);
    cut_short(arena);
    return memory;
}

char *__real_cv_arena_copy(struct cv_arena *arena, struct cv_span span);
char *__wrap_cv_arena_copy(struct cv_arena *arena, struct cv_span span);
char *__wrap_cv_arena_copy(struct cv_arena *arena, struct cv_span span) {
    char *copy = __real_cv_arena_copy(arena, span);
    cut_short(arena);
    return copy;
}

void __real_cv_arena_reset(struct cv_arena *arena);
void __wrap_cv_arena_reset(struct cv_arena *arena);
void __wrap_cv_arena_reset(struct cv_arena *arena) {
    __real_cv_arena_reset(arena);
    cut_short(arena);
}

// What the server logs about a failure that was planted is what it should say; thousands of them
// would hide what is wrong.
void __wrap_cv_log(enum cv_log_level level, const char *event, const char *format, ...);
void __wrap_cv_log(enum cv_log_level level, const char *event, const char *format, ...) {
    (void)level, (void)event, (void)format;
}
