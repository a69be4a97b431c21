// Two pages between pages that must not be touched.
#ifndef T_SUPPORT_GUARD_H
#define T_SUPPORT_GUARD_H

#include <stdlib.h>
#include <sys/mman.h>

#define T_GUARD_PAGE_BYTES 4096u

struct t_guard {
    char *start;
    char *end;
};

static inline void t_guard_open(struct t_guard *guard) {
    char *pages = mmap(NULL, 4 * T_GUARD_PAGE_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (pages == MAP_FAILED || mprotect(pages, T_GUARD_PAGE_BYTES, PROT_NONE) != 0 ||
        mprotect(pages + 3 * T_GUARD_PAGE_BYTES, T_GUARD_PAGE_BYTES, PROT_NONE) != 0)
        abort();
    guard->start = pages + T_GUARD_PAGE_BYTES;
    guard->end = pages + 3 * T_GUARD_PAGE_BYTES;
}

static inline void t_guard_close(struct t_guard *guard) {
    munmap(guard->start - T_GUARD_PAGE_BYTES, 4 * T_GUARD_PAGE_BYTES);
}

#endif
