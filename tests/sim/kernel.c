// Three rules keep this a kernel: completions of one socket come in the order of its bytes; nothing
// completes but inside a wait or a submission of its ring; and whatever was armed completes once
// without `more`, however it ends.
#include "sim/kernel.h"

#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/schedstat.h"
#include "ring/ring.h"
#include "sim/torture.h"

#define DESCRIPTOR_BASE 100000  // Nothing of the process itself is called so.
#define SCHEDSTAT_BASE (DESCRIPTOR_BASE * 3)
#define LOANS_MAX 16u
#define ECHO UINT32_MAX  // In a list of what is ready: a message of the ring's to itself.
#define ECHOES_MAX 64u
#define PORTION 20u        // Of what waits, since Linux 6.13 (IO_LOCAL_TW_DEFAULT_MAX).
#define SEND_NS_MAX 5000u  // What the kernel takes for one where time passes.
#define PAUSE_MS_MAX 800u
#define ARRIVED_NS 1000000u     // So long it has just arrived.
#define SHORT_NS_MAX 50000000u  // Of pauses.
#define SPLINTER_BYTES_MAX 16u
#define BACKLOG_MAX 8192u   // Connections for which a multishot accept needs room.
#define ADDRESSES 4u        // Of clients: the loopback, two others, and a network of IPv6.
#define HEARD_TURNS_MAX 8u  // After which a send to a peer that has ended waits no more.
#define ESCAPES_MAX 2u
#define QUEUE_MAX 128u
#define POISON 0xdd
#define RECEIVE_QUEUE_BYTES (256u * 1024u)  // What the server's end holds for it.
#define REALTIME_S 784111777                // Sun, 06 Nov 1994 08:49:37 GMT
#define START_NS 5000000000000ull
#define WRAP_NS (0x100000000ull * 1000000u)  // When milliseconds in 32 bits begin again.

enum kind { KIND_FREE, KIND_CONNECTION, KIND_LISTENER, KIND_EVENT };

struct bytes {
    uint8_t *data;  // owned
    size_t head;
    size_t length;
    size_t room;
};

struct operation {
    bool is_armed;
    bool is_multishot;
    bool is_poll_first;
    bool is_zero_copy;
    bool is_doomed;   // A cancel came too late: it completes at the next chance, whatever it did.
    uint8_t escapes;  // Cancels that did not find it, though it was there.
    enum cv_ring_send_mode mode;
    uint64_t user_data;
    const struct msghdr *message;  // NULL: `single`
    struct iovec single;
    size_t length;    // Of a send, all of it; of a bundled receive, what it may take yet,
    size_t done;      // and what went out.
    uint64_t digest;  // Of the bytes it was given, which must stay while it is in flight;
    bool has_digest;  // one that is over as it is submitted leaves no time to change them.
    void *target;     // Of a read.
};

struct loan {
    uint64_t user_data;
    const uint8_t *data;
    size_t length;
    uint64_t digest;
    bool is_copied;
};

struct sim_socket {
    enum kind kind;
    uint32_t id;
    int descriptor;  // -1: closed
    struct cv_ring *ring;
    struct operation receive, send, accept, read;
    bool is_ready;      // In the ring's list.
    bool is_released;   // By the server: no descriptor, nothing armed.
    bool is_abandoned;  // By the client.
    bool is_shut;
    bool resets_on_close;
    bool is_struck;
    bool has_received;     // A receive was armed.
    bool has_heard;        // The server took the end of the input.
    uint64_t heard_turn;   // When it did.
    uint8_t address;       // Of its client: below ADDRESSES.
    bool is_frozen;        // Its peer acknowledges nothing.
    bool is_for_copying;   // It refused to do without.
    bool is_one_too_many;  // When it was accepted.
    struct bytes input;    // To the server.
    struct bytes under_way;
    uint64_t arrives_ns;  // When that is there. 0: nothing is under way; UINT64_MAX: never.
    bool input_ended, input_reset;
    struct bytes output;  // To the client.
    size_t window;
    uint64_t accepted_ns, moved_turn;
    bool output_ended, output_reset;
    struct loan loan[LOANS_MAX];
    uint32_t loan_count;
    uint32_t *queue;  // owned; a listener's
    uint32_t queue_count;
    uint64_t count;  // An eventfd's.
};

enum submission_kind {
    SUBMIT_ACCEPT,
    SUBMIT_RECEIVE,
    SUBMIT_SEND,
    SUBMIT_ZERO_COPY,
    SUBMIT_READ,
    SUBMIT_WRITE,
    SUBMIT_CANCEL,
    SUBMIT_CLOSE,
    SUBMIT_MESSAGE,
};

struct submission {
    enum submission_kind kind;
    int descriptor;
    uint64_t target;  // Of a cancel or a message.
    struct operation operation;
};

struct cv_ring {
    struct cv_ring_features features;
    uint32_t index;
    bool is_enabled;
    bool all_submitted;
    struct submission sq[CV_RING_SUBMISSIONS];
    uint32_t sq_count, sq_max;
    struct cv_completion *cq;  // owned; the queue, and behind it what it had no room for
    uint32_t cq_head, cq_count, cq_max, cq_room;
    uint32_t overflows;
    uint32_t held[ADDRESSES];    // Connections by address: not released,
    uint32_t let_go[ADDRESSES];  // and released while completions waited to be taken.
    bool has_accepted;           // Since the last check.
    bool has_splinters;          // What is not much comes in very many pieces.
    bool is_draining;            // It empties the queue of a listener, or has closed one.
    struct sim_figures figures;
    uint64_t enters;
    uint64_t turns;     // Those before which every completion was taken, and that handed out all
    uint32_t lap_left;  // that waited at their beginning; so much of it is left.
    uint32_t portion;   // The most that one wait hands out.
    uint64_t echo;      // The user_data of messages to itself.
    uint64_t stolen_ns;
    uint64_t wake_at_ns;
    uint64_t alarm_ns;   // Its one time-out: moved when a wait ends before it, else left.
    uint64_t turned_ns;  // When its last turn was.
    bool is_awake;  // The last wait ended at once: what the turn did with it decides the next one.
    uint8_t *memory;  // owned
    uint8_t holders[CV_RING_BUFFERS];
    uint16_t filled[CV_RING_BUFFERS];  // Bytes of it that are not poison.
    uint16_t free_buffer[CV_RING_BUFFERS];
    uint16_t given_back[CV_RING_BUFFERS];  // The kernel gets them at the next submission.
    uint32_t buffer_count, free_count, given_count, lent;
    bool has_memory[CV_RING_MEMORIES_MAX];
    uint32_t ready[SIM_SOCKETS_MAX + ECHOES_MAX];  // The one that waits longest first.
    uint32_t ready_count;
};

struct sim_kernel sim;

static struct {
    struct sim_socket socket[SIM_SOCKETS_MAX];
    uint32_t socket_count;
    uint32_t free_socket[SIM_SOCKETS_MAX];
    uint32_t free_count;
    uint32_t by_descriptor[SIM_SOCKETS_MAX];  // Socket index + 1; 0: free.
    struct cv_ring *ring[SIM_RINGS_MAX];
    uint32_t ring_count;
    uint32_t next_id;
    uint64_t start_ns;
    uint64_t arrival_ns;  // The next one.
    uint64_t arrived_ns;  // The last one.
} kernel;

// Small things.
void sim_event(const char *what, uint64_t a, uint64_t b) {
    sim.events++;
    sim.hash = (sim.hash ^ (a * 0x9e3779b97f4a7c15u) ^ (b + sim.events)) * 0xff51afd7ed558ccdu;
    sim.hash ^= sim.hash >> 32;
    if (CV_UNLIKELY(sim.is_traced)) {
        printf("%12.6f  w%-2d %-24s %llu %lld\n", (double)sim.now_ns / 1e9, sim.current, what,
               (unsigned long long)a, (long long)b);
    }
}

void sim_fail(const char *format, ...) {
    va_list list;
    (void)fflush(stdout);
    va_start(list, format);
    (void)fprintf(stderr, "seed %llu at %.6f s: ", (unsigned long long)sim.plan.seed,
                  (double)sim.now_ns / 1e9);
    (void)vfprintf(stderr, format, list);
    (void)fputc('\n', stderr);
    va_end(list);
    _exit(SIM_EXIT_BROKEN);
}

#define MUST(condition, ...) \
    do { \
        if (CV_UNLIKELY(!(condition))) { \
            sim_fail(__VA_ARGS__); \
        } \
    } while (0)

static void *must(void *memory) {
    MUST(memory != NULL, "the simulation itself is out of memory");
    return memory;
}

static uint32_t below(uint32_t end) {
    return sim_random_below(&sim.random, end);
}

static uint64_t digest(const void *data, size_t length) {
    return XXH3_64bits(data, length);
}

