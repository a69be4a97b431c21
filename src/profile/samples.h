// Samples of a server's threads, taken by bpf/stacks.bpf.c and read from its ring buffer.
//
// Stands beside an attached profiler and shares nothing with it: programs, maps and links are its
// own, nothing is pinned, and everything ends with the process.
#ifndef CV_PROFILE_SAMPLES_H
#define CV_PROFILE_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "bpf/stacks.h"

struct cv_samples;

struct cv_samples_options {
    pid_t server_pid;
    uint32_t hz;   // samples per second and core
    bool off_cpu;  // sleeps instead of samples
};

// One record. `record` has what its event says (bpf/stacks.h) and stays until the return; the
// bytes of its stack beyond stack_bytes are not there.
typedef void (*cv_samples_fn)(void *context, const struct covet_stack_record *record);

// Begins to measure. Returns 0 with an owned `*samples`; otherwise nothing is left behind and
// `message` says what is wrong and what to do: -EPERM without the rights, -EOPNOTSUPP where this
// kernel cannot, -ESRCH when the server is gone, or another -errno.
CV_MUST_USE int cv_samples_open(struct cv_samples **samples,
                                const struct cv_samples_options *options, char *message,
                                size_t message_bytes);
void cv_samples_close(struct cv_samples *samples);

// Ends the measurement; what is in the ring stays to be read.
void cv_samples_stop(struct cv_samples *samples);

// Calls `on_record` for everything in the ring, which holds a second or more: to be called several
// times a second.
void cv_samples_read(struct cv_samples *samples, cv_samples_fn on_record, void *context);

// Tells where the stack of a thread ends, so that no more of it is copied.
void cv_samples_set_top(struct cv_samples *samples, uint32_t thread_id, uint64_t top);

// Records that found the ring full.
uint64_t cv_samples_lost(const struct cv_samples *samples);

// Time the kernel has spent in our programs, in nanoseconds; 0 when it does not tell.
uint64_t cv_samples_cost_ns(const struct cv_samples *samples);

#endif
