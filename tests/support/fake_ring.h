// A ring without a kernel: every cv_ring_* function over a table of sockets that remembers what is
// armed.
//
// A test plays the kernel: it makes completions itself (t_ring_received, t_ring_sent, ...) or lets
// t_ring_poll make the one a kernel would. It plays the client too: what it sends waits in the
// socket, what it is sent is kept there, and `window` says how much of that it reads. What no real
// kernel would forgive is asserted on every call: two sends or receives at once on one socket, an
// operation on a closed descriptor, a buffer given back twice. Buffers are overwritten when they
// are given back, so whoever still reads one is found. Quiet sends happen in t_ring_submit, and
// complete only when they fall short. Bytes of a zero-copy send are compared when they are free
// again: nobody may have touched them.
//
// Include it in one source file of a test: the library's own ring is then not linked.
#ifndef T_SUPPORT_FAKE_RING_H
#define T_SUPPORT_FAKE_RING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/compiler.h"
#include "ring/ring.h"

#define T_SOCKETS_MAX 16384
#define T_BUFFERS_MAX 1024u
#define T_SPOILT 0xdd  // What a buffer holds once it was given back.
#define T_LOANS_MAX 64u

struct t_operation {
    bool is_armed;
    bool is_cancelled;
    bool is_poll_first;
    uint32_t bundle_bytes;  // Of a bundled receive: how much it may take yet; 0: it is none.
    bool is_multishot;      // Of an accept.
    bool is_done;           // A quiet send that fell short: what it did is `result`.
    int32_t result;
    enum cv_ring_send_mode mode;
    uint64_t user_data;
    const struct msghdr *message;  // NULL: `single`
    struct iovec single;
    bool is_zero_copy;
    uint32_t memory;  // Of a zero-copy send: the index it was given.
};

struct t_bytes {
    uint8_t *data;  // owned
    size_t length;
    size_t room;
};

// Bytes of a zero-copy send that is over and not yet acknowledged.
struct t_loan {
    uint64_t user_data;
    const uint8_t *data;
    uint8_t *as_sent;  // owned; the same bytes when they were sent
    size_t bytes;
};

struct t_socket {
    struct t_operation accept;
    struct t_operation receive;
    struct t_operation send;
    bool is_open;
    bool is_shut;  // Its sending side, by cv_ring_shutdown.
    bool resets_on_close;
    struct t_bytes input;  // What the client sent.
    size_t input_taken;
    bool is_ended;          // The client sent FIN behind its input.
    bool is_reset;          // RST behind its input.
    struct t_bytes output;  // What the client was sent.
    size_t window;          // Bytes the client still reads.
    bool is_silent;         // The client reads, but acknowledges nothing.
    size_t told_bytes;      // Of its loans it acknowledged so many, without freeing one.
    bool copies;            // The way to the client copies what is sent.
    struct t_loan loan[T_LOANS_MAX];
    uint32_t loan_count;
    struct cv_peer peer;
    int queue[64];  // A listener's: connections that wait.
    uint32_t queue_count;
};

struct cv_ring {
    struct t_socket socket[T_SOCKETS_MAX];
    int socket_count;
    uint8_t *memory;  // owned: the buffers
    uint8_t holders[T_BUFFERS_MAX];
    uint32_t buffer_count;
    uint32_t lent;
    struct cv_ring_features features;
    uint64_t accepts, receives, sends, cancels, closes, reads, writes, messages, shutdowns;
    uint64_t zero_copies;
    int32_t zero_copy_error;  // What zero-copy sends complete with from now on; 0: they work.
    bool has_memory[16];
    int accept_now_errors[2];  // What cv_ring_accept_now says first, in this order; 0: it looks.
};

static inline struct cv_ring *t_ring_create(uint32_t buffer_count) {
    struct cv_ring *ring = calloc(1, sizeof(*ring));
    assert_non_null(ring);
    assert_true(buffer_count <= T_BUFFERS_MAX);
    ring->buffer_count = buffer_count;
    ring->memory = malloc((size_t)buffer_count * CV_RING_BUFFER_BYTES);
    assert_non_null(ring->memory);
    return ring;
}

