// The do-nothing responder: what one core can answer when a server does nothing but answer.
//
// One thread, one ring, fixed bytes out for every request in (with --workers, that many such
// processes share the port). It is the limit the benchmarks quote covet against, so it looks for
// nothing in a request but its end, and copies nothing. It stays correct: one unresolved send per
// connection, short sends continued, a full descriptor table and an empty buffer ring survived. A
// turn is one io_uring_enter: it submits what the last turn prepared and waits. On TERM, INT or
// after --seconds it prints one line of JSON and exits.
//
// The default is a careful server's choice: plain descriptors, heads looked at. Counting bytes,
// direct descriptors and fewer buffers take 2 to 4 % off a request on its own, 10 % off a pipelined
// one; a deferred accept takes 8 % off a connection per request. docs/notes/0002 (descriptors,
// closing) and 0003 (waiting, the best variant per load) have the tables.
#include <liburing.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "limit_options.h"
#include "limit_requests.h"
#include "limit_setup.h"
#include "limit_workers.h"

#define SQ_ENTRIES 1024
#define CQ_ENTRIES 16384
#define CONNECTION_COUNT_MAX 65536
#define OP_FIXED_FD_INSTALL 54       // Linux 6.8; liburing 2.3 does not name it,
#define TIMEOUT_MULTISHOT (1u << 6)  // nor this, Linux 6.4.

// The kernel's struct io_uring_getevents_arg, whose fourth word liburing names by its version:
// padding at first, the minimum wait since Linux 6.12.
struct wait_arg {
    uint64_t signals;
    uint32_t signals_bytes, wait_us_min;
    uint64_t timeout;
};

enum op { OP_ACCEPT, OP_RECV, OP_SEND, OP_PEER, OP_STALL, OP_IGNORED };

struct connection {
    uint32_t generation;  // In user_data, so a late completion cannot reach the next connection.
    uint32_t sent_bytes;  // Handed to the unresolved send.
    size_t owed_bytes;    // Not handed to a send yet. All answers are the same bytes, so this alone
                          // says where in the block of answers the next send begins.
    struct reader reader;
    bool sending, slow, dirty, disarmed, over;
};

struct responder {
    struct options options;
    struct io_uring ring;
    struct io_uring_buf_ring *buffers;
    char *memory;  // Of the buffers: one per id, or one per connection with recv_single.
    char *heads;   // HEAD_BYTES_MAX per connection.
    struct block block;
    int listener, returned_buffers;
    bool accepting, full;
    struct connection connections[CONNECTION_COUNT_MAX];
    uint32_t dirty[2 * CONNECTION_COUNT_MAX], answered[CONNECTION_COUNT_MAX];
    unsigned dirty_count, answered_count;
    unsigned certain_count;  // Completions this turn's submission is certain to bring at once.
    struct counts *counts;
};

static volatile sig_atomic_t stopping;

static void on_signal(int number) {
    (void)number;
    stopping = 1;
    alarm(1);  // This signal may have come just before the wait began; the next will not.
}

static void enter(struct responder *self, unsigned wait_count) {
    struct io_uring_sq *sq = &self->ring.sq;
    struct wait_arg arg = {.wait_us_min = self->options.wait_us_min};
    bool timed = wait_count > 1 && arg.wait_us_min > 0;
    unsigned flags = IORING_ENTER_GETEVENTS | IORING_ENTER_REGISTERED_RING;

    __atomic_store_n(sq->ktail, sq->sqe_tail, __ATOMIC_RELEASE);
    unsigned to_submit = sq->sqe_tail - __atomic_load_n(sq->khead, __ATOMIC_ACQUIRE);
    int result = io_uring_enter2((unsigned)self->ring.enter_ring_fd, to_submit, wait_count,
                                 flags | (timed ? IORING_ENTER_EXT_ARG : 0),
                                 timed ? (sigset_t *)&arg : NULL, timed ? sizeof(arg) : 0);
    self->counts->enters++;
    if (result != -EINTR && result != -EBUSY && result != -EAGAIN && result != -ETIME)
        require(result, "io_uring_enter");
}

static uint64_t tag(const struct responder *self, enum op op, uint32_t index) {
    uint64_t generation =
        op == OP_ACCEPT || op == OP_STALL ? 0 : self->connections[index].generation & 0xffffff;
    return (uint64_t)op << 56 | generation << 32 | index;
}

