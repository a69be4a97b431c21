// The covet that is looked at, through its upgrades (USR2).
#ifndef CV_PROFILE_TARGET_H
#define CV_PROFILE_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "observe/running.h"

struct cv_target {
    struct cv_running running;
    struct cv_running before;  // Who handed over to it, in case that fails; no supervisor: nobody.
    uint64_t start_ns;         // Of the running one.
};

void cv_target_aim(struct cv_target *target, const struct cv_running *running);

// Brings the target up to date: its server and ports, or the covet it has handed over to. Returns
// false when nobody is left.
CV_MUST_USE bool cv_target_look(struct cv_target *target);

#endif
