// Structs to text in plain C.
#include "json/escape.h"

static inline bool copy_plain(char *out, const char *data, size_t length) {
    return cv_escape_scalar.copy_plain(out, data, length);
}

#include "json/object_walk.h"

const struct cv_object_ops cv_object_scalar = {write_struct};
