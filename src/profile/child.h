// A command that runs while something is measured.
#ifndef CV_PROFILE_CHILD_H
#define CV_PROFILE_CHILD_H

#include <sys/types.h>

#include "base/compiler.h"

struct cv_child {
    pid_t pid;
    int fd;  // readable when it has ended (pidfd_open(2))
};

// Starts `command`, a list that ends in NULL, found by $PATH. Returns 0 or -errno; a program that
// cannot be executed shows as an exit status of 127, with a message.
CV_MUST_USE int cv_child_start(struct cv_child *child, char *const *command);

// Ends it (SIGTERM) if it still runs, and returns its exit status, or 128 and the signal that ended
// it, as shells do.
int cv_child_finish(struct cv_child *child);

#endif
