// The life of one connection. Four facts carry the code:
//
// A connection is freed when it is CLOSING and neither a receive nor a send of it, nor bytes of a
// zero-copy send, are with the kernel. Cancel and close complete silently and need no counting: a
// descriptor is not a record, so a new connection may get the old descriptor while the old record
// still waits.
//
// Whatever a completion makes necessary beyond its own connection's state is put on the to-do list,
// which runs once per turn. So one send carries all answers of a turn, and no protocol call nests.
//
// Deadlines are two words in the record. The timer in it is armed for the earlier one and, when it
// fires early because the deadline has moved on, armed again: moving a deadline costs a store.
//
// Most answers fit the socket's buffer, so their send is over when it was submitted and need not be
// reported. Such quiet sends are noted, and taken as sent once the turn's completions are in.
//
// To a peer whose end we have heard nothing may wait in the kernel: its end is an event that never
// goes away, so a waiting send is tried in vain until it blocks one of the few io-wq threads. Sends
// to it are tried by timer (docs/notes/0020-soak.md).
#include "net/conn.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "metrics/counter.h"
#include "net/admission.h"
#include "net/net.h"
#include "net/zerocopy.h"

#define TIMER_GRAIN_MS 64u  // Deadlines share wake-ups.
#define RETRY_MS 1u         // Of a send to a peer that has ended; the grain adds its own.
#define RETRY_MS_MAX 1000u  // When it has been tried in vain for long.
// A send this short fits the socket's buffer unless the peer is slow.
#define QUIET_BYTES_MAX 32768u

struct cv_conn_gather {
    struct msghdr message;
    struct iovec vector[CV_CONN_VECTORS_MAX];
};

// Why a connection that is no longer open ends; not how its peer said good-bye.
static enum covet_counter finish_reason(const struct cv_conn *conn) {
    return (enum covet_counter)conn->close_reason;
}

// Bytes of its output may still be read by the kernel, after the send of them is over.
static bool has_zero_copies(const struct cv_conn *conn) {
    return conn->active != NULL && conn->active->zero_copies > 0;
}

static bool is_with_kernel(const struct cv_conn *conn) {
    return (conn->flags & (CV_CONN_RECEIVING | CV_CONN_SENDING)) != 0 || has_zero_copies(conn);
}

static void drop_active(struct cv_conn *conn) {
    struct cv_conn_active *active = conn->active;
    struct cv_pool *pool = conn->net->pool;
    if (active != NULL) {
        cv_buffer_clear(&active->input, pool);
        cv_outq_clear(&active->output, pool);
        cv_pool_release(pool, active->gather, sizeof(*active->gather));
        cv_pool_release(pool, active, sizeof(*active));
        conn->active = NULL;
    }
}

// The record can be used again once nobody, in the kernel or in a list, knows it any more.
static void free_if_over(struct cv_conn *conn) {
    if (conn->state != CV_CONN_CLOSING || is_with_kernel(conn) ||
        (conn->flags & (CV_CONN_LISTED | CV_CONN_STARVED | CV_CONN_NOTED | CV_CONN_DELIVERING)) !=
            0) {
        return;
    }
    drop_active(conn);
    cv_net_free(conn);
}

static struct cv_conn_active *activate(struct cv_conn *conn) {
    if (conn->active == NULL) {
        conn->active = cv_pool_acquire(conn->net->pool, sizeof(*conn->active));
        if (conn->active != NULL) {
            *conn->active = (struct cv_conn_active){0};
        }
    }
    return conn->active;
}

// A send to a peer that has ended found no room; the timer tries again.
static bool waits_for_room(const struct cv_conn *conn) {
    return (conn->flags & (CV_CONN_ENDED | CV_CONN_SENDING | CV_CONN_FLUSH)) == CV_CONN_ENDED &&
           cv_conn_queued(conn) > 0;
}

// After anything that may have closed the connection or emptied its queues.
static void settle(struct cv_conn *conn) {
    free_if_over(conn);
    if (cv_conn_is_alive(conn) && conn->active != NULL && !cv_conn_has_output(conn) &&
        (conn->flags & CV_CONN_SENDING) == 0) {
        if (conn->active->input.length == 0) {
            drop_active(conn);
        } else {
            // Whoever sends half a head and waits shall not hold the place of its last answers.
            cv_outq_clear(&conn->active->output, conn->net->pool);
        }
    }
}

