// Everything known about a running covet at one moment, and what changed between two moments.
//
// Three sources, each of which may be absent: the counter pages (always readable), /proc (threads'
// time and switches, host-wide TCP counters), and the maps a profiler has pinned. Nothing here
// needs libbpf, so covet-top reads the same. Not thread-safe; a snapshot belongs to its owner.
#ifndef CV_OBSERVE_SNAPSHOT_H
#define CV_OBSERVE_SNAPSHOT_H

#include <covet/abi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "bpf/net.h"
#include "bpf/sched.h"
#include "bpf/syscalls.h"
#include "bpf/uring.h"
#include "bpf/workers.h"

// What a map holds, as it was dumped: `entries` of `count`, owned by the snapshot, in ascending
// order of their keys.
struct cv_snapshot_syscall {
    struct covet_syscall_key key;
    struct covet_syscall_stats stats;
};
struct cv_snapshot_other_syscall {
    struct covet_other_syscall_key key;
    struct covet_syscall_stats stats;
};
struct cv_snapshot_uring {
    struct covet_uring_key key;
    struct covet_uring_stats stats;
};
struct cv_snapshot_net {
    struct covet_net_key key;
    uint64_t count;
};
struct cv_snapshot_drop {
    struct covet_drop_key key;
    uint64_t count;
};
struct cv_snapshot_syscall_latency {
    struct covet_syscall_key key;
    struct covet_latency latency;
};
struct cv_snapshot_uring_latency {
    struct covet_uring_key key;
    struct covet_latency latency;
};

// The listening sockets of one port, one per worker, from sock_diag(7): sums, and the fullest one.
struct cv_snapshot_listener {
    uint16_t port;
    uint32_t sockets;
    uint32_t queue;            // connections that wait for accept
    uint32_t queue_max;        // the backlog
    uint32_t fullest_percent;  // of the socket whose queue is the fullest
    uint64_t drops;            // connections refused, most of them because the queue was full
};

// One worker. Members below `has_bpf` are from the profiler's maps and 0 without it; those of /proc
// are 0 while `has_proc` is false (the process is gone, or hidden).
struct cv_snapshot_worker {
    uint32_t thread_id;  // 0: not running
    uint32_t cpu;
    uint64_t start_ns;
    uint64_t counter[COVET_COUNTER_COUNT];
    struct covet_histogram handler_time;

    bool has_proc;
    uint64_t cpu_ns;   // /proc/PID/task/TID/schedstat, first number
    uint64_t runq_ns;  // second number
    uint64_t voluntary_switches;
    uint64_t involuntary_switches;
    uint32_t allowed_cpus;  // cores it may run on; 1: pinned

    bool has_bpf;
    struct covet_worker_stats bpf;
    struct covet_sched_stats sched;
    struct covet_latency runq_latency;
};

struct cv_snapshot {
    uint64_t taken_ns;     // CLOCK_MONOTONIC; of a difference: the later one's
    uint64_t interval_ns;  // of a difference: how long between the two; else 0
    struct covet_stats_header server;
    bool has_bpf;        // a profiler is attached: `info` is its own
    char bpf_note[256];  // why none is used though something is pinned; "" when nothing is
    struct covet_profile_info info;

    uint32_t worker_count;
    struct cv_snapshot_worker *workers;  // owned, `worker_count` of them

    struct cv_snapshot_syscall *syscalls;
    size_t syscall_count;
    struct cv_snapshot_other_syscall *other_syscalls;
    size_t other_syscall_count;
    struct cv_snapshot_uring *urings;
    size_t uring_count;
    struct cv_snapshot_net *nets;
    size_t net_count;
    struct cv_snapshot_drop *drops;
    size_t drop_count;
    struct cv_snapshot_syscall_latency *syscall_latencies;
    size_t syscall_latency_count;
    struct cv_snapshot_uring_latency *uring_latencies;
    size_t uring_latency_count;

    struct cv_snapshot_listener listeners[COVET_STATS_PORTS_MAX];
    size_t listener_count;
    // Of the server's whole network namespace, not of this server alone (/proc/PID/net).
    uint64_t host_listen_overflows;  // ListenOverflows of netstat
    uint64_t host_retransmits;       // RetransSegs of snmp
};

struct cv_snapshot_source;

// Finds a running covet and opens what can be read of it. `pid` is that of its supervisor or its
// server, 0 the only one running; `pin_dir` NULL means COVET_PIN_DIR. A profiler that measures
// another server counts as none. Returns NULL with one line in `message` (at least 160 bytes) that
// says what to do. Memory is allocated; the caller closes the source.
CV_MUST_USE struct cv_snapshot_source *cv_snapshot_open(pid_t pid, const char *pin_dir,
                                                        char *message, size_t message_bytes);
void cv_snapshot_close(struct cv_snapshot_source *source);

// Reads everything into `snapshot`, which is zeroed before the first use and may be used again.
// Profilers and servers may come and go between calls. Returns 0, -ESRCH when the supervisor is
// gone, or -ENOMEM; on failure `snapshot` is as before.
CV_MUST_USE int cv_snapshot_take(struct cv_snapshot_source *source, struct cv_snapshot *snapshot);

// Fills `change` (as above) with what was counted from `earlier` to `later`; gauges, averages per
// call, maxima, names and queues are those of `later`, ratios (per 1000 requests, averages) are
// made anew from the differences. What restarted in between counts from 0. Returns 0 or -ENOMEM.
CV_MUST_USE int cv_snapshot_subtract(struct cv_snapshot *change, const struct cv_snapshot *later,
                                     const struct cv_snapshot *earlier);

// Adds up the workers of `snapshot`: all members of the sum but thread, core and names. NULL-safe
// for a snapshot without workers: all 0.
void cv_snapshot_total(const struct cv_snapshot *snapshot, struct cv_snapshot_worker *total);

// Fills `merged` (as above) with the same snapshot as if its workers were one: worker 0 is the
// total, and the lists have one entry for each system call and operation. Returns 0 or -ENOMEM.
CV_MUST_USE int cv_snapshot_merge(struct cv_snapshot *merged, const struct cv_snapshot *snapshot);

// Releases what a snapshot owns and zeroes it.
void cv_snapshot_deinit(struct cv_snapshot *snapshot);

// Names as the kernel's tools write them: "io_uring_enter", "RECV", "TCP_RETRANSMIT", "NO_SOCKET";
// "?" for an unknown number. The second takes an errno of either sign ("EAGAIN").
const char *cv_snapshot_syscall_name(uint32_t number);
const char *cv_snapshot_errno_name(int64_t error);
const char *cv_snapshot_uring_op_name(uint32_t opcode);
const char *cv_snapshot_net_event_name(uint32_t event);
const char *cv_snapshot_drop_reason_name(uint32_t reason);

// The value below which a share `share` (0 to 1) of what a histogram counted lies, in nanoseconds:
// the upper end of that bucket (UINT64_MAX of the last, which has none), 0 when nothing was
// counted.
uint64_t cv_snapshot_latency_ns(const struct covet_latency *latency, double share);
uint64_t cv_snapshot_handler_ns(const struct covet_histogram *histogram, double share);

#endif