static void bytes_append(struct bytes *bytes, const void *data, size_t length) {
    if (bytes->head + bytes->length + length > bytes->room) {
        if (bytes->head > 0) {
            memmove(bytes->data, bytes->data + bytes->head, bytes->length);
            bytes->head = 0;
        }
        if (bytes->length + length > bytes->room) {
            bytes->room = 2 * (bytes->length + length);
            bytes->data = must(realloc(bytes->data, bytes->room));
        }
    }
    memcpy(bytes->data + bytes->head + bytes->length, data, length);
    bytes->length += length;
}

static void bytes_consume(struct bytes *bytes, size_t length) {
    bytes->head += length;
    bytes->length -= length;
    if (bytes->length == 0) {
        bytes->head = 0;
    }
}

static void bytes_clear(struct bytes *bytes) {
    bytes->head = bytes->length = 0;
}

// Time.
int __wrap_clock_gettime(clockid_t id, struct timespec *time);
int __wrap_clock_gettime(clockid_t id, struct timespec *time) {
    uint64_t ns = sim.now_ns;
    if (id == CLOCK_REALTIME) {
        ns = ns - kernel.start_ns + REALTIME_S * 1000000000ull;
    }
    *time = (struct timespec){(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    return 0;
}

// The processor's own counter of time is none of the simulation's.
void __real_cv_clock_init(struct cv_clock *clock);
void __wrap_cv_clock_init(struct cv_clock *clock);
void __wrap_cv_clock_init(struct cv_clock *clock) {
    __real_cv_clock_init(clock);
    clock->rated_ticks = 0;
}

void sim_spend(uint64_t ns) {
    sim.now_ns += ns;
    sim.held_ns += ns;
    sim_event("time in a turn", ns, 0);
}

void sim_steal(uint64_t ns) {
    kernel.ring[sim.current]->stolen_ns += ns;
    sim_spend(ns);
}

uint64_t sim_stolen_ns(uint32_t worker) {
    return kernel.ring[worker]->stolen_ns;
}

int __wrap_cv_schedstat_open(void);
int __wrap_cv_schedstat_open(void) {
    return SCHEDSTAT_BASE + sim.current;
}

uint64_t __wrap_cv_schedstat_waited_ns(int descriptor);
uint64_t __wrap_cv_schedstat_waited_ns(int descriptor) {
    MUST(descriptor == SCHEDSTAT_BASE + sim.current, "the time of another thread is asked for");
    return sim_stolen_ns((uint32_t)sim.current);
}

// The machine, or the thread alone, stands still in a system call; often when something has just
// arrived, and then often until shortly after the call's time is over.
static void stand_still(uint64_t timeout_ns) {
    bool has_arrived = sim.now_ns - kernel.arrived_ns < ARRIVED_NS;
    if (sim_strikes(SIM_PAUSE, has_arrived ? 600 : 2)) {
        uint64_t pause_ns = sim_random_size(&sim.random, PAUSE_MS_MAX) * 1000000ull;
        bool is_short = has_arrived && timeout_ns < pause_ns && below(2) == 0;
        sim_spend(is_short ? timeout_ns + below(SHORT_NS_MAX) : pause_ns);
    }
    if (sim_strikes(SIM_STEAL, 2)) {
        sim_steal(sim_random_size(&sim.random, PAUSE_MS_MAX) * 1000000ull);
    }
}

// Sockets and descriptors.
static uint32_t index_of(const struct sim_socket *socket) {
    return (uint32_t)(socket - kernel.socket);
}

static struct sim_socket *socket_create(enum kind kind) {
    uint32_t index;
    if (kernel.free_count > 0) {
        index = kernel.free_socket[--kernel.free_count];
    } else {
        MUST(kernel.socket_count < SIM_SOCKETS_MAX, "the simulation is out of sockets");
        index = kernel.socket_count++;
    }
    struct sim_socket *socket = &kernel.socket[index];
    struct bytes input = socket->input;
    struct bytes output = socket->output;
    struct bytes under_way = socket->under_way;
    bytes_clear(&input);
    bytes_clear(&output);
    bytes_clear(&under_way);
    *socket = (struct sim_socket){.kind = kind,
                                  .id = ++kernel.next_id,
                                  .descriptor = -1,
                                  .input = input,
                                  .output = output,
                                  .under_way = under_way};
    return socket;
}

static void socket_free(struct sim_socket *socket) {
    free(socket->queue);
    socket->queue = NULL;
    socket->kind = KIND_FREE;
    if (!socket->is_ready) {
        kernel.free_socket[kernel.free_count++] = index_of(socket);
    }
}

// The lowest free number, as a kernel does: numbers come again at once.
static int descriptor_create(struct sim_socket *socket) {
    uint32_t at = 0;
    while (at < SIM_SOCKETS_MAX && kernel.by_descriptor[at] != 0) {
        at++;
    }
    MUST(at < SIM_SOCKETS_MAX, "the simulation is out of descriptors");
    kernel.by_descriptor[at] = index_of(socket) + 1;
    socket->descriptor = DESCRIPTOR_BASE + (int)at;
    return socket->descriptor;
}

static struct sim_socket *socket_at(int descriptor) {
    uint32_t at = (uint32_t)(descriptor - DESCRIPTOR_BASE);
    MUST(at < SIM_SOCKETS_MAX && kernel.by_descriptor[at] != 0,
         "descriptor %d is used and is not open", descriptor);
    return &kernel.socket[kernel.by_descriptor[at] - 1];
}

static bool is_simulated(int descriptor) {
    return descriptor >= DESCRIPTOR_BASE &&
           (uint32_t)(descriptor - DESCRIPTOR_BASE) < SIM_SOCKETS_MAX;
}

static void mark_ready(struct sim_socket *socket) {
    struct cv_ring *ring = socket->ring;
    if (ring != NULL && !socket->is_ready) {
        socket->is_ready = true;
        ring->ready[ring->ready_count++] = index_of(socket);
    }
}

static void note_moved(struct sim_socket *socket) {
    if (socket->ring != NULL) {
        socket->moved_turn = socket->ring->turns;
    }
}

static void strike(struct sim_socket *socket) {
    socket->is_struck = true;
    socket->input_reset = socket->output_reset = true;
    bytes_clear(&socket->output);
    mark_ready(socket);
    sim_event("struck", socket->id, 0);
}

// What these errors say of a connection holds for all that follows.
static void break_if_fatal(struct sim_socket *socket, int error) {
    if (error == ECONNRESET || error == EPIPE || error == ETIMEDOUT || error == EHOSTUNREACH ||
        error == ENOTCONN) {
        bytes_clear(&socket->input);
        strike(socket);
    }
}

// The server's end is over when it has no descriptor and the kernel holds nothing of it: only then
// does the peer hear of it (close(2) does not end an armed multishot receive).
static void release_if_over(struct sim_socket *socket) {
    if (socket->kind != KIND_CONNECTION || socket->descriptor >= 0 || socket->is_released ||
        socket->receive.is_armed || socket->send.is_armed) {
        return;
    }
    socket->is_released = true;
    if (socket->ring != NULL) {
        socket->ring->held[socket->address]--;
        socket->ring->let_go[socket->address]++;
    }
    if (!socket->output_reset) {
        if (socket->input.length > 0 || socket->resets_on_close) {
            // Whatever was on its way is lost with it.
            socket->output_reset = true;
            bytes_clear(&socket->output);
        }
        socket->output_ended = true;
    }
    sim_event("released", socket->id, socket->output_reset);
    bytes_clear(&socket->input);
    mark_ready(socket);  // Its loans are free now.
    if (socket->is_abandoned && socket->loan_count == 0) {
        socket_free(socket);
    }
}

static void descriptor_close(int descriptor) {
    struct sim_socket *socket = socket_at(descriptor);
    kernel.by_descriptor[descriptor - DESCRIPTOR_BASE] = 0;
    socket->descriptor = -1;
    if (socket->kind == KIND_LISTENER) {
        MUST(!socket->accept.is_armed, "a listener is closed while it accepts");
        if (socket->ring != NULL) {
            socket->ring->is_draining = true;
        }
        for (uint32_t i = 0; i < socket->queue_count; i++) {
            struct sim_socket *waiting = &kernel.socket[socket->queue[i]];
            MUST(waiting->is_abandoned || waiting->input_reset || sim.plan.faults == 0 ||
                     sim_may(SIM_STOP),
                 "a listener is closed with a client in its queue");
            waiting->is_released = waiting->output_reset = true;
            if (waiting->is_abandoned) {
                socket_free(waiting);
            }
        }
        socket_free(socket);
    } else if (socket->kind == KIND_EVENT) {
        MUST(!socket->read.is_armed || sim.current < 0, "an eventfd is closed while it is read");
        socket_free(socket);
    } else {
        release_if_over(socket);
    }
}

int sim_listener_create(void) {
    struct sim_socket *socket = socket_create(KIND_LISTENER);
    socket->queue = must(calloc(QUEUE_MAX, sizeof(*socket->queue)));
    return descriptor_create(socket);
}

int sim_eventfd_create(void) {
    return descriptor_create(socket_create(KIND_EVENT));
}

uint64_t sim_eventfd_take(int descriptor) {
    struct sim_socket *socket = socket_at(descriptor);
    uint64_t count = socket->count;
    socket->count = 0;
    return count;
}

static void eventfd_add(int descriptor, uint64_t count) {
    struct sim_socket *socket = socket_at(descriptor);
    MUST(socket->kind == KIND_EVENT, "only an eventfd is written: others start an io-wq thread");
    socket->count += count;
    mark_ready(socket);
}

int __wrap_eventfd(unsigned initial, int flags);
int __wrap_eventfd(unsigned initial, int flags) {
    (void)initial, (void)flags;
    errno = sim_torture_call(SIM_CALL_EVENTFD);
    return errno != 0 ? -1 : sim_eventfd_create();
}

ssize_t __real_write(int descriptor, const void *data, size_t bytes);
ssize_t __wrap_write(int descriptor, const void *data, size_t bytes);
ssize_t __wrap_write(int descriptor, const void *data, size_t bytes) {
    if (!is_simulated(descriptor)) {
        return __real_write(descriptor, data, bytes);
    }
    MUST(bytes == sizeof(uint64_t), "%zu bytes are written to an eventfd", bytes);
    eventfd_add(descriptor, *(const uint64_t *)data);
    return (ssize_t)bytes;
}

int __real_close(int descriptor);
int __wrap_close(int descriptor);
int __wrap_close(int descriptor) {
    if (!is_simulated(descriptor)) {
        return descriptor < SCHEDSTAT_BASE ? __real_close(descriptor) : 0;
    }
    descriptor_close(descriptor);
    return 0;
}

// Completions.
static struct cv_completion *cq_at(struct cv_ring *ring, uint32_t index) {
    return &ring->cq[(ring->cq_head + index) & (ring->cq_room - 1)];
}

// Behind a full queue completions wait until there is room: none is lost.
static void post(struct cv_ring *ring, struct cv_completion completion) {
    MUST(ring->cq_count < ring->cq_room, "the simulation is out of completions");
    if (ring->cq_count >= ring->cq_max) {
        ring->overflows++;
        sim_event("overflow", ring->index, 0);
    }
    *cq_at(ring, ring->cq_count++) = completion;
    sim_event("completion", completion.user_data, (uint64_t)(int64_t)completion.result);
}

static void post_result(struct cv_ring *ring, uint64_t user_data, int32_t result) {
    post(ring, (struct cv_completion){
                   .user_data = user_data, .result = result, .buffer = CV_RING_NO_BUFFER});
}

// A multishot operation goes on only where its completion found room (io_req_post_cqe).
static bool goes_on(const struct cv_ring *ring) {
    return ring->cq_count < ring->cq_max && !sim_strikes(SIM_MULTISHOT_END, 20);
}

static void end_operation(struct sim_socket *socket, struct operation *operation, int32_t result) {
    operation->is_armed = false;
    post_result(socket->ring, operation->user_data, result);
}

// Receiving.
static uint32_t take_buffer(struct cv_ring *ring) {
    uint32_t at = below(ring->free_count);
    uint32_t buffer = ring->free_buffer[at];
    ring->free_buffer[at] = ring->free_buffer[--ring->free_count];
    MUST(ring->holders[buffer] == 0, "the kernel fills buffer %u, which is lent", buffer);
    ring->holders[buffer] = 1;
    ring->lent++;
    return buffer;
}

// Returns whether the receive may go on at once.
static bool receive_piece(struct sim_socket *socket) {
    struct cv_ring *ring = socket->ring;
    struct operation *receive = &socket->receive;
    if (socket->input.length == 0) {
        if (socket->input_reset || socket->output_reset) {
            end_operation(socket, receive, -ECONNRESET);
        } else if (socket->input_ended) {
            end_operation(socket, receive, 0);
        } else if (!receive->is_poll_first && ring->free_count == 0) {
            end_operation(socket, receive, -ENOBUFS);
        }
        return false;
    }
    if (ring->free_count == 0) {
        end_operation(socket, receive, -ENOBUFS);
        return false;
    }
    int error = sim_torture_call(SIM_CALL_RECEIVE);
    if (CV_UNLIKELY(error != 0)) {
        break_if_fatal(socket, error);
        end_operation(socket, receive, -error);
        return false;
    }
    size_t length = CV_MIN(socket->input.length, (size_t)CV_RING_BUFFER_BYTES);
    if (!receive->is_multishot) {
        length = CV_MIN(length, receive->length);
    }
    bool is_splinter = ring->has_splinters && socket->input.length < CV_RING_BUFFER_BYTES;
    bool is_short = is_splinter || sim_strikes(SIM_SHORT_RECEIVE, 100);
    if (is_short) {
        size_t most = is_splinter ? CV_MIN(length, (size_t)SPLINTER_BYTES_MAX) : length;
        length = sim_random_size(&sim.random, (uint32_t)most);
    }
    uint32_t buffer = take_buffer(ring);
    memcpy(ring->memory + (size_t)buffer * CV_RING_BUFFER_BYTES,
           socket->input.data + socket->input.head, length);
    ring->filled[buffer] = (uint16_t)length;
    ring->figures.received_bytes += length;
    note_moved(socket);
    bytes_consume(&socket->input, length);
    // The pieces of a bundle are one completion: nothing comes between them.
    receive->length -= receive->is_multishot ? 0 : length;
    bool more = receive->is_multishot ? goes_on(ring)
                                      : !is_short && receive->length > 0 &&
                                            socket->input.length > 0 && ring->free_count > 0;
    receive->is_armed = more;
    post(ring, (struct cv_completion){.user_data = receive->user_data,
                                      .result = (int32_t)length,
                                      .buffer = buffer,
                                      .more = more});
    return more && (!receive->is_multishot || !sim_strikes(SIM_DELAY, 100));
}

static void progress_receive(struct sim_socket *socket) {
    if (!socket->receive.is_armed) {
        return;
    }
    if (socket->receive.is_doomed) {
        socket->receive.is_doomed = false;
        if (socket->input.length > 0 && socket->ring->free_count > 0 && receive_piece(socket)) {
            end_operation(socket, &socket->receive, -ECANCELED);
        } else if (socket->receive.is_armed) {
            end_operation(socket, &socket->receive, -ECANCELED);
        }
        release_if_over(socket);
        return;
    }
    bool is_bundle = !socket->receive.is_multishot;
    for (uint32_t i = 0; (i < 32 || is_bundle) && receive_piece(socket); i++) {
    }
    if (socket->receive.is_armed && (socket->input.length > 0 || socket->input_ended ||
                                     socket->input_reset || socket->output_reset)) {
        mark_ready(socket);
    }
    release_if_over(socket);
}

// Sending.
static size_t send_length(const struct operation *send) {
    size_t length = send->single.iov_len;
    if (send->message != NULL) {
        length = 0;
        for (size_t i = 0; i < send->message->msg_iovlen; i++) {
            MUST(send->message->msg_iov[i].iov_len > 0, "an empty vector in a send");
            length += send->message->msg_iov[i].iov_len;
        }
    }
    return length;
}

static uint64_t send_digest(const struct operation *send) {
    if (send->message == NULL) {
        return digest(send->single.iov_base, send->single.iov_len);
    }
    uint64_t all = 0;
    for (size_t i = 0; i < send->message->msg_iovlen; i++) {
        const struct iovec *vector = &send->message->msg_iov[i];
        all = all * 31 + digest(vector->iov_base, vector->iov_len);
    }
    return all;
}

static void watch_send(struct operation *send) {
    if (send->is_armed) {
        send->digest = send_digest(send);
        send->has_digest = true;
    }
}

static void send_bytes(struct sim_socket *socket, size_t length) {
    const struct operation *send = &socket->send;
    const struct iovec *vector = send->message == NULL ? &send->single : send->message->msg_iov;
    size_t skip = send->done;
    size_t left = length;
    for (; left > 0; vector++) {
        if (skip >= vector->iov_len) {
            skip -= vector->iov_len;
            continue;
        }
        size_t piece = CV_MIN(left, vector->iov_len - skip);
        if (!socket->is_abandoned) {
            bytes_append(&socket->output, (const char *)vector->iov_base + skip, piece);
        }
        left -= piece;
        skip = 0;
    }
    socket->send.done += length;
    socket->ring->figures.sent_bytes += length;
    if (length > 0) {
        note_moved(socket);
        sim_event("sends", socket->id, length);
    }
}

static size_t send_room(const struct sim_socket *socket) {
    size_t queued = socket->output.length;
    return socket->is_abandoned ? SIZE_MAX : socket->window > queued ? socket->window - queued : 0;
}

static bool is_broken(const struct sim_socket *socket) {
    return socket->input_reset || socket->output_reset || socket->is_shut;
}

static void end_send(struct sim_socket *socket, int32_t error) {
    struct operation *send = &socket->send;
    MUST(!send->has_digest || send->digest == send_digest(send),
         "bytes of a send changed before it was over");
    send->is_armed = false;
    bool is_whole = send->done == send->length;
    if (send->mode != CV_RING_SEND_QUIET || !is_whole) {
        post_result(socket->ring, send->user_data, send->done > 0 ? (int32_t)send->done : error);
    } else {
        sim_event("quiet", send->user_data, send->length);
    }
    release_if_over(socket);
}

// With a notification, late as any other, or without one.
static void refuse_zero_copy(struct sim_socket *socket) {
    struct operation *send = &socket->send;
    bool has_notice = below(2) == 0;
    socket->is_for_copying = below(2) == 0;
    send->is_armed = false;
    if (has_notice) {
        socket->loan[socket->loan_count++] = (struct loan){.user_data = send->user_data,
                                                           .data = send->single.iov_base,
                                                           .digest = digest(NULL, 0),
                                                           .is_copied = true};
        mark_ready(socket);
    }
    post(socket->ring,
         (struct cv_completion){.user_data = send->user_data,
                                .result = socket->is_for_copying ? -EOPNOTSUPP : -ENOMEM,
                                .buffer = CV_RING_NO_BUFFER,
                                .more = has_notice});
    release_if_over(socket);
}

// What it can of a send without a copy: it goes out once, and its memory is lent until the peer has
// it.
static void send_zero_copy(struct sim_socket *socket) {
    struct operation *send = &socket->send;
    size_t length = CV_MIN(send->length, send_room(socket));
    if (socket->loan_count == LOANS_MAX) {
        end_send(socket, -ENOBUFS);
        return;
    }
    MUST(!socket->is_for_copying, "a zero-copy send where there can be none");
    if (sim_strikes(SIM_NO_ZERO_COPY, 100)) {
        refuse_zero_copy(socket);
        return;
    }
    if (length == 0) {
        if (send->is_doomed) {
            end_send(socket, -ECANCELED);
        }
        return;
    }
    if (length > 1 && sim_strikes(SIM_SHORT_SEND, 100)) {
        length = sim_random_size(&sim.random, (uint32_t)length);
    }
    socket->loan[socket->loan_count++] = (struct loan){
        .user_data = send->user_data,
        .data = send->single.iov_base,
        .length = length,
        .digest = digest(send->single.iov_base, length),
        .is_copied = below(20) == 0,
    };
    send_bytes(socket, length);
    send->is_armed = false;
    post(socket->ring, (struct cv_completion){.user_data = send->user_data,
                                              .result = (int32_t)length,
                                              .buffer = CV_RING_NO_BUFFER,
                                              .more = true});
    mark_ready(socket);
    release_if_over(socket);
}

static bool is_immediate(const struct operation *send) {
    return send->mode == CV_RING_SEND_QUIET || send->mode == CV_RING_SEND_NOW;
}

// A send that waits for room at a peer that has ended blocks an io-wq thread. The server may take a
// few turns to end it: cancels fail, and what was queued before is handed over with them.
static void check_wait(const struct sim_socket *socket, const struct operation *send) {
    MUST(!socket->has_heard || is_immediate(send) || send->is_doomed ||
             socket->ring->turns - socket->heard_turn <= HEARD_TURNS_MAX,
         "a send waits for a peer that has ended: it blocks an io-wq thread");
}

static void progress_send(struct sim_socket *socket) {
    struct operation *send = &socket->send;
    if (!send->is_armed) {
        return;
    }
    if (is_broken(socket)) {
        end_send(socket, socket->input_reset ? -ECONNRESET : -EPIPE);
        return;
    }
    check_wait(socket, send);
    if (send->is_zero_copy) {
        send_zero_copy(socket);
        return;
    }
    size_t length = CV_MIN(send->length - send->done, send_room(socket));
    bool is_short = length > 1 && sim_strikes(SIM_SHORT_SEND, 50);
    if (is_short) {
        length = sim_random_size(&sim.random, (uint32_t)CV_MIN(length, (size_t)UINT32_MAX));
    }
    send_bytes(socket, length);
    if (send->done == send->length || is_immediate(send) ||
        (send->mode == CV_RING_SEND_SOME && send->done > 0) || send->is_doomed) {
        end_send(socket, send->is_doomed ? -ECANCELED : -EAGAIN);
    } else if (is_short) {
        mark_ready(socket);
    }
}

// Loans of zero-copy sends are free when the peer has acknowledged them, or when the socket is
// gone.
static void progress_loans(struct sim_socket *socket) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < socket->loan_count; i++) {
        struct loan *loan = &socket->loan[i];
        bool is_reset = socket->input_reset || socket->output_reset;
        bool waits =
            socket->is_frozen && !socket->is_abandoned
                ? !is_reset
                : !socket->is_released && !is_broken(socket) && sim_strikes(SIM_LATE_NOTICE, 700);
        if (kept > 0 || waits) {
            socket->loan[kept++] = *loan;
            continue;
        }
        MUST(loan->digest == digest(loan->data, loan->length),
             "bytes of a zero-copy send changed before it was acknowledged");
        post(socket->ring, (struct cv_completion){.user_data = loan->user_data,
                                                  .result = loan->is_copied,
                                                  .buffer = CV_RING_NO_BUFFER,
                                                  .is_free = true});
    }
    socket->loan_count = kept;
    if (kept > 0) {
        mark_ready(socket);
    } else if (socket->is_released && socket->is_abandoned) {
        socket_free(socket);
    }
}

