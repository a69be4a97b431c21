// Where the simulated kernel can be made to refuse a single call (tests/torture). Nothing is
// refused while nobody asks for it, as in covet-sim.
#ifndef SIM_TORTURE_H
#define SIM_TORTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct sim_socket;

// SIM_CALLS(X) lists X(NAME, what is called, errors it can end with...): one try for each.
#define SIM_CALLS(X) \
    X(RING_CREATE, "cv_ring_create", EPERM, ENOMEM, ENOSYS) \
    X(RING_ENABLE, "cv_ring_enable", EINVAL, ENOMEM) \
    X(EVENTFD, "eventfd", EMFILE, ENFILE, ENOMEM) \
    X(UNSHARE, "unshare", ENOMEM, EMFILE) \
    X(AFFINITY, "sched_setaffinity", EINVAL) \
    X(ADD_MEMORY, "cv_ring_add_memory", ENOMEM) \
    X(WAIT, "cv_ring_wait", EINTR, EBUSY, EAGAIN) \
    X(ACCEPT, "accept", EMFILE, ENFILE, ENOBUFS, ENOMEM, ECONNABORTED, EPERM) \
    X(ACCEPT_NOW, "cv_ring_accept_now", ECONNABORTED, EPROTO) \
    X(RECEIVE, "receive", ENOMEM, ENOBUFS, ECONNRESET, ETIMEDOUT, EHOSTUNREACH) \
    X(SEND, "send", EPIPE, ECONNRESET, ENOMEM, ENOBUFS, EHOSTUNREACH) \
    X(ZERO_COPY, "zero-copy send", ENOMEM, ENOBUFS, EFAULT, EPIPE) \
    X(READ, "read", EINTR, ENOMEM) \
    X(WRITE, "write", EINTR, ENOMEM) \
    X(CANCEL, "cancel", EALREADY) \
    X(CLOSE, "close", EINTR, EIO) \
    X(MESSAGE, "message", EOVERFLOW, ENOMEM) \
    X(SHUTDOWN, "cv_ring_shutdown", ENOTCONN) \
    X(PEER, "cv_ring_peer", ENOTCONN)

enum sim_call {
#define SIM_CALL_ENUM(name, ...) SIM_CALL_##name,
    SIM_CALLS(SIM_CALL_ENUM)
#undef SIM_CALL_ENUM
};

struct sim_torture {
    // Asked at every call; returns the error it shall end with, or 0. NULL: nobody asks.
    int (*on_call)(enum sim_call call);
    bool has_struck;      // Something failed: an allocation, or a call.
    uint32_t excused_id;  // The one connection that may show it. 0: none has.
};
extern struct sim_torture sim_torture;

// 0, or the (positive) error with which this call fails.
static inline int sim_torture_call(enum sim_call call) {
    return CV_LIKELY(sim_torture.on_call == NULL) ? 0 : sim_torture.on_call(call);
}

// May this connection have been refused, or ended? One may after a failure, whatever its clients
// asked for.
bool sim_torture_excuses(const struct sim_socket *socket);

#endif