// Deadlines.
static uint32_t deadline_in(const struct cv_conn *conn, uint32_t ms) {
    uint32_t deadline = (uint32_t)conn->net->clock->now_ms + ms;
    return deadline != 0 ? deadline : 1;
}

static bool is_over(uint32_t deadline, uint32_t now) {
    return deadline != 0 && (int32_t)(now - deadline) >= 0;
}

// An eighth of the time without progress: thousands who read nothing must not cost a thousand
// sends in each grain of time.
static uint32_t retry_ms(const struct cv_conn *conn, uint32_t now) {
    uint32_t timeout_ms = conn->net->limits->write_timeout_ms;
    uint32_t left_ms = conn->write_deadline == 0 ? timeout_ms : conn->write_deadline - now;
    uint32_t waited_ms = left_ms < timeout_ms ? timeout_ms - left_ms : 0;
    return CV_MIN(CV_MAX(waited_ms / 8, RETRY_MS), RETRY_MS_MAX);
}

// Makes sure that the timer fires at or before the earlier deadline; a later one can wait for it.
static void arm_timer(struct cv_conn *conn) {
    uint64_t now = conn->net->clock->now_ms;
    uint32_t now_word = (uint32_t)now;
    uint32_t left = UINT32_MAX;
    if (conn->read_deadline != 0) {
        left = CV_MIN(left, conn->read_deadline - now_word);
    }
    if (conn->write_deadline != 0) {
        left = CV_MIN(left, conn->write_deadline - now_word);
    }
    if (waits_for_room(conn)) {
        left = CV_MIN(left, retry_ms(conn, now_word));
    }
    if (left == UINT32_MAX) {
        return;
    }
    uint64_t moment = (now + left + TIMER_GRAIN_MS - 1) / TIMER_GRAIN_MS * TIMER_GRAIN_MS;
    if (!cv_timer_armed(&conn->timer) || conn->timer.deadline_ms > moment) {
        cv_wheel_start(conn->net->wheel, &conn->timer, moment);
    }
}

// The deadline of a send that is tried again stands already.
static void expect_progress(struct cv_conn *conn) {
    if (conn->write_deadline == 0 || (conn->flags & CV_CONN_ENDED) == 0) {
        conn->write_deadline = deadline_in(conn, conn->net->limits->write_timeout_ms);
    }
    arm_timer(conn);
}

// All is sent, and bytes that were not copied wait for the peer: does it read on? Only a look at
// the socket can tell, so a peer that does not has between one and two time-outs.
static bool makes_progress(struct cv_conn *conn) {
    struct cv_conn_active *active = conn->active;
    if ((conn->flags & CV_CONN_SENDING) != 0 || !has_zero_copies(conn)) {
        return false;
    }
    uint32_t left = cv_ring_unacknowledged(conn->net->ring, conn->descriptor);
    bool reads = left < active->unacknowledged;
    active->unacknowledged = left;
    conn->write_deadline = deadline_in(conn, conn->net->limits->write_timeout_ms);
    return reads;
}

static void on_timer(struct cv_timer *timer) {
    struct cv_conn *conn = CV_CONTAINER_OF(timer, struct cv_conn, timer);
    uint32_t now = (uint32_t)conn->net->clock->now_ms;
    if (is_over(conn->write_deadline, now) && !makes_progress(conn)) {
        cv_conn_close(conn, COVET_COUNTER_CLOSED_WRITE);
        return;
    }
    if (is_over(conn->read_deadline, now)) {
        conn->read_deadline = 0;
        if (conn->state == CV_CONN_OPEN && (conn->flags & CV_CONN_STARVED) != 0) {
            // What its peer has said is not heard yet for want of a buffer: that is no silence.
            conn->read_deadline = deadline_in(conn, TIMER_GRAIN_MS);
        } else if (conn->state == CV_CONN_OPEN) {
            conn->ops->on_read_timeout(conn);
        } else {
            cv_conn_close(conn, finish_reason(conn));
        }
    }
    if (cv_conn_is_alive(conn)) {
        if (waits_for_room(conn)) {
            cv_net_list(conn, CV_CONN_FLUSH);
        }
        arm_timer(conn);
    }
}

void cv_conn_set_read_timeout(struct cv_conn *conn, uint32_t ms) {
    conn->read_deadline = ms == 0 ? 0 : deadline_in(conn, ms);
    arm_timer(conn);
}

