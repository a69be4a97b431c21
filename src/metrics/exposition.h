// The counter pages as OpenMetrics text, for /metrics: every worker's own values, no sums. Sums and
// rates are the reader's business.
#ifndef CV_METRICS_EXPOSITION_H
#define CV_METRICS_EXPOSITION_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/span.h"
#include "metrics/counter.h"

#define CV_EXPOSITION_CONTENT_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

// Takes the next piece of text, borrowed for the call. Returns 0, or a negative value to stop.
typedef int (*cv_exposition_fn)(void *context, struct cv_span text);

// Writes the whole exposition in pieces of at most 1 KiB; nothing is allocated. `version` is that
// of the program, at most 64 bytes without quotes, backslashes or newlines; `now_ns` is
// CLOCK_MONOTONIC now. Workers may go on counting. Returns 0 or what `write` returned to stop.
CV_MUST_USE int cv_exposition_write(const struct cv_stats *stats, const char *version,
                                    uint64_t now_ns, cv_exposition_fn write, void *context);

#endif
