// Results as text for people and as one JSON object for programs.
#ifndef LOAD_REPORT_H
#define LOAD_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "load/options.h"
#include "load/result.h"

// `server_busy`: the server's busiest thread, 0..1, or below 0 when unknown.
void load_report_text(FILE *out, const struct load_options *options,
                      const struct load_result *result, double server_busy);
void load_report_json(FILE *out, const struct load_options *options,
                      const struct load_result *result, double server_busy);

// Whether the generator, not the server, set the pace: a lane's core is full (0.95) in a closed
// loop, or the open loop fell behind, while the server is known to have room (below 0.90).
bool load_report_is_bottleneck(const struct load_options *options, const struct load_result *result,
                               double server_busy);

#endif
