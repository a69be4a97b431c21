// A turn is one io_uring_enter: it submits what the last turn prepared and waits for a completion.
// Then the clock is read, once, every completion is looked at, and each connection that has
// something to send gets one send.
//
// Sends are quiet (docs/notes/0001-core.md): MSG_WAITALL | MSG_DONTWAIT resolves them while they
// are submitted, so only a failure completes. A send that fell short is continued by an ordinary
// one, during which the connection sends nothing else; so two sends of one connection never are in
// the kernel at once.
//
// A request is given to a connection (`owed`, `unsent`, its start in `runs`), then sent, then
// answered. `runs` holds what is owed as runs of requests with the same start, oldest first: a
// batch of pipelined requests is one entry, and one entry in the histogram.
//
// Places of the ring's descriptor table are connections' indexes; a completion names index and
// generation, so that what the last connection of a place left behind reaches no one.
#include "load/lane.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "load/dial.h"
#include "load/pace.h"
#include "load/ring.h"

#define NS_PER_MS 1000000u
#define TICK_NS (20 * NS_PER_MS)
#define SETUP_WAIT_NS NS_PER_MS
#define DIALLING_MAX 256u  // At once: a listener's queue of 4096 takes them from many lanes.
#define RETRY_NS_MIN (10 * NS_PER_MS)
#define RETRY_DOUBLINGS_MAX 6u
#define LINGER_NS (1000 * NS_PER_MS)  // How long a peer that said so may take to close.
#define DRAIN_NS_MAX (2000 * (uint64_t)NS_PER_MS)
#define LATE_NS NS_PER_MS
#define SPIN_NS (100 * (uint64_t)1000)
#define SPIN_LOOKS 32u  // Between two readings of the clock.
#define STREAM_SEND_BYTES (512u * 1024)

enum op { OP_TICK, OP_CONNECT, OP_CHAIN, OP_RECEIVE, OP_SEND, OP_SILENT };

enum state {
    CLOSED,    // Waits until `since_ns` to be dialled.
    QUEUED,    // In `dial_queue`.
    DIALLING,  // Since `since_ns`.
    OPEN,
    ENDING,  // The last answer said that the peer will close; since `since_ns`.
};

enum phase { SETUP, RUN, DRAIN, DONE };

struct run {
    uint64_t since_ns;
    uint64_t count;
};

struct connection {
    struct load_reader reader;
    uint64_t since_ns;      // Of the state; when OPEN, since when the next answer is waited for.
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
struct queue {
    uint32_t *indexes;  // owned
    uint32_t size, first, count;
};

struct load_lane {
    struct load_lane_plan plan;
    const struct load_requests *requests;
    struct load_ring ring;
    struct load_dialer dialer;
    struct connection *connections;  // owned; busy ones first, then idle ones
    unsigned connection_count, busy_count;
    struct run *runs;  // owned; `run_mask + 1` for each busy connection
    uint32_t run_mask;
    struct load_shape *shapes;  // owned
    uint32_t *dirty;            // owned
    unsigned dirty_count;
    struct queue dial_queue, rooms;
    struct load_pace pace;