// Receiving.
static uint64_t user_data(const struct cv_conn *conn, enum covet_op op) {
    return covet_user_data(op, conn->net->worker_index, conn->generation, conn->index);
}

static bool has_unread_room(const struct cv_conn *conn) {
    return conn->active == NULL || conn->active->input.length < CV_CONN_INPUT_BYTES_MAX;
}

// Arms the receive if it should be and is not.
static void receive(struct cv_conn *conn, bool poll_first) {
    const uint16_t obstacles = CV_CONN_RECEIVING | CV_CONN_ENDED | CV_CONN_STARVED | CV_CONN_LEFT;
    if ((conn->flags & obstacles) == 0 && cv_conn_is_alive(conn) && has_unread_room(conn)) {
        conn->flags |= CV_CONN_RECEIVING;
        uint64_t tag = user_data(conn, COVET_OP_RECV);
        if (CV_UNLIKELY(conn->is_bulk)) {
            size_t unread = conn->active == NULL ? 0 : conn->active->input.length;
            cv_ring_receive_bundle(conn->net->ring, conn->descriptor,
                                   (uint32_t)(CV_CONN_INPUT_BYTES_MAX - unread), tag);
        } else {
            cv_ring_receive(conn->net->ring, conn->descriptor, poll_first, tag);
        }
    }
}

static void stop_receiving(struct cv_conn *conn) {
    if ((conn->flags & (CV_CONN_RECEIVING | CV_CONN_STOPPING)) == CV_CONN_RECEIVING) {
        conn->flags |= CV_CONN_STOPPING;
        cv_ring_cancel(conn->net->ring, user_data(conn, COVET_OP_RECV),
                       user_data(conn, COVET_OP_CANCEL));
    }
}

// More is waiting than a buffer holds. The receive is made anew, once in a connection's life, as
// one that takes all there is; the ordinary one is cheaper for requests of the usual size.
static CV_NOINLINE void expect_much(struct cv_conn *conn) {
    if (cv_ring_features(conn->net->ring)->bundles) {
        conn->is_bulk = true;
        stop_receiving(conn);
    }
}

static size_t give_input(struct cv_conn *conn, const uint8_t *data, size_t length) {
    conn->flags |= CV_CONN_DELIVERING;
    size_t used = conn->ops->on_input(conn, data, length);
    conn->flags &= (uint16_t)~CV_CONN_DELIVERING;
    CV_ASSERT(used <= length);
    return used;
}

static bool is_open_for_input(const struct cv_conn *conn) {
    return conn->state == CV_CONN_OPEN && (conn->flags & (CV_CONN_PAUSED | CV_CONN_RUN)) == 0;
}

// The peer ended, and the protocol could make nothing more of the input it has.
static void end_if_stuck(struct cv_conn *conn) {
    if (is_open_for_input(conn) && (conn->flags & CV_CONN_ENDED) != 0) {
        conn->ops->on_end(conn);
    }
}

static void run_input(struct cv_conn *conn) {
    struct cv_conn_active *active = conn->active;
    if (active != NULL && active->input.length > 0) {
        struct cv_span unread = cv_buffer_span(&active->input);
        size_t used = give_input(conn, (const uint8_t *)unread.data, unread.length);
        cv_buffer_consume(&active->input, conn->net->pool, used);
    }
    end_if_stuck(conn);
}

static void keep_input(struct cv_conn *conn, const uint8_t *data, size_t length) {
    struct cv_conn_active *active = activate(conn);
    if (active == NULL || cv_buffer_append(&active->input, conn->net->pool, data, length) != 0) {
        cv_conn_close(conn, COVET_COUNTER_CLOSED_LIMIT);
        return;
    }
    if (active->input.length >= CV_CONN_INPUT_BYTES_MAX) {
        stop_receiving(conn);
    }
}

// While answers still go out the peer may send what it likes; behind them its time and bytes are
// bounded.
static void drop_input(struct cv_conn *conn, size_t length) {
    if (conn->state != CV_CONN_LINGERING) {
        return;
    }
    conn->dropped_bytes += (uint32_t)length;
    if (conn->dropped_bytes > CV_CONN_LINGER_BYTES_MAX) {
        cv_conn_close(conn, finish_reason(conn));
    }
}

