// The set-up walks down a ladder of flags; everything else newer than Linux 6.1 is found out where
// it is used. Neighbouring buffers start one cache line off the page grid, because their first
// lines, the only ones that small answers touch, would else share the same cache sets.
#include "load/ring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/compiler.h"

#define SUBMISSIONS 1024u
#define COMPLETIONS_MIN 4096u
#define COMPLETIONS_MAX 65536u
#define BUFFERS_MIN 256u
#define BUFFERS_MAX 2048u
#define STRIDE_BYTES (LOAD_RING_BUFFER_BYTES + CV_CACHE_LINE_BYTES)

static unsigned power_of_two(unsigned wanted, unsigned least, unsigned most) {
    unsigned value = least;
    while (value < wanted && value < most) {
        value *= 2;
    }
    return value;
}

static int set_up(struct io_uring *uring, unsigned completions) {
    static const unsigned ladder[] = {
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN |
            IORING_SETUP_TASKRUN_FLAG,
        IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
        0,
    };
    int status = -EINVAL;
    for (size_t i = 0; i < CV_ARRAY_COUNT(ladder) && status == -EINVAL; i++) {
        struct io_uring_params params = {
            .flags = ladder[i] | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE,
            .cq_entries = completions,
        };
        status = io_uring_queue_init_params(SUBMISSIONS, uring, &params);
    }
    return status;
}

static void *map(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static int provide_buffers(struct load_ring *ring) {
    ring->buffers = map(ring->buffer_count * sizeof(struct io_uring_buf));
    ring->memory = map((size_t)ring->buffer_count * STRIDE_BYTES);
    if (ring->buffers == NULL || ring->memory == NULL) {
        return -ENOMEM;
    }
    struct io_uring_buf_reg registration = {
        .ring_addr = (uintptr_t)ring->buffers,
        .ring_entries = ring->buffer_count,
    };
    int status = io_uring_register_buf_ring(&ring->uring, &registration, 0);
    for (unsigned i = 0; i < ring->buffer_count && status == 0; i++) {
        load_ring_give_back(ring, i);
    }
    return status;
}

int load_ring_open(struct load_ring *ring, unsigned files, const char **why) {
    *ring = (struct load_ring){.buffer_count = power_of_two(2 * files, BUFFERS_MIN, BUFFERS_MAX)};
    *why = "io_uring_setup";
    int status = set_up(&ring->uring, power_of_two(4 * files, COMPLETIONS_MIN, COMPLETIONS_MAX));
    if (status < 0) {
        return status;
    }
    // Newer liburing asks for rings without this indirection.
    for (unsigned i = 0; ring->uring.sq.array != NULL && i < ring->uring.sq.ring_entries; i++) {
        ring->uring.sq.array[i] = i;
    }
    *why = "registering the ring's descriptor table";
    status = io_uring_register_files_sparse(&ring->uring, files);
    if (status == 0) {
        *why = "registering the ring's buffers";
        status = provide_buffers(ring);
    }
    if (status < 0) {
        load_ring_close(ring);
        return status;
    }
    // Saves a look-up in every enter, which works without.
    ring->registered = io_uring_register_ring_fd(&ring->uring) == 1;
    return 0;
}

void load_ring_close(struct load_ring *ring) {
    io_uring_queue_exit(&ring->uring);
    if (ring->buffers != NULL) {
        (void)munmap(ring->buffers, ring->buffer_count * sizeof(struct io_uring_buf));
    }
    if (ring->memory != NULL) {
        (void)munmap(ring->memory, (size_t)ring->buffer_count * STRIDE_BYTES);
    }
}

static unsigned queued(const struct io_uring_sq *sq) {
    return sq->sqe_tail - __atomic_load_n(sq->khead, __ATOMIC_ACQUIRE);
}

int load_ring_enter(struct load_ring *ring, unsigned wait, uint64_t timeout_ns) {
    struct io_uring_sq *sq = &ring->uring.sq;
    struct __kernel_timespec time = {.tv_sec = (int64_t)(timeout_ns / 1000000000),
                                     .tv_nsec = (int64_t)(timeout_ns % 1000000000)};
    struct io_uring_getevents_arg arg = {.ts = (uintptr_t)&time};
    bool timed = wait > 0 && timeout_ns != LOAD_RING_WAIT_FOREVER;
    unsigned flags = IORING_ENTER_GETEVENTS | (timed ? IORING_ENTER_EXT_ARG : 0) |
                     (ring->registered ? IORING_ENTER_REGISTERED_RING : 0);

    if (ring->returned > 0) {
        io_uring_buf_ring_advance(ring->buffers, (int)ring->returned);
        ring->returned = 0;
    }
    __atomic_store_n(sq->ktail, sq->sqe_tail, __ATOMIC_RELEASE);
    int result = io_uring_enter2((unsigned)ring->uring.enter_ring_fd, queued(sq), wait, flags,
                                 timed ? (sigset_t *)&arg : NULL, timed ? sizeof(arg) : 0);
    ring->enters++;
    // -EBUSY and -EAGAIN: completions are to be taken first, and the rest submitted then.
    if (result >= 0 || result == -EINTR || result == -ETIME || result == -EBUSY ||
        result == -EAGAIN) {
        return 0;
    }
    return result;
}

bool load_ring_has_news(const struct load_ring *ring) {
    unsigned flags = __atomic_load_n(ring->uring.sq.kflags, __ATOMIC_RELAXED);
    return (flags & IORING_SQ_TASKRUN) != 0 || io_uring_cq_ready(&ring->uring) > 0;
}

bool load_ring_is_settled(const struct load_ring *ring) {
    return queued(&ring->uring.sq) == 0 && !io_uring_cq_has_overflow(&ring->uring);
}

struct io_uring_sqe *load_ring_sqe(struct load_ring *ring) {
    struct io_uring_sqe *sqe;
    while (CV_UNLIKELY((sqe = io_uring_get_sqe(&ring->uring)) == NULL)) {
        (void)load_ring_enter(ring, 0, 0);
    }
    memset(sqe, 0, sizeof(*sqe));
    return sqe;
}

void load_ring_reserve(struct load_ring *ring, unsigned count) {
    while (CV_UNLIKELY(io_uring_sq_space_left(&ring->uring) < count)) {
        (void)load_ring_enter(ring, 0, 0);
    }
}

char *load_ring_buffer(const struct load_ring *ring, unsigned buffer) {
    return ring->memory + (size_t)buffer * STRIDE_BYTES;
}

void load_ring_give_back(struct load_ring *ring, unsigned buffer) {
    io_uring_buf_ring_add(ring->buffers, load_ring_buffer(ring, buffer), LOAD_RING_BUFFER_BYTES,
                          (unsigned short)buffer, io_uring_buf_ring_mask(ring->buffer_count),
                          (int)ring->returned++);
}
