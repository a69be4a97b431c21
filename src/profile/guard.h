// A process that waits for the end of this one, however that comes about, and then removes one name
// from the bpf file system. What else a profiler has in the kernel ends with it; a pinned iterator
// would stay, its program with it.
#ifndef CV_PROFILE_GUARD_H
#define CV_PROFILE_GUARD_H

#include <sys/types.h>

#include "base/compiler.h"

struct cv_guard {
    pid_t pid;  // 0: none
    int fd;     // Its end is the sign.
};

#define CV_GUARD_NONE ((struct cv_guard){.fd = -1})

// Forks. The child holds no descriptor of ours and no capability. Returns 0 or -errno.
CV_MUST_USE int cv_guard_start(struct cv_guard *guard, const char *path);

// The name is gone when it returns. No effect on CV_GUARD_NONE.
void cv_guard_end(struct cv_guard *guard);

#endif
