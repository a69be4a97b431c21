/* The threads of the server, and the one line per worker that says how it does.
 *
 * Pinned: `worker_stats` (key: uint32_t, the worker's index), `profile_info` (key: uint32_t 0).
 * Every entry of a map keyed by worker has one writer, that worker's thread, so counts are exact
 * without atomic operations.
 */
#ifndef COVET_BPF_WORKERS_H
#define COVET_BPF_WORKERS_H

#include "shared.h"

#define COVET_THREAD_NAME_BYTES 16u

struct covet_worker_stats {
    char name[COVET_THREAD_NAME_BYTES]; /* covet-w0 */
    uint32_t thread_id;                 /* in the initial PID namespace */
    uint32_t cpu;                       /* where it ran last */
    uint64_t requests; /* answered since the profiler came, by the server's counter */
    uint64_t syscalls; /* level 2 and up, else 0, as the two below */
    uint64_t syscalls_per_1000_requests;
    uint64_t io_uring_enters;
    uint64_t completions; /* CQEs posted to its ring */
    uint64_t completions_per_100_enters;
};

/* What is measured, since when, by what. */
struct covet_profile_info {
    char version[16]; /* covet's */
    char kernel[32];  /* uname -r */
    uint32_t level;   /* 1 to 3 */
    uint32_t abi_version;
    uint32_t profiler_pid; /* as the profiler itself sees it */
    uint32_t server_pid;   /* as the profiler sees it; 0: between servers */
    uint32_t supervisor_pid;
    uint32_t programs; /* attached */
    uint32_t programs_off;
    uint32_t targets;           /* servers measured so far: one more for each restart */
    uint64_t attached_ns;       /* CLOCK_MONOTONIC */
    uint64_t attached_realtime; /* seconds since the epoch */
};

#endif