    enum phase phase;
    uint64_t now_ns, ends_ns, timed_from_ns, drained_by_ns, timeout_ns;
    uint64_t owed;                     // Over all connections.
    uint64_t to_give;                  // Requests that may still be given.
    unsigned dialling, open, settled;  // `settled`: connections whose first dial has an outcome.
    bool open_loop, ticking;
    uint64_t cpu_began_ns, spun_ns;
    struct __kernel_timespec tick;
    struct load_lane_progress progress;
    struct load_result result;
};

static uint32_t depth_of(const struct load_lane *lane) {
    return lane->plan.options->depth;
}

static bool is_idle(const struct load_lane *lane, uint32_t index) {
    return index >= lane->busy_count;
}

static void push(struct queue *queue, uint32_t index) {
    uint32_t at = queue->first + queue->count++;
    queue->indexes[at < queue->size ? at : at - queue->size] = index;
}

static uint32_t pop(struct queue *queue) {
    uint32_t index = queue->indexes[queue->first];
    queue->first = queue->first + 1 < queue->size ? queue->first + 1 : 0;
    queue->count--;
    return index;
}

static uint64_t tag(const struct load_lane *lane, enum op op, uint32_t index) {
    uint64_t generation = lane->connections[index].generation & 0xffffff;
    return (uint64_t)op << 56 | generation << 32 | index;
}

static void mark_dirty(struct load_lane *lane, uint32_t index) {
    if (!lane->connections[index].dirty) {
        lane->connections[index].dirty = true;
        lane->dirty[lane->dirty_count++] = index;
    }
}

// Requests.

static struct run *run_at(struct load_lane *lane, uint32_t index, uint32_t position) {
    return &lane->runs[(size_t)index * (lane->run_mask + 1) + (position & lane->run_mask)];
}

static void give(struct load_lane *lane, uint32_t index, uint32_t count, uint64_t since_ns) {
    struct connection *c = &lane->connections[index];
    struct run *last = run_at(lane, index, c->run_first + c->run_count - 1);

    if (c->run_count > 0 && last->since_ns == since_ns) {
        last->count += count;
    } else {
        *run_at(lane, index, c->run_first + c->run_count++) = (struct run){since_ns, count};
    }
    if (c->owed == 0) {
        c->since_ns = lane->now_ns;
    }
    c->owed += count;
    c->unsent += count;
    c->left -= count;
    lane->owed += count;
    lane->to_give -= count;
    mark_dirty(lane, index);
}

// How many requests the connection can be given.
static uint32_t room_of(const struct load_lane *lane, const struct connection *c) {
    uint64_t room = depth_of(lane) - c->owed;
    room = CV_MIN(room, c->left);
    return c->state == OPEN && lane->phase == RUN ? (uint32_t)CV_MIN(room, lane->to_give) : 0;
}

// Takes `count` of the oldest owed requests off the connection; `timed`: their latency counts.
static void take_owed(struct load_lane *lane, uint32_t index, uint32_t count, bool timed) {
    struct connection *c = &lane->connections[index];
    timed = timed && lane->now_ns >= lane->timed_from_ns;
    c->owed -= count;
    lane->owed -= count;
    while (count > 0) {
        struct run *run = run_at(lane, index, c->run_first);
        uint32_t part = run->count < count ? (uint32_t)run->count : count;
        if (timed) {
            load_histogram_record(&lane->result.latency, lane->now_ns - run->since_ns, part);
        }
        run->count -= part;
        count -= part;
        if (run->count == 0) {
            c->run_first++;
            c->run_count--;
        }
    }
}

// There is room on the connection: the closed loop fills it, the open loop notes it.
static void offer(struct load_lane *lane, uint32_t index) {
    struct connection *c = &lane->connections[index];
    uint32_t room = room_of(lane, c);
    if (room == 0) {
        return;
    }
    if (!lane->open_loop) {
        give(lane, index, room, lane->now_ns);
    } else if (!c->has_room) {
        c->has_room = true;
        push(&lane->rooms, index);
    }
}

// Gives what is due to connections with room, one request each in turn.
static void give_due(struct load_lane *lane) {
    while (lane->rooms.count > 0 && lane->to_give > 0 &&
           load_pace_is_due(&lane->pace, lane->now_ns)) {
        uint32_t index = pop(&lane->rooms);
        lane->connections[index].has_room = false;
        if (room_of(lane, &lane->connections[index]) > 0) {
            uint64_t start_ns = load_pace_take(&lane->pace);
            lane->result.late += lane->now_ns - start_ns > LATE_NS;
            give(lane, index, 1, start_ns);
            offer(lane, index);
        }
    }
}

// Opening and closing.

static void queue_dial(struct load_lane *lane, uint32_t index) {
    lane->connections[index].state = QUEUED;
    push(&lane->dial_queue, index);
}

static bool is_wanted(const struct load_lane *lane, uint32_t index) {
    return lane->phase < DRAIN || lane->connections[index].owed > 0;
}

static void note_settled(struct load_lane *lane, struct connection *c) {
    lane->settled += !c->settled;
    c->settled = true;
}

static void dial_failed(struct load_lane *lane, uint32_t index) {
    struct connection *c = &lane->connections[index];
    note_settled(lane, c);
    lane->result.errors[LOAD_ERROR_CONNECT]++;
    c->generation++;
    c->state = CLOSED;
    c->since_ns = lane->now_ns + ((uint64_t)RETRY_NS_MIN << c->retries);
    c->retries = (uint8_t)CV_MIN(c->retries + 1u, RETRY_DOUBLINGS_MAX);
}

static void dial(struct load_lane *lane, uint32_t index) {
    struct connection *c = &lane->connections[index];
    c->since_ns = lane->now_ns;
    int status =
        load_dialer_start(&lane->dialer, &lane->ring, index, lane->plan.connection_first + index,
                          tag(lane, OP_CONNECT, index), tag(lane, OP_CHAIN, index));
    if (status < 0) {
        dial_failed(lane, index);
    } else {
        c->state = DIALLING;
        lane->dialling++;
    }
}

static void dial_queued(struct load_lane *lane) {
    while (lane->dial_queue.count > 0 && lane->dialling < DIALLING_MAX) {
        uint32_t index = pop(&lane->dial_queue);
        if (is_wanted(lane, index)) {
            dial(lane, index);
        } else {
            lane->connections[index].state = CLOSED;
        }
    }
}

static void cancel(struct load_lane *lane, enum op op, uint32_t index) {
    struct io_uring_sqe *sqe = load_ring_sqe(&lane->ring);
    io_uring_prep_cancel64(sqe, tag(lane, op, index), 0);
    sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = (uint64_t)OP_SILENT << 56;
}

static void close_descriptor(struct load_lane *lane, uint32_t index) {
    struct io_uring_sqe *sqe = load_ring_sqe(&lane->ring);
    io_uring_prep_close_direct(sqe, index);
    sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = (uint64_t)OP_SILENT << 56;
}

// Frees the connection's place. An armed receive would hold the socket, and the peer would see no
// end of the connection, so it is cancelled first. All that came has been read by then, so the
// kernel says FIN, not RST, unless the peer is still sending.
static void close_place(struct load_lane *lane, uint32_t index) {
    struct connection *c = &lane->connections[index];
    if (c->state == DIALLING) {
        cancel(lane, OP_CONNECT, index);
        lane->dialling--;
    }
    if (c->receiving) {
        cancel(lane, OP_RECEIVE, index);
    }
    if (c->sending) {
        cancel(lane, OP_SEND, index);
    }
    lane->open -= c->state == OPEN || c->state == ENDING;
    close_descriptor(lane, index);
    c->generation++;
}

// Ends the connection and has its place dialled again. Requests still owed go to the next
// connection of the place, with their starts.
static void replace(struct load_lane *lane, uint32_t index) {
    close_place(lane, index);
    queue_dial(lane, index);
}

// The same, but what was sent is lost: every request of it is an error of this kind. In the open
// loop one given up has had the latency that it was waited for, at least.
static void fail(struct load_lane *lane, uint32_t index, enum load_error kind) {
    struct connection *c = &lane->connections[index];
    uint32_t sent = c->owed - c->unsent;
    lane->result.errors[kind] += CV_MAX(sent, 1u);
    take_owed(lane, index, sent, lane->open_loop && kind == LOAD_ERROR_TIMEOUT);
    c->reader.request_index = c->next;
    replace(lane, index);
}

static void arm_receive(struct load_lane *lane, uint32_t index) {
    struct io_uring_sqe *sqe = load_ring_sqe(&lane->ring);
    io_uring_prep_recv_multishot(sqe, (int)index, NULL, 0, 0);
    sqe->flags = IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
    sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    sqe->user_data = tag(lane, OP_RECEIVE, index);
    lane->connections[index].receiving = true;
}

static void on_connect(struct load_lane *lane, uint32_t index, int status) {
    struct connection *c = &lane->connections[index];
    lane->dialling--;
    if (status < 0) {
        close_descriptor(lane, index);
        dial_failed(lane, index);
        return;
    }
    note_settled(lane, c);
    c->state = OPEN;
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
    arm_receive(lane, index);
    if (is_idle(lane, index)) {
        return;
    }
    if (c->unsent > 0) {
        mark_dirty(lane, index);
    }
    offer(lane, index);
}

// Receiving.

static void on_end(struct load_lane *lane, uint32_t index) {
    struct connection *c = &lane->connections[index];
    bool announced = c->state == ENDING;
    int status = announced ? 0 : load_reader_end(&c->reader, &lane->result.tally);

    if (status == 1) {
        take_owed(lane, index, 1, true);
        announced = true;
    }
    if (announced || (status == 0 && c->owed == c->unsent)) {
        replace(lane, index);
    } else {
        fail(lane, index, c->broken ? LOAD_ERROR_SEND : LOAD_ERROR_CUT);
    }
}

static void on_answers(struct load_lane *lane, uint32_t index, uint32_t count) {
    struct connection *c = &lane->connections[index];
    take_owed(lane, index, count, true);
    lane->result.ended_ns = lane->now_ns;
    c->since_ns = lane->now_ns;
    if (c->owed == 0 && c->left == 0) {
        replace(lane, index);
    } else {
        offer(lane, index);
    }
}

static void on_data(struct load_lane *lane, uint32_t index, const char *data, size_t bytes) {
    struct connection *c = &lane->connections[index];
    struct load_tally *tally = &lane->result.tally;
    uint64_t before = tally->answers;

    lane->result.bytes_received += bytes;
    if (c->state == ENDING || is_idle(lane, index)) {
        return;
    }
    int status = load_reader_feed(&c->reader, lane->requests, lane->shapes, data, bytes,
                                  c->owed - c->unsent, tally);
    uint32_t count = (uint32_t)(tally->answers - before);
    if (CV_UNLIKELY(status < 0)) {
        take_owed(lane, index, count, true);
        fail(lane, index, LOAD_ERROR_MESSAGE);
        return;
    }
    if (CV_UNLIKELY(c->reader.closing)) {
        c->state = ENDING;
    }
    if (count > 0) {
        on_answers(lane, index, count);
    }
}

static void on_receive(struct load_lane *lane, uint32_t index, const struct io_uring_cqe *cqe,
                       bool ours) {
    struct connection *c = &lane->connections[index];
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
        arm_receive(lane, index);
    } else if (cqe->res == 0) {
        on_end(lane, index);
    } else {
        fail(lane, index, c->broken ? LOAD_ERROR_SEND : LOAD_ERROR_RECEIVE);
    }
}

