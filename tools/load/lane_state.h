// What the files of a lane share: its connections and what is known of each.
//
// A request is given to a connection (`owed`, `unsent`, its start in `runs`), then sent, then
// answered. `runs` holds what is owed as runs of requests with the same start, oldest first: a
// batch of pipelined requests is one entry, and one entry in the histogram.
//
// Places of the ring's descriptor table are connections' indexes; a completion names index and
// generation, so that what the last connection of a place left behind reaches no one. All of it
// belongs to the lane's thread.
#ifndef LOAD_LANE_STATE_H
#define LOAD_LANE_STATE_H

#include "base/compiler.h"
#include "load/core.h"
#include "load/dial.h"
#include "load/lane.h"
#include "load/pace.h"
#include "load/ring.h"

#define LOAD_NS_PER_MS 1000000u

enum load_op {
    LOAD_OP_TICK,
    LOAD_OP_CONNECT,
    LOAD_OP_CHAIN,
    LOAD_OP_RECEIVE,
    LOAD_OP_SEND,
    LOAD_OP_SILENT
};

enum load_state {
    LOAD_CLOSED,    // Waits until `since_ns` to be dialled.
    LOAD_QUEUED,    // In `dial_queue`.
    LOAD_DIALLING,  // Since `since_ns`.
    LOAD_OPEN,
    LOAD_ENDING,  // The last answer said that the peer will close; since `since_ns`.
};

enum load_phase { LOAD_PHASE_SETUP, LOAD_PHASE_RUN, LOAD_PHASE_DRAIN, LOAD_PHASE_DONE };

struct load_run {
    uint64_t since_ns;
    uint64_t count;
};

struct load_connection {
    struct load_reader reader;
    uint64_t since_ns;  // Of the state; when LOAD_OPEN, since when the next answer is waited for.
    const char *send_data;  // What the last send has, or, while `short_of`, what is left of it.
    size_t send_bytes;
    uint64_t stream_left;  // Of a streamed body: bytes that are in no send yet.
    uint32_t generation;
    uint32_t owed;    // Requests given to this connection and not answered.
    uint32_t unsent;  // The last of them, which are in no send yet.
    uint32_t next;    // Index of the first unsent request.
    uint32_t left;    // How many more this connection may be given.
    uint32_t run_first, run_count;
    uint8_t state;
    uint8_t retries;
    bool receiving, sending;
    bool short_of;  // The last send did not send it all.
    bool broken;    // A send failed; the receive will end too.
    bool dirty;     // In `dirty`.
    bool has_room;  // In `rooms`.
    bool settled;   // Its first dial has an outcome.
};

// Indexes of connections, first in first out; each at most once, so it cannot overflow.
struct load_queue {
    uint32_t *indexes;  // owned
    uint32_t size, first, count;
};

struct load_lane {
    struct load_lane_plan plan;
    const struct load_requests *requests;
    struct load_ring ring;
    struct load_dialer dialer;
    struct load_connection *connections;  // owned; busy ones first, then idle ones
    unsigned connection_count, busy_count;
    struct load_run *runs;  // owned; `run_mask + 1` for each busy connection
    uint32_t run_mask;
    struct load_shape *shapes;  // owned
    uint8_t *kinds;             // owned; as many as requests on one connection
    uint32_t *dirty;            // owned
    unsigned dirty_count;
    struct load_queue dial_queue, rooms;
    struct load_pace pace;

    enum load_phase phase;
    uint64_t now_ns, ends_ns, timed_from_ns, drained_by_ns, timeout_ns;
    uint64_t owed;                     // Over all connections.
    uint64_t to_give;                  // Requests that may still be given.
    unsigned dialling, open, settled;  // `settled`: connections whose first dial has an outcome.
    bool open_loop, ticking;
    uint64_t cpu_began_ns, queued_began_ns, spun_ns;
    int core;                     // It runs there, as of the last tick.
    struct load_core core_began;  // What that core had done when the lane came to it, and
    struct load_core core_sum;    // what those before it did meanwhile.
    uint64_t no_spin_until_ns;    // Somebody else was seen on the core.
    struct __kernel_timespec tick;
    struct load_lane_progress progress;
    struct load_result result;
};

static inline uint32_t load_lane_depth(const struct load_lane *lane) {
    return lane->plan.options->depth;
}

static inline bool load_lane_is_idle(const struct load_lane *lane, uint32_t index) {
    return index >= lane->busy_count;
}

static inline void load_queue_push(struct load_queue *queue, uint32_t index) {
    uint32_t at = queue->first + queue->count++;
    queue->indexes[at < queue->size ? at : at - queue->size] = index;
}

static inline uint32_t load_queue_pop(struct load_queue *queue) {
    uint32_t index = queue->indexes[queue->first];
    queue->first = queue->first + 1 < queue->size ? queue->first + 1 : 0;
    queue->count--;
    return index;
}

static inline uint64_t load_lane_tag(const struct load_lane *lane, enum load_op op,
                                     uint32_t index) {
    uint64_t generation = lane->connections[index].generation & 0xffffff;
    return (uint64_t)op << 56 | generation << 32 | index;
}

static inline void load_lane_mark_dirty(struct load_lane *lane, uint32_t index) {
    if (!lane->connections[index].dirty) {
        lane->connections[index].dirty = true;
        lane->dirty[lane->dirty_count++] = index;
    }
}

// owed.c: who owes what.

// There is room on the connection, perhaps: the closed loop fills it, the open loop notes it.
void load_owed_offer(struct load_lane *lane, uint32_t index);

// Takes `count` of the oldest owed requests off the connection. Their latency is counted as one of
// `kind`, or of none with LOAD_KIND_COUNT.
void load_owed_take(struct load_lane *lane, uint32_t index, uint32_t count, enum load_kind kind);

// Open loop: gives what is due to connections with room, one request each in turn.
void load_owed_give_due(struct load_lane *lane);

// link.c: opening, ending, opening again.

// The place, which is empty, is to be dialled; load_link_dial_queued does it when its turn comes.
void load_link_queue(struct load_lane *lane, uint32_t index);
void load_link_dial_queued(struct load_lane *lane);
void load_link_dial(struct load_lane *lane, uint32_t index);
void load_link_on_connect(struct load_lane *lane, uint32_t index, int status);
void load_link_receive(struct load_lane *lane, uint32_t index);

// Frees the connection's place; the peer sees the end of the connection.
void load_link_close(struct load_lane *lane, uint32_t index);

// Ends the connection and has its place dialled again. Requests still owed go to the next
// connection of the place, with their starts.
void load_link_replace(struct load_lane *lane, uint32_t index);

// The same, but what was sent is lost: every request of it is an error of this kind.
void load_link_fail(struct load_lane *lane, uint32_t index, enum load_error kind);

// What time brings: back-off that is over, time-outs.
void load_link_look_after(struct load_lane *lane, uint32_t index);

// exchange.c: requests out, answers in.

// `ours`: of the connection that has the place now.
void load_exchange_on_receive(struct load_lane *lane, uint32_t index,
                              const struct io_uring_cqe *cqe, bool ours);
void load_exchange_on_send(struct load_lane *lane, uint32_t index, int result);

// One send for each connection that has something to send.
void load_exchange_send(struct load_lane *lane);

#endif
