// The command line of covet-prof flame.
#ifndef CV_PROFILE_FLAME_OPTIONS_H
#define CV_PROFILE_FLAME_OPTIONS_H

#include <covet/abi.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"

struct cv_flame_options {
    pid_t pid;       // 0: the only covet there is
    double seconds;  // above 0, at most a day
    uint32_t hz;     // 1 to 20,000 samples per second and core
    bool off_cpu;
    bool has_workers;  // `is_wanted` chooses some
    bool is_wanted[COVET_WORKERS_MAX];
    const char *svg_path;     // borrowed from argv; "-": standard output
    const char *folded_path;  // likewise; NULL: none
};

// Reads a command line. Returns -1 to go on, or the exit code to end with: help was asked for and
// printed, or a message was.
CV_MUST_USE int cv_flame_options_read(struct cv_flame_options *options, int argc, char **argv);

#endif
