// What the connections of one worker share: the table of records, the list of what is to be done
// this turn, the connections that wait for a receive buffer, the quiet sends under way. Single
// thread.
#ifndef CV_NET_NET_H
#define CV_NET_NET_H

#include <covet/abi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "mem/pool.h"
#include "mem/slab.h"
#include "net/conn.h"
#include "net/limits.h"
#include "net/zerocopy.h"
#include "ring/ring.h"
#include "timer/wheel.h"

#define CV_NET_QUIET_SENDS_MAX 2048u
#define CV_NET_PREFETCH_AHEAD 4u  // Completions between cv_net_prefetch and cv_net_complete,
#define CV_NET_OUTPUT_AHEAD 2u    // and cv_net_prefetch_output and that.

struct cv_admission;
struct cv_listener;

struct cv_net {
    struct cv_ring *ring;              // borrowed
    struct cv_pool *pool;              // borrowed
    const struct cv_slabs *slabs;      // borrowed; NULL: no memory is registered with the ring
    struct cv_wheel *wheel;            // borrowed
    struct cv_clock *clock;            // borrowed
    struct covet_stats_worker *stats;  // borrowed
    const struct cv_limits *limits;    // borrowed; replaced by cv_net_set_limits
    const struct cv_conn_ops *ops;     // The protocol of new connections.
    void *protocol;                    // That protocol's per-worker state.
    uint32_t worker_index;
    struct cv_conn *table;  // owned mapping, populated as it is used
    uint32_t table_count;
    uint32_t table_used;  // Records ever used; those behind it are untouched.
    uint32_t connections_max;
    uint32_t open_count;
    uint32_t openings_left;  // What is accepted beyond is turned away; UINT32_MAX: no bound.
    uint32_t turned_away;    // Since whoever bounds them looked.
    uint32_t free_head;      // Lists of records: index + 1, 0 when empty.
    uint32_t listed_head;
    uint32_t listed_tail;
    uint32_t starved_head;
    uint32_t starved_tail;
    uint32_t *quiet;  // owned: indexes of connections with a quiet send
    uint32_t quiet_count;
    uint32_t quiet_submitted;        // Of them, the first ones: the kernel has had them,
    bool is_quiet_sent;              // and did what they asked for.
    size_t zero_copy_min;            // As set, SIZE_MAX where the ring cannot.
    struct cv_zerocopy zero_copy;    // Sends under way.
    struct cv_admission *admission;  // owned; NULL while no per-address cap was ever set
    struct cv_listener *listeners;   // owned array
    uint32_t listener_count;
    bool draining;
    bool is_held;           // Nothing is accepted, see cv_listener_hold.
    bool ends_connections;  // Answers are the last of their connections: in a drain, or when there
                            // are too many.
};

// `descriptors_max` bounds the table. Returns 0 or -ENOMEM. The borrowed members are set before.
CV_MUST_USE int cv_net_init(struct cv_net *net, uint32_t descriptors_max);
void cv_net_deinit(struct cv_net *net);

// Takes effect for deadlines set from now on, and for the connection limits.
void cv_net_set_limits(struct cv_net *net, const struct cv_limits *limits);

// Have what a coming completion speaks of brought into the cache: first the record and what was
// received, then, half way to its completion, what the record points to. Of thousands of
// connections most are not there, and waiting for one costs as much as half a request; of a few,
// the kernel has used the cache since. Inlined always: GCC 12 takes a function that only prefetches
// for one without effect, and drops its calls.
static CV_ALWAYS_INLINE void cv_net_prefetch(const struct cv_net *net,
                                             const struct cv_completion *completion) {
    uint32_t index = covet_user_data_slot(completion->user_data);
    if (CV_LIKELY(index < net->table_used)) {
        const char *record = (const char *)&net->table[index];
        __builtin_prefetch(record);
        __builtin_prefetch(record + CV_CACHE_LINE_BYTES);
    }
    if (CV_LIKELY(completion->buffer != CV_RING_NO_BUFFER)) {
        __builtin_prefetch(cv_ring_buffer(net->ring, completion->buffer));
    }
}

static CV_ALWAYS_INLINE void cv_net_prefetch_output(const struct cv_net *net, uint32_t index) {
    if (CV_LIKELY(index < net->table_used)) {
        const char *active = (const char *)net->table[index].active;
        if (active != NULL) {
            __builtin_prefetch(active);
            __builtin_prefetch(active + CV_CACHE_LINE_BYTES);
        }
    }
}

// Handles one completion whose op is RECV, SEND, ZERO_COPY, CANCEL or CLOSE.
void cv_net_complete(struct cv_net *net, const struct cv_completion *completion);

// After a submission: the quiet sends queued until now are on their way.
void cv_net_submitted(struct cv_net *net);

// The ring is settled and its completions of sends were handled: the quiet sends on their way are
// over. Called before its other completions are, so that answers to what is received take the place
// of those that went out.
void cv_net_sent(struct cv_net *net);

// When the completions are handled: accounts for the quiet sends that are over.
void cv_net_settle(struct cv_net *net);

// Runs the to-do list once: unread input to protocols, queued output to the ring, starved receives.
// Returns whether there is more to do at once.
bool cv_net_run(struct cv_net *net);

// Tells every connection that the worker is to end.
void cv_net_drain(struct cv_net *net);

// Closes every connection. Returns how many were open.
uint32_t cv_net_close_all(struct cv_net *net);

// True when no connection is open and the kernel holds no operation of one.
bool cv_net_is_idle(const struct cv_net *net);

// Takes over an accepted descriptor. Always owned by net afterwards: over a limit it is closed, and
// without an opening left, which costs much less than to hear the client and refuse.
void cv_net_open(struct cv_net *net, int descriptor);

// The rest is for conn.c.

// The rest of cv_net_list: puts the connection on the list.
void cv_net_list_slow(struct cv_conn *conn);

// Adds CV_CONN_RUN or CV_CONN_FLUSH to what the connection needs done, once per turn.
static inline void cv_net_list(struct cv_conn *conn, uint16_t what) {
    conn->flags |= what;
    if ((conn->flags & CV_CONN_LISTED) == 0) {
        cv_net_list_slow(conn);
    }
}

// Its receive ended for want of a buffer: it gets its turn when buffers come back.
void cv_net_starve(struct cv_conn *conn);

// Notes a quiet send of the connection; there must be room.
void cv_net_note(struct cv_conn *conn);

static inline bool cv_net_has_room_to_note(const struct cv_net *net) {
    return net->quiet_count < CV_NET_QUIET_SENDS_MAX;
}

// Takes the record of a connection that is over back.
void cv_net_free(struct cv_conn *conn);

#endif