void cv_conn_deliver(struct cv_conn *conn, const uint8_t *data, size_t length) {
    if (conn->state != CV_CONN_OPEN) {
        if (cv_conn_is_alive(conn)) {
            drop_input(conn, length);
        }
        return;
    }
    bool has_unread = conn->active != NULL && conn->active->input.length > 0;
    if (has_unread || !is_open_for_input(conn)) {
        keep_input(conn, data, length);
        if (is_open_for_input(conn)) {
            run_input(conn);
        }
        return;
    }
    size_t used = give_input(conn, data, length);
    if (used < length && conn->state == CV_CONN_OPEN) {
        keep_input(conn, data + used, length - used);
    }
}

static void end_quiet_send(struct cv_conn *conn);

// A send that waits is given up, and says how far it came.
static void cancel_send(struct cv_conn *conn) {
    if ((conn->flags & (CV_CONN_SENDING | CV_CONN_QUIET)) == CV_CONN_SENDING) {
        uint64_t in_flight = conn->active->zero_copy_data;
        cv_ring_cancel(conn->net->ring, in_flight != 0 ? in_flight : user_data(conn, COVET_OP_SEND),
                       user_data(conn, COVET_OP_CANCEL));
    }
}

// A send that the kernel is about to try again is nowhere to be found. To a peer that has ended it
// is so most of the time, until it blocks a thread: there the next cancel finds it.
void cv_conn_complete_cancel(struct cv_conn *conn) {
    if (conn->state == CV_CONN_CLOSING ||
        (conn->flags & (CV_CONN_ENDED | CV_CONN_LEFT)) == CV_CONN_ENDED) {
        cancel_send(conn);
    }
}

static void on_end_of_input(struct cv_conn *conn) {
    conn->flags |= CV_CONN_ENDED;
    if ((conn->flags & CV_CONN_LEFT) == 0) {
        cancel_send(conn);
    }
    if (conn->state == CV_CONN_LINGERING) {
        cv_conn_close(conn, finish_reason(conn));
    } else if (conn->state == CV_CONN_OPEN) {
        conn->ops->on_half_close(conn);
        end_if_stuck(conn);
    }
}

void cv_conn_complete_receive(struct cv_conn *conn, const struct cv_completion *completion) {
    struct cv_net *net = conn->net;
    int32_t result = completion->result;
    if (!completion->more) {
        conn->flags &= (uint16_t) ~(CV_CONN_RECEIVING | CV_CONN_STOPPING);
    }
    if (net->is_quiet_sent && (conn->flags & CV_CONN_QUIET) != 0) {
        // Now, so that the next answer finds its place free.
        end_quiet_send(conn);
    }
    if (conn->state == CV_CONN_CLOSING) {
        free_if_over(conn);
        return;
    }
    if (result > 0) {
        cv_counter_add(net->stats, COVET_COUNTER_RECEIVES, 1);
        cv_counter_add(net->stats, COVET_COUNTER_RECEIVED_BYTES, (uint64_t)result);
        CV_ASSERT(completion->buffer != CV_RING_NO_BUFFER);
        if (CV_UNLIKELY((uint32_t)result == CV_RING_BUFFER_BYTES && !conn->is_bulk)) {
            expect_much(conn);
        }
        conn->transport->on_bytes(conn, cv_ring_buffer(net->ring, completion->buffer),
                                  (size_t)result);
    } else if (result == 0) {
        on_end_of_input(conn);
    } else if (result == -ENOBUFS) {
        cv_counter_add(net->stats, COVET_COUNTER_BUFFERS_STARVED, 1);
        cv_net_starve(conn);
    } else if (result != -ECANCELED && result != -EINTR && result != -EAGAIN) {
        cv_conn_close(conn, COVET_COUNTER_CLOSED_RESET);
    }
    receive(conn, true);
    settle(conn);
}

void cv_conn_pause(struct cv_conn *conn) {
    conn->flags |= CV_CONN_PAUSED;
}

void cv_conn_resume(struct cv_conn *conn) {
    if (conn->state == CV_CONN_OPEN) {
        conn->flags &= (uint16_t)~CV_CONN_PAUSED;
        if ((conn->flags & CV_CONN_DELIVERING) == 0) {
            cv_net_list(conn, CV_CONN_RUN);
        }
    }
}

void cv_conn_yield(struct cv_conn *conn) {
    cv_net_list(conn, CV_CONN_RUN);
}

void cv_conn_look_again(struct cv_conn *conn) {
    // The cancelled receive is armed again when its completion comes.
    stop_receiving(conn);
}