// Accepting.
static int take_waiting(struct sim_socket *listener, struct cv_ring *ring) {
    struct sim_socket *socket = &kernel.socket[listener->queue[0]];
    listener->queue_count--;
    memmove(&listener->queue[0], &listener->queue[1],
            listener->queue_count * sizeof(*listener->queue));
    socket->ring = ring;
    socket->accepted_ns = sim.now_ns;
    socket->is_one_too_many =
        sim.per_address_max > 0 &&
        ring->held[socket->address] + ring->let_go[socket->address] >= sim.per_address_max;
    ring->held[socket->address]++;
    ring->has_accepted = true;
    ring->figures.accepted++;
    note_moved(socket);
    int descriptor = descriptor_create(socket);
    sim_event("accepted", socket->id, (uint64_t)descriptor);
    return descriptor;
}

static void progress_accept(struct sim_socket *listener) {
    struct operation *accept = &listener->accept;
    if (accept->is_armed && accept->is_doomed && listener->queue_count == 0) {
        accept->is_doomed = false;
        end_operation(listener, accept, -ECANCELED);
        return;
    }
    while (accept->is_armed && listener->queue_count > 0) {
        if (sim_strikes(SIM_NO_DESCRIPTORS, 30)) {
            end_operation(listener, accept, below(2) == 0 ? -EMFILE : -ENFILE);
            return;
        }
        int error = sim_torture_call(SIM_CALL_ACCEPT);
        if (CV_UNLIKELY(error != 0)) {
            end_operation(listener, accept, -error);
            return;
        }
        if (sim_strikes(SIM_ABORT, 20)) {
            // Another client was gone before it was accepted.
            end_operation(listener, accept, -ECONNABORTED);
            return;
        }
        int descriptor = take_waiting(listener, listener->ring);
        bool more = accept->is_multishot && goes_on(listener->ring);
        accept->is_armed = more;
        post(listener->ring, (struct cv_completion){.user_data = accept->user_data,
                                                    .result = descriptor,
                                                    .buffer = CV_RING_NO_BUFFER,
                                                    .more = more});
    }
    if (accept->is_armed && accept->is_doomed) {
        mark_ready(listener);
    }
}

