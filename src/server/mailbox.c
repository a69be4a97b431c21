// The mailbox: a bounded ring of cells, each with a turn number that says whose it is.
//
//   turn == position              free, the sender that claims `position` may write it
//   turn == position + 1          written, the receiver may read it
//   turn == position + MESSAGES   read, free again for the next lap
//
// A sender claims a position by advancing `tail` and publishes by storing the turn. The sleeping
// flag is only ever exchanged: whoever exchanges second sees everything the first one published, so
// either the receiver sees the message or the sender sees that it must wake it. No fence is needed,
// which also keeps the race checker able to follow.
#include "server/mailbox.h"

#include <errno.h>

#define POSITION_MASK (CV_MAILBOX_MESSAGES_MAX - 1)

_Static_assert((CV_MAILBOX_MESSAGES_MAX & POSITION_MASK) == 0, "positions are masked");

void cv_mailbox_init(struct cv_mailbox *mailbox) {
    atomic_store_explicit(&mailbox->tail, 0, memory_order_relaxed);
    mailbox->head = 0;
    // The receiver has not looked yet, so the first message wakes it.
    atomic_store_explicit(&mailbox->asleep, true, memory_order_relaxed);
    for (uint32_t i = 0; i < CV_MAILBOX_MESSAGES_MAX; i++) {
        atomic_store_explicit(&mailbox->cell[i].turn, i, memory_order_relaxed);
    }
}

int cv_mailbox_put(struct cv_mailbox *mailbox, const struct cv_message *message, bool *wake) {
    uint32_t position = atomic_load_explicit(&mailbox->tail, memory_order_relaxed);
    struct cv_mailbox_cell *cell;
    for (;;) {
        cell = &mailbox->cell[position & POSITION_MASK];
        uint32_t turn = atomic_load_explicit(&cell->turn, memory_order_acquire);
        if (turn == position) {
            if (atomic_compare_exchange_weak_explicit(&mailbox->tail, &position, position + 1,
                                                      memory_order_relaxed, memory_order_relaxed)) {
                break;
            }
        } else if ((int32_t)(turn - position) < 0) {
            *wake = false;
            return -EAGAIN;
        } else {
            position = atomic_load_explicit(&mailbox->tail, memory_order_relaxed);
        }
    }
    cell->message = *message;
    atomic_store_explicit(&cell->turn, position + 1, memory_order_release);
    *wake = atomic_exchange_explicit(&mailbox->asleep, false, memory_order_acq_rel);
    return 0;
}

static bool take(struct cv_mailbox *mailbox, struct cv_message *message) {
    struct cv_mailbox_cell *cell = &mailbox->cell[mailbox->head & POSITION_MASK];
    if (atomic_load_explicit(&cell->turn, memory_order_acquire) != mailbox->head + 1) {
        return false;
    }
    *message = cell->message;
    atomic_store_explicit(&cell->turn, mailbox->head + CV_MAILBOX_MESSAGES_MAX,
                          memory_order_release);
    mailbox->head++;
    return true;
}

bool cv_mailbox_take(struct cv_mailbox *mailbox, struct cv_message *message) {
    if (take(mailbox, message)) {
        return true;
    }
    atomic_exchange_explicit(&mailbox->asleep, true, memory_order_acq_rel);
    if (!take(mailbox, message)) {
        return false;
    }
    atomic_exchange_explicit(&mailbox->asleep, false, memory_order_acq_rel);
    return true;
}