// Sending.
struct cv_outq *cv_conn_output_slow(struct cv_conn *conn) {
    if (!cv_conn_is_alive(conn)) {
        return NULL;
    }
    struct cv_conn_active *active = activate(conn);
    return active != NULL ? &active->output : NULL;
}

void cv_conn_flush(struct cv_conn *conn) {
    cv_net_list(conn, CV_CONN_FLUSH);
}

size_t cv_conn_zero_copy_min(struct cv_conn *conn) {
    size_t bytes_min = conn->net->zero_copy_min;
    if (bytes_min != SIZE_MAX && conn->path == CV_CONN_PATH_UNKNOWN) {
        bool is_far = cv_peer_is_remote(cv_conn_peer(conn));
        conn->path = is_far ? CV_CONN_PATH_DIRECT : CV_CONN_PATH_COPIED;
    }
    return conn->path == CV_CONN_PATH_DIRECT ? bytes_min : SIZE_MAX;
}

// Sends from the front of the queue without a copy, if a body of `bytes_min` or more is there.
static bool send_zero_copy(struct cv_conn *conn, size_t bytes_min) {
    struct cv_conn_active *active = conn->active;
    struct cv_net *net = conn->net;
    struct cv_span data;
    struct cv_outseg *segment = cv_outq_first_reference(&active->output, bytes_min, &data);
    struct cv_zerocopy_send *send =
        segment == NULL ? NULL : cv_zerocopy_begin(&net->zero_copy, conn, segment);
    if (send == NULL) {
        return false;
    }
    size_t bytes = CV_MIN(data.length, (size_t)CV_CONN_SEND_BYTES_MAX);
    uint32_t memory;
    if (net->slabs == NULL || !cv_slab_find(net->slabs, data.data, bytes, &memory) ||
        !cv_ring_has_memory(net->ring, memory)) {
        memory = CV_RING_NO_MEMORY;
    }
    conn->flags |= CV_CONN_SENDING;
    active->zero_copies++;
    active->zero_copy_data =
        covet_user_data(COVET_OP_ZERO_COPY, net->worker_index, send->generation,
                        cv_zerocopy_slot(&net->zero_copy, send));
    cv_ring_send_zero_copy(net->ring, conn->descriptor, data.data, bytes, memory,
                           active->zero_copy_data);
    expect_progress(conn);
    return true;
}

// Nothing may wait for the end of a quiet send, because the worker may sleep before it notices.
static enum cv_ring_send_mode send_mode(const struct cv_conn *conn, size_t bytes) {
    const uint16_t obstacles = CV_CONN_SLOW | CV_CONN_NOTED | CV_CONN_PAUSED;
    if (conn->state == CV_CONN_OPEN && bytes <= QUIET_BYTES_MAX &&
        conn->active->output.bytes == bytes && (conn->flags & obstacles) == 0 &&
        cv_net_has_room_to_note(conn->net)) {
        return CV_RING_SEND_QUIET;
    }
    if (CV_UNLIKELY((conn->flags & CV_CONN_ENDED) != 0)) {
        return CV_RING_SEND_NOW;
    }
    return bytes <= QUIET_BYTES_MAX ? CV_RING_SEND_ALL : CV_RING_SEND_SOME;
}

// Cancel and close go in one batch, in this order: close(2) alone would leave the receive armed,
// and the peer without a FIN. A send in flight keeps the socket until it is over.
static void leave(struct cv_conn *conn) {
    struct cv_net *net = conn->net;
    if ((conn->flags & CV_CONN_RECEIVING) != 0) {
        cv_ring_cancel(net->ring, user_data(conn, COVET_OP_RECV), user_data(conn, COVET_OP_CANCEL));
    }
    cv_ring_close(net->ring, conn->descriptor, user_data(conn, COVET_OP_CLOSE));
    conn->flags |= CV_CONN_LEFT;
}

