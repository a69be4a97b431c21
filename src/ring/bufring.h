// The provided buffers of a ring: one slab, one ring of free buffers shared with the kernel, and a
// count per buffer of who still reads it.
#ifndef CV_RING_BUFRING_H
#define CV_RING_BUFRING_H

#include <stddef.h>
#include <stdint.h>

#include <liburing.h>

#include "base/compiler.h"

#define CV_BUFRING_GROUP 0

struct cv_bufring {
    struct io_uring_buf_ring *ring;  // owned mapping, shared with the kernel
    uint8_t *slab;                   // owned mapping
    uint8_t *holders;                // owned: per buffer, 0 while the kernel has it
    size_t ring_bytes;
    size_t slab_bytes;
    uint32_t count;
    uint32_t lent;
    uint32_t returned;  // Added to the ring, not yet shown to the kernel.
};

CV_MUST_USE int cv_bufring_init(struct cv_bufring *bufring, uint32_t count);
void cv_bufring_deinit(struct cv_bufring *bufring);

// Registers the ring of buffers, all of them free, with an enabled io_uring.
CV_MUST_USE int cv_bufring_register(struct cv_bufring *bufring, struct io_uring *uring);

uint8_t *cv_bufring_data(const struct cv_bufring *bufring, uint32_t buffer);

// The kernel filled `buffer`; it is lent to one holder.
void cv_bufring_lend(struct cv_bufring *bufring, uint32_t buffer);
void cv_bufring_retain(struct cv_bufring *bufring, uint32_t buffer);
void cv_bufring_give_back(struct cv_bufring *bufring, uint32_t buffer);

// Shows the kernel every buffer given back since the last call, in one store.
void cv_bufring_publish(struct cv_bufring *bufring);

#endif
