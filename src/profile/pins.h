// A directory of bpffs that one profiler has, and what is pinned in it.
//
// Having it is an flock(2) on the directory itself, so it ends with the process, however that ends,
// and means the same to whoever sees the directory.
#ifndef CV_PROFILE_PINS_H
#define CV_PROFILE_PINS_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/compiler.h"

struct cv_pins {
    const char *path;  // borrowed until cv_pins_close
    int fd;            // of the directory, which it locks; owned
};

// Takes the directory: makes it (0755 when `readable`, else 0700), mounts bpffs at /sys/fs/bpf when
// the path lies there and nothing is mounted, and removes what a dead profiler has left. Returns 0;
// -EBUSY when another process has it (`*holder_pid`, 0 when it cannot be seen); -EMEDIUMTYPE when
// the path is not on a bpffs and none can be mounted; -EUSERS when the directory is neither root's
// nor ours; or -errno.
CV_MUST_USE int cv_pins_open(struct cv_pins *pins, const char *path, bool readable,
                             pid_t *holder_pid);

// Pins the map or link of descriptor `fd` as `name`, readable by everybody or by its owner alone.
// Returns 0 or -errno.
CV_MUST_USE int cv_pins_add(const struct cv_pins *pins, const char *name, int fd, bool readable);

// Gives the directory up; with `keep` what is pinned stays.
void cv_pins_close(struct cv_pins *pins, bool keep);

// Removes what a dead profiler has left in `path`, and the directory. Returns the number of objects
// removed, -EBUSY or -EUSERS (as above), -EMEDIUMTYPE when it is not in a bpf file system, or
// -errno (-ENOENT: there is no such directory).
CV_MUST_USE int cv_pins_clean(const char *path, pid_t *holder_pid);

#endif
