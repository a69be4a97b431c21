// The numbers of a JSON text by their paths, for comparing two outputs of `covet-prof stat --json`.
#ifndef CV_PROFILE_FIGURES_H
#define CV_PROFILE_FIGURES_H

#include <stddef.h>

#include "base/compiler.h"

#define CV_FIGURES_PATH_BYTES 96u

struct cv_figure {
    char path[CV_FIGURES_PATH_BYTES];  // "total.syscalls.read.count"
    double value;
};

struct cv_figures {
    struct cv_figure *items;  // owned, in the order of the text
    size_t count;
};

// Reads the numbers of a file that holds one JSON object. Left out: arrays with all that is in
// them, objects called "buckets", what is null, and paths that do not fit. Returns 0 or -errno with
// "FILE:LINE:COLUMN: reason" in `message`.
CV_MUST_USE int cv_figures_read(struct cv_figures *figures, const char *path, char *message,
                                size_t message_bytes);

// The value at a path; NULL: there is none.
const double *cv_figures_find(const struct cv_figures *figures, const char *path);

void cv_figures_deinit(struct cv_figures *figures);

#endif
