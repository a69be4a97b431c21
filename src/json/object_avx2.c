// Structs to text with AVX2: texts are copied and checked without a call.
#ifdef __x86_64__

#include "json/escape_avx2.h"

#define CV_WALK_COPY_PLAIN(out, data, length) cv_escape_avx2_copy(out, data, length)
#define CV_WALK_COPY_FRAGMENT(out, fragment) \
    cv_escape_avx2_store(out, cv_escape_avx2_load(fragment))

#include "json/object_walk.h"

const struct cv_object_ops cv_object_avx2 = {write_struct};

#endif