// A prep function writes the whole entry, so what is common to all of ours is added after it.
static void finish(struct responder *self, struct io_uring_sqe *sqe, enum op op, uint32_t index) {
    sqe->user_data = tag(self, op, index);
    if (self->options.direct && (op == OP_RECV || op == OP_SEND || op == OP_PEER))
        sqe->flags |= IOSQE_FIXED_FILE;
    if (op == OP_IGNORED)
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

static struct io_uring_sqe *take_sqe(struct responder *self) {
    struct io_uring_sqe *sqe;
    while ((sqe = io_uring_get_sqe(&self->ring)) == NULL)
        enter(self, 0);
    return sqe;
}

static void arm_accept(struct responder *self) {
    struct io_uring_sqe *sqe = take_sqe(self);
    if (self->options.direct)
        io_uring_prep_multishot_accept_direct(sqe, self->listener, NULL, NULL, 0);
    else
        io_uring_prep_multishot_accept(sqe, self->listener, NULL, NULL, SOCK_CLOEXEC);
    finish(self, sqe, OP_ACCEPT, 0);
    self->accepting = true;
}

static void arm_recv(struct responder *self, uint32_t index, bool poll_first) {
    struct io_uring_sqe *sqe = take_sqe(self);
    if (self->options.recv_single) {
        char *buffer = self->memory + (size_t)index * self->options.buffer_bytes;
        io_uring_prep_recv(sqe, (int)index, buffer, self->options.buffer_bytes, 0);
    } else {
        io_uring_prep_recv_multishot(sqe, (int)index, NULL, 0, 0);
        sqe->flags |= IOSQE_BUFFER_SELECT;
    }
    if (poll_first)
        sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    finish(self, sqe, OP_RECV, index);
    self->connections[index].disarmed = false;
}

// MSG_WAITALL with MSG_DONTWAIT resolves a send before enter goes to sleep: all of it, or failed
// with what was sent. So its success may go unreported (a failure is always reported), or be waited
// for beside the one event a turn needs; a plain reported send ends the wait it was submitted with.
static void send_owed(struct responder *self, uint32_t index) {
    struct connection *c = &self->connections[index];
    size_t one = self->block.answer_bytes, cut = c->owed_bytes % one;
    size_t skip = cut == 0 ? 0 : one - cut;  // Sent of an answer before.
    size_t room = one * self->block.count - skip;
    size_t length = c->owed_bytes < room ? c->owed_bytes : room;
    bool last = closes_first(&self->options);  // May outlive our interest in it, so may wait.
    bool at_once = !self->options.send_cqe && !c->slow && length == c->owed_bytes && !last;
    bool quiet = last || (at_once && !self->options.send_counted);
    struct io_uring_sqe *sqe = take_sqe(self);

    io_uring_prep_send(sqe, (int)index, self->block.answers + skip, length,
                       MSG_WAITALL | (at_once ? MSG_DONTWAIT : 0));
    if (quiet)
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    finish(self, sqe, OP_SEND, index);
    if (at_once && !quiet)
        self->certain_count++;
    c->sending = !quiet;
    c->sent_bytes = (uint32_t)length;
    c->owed_bytes -= length;
    self->counts->bytes_sent += length;
}

static void close_connection(struct responder *self, uint32_t index) {
    struct io_uring_sqe *sqe = take_sqe(self);
    if (self->options.direct)
        io_uring_prep_close_direct(sqe, index);
    else
        io_uring_prep_close(sqe, (int)index);
    finish(self, sqe, OP_IGNORED, index);
    self->connections[index].generation++;
    self->counts->closed++;
    self->full = false;
}

static void close_answered(struct responder *self, uint32_t index) {
    unsigned how = self->options.closing;
    struct io_uring_sqe *sqe;

    if (how == BY_SHUTDOWN) {
        self->answered[self->answered_count++] = index;
        return;
    }
    if (how == BY_CANCEL_FD) {
        sqe = take_sqe(self);
        unsigned kind = self->options.direct ? IORING_ASYNC_CANCEL_FD_FIXED : 0;
        io_uring_prep_cancel_fd(sqe, (int)index, kind | IORING_ASYNC_CANCEL_ALL);
        finish(self, sqe, OP_IGNORED, index);
    } else if (how == BY_CANCEL_DATA) {
        sqe = take_sqe(self);
        io_uring_prep_cancel64(sqe, tag(self, OP_RECV, index), 0);
        finish(self, sqe, OP_IGNORED, index);
    }
    close_connection(self, index);
}

static void mark_dirty(struct responder *self, uint32_t index) {
    if (self->connections[index].dirty)
        return;
    self->connections[index].dirty = true;
    self->dirty[self->dirty_count++] = index;
}

static void on_accept(struct responder *self, const struct io_uring_cqe *cqe) {
    if (!(cqe->flags & IORING_CQE_F_MORE))
        self->accepting = false;
    if (cqe->res < 0) {
        self->counts->refused++;
        self->full = cqe->res == -EMFILE || cqe->res == -ENFILE;
        return;
    }
    uint32_t index = (uint32_t)cqe->res;
    if (index >= CONNECTION_COUNT_MAX)
        require(-EMFILE, "connection table");
    uint32_t generation = self->connections[index].generation + 1;
    self->connections[index] = (struct connection){.generation = generation};
    if (self->options.request_bytes != REQUEST_LEARNED)
        self->connections[index].reader.request_bytes = self->options.request_bytes;
    self->counts->accepted++;
    if (self->options.peer && self->options.direct) {
        struct io_uring_sqe *sqe = take_sqe(self);
        io_uring_prep_rw(OP_FIXED_FD_INSTALL, sqe, (int)index, NULL, 0, 0);
        finish(self, sqe, OP_PEER, index);
    } else if (self->options.peer) {
        struct sockaddr_in peer;
        getpeername((int)index, (struct sockaddr *)&peer, &(socklen_t){sizeof(peer)});
    }
    arm_recv(self, index, self->options.poll_first);
}

static void on_peer(const struct io_uring_cqe *cqe) {
    struct sockaddr_in peer;
    if (cqe->res < 0)
        return;
    getpeername(cqe->res, (struct sockaddr *)&peer, &(socklen_t){sizeof(peer)});
    close(cqe->res);
}

static void return_buffer(struct responder *self, unsigned short id) {
    size_t bytes = self->options.buffer_bytes;
    io_uring_buf_ring_add(self->buffers, self->memory + id * bytes, (unsigned)bytes, id,
                          (int)self->options.buffer_count - 1, self->returned_buffers++);
}

static void show_returned_buffers(struct responder *self) {
    if (self->returned_buffers > 0)
        io_uring_buf_ring_advance(self->buffers, self->returned_buffers);
    self->returned_buffers = 0;
}

static void on_recv(struct responder *self, const struct io_uring_cqe *cqe, uint32_t index,
                    bool ours) {
    struct connection *c = &self->connections[index];
    const char *data = self->memory + (size_t)index * self->options.buffer_bytes;

    if (cqe->flags & IORING_CQE_F_BUFFER) {
        unsigned short id = (unsigned short)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
        data = self->memory + (size_t)id * self->options.buffer_bytes;
        return_buffer(self, id);  // To be seen by the kernel when all were looked at.
    }
    if (!ours)
        return;
    if (cqe->res > 0) {
        size_t count =
            count_requests(&c->reader, self->heads + (size_t)index * HEAD_BYTES_MAX,
                           self->options.request_bytes == REQUEST_LEARNED, data, (size_t)cqe->res);
        self->counts->bytes_received += (uint64_t)cqe->res;
        self->counts->requests += count;
        c->owed_bytes += count * self->block.answer_bytes;
        if (count > 0)
            mark_dirty(self, index);
    }
    if (cqe->flags & IORING_CQE_F_MORE)
        return;
    if (cqe->res > 0 || cqe->res == -ENOBUFS) {
        self->counts->starved += cqe->res == -ENOBUFS;
        c->disarmed = true;
        mark_dirty(self, index);
    } else {
        c->over = true;
        mark_dirty(self, index);
    }
}

static void on_send(struct responder *self, const struct io_uring_cqe *cqe, uint32_t index) {
    struct connection *c = &self->connections[index];
    uint32_t done = cqe->res > 0 ? (uint32_t)cqe->res : 0;

    c->sending = false;
    c->slow = done < c->sent_bytes;
    c->owed_bytes += c->sent_bytes - done;
    self->counts->bytes_sent -= c->sent_bytes - done;
    if (cqe->res < 0 && cqe->res != -EAGAIN)
        c->owed_bytes = 0;  // The receive ends too, and closes.
    if (c->owed_bytes > 0 || c->over)
        mark_dirty(self, index);
}

static void on_stall(struct responder *self) {
    unsigned ms = self->options.stall_ms;
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    self->counts->stalls++;
    while (nanosleep(&left, &left) != 0 && !stopping)
        ;
}

static void reap(struct responder *self) {
    unsigned head, count = 0;
    struct io_uring_cqe *cqe;

    io_uring_for_each_cqe(&self->ring, head, cqe) {
        uint32_t index = (uint32_t)cqe->user_data;
        enum op op = (enum op)(cqe->user_data >> 56);
        bool ours = cqe->user_data == tag(self, op, index);
        count++;
        if (op == OP_ACCEPT)
            on_accept(self, cqe);
        if (op == OP_RECV)
            on_recv(self, cqe, index, ours);
        if (op == OP_SEND && ours)
            on_send(self, cqe, index);
        if (op == OP_PEER)
            on_peer(cqe);
        if (op == OP_STALL && cqe->res == -ETIME)
            on_stall(self);
    }
    io_uring_cq_advance(&self->ring, count);
    self->counts->completions += count;
    show_returned_buffers(self);
}

static void prepare(struct responder *self) {
    for (unsigned i = 0; i < self->dirty_count; i++) {
        uint32_t index = self->dirty[i];
        struct connection *c = &self->connections[index];
        bool answer = c->owed_bytes > 0 && !c->sending;
        if (!c->dirty)
            continue;  // Closed and accepted again since it was marked.
        c->dirty = false;
        if (answer)
            send_owed(self, index);
        if (c->over) {
            if (!c->sending && c->owed_bytes == 0)
                close_connection(self, index);
        } else if (answer && closes_first(&self->options)) {
            close_answered(self, index);
        } else if (c->disarmed) {
            arm_recv(self, index, true);
        }
    }
    self->dirty_count = 0;
    if (!self->accepting && !self->full)
        arm_accept(self);
}

static void turn(struct responder *self) {
    prepare(self);
    if (self->answered_count > 0)
        enter(self, 0);
    for (unsigned i = 0; i < self->answered_count; i++)  // Its answer was submitted just now.
        shutdown((int)self->answered[i], SHUT_RDWR);
    self->answered_count = 0;
    enter(self, self->options.wait_count + self->certain_count);
    self->certain_count = 0;
    reap(self);
}

static void open_ring(struct responder *self) {
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                 IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL |
                 IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE,
        .cq_entries = CQ_ENTRIES};

    require(io_uring_queue_init_params(SQ_ENTRIES, &self->ring, &params), "io_uring_setup");
    // Newer liburing asks for rings without this indirection.
    for (unsigned i = 0; self->ring.sq.array != NULL && i < self->ring.sq.ring_entries; i++)
        self->ring.sq.array[i] = i;
    require(io_uring_register_ring_fd(&self->ring), "register ring");
    if (self->options.direct)
        require(io_uring_register_files_sparse(&self->ring, self->options.fd_count_max),
                "register files");
}

