// One io_uring per worker. The only user of liburing, and with it of the kernel on the request
// path: a seeded simulator can be linked in its place, so nothing else under src/ makes a system
// call while requests are served.
//
// Operations are queued by the calls below and handed to the kernel by cv_ring_wait, once per loop
// turn. Queueing never fails: a full submission queue is submitted on the spot. What happened comes
// back from cv_ring_reap with the user_data given (see <covet/abi.h>). All calls but create and
// destroy belong to the worker's thread, which enabled the ring.
#ifndef CV_RING_RING_H
#define CV_RING_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <covet/abi.h>

#include "base/compiler.h"
#include "base/peer.h"

#define CV_RING_SUBMISSIONS 1024u
#define CV_RING_COMPLETIONS_MIN 4096u
#define CV_RING_COMPLETIONS_MAX 65536u
#define CV_RING_BUFFER_BYTES 4096u
#define CV_RING_BUFFERS \
    1024u  // Lent by the kernel's receives; 4 MiB per worker when all were used.
#define CV_RING_NO_BUFFER UINT32_MAX
#define CV_RING_MEMORIES_MAX 4096u  // Registered memories; indexes are below it.
#define CV_RING_NO_MEMORY UINT32_MAX

struct cv_ring;
struct iovec;
struct msghdr;

struct cv_ring_options {
    uint32_t connections_max;   // Sizes the completion queue.
    uint64_t locked_bytes_max;  // What its queues may take of the memory-lock limit; 0: no bound.
    uint32_t buffer_count;      // A power of two, at most 32768; 0: CV_RING_BUFFERS.
};

// What the kernel gave; for the start-up line and the choice of mechanisms.
struct cv_ring_features {
    bool defer_taskrun;
    bool restricted;
    bool message_ring;  // MSG_RING is fast enough to be used (Linux 6.11).
    bool bundles;       // One receive can fill several buffers (Linux 6.16).
    bool zero_copy;     // cv_ring_send_zero_copy is there and pays (Linux 6.10).
    uint32_t completions;
};

struct cv_completion {
    uint64_t user_data;
    int32_t result;   // Bytes, a descriptor, or -errno.
    uint32_t buffer;  // Provided buffer that holds `result` bytes, or CV_RING_NO_BUFFER.
    bool more;        // A multishot operation goes on, or one more completion follows.
    bool is_free;     // The second one of a zero-copy send: its memory is free. `result` is then 1
                      // when the kernel copied from it after all, else 0.
};

// Any thread. Makes a disabled ring, restricted to the operations below where the kernel can, with
// its provided buffers mapped. Returns 0 or -errno (cv_probe_explain puts it in words).
CV_MUST_USE int cv_ring_create(struct cv_ring **ring, const struct cv_ring_options *options);

// The worker's thread: makes it this thread's and registers the buffers. Returns 0 or -errno.
CV_MUST_USE int cv_ring_enable(struct cv_ring *ring);

// The thread that enabled it, or any after that thread ended. Cancels what is left in the kernel.
void cv_ring_destroy(struct cv_ring *ring);

const struct cv_ring_features *cv_ring_features(const struct cv_ring *ring);
int cv_ring_descriptor(const struct cv_ring *ring);

// Operations.
// Accepts plain descriptors (CLOEXEC): one, or with `multishot` every one until cancelled.
void cv_ring_accept(struct cv_ring *ring, int descriptor, bool multishot, uint64_t user_data);

// Multishot receive into provided buffers. `poll_first`: expect nothing there yet.
void cv_ring_receive(struct cv_ring *ring, int descriptor, bool poll_first, uint64_t user_data);

// One receive of at most `bytes_max` into as many provided buffers as that takes, where `bundles`
// is among the features. Each buffer completes by itself, the last one without `more`.
void cv_ring_receive_bundle(struct cv_ring *ring, int descriptor, uint32_t bytes_max,
                            uint64_t user_data);

// How a send ends. MSG_NOSIGNAL is implied in all of them.
enum cv_ring_send_mode {
    CV_RING_SEND_SOME,   // Completes when anything was sent.
    CV_RING_SEND_ALL,    // Completes when everything was sent, or the connection broke.
    CV_RING_SEND_MORE,   // The same; the next send follows at once and may share a packet with it.
    CV_RING_SEND_NOW,    // Completes at once: with what could be sent, or -EAGAIN.
    CV_RING_SEND_QUIET,  // Over as soon as it is submitted. Completes only when not everything
                         // could be sent at once: with the bytes sent, or -EAGAIN. See
                         // cv_ring_is_settled.
};

// `data` and `message` (with its vectors) must stay until the send is over.
void cv_ring_send(struct cv_ring *ring, int descriptor, const void *data, size_t bytes,
                  enum cv_ring_send_mode mode, uint64_t user_data);
void cv_ring_sendmsg(struct cv_ring *ring, int descriptor, const struct msghdr *message,
                     enum cv_ring_send_mode mode, uint64_t user_data);

