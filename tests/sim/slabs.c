// Slabs of one run serve the next: the kernel need not clear pages that the server may not trust to
// be clear. Most pages that a run touches are theirs.
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/types.h>

#include "mem/poison.h"
#include "mem/slab.h"

#define KEPT_MAX 64u

// A sanitizer is to see that they are gone.
#ifdef CV_POISON_ENABLED
#define KEEPS false
#else
#define KEEPS true
#endif

static void *kept[KEPT_MAX];
static unsigned kept_count;

void *__real_mmap(void *at, size_t bytes, int protection, int flags, int descriptor, off_t offset);
int __real_munmap(void *memory, size_t bytes);

void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int descriptor, off_t offset);
void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int descriptor, off_t offset) {
    if ((flags & MAP_HUGETLB) != 0) {  // Here, whatever the machine has.
        errno = ENOMEM;
        return MAP_FAILED;
    }
    if (bytes == CV_SLAB_BYTES && kept_count > 0) {
        return kept[--kept_count];
    }
    return __real_mmap(at, bytes, protection, flags, descriptor, offset);
}

int __wrap_munmap(void *memory, size_t bytes);
int __wrap_munmap(void *memory, size_t bytes) {
    bool is_slab = bytes == CV_SLAB_BYTES && (uintptr_t)memory % CV_SLAB_BYTES == 0;
    if (!KEEPS || !is_slab || kept_count == KEPT_MAX) {
        return __real_munmap(memory, bytes);
    }
    kept[kept_count++] = memory;
    return 0;
}

int __wrap_madvise(void *memory, size_t bytes, int advice);
int __wrap_madvise(void *memory, size_t bytes, int advice) {
    (void)memory, (void)bytes, (void)advice;
    errno = EINVAL;  // Small pages, of which few are touched.
    return -1;
}
