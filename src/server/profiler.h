// The profiler beside the server: covet-prof, a process of its own with rights the server has given
// up (docs/notes/0014-profiling.md). The supervisor starts it, tells it which server to measure and
// logs what it answers; nobody ever waits for it. The line to it is described in <covet/abi.h>.
//
// It is started as `covet-prof --control 3 --level N`, descriptor 3 being the line, standard input
// and output /dev/null, and no other descriptor open but standard error.
#ifndef CV_SERVER_PROFILER_H
#define CV_SERVER_PROFILER_H

#include <covet/abi.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"

struct cv_profiler {
    int fd;             // The line, owned; -1: nobody is there.
    pid_t pid;          // Our child; 0: none, or it has started us.
    uint32_t level;     // What our child was started with.
    bool is_off;        // It has said that it cannot measure; its end is no news.
    bool is_unsent;     // `target` waits for room.
    bool has_answered;  // Since the last target.
    struct covet_profile_target target;
};

// No profiler yet: zeroed but for `fd`.
#define CV_PROFILER_NONE ((struct cv_profiler){.fd = -1})

// Takes over the line to a profiler that has started us; `fd` is owned from now on.
void cv_profiler_adopt(struct cv_profiler *profiler, int fd);

static inline bool cv_profiler_is_adopted(const struct cv_profiler *profiler) {
    return profiler->fd >= 0 && profiler->level == 0;
}

// Makes the profiler one of `level` (0: none): starts covet-prof, ends one of another level, and
// leaves alone one that is right or adopted. Logs one line when it cannot be started.
void cv_profiler_set_level(struct cv_profiler *profiler, uint32_t level);

// Tells it what to measure. A profiler that does not read gets the last target once it does.
void cv_profiler_tell(struct cv_profiler *profiler, const struct covet_profile_target *target);

// The events to poll its line for.
short cv_profiler_events(const struct cv_profiler *profiler);

// On such an event: logs what it says, sends what waits, notices its end.
void cv_profiler_run(struct cv_profiler *profiler);

// A child has ended. Returns whether it was the profiler; logs its end once.
bool cv_profiler_reap(struct cv_profiler *profiler, pid_t pid, int status);

// Lets go of it: it unpins its maps and ends by itself.
void cv_profiler_close(struct cv_profiler *profiler);

#endif
