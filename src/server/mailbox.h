// Messages between the threads of one server process: many senders, one receiver, bounded, no lock.
//
// The receiver drains it with cv_mailbox_take. A sender that finds it empty must wake the receiver
// (cv_mailbox_put says so): one wake per empty to non-empty edge. How a receiver is woken is its
// own business: an eventfd write, a ring message.
#ifndef CV_SERVER_MAILBOX_H
#define CV_SERVER_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

#define CV_MAILBOX_MESSAGES_MAX 1024u  // A power of two.

enum cv_message_kind {
    // Main thread to worker.
    CV_MESSAGE_ADOPT,   // pointer: struct covet_app, the generation for new requests
    CV_MESSAGE_LIMITS,  // pointer: const struct cv_limits, valid until the next one is acknowledged
    CV_MESSAGE_DRAIN,   // Stop accepting, finish, end. number: grace for idle connections, ms
    CV_MESSAGE_STOP,    // End now.
    CV_MESSAGE_LOG,     // number: 1 when an access log is being written, else 0
    // Worker to worker or to itself.
    CV_MESSAGE_CALL,  // call(pointer)
    // Worker to main thread; number: the worker's index.
    CV_MESSAGE_READY,     // detail 0: its ring runs and it accepts; or -errno of its ring, or where
                          // pointer is not NULL of that application's init hook
    CV_MESSAGE_ADOPTED,   // pointer: the generation new requests use; detail: 0 or -errno of its
                          // init hook
    CV_MESSAGE_RELEASED,  // pointer: a generation this worker will never use again
    CV_MESSAGE_LIMITS_TAKEN,  // pointer: the limits now in use
    CV_MESSAGE_STOPPED,       // Its thread ends. detail: connections cut
};

struct cv_message {
    enum cv_message_kind kind;
    int32_t detail;
    uint64_t number;
    void *pointer;                // Ownership as the kind says.
    void (*call)(void *pointer);  // With CV_MESSAGE_CALL.
};

struct cv_mailbox_cell {
    _Atomic uint32_t turn;
    struct cv_message message;
};

struct cv_mailbox {
    CV_CACHE_ALIGNED _Atomic uint32_t tail;  // Senders.
    CV_CACHE_ALIGNED uint32_t head;          // The receiver.
    CV_CACHE_ALIGNED _Atomic bool asleep;    // The receiver found it empty and wants a wake-up.
    struct cv_mailbox_cell cell[CV_MAILBOX_MESSAGES_MAX];
};

void cv_mailbox_init(struct cv_mailbox *mailbox);

// Any thread. Copies the message in. Returns 0, or -EAGAIN when the mailbox is full. `*wake` is set
// to whether the receiver must be woken by the caller.
CV_MUST_USE int cv_mailbox_put(struct cv_mailbox *mailbox, const struct cv_message *message,
                               bool *wake);

// The receiver. False when empty; the next cv_mailbox_put then asks for a wake-up.
bool cv_mailbox_take(struct cv_mailbox *mailbox, struct cv_message *message);

#endif
