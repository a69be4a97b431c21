// What can be measured, by name: one list for budgets, tables and JSON. Every measure is a count
// over the interval of a difference, summed over the workers.
#ifndef CV_PROFILE_MEASURE_H
#define CV_PROFILE_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "observe/snapshot.h"

// The names of measures that are more than one counter or one system call, in the order they are
// shown in. CV_MEASURES(X) lists X(name, level it needs, what it counts).
#define CV_MEASURES(X) \
    X(syscalls, 2, "system calls of the workers") \
    X(other_syscalls, 2, "of them all but io_uring_enter") \
    X(io_uring_enter, 0, "calls of io_uring_enter") \
    X(read_write_sendto_recvfrom, 2, "the four calls an io_uring server does without") \
    X(context_switches, 0, "times a worker left its core") \
    X(voluntary_switches, 0, "of them, to wait") \
    X(involuntary_switches, 0, "of them, put off by another thread") \
    X(cpu_us, 0, "processor time of the workers, in microseconds") \
    X(migrations, 1, "moves of a worker to another core") \
    X(submissions, 1, "ring operations submitted") \
    X(completions, 1, "completions posted to the rings") \
    X(async_punts, 1, "ring operations handed to kernel threads") \
    X(packet_drops, 1, "packets for the server's ports that the kernel dropped") \
    X(accept_drops, 0, "connections refused because an accept queue was full") \
    X(cqe_overflow, 0, "completions a queue had no room for")

enum cv_measure_result {
    CV_MEASURE_OK,
    CV_MEASURE_UNKNOWN,  // no such measure
    CV_MEASURE_ABSENT,   // not measured; `level_needed` says what would
};

struct cv_measure {
    uint64_t count;
    uint32_t level_needed;
};

// Reads the measure `name` of a difference: one of the above, any system call by name, any TCP
// event of bpf/net.h in lower case (tcp_retransmit), any counter of <covet/abi.h> that is no gauge,
// in lower case (buffers_starved). `total` is cv_snapshot_total of `change`.
enum cv_measure_result cv_measure_read(struct cv_measure *measure, const struct cv_snapshot *change,
                                       const struct cv_snapshot_worker *total, const char *name);

// Whether there is a measure of this name.
bool cv_measure_exists(const char *name);

// The names of CV_MEASURES by number; NULL behind the last.
const char *cv_measure_name(unsigned number);

// The number of a system call by its name, -1: none.
int cv_measure_syscall(const char *name);

// The name of a counter: its enum in lower case.
const char *cv_measure_counter_name(enum covet_counter counter);

// Whether it is a gauge, which also falls: a state, no count of events.
bool cv_measure_is_gauge(enum covet_counter counter);

// `count` for each 1000 of `requests`, 0 without requests.
double cv_measure_per_1000(uint64_t count, uint64_t requests);

#endif
