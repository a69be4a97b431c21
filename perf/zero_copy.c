// When does sending without a copy pay? Sends datagrams into a dummy network device, which drops
// them once they reach the driver: no receiver, no copy forced on the way (as loopback and veth
// do), only what the sender pays. Ordinary sends, zero-copy sends and zero-copy sends from
// registered memory in turn, per size.
//
// Usage: zero_copy [ROUNDS]. Needs root, for a network namespace of its own.
#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "ring/compat.h"

#define MEMORY_BYTES (32u << 20)  // Bodies do not stay in the nearest cache.
#define BATCH 32u                 // Sends of one submission.
#define ROUNDS_MAX 4096u

#define HEAD_BYTES 160u

// How a head and a body go out.
enum mode {
    PLAIN,       // One sendmsg.
    ZERO_COPY,   // One zero-copy sendmsg.
    HEAD_FIRST,  // An ordinary send of the head (MSG_MORE), a zero-copy one of the body behind it.
    HEAD_FIXED,  // The same, from registered memory.
    BODY_FIXED,  // The body alone: what each further piece of a long one costs.
    MODE_COUNT,
};

static const char *const mode_names[MODE_COUNT] = {"plain", "zero copy", "head, then z.c.",
                                                   "the same, fixed", "fixed, no head"};

static struct io_uring uring;
static int descriptor;
static uint8_t *memory;
static uint32_t copied;
static double samples[MODE_COUNT][ROUNDS_MAX];

static void fail(const char *what, int error) {
    fprintf(stderr, "zero_copy: %s: %s\n", what, strerror(error));
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void set_up_device(void) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
    int bytes = 4 << 20;
    if (unshare(CLONE_NEWNET) != 0) {
        fail("unshare", errno);
    }
    if (system("ip link add sink type dummy 2>/dev/null || ip link add sink type ifb; ip link set "
               "sink mtu 65535 up && "
               "ip addr add 192.0.2.1/24 dev sink") != 0) {
        fail("ip", EINVAL);
    }
    descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    (void)inet_pton(AF_INET, "192.0.2.2", &to.sin_addr);
    if (descriptor < 0 || connect(descriptor, (struct sockaddr *)&to, sizeof(to)) != 0 ||
        setsockopt(descriptor, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) != 0) {
        fail("socket", errno);
    }
}

static void set_up_ring(bool huge) {
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
    };
    int status = io_uring_queue_init_params(4 * BATCH, &uring, &params);
    if (status < 0) {
        fail("ring", -status);
    }
    memory =
        mmap(NULL, 2 * MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        fail("mmap", errno);
    }
    memory += MEMORY_BYTES - ((uintptr_t)memory & (MEMORY_BYTES - 1));
    (void)madvise(memory, MEMORY_BYTES, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    memset(memory, 'x', MEMORY_BYTES);
    // One registration per 2 MiB, as a slab.
    struct iovec slab[MEMORY_BYTES >> 21];
    for (uint32_t i = 0; i < MEMORY_BYTES >> 21; i++) {
        slab[i] = (struct iovec){memory + ((size_t)i << 21), 2u << 20};
    }
    status = io_uring_register_buffers(&uring, slab, MEMORY_BYTES >> 21);
    if (status < 0) {
        fail("register", -status);
    }
}

static char head_bytes[BATCH][HEAD_BYTES];
static struct iovec vector[BATCH][2];
static struct msghdr message[BATCH];

static void queue_message(uint32_t i, enum mode mode, size_t offset, uint32_t bytes) {
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring);
    vector[i][0] = (struct iovec){head_bytes[i], HEAD_BYTES};
    vector[i][1] = (struct iovec){memory + offset, bytes};
    message[i] = (struct msghdr){.msg_iov = vector[i], .msg_iovlen = 2};
    if (mode == PLAIN) {
        io_uring_prep_sendmsg(sqe, descriptor, &message[i], 0);
    } else {
        io_uring_prep_sendmsg_zc(sqe, descriptor, &message[i], 0);
        sqe->ioprio |= IORING_SEND_ZC_REPORT_USAGE;
    }
}