static inline void t_ring_destroy(struct cv_ring *ring) {
    for (int i = 0; i < ring->socket_count; i++) {
        assert_int_equal(ring->socket[i].loan_count, 0);
        free(ring->socket[i].input.data);
        free(ring->socket[i].output.data);
    }
    free(ring->memory);
    free(ring);
}

// A new socket, with a client at its other end. Descriptors are never used twice.
static inline int t_ring_socket(struct cv_ring *ring) {
    int descriptor = ring->socket_count++;
    assert_true(descriptor < T_SOCKETS_MAX);
    ring->socket[descriptor] = (struct t_socket){
        .is_open = true,
        .window = SIZE_MAX,
        .peer = {CV_PEER_IPV4, 0, 4711, {192, 0, 2, 7}},
    };
    return descriptor;
}

static inline struct t_socket *t_ring_at(struct cv_ring *ring, int descriptor) {
    assert_in_range(descriptor, 0, ring->socket_count - 1);
    return &ring->socket[descriptor];
}

// The same for operations, which need it open.
static inline struct t_socket *t_ring_open(struct cv_ring *ring, int descriptor) {
    struct t_socket *socket = t_ring_at(ring, descriptor);
    assert_true(socket->is_open);
    return socket;
}

static inline void t_bytes_append(struct t_bytes *bytes, const void *data, size_t length) {
    if (bytes->length + length > bytes->room) {
        bytes->room = 2 * (bytes->length + length);
        bytes->data = realloc(bytes->data, bytes->room);
        assert_non_null(bytes->data);
    }
    if (length > 0) {
        memcpy(bytes->data + bytes->length, data, length);
    }
    bytes->length += length;
}

static inline void t_client_send(struct cv_ring *ring, int descriptor, const void *data,
                                 size_t length) {
    t_bytes_append(&t_ring_at(ring, descriptor)->input, data, length);
}

static inline void t_client_end(struct cv_ring *ring, int descriptor) {
    t_ring_at(ring, descriptor)->is_ended = true;
}

static inline void t_client_reset(struct cv_ring *ring, int descriptor) {
    t_ring_at(ring, descriptor)->is_reset = true;
}

static inline size_t t_operation_bytes(const struct t_operation *operation) {
    size_t bytes = 0;
    if (operation->message == NULL) {
        return operation->single.iov_len;
    }
    for (size_t i = 0; i < operation->message->msg_iovlen; i++) {
        bytes += operation->message->msg_iov[i].iov_len;
    }
    return bytes;
}

// Reads the first `bytes` of a send, as the kernel may do up to the completion.
static inline void t_operation_read(const struct t_operation *operation, size_t bytes,
                                    struct t_bytes *out) {
    const struct iovec *vector =
        operation->message == NULL ? &operation->single : operation->message->msg_iov;
    size_t count = operation->message == NULL ? 1 : operation->message->msg_iovlen;
    for (size_t i = 0; i < count && bytes > 0; i++) {
        size_t part = CV_MIN(bytes, vector[i].iov_len);
        t_bytes_append(out, vector[i].iov_base, part);
        bytes -= part;
    }
    assert_int_equal(bytes, 0);
}

static inline uint32_t t_ring_free_buffer(const struct cv_ring *ring) {
    for (uint32_t i = 0; i < ring->buffer_count; i++) {
        if (ring->holders[i] == 0) {
            return i;
        }
    }
    return CV_RING_NO_BUFFER;
}

// The armed receive gets `length` bytes, at most one buffer's.
static inline struct cv_completion t_ring_received(struct cv_ring *ring, int descriptor,
                                                   const void *data, size_t length, bool more) {
    struct t_operation *receive = &t_ring_at(ring, descriptor)->receive;
    uint32_t buffer = t_ring_free_buffer(ring);
    assert_true(receive->is_armed);
    assert_true(buffer != CV_RING_NO_BUFFER && length <= CV_RING_BUFFER_BYTES);
    memcpy(ring->memory + (size_t)buffer * CV_RING_BUFFER_BYTES, data, length);
    ring->holders[buffer] = 1;
    ring->lent++;
    receive->is_armed = more;
    return (struct cv_completion){receive->user_data, (int32_t)length, buffer, more, false};
}

