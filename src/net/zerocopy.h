// The zero-copy sends of one worker: which connection and which segment of its output each belongs
// to, from the send until the kernel reads its bytes no more. That is after the peer has
// acknowledged them, so a connection may have several, and send on meanwhile. Single thread.
#ifndef CV_NET_ZEROCOPY_H
#define CV_NET_ZEROCOPY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "net/outq.h"

#define CV_ZEROCOPY_SENDS_MAX 4096u  // Under way at once; beyond it bytes are copied.

struct cv_conn;

struct cv_zerocopy_send {
    struct cv_conn *conn;       // borrowed; outlives the send
    struct cv_outseg *segment;  // pinned
    uint32_t next;              // In the free list: slot + 1, 0 ends it.
    uint16_t generation;        // Of the slot.
    bool has_sent;              // Its first completion came, with bytes.
};

struct cv_zerocopy {
    struct cv_zerocopy_send *send;  // owned; NULL: there are none
    uint32_t used;                  // Slots ever used; those behind it are untouched.
    uint32_t free_head;             // slot + 1, 0: empty
    uint32_t count;                 // Under way.
};

CV_MUST_USE int cv_zerocopy_init(struct cv_zerocopy *zerocopy);
void cv_zerocopy_deinit(struct cv_zerocopy *zerocopy);

// Notes a send of `conn` from `segment` and pins that. NULL when all slots are taken.
CV_MUST_USE struct cv_zerocopy_send *
cv_zerocopy_begin(struct cv_zerocopy *zerocopy, struct cv_conn *conn, struct cv_outseg *segment);

// The send in `slot`, which must be the one that began as `generation`.
struct cv_zerocopy_send *cv_zerocopy_at(const struct cv_zerocopy *zerocopy, uint32_t slot,
                                        uint32_t generation);

// The kernel is done with the bytes of a send: unpins the segment, frees the slot.
void cv_zerocopy_end(struct cv_zerocopy *zerocopy, struct cv_zerocopy_send *send,
                     struct cv_pool *pool);

static inline uint32_t cv_zerocopy_slot(const struct cv_zerocopy *zerocopy,
                                        const struct cv_zerocopy_send *send) {
    return (uint32_t)(send - zerocopy->send);
}

#endif
