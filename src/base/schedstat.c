// One line of three numbers: ns on a processor, ns waiting for one, times it was given one
// (Documentation/scheduler/sched-stats.rst).
#include "base/schedstat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define LINE_BYTES_MAX 64u  // Three numbers of 20 digits and what is between them.

int cv_schedstat_open(void) {
    int descriptor = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);

    return descriptor >= 0 ? descriptor : -errno;
}

uint64_t cv_schedstat_waited_ns(int descriptor) {
    char line[LINE_BYTES_MAX + 1];
    ssize_t bytes = descriptor >= 0 ? pread(descriptor, line, LINE_BYTES_MAX, 0) : 0;
    char *at = line;

    line[bytes > 0 ? bytes : 0] = '\0';
    (void)strtoull(line, &at, 10);
    return strtoull(at, NULL, 10);
}
