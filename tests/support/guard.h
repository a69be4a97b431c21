// Memory with an unmapped page on either side, so that reading one byte too many is a fault.
#ifndef T_SUPPORT_GUARD_H
#define T_SUPPORT_GUARD_H

#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"

#define T_GUARD_BYTES (1u << 17)
#define T_GUARD_PAGE_BYTES 4096u

struct t_guard {
    char *first;  // owned; T_GUARD_BYTES of it may be touched.
};

static inline struct t_guard t_guard_create(void) {
    size_t bytes = T_GUARD_BYTES + 2 * T_GUARD_PAGE_BYTES;
    char *map = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CV_ASSERT(map != MAP_FAILED);
    CV_ASSERT(mprotect(map + T_GUARD_PAGE_BYTES, T_GUARD_BYTES, PROT_READ | PROT_WRITE) == 0);
    return (struct t_guard){.first = map + T_GUARD_PAGE_BYTES};
}

static inline void t_guard_destroy(struct t_guard guard) {
    munmap(guard.first - T_GUARD_PAGE_BYTES, T_GUARD_BYTES + 2 * T_GUARD_PAGE_BYTES);
}

// A copy of `data` that ends where the memory ends.
static inline char *t_guard_at_end(struct t_guard guard, const char *data, size_t length) {
    CV_ASSERT(length <= T_GUARD_BYTES);
    return memcpy(guard.first + T_GUARD_BYTES - length, data, length);
}

// A copy of `data` that begins where the memory begins.
static inline char *t_guard_at_begin(struct t_guard guard, const char *data, size_t length) {
    CV_ASSERT(length <= T_GUARD_BYTES);
    return memcpy(guard.first, data, length);
}

#endif
