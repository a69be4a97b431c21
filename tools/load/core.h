// What a core did besides running threads. The kernel may keep the time of interrupts, of which the
// packets of a loopback connection are most, out of the CPU time of the thread they interrupt
// (CONFIG_IRQ_TIME_ACCOUNTING), and never counts what the hypervisor took: a thread can be at the
// end of its core with a share of 0.85.
#ifndef LOAD_CORE_H
#define LOAD_CORE_H

#include <stdint.h>

struct load_core {
    uint64_t idle_ns;   // Nothing to run.
    uint64_t taken_ns;  // By interrupts and the hypervisor.
};

// Since the machine began, in steps of a clock tick. Zeros where it is unknown.
struct load_core load_core_now(int core);

// Of `passed_ns`, in which the core changed from `before` to `after` and a thread used or waited
// for `used_ns` of it: what the thread was kept busy by all that, at least `used_ns`, at most what
// was not idle or `passed_ns`.
uint64_t load_core_filled_ns(struct load_core before, struct load_core after, uint64_t used_ns,
                             uint64_t passed_ns);

#endif
