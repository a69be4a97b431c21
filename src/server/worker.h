// A worker: one pinned thread, one ring, and everything below it. It shares nothing with the
// others.
//
// Start order (each step for all workers before the next one): the main thread calls
// cv_worker_create while the process may still lock memory (the ring is made disabled and
// restricted), drops its capabilities, then cv_worker_start. The thread pins itself, unshares its
// descriptor table, enables its ring, closes the other workers' listeners and says
// CV_MESSAGE_READY.
#ifndef CV_SERVER_WORKER_H
#define CV_SERVER_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include <covet/abi.h>

#include "base/compiler.h"
#include "net/limits.h"
#include "server/mailbox.h"

struct covet_app;
struct cv_logqueue;
struct cv_stats;
struct cv_worker;

#define CV_WORKER_LISTENERS_MAX 64u

struct cv_worker_options {
    uint32_t index;
    uint32_t count;
    uint16_t cpu;
    const struct cv_stats *stats;    // borrowed for the worker's life
    const struct cv_limits *limits;  // borrowed until CV_MESSAGE_LIMITS replaces it
    struct covet_app *app;           // borrowed until CV_MESSAGE_RELEASED
    struct cv_logqueue *log;         // borrowed; this worker is its only writer
    bool log_enabled;
    const int *listener;  // borrowed until READY; descriptors this worker accepts on
    uint32_t listener_count;
    const int *foreign;  // Every other listener, to be closed in the worker's table.
    uint32_t foreign_count;
    uint64_t locked_bytes_max;        // For the ring; 0: no bound.
    uint32_t descriptors_max;         // RLIMIT_NOFILE
    uint64_t memory_bytes_max;        // Where the limits name none; 0: no bound.
    struct cv_mailbox *main_mailbox;  // borrowed; where the worker reports
    int main_eventfd;                 // borrowed; written (8 bytes) to wake the main thread
    struct cv_worker *const *all;     // borrowed; all workers, for messages between them
};

// Main thread. Makes the ring (disabled), its memory and its eventfd. Returns 0 or -errno, which
// cv_probe_explain puts in words.
CV_MUST_USE int cv_worker_create(struct cv_worker **worker,
                                 const struct cv_worker_options *options);

// Main thread. Starts the thread, named covet-wN. Returns 0 or -errno.
CV_MUST_USE int cv_worker_start(struct cv_worker *worker);

// Any thread but the worker's own ring thread pays one write(2); a worker posting to another uses
// its ring. Returns 0 or -EAGAIN (mailbox full).
CV_MUST_USE int cv_worker_post(struct cv_worker *worker, const struct cv_message *message);

// Main thread, after CV_MESSAGE_STOPPED: waits for the thread.
void cv_worker_join(struct cv_worker *worker);

// Main thread, after cv_worker_join (or without a start).
void cv_worker_destroy(struct cv_worker *worker);

// What a worker's thread does before its first turn and after its last one; by itself, unless
// somebody else runs the turns (a simulation). cv_worker_enter makes the calling thread the
// worker's and returns 0 or -errno.
CV_MUST_USE int cv_worker_enter(struct cv_worker *worker);
void cv_worker_leave(struct cv_worker *worker);

enum cv_worker_stop {
    CV_WORKER_TURNED,  // The turn is over; there may be more to do.
    CV_WORKER_ENDED,   // Stopped or drained: no turn will do anything any more.
};

// Runs one loop turn on the worker's own thread: waits for completions (at most until
// `deadline_ns`, CLOCK_MONOTONIC; UINT64_MAX: no limit), handles them, runs timers, flushes output.
enum cv_worker_stop cv_worker_turn(struct cv_worker *worker, uint64_t deadline_ns);

#endif
