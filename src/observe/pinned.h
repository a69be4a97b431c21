// What the profiler of a running covet has counted, out of its pinned maps into a snapshot.
#ifndef CV_OBSERVE_PINNED_H
#define CV_OBSERVE_PINNED_H

#include "base/compiler.h"
#include "observe/running.h"
#include "observe/snapshot.h"

// Fills info, lists and the workers' members of `snapshot`, which has its workers and nothing else
// of that yet; without a living profiler that measures `running`, says in bpf_note why. Maps of
// another layout are left out, with a note. Returns 0 or -ENOMEM.
CV_MUST_USE int cv_pinned_read(struct cv_snapshot *snapshot, const struct cv_running *running,
                               const char *pin_dir);

#endif