// The armed receive ends: 0 or -errno.
static inline struct cv_completion t_ring_receive_ended(struct cv_ring *ring, int descriptor,
                                                        int32_t result) {
    struct t_operation *receive = &t_ring_at(ring, descriptor)->receive;
    assert_true(receive->is_armed);
    receive->is_armed = false;
    return (struct cv_completion){receive->user_data, result, CV_RING_NO_BUFFER, false, false};
}

static inline void t_socket_lend(struct t_socket *socket, size_t bytes) {
    assert_true(socket->loan_count < T_LOANS_MAX);
    struct t_loan *loan = &socket->loan[socket->loan_count++];
    *loan = (struct t_loan){
        .user_data = socket->send.user_data,
        .data = socket->send.single.iov_base,
        .as_sent = malloc(bytes),
        .bytes = bytes,
    };
    assert_non_null(loan->as_sent);
    memcpy(loan->as_sent, loan->data, bytes);
}

// The send in flight ends: bytes sent or -errno. All it was given must still be readable.
static inline struct cv_completion t_ring_sent(struct cv_ring *ring, int descriptor,
                                               int32_t result) {
    struct t_socket *socket = t_ring_at(ring, descriptor);
    struct t_operation *send = &socket->send;
    struct t_bytes whole = {0};
    assert_true(send->is_armed);
    t_operation_read(send, t_operation_bytes(send), &whole);
    if (result > 0) {
        assert_true((size_t)result <= whole.length);
        t_bytes_append(&socket->output, whole.data, (size_t)result);
    }
    free(whole.data);
    send->is_armed = false;
    bool more = send->is_zero_copy && result > 0;
    if (more) {
        t_socket_lend(socket, (size_t)result);
    }
    return (struct cv_completion){send->user_data, result, CV_RING_NO_BUFFER, more, false};
}

// The oldest bytes of zero-copy sends are free: acknowledged, or their socket is gone.
static inline struct cv_completion t_ring_freed(struct cv_ring *ring, int descriptor) {
    struct t_socket *socket = t_ring_at(ring, descriptor);
    assert_true(socket->loan_count > 0);
    struct t_loan loan = socket->loan[0];
    assert_memory_equal(loan.data, loan.as_sent, loan.bytes);
    free(loan.as_sent);
    socket->loan_count--;
    memmove(socket->loan, socket->loan + 1, socket->loan_count * sizeof(loan));
    return (struct cv_completion){loan.user_data, socket->copies, CV_RING_NO_BUFFER, false, true};
}

static inline bool t_ring_frees(const struct t_socket *socket) {
    return socket->loan_count > 0 && (!socket->is_silent || !socket->is_open || socket->is_reset);
}

static inline bool t_ring_poll_receive(struct cv_ring *ring, int descriptor,
                                       struct cv_completion *completion) {
    struct t_socket *socket = t_ring_at(ring, descriptor);
    size_t waiting = socket->input.length - socket->input_taken;
    bool has_buffer = t_ring_free_buffer(ring) != CV_RING_NO_BUFFER;
    if (!socket->receive.is_armed) {
        return false;
    }
    if (socket->receive.is_cancelled) {
        *completion = t_ring_receive_ended(ring, descriptor, -ECANCELED);
    } else if (!has_buffer && (waiting > 0 || !socket->receive.is_poll_first)) {
        *completion = t_ring_receive_ended(ring, descriptor, -ENOBUFS);
    } else if (waiting > 0) {
        uint32_t *left = &socket->receive.bundle_bytes;
        bool is_bundle = *left > 0;
        size_t part = CV_MIN(waiting, (size_t)CV_RING_BUFFER_BYTES);
        if (is_bundle) {
            part = CV_MIN(part, (size_t)*left);
            *left -= (uint32_t)part;
        }
        // Of a bundle that finds no more, or no buffer for it, this is the end.
        bool more =
            !is_bundle || (*left > 0 && waiting > part && ring->lent + 1 < ring->buffer_count);
        *completion =
            t_ring_received(ring, descriptor, socket->input.data + socket->input_taken, part, more);
        socket->input_taken += part;
    } else if (socket->is_reset) {
        *completion = t_ring_receive_ended(ring, descriptor, -ECONNRESET);
    } else if (socket->is_ended) {
        *completion = t_ring_receive_ended(ring, descriptor, 0);
    } else {
        return false;
    }
    return true;
}

