// One lane's io_uring: its queues, its own descriptor table, and the buffers that receives fill.
// Belongs to the thread that opened it.
#ifndef LOAD_RING_H
#define LOAD_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <liburing.h>

#define LOAD_RING_BUFFER_BYTES 16384u  // A batch of answers is one buffer, and one completion.
#define LOAD_RING_WAIT_FOREVER UINT64_MAX

struct load_ring {
    struct io_uring uring;
    struct io_uring_buf_ring *buffers;  // owned mapping, shared with the kernel
    char *memory;                       // owned mapping
    unsigned buffer_count;
    unsigned returned;  // Added to the ring of buffers, not yet shown to the kernel.
    bool registered;
    uint64_t enters;  // io_uring_enter calls.
};

// Opens a ring with `files` places for descriptors. Returns 0 or -errno, with `*why` naming the
// step that failed; nothing is left behind then.
int load_ring_open(struct load_ring *ring, unsigned files, const char **why);
void load_ring_close(struct load_ring *ring);

// The next submission entry, zeroed; submits what is queued when there is no room.
struct io_uring_sqe *load_ring_sqe(struct load_ring *ring);

// Makes room for `count` entries (few), so that they go in one submission: a chain ends with it.
void load_ring_reserve(struct load_ring *ring, unsigned count);

// Submits everything queued, gives the buffers back and waits for `wait` completions, at most
// `timeout_ns`. One io_uring_enter. Returns 0 or -errno for what no later call can mend.
int load_ring_enter(struct load_ring *ring, unsigned wait, uint64_t timeout_ns);

// Without asking the kernel: a completion is there, or an enter will bring some.
bool load_ring_has_news(const struct load_ring *ring);

// Everything queued has reached the kernel and no completion is waiting for room: quiet sends (see
// lane.c) that did not complete went out whole.
bool load_ring_is_settled(const struct load_ring *ring);

// The bytes of the buffer that a receive's completion names. They stay until the next enter after
// load_ring_give_back.
char *load_ring_buffer(const struct load_ring *ring, unsigned buffer);
void load_ring_give_back(struct load_ring *ring, unsigned buffer);

#endif
