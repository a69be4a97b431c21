/* Who is measured: the server's threads, as every program here asks first. For the kernel's side.
 *
 * A program runs for every process of the machine, so it begins with one comparison; then a thread
 * is found in a table of plain memory, because each call of a helper costs about as much as all the
 * rest of a program. A thread that is not in the table yet puts itself there, so none is missed.
 */
#ifndef COVET_BPF_THREADS_H
#define COVET_BPF_THREADS_H

#include <covet/abi.h>

#include "state.h"
#include "views.h"
#include "workers.h"

#define COVET_THREAD_PROBES 8u

struct covet_thread_name {
    char text[COVET_THREAD_NAME_BYTES];
};

/* 1 to 3; what a level does not need is left out when the programs are loaded. */
extern const volatile uint32_t covet_level;
extern struct covet_target covet_target;
extern struct covet_thread covet_threads[COVET_THREADS_MAX];
extern struct covet_worker covet_workers[COVET_WORKERS_MAX];

/* Puts a thread into the table, or tells anew who it is. Returns its index or -1: no room. */
extern int covet_thread_add(uint32_t tid, uint32_t flags, struct covet_thread_name *name);
extern int covet_thread_add_current(void);
/* Adds what a worker's ring did to `uring_stats`; called in its own thread. */
extern int covet_uring_flush(uint32_t index);
/* Writes the line of a worker in `worker_stats` anew; called in its own thread. */
extern int covet_worker_publish(uint32_t index);

static __always_inline uint32_t covet_thread_home(uint32_t tid) {
    return (tid * 0x9e3779b1u) >> 20; /* 32 - 20 = 12 bits: COVET_THREADS_MAX */
}

static __always_inline struct covet_thread *covet_thread_at(int index) {
    return &covet_threads[(uint32_t)index & (COVET_THREADS_MAX - 1)];
}

/* Index of a thread, -1: it is not known. */
static __always_inline int covet_thread_index(uint32_t tid) {
    uint32_t home = covet_thread_home(tid);
    for (uint32_t i = 0; i < COVET_THREAD_PROBES; i++) {
        uint32_t index = (home + i) & (COVET_THREADS_MAX - 1);
        if (covet_threads[index].tid == tid)
            return (int)index;
    }
    return -1;
}

static __always_inline struct covet_thread *covet_thread_find(uint32_t tid) {
    int index = covet_thread_index(tid);
    return index < 0 ? NULL : covet_thread_at(index);
}

/* The current thread when it is one of the server's, else NULL. For events in a thread's own
 * context. */
static __always_inline struct covet_thread *covet_thread_current(void) {
    uint64_t id = bpf_get_current_pid_tgid();
    if ((uint32_t)(id >> 32) != covet_target.tgid)
        return NULL;
    int index = covet_thread_index((uint32_t)id);
    if (index < 0)
        index = covet_thread_add_current();
    return index < 0 ? NULL : covet_thread_at(index);
}

/* The value of `key`, made of `zero` where there is none. */
static __always_inline void *covet_entry(void *map, const void *key, const void *zero) {
    void *value = bpf_map_lookup_elem(map, key);
    if (value != NULL)
        return value;
    bpf_map_update_elem(map, key, zero, BPF_NOEXIST);
    return bpf_map_lookup_elem(map, key);
}

/* Counts `ns` in a histogram; see COVET_LATENCY_BUCKETS. */
static __always_inline void covet_latency_add(struct covet_latency *latency, uint64_t ns) {
    uint64_t us = ns / 1000;
    uint32_t bucket = 0;
    if (us >> 16) {
        bucket += 16;
        us >>= 16;
    }
    if (us >> 8) {
        bucket += 8;
        us >>= 8;
    }
    if (us >> 4) {
        bucket += 4;
        us >>= 4;
    }
    if (us >> 2) {
        bucket += 2;
        us >>= 2;
    }
    bucket += us >= 2 ? 2 : (uint32_t)us;
    if (bucket >= COVET_LATENCY_BUCKET_COUNT)
        bucket = COVET_LATENCY_BUCKET_COUNT - 1;
    ((uint64_t *)latency)[bucket]++;
}

#endif
