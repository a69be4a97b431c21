// The writing of whole structs, once per code path (object_walk.h).
#ifndef CV_JSON_OBJECT_H
#define CV_JSON_OBJECT_H

#include <stdbool.h>

#include <covet/json.h>

#include "base/cpu.h"

struct cv_object_ops {
    // Writes the object alone, where a value may stand. Returns the writer's error.
    int (*write)(struct covet_json_writer *writer, const struct covet_json *description,
                 const void *value);
};

extern const struct cv_object_ops cv_object_scalar;
extern const struct cv_object_ops cv_object_avx2;

// The best one for this processor; set before main runs.
extern struct cv_object_ops cv_object_chosen;

// What to do when `write` failed: nothing, or for memory that is too short for it, to write the
// object by pieces. In fixed memory writer->at is as it was before; `depth` is what writer->depth
// was. Returns the writer's error.
int cv_object_write_by_pieces(struct covet_json_writer *writer, uint32_t depth,
                              const struct covet_json *description, const void *value);

// For tests: makes `simd` the chosen one, false when this processor lacks it. Not thread-safe.
bool cv_object_force(enum cv_simd simd);

#endif
