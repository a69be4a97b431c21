// The directory where a running covet can be found: BASE/<pid>/ with the counter pages and the
// admin socket in it. BASE is $RUNTIME_DIRECTORY (set by a service manager), /run/covet for root,
// $XDG_RUNTIME_DIR/covet, or /tmp/covet-<uid>, the first that can be used.
#ifndef CV_SERVER_RUNDIR_H
#define CV_SERVER_RUNDIR_H

#include "base/compiler.h"

#define CV_RUNDIR_PATH_BYTES 96u  // So that an admin socket in it fits a unix address.

struct cv_rundir {
    char path[CV_RUNDIR_PATH_BYTES];  // Empty: there is none.
    int lock_fd;                      // Owned with a path: the directory, locked while we live.
};

// Makes this process's directory, and removes those of processes that are gone. Returns 0 or -errno
// with an empty path.
CV_MUST_USE int cv_rundir_create(struct cv_rundir *rundir);

// Removes the directory with what is known to be in it.
void cv_rundir_destroy(struct cv_rundir *rundir);

#endif
