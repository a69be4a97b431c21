// A whole file in memory.
#ifndef LOAD_SLURP_H
#define LOAD_SLURP_H

#include <stddef.h>

// Reads the file called `name` to its end. Returns 0 with `*data` (owned by the caller, free() it;
// never NULL, a NUL follows the last byte) and `*bytes`; -EFBIG when there are more than
// `bytes_max`, else -errno.
int load_slurp(const char *name, size_t bytes_max, char **data, size_t *bytes);

#endif
