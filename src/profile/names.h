// Each text once: two names are equal when their pointers are.
#ifndef CV_PROFILE_NAMES_H
#define CV_PROFILE_NAMES_H

#include <stddef.h>

#include "base/compiler.h"
#include "base/span.h"

struct cv_names {
    char **slots;  // owned, each owned; a power of two of them, NULL where empty
    size_t slot_count;
    size_t count;
};

// `names` starts zeroed. Returns the one copy of `text`, valid until cv_names_deinit, or NULL when
// memory is exhausted.
CV_MUST_USE const char *cv_names_add(struct cv_names *names, struct cv_span text);
void cv_names_deinit(struct cv_names *names);

#endif