static void progress_read(struct sim_socket *socket) {
    if (socket->read.is_armed && socket->count > 0) {
        memcpy(socket->read.target, &socket->count, sizeof(socket->count));
        socket->count = 0;
        end_operation(socket, &socket->read, sizeof(socket->count));
    }
}

static void progress_socket(struct sim_socket *socket) {
    switch (socket->kind) {
    case KIND_CONNECTION:
        if (below(2) == 0) {
            progress_receive(socket);
            progress_send(socket);
        } else {
            progress_send(socket);
            progress_receive(socket);
        }
        if (socket->kind == KIND_CONNECTION && socket->loan_count > 0) {
            progress_loans(socket);
        }
        break;
    case KIND_LISTENER:
        progress_accept(socket);
        break;
    case KIND_EVENT:
        progress_read(socket);
        break;
    case KIND_FREE:
        break;
    }
}

static void progress_entry(uint32_t index) {
    struct sim_socket *socket = &kernel.socket[index];
    socket->is_ready = false;
    if (socket->kind == KIND_FREE) {
        kernel.free_socket[kernel.free_count++] = index;
    } else if (sim_strikes(SIM_DELAY, 200)) {
        mark_ready(socket);
    } else {
        if (socket->kind == KIND_CONNECTION && sim_strikes(SIM_RESET, 1) && !socket->output_reset) {
            strike(socket);
        }
        progress_socket(socket);
    }
}

// What can complete may, in any order, but for a message to the ring itself: that is behind all
// that waited when it was sent. Some of it waits for another time.
static void progress(struct cv_ring *ring) {
    sim_arrive();
    uint32_t count = CV_MIN(ring->ready_count, ring->portion);
    uint32_t ready[SIM_SOCKETS_MAX + ECHOES_MAX];
    memcpy(ready, ring->ready, count * sizeof(*ready));
    ring->ready_count -= count;
    memmove(ring->ready, ring->ready + count, ring->ready_count * sizeof(*ready));
    ring->lap_left -= CV_MIN(ring->lap_left, count);
    uint32_t end = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (ready[i] == ECHO) {
            post_result(ring, ring->echo, 0);
            continue;
        }
        for (end = CV_MAX(end, i); end < count && ready[end] != ECHO; end++) {
        }
        uint32_t other = i + below(end - i);
        uint32_t index = ready[other];
        ready[other] = ready[i];
        progress_entry(index);
    }
}

