// How long a thread has waited for a processor that others had.
#ifndef CV_BASE_SCHEDSTAT_H
#define CV_BASE_SCHEDSTAT_H

#include <stdint.h>

#include "base/compiler.h"

// Opens the figures of the calling thread (/proc/thread-self/schedstat). Returns a descriptor the
// caller closes, or -errno: there is no procfs, or no descriptor left.
CV_MUST_USE int cv_schedstat_open(void);

// Nanoseconds that the thread was able to run and did not, since it began: one system call. Sleep
// is no part of it, nor is what a hypervisor takes. 0 where the kernel does not say
// (CONFIG_SCHED_INFO), and for a `descriptor` below 0.
uint64_t cv_schedstat_waited_ns(int descriptor);

#endif
