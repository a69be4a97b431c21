// The checks of debug mode; guard.h says what they find.
#include "mem/guard.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "mem/pool.h"

#define NEW_BYTE 0xa5
#define FREED_BYTE 0xdf
#define TAIL_BYTE 0xe7
#define TAIL_BYTES 16u
// Mixed with the block's address, so that a copy of a header is none.
#define LIVE_MARK 0x6c69766520626c6bull
#define FREED_MARK 0x6672656564626c6bull

struct header {
    struct header *next;  // Freed later than this one.
    size_t bytes;         // As asked for.
    uint64_t spare;
    uint64_t mark;
};

_Static_assert(sizeof(struct header) == 32, "blocks stay aligned");

struct cv_guard {
    struct cv_pool pool;
    struct header *oldest;  // Freed blocks kept back.
    struct header *newest;
    size_t kept_bytes;
};

_Noreturn static CV_COLD void fail_at(const char *kind, const void *block, size_t bytes,
                                      const void *at) {
    cv_log(CV_LOG_ERROR, "memory_error", "kind=%s address=%p bytes=%zu class_bytes=%zu at=%p", kind,
           block, bytes, cv_pool_capacity(bytes), at);
    abort();
}

void cv_guard_fail(const char *kind, const void *block, size_t bytes) {
    fail_at(kind, block, bytes, block);
}

void cv_guard_fail_freed(const void *block) {
    cv_guard_fail("double_free", block, ((const struct header *)block - 1)->bytes);
}

static uint64_t mark(const struct header *header, uint64_t kind) {
    return (uint64_t)(uintptr_t)header ^ kind;
}

static uint8_t *payload(struct header *header) {
    return (uint8_t *)(header + 1);
}

static size_t block_bytes(size_t bytes) {
    return sizeof(struct header) + bytes + TAIL_BYTES;
}

// All of `memory` must be `byte`. Comparing it with itself, one byte on, is a memcmp.
static void check(const char *kind, struct header *header, const uint8_t *memory, uint8_t byte,
                  size_t bytes) {
    if (bytes == 0 || (memory[0] == byte && memcmp(memory, memory + 1, bytes - 1) == 0))
        return;
    while (*memory == byte)
        memory++;
    fail_at(kind, payload(header), header->bytes, memory);
}

static void check_tail(const char *kind, struct header *header) {
    check(kind, header, payload(header) + header->bytes, TAIL_BYTE, TAIL_BYTES);
}

static void check_freed(struct header *header) {
    check("use_after_free", header, payload(header), FREED_BYTE, header->bytes);
    check_tail("use_after_free", header);
}

void cv_guard_enable(struct cv_pool *pool) {
    struct cv_guard *guard = calloc(1, sizeof(*guard));

    CV_ASSERT(pool->guard == NULL && cv_pool_live_bytes(pool) == 0);
    if (guard == NULL)
        return;
    cv_pool_init_plain(&guard->pool);
    for (uint32_t i = 0; i < CV_POOL_CLASS_COUNT; i++)
        pool->free[i].count_max = 0;
    pool->guard = guard;
}

static void let_go_oldest(struct cv_guard *guard) {
    struct header *header = guard->oldest;

    CV_ASSERT(header != NULL);
    check_freed(header);
    guard->oldest = header->next;
    if (guard->oldest == NULL)
        guard->newest = NULL;
    guard->kept_bytes -= block_bytes(header->bytes);
    header->mark = 0;
    cv_pool_release(&guard->pool, header, block_bytes(header->bytes));
}

void cv_guard_disable(struct cv_pool *pool) {
    struct cv_guard *guard = pool->guard;

    while (guard->oldest != NULL)
        let_go_oldest(guard);
    cv_pool_deinit(&guard->pool);
    free(guard);
    pool->guard = NULL;
}

struct cv_pool *cv_guard_pool(struct cv_guard *guard) {
    return &guard->pool;
}

void *cv_guard_acquire(struct cv_guard *guard, size_t bytes) {
    if (bytes > SIZE_MAX - block_bytes(0))
        return NULL;
    struct header *header = cv_pool_acquire(&guard->pool, block_bytes(bytes));

    if (header == NULL)
        return NULL;
    *header = (struct header){.bytes = bytes, .mark = mark(header, LIVE_MARK)};
    memset(payload(header), NEW_BYTE, bytes);
    memset(payload(header) + bytes, TAIL_BYTE, TAIL_BYTES);
    return payload(header);
}

void cv_guard_release(struct cv_guard *guard, void *block, size_t bytes) {
    struct header *header = (struct header *)block - 1;

    if (header->mark == mark(header, FREED_MARK))
        cv_guard_fail_freed(block);
    if (header->mark != mark(header, LIVE_MARK))
        cv_guard_fail("bad_free", block, bytes);
    if (cv_pool_capacity(bytes) != cv_pool_capacity(header->bytes))
        cv_guard_fail("wrong_size", block, header->bytes);
    check_tail("overrun", header);
    cv_poison_clear(block, header->bytes);  // Its user may have poisoned parts of it.
    memset(block, FREED_BYTE, header->bytes);
    header->mark = mark(header, FREED_MARK);
    header->next = NULL;
    if (guard->newest != NULL)
        guard->newest->next = header;
    else
        guard->oldest = header;
    guard->newest = header;
    guard->kept_bytes += block_bytes(header->bytes);
    while (guard->kept_bytes > CV_GUARD_KEPT_BYTES_MAX)
        let_go_oldest(guard);
}

void cv_guard_check(struct cv_guard *guard) {
    for (struct header *header = guard->oldest; header != NULL; header = header->next)
        check_freed(header);
}