// Submissions.
static struct operation *find_operation(struct cv_ring *ring, uint64_t user_data,
                                        struct sim_socket **found) {
    for (uint32_t i = 0; i < kernel.socket_count; i++) {
        struct sim_socket *socket = &kernel.socket[i];
        if (socket->ring != ring || socket->kind == KIND_FREE) {
            continue;
        }
        struct operation *all[] = {&socket->receive, &socket->send, &socket->accept};
        for (size_t k = 0; k < CV_ARRAY_COUNT(all); k++) {
            if (all[k]->is_armed && all[k]->user_data == user_data) {
                *found = socket;
                return all[k];
            }
        }
    }
    return NULL;
}

static void submit_cancel(struct cv_ring *ring, const struct submission *submission) {
    struct sim_socket *socket = NULL;
    struct operation *operation = find_operation(ring, submission->target, &socket);
    sim_event("cancel", submission->target, operation != NULL);
    if (operation == NULL) {
        post_result(ring, submission->operation.user_data, -ENOENT);
    } else if (operation == &socket->send && operation->escapes < ESCAPES_MAX &&
               sim_strikes(SIM_LATE_CANCEL, 200)) {
        // It is just being tried again, and in no list.
        operation->escapes++;
        post_result(ring, submission->operation.user_data, -ENOENT);
    } else if (sim_strikes(SIM_LATE_CANCEL, 300) || sim_torture_call(SIM_CALL_CANCEL) != 0) {
        operation->is_doomed = true;
        mark_ready(socket);
        post_result(ring, submission->operation.user_data, -EALREADY);
    } else if (operation == &socket->send) {
        end_send(socket, -ECANCELED);
    } else {
        end_operation(socket, operation, -ECANCELED);
        release_if_over(socket);
    }
}

static void submit_message(struct cv_ring *ring, const struct submission *submission) {
    struct cv_ring *target = kernel.ring[submission->descriptor - DESCRIPTOR_BASE * 2];
    int error = sim_torture_call(SIM_CALL_MESSAGE);
    if (CV_UNLIKELY(error != 0)) {
        post_result(ring, submission->operation.user_data, -error);
    } else if (!target->is_enabled) {
        post_result(ring, submission->operation.user_data, -EBADFD);
    } else if (target->cq_count >= target->cq_max || sim_strikes(SIM_NO_MESSAGES, 100)) {
        post_result(ring, submission->operation.user_data, -EOVERFLOW);
    } else if (target == ring) {
        MUST(ring->ready_count < CV_ARRAY_COUNT(ring->ready), "too many messages to itself");
        ring->echo = submission->target;
        ring->ready[ring->ready_count++] = ECHO;
    } else {
        post_result(target, submission->target, 0);
    }
}

// A zero-copy send without memory for its notification has none; later failures bring it, as one
// of a copied send.
static void fail_send(struct sim_socket *socket, const struct operation *send, int error) {
    bool has_notice = send->is_zero_copy && error != ENOMEM;
    break_if_fatal(socket, error);
    post(socket->ring, (struct cv_completion){.user_data = send->user_data,
                                              .result = -error,
                                              .buffer = CV_RING_NO_BUFFER,
                                              .more = has_notice});
    if (has_notice) {
        post(socket->ring, (struct cv_completion){.user_data = send->user_data,
                                                  .result = 1,
                                                  .buffer = CV_RING_NO_BUFFER,
                                                  .is_free = true});
    }
}

static void arm(struct operation *place, const struct operation *operation, const char *what,
                const struct sim_socket *socket) {
    MUST(!place->is_armed, "two %ss at once on connection %u", what, socket->id);
    *place = *operation;
    place->is_armed = true;
}

// Connections by address that are open, will not be closed with what is queued, and are known to
// the server.
static void count_known(struct cv_ring *ring, int32_t count[ADDRESSES]) {
    memset(count, 0, ADDRESSES * sizeof(count[0]));
    for (uint32_t i = 0; i < kernel.socket_count; i++) {
        const struct sim_socket *socket = &kernel.socket[i];
        count[socket->address] +=
            socket->kind == KIND_CONNECTION && socket->ring == ring && socket->descriptor >= 0;
    }
    for (uint32_t i = 0; i < ring->sq_count; i++) {
        if (ring->sq[i].kind == SUBMIT_CLOSE) {
            const struct sim_socket *socket = socket_at(ring->sq[i].descriptor);
            count[socket->address] -= socket->kind == KIND_CONNECTION;
        }
    }
    for (uint32_t i = 0; i < ring->cq_count; i++) {
        const struct cv_completion *completion = cq_at(ring, i);
        if (covet_user_data_op(completion->user_data) == COVET_OP_ACCEPT &&
            completion->result >= 0) {
            count[socket_at(completion->result)->address]--;
        }
    }
}

// Whether that is plain without a look at each connection. (Whoever drains takes all that wait.)
static bool has_room_for(const struct cv_ring *ring, uint32_t needed) {
    uint32_t held = needed;
    for (uint32_t i = 0; i < ADDRESSES; i++) {
        held += ring->held[i];
    }
    return sim.connections_max == 0 || ring->is_draining || held < sim.connections_max;
}

// With as many connections as it may have a worker accepts none, but for those that its other
// listeners have just taken; near that it accepts them one by one, since a multishot accept takes
// all there are before it can be cancelled.
static void check_room(struct cv_ring *ring, uint32_t needed) {
    int32_t known[ADDRESSES];
    int32_t count = 0;
    if (has_room_for(ring, needed)) {
        return;
    }
    count_known(ring, known);
    for (uint32_t i = 0; i < ADDRESSES; i++) {
        count += known[i];
    }
    MUST(count + (int32_t)needed < (int32_t)(sim.connections_max + sim.listener_count),
         "%d connections are open, and more are accepted", count);
}

static bool is_cancelled(const struct cv_ring *ring, const struct operation *operation) {
    for (uint32_t i = 0; i < ring->sq_count; i++) {
        if (ring->sq[i].kind == SUBMIT_CANCEL && ring->sq[i].target == operation->user_data) {
            return true;
        }
    }
    return operation->is_doomed;
}

static void check_multishot(struct cv_ring *ring) {
    if (has_room_for(ring, BACKLOG_MAX)) {
        return;
    }
    for (uint32_t i = 0; i < kernel.socket_count; i++) {
        const struct sim_socket *socket = &kernel.socket[i];
        if (socket->ring == ring && socket->accept.is_armed && socket->accept.is_multishot &&
            !is_cancelled(ring, &socket->accept)) {
            check_room(ring, BACKLOG_MAX);
        }
    }
}

static void check_accepted(struct cv_ring *ring) {
    int32_t known[ADDRESSES];
    check_multishot(ring);
    if (sim.per_address_max == 0 || sim_torture.has_struck) {
        return;
    }
    count_known(ring, known);
    for (uint32_t i = 0; i < ADDRESSES; i++) {
        MUST(known[i] <= (int32_t)sim.per_address_max, "%d connections of one address are served",
             known[i]);
    }
}

static void submit(struct cv_ring *ring, struct submission *submission) {
    struct operation *operation = &submission->operation;
    if (submission->kind == SUBMIT_CANCEL) {
        submit_cancel(ring, submission);
        return;
    }
    if (submission->kind == SUBMIT_MESSAGE) {
        submit_message(ring, submission);
        return;
    }
    struct sim_socket *socket = socket_at(submission->descriptor);
    int error;
    switch (submission->kind) {
    case SUBMIT_ACCEPT:
        MUST(socket->kind == KIND_LISTENER, "an accept on what is no listener");
        socket->ring = ring;
        if (!operation->is_multishot) {
            check_room(ring, 1);
        }
        arm(&socket->accept, operation, "accept", socket);
        mark_ready(socket);
        break;
    case SUBMIT_RECEIVE:
        MUST(operation->is_poll_first || !socket->has_received,
             "a receive that expects nothing, behind another");
        socket->has_received = true;
        arm(&socket->receive, operation, "receive", socket);
        mark_ready(socket);
        break;
    case SUBMIT_SEND:
    case SUBMIT_ZERO_COPY:
        MUST(!socket->is_shut, "a send behind a shutdown on connection %u", socket->id);
        operation->length = send_length(operation);
        operation->is_zero_copy = submission->kind == SUBMIT_ZERO_COPY;
        MUST(operation->length > 0, "an empty send");
        check_wait(socket, operation);
        if ((error = sim_torture_call(operation->is_zero_copy ? SIM_CALL_ZERO_COPY
                                                              : SIM_CALL_SEND)) != 0) {
            fail_send(socket, operation, error);
            break;
        }
        if (sim_may(SIM_BUSY)) {
            sim_spend(below(SEND_NS_MAX));
        }
        arm(&socket->send, operation, "send", socket);
        if (is_immediate(operation) || !sim_strikes(SIM_DELAY, 300)) {
            progress_send(socket);
        } else {
            mark_ready(socket);
        }
        watch_send(&socket->send);
        break;
    case SUBMIT_READ:
        MUST(socket->kind == KIND_EVENT, "a read of what may block: it starts an io-wq thread");
        socket->ring = ring;
        if ((error = sim_torture_call(SIM_CALL_READ)) != 0) {
            post_result(ring, operation->user_data, -error);
            break;
        }
        arm(&socket->read, operation, "read", socket);
        mark_ready(socket);
        break;
    case SUBMIT_WRITE:
        if ((error = sim_torture_call(SIM_CALL_WRITE)) != 0) {
            post_result(ring, operation->user_data, -error);
            break;
        }
        eventfd_add(submission->descriptor, *(const uint64_t *)operation->single.iov_base);
        break;
    case SUBMIT_CLOSE:
        MUST(!socket->receive.is_armed || socket->receive.is_doomed,
             "connection %u is closed with its receive armed", socket->id);
        // It is closed whatever close says.
        descriptor_close(submission->descriptor);
        if ((error = sim_torture_call(SIM_CALL_CLOSE)) != 0) {
            post_result(ring, operation->user_data, -error);
        }
        break;
    default:
        sim_fail("unknown submission %d", (int)submission->kind);
    }
}

