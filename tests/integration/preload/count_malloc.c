/* Counts heap allocations of a process it is preloaded into, for test_threads.py.
 *
 * The file named by COVET_TEST_COUNTS holds two 64-bit numbers, mapped shared: allocations of every
 * thread, and of worker threads alone (told by their name). glibc only: its __libc_* entry points
 * are what makes replacing malloc possible without asking the dynamic linker, which allocates. */

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

struct counts {
    _Atomic uint64_t every;
    _Atomic uint64_t worker;
};

static struct counts *counts;

/* Initial-exec: any other model may allocate on a thread's first access. */
static _Thread_local int is_worker __attribute__((tls_model("initial-exec")));

__attribute__((constructor)) static void map_counts(void) {
    const char *path = getenv("COVET_TEST_COUNTS");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *memory = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (memory != MAP_FAILED)
        counts = memory;
}

/* A thread is named after its start, so an unnamed one is asked again each time. */
static int runs_in_worker(void) {
    char name[16] = "";
    if (!is_worker && prctl(PR_GET_NAME, name, 0, 0, 0) == 0)
        is_worker = strncmp(name, "covet-w", 7) == 0;
    return is_worker;
}

static void count(void) {
    if (!counts)
        return;
    atomic_fetch_add(&counts->every, 1);
    if (runs_in_worker())
        atomic_fetch_add(&counts->worker, 1);
}

void *malloc(size_t bytes) {
    count();
    return __libc_malloc(bytes);
}

void *calloc(size_t number, size_t bytes) {
    count();
    return __libc_calloc(number, bytes);
}

void *realloc(void *old, size_t bytes) {
    count();
    return __libc_realloc(old, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes) {
    count();
    return __libc_memalign(alignment, bytes);
}

int posix_memalign(void **out, size_t alignment, size_t bytes) {
    count();
    *out = __libc_memalign(alignment, bytes);
    return *out ? 0 : ENOMEM;
}
