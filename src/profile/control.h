// `covet-prof --control FD --level N`: the profiler that a covet has started for itself.
#ifndef CV_PROFILE_CONTROL_H
#define CV_PROFILE_CONTROL_H

#include "base/compiler.h"
#include "profile/attach.h"

// Measures whom the line `fd` names until it ends. Waits, without bothering anybody, for a profiler
// that still holds the pins: after a restart or a hand-over the one before is about to end.
// Returns the exit code.
CV_MUST_USE int cv_control_run(int fd, const struct cv_attach_options *options);

#endif
