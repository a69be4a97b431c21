/* System calls of the server's threads (level 2 and up).
 *
 * Pinned: `syscall_stats` {struct covet_syscall_key: struct covet_syscall_stats} for workers, the
 * same layout with a role in `other_syscall_stats` for the main thread and others, and at level 3
 * `syscall_latency` {struct covet_syscall_key: struct covet_latency} of busy time.
 *
 * A worker has entries for io_uring_enter and for read, write, sendto and recvfrom from the start:
 * that the last four stay at 0 while requests climb is what an io_uring server is about.
 */
#ifndef COVET_BPF_SYSCALLS_H
#define COVET_BPF_SYSCALLS_H

#include "shared.h"
#include "syscall_numbers.h"

enum covet_syscall {
#define COVET_SYSCALL_ENUM(name, number) SYS_##name = number,
    COVET_SYSCALLS(COVET_SYSCALL_ENUM)
#undef COVET_SYSCALL_ENUM
};

struct covet_syscall_key {
    uint32_t worker;
    enum covet_syscall syscall;
};

struct covet_other_syscall_key {
    enum covet_role role;
    enum covet_syscall syscall;
};

/* Counted when a call returns; one that never returns (exit) is counted when it begins. */
struct covet_syscall_stats {
    uint64_t count;
    uint64_t errors;      /* returned -errno; of them EAGAIN and EINTR too */
    uint64_t busy_ns;     /* on a core, inside the call */
    uint64_t blocked_ns;  /* off the core, inside the call */
    uint64_t max_busy_ns; /* the longest one */
    uint64_t avg_busy_ns;
    int64_t last_error; /* -errno, 0: none yet */
};

#endif