static void submit_all(struct cv_ring *ring) {
    // What came back is on offer before anything new can ask for it.
    for (uint32_t i = 0; i < ring->given_count; i++) {
        ring->free_buffer[ring->free_count++] = ring->given_back[i];
    }
    ring->given_count = 0;
    uint32_t count = ring->sq_count;
    ring->sq_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        submit(ring, &ring->sq[i]);
    }
    MUST(ring->sq_count == 0, "a submission while submitting");
}

static void assert_owner(const struct cv_ring *ring) {
    MUST(sim.current == (int)ring->index, "ring %u is used by thread %d", ring->index, sim.current);
}

static struct submission *next_submission(struct cv_ring *ring, enum submission_kind kind,
                                          int descriptor, uint64_t user_data) {
    assert_owner(ring);
    if (ring->sq_count == ring->sq_max) {
        sim_event("full", ring->index, 0);
        ring->enters++;
        submit_all(ring);
    }
    struct submission *submission = &ring->sq[ring->sq_count++];
    *submission = (struct submission){
        .kind = kind, .descriptor = descriptor, .operation = {.user_data = user_data}};
    return submission;
}

// ring/ring.h.
int cv_ring_create(struct cv_ring **out, const struct cv_ring_options *options) {
    (void)options;
    int error = sim_torture_call(SIM_CALL_RING_CREATE);
    if (CV_UNLIKELY(error != 0)) {
        return -error;
    }
    struct cv_ring *ring = must(calloc(1, sizeof(*ring)));
    ring->index = kernel.ring_count;
    kernel.ring[kernel.ring_count++] = ring;
    bool has_many = !sim_may(SIM_NO_BUFFERS) && below(20) == 0;
    ring->buffer_count = has_many                  ? CV_RING_BUFFERS
                         : sim_may(SIM_NO_BUFFERS) ? 2u << below(5)
                                                   : 256;
    // So there are more completions than a worker takes at once.
    ring->has_splinters = has_many && sim_may(SIM_SHORT_RECEIVE);
    ring->memory = must(malloc((size_t)ring->buffer_count * CV_RING_BUFFER_BYTES));
    for (uint32_t i = 0; i < ring->buffer_count; i++) {
        ring->free_buffer[ring->free_count++] = (uint16_t)i;
    }
    ring->sq_max = sim_may(SIM_SMALL_SQ) ? 1u << below(6) : CV_RING_SUBMISSIONS;
    ring->cq_max = sim_may(SIM_SMALL_CQ) ? 4u << below(5) : CV_RING_COMPLETIONS_MIN;
    ring->portion = sim_may(SIM_PORTIONS) ? PORTION : SIM_SOCKETS_MAX + ECHOES_MAX;
    ring->cq_room = 16384;
    ring->cq = must(malloc(ring->cq_room * sizeof(*ring->cq)));
    ring->wake_at_ns = 0;
    ring->alarm_ns = UINT64_MAX;
    ring->turned_ns = sim.now_ns;
    ring->features = (struct cv_ring_features){
        .defer_taskrun = true,
        .restricted = true,
        .message_ring = below(2) == 0,
        .bundles = below(2) == 0,
        .zero_copy = below(2) == 0 || sim.plan.has_zero_copy,
        .completions = ring->cq_max,
    };
    *out = ring;
    return 0;
}

int cv_ring_enable(struct cv_ring *ring) {
    assert_owner(ring);
    int error = sim_torture_call(SIM_CALL_RING_ENABLE);
    ring->is_enabled = error == 0;
    return -error;
}

void cv_ring_destroy(struct cv_ring *ring) {
    if (ring == NULL) {
        return;
    }
    kernel.ring[ring->index] = NULL;
    for (uint32_t i = 0; i < kernel.socket_count; i++) {
        if (kernel.socket[i].ring == ring) {
            kernel.socket[i].ring = NULL;
        }
    }
    free(ring->memory);
    free(ring->cq);
    free(ring);
}

const struct cv_ring_features *cv_ring_features(const struct cv_ring *ring) {
    return &ring->features;
}

int cv_ring_descriptor(const struct cv_ring *ring) {
    return DESCRIPTOR_BASE * 2 + (int)ring->index;
}

void cv_ring_accept(struct cv_ring *ring, int descriptor, bool multishot, uint64_t user_data) {
    next_submission(ring, SUBMIT_ACCEPT, descriptor, user_data)->operation.is_multishot = multishot;
}

void cv_ring_receive(struct cv_ring *ring, int descriptor, bool poll_first, uint64_t user_data) {
    struct operation *receive =
        &next_submission(ring, SUBMIT_RECEIVE, descriptor, user_data)->operation;
    receive->is_multishot = true;
    receive->is_poll_first = poll_first;
}

void cv_ring_receive_bundle(struct cv_ring *ring, int descriptor, uint32_t bytes_max,
                            uint64_t user_data) {
    MUST(ring->features.bundles && bytes_max > 0, "a bundle where there is none");
    struct operation *receive =
        &next_submission(ring, SUBMIT_RECEIVE, descriptor, user_data)->operation;
    receive->is_poll_first = true;
    receive->length = bytes_max;
}

void cv_ring_send(struct cv_ring *ring, int descriptor, const void *data, size_t bytes,
                  enum cv_ring_send_mode mode, uint64_t user_data) {
    struct operation *send = &next_submission(ring, SUBMIT_SEND, descriptor, user_data)->operation;
    send->mode = mode;
    send->single = (struct iovec){(void *)(uintptr_t)data, bytes};
}

void cv_ring_sendmsg(struct cv_ring *ring, int descriptor, const struct msghdr *message,
                     enum cv_ring_send_mode mode, uint64_t user_data) {
    struct operation *send = &next_submission(ring, SUBMIT_SEND, descriptor, user_data)->operation;
    send->mode = mode;
    send->message = message;
}

void cv_ring_send_zero_copy(struct cv_ring *ring, int descriptor, const void *data, size_t bytes,
                            uint32_t memory, uint64_t user_data) {
    MUST(ring->features.zero_copy, "a zero-copy send where there is none");
    MUST(memory == CV_RING_NO_MEMORY || ring->has_memory[memory],
         "a send from memory %u, which is not registered", memory);
    next_submission(ring, SUBMIT_ZERO_COPY, descriptor, user_data)->operation.single =
        (struct iovec){(void *)(uintptr_t)data, bytes};
}

void cv_ring_read(struct cv_ring *ring, int descriptor, void *data, uint32_t bytes,
                  uint64_t user_data) {
    MUST(bytes == sizeof(uint64_t), "a read of %u bytes", bytes);
    next_submission(ring, SUBMIT_READ, descriptor, user_data)->operation.target = data;
}

void cv_ring_write(struct cv_ring *ring, int descriptor, const void *data, uint32_t bytes,
                   uint64_t user_data) {
    MUST(bytes == sizeof(uint64_t), "a write of %u bytes", bytes);
    next_submission(ring, SUBMIT_WRITE, descriptor, user_data)->operation.single =
        (struct iovec){(void *)(uintptr_t)data, bytes};
}

void cv_ring_cancel(struct cv_ring *ring, uint64_t target, uint64_t user_data) {
    next_submission(ring, SUBMIT_CANCEL, -1, user_data)->target = target;
}

void cv_ring_close(struct cv_ring *ring, int descriptor, uint64_t user_data) {
    (void)next_submission(ring, SUBMIT_CLOSE, descriptor, user_data);
}

