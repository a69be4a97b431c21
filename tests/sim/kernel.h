// The kernel of a simulation: rings, sockets and time, all decided by one seed.
//
// kernel.c implements src/ring/ring.h, so everything above the ring is the server's own code. A
// socket has two ends: the server's, with what its ring has armed on it, and the client's, the
// functions below. What no kernel would forgive ends the run: a descriptor used after its close,
// two sends at once on one stream, memory of a send that changed before it was over, a buffer given
// back twice, a call from a thread that does not own the ring, an operation that would start an
// io-wq thread.
//
// One simulation per process at a time.
#ifndef SIM_KERNEL_H
#define SIM_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/random.h"

// What may go wrong; a plan allows some of them. SIM_FAULTS(X) lists X(NAME, what happens).
#define SIM_FAULTS(X) \
    X(SHORT_RECEIVE, "a receive brings less than there is") \
    X(SHORT_SEND, "a send takes less than it was given") \
    X(MULTISHOT_END, "a multishot operation ends with a result that is no error") \
    X(NO_BUFFERS, "few receive buffers") \
    X(LATE_CANCEL, "what is cancelled completes all the same") \
    X(RESET, "a connection breaks") \
    X(NO_DESCRIPTORS, "accept fails with EMFILE") \
    X(SMALL_CQ, "the completion queue overflows") \
    X(SMALL_SQ, "the submission queue is full") \
    X(LATE_NOTICE, "zero-copy sends are acknowledged late") \
    X(DELAY, "operations complete later than they could, in any order") \
    X(INTERRUPT, "a wait ends without a completion") \
    X(NO_MESSAGES, "a ring message does not arrive") \
    X(HALF_CLOSE, "a client ends its direction early") \
    X(ABORT, "a client is gone in the middle") \
    X(SLOW, "a client sends or reads slowly") \
    X(TINY_PIECES, "a client sends byte by byte") \
    X(BAD_REQUEST, "a client sends what is no request") \
    X(RELOAD, "a new generation is served") \
    X(ROUTES, "routes are replaced") \
    X(DRAIN, "the server drains in the middle") \
    X(STOP, "the server is stopped in the middle") \
    X(STALL, "a client stops sending, asking or reading for good") \
    X(NO_ZERO_COPY, "a zero-copy send is refused") \
    X(PORTIONS, "a wait hands out a part of what waits") \
    X(BUSY, "handlers and sends take time, and little of it is a lag") \
    X(PAUSE, "the machine stands still") \
    X(STEAL, "somebody else has the processor meanwhile") \
    X(FLOOD, "a client asks without waiting for answers")

enum sim_fault {
#define SIM_FAULT_ENUM(name, help) SIM_##name,
    SIM_FAULTS(SIM_FAULT_ENUM)
#undef SIM_FAULT_ENUM
        SIM_FAULT_COUNT
};

#define SIM_EXIT_BROKEN 3  // Of a process in which sim_fail was called.
#define SIM_RINGS_MAX 4u
#define SIM_LISTENERS_MAX 2u  // Of a ring.
#define SIM_SOCKETS_MAX 1024u

struct sim_socket;

// What a run is made of; all but the seed follows from it unless it is shrunk.
struct sim_plan {
    uint64_t seed;
    uint64_t faults;  // Bit n: enum sim_fault n may happen.
    uint32_t worker_count;
    uint32_t client_count;
    uint32_t request_count;      // Answered requests at which the clients have enough.
    uint32_t large_in_thousand;  // More bodies that are large than usual.
    bool has_zero_copy;          // Whatever the seed says.
    const char *paths;           // What clients ask for: "/hello /echo"; NULL: everything.
};

struct sim_kernel {
    struct sim_plan plan;
    struct sim_random random;
    uint64_t now_ns;   // CLOCK_MONOTONIC
    uint64_t held_ns;  // What of it passed within turns: nobody else did anything meanwhile.
    uint64_t events;   // Everything that happened counts; a step without any is idle.
    uint64_t hash;     // Over all of it, in order.
    int current;       // The worker whose turn it is; -1: nobody's.
    bool is_traced;
    uint32_t connections_max;  // Of a worker, the most it was told so far; 0: no bound.
    uint32_t listener_count;   // Of a worker.
    uint32_t per_address_max;  // Connections of one address a worker was told to take; 0: all.
};
extern struct sim_kernel sim;