// What `window` leaves of a send of `bytes` now.
static inline size_t t_socket_takes(struct t_socket *socket, size_t bytes) {
    size_t part = CV_MIN(socket->window, bytes);
    socket->window -= socket->window == SIZE_MAX ? 0 : part;
    return part;
}

// Whether it is over once it is submitted.
static inline bool t_is_immediate(const struct t_operation *send) {
    return send->mode == CV_RING_SEND_QUIET || send->mode == CV_RING_SEND_NOW;
}

static inline bool t_ring_poll_send(struct cv_ring *ring, int descriptor,
                                    struct cv_completion *completion) {
    struct t_socket *socket = t_ring_at(ring, descriptor);
    struct t_operation *send = &socket->send;
    if (!send->is_armed) {
        return false;
    }
    if (t_is_immediate(send)) {
        assert_true(send->is_done);
        send->is_armed = false;
        *completion =
            (struct cv_completion){send->user_data, send->result, CV_RING_NO_BUFFER, false, false};
    } else if (send->is_zero_copy && ring->zero_copy_error != 0) {
        *completion = t_ring_sent(ring, descriptor, ring->zero_copy_error);
    } else if (send->is_cancelled) {
        *completion = t_ring_sent(ring, descriptor, -ECANCELED);
    } else if (socket->is_reset) {
        *completion = t_ring_sent(ring, descriptor, -ECONNRESET);
    } else if (socket->window > 0) {
        size_t part = t_socket_takes(socket, t_operation_bytes(send));
        *completion = t_ring_sent(ring, descriptor, (int32_t)part);
    } else {
        return false;
    }
    return true;
}

// Hands what is queued to the kernel: sends that do not wait are over then.
static inline void t_ring_submit(struct cv_ring *ring) {
    for (int i = 0; i < ring->socket_count; i++) {
        struct t_socket *socket = &ring->socket[i];
        struct t_operation *send = &socket->send;
        if (!send->is_armed || !t_is_immediate(send) || send->is_done) {
            continue;
        }
        size_t bytes = t_operation_bytes(send);
        size_t part = socket->is_reset ? 0 : t_socket_takes(socket, bytes);
        t_operation_read(send, part, &socket->output);
        send->is_done = true;
        send->is_armed = part < bytes || send->mode == CV_RING_SEND_NOW;
        send->result = part > 0 ? (int32_t)part : socket->is_reset ? -ECONNRESET : -EAGAIN;
    }
}

// Would the kernel end a wait now?
static inline bool t_ring_wakes(const struct cv_ring *ring) {
    for (int i = 0; i < ring->socket_count; i++) {
        const struct t_socket *socket = &ring->socket[i];
        bool has_input =
            socket->input.length > socket->input_taken || socket->is_ended || socket->is_reset ||
            socket->receive.is_cancelled ||
            (!socket->receive.is_poll_first && t_ring_free_buffer(ring) == CV_RING_NO_BUFFER);
        bool is_refused = socket->send.is_zero_copy && ring->zero_copy_error != 0;
        bool has_room =
            is_refused || socket->window > 0 || socket->is_reset || socket->send.is_cancelled;
        if ((socket->receive.is_armed && has_input) ||
            (socket->send.is_armed && (socket->send.is_done || has_room)) || t_ring_frees(socket)) {
            return true;
        }
    }
    return false;
}

static inline void t_operation_arm(struct t_operation *operation, uint64_t user_data) {
    assert_false(operation->is_armed);
    *operation = (struct t_operation){.is_armed = true, .user_data = user_data};
}

const struct cv_ring_features *cv_ring_features(const struct cv_ring *ring) {
    return &ring->features;
}

int cv_ring_descriptor(const struct cv_ring *ring) {
    (void)ring;
    return -1;
}

