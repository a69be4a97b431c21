// Handing over to a new binary: the old supervisor executes it with the listening sockets open and
// a pipe to say "ready" on; the new one takes the sockets over by their addresses.
//
// The descriptors are named in the environment: COVET_UPGRADE_LISTENERS, COVET_UPGRADE_ACTIVATED
// (those that came from a service manager), COVET_UPGRADE_ADMIN, COVET_UPGRADE_READY and
// COVET_PROFILE_FD (<covet/abi.h>), as decimal numbers separated by commas. Their addresses are
// asked of the kernel.
#ifndef CV_SERVER_UPGRADE_H
#define CV_SERVER_UPGRADE_H

#include <stddef.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "server/sockets.h"

// The path that executes this program again, made absolute now, before anything can change: a new
// binary put there later is the one to be executed. Returns 0 or -errno.
CV_MUST_USE int cv_upgrade_find_program(const char *argv0, char *path, size_t path_bytes);

struct cv_upgrade_order {
    const char *program;  // absolute
    char *const *argv;
    const struct cv_sockets *sockets;
    int admin_fd;    // -1: not handed over
    int profile_fd;  // The line to a profiler that started us; -1: there is none.
};

struct cv_upgrade {
    pid_t pid;
    int ready_fd;  // owned; one byte comes when it is ready, the end of file when it never will be
};

// Starts the new supervisor. Returns 0 or -errno.
CV_MUST_USE int cv_upgrade_start(struct cv_upgrade *upgrade, const struct cv_upgrade_order *order);

struct cv_upgrade_inherited {
    int ready_fd;    // owned; -1: nobody waits
    int admin_fd;    // owned; -1: none
    int profile_fd;  // owned; -1: none. From the profiler that started us, or the one before.
};

// In a new process: takes what a supervisor before us, or a service manager (LISTEN_FDS of
// sd_listen_fds(3)), left open, and clears the environment of it. Descriptors that are not
// listening sockets, or not a profiler's line, are refused with a log line.
void cv_upgrade_inherit(struct cv_sockets *sockets, struct cv_upgrade_inherited *inherited);

// Says "ready" to the old supervisor, if there is one.
void cv_upgrade_say_ready(struct cv_upgrade_inherited *inherited);

#endif