void cv_ring_message(struct cv_ring *ring, int ring_descriptor, uint64_t message_user_data,
                     uint64_t user_data) {
    next_submission(ring, SUBMIT_MESSAGE, ring_descriptor, user_data)->target = message_user_data;
}

// Where completions wait behind a full queue nothing is submitted before there is room (-EBUSY).
static bool is_busy(const struct cv_ring *ring) {
    return ring->cq_count > ring->cq_max;
}

int cv_ring_wait(struct cv_ring *ring, uint64_t now_ns, uint64_t deadline_ns) {
    assert_owner(ring);
    uint64_t timeout_ns = deadline_ns == UINT64_MAX ? UINT64_MAX
                          : deadline_ns > now_ns    ? deadline_ns - now_ns
                                                    : 0;
    MUST(ring->is_enabled, "a wait on a ring that is not enabled");
    if (ring->cq_count == 0) {
        memset(ring->let_go, 0, sizeof(ring->let_go));
        if (ring->lap_left == 0) {
            ring->turns++;
            ring->lap_left = ring->ready_count;
        }
    }
    if (ring->cq_count == 0 || ring->sq_count > 0) {
        ring->enters++;
    }
    uint64_t began_ns = sim.now_ns;
    stand_still(timeout_ns);
    // What fails hands nothing over, and the worker goes on.
    int error = sim_torture_call(SIM_CALL_WAIT);
    ring->all_submitted = !is_busy(ring) && error == 0;
    if (ring->all_submitted) {
        submit_all(ring);
        // A wait whose time is over ends without a look at what is there.
        bool is_over = timeout_ns > 0 && sim.now_ns - began_ns >= timeout_ns;
        if (!is_over || below(2) == 0) {
            progress(ring);
        }
    }
    ring->is_awake = ring->cq_count > 0 || error != 0 || sim.now_ns >= ring->wake_at_ns;
    // A worker that is asleep has been since its last turn, whenever the world looks at it again.
    uint64_t until_ns =
        timeout_ns > UINT64_MAX - ring->turned_ns ? UINT64_MAX : ring->turned_ns + timeout_ns;
    if (ring->alarm_ns <= sim.now_ns) {
        ring->alarm_ns = UINT64_MAX;  // It has gone off.
    }
    if (timeout_ns > 0) {
        ring->alarm_ns = CV_MIN(ring->alarm_ns, until_ns);
    }
    ring->wake_at_ns = CV_MIN(until_ns, ring->alarm_ns);
    ring->turned_ns = sim.now_ns;
    return 0;
}

void cv_ring_submit(struct cv_ring *ring) {
    assert_owner(ring);
    if (ring->sq_count > 0) {
        ring->enters++;
    }
    submit_all(ring);
    ring->all_submitted = true;
}

bool cv_ring_is_settled(const struct cv_ring *ring) {
    return ring->all_submitted && ring->cq_count == 0;
}

// The server takes the end of a connection's input: from now on no send of it may wait.
static void note_heard(struct cv_ring *ring, const struct cv_completion *completion) {
    for (uint32_t i = 0;
         i < kernel.socket_count && covet_user_data_op(completion->user_data) == COVET_OP_RECV;
         i++) {
        struct sim_socket *socket = &kernel.socket[i];
        if (socket->kind == KIND_CONNECTION && socket->ring == ring && socket->descriptor >= 0 &&
            socket->receive.user_data == completion->user_data) {
            socket->has_heard = true;
            socket->heard_turn = ring->turns;
        }
    }
}

uint32_t cv_ring_reap(struct cv_ring *ring, struct cv_completion *completions, uint32_t count_max) {
    assert_owner(ring);
    uint32_t count = CV_MIN(CV_MIN(ring->cq_count, ring->cq_max), count_max);
    for (uint32_t i = 0; i < count; i++) {
        completions[i] = *cq_at(ring, i);
        if (CV_UNLIKELY(completions[i].result == 0)) {
            note_heard(ring, &completions[i]);
        }
    }
    ring->cq_head = (ring->cq_head + count) & (ring->cq_room - 1);
    ring->cq_count -= count;
    return count;
}

uint64_t cv_ring_enters(const struct cv_ring *ring) {
    return ring->enters;
}

uint32_t cv_ring_overflows(const struct cv_ring *ring) {
    return ring->overflows;
}

uint8_t *cv_ring_buffer(const struct cv_ring *ring, uint32_t buffer) {
    MUST(buffer < ring->buffer_count && ring->holders[buffer] > 0, "buffer %u is read and not lent",
         buffer);
    return ring->memory + (size_t)buffer * CV_RING_BUFFER_BYTES;
}

void cv_ring_retain(struct cv_ring *ring, uint32_t buffer) {
    MUST(buffer < ring->buffer_count && ring->holders[buffer] > 0,
         "buffer %u is retained and not lent", buffer);
    ring->holders[buffer]++;
}

void cv_ring_give_back(struct cv_ring *ring, uint32_t buffer) {
    assert_owner(ring);
    MUST(buffer < ring->buffer_count && ring->holders[buffer] > 0, "buffer %u is given back twice",
         buffer);
    if (--ring->holders[buffer] == 0) {
        memset(ring->memory + (size_t)buffer * CV_RING_BUFFER_BYTES, POISON, ring->filled[buffer]);
        ring->given_back[ring->given_count++] = (uint16_t)buffer;
        ring->lent--;
    }
}

uint32_t cv_ring_buffers_lent(const struct cv_ring *ring) {
    return ring->lent;
}

uint32_t cv_ring_buffers_total(const struct cv_ring *ring) {
    return ring->buffer_count;
}

int cv_ring_add_memory(struct cv_ring *ring, uint32_t index, void *memory, size_t bytes) {
    (void)memory, (void)bytes;
    if (index >= CV_RING_MEMORIES_MAX) {
        return -ENOSPC;
    }
    MUST(!ring->has_memory[index], "memory %u is registered twice", index);
    int error = sim_torture_call(SIM_CALL_ADD_MEMORY);
    if (CV_UNLIKELY(error != 0)) {
        return -error;
    }
    ring->has_memory[index] = true;
    return 0;
}

void cv_ring_remove_memory(struct cv_ring *ring, uint32_t index) {
    if (index < CV_RING_MEMORIES_MAX) {
        ring->has_memory[index] = false;
    }
}

bool cv_ring_has_memory(const struct cv_ring *ring, uint32_t index) {
    return index < CV_RING_MEMORIES_MAX && ring->has_memory[index];
}

void cv_ring_shutdown(struct cv_ring *ring, int descriptor, int how) {
    assert_owner(ring);
    struct sim_socket *socket = socket_at(descriptor);
    MUST(how == SHUT_WR, "a shutdown of %d", how);
    MUST(!socket->send.is_armed, "a shutdown while a send is in flight");
    break_if_fatal(socket, sim_torture_call(SIM_CALL_SHUTDOWN));
    socket->is_shut = socket->output_ended = true;
    sim_event("shutdown", socket->id, 0);
}

void cv_ring_reset_on_close(struct cv_ring *ring, int descriptor) {
    assert_owner(ring);
    socket_at(descriptor)->resets_on_close = true;
}

uint32_t cv_ring_unacknowledged(struct cv_ring *ring, int descriptor) {
    assert_owner(ring);
    return (uint32_t)socket_at(descriptor)->output.length;
}

int cv_ring_accept_now(struct cv_ring *ring, int descriptor) {
    assert_owner(ring);
    struct sim_socket *listener = socket_at(descriptor);
    int error = listener->queue_count > 0 ? sim_torture_call(SIM_CALL_ACCEPT_NOW) : 0;
    ring->is_draining = true;
    if (CV_UNLIKELY(error != 0)) {
        return -error;
    }
    if (listener->queue_count > 0 && sim_strikes(SIM_ABORT, 300)) {
        return -ECONNABORTED;  // Another one was.
    }
    return listener->queue_count > 0 ? take_waiting(listener, ring) : -EAGAIN;
}

void cv_ring_peer(struct cv_ring *ring, int descriptor, struct cv_peer *peer) {
    assert_owner(ring);
    const struct sim_socket *socket = socket_at(descriptor);
    if (sim_torture_call(SIM_CALL_PEER) != 0) {
        *peer = (struct cv_peer){.family = CV_PEER_UNKNOWN};
        return;
    }
    *peer =
        (struct cv_peer){.family = CV_PEER_IPV4, .port = (uint16_t)(40000 + socket->id % 20000)};
    peer->address[0] = socket->address > 0 ? 192 : 127;
    peer->address[3] = 1 + socket->address;
    if (socket->address == ADDRESSES - 1) {
        // All hosts of a network count as one.
        peer->family = CV_PEER_IPV6;
        peer->address[15] = (uint8_t)socket->id;
    }
}

// The world's view.
void sim_kernel_init(const struct sim_plan *plan) {
    bool is_traced = sim.is_traced;
    sim = (struct sim_kernel){.plan = *plan, .current = -1};
    sim.is_traced = is_traced;
    sim_random_seed(&sim.random, plan->seed);
    kernel.start_ns = below(8) > 0 ? START_NS : WRAP_NS - below(3000) * 1000000ull;
    sim.now_ns = kernel.start_ns;
    kernel.arrival_ns = UINT64_MAX;
    kernel.arrived_ns = 0;
    // What is freed in some runs does not look as if it were still there.
    (void)mallopt(M_PERTURB, below(24) == 0 ? POISON : 0);
    kernel.ring_count = 0;
    kernel.next_id = 0;
}

