// Growable bytes over a pool: appended at the end, consumed from the front.
//
//   data: | consumed | length bytes | free |
//         0          start                 capacity
//
// An empty buffer holds no memory: consuming the last byte gives the block back.
#ifndef CV_MEM_BUFFER_H
#define CV_MEM_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/span.h"
#include "mem/pool.h"

struct cv_buffer {
    uint8_t *data;  // owned; NULL while the buffer is empty
    size_t capacity;
    size_t start;
    size_t length;
};

static inline struct cv_span cv_buffer_span(const struct cv_buffer *buffer) {
    const uint8_t *start = buffer->length == 0 ? buffer->data : buffer->data + buffer->start;

    return cv_span_make((const char *)start, buffer->length);
}

// Room for `bytes` more; the free space is at cv_buffer_tail. Moves the bytes when it must, so
// spans into the buffer end here. Returns 0 or -ENOMEM with the buffer unchanged.
CV_MUST_USE int cv_buffer_reserve(struct cv_buffer *buffer, struct cv_pool *pool, size_t bytes);

// Where cv_buffer_reserve made room. Call cv_buffer_commit with what was written there.
static inline uint8_t *cv_buffer_tail(struct cv_buffer *buffer) {
    return buffer->data + buffer->start + buffer->length;
}

static inline void cv_buffer_commit(struct cv_buffer *buffer, size_t bytes) {
    buffer->length += bytes;
}

// Copies `bytes` bytes behind the others. Returns 0 or -ENOMEM with the buffer unchanged.
CV_MUST_USE int cv_buffer_append(struct cv_buffer *buffer, struct cv_pool *pool, const void *data,
                                 size_t bytes);

// Drops `bytes` (at most `length`) from the front.
void cv_buffer_consume(struct cv_buffer *buffer, struct cv_pool *pool, size_t bytes);

// Drops everything and gives the memory back.
void cv_buffer_clear(struct cv_buffer *buffer, struct cv_pool *pool);

#endif
