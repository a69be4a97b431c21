// Structs to text with AVX2: texts are copied and checked without a call.
#ifdef __x86_64__

#include "json/escape_avx2.h"

static inline bool copy_plain(char *out, const char *data, size_t length) {
    return cv_escape_avx2_copy(out, data, length);
}

#include "json/object_walk.h"

const struct cv_object_ops cv_object_avx2 = {write_struct};

#endif