bool sim_ring_is_ready(uint32_t worker) {
    const struct cv_ring *ring = kernel.ring[worker];
    return ring->is_awake || ring->cq_count > 0 || ring->sq_count > 0 || ring->ready_count > 0 ||
           sim.now_ns >= ring->wake_at_ns;
}

uint64_t sim_ring_wake_at_ns(uint32_t worker) {
    return kernel.ring[worker]->wake_at_ns;
}

void sim_ring_check(uint32_t worker) {
    struct cv_ring *ring = kernel.ring[worker];
    uint32_t count = 0;
    for (uint32_t i = 0; i < ring->cq_count && ring->lent > 0; i++) {
        count += cq_at(ring, i)->buffer != CV_RING_NO_BUFFER;
    }
    MUST(ring->lent == count, "%u receive buffers are kept behind a turn", ring->lent - count);
    if (ring->has_accepted) {
        check_accepted(ring);
    }
    ring->has_accepted = false;
}

void sim_ring_end(uint32_t worker) {
    struct cv_ring *ring = kernel.ring[worker];
    MUST(ring->sq_count == 0, "%u operations were never handed to the kernel", ring->sq_count);
    MUST(ring->lent == 0, "%u receive buffers were never given back", ring->lent);
    MUST(ring->free_count + ring->given_count == ring->buffer_count,
         "%u receive buffers of %u are left", ring->free_count + ring->given_count,
         ring->buffer_count);
    for (uint32_t i = 0; i < kernel.socket_count; i++) {
        struct sim_socket *socket = &kernel.socket[i];
        if (socket->kind == KIND_CONNECTION && socket->ring == ring) {
            MUST(socket->descriptor < 0, "connection %u was never closed", socket->id);
            MUST(!socket->receive.is_armed && !socket->send.is_armed && socket->loan_count == 0,
                 "an operation of connection %u is left behind", socket->id);
        }
    }
}

struct sim_figures sim_ring_figures(uint32_t worker) {
    return kernel.ring[worker]->figures;
}

void sim_kernel_deinit(void) {
    for (uint32_t i = 0; i < kernel.socket_count; i++) {
        struct sim_socket *socket = &kernel.socket[i];
        bytes_clear(&socket->input);
        bytes_clear(&socket->output);
        bytes_clear(&socket->under_way);
        free(socket->queue);
        socket->queue = NULL;
        socket->kind = KIND_FREE;
        socket->is_ready = false;
    }
    // Sockets keep their memory for the next seed.
    kernel.free_count = 0;
    while (kernel.free_count < kernel.socket_count) {
        kernel.free_socket[kernel.free_count] = kernel.socket_count - 1 - kernel.free_count;
        kernel.free_count++;
    }
    memset(kernel.by_descriptor, 0, sizeof(kernel.by_descriptor));
}

// The client's end.
struct sim_socket *sim_connect(void) {
    struct sim_socket *listeners[SIM_RINGS_MAX * SIM_LISTENERS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < kernel.socket_count; i++) {
        struct sim_socket *socket = &kernel.socket[i];
        if (socket->kind == KIND_LISTENER && socket->descriptor >= 0 &&
            socket->queue_count < QUEUE_MAX) {
            listeners[count++] = socket;
        }
    }
    // So many are gone and not seen to be, that the next one has to wait.
    bool is_full = kernel.free_count == 0 && kernel.socket_count == SIM_SOCKETS_MAX;
    if (count == 0 || is_full) {
        return NULL;
    }
    struct sim_socket *listener = listeners[below(count)];
    struct sim_socket *socket = socket_create(KIND_CONNECTION);
    socket->window = 65536;
    socket->address = (uint8_t)(below(2) == 0 ? 0 : 1 + below(ADDRESSES - 1));
    listener->queue[listener->queue_count++] = index_of(socket);
    mark_ready(listener);
    sim_event("connect", socket->id, 0);
    return socket;
}

size_t sim_socket_send(struct sim_socket *socket, const void *data, size_t length) {
    if (socket->is_released || socket->output_reset) {
        return length;  // Into the void; what comes back says so.
    }
    size_t room = RECEIVE_QUEUE_BYTES - CV_MIN((size_t)RECEIVE_QUEUE_BYTES, socket->input.length);
    length = CV_MIN(length, room);
    if (length > 0) {
        bytes_append(&socket->input, data, length);
        note_moved(socket);
        mark_ready(socket);
        sim_event("client sends", socket->id, length);
    }
    return length;
}

void sim_socket_send_at(struct sim_socket *socket, const void *data, size_t length,
                        uint64_t at_ns) {
    MUST(socket->arrives_ns == 0, "the simulation sends twice at once");
    bytes_append(&socket->under_way, data, length);
    socket->arrives_ns = at_ns;
    kernel.arrival_ns = CV_MIN(kernel.arrival_ns, at_ns);
    sim_event("client sends ahead", socket->id, length);
}

bool sim_socket_is_under_way(const struct sim_socket *socket) {
    return socket->arrives_ns != 0;
}

void sim_arrive(void) {
    if (CV_LIKELY(sim.now_ns < kernel.arrival_ns)) {
        return;
    }
    kernel.arrival_ns = UINT64_MAX;
    for (uint32_t i = 0; i < kernel.socket_count; i++) {
        struct sim_socket *socket = &kernel.socket[i];
        if (socket->kind != KIND_CONNECTION || socket->arrives_ns == 0) {
            continue;
        }
        if (sim.now_ns < socket->arrives_ns) {
            kernel.arrival_ns = CV_MIN(kernel.arrival_ns, socket->arrives_ns);
        } else if (socket->is_released || socket->output_reset) {
            socket->arrives_ns = UINT64_MAX;
        } else {
            (void)sim_socket_send(socket, socket->under_way.data, socket->under_way.length);
            bytes_clear(&socket->under_way);
            socket->arrives_ns = 0;
            kernel.arrived_ns = sim.now_ns;
        }
    }
}

uint64_t sim_arrival_ns(void) {
    return kernel.arrival_ns;
}

const uint8_t *sim_socket_peek(struct sim_socket *socket, size_t *length) {
    *length = socket->output.length;
    return *length == 0 ? NULL : socket->output.data + socket->output.head;
}

void sim_socket_consume(struct sim_socket *socket, size_t length) {
    if (length > 0) {
        sim_event("client takes", digest(socket->output.data + socket->output.head, length),
                  length);
        bytes_consume(&socket->output, length);
        note_moved(socket);
        mark_ready(socket);
    }
}

void sim_socket_set_window(struct sim_socket *socket, size_t bytes) {
    socket->window = bytes;
    mark_ready(socket);
}

void sim_socket_freeze(struct sim_socket *socket) {
    socket->is_frozen = true;
}

void sim_socket_shutdown(struct sim_socket *socket) {
    socket->input_ended = true;
    mark_ready(socket);
    sim_event("client ends", socket->id, 0);
}

bool sim_socket_has_news(const struct sim_socket *socket) {
    return socket->output.length > 0 || socket->output_ended || socket->output_reset;
}

bool sim_socket_is_ended(const struct sim_socket *socket) {
    return socket->output_ended;
}

bool sim_socket_is_reset(const struct sim_socket *socket) {
    return socket->output_reset;
}

bool sim_socket_was_struck(const struct sim_socket *socket) {
    return socket->is_struck;
}

bool sim_socket_is_full(const struct sim_socket *socket) {
    return socket->output.length >= socket->window;
}

bool sim_socket_was_too_many(const struct sim_socket *socket) {
    return socket->is_one_too_many;
}

bool sim_socket_is_draining(const struct sim_socket *socket) {
    return socket->ring != NULL && socket->ring->is_draining;
}

uint64_t sim_socket_accepted_ns(const struct sim_socket *socket) {
    return socket->accepted_ns;
}

uint64_t sim_socket_idle_turns(const struct sim_socket *socket) {
    return socket->ring != NULL ? socket->ring->turns - socket->moved_turn : 0;
}

uint32_t sim_socket_id(const struct sim_socket *socket) {
    return socket->id;
}

uint32_t sim_socket_worker(const struct sim_socket *socket) {
    return socket->ring->index;
}

void sim_socket_close(struct sim_socket *socket, bool reset) {
    sim_event("client closes", socket->id, reset || socket->output.length > 0);
    if (reset || socket->output.length > 0) {
        socket->input_reset = true;
        if (below(2) == 0) {
            bytes_clear(&socket->input);
        }
    }
    socket->input_ended = true;
    socket->is_abandoned = true;
    bytes_clear(&socket->output);
    bytes_clear(&socket->under_way);
    socket->arrives_ns = 0;
    mark_ready(socket);
    if (socket->is_released && socket->loan_count == 0) {
        socket_free(socket);
    }
}
