// The server process: unprivileged, one thread per worker and a main thread that starts them, keeps
// account of route generations, writes the access log and answers at the admin address.
#ifndef CV_SERVER_SERVER_H
#define CV_SERVER_SERVER_H

#include <sys/types.h>

#include "base/compiler.h"
#include "metrics/counter.h"
#include "server/generation.h"
#include "server/settings.h"
#include "server/sockets.h"

struct cv_server_options {
    const struct cv_settings *settings;  // borrowed for the call, as all below
    const struct cv_stats *stats;
    struct cv_generation_source source;
    pid_t supervisor_pid;  // Whose death is this process's.
    // Descriptors, all taken.
    struct cv_sockets *sockets;
    int control_fd;
    int admin_fd;       // -1: none
    int access_log_fd;  // -1: none
    int module_fd[CV_SETTINGS_MODULES_MAX];
};

enum cv_server_exit {
    CV_SERVER_EXIT_CLEAN = 0,
    CV_SERVER_EXIT_NO_RING = 71,
    CV_SERVER_EXIT_CONFIG = 78,
};

// The fewest descriptors a process with so many workers and addresses can start with.
uint64_t cv_server_descriptors_min(const struct cv_settings *settings);

// Runs the server in the calling process, which has one thread and is the supervisor's child.
// Returns the exit code, after a log line when it is not 0; the caller ends the process with it at
// once.
CV_MUST_USE int cv_server_run(const struct cv_server_options *options);

#endif