static inline bool sim_may(enum sim_fault fault) {
    return (sim.plan.faults >> fault & 1) != 0;
}

// True now and then where the plan allows the fault.
static inline bool sim_strikes(enum sim_fault fault, uint32_t in_thousand) {
    return sim_may(fault) && sim_random_chance(&sim.random, in_thousand);
}

void sim_kernel_init(const struct sim_plan *plan);
void sim_kernel_deinit(void);

// Mixes an event into the hash, and into the timeline of a traced run.
void sim_event(const char *what, uint64_t a, uint64_t b);

// Time passes within a turn. What was stolen of it the worker's thread waited for a processor.
void sim_spend(uint64_t ns);
void sim_steal(uint64_t ns);
uint64_t sim_stolen_ns(uint32_t worker);

// Ends the run: something that must never happen did.
_Noreturn void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Listening sockets and eventfds, as descriptors.
int sim_listener_create(void);
int sim_eventfd_create(void);
uint64_t sim_eventfd_take(int descriptor);

// Whether a worker's ring has something for it, and until when it sleeps otherwise.
bool sim_ring_is_ready(uint32_t worker);
uint64_t sim_ring_wake_at_ns(uint32_t worker);

// Between two turns of a worker: what its ring has lent it is in completions it has not taken, and
// it serves no more connections of one address than it may.
void sim_ring_check(uint32_t worker);

// A worker's thread ends: nothing is queued, armed or open any more, and every buffer is back.
void sim_ring_end(uint32_t worker);

// What went through a worker's ring, as its counters must say.
struct sim_figures {
    uint64_t accepted, received_bytes, sent_bytes;
};
struct sim_figures sim_ring_figures(uint32_t worker);

// The client's end of a connection.
// NULL: nobody listens.
struct sim_socket *sim_connect(void);
// Returns how much the other side has room for.
size_t sim_socket_send(struct sim_socket *socket, const void *data, size_t length);
// The same, but the bytes arrive at `at_ns`, whatever the server is doing then; one such send at a
// time. One that arrives nowhere is under way for good.
void sim_socket_send_at(struct sim_socket *socket, const void *data, size_t length, uint64_t at_ns);
bool sim_socket_is_under_way(const struct sim_socket *socket);
// Lets arrive what is due, and when the next of it is; UINT64_MAX: never.
void sim_arrive(void);
uint64_t sim_arrival_ns(void);
// What has arrived; sim_socket_consume takes it off the front.
const uint8_t *sim_socket_peek(struct sim_socket *socket, size_t *length);
void sim_socket_consume(struct sim_socket *socket, size_t length);
// Room for what the server sends and the client has not consumed.
void sim_socket_set_window(struct sim_socket *socket, size_t bytes);
// Its peer acknowledges nothing any more.
void sim_socket_freeze(struct sim_socket *socket);
void sim_socket_shutdown(struct sim_socket *socket);
bool sim_socket_has_news(const struct sim_socket *socket);    // One of these three.
bool sim_socket_is_ended(const struct sim_socket *socket);    // FIN behind what is there.
bool sim_socket_is_reset(const struct sim_socket *socket);    // RST came.
bool sim_socket_was_struck(const struct sim_socket *socket);  // By a fault of the kernel's.
bool sim_socket_is_full(const struct sim_socket *socket);     // Its window is.
// Of its address there were as many as there may be when it was accepted.
bool sim_socket_was_too_many(const struct sim_socket *socket);
// Its worker has closed its listener, so it drains.
bool sim_socket_is_draining(const struct sim_socket *socket);
// When the server accepted it; 0: not yet.
uint64_t sim_socket_accepted_ns(const struct sim_socket *socket);
// Turns of its worker since it was accepted, or bytes of it last moved in either direction. Those
// in which completions of turns before had to be taken first do not count.
uint64_t sim_socket_idle_turns(const struct sim_socket *socket);
uint32_t sim_socket_id(const struct sim_socket *socket);
uint32_t sim_socket_worker(const struct sim_socket *socket);  // That accepted it.
// Unread input, or `reset`, makes it a reset for the server. The socket is not used again.
void sim_socket_close(struct sim_socket *socket, bool reset);

#endif