void cv_ring_accept(struct cv_ring *ring, int descriptor, bool multishot, uint64_t user_data) {
    struct t_socket *socket = t_ring_open(ring, descriptor);
    ring->accepts++;
    t_operation_arm(&socket->accept, user_data);
    socket->accept.is_multishot = multishot;
}

void cv_ring_receive_bundle(struct cv_ring *ring, int descriptor, uint32_t bytes_max,
                            uint64_t user_data) {
    cv_ring_receive(ring, descriptor, true, user_data);
    assert_true(ring->features.bundles && bytes_max > 0);
    t_ring_at(ring, descriptor)->receive.bundle_bytes = bytes_max;
}

void cv_ring_receive(struct cv_ring *ring, int descriptor, bool poll_first, uint64_t user_data) {
    struct t_socket *socket = t_ring_open(ring, descriptor);
    ring->receives++;
    t_operation_arm(&socket->receive, user_data);
    socket->receive.is_poll_first = poll_first;
    socket->receive.bundle_bytes = 0;
}

static inline struct t_operation *t_ring_start_send(struct cv_ring *ring, int descriptor,
                                                    enum cv_ring_send_mode mode,
                                                    uint64_t user_data) {
    struct t_socket *socket = t_ring_open(ring, descriptor);
    assert_false(socket->is_shut);
    ring->sends++;
    t_operation_arm(&socket->send, user_data);
    socket->send.mode = mode;
    return &socket->send;
}

void cv_ring_send(struct cv_ring *ring, int descriptor, const void *data, size_t bytes,
                  enum cv_ring_send_mode mode, uint64_t user_data) {
    assert_true(bytes > 0);
    t_ring_start_send(ring, descriptor, mode, user_data)->single =
        (struct iovec){(void *)(uintptr_t)data, bytes};
}

void cv_ring_sendmsg(struct cv_ring *ring, int descriptor, const struct msghdr *message,
                     enum cv_ring_send_mode mode, uint64_t user_data) {
    struct t_operation *send = t_ring_start_send(ring, descriptor, mode, user_data);
    send->message = message;
    assert_true(t_operation_bytes(send) > 0);
}

void cv_ring_send_zero_copy(struct cv_ring *ring, int descriptor, const void *data, size_t bytes,
                            uint32_t memory, uint64_t user_data) {
    assert_true(bytes > 0 && ring->features.zero_copy);
    assert_true(memory == CV_RING_NO_MEMORY || cv_ring_has_memory(ring, memory));
    struct t_operation *send = t_ring_start_send(ring, descriptor, CV_RING_SEND_SOME, user_data);
    send->single = (struct iovec){(void *)(uintptr_t)data, bytes};
    send->is_zero_copy = true;
    send->memory = memory;
    ring->zero_copies++;
}

int cv_ring_add_memory(struct cv_ring *ring, uint32_t index, void *memory, size_t bytes) {
    assert_true(index < CV_ARRAY_COUNT(ring->has_memory) && !ring->has_memory[index]);
    assert_true(memory != NULL && bytes > 0);
    ring->has_memory[index] = true;
    return 0;
}

void cv_ring_remove_memory(struct cv_ring *ring, uint32_t index) {
    assert_true(index < CV_ARRAY_COUNT(ring->has_memory));
    ring->has_memory[index] = false;
}

bool cv_ring_has_memory(const struct cv_ring *ring, uint32_t index) {
    return index < CV_ARRAY_COUNT(ring->has_memory) && ring->has_memory[index];
}

uint32_t cv_ring_unacknowledged(struct cv_ring *ring, int descriptor) {
    const struct t_socket *socket = t_ring_open(ring, descriptor);
    size_t bytes = 0;
    for (uint32_t i = 0; i < socket->loan_count; i++) {
        bytes += socket->loan[i].bytes;
    }
    return (uint32_t)(bytes - CV_MIN(bytes, socket->told_bytes));
}

void cv_ring_submit(struct cv_ring *ring) {
    t_ring_submit(ring);
}

bool cv_ring_is_settled(const struct cv_ring *ring) {
    (void)ring;
    return true;
}

