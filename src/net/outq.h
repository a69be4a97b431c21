// A connection's output: bytes in the order they are to be sent, copied into blocks of the pool or
// referred to where they are. One send at a time takes from the front; new bytes go behind it.
#ifndef CV_NET_OUTQ_H
#define CV_NET_OUTQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/assert.h"
#include "base/compiler.h"
#include "base/span.h"
#include "mem/pool.h"

// Its members are outq's own; they stand here for the two functions that every answer calls.
struct cv_outseg {
    struct cv_outseg *next;
    const uint8_t *data;  // First byte not yet sent.
    size_t length;
    uint32_t room;         // Free bytes behind `data + length`; 0 in a reference.
    uint32_t block_bytes;  // Of this allocation.
    uint32_t pins;
    bool is_dropped;  // Out of the queue: the pins alone keep it.
    void (*on_release)(void *context);
    void *context;
    uint8_t bytes[];
};

struct cv_outq {
    struct cv_outseg *head;  // owned
    struct cv_outseg *tail;
    size_t bytes;  // Queued and not yet reported sent.
};

// The rest of cv_outq_reserve: a new block.
CV_MUST_USE char *cv_outq_reserve_slow(struct cv_outq *outq, struct cv_pool *pool, size_t bytes,
                                       size_t expected);

// Room for `bytes` contiguous bytes behind what the last block holds, NULL when it has none.
static inline char *cv_outq_room(const struct cv_outq *outq, size_t bytes) {
    struct cv_outseg *tail = outq->tail;
    if (CV_UNLIKELY(tail == NULL || tail->room < bytes)) {
        return NULL;
    }
    return (char *)tail + tail->block_bytes - tail->room;
}

// The same at the end of the queue; NULL when memory is exhausted. `expected` says how many bytes
// will probably follow in this turn, so that they share a block. cv_outq_commit keeps what was
// written there; the next call of any kind voids the room.
CV_MUST_USE static inline char *cv_outq_reserve(struct cv_outq *outq, struct cv_pool *pool,
                                                size_t bytes, size_t expected) {
    char *room = cv_outq_room(outq, bytes);
    return CV_LIKELY(room != NULL) ? room : cv_outq_reserve_slow(outq, pool, bytes, expected);
}

static inline void cv_outq_commit(struct cv_outq *outq, size_t bytes) {
    struct cv_outseg *tail = outq->tail;
    CV_DEBUG_ASSERT(tail != NULL && bytes <= tail->room);
    tail->length += bytes;
    tail->room -= (uint32_t)bytes;
    outq->bytes += bytes;
}

// Copies `data`, into several blocks when it is long. Returns 0, or -ENOMEM with part of it queued:
// the connection must then be closed.
CV_MUST_USE int cv_outq_copy(struct cv_outq *outq, struct cv_pool *pool, struct cv_span data);

// Queues `data` without copying it. It must stay until on_release(context) is called: sent or
// dropped. Returns 0 or -ENOMEM, with nothing queued and on_release not called.
CV_MUST_USE int cv_outq_reference(struct cv_outq *outq, struct cv_pool *pool, struct cv_span data,
                                  void (*on_release)(void *context), void *context);

// Describes the first bytes of the queue, at most `count_max` vectors and `bytes_max` bytes, and
// none behind the first vector from a reference of `apart_min` bytes or more. Returns the vectors
// filled. The bytes stay where they are until cv_outq_sent.
size_t cv_outq_gather(const struct cv_outq *outq, struct iovec *vector, size_t count_max,
                      size_t bytes_max, size_t apart_min);

// The first segment, if it is a reference of `bytes_min` bytes or more, with its bytes in `*data`;
// else NULL.
struct cv_outseg *cv_outq_first_reference(const struct cv_outq *outq, size_t bytes_min,
                                          struct cv_span *data);

// Keeps a segment of a queue, sent or dropped in the meantime or not, until as many calls of
// cv_outq_unpin: on_release is called no sooner.
void cv_outq_pin(struct cv_outseg *segment);
void cv_outq_unpin(struct cv_outseg *segment, struct cv_pool *pool);

// The first `bytes` were sent: drops them and releases what is done with. A block that is the last
// stays, empty, for what comes next; cv_outq_clear releases it.
void cv_outq_sent(struct cv_outq *outq, struct cv_pool *pool, size_t bytes);

// Drops everything.
void cv_outq_clear(struct cv_outq *outq, struct cv_pool *pool);

#endif
