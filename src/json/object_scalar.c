// Structs to text in plain C.
#include "json/escape.h"

#define CV_WALK_COPY_PLAIN(out, data, length) cv_escape_scalar.copy_plain(out, data, length)
#define CV_WALK_COPY_FRAGMENT(out, fragment) memcpy(out, fragment, COVET_JSON_FRAGMENT_BYTES)

#include "json/object_walk.h"

const struct cv_object_ops cv_object_scalar = {write_struct};