void cv_ring_read(struct cv_ring *ring, int descriptor, void *data, uint32_t bytes,
                  uint64_t user_data) {
    (void)descriptor, (void)data, (void)bytes, (void)user_data;
    ring->reads++;
}

void cv_ring_write(struct cv_ring *ring, int descriptor, const void *data, uint32_t bytes,
                   uint64_t user_data) {
    (void)descriptor, (void)data, (void)bytes, (void)user_data;
    ring->writes++;
}

void cv_ring_cancel(struct cv_ring *ring, uint64_t target, uint64_t user_data) {
    (void)user_data;
    ring->cancels++;
    for (int i = 0; i < ring->socket_count; i++) {
        struct t_operation *all[] = {&ring->socket[i].accept, &ring->socket[i].receive,
                                     &ring->socket[i].send};
        for (size_t k = 0; k < CV_ARRAY_COUNT(all); k++) {
            if (all[k]->is_armed && all[k]->user_data == target) {
                all[k]->is_cancelled = true;
                return;
            }
        }
    }
}

void cv_ring_close(struct cv_ring *ring, int descriptor, uint64_t user_data) {
    struct t_socket *socket = t_ring_open(ring, descriptor);
    (void)user_data;
    // close(2) ends no operation: a receive must have been cancelled in front of it. A send ends
    // by itself, and may be the last one.
    assert_true(!socket->accept.is_armed || socket->accept.is_cancelled);
    assert_true(!socket->receive.is_armed || socket->receive.is_cancelled);
    ring->closes++;
    socket->is_open = false;
}

void cv_ring_message(struct cv_ring *ring, int ring_descriptor, uint64_t message_user_data,
                     uint64_t user_data) {
    (void)ring_descriptor, (void)message_user_data, (void)user_data;
    ring->messages++;
}

uint8_t *cv_ring_buffer(const struct cv_ring *ring, uint32_t buffer) {
    assert_true(buffer < ring->buffer_count && ring->holders[buffer] > 0);
    return ring->memory + (size_t)buffer * CV_RING_BUFFER_BYTES;
}

void cv_ring_retain(struct cv_ring *ring, uint32_t buffer) {
    assert_true(buffer < ring->buffer_count && ring->holders[buffer] > 0);
    ring->holders[buffer]++;
}

void cv_ring_give_back(struct cv_ring *ring, uint32_t buffer) {
    assert_true(buffer < ring->buffer_count && ring->holders[buffer] > 0);
    if (--ring->holders[buffer] == 0) {
        ring->lent--;
        memset(ring->memory + (size_t)buffer * CV_RING_BUFFER_BYTES, T_SPOILT,
               CV_RING_BUFFER_BYTES);
    }
}

uint32_t cv_ring_buffers_lent(const struct cv_ring *ring) {
    return ring->lent;
}

uint32_t cv_ring_buffers_total(const struct cv_ring *ring) {
    return ring->buffer_count;
}

void cv_ring_shutdown(struct cv_ring *ring, int descriptor, int how) {
    struct t_socket *socket = t_ring_open(ring, descriptor);
    assert_int_equal(how, SHUT_WR);
    assert_false(socket->send.is_armed);
    ring->shutdowns++;
    socket->is_shut = true;
}

void cv_ring_reset_on_close(struct cv_ring *ring, int descriptor) {
    t_ring_open(ring, descriptor)->resets_on_close = true;
}

int cv_ring_accept_now(struct cv_ring *ring, int descriptor) {
    struct t_socket *listener = t_ring_open(ring, descriptor);
    for (size_t i = 0; i < CV_ARRAY_COUNT(ring->accept_now_errors); i++) {
        int error = ring->accept_now_errors[i];
        if (error != 0) {
            ring->accept_now_errors[i] = 0;
            return error;
        }
    }
    if (listener->queue_count == 0) {
        return -EAGAIN;
    }
    int accepted = listener->queue[0];
    listener->queue_count--;
    memmove(listener->queue, listener->queue + 1, listener->queue_count * sizeof(int));
    return accepted;
}

void cv_ring_peer(struct cv_ring *ring, int descriptor, struct cv_peer *peer) {
    *peer = t_ring_open(ring, descriptor)->peer;
}

#endif