// Sending.

static void prepare_send(struct load_lane *lane, uint32_t index, bool quiet, int flags) {
    struct connection *c = &lane->connections[index];
    struct io_uring_sqe *sqe = load_ring_sqe(&lane->ring);
    io_uring_prep_send(sqe, (int)index, c->send_data, c->send_bytes,
                       MSG_WAITALL | (quiet ? MSG_DONTWAIT : 0) | flags);
    sqe->flags = (uint8_t)(IOSQE_FIXED_FILE | (quiet ? IOSQE_CQE_SKIP_SUCCESS : 0));
    sqe->user_data = tag(lane, OP_SEND, index);
    c->sending = !quiet;
}

// The next piece of a streamed body: from the stream, round and round.
static void send_stream(struct load_lane *lane, uint32_t index) {
    struct connection *c = &lane->connections[index];
    uint64_t at = (lane->requests->stream_bytes - c->stream_left) % LOAD_STREAM_BYTES;
    size_t room = CV_MIN((size_t)(LOAD_STREAM_BYTES - at), (size_t)STREAM_SEND_BYTES);

    c->send_data = lane->requests->stream + at;
    c->send_bytes = (size_t)CV_MIN(c->stream_left, (uint64_t)room);
    c->stream_left -= c->send_bytes;
    lane->result.bytes_sent += c->send_bytes;
    prepare_send(lane, index, false, 0);
}

