/* Where the server's threads are, for flame graphs: records in the ring buffer `covet_stack_ring`.
 *
 * A record carries what is needed to unwind the user's side later: the registers with which the
 * thread left user space, and the memory at its stack pointer. The kernel's own stack walk knows
 * frame pointers alone, which neither the server nor its libraries have. Nothing here is pinned.
 */
#ifndef COVET_BPF_STACKS_H
#define COVET_BPF_STACKS_H

#include "shared.h"
#include "workers.h"

#define COVET_STACK_KERNEL_MAX 127u /* kernel.perf_event_max_stack, unless somebody changed it */
#define COVET_STACK_CHUNK_BYTES 1024u
#define COVET_STACK_CHUNKS 64u

/* Numbers of the registers in the unwinding tables of x86-64 (psABI, figure 3.36). */
#define COVET_STACK_REGISTERS 17u
#define COVET_STACK_RBP 6u
#define COVET_STACK_RSP 7u
#define COVET_STACK_RIP 16u

enum covet_stack_event {
    COVET_STACK_RUNNING = 0, /* a sample of a thread on a core */
    COVET_STACK_BLOCKED = 1, /* the thread goes to sleep */
    COVET_STACK_ASLEEP = 2,  /* it slept already when the measurement began */
    COVET_STACK_RESUMED = 3, /* it runs again: `head` alone */
};

struct covet_stack_head {
    uint32_t event;     /* enum covet_stack_event */
    uint32_t thread_id; /* in the initial PID namespace */
    uint64_t time_ns;   /* CLOCK_MONOTONIC */
};

struct covet_stack_record {
    struct covet_stack_head head;
    char name[COVET_THREAD_NAME_BYTES];
    uint64_t registers[COVET_STACK_REGISTERS]; /* rip 0: a kernel thread, no user's side */
    uint64_t stack_start;                      /* address of stack[0] */
    uint64_t stack_top;                        /* as covet_stack_tops has it; 0: not known */
    uint32_t stack_bytes;                      /* up to the last chunk that could be read */
    uint32_t kernel_count;
    uint64_t kernel[COVET_STACK_KERNEL_MAX]; /* innermost first */
    uint8_t stack[COVET_STACK_CHUNKS * COVET_STACK_CHUNK_BYTES];
};

#endif
