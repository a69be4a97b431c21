// Segments in a list. A block is a segment with its bytes behind it in one pool allocation; a
// reference has none. Appending to a block whose front is being sent is fine: the kernel was told
// the length. A pinned segment leaves the queue like any other; the last unpin then releases it.
#include "net/outq.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"

#define BLOCK_BYTES_MIN 1024u
#define BLOCK_BYTES_MAX 16384u

static void append(struct cv_outq *outq, struct cv_outseg *segment) {
    segment->next = NULL;
    if (outq->tail != NULL) {
        outq->tail->next = segment;
    } else {
        outq->head = segment;
    }
    outq->tail = segment;
}

static void release(struct cv_outseg *segment, struct cv_pool *pool) {
    if (segment->on_release != NULL) {
        segment->on_release(segment->context);
    }
    cv_pool_release(pool, segment, segment->block_bytes);
}

static void drop_head(struct cv_outq *outq, struct cv_pool *pool) {
    struct cv_outseg *segment = outq->head;
    outq->head = segment->next;
    if (outq->head == NULL) {
        outq->tail = NULL;
    }
    outq->bytes -= segment->length;
    if (CV_UNLIKELY(segment->pins > 0)) {
        segment->is_dropped = true;
    } else {
        release(segment, pool);
    }
}

static bool is_reference(const struct cv_outseg *segment) {
    return segment->block_bytes == sizeof(*segment);
}

// An empty block is never in front of anything.
static void drop_empty_block(struct cv_outq *outq, struct cv_pool *pool) {
    if (outq->bytes == 0 && outq->tail != NULL && !is_reference(outq->tail)) {
        drop_head(outq, pool);
    }
}

static void rewind_block(struct cv_outseg *block) {
    block->data = block->bytes;
    block->room = block->block_bytes - (uint32_t)sizeof(*block);
}

char *cv_outq_reserve_slow(struct cv_outq *outq, struct cv_pool *pool, size_t bytes,
                           size_t expected) {
    struct cv_outseg *tail;
    drop_empty_block(outq, pool);
    size_t wanted = sizeof(*tail) + CV_MAX(bytes, CV_MIN(expected, BLOCK_BYTES_MAX / 2));
    if (outq->tail != NULL) {
        wanted = CV_MAX(wanted, (size_t)BLOCK_BYTES_MAX);
    }
    size_t block_bytes = cv_pool_capacity(CV_MAX(wanted, (size_t)BLOCK_BYTES_MIN));
    CV_ASSERT(block_bytes <= UINT32_MAX);
    tail = cv_pool_acquire(pool, block_bytes);
    if (tail == NULL) {
        return NULL;
    }
    *tail = (struct cv_outseg){
        .data = tail->bytes,
        .room = (uint32_t)(block_bytes - sizeof(*tail)),
        .block_bytes = (uint32_t)block_bytes,
    };
    append(outq, tail);
    return (char *)tail->bytes;
}

int cv_outq_copy(struct cv_outq *outq, struct cv_pool *pool, struct cv_span data) {
    while (data.length > 0) {
        size_t part = data.length;
        if (outq->tail != NULL && outq->tail->room > 0) {
            part = CV_MIN(part, (size_t)outq->tail->room);
        } else {
            part = CV_MIN(part, BLOCK_BYTES_MAX - sizeof(struct cv_outseg));
        }
        char *room = cv_outq_reserve(outq, pool, part, data.length);
        if (room == NULL) {
            return -ENOMEM;
        }
        memcpy(room, data.data, part);
        cv_outq_commit(outq, part);
        data = cv_span_make(data.data + part, data.length - part);
    }
    return 0;
}

int cv_outq_reference(struct cv_outq *outq, struct cv_pool *pool, struct cv_span data,
                      void (*on_release)(void *context), void *context) {
    drop_empty_block(outq, pool);
    struct cv_outseg *segment = cv_pool_acquire(pool, sizeof(*segment));
    if (segment == NULL) {
        return -ENOMEM;
    }
    *segment = (struct cv_outseg){
        .data = (const uint8_t *)data.data,
        .length = data.length,
        .block_bytes = sizeof(*segment),
        .on_release = on_release,
        .context = context,
    };
    append(outq, segment);
    outq->bytes += data.length;
    return 0;
}

size_t cv_outq_gather(const struct cv_outq *outq, struct iovec *vector, size_t count_max,
                      size_t bytes_max, size_t apart_min) {
    size_t count = 0;
    for (const struct cv_outseg *segment = outq->head;
         segment != NULL && count < count_max && bytes_max > 0; segment = segment->next) {
        if (segment->length == 0) {
            continue;
        }
        if (count > 0 && segment->length >= apart_min && is_reference(segment)) {
            break;
        }
        size_t part = CV_MIN(segment->length, bytes_max);
        vector[count].iov_base = (void *)(uintptr_t)segment->data;
        vector[count++].iov_len = part;
        bytes_max -= part;
    }
    return count;
}

struct cv_outseg *cv_outq_first_reference(const struct cv_outq *outq, size_t bytes_min,
                                          struct cv_span *data) {
    struct cv_outseg *segment = outq->head;
    if (segment == NULL || segment->length < bytes_min || !is_reference(segment)) {
        return NULL;
    }
    *data = cv_span_make((const char *)segment->data, segment->length);
    return segment;
}

void cv_outq_pin(struct cv_outseg *segment) {
    segment->pins++;
}

void cv_outq_unpin(struct cv_outseg *segment, struct cv_pool *pool) {
    CV_ASSERT(segment->pins > 0);
    if (--segment->pins == 0 && segment->is_dropped) {
        release(segment, pool);
    }
}

void cv_outq_sent(struct cv_outq *outq, struct cv_pool *pool, size_t bytes) {
    CV_ASSERT(bytes <= outq->bytes);
    while (bytes > 0) {
        struct cv_outseg *segment = outq->head;
        size_t part = CV_MIN(bytes, segment->length);
        segment->data += part;
        segment->length -= part;
        outq->bytes -= part;
        bytes -= part;
        if (segment->length > 0) {
            return;
        }
        if (segment == outq->tail && !is_reference(segment)) {
            rewind_block(segment);
            return;
        }
        drop_head(outq, pool);
    }
}

void cv_outq_clear(struct cv_outq *outq, struct cv_pool *pool) {
    while (outq->head != NULL) {
        drop_head(outq, pool);
    }
}
