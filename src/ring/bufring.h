// The provided buffers of a ring: one slab, one ring of free buffers shared with the kernel, and a
// count per buffer of who still reads it.
//
// The kernel has no more of them than it needs (the window): it fills them in turn, so all that it
// has pass through the cache and become resident, whether a few would do or not. The window doubles
// when most of it was filled between two turns, and never shrinks.
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
    uint8_t *holders;                // owned: per buffer, 0 while it is free
    uint16_t *spare;  // owned: free ones that the kernel does not have, last out first
    uint16_t *place;  // owned: per buffer, where in the ring it was offered last
    size_t ring_bytes;
    size_t slab_bytes;
    uint32_t count;
    uint32_t spare_count;
    uint32_t window;   // How many the kernel is given to fill.
    uint32_t offered;  // It has them, still empty.
    uint32_t lent;
};

CV_MUST_USE int cv_bufring_init(struct cv_bufring *bufring, uint32_t count);
void cv_bufring_deinit(struct cv_bufring *bufring);

// Registers the ring of buffers, the window filled, with an enabled io_uring.
CV_MUST_USE int cv_bufring_register(struct cv_bufring *bufring, struct io_uring *uring);

uint8_t *cv_bufring_data(const struct cv_bufring *bufring, uint32_t buffer);

// The kernel filled `buffer`; it is lent to one holder.
void cv_bufring_lend(struct cv_bufring *bufring, uint32_t buffer);
void cv_bufring_retain(struct cv_bufring *bufring, uint32_t buffer);
void cv_bufring_give_back(struct cv_bufring *bufring, uint32_t buffer);

// The buffer that was offered behind `buffer`, which has just been filled: a receive that fills
// several takes them in this order.
uint32_t cv_bufring_next(const struct cv_bufring *bufring, uint32_t buffer);

// A receive ended for want of a buffer: the kernel gets more of them.
void cv_bufring_widen(struct cv_bufring *bufring);

// Fills the window up with free buffers, in one store; the ones given back last come first.
void cv_bufring_publish(struct cv_bufring *bufring);

#endif
