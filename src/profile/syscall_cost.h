// What a system call costs here and now, to say what the programs on all of them add.
#ifndef CV_PROFILE_SYSCALL_COST_H
#define CV_PROFILE_SYSCALL_COST_H

#include <stdint.h>

// The time of the cheapest system call there is, in nanoseconds: the shortest of several rounds,
// about 10 ms in all, so that what else the core did in between does not count.
uint64_t cv_syscall_cost_ns(void);

#endif
