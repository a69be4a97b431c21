// Figures as a table for people, 80 columns wide.
#ifndef CV_PROFILE_REPORT_H
#define CV_PROFILE_REPORT_H

#include <stdio.h>

#include "base/compiler.h"
#include "observe/snapshot.h"

// Writes what the difference `change` says: a line per worker, system calls, ring operations,
// scheduling, network, and what was not measured. Returns 0 or -ENOMEM.
CV_MUST_USE int cv_report_write(FILE *out, const struct cv_snapshot *change);

#endif
