// The life of a connection, and what the connections of one worker share. Bytes only: what they
// mean is the protocol's business, which hangs in through struct cv_conn_ops.
//
//             open                 cv_conn_finish           output sent
//     FREE --------> OPEN --------------------> FINISHING --------------> LINGERING
//      ^              |                             |                        |
//      |              +------ cv_conn_close --------+------------------------+
//      |                                 v
//      +---- last operation over ---- CLOSING
//
// An idle connection is this record and nothing else: input that waits and output that is queued
// live in a block of the pool that exists only while there is some. A record is reused under a new
// generation once the kernel holds no operation of the old one (close(2) does not end an
// armed multishot receive). Single thread; everything belongs to one worker.
#ifndef CV_NET_CONN_H
#define CV_NET_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <covet/abi.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/peer.h"
#include "mem/buffer.h"
#include "mem/pool.h"
#include "net/limits.h"
#include "net/outq.h"
#include "net/transport.h"
#include "ring/ring.h"
#include "timer/wheel.h"

#define CV_CONN_INPUT_BYTES_MAX (128u * 1024u)    // Unread input at which receiving stops.
#define CV_CONN_SEND_BYTES_MAX (256u * 1024u)     // Of one send operation.
#define CV_CONN_VECTORS_MAX 16u                   // Of one send operation.
#define CV_CONN_LINGER_BYTES_MAX (1024u * 1024u)  // Read and dropped after a half-close.

struct cv_conn;
struct cv_net;
struct cv_zerocopy_send;

enum cv_conn_state {
    CV_CONN_FREE,
    CV_CONN_OPEN,
    CV_CONN_FINISHING,  // Input is dropped; the output goes out, then it ends.
    CV_CONN_LINGERING,  // Half-closed: input is dropped until the peer ends too.
    CV_CONN_CLOSING,    // Waits for the kernel to let go.
};

enum cv_conn_flag {
    CV_CONN_RECEIVING = 1 << 0,   // A multishot receive is armed.
    CV_CONN_SENDING = 1 << 1,     // A send is in flight.
    CV_CONN_ENDED = 1 << 2,       // The peer sends no more.
    CV_CONN_PAUSED = 1 << 3,      // The protocol wants no input now.
    CV_CONN_STOPPING = 1 << 4,    // The receive is being cancelled: too much unread input.
    CV_CONN_STARVED = 1 << 5,     // The receive ended for want of a buffer; in the starved list.
    CV_CONN_RUN = 1 << 6,         // To do: give the protocol its unread input.
    CV_CONN_FLUSH = 1 << 7,       // To do: send queued output.
    CV_CONN_LISTED = 1 << 8,      // In the to-do list.
    CV_CONN_DELIVERING = 1 << 9,  // Inside the protocol's on_input.
    CV_CONN_LINGER = 1 << 10,     // Half-close and drop input before closing.
    CV_CONN_COUNTED = 1 << 11,    // Counted by the per-address cap.
    CV_CONN_QUIET = 1 << 12,      // The send in flight completes only if it falls short.
    CV_CONN_NOTED = 1 << 13,      // In the list of quiet sends.
    CV_CONN_SLOW = 1 << 14,       // A quiet send fell short: the peer reads slower than we write.
    CV_CONN_LEFT = 1 << 15,       // The descriptor is closed; a last send is still under way.
};

// Whether long bodies can go to the peer without being copied.
enum cv_conn_path {
    CV_CONN_PATH_UNKNOWN,
    CV_CONN_PATH_DIRECT,  // To another machine, as far as we know.
    CV_CONN_PATH_COPIED,  // The kernel copies anyway, or refused not to.
};

// What a protocol is to net. All calls come on the worker's thread.
struct cv_conn_ops {
    void (*on_open)(struct cv_conn *conn);
    // All unread input, lent for the call. Returns how much of it was used up; the rest comes again
    // with what arrives later, or after cv_conn_yield or cv_conn_resume.
    size_t (*on_input)(struct cv_conn *conn, const uint8_t *data, size_t length);
    // The peer ended its direction; unread input may be left, and it may still read answers.
    void (*on_half_close)(struct cv_conn *conn);
    // The peer will send no more, and on_input can make nothing of what is left.
    void (*on_end)(struct cv_conn *conn);
    // A send completed: the output queue is shorter than before.
    void (*on_output)(struct cv_conn *conn);
    void (*on_read_timeout)(struct cv_conn *conn);
    void (*on_drain)(struct cv_conn *conn);  // The worker is to end.
    // The last call: the protocol lets go of its state. Output it refers to may still be in flight.
    void (*on_close)(struct cv_conn *conn);
};

// Input and output of a connection that has any; from the pool.
struct cv_conn_active {
    struct cv_buffer input;
    struct cv_outq output;
    struct cv_conn_gather *gather;  // owned while a send of several vectors is in flight
    size_t quiet_bytes;             // Of the quiet send in flight.
    uint64_t zero_copy_data;        // user_data of the zero-copy send in flight; 0: none
    uint32_t zero_copies;           // Zero-copy sends whose bytes the kernel may still read.
    uint32_t unacknowledged;        // When their deadline was last over; UINT32_MAX: it was not.
};

