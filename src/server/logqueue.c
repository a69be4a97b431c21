// The log queue: positions count bytes for ever and are masked into the ring; the difference of the
// two is what is ready. The writer keeps its own copy of the reader's position and looks at the
// shared one only when the ring seems full, so in steady state the two threads do not share a cache
// line but the writer's position. The sleeping flag works as the mailbox's does (see mailbox.c).
#include "server/logqueue.h"

#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"

#define POSITION_MASK (CV_LOGQUEUE_BYTES - 1)

_Static_assert((CV_LOGQUEUE_BYTES & POSITION_MASK) == 0, "positions are masked");

struct cv_logqueue {
    CV_CACHE_ALIGNED _Atomic uint64_t tail;  // Written by the writer alone.
    uint64_t head_seen;                      // The writer's; not ahead of `head`.
    CV_CACHE_ALIGNED _Atomic uint64_t head;  // Written by the reader alone.
    CV_CACHE_ALIGNED _Atomic bool asleep;
    _Atomic uint64_t dropped;  // Beside what the writer looks at each turn anyway.
    CV_CACHE_ALIGNED char ring[CV_LOGQUEUE_BYTES];
};

struct cv_logqueue *cv_logqueue_create(void) {
    // Fresh pages are zero, which is the empty queue, and cost nothing until they are written.
    void *memory = mmap(NULL, sizeof(struct cv_logqueue), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return NULL;
    }
    struct cv_logqueue *queue = memory;
    atomic_store_explicit(&queue->asleep, true, memory_order_relaxed);
    return queue;
}

void cv_logqueue_destroy(struct cv_logqueue *queue) {
    if (queue != NULL) {
        munmap(queue, sizeof(*queue));
    }
}

bool cv_logqueue_put(struct cv_logqueue *queue, struct cv_span line) {
    uint64_t tail = atomic_load_explicit(&queue->tail, memory_order_relaxed);
    if (line.length > CV_LOGQUEUE_BYTES - (tail - queue->head_seen)) {
        queue->head_seen = atomic_load_explicit(&queue->head, memory_order_acquire);
        if (line.length > CV_LOGQUEUE_BYTES - (tail - queue->head_seen)) {
            return false;
        }
    }
    if (line.length == 0) {
        return true;
    }
    size_t at = tail & POSITION_MASK;
    size_t first = CV_MIN(line.length, CV_LOGQUEUE_BYTES - at);
    memcpy(queue->ring + at, line.data, first);
    memcpy(queue->ring, line.data + first, line.length - first);
    atomic_store_explicit(&queue->tail, tail + line.length, memory_order_release);
    return true;
}

bool cv_logqueue_wants_wake(struct cv_logqueue *queue) {
    return atomic_exchange_explicit(&queue->asleep, false, memory_order_acq_rel);
}

struct cv_span cv_logqueue_peek(struct cv_logqueue *queue) {
    uint64_t head = atomic_load_explicit(&queue->head, memory_order_relaxed);
    size_t ready = atomic_load_explicit(&queue->tail, memory_order_acquire) - head;
    size_t at = head & POSITION_MASK;
    return cv_span_make(queue->ring + at, CV_MIN(ready, CV_LOGQUEUE_BYTES - at));
}

void cv_logqueue_consume(struct cv_logqueue *queue, size_t bytes) {
    uint64_t head = atomic_load_explicit(&queue->head, memory_order_relaxed);
    CV_ASSERT(bytes <= atomic_load_explicit(&queue->tail, memory_order_acquire) - head);
    atomic_store_explicit(&queue->head, head + bytes, memory_order_release);
}

void cv_logqueue_drop(struct cv_logqueue *queue, size_t bytes, uint64_t lines) {
    cv_logqueue_consume(queue, bytes);
    atomic_fetch_add_explicit(&queue->dropped, lines, memory_order_relaxed);
}

uint64_t cv_logqueue_take_dropped(struct cv_logqueue *queue) {
    if (CV_LIKELY(atomic_load_explicit(&queue->dropped, memory_order_relaxed) == 0)) {
        return 0;
    }
    return atomic_exchange_explicit(&queue->dropped, 0, memory_order_relaxed);
}

bool cv_logqueue_sleep(struct cv_logqueue *queue) {
    atomic_exchange_explicit(&queue->asleep, true, memory_order_acq_rel);
    if (cv_logqueue_peek(queue).length == 0) {
        return true;
    }
    atomic_exchange_explicit(&queue->asleep, false, memory_order_acq_rel);
    return false;
}
