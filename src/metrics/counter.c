// Making and mapping the counter pages.
//
// A reader may find the file while it is being made: the magic is stored last, and a reader takes
// the file only when magic, version and every size agree with what it was built for.
#include "metrics/counter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"

#define STATS_MODE 0644

_Static_assert(sizeof(struct covet_stats_header) % 64 == 0, "slot groups begin on a cache line");

static size_t stats_bytes(uint32_t worker_count) {
    return sizeof(struct covet_stats_header) +
           (size_t)worker_count * sizeof(struct covet_stats_worker);
}

// Sets `*header` only on success.
static int map_pages(struct covet_stats_header **header, int fd, size_t bytes, int protection) {
    int flags = MAP_SHARED | (fd < 0 ? MAP_ANONYMOUS : 0);
    void *memory = mmap(NULL, bytes, protection, flags, fd, 0);

    if (memory == MAP_FAILED)
        return -errno;
    *header = memory;
    return 0;
}

static void write_header(struct covet_stats_header *header, uint32_t worker_count) {
    header->abi_version = COVET_ABI_VERSION;
    header->worker_count = worker_count;
    header->header_bytes = sizeof(struct covet_stats_header);
    header->worker_bytes = sizeof(struct covet_stats_worker);
    header->total_bytes = stats_bytes(worker_count);
    header->start_ns = cv_clock_monotonic_ns();
    header->start_realtime_s = (uint64_t)(cv_clock_realtime_ms() / 1000);
    header->supervisor_pid = (uint32_t)getpid();
    __atomic_store_n(&header->magic, COVET_STATS_MAGIC, __ATOMIC_RELEASE);
}

// Gives a new file its mode and its memory: a full file system must show here, not as SIGBUS at
// some later store.
static int size_file(int fd, size_t bytes) {
    if (fchmod(fd, STATS_MODE) != 0)
        return -errno;
    return -posix_fallocate(fd, 0, (off_t)bytes);
}

static int create_file(struct covet_stats_header **header, const char *path, size_t bytes) {
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, STATS_MODE);

    if (fd < 0)
        return -errno;
    int result = size_file(fd, bytes);
    if (result == 0)
        result = map_pages(header, fd, bytes, PROT_READ | PROT_WRITE);
    close(fd);
    if (result != 0)
        unlink(path);
    return result;
}

int cv_stats_create(struct cv_stats *stats, const char *path, uint32_t worker_count) {
    struct covet_stats_header *header = NULL;

    CV_ASSERT(worker_count >= 1 && worker_count <= COVET_WORKERS_MAX);
    size_t bytes = stats_bytes(worker_count);
    int result = path == NULL ? map_pages(&header, -1, bytes, PROT_READ | PROT_WRITE)
                              : create_file(&header, path, bytes);
    if (header == NULL)
        return result;
    write_header(header, worker_count);
    *stats = (struct cv_stats){.header = header, .worker_count = worker_count};
    return 0;
}

// Returns 0 when the mapped header describes exactly these slot groups of this ABI.
static int check_header(const struct covet_stats_header *header, uint32_t worker_count) {
    if (__atomic_load_n(&header->magic, __ATOMIC_ACQUIRE) != COVET_STATS_MAGIC)
        return -EBADMSG;
    if (header->abi_version != COVET_ABI_VERSION)
        return -EPROTO;
    if (header->worker_count != worker_count ||
        header->header_bytes != sizeof(struct covet_stats_header) ||
        header->worker_bytes != sizeof(struct covet_stats_worker) ||
        header->total_bytes != stats_bytes(worker_count))
        return -EBADMSG;
    return 0;
}

static int map_checked(struct cv_stats *stats, int fd) {
    struct covet_stats_header *header = NULL;
    struct stat file;

    if (fstat(fd, &file) != 0)
        return -errno;
    if (!S_ISREG(file.st_mode) || file.st_size < (off_t)stats_bytes(1) ||
        file.st_size > (off_t)stats_bytes(COVET_WORKERS_MAX))
        return -EBADMSG;

    size_t bytes = (size_t)file.st_size;
    uint32_t worker_count =
        (uint32_t)((bytes - sizeof(*header)) / sizeof(struct covet_stats_worker));
    int result = map_pages(&header, fd, bytes, PROT_READ);
    if (header == NULL)
        return result;
    result = bytes == stats_bytes(worker_count) ? check_header(header, worker_count) : -EBADMSG;
    if (result != 0)
        munmap(header, bytes);
    else
        *stats =
            (struct cv_stats){.header = header, .worker_count = worker_count, .owner = file.st_uid};
    return result;
}

int cv_stats_open(struct cv_stats *stats, const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // A FIFO must not hold us up.

    if (fd < 0)
        return -errno;
    int result = map_checked(stats, fd);
    close(fd);
    return result;
}

void cv_stats_close(struct cv_stats *stats) {
    if (stats->header == NULL)
        return;
    munmap(stats->header, stats_bytes(stats->worker_count));
    stats->header = NULL;
}

struct covet_stats_worker *cv_stats_worker(const struct cv_stats *stats, uint32_t index) {
    CV_ASSERT(index < stats->worker_count);
    return (struct covet_stats_worker *)(stats->header + 1) + index;
}

static void clear_gauges(struct covet_stats_worker *worker) {
    enum { COUNTER, GAUGE };
    static const uint8_t kinds[COVET_COUNTER_COUNT] = {
#define COUNTER_KIND(name, text, kind, help) [COVET_COUNTER_##name] = kind,
        COVET_COUNTERS(COUNTER_KIND)
#undef COUNTER_KIND
    };

    for (uint32_t i = 0; i < COVET_COUNTER_COUNT; i++) {
        if (kinds[i] == GAUGE)
            cv_counter_set(worker, (enum covet_counter)i, 0);
    }
}

void cv_counter_begin(struct covet_stats_worker *worker, uint32_t thread_id, uint32_t cpu,
                      uint64_t start_ns) {
    clear_gauges(worker);
    __atomic_store_n(&worker->cpu, cpu, __ATOMIC_RELAXED);
    __atomic_store_n(&worker->start_ns, start_ns, __ATOMIC_RELAXED);
    // A reader that sees the thread also sees its core and start.
    __atomic_store_n(&worker->thread_id, thread_id, __ATOMIC_RELEASE);
}

void cv_counter_end(struct covet_stats_worker *worker) {
    __atomic_store_n(&worker->thread_id, 0, __ATOMIC_RELAXED);
    clear_gauges(worker);
}
