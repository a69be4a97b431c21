// Buffers go back in batches: cv_bufring_give_back puts them on the pile of spare ones,
// cv_bufring_publish writes entries and moves the tail once per turn. A buffer that stands in the
// ring twice would be filled twice at once, so `holders` is asserted on every step.
//
// Neighbouring buffers start one cache line off the page grid: at a stride of exactly one page the
// first lines of all of them, the only ones small requests touch, would share the same cache sets.
#include "ring/bufring.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "ring/ring.h"

#define WINDOW_MIN 128u
#define STRIDE_BYTES (CV_RING_BUFFER_BYTES + CV_CACHE_LINE_BYTES)

static void *map_memory(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

int cv_bufring_init(struct cv_bufring *bufring, uint32_t count) {
    CV_ASSERT(count > 0 && count <= 32768 && (count & (count - 1)) == 0);
    *bufring = (struct cv_bufring){.count = count};
    bufring->ring_bytes = count * sizeof(struct io_uring_buf);
    bufring->slab_bytes = (size_t)count * STRIDE_BYTES;
    bufring->ring = map_memory(bufring->ring_bytes);
    bufring->slab = map_memory(bufring->slab_bytes);
    bufring->holders = calloc(count, sizeof(*bufring->holders));
    bufring->spare = calloc(count, sizeof(*bufring->spare));
    bufring->place = calloc(count, sizeof(*bufring->place));
    if (bufring->ring == NULL || bufring->slab == NULL || bufring->holders == NULL ||
        bufring->spare == NULL || bufring->place == NULL) {
        cv_bufring_deinit(bufring);
        return -ENOMEM;
    }
    bufring->window = CV_MIN(count, WINDOW_MIN);
    while (bufring->spare_count < count) {
        bufring->spare[bufring->spare_count] = (uint16_t)(count - 1 - bufring->spare_count);
        bufring->spare_count++;
    }
    // A fork must not share pages the kernel writes into.
    (void)madvise(bufring->slab, bufring->slab_bytes, MADV_DONTFORK);
    return 0;
}

void cv_bufring_deinit(struct cv_bufring *bufring) {
    if (bufring->ring != NULL) {
        (void)munmap(bufring->ring, bufring->ring_bytes);
    }
    if (bufring->slab != NULL) {
        (void)munmap(bufring->slab, bufring->slab_bytes);
    }
    free(bufring->holders);
    free(bufring->spare);
    free(bufring->place);
    *bufring = (struct cv_bufring){0};
}

int cv_bufring_register(struct cv_bufring *bufring, struct io_uring *uring) {
    struct io_uring_buf_reg registration = {
        .ring_addr = (uint64_t)(uintptr_t)bufring->ring,
        .ring_entries = bufring->count,
        .bgid = CV_BUFRING_GROUP,
    };
    int status = io_uring_register_buf_ring(uring, &registration, 0);
    if (status < 0) {
        return status;
    }
    io_uring_buf_ring_init(bufring->ring);
    cv_bufring_publish(bufring);
    return 0;
}

uint8_t *cv_bufring_data(const struct cv_bufring *bufring, uint32_t buffer) {
    CV_ASSERT(buffer < bufring->count);
    return bufring->slab + (size_t)buffer * STRIDE_BYTES;
}

void cv_bufring_lend(struct cv_bufring *bufring, uint32_t buffer) {
    CV_ASSERT(buffer < bufring->count && bufring->holders[buffer] == 0);
    CV_ASSERT(bufring->offered > 0);
    bufring->holders[buffer] = 1;
    bufring->lent++;
    bufring->offered--;
    if (CV_UNLIKELY(bufring->offered < bufring->window / 4)) {
        cv_bufring_widen(bufring);
    }
}

void cv_bufring_retain(struct cv_bufring *bufring, uint32_t buffer) {
    CV_ASSERT(buffer < bufring->count);
    CV_ASSERT(bufring->holders[buffer] > 0 && bufring->holders[buffer] < UINT8_MAX);
    bufring->holders[buffer]++;
}

void cv_bufring_give_back(struct cv_bufring *bufring, uint32_t buffer) {
    CV_ASSERT(buffer < bufring->count && bufring->holders[buffer] > 0);
    if (--bufring->holders[buffer] == 0) {
        bufring->lent--;
        bufring->spare[bufring->spare_count++] = (uint16_t)buffer;
    }
}

uint32_t cv_bufring_next(const struct cv_bufring *bufring, uint32_t buffer) {
    CV_ASSERT(buffer < bufring->count);
    return bufring->ring->bufs[(bufring->place[buffer] + 1u) & (bufring->count - 1)].bid;
}

void cv_bufring_widen(struct cv_bufring *bufring) {
    bufring->window = CV_MIN(bufring->window * 2, bufring->count);
}

void cv_bufring_publish(struct cv_bufring *bufring) {
    int added = 0;
    uint32_t mask = bufring->count - 1;
    while (bufring->offered < bufring->window && bufring->spare_count > 0) {
        uint32_t buffer = bufring->spare[--bufring->spare_count];
        bufring->place[buffer] = (uint16_t)((bufring->ring->tail + (uint32_t)added) & mask);
        io_uring_buf_ring_add(bufring->ring, cv_bufring_data(bufring, buffer), CV_RING_BUFFER_BYTES,
                              (unsigned short)buffer, (int)mask, added++);
        bufring->offered++;
    }
    if (added > 0) {
        io_uring_buf_ring_advance(bufring->ring, added);
    }
}
