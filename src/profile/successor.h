// The covet that another one hands over to (USR2), seen from outside.
#ifndef CV_PROFILE_SUCCESSOR_H
#define CV_PROFILE_SUCCESSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "observe/running.h"

// When the supervisor of `running` started, CLOCK_MONOTONIC in nanoseconds; 0: its pages are gone.
uint64_t cv_successor_start_ns(const struct cv_running *running);

// While `running` lives: a child of its supervisor, by the same name, that serves. Returns whether
// `*next` was found.
CV_MUST_USE bool cv_successor_find_child(const struct cv_running *running, struct cv_running *next);

// When `running`, which started at `start_ns`, is gone: a later covet of the same place that serves
// one of its ports (or, as it, none). Returns whether `*next` was found.
CV_MUST_USE bool cv_successor_find_heir(const struct cv_running *running, uint64_t start_ns,
                                        struct cv_running *next);

#endif