static void make_buffers(struct responder *self) {
    size_t count = self->options.buffer_count, bytes = self->options.buffer_bytes;

    self->heads = map((size_t)CONNECTION_COUNT_MAX * HEAD_BYTES_MAX, MAP_PRIVATE);
    if (self->options.recv_single) {
        self->memory = map(CONNECTION_COUNT_MAX * bytes, MAP_PRIVATE);
        return;
    }
    self->memory = map(count * bytes, MAP_PRIVATE);
    self->buffers = map(count * sizeof(struct io_uring_buf), MAP_PRIVATE);
    struct io_uring_buf_reg reg = {.ring_addr = (uintptr_t)self->buffers,
                                   .ring_entries = (unsigned)count};
    require(io_uring_register_buf_ring(&self->ring, &reg, 0), "register buffers");
    for (size_t i = 0; i < count; i++)
        return_buffer(self, (unsigned short)i);
    show_returned_buffers(self);
}

// One completion per stall, from the kernel's clock, so that a turn need not ask for the time.
static void arm_stalls(struct responder *self) {
    static struct __kernel_timespec every;  // Read while it is submitted.
    struct io_uring_sqe *sqe = take_sqe(self);
    unsigned ms = self->options.stall_every_ms;

    every = (struct __kernel_timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    io_uring_prep_timeout(sqe, &every, self->options.stall_count, TIMEOUT_MULTISHOT);
    finish(self, sqe, OP_STALL, 0);
}

static void run(struct responder *self) {
    open_ring(self);
    make_buffers(self);
    if (self->options.stall_ms > 0)
        arm_stalls(self);
    while (!stopping)
        turn(self);
    shutdown(self->listener, SHUT_RD);  // The ring dies late; the port must be free now.
}

int main(int argc, char **argv) {
    static struct responder self;
    static struct workers workers;

    self.options = read_options(argc, argv);
    self.block = make_block(&self.options);
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
    limit_descriptors(&self.options, CONNECTION_COUNT_MAX);
    start_workers(&workers, &self.options);
    self.listener = workers.listener;
    self.counts = &workers.counts[workers.number];
    run(&self);
    return end_workers(&workers);
}
