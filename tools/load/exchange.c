// Sends are quiet (docs/notes/0001-core.md): MSG_WAITALL | MSG_DONTWAIT resolves them while they
// are submitted, so only a failure completes. A send that fell short is continued by an ordinary
// one, during which the connection sends nothing else; so two sends of one connection never are in
// the kernel at once.
#include <errno.h>

#include "load/lane_state.h"

#define STREAM_SEND_BYTES (512u * 1024)

static void on_end(struct load_lane *lane, uint32_t index) {
    struct load_connection *c = &lane->connections[index];
    bool announced = c->state == LOAD_ENDING;
    uint8_t kind;
    int status = announced ? 0 : load_reader_end(&c->reader, &lane->result.tally, &kind);

    if (status == 1) {
        load_owed_take(lane, index, 1, (enum load_kind)kind);
        announced = true;
    }
    if (announced || (status == 0 && c->owed == c->unsent)) {
        load_link_replace(lane, index);
    } else {
        load_link_fail(lane, index, c->broken ? LOAD_ERROR_SEND : LOAD_ERROR_CUT);
    }
}

// Takes what the first `count` of `lane->kinds` answer, as many of one kind at once as there are.
static void take_answered(struct load_lane *lane, uint32_t index, uint32_t count) {
    for (uint32_t begin = 0, end = 0; begin < count; begin = end) {
        while (end < count && lane->kinds[end] == lane->kinds[begin]) {
            end++;
        }
        load_owed_take(lane, index, end - begin, (enum load_kind)lane->kinds[begin]);
    }
}

static void on_answers(struct load_lane *lane, uint32_t index, uint32_t count) {
    struct load_connection *c = &lane->connections[index];
    take_answered(lane, index, count);
    lane->result.ended_ns = lane->now_ns;
    c->since_ns = lane->now_ns;
    if (c->owed == 0 && c->left == 0) {
        load_link_replace(lane, index);
    } else {
        load_owed_offer(lane, index);
    }
}

static void on_data(struct load_lane *lane, uint32_t index, const char *data, size_t bytes) {
    struct load_connection *c = &lane->connections[index];
    struct load_tally *tally = &lane->result.tally;
    uint64_t before = tally->answers;

    lane->result.bytes_received += bytes;
    if (c->state == LOAD_ENDING || load_lane_is_idle(lane, index)) {
        return;
    }
    int status = load_reader_feed(&c->reader, lane->requests, lane->shapes, data, bytes,
                                  c->owed - c->unsent, tally, lane->kinds);
    uint32_t count = (uint32_t)(tally->answers - before);
    if (CV_UNLIKELY(status < 0)) {
        take_answered(lane, index, count);
        load_link_fail(lane, index, LOAD_ERROR_MESSAGE);
        return;
    }
    if (CV_UNLIKELY(c->reader.closing)) {
        c->state = LOAD_ENDING;
    }
    if (count > 0) {
        on_answers(lane, index, count);
    }
}

void load_exchange_on_receive(struct load_lane *lane, uint32_t index,
                              const struct io_uring_cqe *cqe, bool ours) {
    struct load_connection *c = &lane->connections[index];
    uint32_t generation = c->generation;

    if (ours && !(cqe->flags & IORING_CQE_F_MORE)) {
        c->receiving = false;
    }
    if (cqe->flags & IORING_CQE_F_BUFFER) {
        unsigned buffer = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
        if (ours && cqe->res > 0) {
            on_data(lane, index, load_ring_buffer(&lane->ring, buffer), (size_t)cqe->res);
        }
        load_ring_give_back(&lane->ring, buffer);
    }
    if (!ours || c->generation != generation || c->receiving) {
        return;
    }
    if (cqe->res > 0 || cqe->res == -ENOBUFS) {
        load_link_receive(lane, index);
    } else if (cqe->res == 0 || c->state == LOAD_ENDING) {
        // A peer that closes with requests unread resets, also behind an announced end.
        on_end(lane, index);
    } else {
        load_link_fail(lane, index, c->broken ? LOAD_ERROR_SEND : LOAD_ERROR_RECEIVE);
    }
}

static void prepare_send(struct load_lane *lane, uint32_t index, bool quiet, int flags) {
    struct load_connection *c = &lane->connections[index];
    struct io_uring_sqe *sqe = load_ring_sqe(&lane->ring);
    io_uring_prep_send(sqe, (int)index, c->send_data, c->send_bytes,
                       MSG_WAITALL | (quiet ? MSG_DONTWAIT : 0) | flags);
    sqe->flags = (uint8_t)(IOSQE_FIXED_FILE | (quiet ? IOSQE_CQE_SKIP_SUCCESS : 0));
    sqe->user_data = load_lane_tag(lane, LOAD_OP_SEND, index);
    c->sending = !quiet;
}

// The next piece of a streamed body: from the stream, round and round.
static void send_stream(struct load_lane *lane, uint32_t index) {
    struct load_connection *c = &lane->connections[index];
    uint64_t at = (lane->requests->stream_bytes - c->stream_left) % LOAD_STREAM_BYTES;
    size_t room = CV_MIN((size_t)(LOAD_STREAM_BYTES - at), (size_t)STREAM_SEND_BYTES);

    c->send_data = lane->requests->stream + at;
    c->send_bytes = (size_t)CV_MIN(c->stream_left, (uint64_t)room);
    c->stream_left -= c->send_bytes;
    lane->result.bytes_sent += c->send_bytes;
    prepare_send(lane, index, false, 0);
}

static void send_requests(struct load_lane *lane, uint32_t index) {
    struct load_connection *c = &lane->connections[index];
    const struct load_requests *requests = lane->requests;
    uint32_t run = c->unsent;
    bool streams = requests->stream_bytes > 0;

    c->send_bytes = load_requests_span(requests, c->next, run, &c->send_data);
    c->unsent -= run;
    c->next += run;
    if (c->next >= requests->count) {
        c->next %= requests->count;
    }
    c->stream_left = streams ? requests->stream_bytes : 0;
    lane->result.requests_sent += run;
    lane->result.bytes_sent += c->send_bytes;
    prepare_send(lane, index, !streams, streams ? MSG_MORE : 0);
}

static void send_next(struct load_lane *lane, uint32_t index) {
    struct load_connection *c = &lane->connections[index];
    if (c->state != LOAD_OPEN || c->sending || c->broken) {
        return;
    }
    if (c->short_of) {
        c->short_of = false;
        prepare_send(lane, index, false, 0);
    } else if (c->stream_left > 0) {
        send_stream(lane, index);
    } else if (c->unsent > 0) {
        send_requests(lane, index);
    }
}

void load_exchange_on_send(struct load_lane *lane, uint32_t index, int result) {
    struct load_connection *c = &lane->connections[index];
    size_t done = result > 0 ? (size_t)result : 0;

    c->sending = false;
    c->send_data += done;
    c->send_bytes -= done;
    if (result < 0 && result != -EAGAIN) {
        c->broken = true;
        lane->result.bytes_sent -= c->send_bytes;
        return;
    }
    c->short_of = c->send_bytes > 0;
    load_lane_mark_dirty(lane, index);
}

void load_exchange_send(struct load_lane *lane) {
    for (unsigned i = 0; i < lane->dirty_count; i++) {
        lane->connections[lane->dirty[i]].dirty = false;
        send_next(lane, lane->dirty[i]);
    }
    lane->dirty_count = 0;
}
