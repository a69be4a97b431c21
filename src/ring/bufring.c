// Buffers go back in batches: cv_bufring_give_back writes the entry behind the tail,
// cv_bufring_publish moves the tail once per turn. A buffer that stands in the ring twice would be
// filled twice at once, so `holders` is asserted on every step.
//
// Neighbouring buffers start one cache line off the page grid: at a stride of exactly one page the
// first lines of all of them, the only ones small requests touch, would share the same cache sets.
#include "ring/bufring.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "ring/ring.h"

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
    if (bufring->ring == NULL || bufring->slab == NULL || bufring->holders == NULL) {
        cv_bufring_deinit(bufring);
        return -ENOMEM;
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
    *bufring = (struct cv_bufring){0};
}

static void add(struct cv_bufring *bufring, uint32_t buffer) {
    io_uring_buf_ring_add(bufring->ring, cv_bufring_data(bufring, buffer), CV_RING_BUFFER_BYTES,
                          (unsigned short)buffer, (int)bufring->count - 1, (int)bufring->returned);
    bufring->returned++;
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
    for (uint32_t buffer = 0; buffer < bufring->count; buffer++) {
        add(bufring, buffer);
    }
    cv_bufring_publish(bufring);
    return 0;
}

uint8_t *cv_bufring_data(const struct cv_bufring *bufring, uint32_t buffer) {
    CV_ASSERT(buffer < bufring->count);
    return bufring->slab + (size_t)buffer * STRIDE_BYTES;
}

void cv_bufring_lend(struct cv_bufring *bufring, uint32_t buffer) {
    CV_ASSERT(buffer < bufring->count && bufring->holders[buffer] == 0);
    bufring->holders[buffer] = 1;
    bufring->lent++;
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
        add(bufring, buffer);
    }
}

void cv_bufring_publish(struct cv_bufring *bufring) {
    if (bufring->returned > 0) {
        io_uring_buf_ring_advance(bufring->ring, (int)bufring->returned);
        bufring->returned = 0;
    }
}