void cv_conn_send(struct cv_conn *conn) {
    struct cv_conn_active *active = conn->active;
    struct cv_net *net = conn->net;
    struct iovec first[2];
    // A stream must not see two sends at once: their bytes would interleave.
    if (active == NULL || active->output.bytes == 0 || (conn->flags & CV_CONN_SENDING) != 0) {
        return;
    }
    size_t apart_min = SIZE_MAX;
    if (CV_UNLIKELY(active->output.bytes >= net->zero_copy_min) &&
        (conn->flags & CV_CONN_ENDED) == 0) {
        apart_min = cv_conn_zero_copy_min(conn);
        if (send_zero_copy(conn, apart_min)) {
            return;
        }
    }
    size_t bytes = CV_MIN(active->output.bytes, (size_t)CV_CONN_SEND_BYTES_MAX);
    size_t count = cv_outq_gather(&active->output, first, CV_ARRAY_COUNT(first), bytes, apart_min);
    uint64_t tag = user_data(conn, COVET_OP_SEND);
    if (count > 1) {
        active->gather = cv_pool_acquire(net->pool, sizeof(*active->gather));
    }
    struct cv_conn_gather *gather = active->gather;
    if (gather != NULL) {
        count =
            cv_outq_gather(&active->output, gather->vector, CV_CONN_VECTORS_MAX, bytes, apart_min);
        gather->message = (struct msghdr){.msg_iov = gather->vector, .msg_iovlen = count};
        bytes = 0;
        for (size_t i = 0; i < count; i++) {
            bytes += gather->vector[i].iov_len;
        }
    } else {
        // Without memory for vectors one segment at a time goes out all the same.
        bytes = first[0].iov_len;
    }
    // A long last answer completes piece by piece, so that its reader is seen to go on reading.
    bool is_last = bytes == active->output.bytes && bytes <= QUIET_BYTES_MAX &&
                   conn->state == CV_CONN_FINISHING &&
                   (conn->flags & (CV_CONN_LINGER | CV_CONN_ENDED)) == 0 &&
                   active->zero_copies == 0;
    enum cv_ring_send_mode mode = send_mode(conn, bytes);
    if (CV_UNLIKELY(apart_min != SIZE_MAX) && mode == CV_RING_SEND_ALL) {
        mode = CV_RING_SEND_MORE;
    }
    conn->flags |= CV_CONN_SENDING;
    if (gather != NULL) {
        cv_ring_sendmsg(net->ring, conn->descriptor, &gather->message, mode, tag);
    } else {
        cv_ring_send(net->ring, conn->descriptor, first[0].iov_base, bytes, mode, tag);
    }
    if (mode == CV_RING_SEND_QUIET) {
        conn->flags |= CV_CONN_QUIET;
        active->quiet_bytes = bytes;
        cv_net_note(conn);
        return;
    }
    if (is_last) {
        // One submission for the answer and the end of the connection.
        leave(conn);
    }
    expect_progress(conn);
}

static void finish_if_sent(struct cv_conn *conn) {
    if (conn->state == CV_CONN_FINISHING && cv_conn_queued(conn) == 0 &&
        (conn->flags & CV_CONN_SENDING) == 0 && !has_zero_copies(conn)) {
        conn->transport->end(conn);
    }
}

// A peer that never acknowledges would hold the bytes of zero-copy sends for ever.
static void await_acknowledgement(struct cv_conn *conn) {
    if (cv_conn_is_alive(conn)) {
        conn->active->unacknowledged = UINT32_MAX;
        expect_progress(conn);
    }
}

// `sent` bytes of the send in flight went out.
static void account_send(struct cv_conn *conn, size_t sent) {
    struct cv_net *net = conn->net;
    struct cv_conn_active *active = conn->active;
    conn->flags &= (uint16_t) ~(CV_CONN_SENDING | CV_CONN_QUIET);
    active->zero_copy_data = 0;
    if (sent > 0 || (conn->flags & CV_CONN_ENDED) == 0) {
        conn->write_deadline = 0;
        if (CV_UNLIKELY(active->zero_copies > 0)) {
            await_acknowledgement(conn);
        }
    }
    cv_pool_release(net->pool, active->gather, sizeof(*active->gather));
    active->gather = NULL;
    cv_counter_add(net->stats, COVET_COUNTER_SENDS, 1);
    cv_counter_add(net->stats, COVET_COUNTER_SENT_BYTES, sent);
    cv_outq_sent(&active->output, net->pool, sent);
}

static void end_quiet_send(struct cv_conn *conn) {
    account_send(conn, conn->active->quiet_bytes);
    if (cv_conn_is_alive(conn) && cv_conn_queued(conn) > 0) {
        cv_net_list(conn, CV_CONN_FLUSH);
    }
    if (conn->state == CV_CONN_OPEN) {
        conn->ops->on_output(conn);
    }
}

