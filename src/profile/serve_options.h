// The command line of `covet-prof serve`.
#ifndef CV_PROFILE_SERVE_OPTIONS_H
#define CV_PROFILE_SERVE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"

#define CV_SERVE_HOSTS_MAX 8u

struct cv_serve_options {
    const char *listen;   // Texts are borrowed from the command line.
    const char *pin_dir;  // Where the profiler's maps are.
    pid_t pid;            // 0: the only covet that runs
    uint32_t level;       // to attach at where no profiler is; 0: not
    uint64_t interval_ns;
    bool allow_remote;
    const char *hosts[CV_SERVE_HOSTS_MAX];
    uint32_t host_count;
};

enum cv_serve_action { CV_SERVE_RUN, CV_SERVE_HELP, CV_SERVE_WRONG };

// Reads the command line. CV_SERVE_HELP: the help was asked for, and printed. CV_SERVE_WRONG: what
// is wrong was said on standard error.
CV_MUST_USE enum cv_serve_action cv_serve_options_read(struct cv_serve_options *options, int argc,
                                                       char **argv);

#endif
