// The capabilities of this process.
#ifndef CV_PROFILE_RIGHTS_H
#define CV_PROFILE_RIGHTS_H

#include <stdbool.h>

#include "base/compiler.h"

// Whether a capability (capabilities(7), by its number) is effective.
CV_MUST_USE bool cv_rights_has(unsigned capability);

// Gives up for good all capabilities but those that profiling needs: CAP_BPF and CAP_PERFMON, or
// CAP_SYS_ADMIN where it stands in for them. What cannot be given up stays.
void cv_rights_reduce(void);

#endif
