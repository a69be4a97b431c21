// A snapshot, or the difference of two, as one JSON object.
//
//   {"server": {...}, "taken_ns": N, "interval_ns": N, "profile": {...} or null, "note": "...",
//    "per_1000_requests": {measure: number or null}, "total": WORKER, "workers": [WORKER, ...],
//    "other_syscalls": {role: {call: SYSCALL}}, "net": {port: {event: N}},
//    "drops": {port: {reason: N}}, "listeners": {port: {...}}, "host": {...}}
//
// A WORKER has counters, gauges, handler times, what /proc and the profiler say (null without
// them), its system calls and ring operations by name, each with its latency where level 3 measured
// it. Histograms show percentiles (null: above all buckets) and their buckets by name.
#ifndef CV_PROFILE_JSON_SNAPSHOT_H
#define CV_PROFILE_JSON_SNAPSHOT_H

#include <covet/json.h>

#include "base/compiler.h"
#include "observe/snapshot.h"

// Writes the object as the next value. Returns 0 or the writer's error.
CV_MUST_USE int cv_json_snapshot_write(struct covet_json_writer *writer,
                                       const struct cv_snapshot *snapshot);

// The object as a text that ends in NUL; the caller frees it. NULL without memory.
CV_MUST_USE char *cv_json_snapshot_text(const struct cv_snapshot *snapshot);

#endif