void cv_conn_complete_send(struct cv_conn *conn, const struct cv_completion *completion) {
    int32_t result = completion->result;
    bool was_quiet = (conn->flags & CV_CONN_QUIET) != 0;
    // A send that was cancelled or reset on its way still says how far it came.
    account_send(conn, result > 0 ? (size_t)result : 0);
    if (was_quiet) {
        conn->flags |= CV_CONN_SLOW;
    } else if (result > 0) {
        conn->flags &= (uint16_t)~CV_CONN_SLOW;
    }
    if (conn->state == CV_CONN_CLOSING) {
        free_if_over(conn);
        return;
    }
    bool is_tried_again = result == -EAGAIN || result == -EINTR ||
                          (result == -ECANCELED && (conn->flags & CV_CONN_ENDED) != 0);
    if ((result < 0 && !is_tried_again) ||
        ((conn->flags & CV_CONN_LEFT) != 0 && cv_conn_queued(conn) > 0)) {
        cv_conn_close(conn, COVET_COUNTER_CLOSED_RESET);
        return;
    }
    if (is_tried_again && result != -ECANCELED && (conn->flags & CV_CONN_ENDED) != 0) {
        arm_timer(conn);
        return;
    }
    if (cv_conn_queued(conn) > 0) {
        // At the end of the turn, with what may still be added: a quiet send now would keep that
        // waiting.
        cv_net_list(conn, CV_CONN_FLUSH);
    }
    if (conn->state == CV_CONN_OPEN) {
        conn->ops->on_output(conn);
    }
    finish_if_sent(conn);
    settle(conn);
}

static void end_zero_copy(struct cv_zerocopy_send *send) {
    struct cv_net *net = send->conn->net;
    send->conn->active->zero_copies--;
    cv_zerocopy_end(&net->zero_copy, send, net->pool);
}

// Errors of sending without a copy: an ordinary send of the same bytes may work.
static bool is_for_copying(int32_t result) {
    return result == -ENOMEM || result == -ENOBUFS || result == -EOPNOTSUPP || result == -EINVAL ||
           result == -EFAULT;
}

static void complete_zero_copy_send(struct cv_zerocopy_send *send,
                                    const struct cv_completion *completion) {
    struct cv_conn *conn = send->conn;
    struct cv_completion sent = *completion;
    if (is_for_copying(completion->result)) {
        conn->path = CV_CONN_PATH_COPIED;
        sent.result = -EAGAIN;
    } else if (completion->result > 0) {
        cv_counter_add(conn->net->stats, COVET_COUNTER_ZERO_COPY_SENDS, 1);
        send->has_sent = true;
    }
    if (!completion->more) {
        end_zero_copy(send);
    }
    cv_conn_complete_send(conn, &sent);
}

void cv_conn_complete_zero_copy(struct cv_zerocopy_send *send,
                                const struct cv_completion *completion) {
    struct cv_conn *conn = send->conn;
    if (!completion->is_free) {
        complete_zero_copy_send(send, completion);
        return;
    }
    // Of a send that failed the kernel says that it was copied.
    if (completion->result != 0 && send->has_sent) {
        cv_counter_add(conn->net->stats, COVET_COUNTER_ZERO_COPY_COPIED, 1);
        conn->path = CV_CONN_PATH_COPIED;
    }
    end_zero_copy(send);
    if (conn->state == CV_CONN_CLOSING) {
        free_if_over(conn);
        return;
    }
    if ((conn->flags & CV_CONN_SENDING) == 0) {
        conn->write_deadline = 0;
        if (has_zero_copies(conn)) {
            await_acknowledgement(conn);
        }
    }
    finish_if_sent(conn);
    settle(conn);
}

// Opening and closing.
static bool is_admitted(struct cv_conn *conn) {
    struct cv_net *net = conn->net;
    uint32_t count_max = net->limits->connections_per_address_max;
    if (count_max == 0 || net->admission == NULL) {
        return true;
    }
    if (!cv_admission_enter(net->admission, cv_conn_peer(conn), count_max)) {
        return false;
    }
    // One that is not known now is not counted, and may be known when it leaves.
    if (conn->peer.family != CV_PEER_UNKNOWN) {
        conn->flags |= CV_CONN_COUNTED;
    }
    return true;
}

