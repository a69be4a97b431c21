// The command lines of attach, run, check and clean, which share their options.
#ifndef CV_PROFILE_ARGUMENTS_H
#define CV_PROFILE_ARGUMENTS_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "profile/attach.h"

enum cv_argument {
    CV_ARGUMENT_PID = 1,
    CV_ARGUMENT_LEVEL = 2,
    CV_ARGUMENT_PIN_DIR = 4,
    CV_ARGUMENT_KEEP = 8,
    CV_ARGUMENT_READABLE = 16,
    CV_ARGUMENT_VERBOSE = 32,
    CV_ARGUMENT_JSON = 64,
    CV_ARGUMENT_CONTROL = 128,
    CV_ARGUMENT_COMMAND = 256,  // Words behind the options: a program and its arguments.
};

struct cv_arguments {
    pid_t pid;  // 0: the only covet there is
    struct cv_attach_options attach;
    bool is_verbose;
    bool is_json;
    int control_fd;  // -1: none
    char **command;  // borrowed; ends in NULL, which is also the first when there is none
};

// Where maps are pinned unless --pin-dir says otherwise: the variable COVET_PIN_DIR, for a second
// covet on one machine, or bpf/shared.h's.
const char *cv_arguments_pin_dir(void);

// Reads a command line that may hold what `accepted` (enum cv_argument, joined) names. Returns -1
// to go on, or the exit code to end with: help was asked for and printed, or a message was.
CV_MUST_USE int cv_arguments_read(int argc, char **argv, unsigned accepted,
                                  struct cv_arguments *arguments);

#endif