// Sends without a copy: the network card reads `data` where it lies. Completes when anything was
// sent, and a second time (`is_free`) when the memory may change: the peer has acknowledged it, or
// the socket is gone. Without `more` the first completion is the only one. `memory` is the index
// the memory is registered under, or CV_RING_NO_MEMORY: its pages are then pinned for this send.
// -ENOMEM, -ENOBUFS, -EOPNOTSUPP, -EINVAL and -EFAULT speak of the way, not of the connection: an
// ordinary send may do. Only for TCP, and where `zero_copy` is among the features.
void cv_ring_send_zero_copy(struct cv_ring *ring, int descriptor, const void *data, size_t bytes,
                            uint32_t memory, uint64_t user_data);

// Reads or writes `bytes` of a descriptor that never blocks for long (eventfd).
void cv_ring_read(struct cv_ring *ring, int descriptor, void *data, uint32_t bytes,
                  uint64_t user_data);
void cv_ring_write(struct cv_ring *ring, int descriptor, const void *data, uint32_t bytes,
                   uint64_t user_data);

// Cancels the one operation submitted with `target`, which then completes. A success is silent. By
// user_data, because the kernel finds that in a hash table; by descriptor it would look at every
// operation of the ring (docs/notes/0002).
void cv_ring_cancel(struct cv_ring *ring, uint64_t target, uint64_t user_data);

// Closes a descriptor, after the cancellations queued before it. A success completes silently.
void cv_ring_close(struct cv_ring *ring, int descriptor, uint64_t user_data);

// Puts a completion with `message_user_data` into another worker's ring; silent when it worked.
void cv_ring_message(struct cv_ring *ring, int ring_descriptor, uint64_t message_user_data,
                     uint64_t user_data);

// Loop.
// Submits everything queued and waits for a completion, at most until `deadline_ns` of
// CLOCK_MONOTONIC (UINT64_MAX: as long as it takes; not after `now_ns`, a reading of that clock:
// not at all). It may end early, with nothing to take. One io_uring_enter, none when nothing is
// queued and completions are there. Returns 0, or -errno for what no later call can mend.
CV_MUST_USE int cv_ring_wait(struct cv_ring *ring, uint64_t now_ns, uint64_t deadline_ns);

// Submits everything queued without waiting. Errors are left to the next cv_ring_wait.
void cv_ring_submit(struct cv_ring *ring);

// True when everything queued before the last cv_ring_wait or cv_ring_submit reached the kernel and
// every completion so far was taken: quiet sends among it that did not complete went out whole.
bool cv_ring_is_settled(const struct cv_ring *ring);

// Takes up to `count_max` completions, in order. Each buffer in them is lent until
// cv_ring_give_back.
uint32_t cv_ring_reap(struct cv_ring *ring, struct cv_completion *completions, uint32_t count_max);

// io_uring_enter calls so far; completions the kernel had no room for so far.
uint64_t cv_ring_enters(const struct cv_ring *ring);
uint32_t cv_ring_overflows(const struct cv_ring *ring);

// Provided buffers (bufring.c).
uint8_t *cv_ring_buffer(const struct cv_ring *ring, uint32_t buffer);

// A lent buffer may be held beyond the turn: each retain needs one more give_back.
void cv_ring_retain(struct cv_ring *ring, uint32_t buffer);

// At the last give_back the buffer goes back to the kernel at the next cv_ring_wait.
void cv_ring_give_back(struct cv_ring *ring, uint32_t buffer);

uint32_t cv_ring_buffers_lent(const struct cv_ring *ring);
uint32_t cv_ring_buffers_total(const struct cv_ring *ring);

// Registers memory that zero-copy sends will be made from: its pages are pinned until it is
// removed, instead of for each send. Returns 0 or -errno (-ENOMEM: the limit of locked memory,
// -ENOSPC: no such place), after which sends from it still work. `index` is not in use.
int cv_ring_add_memory(struct cv_ring *ring, uint32_t index, void *memory, size_t bytes);

// No send from it is under way any more. No effect on an index that is not in use.
void cv_ring_remove_memory(struct cv_ring *ring, uint32_t index);

bool cv_ring_has_memory(const struct cv_ring *ring, uint32_t index);

// Calls that do not go through the queue, off the request path.
// shutdown(2). IORING_OP_SHUTDOWN would start an io-wq thread. Errors mean the peer is gone.
void cv_ring_shutdown(struct cv_ring *ring, int descriptor, int how);

// Makes the coming close a reset, which drops what the kernel still holds for a peer that does not
// read.
void cv_ring_reset_on_close(struct cv_ring *ring, int descriptor);

// Bytes sent that the peer has not acknowledged yet; 0 when that cannot be told.
uint32_t cv_ring_unacknowledged(struct cv_ring *ring, int descriptor);

// Takes one connection from a listener's queue without waiting: a descriptor, or -errno.
CV_MUST_USE int cv_ring_accept_now(struct cv_ring *ring, int descriptor);

// getpeername(2); family CV_PEER_UNKNOWN when the peer is gone.
void cv_ring_peer(struct cv_ring *ring, int descriptor, struct cv_peer *peer);

#endif