static void queue_apart(uint32_t i, enum mode mode, size_t offset, uint32_t bytes) {
    if (mode != BODY_FIXED) {
        struct io_uring_sqe *head = io_uring_get_sqe(&uring);
        io_uring_prep_send(head, descriptor, head_bytes[i], HEAD_BYTES, MSG_MORE);
        head->flags |= IOSQE_CQE_SKIP_SUCCESS;
    }
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring);
    io_uring_prep_send_zc(sqe, descriptor, memory + offset, bytes, 0, IORING_SEND_ZC_REPORT_USAGE);
    if (mode != HEAD_FIRST) {
        sqe->ioprio |= IORING_RECVSEND_FIXED_BUF;
        sqe->buf_index = (uint16_t)(offset >> 21);
    }
}

// Submits and takes completions until every send, and every notification, is in.
static void finish_batch(void) {
    uint32_t awaited = BATCH;
    while (awaited > 0) {
        struct io_uring_cqe *cqe;
        unsigned head;
        uint32_t count = 0;
        int status = io_uring_submit_and_wait(&uring, 1);
        if (status < 0) {
            fail("enter", -status);
        }
        io_uring_for_each_cqe(&uring, head, cqe) {
            count++;
            awaited -= (cqe->flags & IORING_CQE_F_MORE) == 0;
            if ((cqe->flags & IORING_CQE_F_NOTIF) != 0) {
                copied += cqe->res != 0;
            } else if (cqe->res < 0) {
                fail("send", -cqe->res);
            }
        }
        io_uring_cq_advance(&uring, count);
    }
}

static double run(enum mode mode, uint32_t bytes) {
    static uint32_t slot;
    uint32_t per_slab = (2u << 20) / bytes;
    uint64_t start = now_ns();
    for (uint32_t i = 0; i < BATCH; i++) {
        slot = slot * 1103515245u + 12345u;
        uint32_t place = (slot >> 8) % (per_slab * (MEMORY_BYTES >> 21));
        size_t offset = ((size_t)(place / per_slab) << 21) + (size_t)(place % per_slab) * bytes;
        if (mode <= ZERO_COPY) {
            queue_message(i, mode, offset, bytes);
        } else {
            queue_apart(i, mode, offset, bytes);
        }
    }
    finish_batch();
    return (double)(now_ns() - start) / BATCH;
}

static int compare(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

int main(int argc, char **argv) {
    static const uint32_t sizes[] = {1024,  2048,  3072,  4096,  6144,  8192,
                                     12288, 16384, 24576, 32768, 49152, 65000};
    uint32_t rounds = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 400;
    bool huge = argc > 2;
    if (rounds == 0 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: zero_copy [ROUNDS]\n");
        return 2;
    }
    set_up_device();
    set_up_ring(huge);
    printf("ns of a head and a body, min/median, and median against plain\n%6s", "bytes");
    for (uint32_t mode = 0; mode < MODE_COUNT; mode++) {
        printf("  %-16s", mode_names[mode]);
    }
    printf("\n");
    for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (uint32_t round = 0; round < rounds; round++) {
            for (uint32_t mode = 0; mode < MODE_COUNT; mode++) {
                samples[mode][round] = run((enum mode)mode, sizes[i]);
            }
        }
        printf("%6u", sizes[i]);
        for (uint32_t mode = 0; mode < MODE_COUNT; mode++) {
            qsort(samples[mode], rounds, sizeof(double), compare);
            printf("  %4.0f/%4.0f %4.2f  ", samples[mode][0], samples[mode][rounds / 2],
                   samples[mode][rounds / 2] / samples[PLAIN][rounds / 2]);
        }
        printf("\n");
    }
    printf("copied after all: %u\n", copied);
    return 0;
}