struct cv_conn {
    struct cv_timer timer;
    const struct cv_conn_ops *ops;         // borrowed, static
    const struct cv_transport *transport;  // borrowed, static
    void *protocol;                        // The protocol's own; NULL while idle.
    struct cv_conn_active *active;         // owned; NULL while there is neither input nor output
    struct cv_net *net;                    // borrowed for life
    int32_t descriptor;
    uint32_t index;
    uint32_t next;           // In the to-do list or the free list: index + 1, 0 ends it.
    uint32_t starved_next;   // In the starved list, likewise.
    uint32_t read_deadline;  // Milliseconds, modulo 2^32; 0: none.
    uint32_t write_deadline;
    uint32_t dropped_bytes;  // Input dropped while LINGERING.
    uint16_t generation;
    uint16_t flags;          // enum cv_conn_flag
    uint8_t state;           // enum cv_conn_state
    uint8_t protocol_flags;  // The protocol's own.
    uint8_t close_reason;    // enum covet_counter, once FINISHING
    uint8_t path : 7;        // enum cv_conn_path
    uint8_t is_bulk : 1;     // Much comes at a time: receives fill several buffers, once each.
    struct cv_peer peer;     // Family CV_PEER_UNKNOWN until asked for.
};

_Static_assert(sizeof(struct cv_conn) == 128, "an idle connection is two cache lines");

static inline bool cv_conn_is_alive(const struct cv_conn *conn) {
    return conn->state != CV_CONN_FREE && conn->state != CV_CONN_CLOSING;
}

// The calls from here to cv_conn_peer are for protocols.

// Arms or moves the read deadline `ms` from now; 0: none. On expiry on_read_timeout is called.
void cv_conn_set_read_timeout(struct cv_conn *conn, uint32_t ms);

// No input until cv_conn_resume. Bytes that arrive meanwhile wait, and beyond a limit the peer
// does.
void cv_conn_pause(struct cv_conn *conn);

// Input again; unread bytes are delivered later in this turn or in the next one.
void cv_conn_resume(struct cv_conn *conn);

// From inside on_input: deliver what is left in the next turn, after everybody else's.
void cv_conn_yield(struct cv_conn *conn);

// Arms the receive anew. A multishot receive may have missed an end that came close behind data
// (docs/notes/0001-core.md); a new one finds it.
void cv_conn_look_again(struct cv_conn *conn);

// The rest of cv_conn_output: a connection without a queue yet, or one that is over.
CV_MUST_USE struct cv_outq *cv_conn_output_slow(struct cv_conn *conn);

// The output queue, NULL when memory is exhausted. Call cv_conn_flush after adding to it.
CV_MUST_USE static inline struct cv_outq *cv_conn_output(struct cv_conn *conn) {
    if (CV_LIKELY(conn->active != NULL && cv_conn_is_alive(conn))) {
        return &conn->active->output;
    }
    return cv_conn_output_slow(conn);
}

// Bytes queued and not yet known to be sent.
static inline size_t cv_conn_queued(const struct cv_conn *conn) {
    return conn->active == NULL ? 0 : conn->active->output.bytes;
}

// Whether bytes of it are queued, or sent without a copy and not yet acknowledged.
static inline bool cv_conn_has_output(const struct cv_conn *conn) {
    return conn->active != NULL &&
           (conn->active->output.bytes > 0 || conn->active->zero_copies > 0);
}

// From how many bytes on a reference in the output queue goes to the peer without a copy; SIZE_MAX:
// none does. Asks for the peer's address.
size_t cv_conn_zero_copy_min(struct cv_conn *conn);

// Has queued output sent at the end of this turn, all of it in one operation.
void cv_conn_flush(struct cv_conn *conn);

// Replaces the protocol (upgrade); unread input goes to the new one. The old one's on_close is not
// called.
void cv_conn_set_protocol(struct cv_conn *conn, const struct cv_conn_ops *ops, void *protocol);

// Sends what is queued, then closes. `linger`: half-closes first and drops input for a while, so
// that an answer is not lost to a reset (RFC 9112 section 9.6). on_close is still called, later.
void cv_conn_finish(struct cv_conn *conn, enum covet_counter reason, bool linger);

// Closes now; queued output is dropped. Calls on_close. `reason` is a COVET_COUNTER_CLOSED_*.
void cv_conn_close(struct cv_conn *conn, enum covet_counter reason);

// The peer's address, asked for at the first call.
const struct cv_peer *cv_conn_peer(struct cv_conn *conn);

// The calls from here to cv_conn_half_close are for transports.

// Input for the protocol, lent for the call.
void cv_conn_deliver(struct cv_conn *conn, const uint8_t *data, size_t length);

// Sends from the output queue, unless a send is in flight.
void cv_conn_send(struct cv_conn *conn);

// Ends the sending direction.
void cv_conn_half_close(struct cv_conn *conn);

// The rest is for net.c.

// Makes a record that is free, with its `net`, `index` and `generation`, an open connection.
void cv_conn_open(struct cv_conn *conn, int descriptor);

void cv_conn_complete_receive(struct cv_conn *conn, const struct cv_completion *completion);
void cv_conn_complete_send(struct cv_conn *conn, const struct cv_completion *completion);

// A cancel found nothing.
void cv_conn_complete_cancel(struct cv_conn *conn);

// Either completion of a zero-copy send.
void cv_conn_complete_zero_copy(struct cv_zerocopy_send *send,
                                const struct cv_completion *completion);

// The quiet send noted for this connection is over, and went out whole if it is still in flight.
void cv_conn_settle(struct cv_conn *conn);

// Does what the connection was listed for.
void cv_conn_run(struct cv_conn *conn);

// A receive buffer is free again: the connection no longer starves.
void cv_conn_feed(struct cv_conn *conn);

#endif
