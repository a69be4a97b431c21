// What this kernel and the rights of this process allow a profiler, found out by doing it.
#ifndef CV_PROFILE_FEATURES_H
#define CV_PROFILE_FEATURES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

#define CV_FEATURES_MAX 12u

struct cv_feature {
    const char *name;  // Static.
    bool is_possible;
    char why[640];  // What was found, or what stands in the way.
};

// Tries everything, the three levels among it: each is attached, measuring nobody, and taken off
// again. Pins go into a directory of its own beside `pin_dir`. Takes about a second. Returns how
// many features there are; `*level_max` is the highest level that works, 0: none.
CV_MUST_USE size_t cv_features_find(const char *pin_dir,
                                    struct cv_feature features[CV_FEATURES_MAX],
                                    unsigned *level_max);

#endif
