// The counter pages as OpenMetrics text, for /metrics: every worker's own values, no sums. Sums and
// rates are the reader's business.
#ifndef CV_METRICS_EXPOSITION_H
#define CV_METRICS_EXPOSITION_H

#include <stdint.h>

#include "base/compiler.h"
#include "metrics/counter.h"
#include "metrics/openmetrics.h"

// Writes the whole exposition in pieces of at most 1 KiB; nothing is allocated. `version` is that
// of the program, at most 64 bytes without quotes, backslashes or newlines; `now_ns` is
// CLOCK_MONOTONIC now. Workers may go on counting. Returns 0 or what `write` returned to stop.
CV_MUST_USE int cv_exposition_write(const struct cv_stats *stats, const char *version,
                                    uint64_t now_ns, cv_openmetrics_fn write, void *context);

#endif
