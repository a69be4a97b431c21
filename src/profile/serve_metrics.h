// A snapshot as OpenMetrics text, for /metrics of `covet-prof serve`.
//
// The server's own /metrics has what it counts itself; this one has what is seen from outside, and
// of the server's counters only the requests, so that ratios need no second source. All families
// begin with "covet_profile_": a monitor that reads both pages has nothing twice. A family whose
// source is missing (level 0, a level below its own) has no samples.
#ifndef CV_PROFILE_SERVE_METRICS_H
#define CV_PROFILE_SERVE_METRICS_H

#include "base/compiler.h"
#include "metrics/openmetrics.h"
#include "observe/snapshot.h"

// Writes the whole exposition; `snapshot` NULL says that there is no server. Values are those since
// the server's start, or since the profiler's where it is the one who counts. Returns 0 or what
// `write` returned to stop.
CV_MUST_USE int cv_serve_metrics_write(const struct cv_snapshot *snapshot, cv_openmetrics_fn write,
                                       void *context);

#endif