void cv_conn_close(struct cv_conn *conn, enum covet_counter reason) {
    struct cv_net *net = conn->net;
    if (!cv_conn_is_alive(conn)) {
        return;
    }
    conn->state = CV_CONN_CLOSING;
    cv_counter_add(net->stats, reason, 1);
    cv_wheel_stop(net->wheel, &conn->timer);
    if ((conn->flags & CV_CONN_COUNTED) != 0) {
        cv_admission_leave(net->admission, &conn->peer);
    }
    conn->ops->on_close(conn);
    cancel_send(conn);
    if ((conn->flags & CV_CONN_LEFT) == 0) {
        if (reason == COVET_COUNTER_CLOSED_WRITE || has_zero_copies(conn)) {
            // Otherwise the socket's buffer, and our memory in it, would wait for the peer long
            // after the connection's end.
            cv_ring_reset_on_close(net->ring, conn->descriptor);
        }
        leave(conn);
    }
    free_if_over(conn);
}

void cv_conn_half_close(struct cv_conn *conn) {
    struct cv_net *net = conn->net;
    if ((conn->flags & CV_CONN_LINGER) == 0 || (conn->flags & CV_CONN_ENDED) != 0 ||
        net->limits->linger_timeout_ms == 0) {
        cv_conn_close(conn, finish_reason(conn));
        return;
    }
    if (conn->active != NULL) {
        // Bytes left unread, here or in the kernel, would make the close a reset.
        cv_buffer_clear(&conn->active->input, net->pool);
    }
    conn->state = CV_CONN_LINGERING;
    cv_ring_shutdown(net->ring, conn->descriptor, SHUT_WR);
    cv_conn_set_read_timeout(conn, net->limits->linger_timeout_ms);
    receive(conn, true);
}

void cv_conn_finish(struct cv_conn *conn, enum covet_counter reason, bool linger) {
    if (conn->state != CV_CONN_OPEN) {
        return;
    }
    conn->state = CV_CONN_FINISHING;
    conn->close_reason = (uint8_t)reason;
    conn->read_deadline = 0;
    if (linger) {
        conn->flags |= CV_CONN_LINGER;
    }
    cv_net_list(conn, CV_CONN_FLUSH);
}

void cv_conn_set_protocol(struct cv_conn *conn, const struct cv_conn_ops *ops, void *protocol) {
    conn->ops = ops;
    conn->protocol = protocol;
    cv_conn_resume(conn);
}

const struct cv_peer *cv_conn_peer(struct cv_conn *conn) {
    if (conn->peer.family == CV_PEER_UNKNOWN && cv_conn_is_alive(conn)) {
        cv_ring_peer(conn->net->ring, conn->descriptor, &conn->peer);
    }
    return &conn->peer;
}

void cv_conn_open(struct cv_conn *conn, int descriptor) {
    struct cv_net *net = conn->net;
    *conn = (struct cv_conn){
        .timer = {.on_expiry = on_timer},
        .ops = net->ops,
        .transport = &cv_transport_plain,
        .net = net,
        .descriptor = descriptor,
        .index = conn->index,
        .generation = conn->generation,
        .state = CV_CONN_OPEN,
    };
    conn->ops->on_open(conn);
    if (!is_admitted(conn)) {
        cv_conn_close(conn, COVET_COUNTER_CLOSED_LIMIT);
        return;
    }
    receive(conn, false);
}

void cv_conn_settle(struct cv_conn *conn) {
    conn->flags &= (uint16_t)~CV_CONN_NOTED;
    if ((conn->flags & CV_CONN_QUIET) != 0) {
        end_quiet_send(conn);
    }
    finish_if_sent(conn);
    settle(conn);
}

void cv_conn_run(struct cv_conn *conn) {
    uint16_t why = conn->flags;
    conn->flags &= (uint16_t) ~(CV_CONN_LISTED | CV_CONN_RUN | CV_CONN_FLUSH);
    if (conn->state == CV_CONN_CLOSING) {
        free_if_over(conn);
        return;
    }
    if ((why & CV_CONN_RUN) != 0 && is_open_for_input(conn)) {
        run_input(conn);
        receive(conn, true);
    }
    if (cv_conn_is_alive(conn)) {
        conn->transport->flush(conn);
    }
    finish_if_sent(conn);
    settle(conn);
}

void cv_conn_feed(struct cv_conn *conn) {
    conn->flags &= (uint16_t)~CV_CONN_STARVED;
    free_if_over(conn);
    receive(conn, true);
}
