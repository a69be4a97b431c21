// OpenMetrics 1.0 text, line by line: what every exposition of covet's shares.
//
// Every family is called "covet_" and its name. Lines are collected into pieces of at most 1 KiB;
// nothing is allocated. Numbers are the caller's to format: integers, or times by the macros below,
// so nothing is rounded and no locale has a say.
#ifndef CV_METRICS_OPENMETRICS_H
#define CV_METRICS_OPENMETRICS_H

#include <inttypes.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/span.h"

#define CV_OPENMETRICS_CONTENT_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"
#define CV_OPENMETRICS_PIECE_BYTES_MAX 1024u
#define CV_OPENMETRICS_LINE_BYTES_MAX 256u  // With the newline.

// Nanoseconds as seconds.
#define CV_OPENMETRICS_SECONDS "%" PRIu64 ".%09" PRIu64
#define CV_OPENMETRICS_SECONDS_OF(ns) \
    (uint64_t)(ns) / (uint64_t)1000000000, (uint64_t)(ns) % (uint64_t)1000000000

// Takes the next piece of text, borrowed for the call. Returns 0, or a negative value to stop.
typedef int (*cv_openmetrics_fn)(void *context, struct cv_span text);

struct cv_openmetrics {
    cv_openmetrics_fn write;
    void *context;
    int result;  // What `write` returned to stop; nothing more happens then. 0 at first.
    size_t length;
    char piece[CV_OPENMETRICS_PIECE_BYTES_MAX];
};

// Adds one line; `format` is without the newline.
void cv_openmetrics_line(struct cv_openmetrics *out, const char *format, ...) CV_PRINTF(2, 3);

// The lines before a family's samples: `type` is "counter", "gauge", "histogram" or "info". The
// unit, which is part of the name in this format, is told by the name's end.
void cv_openmetrics_family(struct cv_openmetrics *out, struct cv_span name, const char *type,
                           const char *help);

// Ends the text. Returns 0 or what `write` returned to stop.
CV_MUST_USE int cv_openmetrics_finish(struct cv_openmetrics *out);

#endif
