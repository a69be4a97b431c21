/* What the programs keep for themselves, and what the profiler tells them: memory they share, which
 * is not pinned. */
#ifndef COVET_BPF_STATE_H
#define COVET_BPF_STATE_H

#include "shared.h"

#define COVET_THREADS_MAX 4096u /* a power of two */
#define COVET_NOTED_MAX 1024u   /* as well */
#define COVET_NO_TGID UINT32_MAX
#define COVET_NO_SYSCALL UINT32_MAX

/* The server, as the kernel knows it; set by the profiler. */
struct covet_target {
    uint32_t tgid; /* in the initial PID namespace; COVET_NO_TGID: nobody is measured */
    uint32_t reserved;
    uint64_t net; /* struct net * */
    uint64_t ports[65536 / 64];
};

/* A thread; written by itself, but for woken_ns. */
struct covet_thread {
    uint32_t tid; /* 0: free */
    enum covet_role role;
    uint32_t worker;  /* whose numbers its ring's events belong to; COVET_WORKERS_MAX: nobody's */
    uint32_t syscall; /* it is in; COVET_NO_SYSCALL: none */
    uint64_t syscall_start_ns;
    uint64_t syscall_off_ns; /* off the core since then */
    uint64_t on_ns;          /* when it came on a core; 0: not seen yet */
    uint64_t off_ns;         /* when it left it; 0: not seen yet */
    uint64_t woken_ns;       /* since then runnable; 0: it did not sleep */
    uint32_t cpu;
    uint32_t is_asleep; /* it left the core of its own accord */
    uint64_t request;   /* see uring.bpf.c */
} __attribute__((aligned(128)));

/* What a worker's ring did since it was last added to `uring_stats`. */
#define COVET_TALLY_OPS 64u
#define COVET_TALLY_DIRTY_MAX 8u

struct covet_tally {
    uint64_t submitted;
    uint64_t completed;
    uint64_t more;
    uint64_t is_dirty;
};

/* What belongs to a worker's index and outlives its thread. Counts are written by that thread
 * alone, but for completions_elsewhere. */
struct covet_worker {
    uint32_t owner;       /* the thread that has this index; 0: none */
    uint32_t dirty_count; /* of the tallies of these operations */
    uint8_t dirty[COVET_TALLY_DIRTY_MAX];
    uint64_t requests_address; /* the server's counter, in the server's memory; 0: it has none */
    uint64_t requests_base;    /* what it stood at when the profiler came */
    uint64_t syscalls;
    uint64_t enters;
    uint64_t completions;
    uint64_t completions_elsewhere; /* posted by io-wq and SQPOLL threads */
};

/* The opcode of a submission, to be found by its user_data. */
struct covet_noted {
    uint64_t user_data;
    uint64_t opcode;
};

/* What to look for, set by the profiler, and what was found. */
struct covet_scan {
    uint32_t pid;           /* the server's, in the PID namespace below */
    uint32_t pid_namespace; /* its inode number */
    uint64_t file;          /* inode number of the counter pages */
    uint64_t file_bytes;    /* of the whole mapping */
    uint32_t tgid;          /* found: the server's in the initial namespace; 0: there is none */
    uint32_t threads;       /* found: how many */
    uint64_t net;           /* found: struct net * */
    uint64_t address;       /* found: of the counter pages in the server's memory; 0: not mapped */
};

#endif
