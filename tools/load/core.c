// "cpuN user nice system idle iowait irq softirq steal ...", in clock ticks (proc_stat(5)).
#include "load/core.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"

struct load_core load_core_now(int core) {
    struct load_core now = {0};
    char line[512], name[24];
    FILE *file = fopen("/proc/stat", "re");
    if (file == NULL) {
        return now;
    }
    uint64_t tick_ns = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);
    size_t length = (size_t)snprintf(name, sizeof(name), "cpu%d ", core);
    while (fgets(line, sizeof(line), file) != NULL) {
        uint64_t idle, wait, irq, softirq, steal;
        if (strncmp(line, name, length) == 0 &&
            sscanf(line + length,
                   "%*u %*u %*u %" SCNu64 "%" SCNu64 "%" SCNu64 "%" SCNu64 "%" SCNu64, &idle, &wait,
                   &irq, &softirq, &steal) == 5) {
            now.idle_ns = (idle + wait) * tick_ns;
            now.taken_ns = (irq + softirq + steal) * tick_ns;
            break;
        }
    }
    fclose(file);
    return now;
}

// Where interrupts are part of the thread's time they are counted twice here; what was not idle is
// the limit of that.
uint64_t load_core_filled_ns(struct load_core before, struct load_core after, uint64_t used_ns,
                             uint64_t passed_ns) {
    uint64_t taken_ns = after.taken_ns - CV_MIN(before.taken_ns, after.taken_ns);
    uint64_t idle_ns = after.idle_ns - CV_MIN(before.idle_ns, after.idle_ns);
    uint64_t busy_ns = passed_ns - CV_MIN(idle_ns, passed_ns);
    uint64_t filled_ns = CV_MAX(used_ns, CV_MIN(used_ns + taken_ns, busy_ns));
    return CV_MIN(filled_ns, passed_ns);
}
