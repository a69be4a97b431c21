// Growth and consumption of a byte buffer.
//
// Bytes are moved to the front only when at least as many have been consumed since the last move,
// and otherwise to a block half as large again at least. So every byte consumed or added pays for a
// bounded number of moved ones, whatever sizes a client makes us append and consume.
#include "mem/buffer.h"

#include <errno.h>

#include "base/assert.h"

static void move_to_front(struct cv_buffer *buffer) {
    memmove(buffer->data, buffer->data + buffer->start, buffer->length);
    buffer->start = 0;
}

static int grow(struct cv_buffer *buffer, struct cv_pool *pool, size_t needed) {
    size_t wanted = cv_pool_capacity(CV_MAX(needed, buffer->capacity + buffer->capacity / 2));
    uint8_t *data = cv_pool_acquire(pool, wanted);

    if (data == NULL)
        return -ENOMEM;
    if (buffer->data != NULL)
        memcpy(data, buffer->data + buffer->start, buffer->length);
    cv_pool_release(pool, buffer->data, buffer->capacity);
    buffer->data = data;
    buffer->capacity = wanted;
    buffer->start = 0;
    return 0;
}

int cv_buffer_reserve(struct cv_buffer *buffer, struct cv_pool *pool, size_t bytes) {
    size_t needed = buffer->length + bytes;

    if (needed < bytes)
        return -ENOMEM;
    bool fits = buffer->data != NULL && needed <= buffer->capacity;
    if (fits) {
        if (needed <= buffer->capacity - buffer->start)
            return 0;
        if (buffer->start >= buffer->length) {
            move_to_front(buffer);
            return 0;
        }
    }
    if (grow(buffer, pool, needed) == 0)
        return 0;
    if (!fits)
        return -ENOMEM;
    move_to_front(buffer);
    return 0;
}

int cv_buffer_append(struct cv_buffer *buffer, struct cv_pool *pool, const void *data,
                     size_t bytes) {
    if (bytes == 0)
        return 0;
    int result = cv_buffer_reserve(buffer, pool, bytes);

    if (result != 0)
        return result;
    memcpy(cv_buffer_tail(buffer), data, bytes);
    cv_buffer_commit(buffer, bytes);
    return 0;
}

void cv_buffer_consume(struct cv_buffer *buffer, struct cv_pool *pool, size_t bytes) {
    CV_ASSERT(bytes <= buffer->length);
    buffer->start += bytes;
    buffer->length -= bytes;
    if (buffer->length == 0)
        cv_buffer_clear(buffer, pool);
}

void cv_buffer_clear(struct cv_buffer *buffer, struct cv_pool *pool) {
    cv_pool_release(pool, buffer->data, buffer->capacity);
    *buffer = (struct cv_buffer){0};
}
