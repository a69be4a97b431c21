/* The server's own figures. */
#ifndef COVET_METRICS_H
#define COVET_METRICS_H

#include <covet/span.h>

#ifdef __cplusplus
extern "C" {
#endif

struct covet_response;

/* Answers with the counters of all workers in the OpenMetrics text format. Any client may read
 * them: give it a route of its own, behind whatever should guard it. Returns as
 * covet_response_error, which it is when memory is exhausted. Thread: the request's worker only. */
COVET_EXPORT int covet_metrics_respond(struct covet_response *response);

#ifdef __cplusplus
}
#endif

#endif
