#include "profile/syscall_cost.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/compiler.h"

#define ROUNDS 40u
#define CALLS 200u

uint64_t cv_syscall_cost_ns(void) {
    uint64_t shortest_ns = UINT64_MAX;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint64_t start_ns = cv_clock_monotonic_ns();
        for (uint32_t call = 0; call < CALLS; call++) {
            syscall(SYS_getppid);
        }
        uint64_t taken_ns = cv_clock_monotonic_ns() - start_ns;
        shortest_ns = CV_MIN(shortest_ns, taken_ns);
    }
    return shortest_ns / CALLS;
}
