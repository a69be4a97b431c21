// What this kernel gives, found out by doing it on a throw-away ring and a socket pair.
#ifndef CV_RING_PROBE_H
#define CV_RING_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define CV_PROBE_LINES_MAX 16u

struct cv_probe_line {
    const char *feature;  // Static.
    bool available;
    bool required;    // covet does not start without it.
    const char *why;  // Static; why it matters.
};

// Fills `lines` (room for CV_PROBE_LINES_MAX) and returns how many. Takes about a millisecond. Call
// it on a thread that may own a ring; leaves nothing behind.
size_t cv_probe_run(struct cv_probe_line *lines);

// Whether one receive can be trusted to fill several buffers. `ring_features` are those of a ring
// of this kernel. Linux has it since 6.10, but left gaps between buffers in 6.13 to 6.15 (fixed
// in 6.16 by "only retry recv bundle for a full transfer", 3a08988123c8); no feature bit tells.
bool cv_probe_has_bundles(uint32_t ring_features);

// Puts the error of a failed ring set-up in one line: which sysctl, seccomp profile, limit or
// kernel refused and what to change.
void cv_probe_explain(int error, char *text, size_t text_bytes);

#endif
