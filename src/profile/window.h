// Measuring a running covet for a while: the difference between two moments, by the profiler that
// is attached to it, or by one of our own for that time, or without any. For stat, budget and
// doctor.
//
// An interrupt (SIGINT, SIGTERM, SIGHUP) ends a measurement early, and what was attached is taken
// away again.
#ifndef CV_PROFILE_WINDOW_H
#define CV_PROFILE_WINDOW_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "observe/snapshot.h"
#include "profile/attach.h"

// What all three are told; zero but for the level before the command line is read.
struct cv_window_options {
    pid_t pid;            // 0: the only covet there is
    const char *pin_dir;  // NULL: the usual one; borrowed
    uint32_t level;       // 0 to 3, of a profiler of our own
    double seconds;
    bool is_json;
};

#define CV_WINDOW_LEVEL 2u
#define CV_WINDOW_SECONDS_MAX 86400.0

// Their getopt_long(3) options: short letters, and long ones to stand in an array of struct option.
#define CV_WINDOW_LETTERS ":hp:"
#define CV_WINDOW_LONG_OPTIONS \
    {"pid", required_argument, NULL, 'p'}, {"pin-dir", required_argument, NULL, 'D'}, \
        {"level", required_argument, NULL, 'L'}, { \
        "help", no_argument, NULL, 'h' \
    }
#define CV_WINDOW_HELP \
    "  -p, --pid PID       the covet to measure, its supervisor or server (the only one)\n" \
    "      --level N       what to attach where no profiler is: 0 nothing, to 3 (2)\n" \
    "      --pin-dir DIR   where the maps are (" COVET_PIN_DIR ")"

// What one letter of getopt_long means, those that belong to the command alone having been taken
// before; 's' (seconds) and 'j' (JSON) are known too, for commands that have them. Returns -1 to go
// on, or the exit code: help (`usage`) was printed, or a message.
CV_MUST_USE int cv_window_option(struct cv_window_options *options, int letter, char **argv,
                                 const char *usage);

// "covet-prof COMMAND: message, usage: ..." on standard error; returns the exit code for that.
CV_COLD CV_PRINTF(3, 4) int cv_window_usage(const char *command, const char *usage,
                                            const char *format, ...);

// Reads a number of seconds above 0 and up to CV_WINDOW_SECONDS_MAX; false leaves `*seconds`.
bool cv_window_seconds(double *seconds, const char *text);

struct cv_window {
    struct cv_snapshot_source *source;
    struct cv_attach *attach;  // our own; NULL: none
    struct cv_snapshot first, last;
    char note[256];  // why nothing more is measured; "" when nothing stands in the way
};

// What was highest among the moments looked at: five a second, more at first.
struct cv_window_peak {
    uint64_t connections_open;
    uint64_t buffers_in_use;  // of one worker
    uint32_t queue_percent;   // of the fullest accept queue
};

// Finds the covet and attaches, if nobody has and rights allow. Returns 0, or the exit code with a
// message on standard error that begins with `command`'s name.
CV_MUST_USE int cv_window_open(struct cv_window *window, const struct cv_window_options *options,
                               const char *command);

// From here on it counts; after cv_window_wait, from where that ended, so that windows in a row
// leave nothing out. Returns as cv_window_wait.
CV_MUST_USE int cv_window_begin(struct cv_window *window);

// Waits `seconds`, or until `until_fd` (-1: none) is readable, and fills `change` with what
// happened since cv_window_begin. Returns 0, or the exit code with a message. `change` is zeroed
// before the first use, `peak` may be NULL.
CV_MUST_USE int cv_window_wait(struct cv_window *window, double seconds, int until_fd,
                               struct cv_snapshot *change, struct cv_window_peak *peak);

// Whether a signal asked to end.
bool cv_window_is_interrupted(void);

// Prints what heads every report: which covet, what level by whom, how long, and why there is no
// profiler where there is none.
void cv_window_print_head(const struct cv_window *window, const struct cv_snapshot *change);

void cv_window_close(struct cv_window *window);

#endif