static void send_requests(struct load_lane *lane, uint32_t index) {
    struct connection *c = &lane->connections[index];
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
    struct connection *c = &lane->connections[index];
    if (c->state != OPEN || c->sending || c->broken) {
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

static void on_send(struct load_lane *lane, uint32_t index, int result) {
    struct connection *c = &lane->connections[index];
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
    mark_dirty(lane, index);
}

static void send_all(struct load_lane *lane) {
    for (unsigned i = 0; i < lane->dirty_count; i++) {
        lane->connections[lane->dirty[i]].dirty = false;
        send_next(lane, lane->dirty[i]);
    }
    lane->dirty_count = 0;
}

// Turns.

static void on_completion(struct load_lane *lane, const struct io_uring_cqe *cqe) {
    uint32_t index = (uint32_t)cqe->user_data;
    enum op op = (enum op)(cqe->user_data >> 56);
    bool ours = cqe->user_data == tag(lane, op, index);

    if (CV_LIKELY(op == OP_RECEIVE)) {
        on_receive(lane, index, cqe, ours);
    } else if (op == OP_TICK) {
        lane->ticking = false;
    } else if (op == OP_SEND && ours) {
        on_send(lane, index, cqe->res);
    } else if (op == OP_CONNECT && ours) {
        on_connect(lane, index, cqe->res);
    } else if (op == OP_CHAIN && ours) {
        lane->dialling--;
        load_dialer_fall_back(&lane->dialer);
        dial(lane, index);
    }
}

static void reap(struct load_lane *lane) {
    unsigned head, count = 0;
    struct io_uring_cqe *cqe;
    io_uring_for_each_cqe(&lane->ring.uring, head, cqe) {
        on_completion(lane, cqe);
        count++;
    }
    io_uring_cq_advance(&lane->ring.uring, count);
}

static void look_after(struct load_lane *lane, uint32_t index) {
    struct connection *c = &lane->connections[index];
    uint64_t age_ns = lane->now_ns > c->since_ns ? lane->now_ns - c->since_ns : 0;

    if (c->state == CLOSED && c->since_ns <= lane->now_ns && is_wanted(lane, index)) {
        queue_dial(lane, index);
    } else if (c->state == DIALLING && age_ns > lane->timeout_ns) {
        close_place(lane, index);
        dial_failed(lane, index);
    } else if (c->state == OPEN && c->owed > 0 && age_ns > lane->timeout_ns) {
        fail(lane, index, LOAD_ERROR_TIMEOUT);
    } else if (c->state == ENDING && age_ns > LINGER_NS) {
        replace(lane, index);
    }
}

static void publish(struct load_lane *lane) {
    uint64_t errors = 0;
    for (unsigned i = 0; i < LOAD_ERROR_COUNT; i++) {
        errors += lane->result.errors[i];
    }
    struct load_lane_progress *progress = &lane->progress;
    atomic_store_explicit(&progress->answers, lane->result.tally.answers, memory_order_relaxed);
    atomic_store_explicit(&progress->errors, errors, memory_order_relaxed);
    atomic_store_explicit(&progress->connects, lane->result.connects, memory_order_relaxed);
    atomic_store_explicit(&progress->open, lane->open, memory_order_relaxed);
}

static void tick(struct load_lane *lane) {
    for (unsigned i = 0; i < lane->connection_count; i++) {
        look_after(lane, i);
    }
    publish(lane);
    if (lane->phase == RUN &&
        atomic_load_explicit(&lane->plan.signals->stop, memory_order_relaxed)) {
        lane->ends_ns = lane->now_ns;
    }
    uint64_t next_ns = TICK_NS;
    if (lane->phase == RUN && lane->ends_ns - lane->now_ns < next_ns) {
        next_ns = lane->ends_ns > lane->now_ns ? lane->ends_ns - lane->now_ns : 0;
    }
    lane->tick = (struct __kernel_timespec){.tv_nsec = (int64_t)next_ns};
    struct io_uring_sqe *sqe = load_ring_sqe(&lane->ring);
    io_uring_prep_timeout(sqe, &lane->tick, 0, 0);
    sqe->user_data = (uint64_t)OP_TICK << 56;
    lane->ticking = true;
}

// CPU time of this thread without idle spinning, since the run began.
static uint64_t cpu_used_ns(const struct load_lane *lane) {
    struct timespec time;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    uint64_t now_ns = (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
    uint64_t used_ns = lane->cpu_began_ns + lane->spun_ns;
    return now_ns > used_ns ? now_ns - used_ns : 0;
}

static void look_for_start(struct load_lane *lane, uint64_t opened_ns) {
    const struct load_options *options = lane->plan.options;
    uint64_t begin_ns = atomic_load_explicit(&lane->plan.signals->begin_ns, memory_order_relaxed);

    if (lane->settled == lane->connection_count || lane->now_ns - opened_ns > lane->timeout_ns) {
        atomic_store_explicit(&lane->progress.ready, true, memory_order_relaxed);
    }
    if (begin_ns == 0 || lane->now_ns < begin_ns) {
        return;
    }
    lane->phase = RUN;
    lane->cpu_began_ns = cpu_used_ns(lane);
    lane->result.began_ns = begin_ns;
    lane->ends_ns = begin_ns + (uint64_t)(options->seconds * 1e9);
    lane->timed_from_ns = begin_ns + (uint64_t)(options->warmup_seconds * 1e9);
    if (lane->open_loop) {
        load_pace_begin(&lane->pace, lane->plan.rate, lane->plan.phase, begin_ns, lane->ends_ns);
    }
    for (unsigned i = 0; i < lane->busy_count; i++) {
        offer(lane, i);
    }
}

// Requests that were due and found no connection are not forgotten: their latency is what it was
// when the schedule ended, at least.
static void count_unsent(struct load_lane *lane) {
    load_pace_end(&lane->pace, lane->ends_ns);
    while (lane->pace.next_ns != UINT64_MAX) {
        uint64_t start_ns = load_pace_take(&lane->pace);
        lane->result.late++;
        if (lane->ends_ns >= lane->timed_from_ns) {
            load_histogram_record(&lane->result.latency, lane->ends_ns - start_ns, 1);
        }
    }
}

static void begin_drain(struct load_lane *lane) {
    lane->phase = DRAIN;
    lane->ends_ns = CV_MIN(lane->ends_ns, lane->now_ns);
    lane->drained_by_ns = lane->now_ns + CV_MIN(lane->timeout_ns, DRAIN_NS_MAX);
    lane->result.lane_busy =
        (double)cpu_used_ns(lane) / (double)(lane->now_ns - lane->result.began_ns);
    if (lane->open_loop && lane->to_give > 0) {
        count_unsent(lane);
    }
}

static void finish(struct load_lane *lane) {
    for (unsigned i = 0; i < lane->busy_count; i++) {
        if (lane->connections[i].owed > 0) {
            lane->result.errors[LOAD_ERROR_TIMEOUT] += lane->connections[i].owed;
            take_owed(lane, i, lane->connections[i].owed, lane->open_loop);
        }
    }
    lane->phase = DONE;
    lane->result.ended_ns = CV_MAX(lane->result.ended_ns, lane->ends_ns);
    lane->result.cpu_ns = cpu_used_ns(lane);
    lane->result.enters = lane->ring.enters;
    lane->result.errors[LOAD_ERROR_STATUS] =
        lane->result.tally.status[4] + lane->result.tally.status[5];
    publish(lane);
}

static void advance(struct load_lane *lane, uint64_t opened_ns) {
    if (lane->phase == SETUP) {
        look_for_start(lane, opened_ns);
    }
    if (lane->phase == RUN) {
        if (lane->open_loop) {
            give_due(lane);
        }
        if (lane->now_ns >= lane->ends_ns || lane->to_give == 0) {
            begin_drain(lane);
        }
    }
    if (lane->phase == DRAIN && (lane->owed == 0 || lane->now_ns >= lane->drained_by_ns)) {
        finish(lane);
    }
}

static uint64_t wait_ns(const struct load_lane *lane) {
    if (lane->phase == SETUP) {
        return SETUP_WAIT_NS;
    }
    if (lane->phase == RUN && lane->open_loop && lane->rooms.count > 0) {
        // Where it spins it wakes up early and spins till then.
        uint64_t wake_ns = lane->now_ns + (lane->plan.core < 0 ? 0 : SPIN_NS);
        return lane->pace.next_ns > wake_ns ? lane->pace.next_ns - wake_ns : 0;
    }
    return LOAD_RING_WAIT_FOREVER;  // The tick ends it.
}

// Looks for news for a while, but not beyond the start of the next request. Time spent here is
// idle.
static bool spin(struct load_lane *lane) {
    uint64_t began_ns = cv_clock_monotonic_ns(), now_ns = began_ns;
    uint64_t until_ns = began_ns + SPIN_NS;
    bool has_news = false;

    if (lane->open_loop && lane->rooms.count > 0) {
        until_ns = CV_MIN(until_ns, lane->pace.next_ns);
    }
    while (!has_news && now_ns < until_ns) {
        for (unsigned i = 0; i < SPIN_LOOKS && !has_news; i++) {
            has_news = load_ring_has_news(&lane->ring);
            __builtin_ia32_pause();
        }
        now_ns = cv_clock_monotonic_ns();
    }
    lane->spun_ns += now_ns - began_ns;
    return has_news || (until_ns < began_ns + SPIN_NS);
}

// A lane with a core of its own does not sleep at once: waking up costs more than the answers it
// waits for, here and at the server (docs/notes/0011-load-generator.md).
static int wait(struct load_lane *lane) {
    if (lane->plan.core < 0 || lane->phase != RUN) {
        return load_ring_enter(&lane->ring, 1, wait_ns(lane));
    }
    int status = load_ring_enter(&lane->ring, 0, 0);
    if (status < 0 || load_ring_has_news(&lane->ring)) {
        return status;
    }
    return load_ring_enter(&lane->ring, spin(lane) ? 0 : 1, wait_ns(lane));
}

// Completions the kernel had no room for are taken before anything is sent: one may say that a
// send fell short.
static int wait_and_reap(struct load_lane *lane) {
    int status = wait(lane);
    lane->now_ns = cv_clock_monotonic_ns();
    reap(lane);
    while (status == 0 && CV_UNLIKELY(!load_ring_is_settled(&lane->ring))) {
        status = load_ring_enter(&lane->ring, 0, 0);
        reap(lane);
    }
    return status;
}

static int run(struct load_lane *lane) {
    int status = 0;
    lane->now_ns = cv_clock_monotonic_ns();
    uint64_t opened_ns = lane->now_ns;
    for (unsigned i = 0; i < lane->connection_count; i++) {
        queue_dial(lane, i);
    }
    while (lane->phase != DONE && status == 0) {
        if (!lane->ticking) {
            tick(lane);
        }
        dial_queued(lane);
        send_all(lane);
        status = wait_and_reap(lane);
        advance(lane, opened_ns);
    }
    for (unsigned i = 0; i < lane->connection_count; i++) {
        if (lane->connections[i].state != CLOSED && lane->connections[i].state != QUEUED) {
            close_place(lane, i);
        }
    }
    (void)load_ring_enter(&lane->ring, 0, 0);
    return status;
}

static void pin(int core) {
    cpu_set_t cores;
    if (core < 0) {
        return;
    }
    CPU_ZERO(&cores);
    CPU_SET((unsigned)core, &cores);
    (void)pthread_setaffinity_np(pthread_self(), sizeof(cores), &cores);
}

int load_lane_run(struct load_lane *lane, const char **why) {
    pin(lane->plan.core);
    int status = load_ring_open(&lane->ring, lane->connection_count, why);
    if (status == 0) {
        *why = "io_uring_enter";
        status = run(lane);
        load_ring_close(&lane->ring);
    }
    atomic_store_explicit(&lane->progress.ready, true, memory_order_relaxed);
    return status;
}

// Creation.

static bool make_queue(struct queue *queue, unsigned size) {
    queue->size = size;
    queue->indexes = calloc(size, sizeof(*queue->indexes));
    return queue->indexes != NULL;
}

struct load_lane *load_lane_create(const struct load_lane_plan *plan) {
    struct load_lane *lane = calloc(1, sizeof(*lane));
    if (lane == NULL) {
        return NULL;
    }
    const struct load_options *options = plan->options;
    lane->plan = *plan;
    lane->requests = &options->requests;
    lane->busy_count = plan->connections;
    lane->connection_count = plan->connections + plan->idle;
    lane->open_loop = plan->rate > 0;
    lane->to_give = plan->request_count;
    lane->timeout_ns = (uint64_t)(options->timeout_seconds * 1e9);
    while (lane->run_mask + 1 < options->depth) {
        lane->run_mask = lane->run_mask * 2 + 1;
    }
    size_t count = lane->connection_count;
    lane->connections = calloc(count, sizeof(*lane->connections));
    lane->runs = calloc((size_t)lane->busy_count * (lane->run_mask + 1), sizeof(*lane->runs));
    lane->shapes = calloc(lane->requests->count, sizeof(*lane->shapes));
    lane->dirty = calloc(count, sizeof(*lane->dirty));
    if (lane->connections == NULL || lane->runs == NULL || lane->shapes == NULL ||
        lane->dirty == NULL || !make_queue(&lane->dial_queue, lane->connection_count) ||
        !make_queue(&lane->rooms, lane->connection_count) ||
        load_dialer_init(&lane->dialer, &options->address, options->address_bytes,
                         plan->client_count) < 0) {
        load_lane_destroy(lane);
        return NULL;
    }
    return lane;
}

void load_lane_destroy(struct load_lane *lane) {
    if (lane == NULL) {
        return;
    }
    load_dialer_deinit(&lane->dialer);
    free(lane->rooms.indexes);
    free(lane->dial_queue.indexes);
    free(lane->dirty);
    free(lane->shapes);
    free(lane->runs);
    free(lane->connections);
    free(lane);
}

struct load_lane_progress *load_lane_progress(struct load_lane *lane) {
    return &lane->progress;
}

const struct load_result *load_lane_result(const struct load_lane *lane) {
    return &lane->result;
}

unsigned load_lane_connections_max(void) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur > 1u << 20) {
        return 1u << 20;
    }
    return (unsigned)files.rlim_cur;
}
