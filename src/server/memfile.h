// Copies of files in memory: what a module is loaded from, so that the server needs no right to
// read the file, a reload gets a fresh object, and nobody can change it under the running code.
#ifndef CV_SERVER_MEMFILE_H
#define CV_SERVER_MEMFILE_H

#include "base/compiler.h"

#define CV_MEMFILE_BYTES_MAX (256u * 1024u * 1024u)

// Copies the regular file at `path`. Returns a sealed, close-on-exec descriptor or -errno (-EFBIG
// above the limit, -EINVAL for something that is not a regular file).
CV_MUST_USE int cv_memfile_copy(const char *path);

#endif
