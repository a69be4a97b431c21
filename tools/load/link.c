// The life of a connection: queued, dialled, open, ended, and from the beginning. At most
// DIALLING_MAX are dialled at once; a refused one waits, twice as long each time.
#include <errno.h>

#include "load/lane_state.h"

#define DIALLING_MAX 256u  // A listener's queue of 4096 takes them from many lanes.
#define RETRY_NS_MIN (10 * LOAD_NS_PER_MS)
#define RETRY_DOUBLINGS_MAX 6u
#define LINGER_NS (1000 * LOAD_NS_PER_MS)  // How long a peer that said so may take to close.

void load_link_queue(struct load_lane *lane, uint32_t index) {
    lane->connections[index].state = LOAD_QUEUED;
    load_queue_push(&lane->dial_queue, index);
}

static bool is_wanted(const struct load_lane *lane, uint32_t index) {
    return lane->phase < LOAD_PHASE_DRAIN || lane->connections[index].owed > 0;
}

static void note_settled(struct load_lane *lane, struct load_connection *c) {
    lane->settled += !c->settled;
    c->settled = true;
}

static void dial_failed(struct load_lane *lane, uint32_t index, int error) {
    struct load_connection *c = &lane->connections[index];
    note_settled(lane, c);
    lane->result.errors[LOAD_ERROR_CONNECT]++;
    lane->result.connect_error = error;
    c->generation++;
    c->state = LOAD_CLOSED;
    c->since_ns = lane->now_ns + ((uint64_t)RETRY_NS_MIN << c->retries);
    c->retries = (uint8_t)CV_MIN(c->retries + 1u, RETRY_DOUBLINGS_MAX);
}

void load_link_dial(struct load_lane *lane, uint32_t index) {
    struct load_connection *c = &lane->connections[index];
    c->since_ns = lane->now_ns;
    int status = load_dialer_start(
        &lane->dialer, &lane->ring, index, lane->plan.connection_first + index,
        load_lane_tag(lane, LOAD_OP_CONNECT, index), load_lane_tag(lane, LOAD_OP_CHAIN, index));
    if (status < 0) {
        dial_failed(lane, index, -status);
    } else {
        c->state = LOAD_DIALLING;
        lane->dialling++;
    }
}

void load_link_dial_queued(struct load_lane *lane) {
    while (lane->dial_queue.count > 0 && lane->dialling < DIALLING_MAX) {
        uint32_t index = load_queue_pop(&lane->dial_queue);
        if (is_wanted(lane, index)) {
            load_link_dial(lane, index);
        } else {
            lane->connections[index].state = LOAD_CLOSED;
        }
    }
}

static void cancel(struct load_lane *lane, enum load_op op, uint32_t index) {
    struct io_uring_sqe *sqe = load_ring_sqe(&lane->ring);
    io_uring_prep_cancel64(sqe, load_lane_tag(lane, op, index), 0);
    sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = (uint64_t)LOAD_OP_SILENT << 56;
}

static void close_descriptor(struct load_lane *lane, uint32_t index) {
    struct io_uring_sqe *sqe = load_ring_sqe(&lane->ring);
    io_uring_prep_close_direct(sqe, index);
    sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = (uint64_t)LOAD_OP_SILENT << 56;
}

// Frees the connection's place. An armed receive would hold the socket, and the peer would see no
// end of the connection, so it is cancelled first. All that came has been read by then, so the
// kernel says FIN, not RST, unless the peer is still sending.
void load_link_close(struct load_lane *lane, uint32_t index) {
    struct load_connection *c = &lane->connections[index];
    if (c->state == LOAD_DIALLING) {
        cancel(lane, LOAD_OP_CONNECT, index);
        lane->dialling--;
    }
    if (c->receiving) {
        cancel(lane, LOAD_OP_RECEIVE, index);
    }
    if (c->sending) {
        cancel(lane, LOAD_OP_SEND, index);
    }
    lane->open -= c->state == LOAD_OPEN || c->state == LOAD_ENDING;
    close_descriptor(lane, index);
    c->generation++;
}

void load_link_replace(struct load_lane *lane, uint32_t index) {
    load_link_close(lane, index);
    load_link_queue(lane, index);
}

// In the open loop a request given up has had the latency that it was waited for, at least.
void load_link_fail(struct load_lane *lane, uint32_t index, enum load_error kind) {
    struct load_connection *c = &lane->connections[index];
    uint32_t sent = c->owed - c->unsent;
    lane->result.errors[kind] += CV_MAX(sent, 1u);
    bool timed = lane->open_loop && kind == LOAD_ERROR_TIMEOUT;
    load_owed_take(lane, index, sent, timed ? LOAD_KIND_OTHER : LOAD_KIND_COUNT);
    c->reader.request_index = c->next;
    load_link_replace(lane, index);
}

void load_link_receive(struct load_lane *lane, uint32_t index) {
    struct io_uring_sqe *sqe = load_ring_sqe(&lane->ring);
    io_uring_prep_recv_multishot(sqe, (int)index, NULL, 0, 0);
    sqe->flags = IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
    sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    sqe->user_data = load_lane_tag(lane, LOAD_OP_RECEIVE, index);
    lane->connections[index].receiving = true;
}

void load_link_on_connect(struct load_lane *lane, uint32_t index, int status) {
    struct load_connection *c = &lane->connections[index];
    lane->dialling--;
    if (status < 0) {
        close_descriptor(lane, index);
        dial_failed(lane, index, -status);
        return;
    }
    note_settled(lane, c);
    c->state = LOAD_OPEN;
    c->since_ns = lane->now_ns;
    c->retries = 0;
    c->receiving = c->sending = c->short_of = c->broken = false;
    c->send_bytes = 0;
    c->stream_left = 0;
    c->unsent = c->owed;  // Those that the last connection left unanswered.
    c->next = c->reader.request_index;
    c->reader = (struct load_reader){.request_index = c->next};
    c->left = lane->plan.options->reconnect > 0 ? lane->plan.options->reconnect : UINT32_MAX;
    c->left -= CV_MIN(c->left, c->owed);
    lane->open++;
    lane->result.connects++;
    load_link_receive(lane, index);
    if (load_lane_is_idle(lane, index)) {
        return;
    }
    if (c->unsent > 0) {
        load_lane_mark_dirty(lane, index);
    }
    load_owed_offer(lane, index);
}

void load_link_look_after(struct load_lane *lane, uint32_t index) {
    struct load_connection *c = &lane->connections[index];
    uint64_t age_ns = lane->now_ns > c->since_ns ? lane->now_ns - c->since_ns : 0;

    if (c->state == LOAD_CLOSED && c->since_ns <= lane->now_ns && is_wanted(lane, index)) {
        load_link_queue(lane, index);
    } else if (c->state == LOAD_DIALLING && age_ns > lane->timeout_ns) {
        load_link_close(lane, index);
        dial_failed(lane, index, ETIMEDOUT);
    } else if (c->state == LOAD_OPEN && c->owed > 0 && age_ns > lane->timeout_ns) {
        load_link_fail(lane, index, LOAD_ERROR_TIMEOUT);
    } else if (c->state == LOAD_ENDING && age_ns > LINGER_NS) {
        load_link_replace(lane, index);
    }
}
