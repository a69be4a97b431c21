// Results as text for people and as one JSON object for programs.
#ifndef LOAD_REPORT_H
#define LOAD_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "load/options.h"
#include "load/result.h"

#define LOAD_REPORT_FULL 0.95         // A lane that uses or waits for its core so long is full.
#define LOAD_REPORT_SERVER_ROOM 0.90  // A server below this has room.

struct load_progress;

// `server_busy`: the server's busiest thread, 0..1, or below 0 when unknown.
void load_report_text(FILE *out, const struct load_options *options,
                      const struct load_result *result, double server_busy);

// One line. Latencies are null when none was measured, `server_cpu_share` when it is unknown.
void load_report_json(FILE *out, const struct load_options *options,
                      const struct load_result *result, double server_busy);

// Whether the generator, not the server, set the pace: the core of its busiest lane is full, with
// its own work or with others', while the server is known to have room. An open loop that fell
// behind says nothing by itself: an idle server that does not answer delays it too.
bool load_report_is_bottleneck(const struct load_result *result, double server_busy);

// One line over itself: rate since `before`, sums, open connections. Sets `*before` to `*now`.
// `_end` wipes it.
void load_report_progress(FILE *out, struct load_progress *before, const struct load_progress *now);
void load_report_progress_end(FILE *out);

#endif
