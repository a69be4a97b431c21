// An interval as one JSON object on a line, for programs.
//
//   {"server": {...}, "taken_ns": N, "interval_ns": N, "profile": {"level": N, ...} or null,
//    "total": WORKER, "workers": [WORKER, ...]}
//
// Keys, kinds and units are those of covet-prof's JSON, of which this is a part. A WORKER has what
// was counted in the interval: "counters" by their names in <covet/abi.h>, in lower case;
// "handler_time"; "proc" and "bpf", null where /proc or the profiler is not there.
#ifndef TOP_JSON_H
#define TOP_JSON_H

#include "top/sample.h"
#include "top/screen.h"

// Adds the object and a newline to the bytes of `screen`.
void top_json_write(struct top_screen *screen, const struct top_sample *sample);

#endif
