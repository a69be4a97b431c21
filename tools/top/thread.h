// Threads of the server as one number each, for tables: a worker is its index.
#ifndef TOP_THREAD_H
#define TOP_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "bpf/shared.h"
#include "top/quantity.h"

#define TOP_THREAD_WORKERS (-1.0)  // all workers together, in front of each of them

// Those that are no worker sort behind all of them.
static inline double top_thread_of_role(enum covet_role role) {
    return 1000.0 + (double)role;
}

// Worker `index`, or all of them where workers were summed up into one.
static inline double top_thread_of_worker(uint32_t index, bool is_total) {
    return is_total ? TOP_THREAD_WORKERS : (double)index;
}

// "w3", "workers", "main", "io-wq", "sqpoll", "other".
void top_thread_name(char out[TOP_QUANTITY_BYTES], double thread);

#endif
