// When does sending without a copy pay? Answers, a head and a body each, over TCP into a network
// device that drops what reaches its driver. There is no receiver: loopback and veth would copy on
// the way, so the acknowledgements that give the bytes back are made up here, and the connections
// are born established (TCP_REPAIR). What is left is what a sender pays, from the submission to the
// free memory.
//
// The ways take turns, batch by batch, so that the machine's drift meets all alike.
//
// Usage: zero_copy [ROUNDS [huge]]; `huge`: the bodies lie in huge pages. Needs root, for a network
// namespace of its own.
#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <linux/tcp.h>
#include <netinet/ip.h>
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

#define MEMORY_BYTES (64u << 20)  // Bodies come from memory, not from the nearest cache.
#define SLAB_BYTES (2u << 20)     // Registered one by one, as a worker does.
#define CONNECTIONS 16u
#define HEAD_BYTES 160u
#define ROUNDS_MAX 4096u
#define OUR_SEQUENCE 1000u
#define THEIR_SEQUENCE 5000u

enum way {
    COPIED,       // One sendmsg of head and body.
    APART,        // A send of the head (MSG_MORE), then a zero-copy send of the body.
    APART_FIXED,  // The same, of registered memory: what the server does.
    TOGETHER,     // One zero-copy sendmsg.
    BODY_COPIED,  // One more piece of a long body,
    BODY_FIXED,   // and without a copy.
    WAY_COUNT
};

static const char *const way_names[WAY_COUNT] = {
    "copied", "head, z.c.", "head, fixed", "z.c. together", "piece copied", "piece fixed",
};

struct connection {
    int descriptor;
    uint16_t port;
    uint32_t sequence;  // Of the next byte.
    char head[HEAD_BYTES];
    struct iovec vector[2];
    struct msghdr message;
};

static struct io_uring uring;
static struct connection connections[CONNECTIONS];
static int raw;
static uint8_t *memory;
static uint32_t copied;
static double samples[WAY_COUNT][ROUNDS_MAX];

static void fail(const char *what, int error) {
    fprintf(stderr, "zero_copy: %s: %s\n", what, strerror(error));
    exit(1);
}

static void must(bool holds, const char *what) {
    if (!holds) {
        fail(what, errno);
    }
}

static uint64_t now_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static struct sockaddr_in address(const char *text, uint16_t port) {
    struct sockaddr_in made = {.sin_family = AF_INET, .sin_port = htons(port)};
    (void)inet_pton(AF_INET, text, &made.sin_addr);
    return made;
}

static void set_up_device(void) {
    must(unshare(CLONE_NEWNET) == 0, "unshare");
    // An ifb device drops what no filter sent there, as a dummy one drops everything.
    int status = system(
        "{ ip link add sink type dummy 2>/dev/null || ip link add sink type ifb; } && "
        "ip link set lo up && ip link set sink mtu 1400 up && ip addr add 192.0.2.1/32 dev sink && "
        "ip route add 192.0.2.2/32 dev sink src 192.0.2.1 initcwnd 8000 && "
        "{ ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev sink 2>/dev/null; "
        "echo 0 >/proc/sys/net/ipv4/tcp_slow_start_after_idle; }");
    if (status != 0) {
        fail("ip", EINVAL);
    }
    raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
    must(raw >= 0, "raw socket");
}

static void set(int descriptor, int level, int option, int value) {
    must(setsockopt(descriptor, level, option, &value, sizeof(value)) == 0, "setsockopt");
}

// Established without a word to anybody.
static void open_connection(struct connection *connection, uint16_t port) {
    struct sockaddr_in ours = address("192.0.2.1", port), theirs = address("192.0.2.2", 9);
    struct tcp_repair_opt options[] = {{2, 1460}, {3, 14 | 14 << 16}};  // MSS, window scales.
    struct tcp_repair_window window = {
        .snd_wl1 = THEIR_SEQUENCE,
        .snd_wnd = 1u << 29,
        .max_window = 1u << 29,
        .rcv_wnd = 65535,
        .rcv_wup = THEIR_SEQUENCE,
    };
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(descriptor >= 0, "socket");
    set(descriptor, SOL_SOCKET, SO_SNDBUFFORCE, 16 << 20);
    set(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
    // No pacing.
    must(setsockopt(descriptor, IPPROTO_TCP, TCP_CONGESTION, "reno", 4) == 0, "reno");
    set(descriptor, IPPROTO_TCP, TCP_REPAIR, 1);
    set(descriptor, IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE);
    set(descriptor, IPPROTO_TCP, TCP_QUEUE_SEQ, OUR_SEQUENCE);
    set(descriptor, IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE);
    set(descriptor, IPPROTO_TCP, TCP_QUEUE_SEQ, THEIR_SEQUENCE);
    set(descriptor, IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_NO_QUEUE);
    must(bind(descriptor, (struct sockaddr *)&ours, sizeof(ours)) == 0, "bind");
    must(connect(descriptor, (struct sockaddr *)&theirs, sizeof(theirs)) == 0, "connect");
    must(setsockopt(descriptor, IPPROTO_TCP, TCP_REPAIR_OPTIONS, options, sizeof(options)) == 0,
         "options");
    must(setsockopt(descriptor, IPPROTO_TCP, TCP_REPAIR_WINDOW, &window, sizeof(window)) == 0,
         "window");
    set(descriptor, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP);
    connection->descriptor = descriptor;
    connection->port = port;
    connection->sequence = OUR_SEQUENCE;
}

static uint32_t sum_words(const void *data, size_t bytes) {
    uint32_t sum = 0;
    for (size_t at = 0; at < bytes; at += 2) {
        uint16_t word;
        memcpy(&word, (const char *)data + at, sizeof(word));
        sum += word;
    }
    return sum;
}

// The peer has read everything.
static void acknowledge(const struct connection *connection) {
    struct sockaddr_in ours = address("192.0.2.1", 0), theirs = address("192.0.2.2", 0);
    struct {
        struct iphdr ip;
        struct tcphdr tcp;
    } packet = {
        .ip = {.version = 4,
               .ihl = 5,
               .ttl = 64,
               .protocol = IPPROTO_TCP,
               .tot_len = htons(sizeof(packet)),
               .saddr = theirs.sin_addr.s_addr,
               .daddr = ours.sin_addr.s_addr},
        .tcp = {.source = htons(9),
                .dest = htons(connection->port),
                .seq = htonl(THEIR_SEQUENCE),
                .ack_seq = htonl(connection->sequence),
                .doff = 5,
                .ack = 1,
                .window = htons(65535)},
    };
    struct {
        uint32_t from, to;
        uint16_t protocol, bytes;
    } pseudo = {packet.ip.saddr, packet.ip.daddr, htons(IPPROTO_TCP), htons(sizeof(packet.tcp))};
    uint32_t sum = sum_words(&pseudo, sizeof(pseudo)) + sum_words(&packet.tcp, sizeof(packet.tcp));
    sum = (sum & 0xffff) + (sum >> 16);
    packet.tcp.check = (uint16_t) ~((sum & 0xffff) + (sum >> 16));
    must(sendto(raw, &packet, sizeof(packet), 0, (struct sockaddr *)&ours, sizeof(ours)) ==
             sizeof(packet),
         "acknowledgement");
}

static void set_up_ring(bool huge) {
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
    };
    struct iovec slab[MEMORY_BYTES / SLAB_BYTES];
    int status = io_uring_queue_init_params(8 * CONNECTIONS, &uring, &params);
    if (status < 0) {
        fail("ring", -status);
    }
    uint8_t *mapped =
        mmap(NULL, 2 * MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(mapped != MAP_FAILED, "mmap");
    memory = mapped + (MEMORY_BYTES - ((uintptr_t)mapped & (MEMORY_BYTES - 1)));
    (void)madvise(memory, MEMORY_BYTES, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    memset(memory, 'x', MEMORY_BYTES);
    for (uint32_t i = 0; i < MEMORY_BYTES / SLAB_BYTES; i++) {
        slab[i] = (struct iovec){memory + (size_t)i * SLAB_BYTES, SLAB_BYTES};
    }
    status = io_uring_register_buffers(&uring, slab, MEMORY_BYTES / SLAB_BYTES);
    if (status < 0) {
        fail("register", -status);
    }
}

static void queue_head(struct connection *connection) {
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring);
    io_uring_prep_send(sqe, connection->descriptor, connection->head, HEAD_BYTES, MSG_MORE);
}

static void queue_body(struct connection *connection, enum way way, size_t offset, uint32_t bytes) {
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring);
    connection->vector[0] = (struct iovec){connection->head, HEAD_BYTES};
    connection->vector[1] = (struct iovec){memory + offset, bytes};
    connection->message = (struct msghdr){.msg_iov = connection->vector, .msg_iovlen = 2};
    switch (way) {
    case COPIED:
        io_uring_prep_sendmsg(sqe, connection->descriptor, &connection->message, MSG_WAITALL);
        break;
    case TOGETHER:
        io_uring_prep_sendmsg_zc(sqe, connection->descriptor, &connection->message, MSG_WAITALL);
        sqe->ioprio |= IORING_SEND_ZC_REPORT_USAGE;
        break;
    case BODY_COPIED:
        io_uring_prep_send(sqe, connection->descriptor, memory + offset, bytes, MSG_WAITALL);
        break;
    default:
        io_uring_prep_send_zc(sqe, connection->descriptor, memory + offset, bytes, MSG_WAITALL,
                              IORING_SEND_ZC_REPORT_USAGE);
        break;
    }
    if (way == APART_FIXED || way == BODY_FIXED) {
        sqe->ioprio |= IORING_RECVSEND_FIXED_BUF;
        sqe->buf_index = (uint16_t)(offset / SLAB_BYTES);
    }
}

// Submits, and takes completions until `awaited` sends are over (or memories free, if `freed`).
static void turn(uint32_t awaited, bool freed) {
    while (awaited > 0) {
        struct io_uring_cqe *cqe;
        unsigned head;
        uint32_t count = 0;
        int status = io_uring_submit_and_wait(&uring, 1);
        if (status < 0) {
            fail("enter", -status);
        }
        io_uring_for_each_cqe(&uring, head, cqe) {
            bool is_notice = (cqe->flags & IORING_CQE_F_NOTIF) != 0;
            count++;
            awaited -= is_notice == freed;
            if (is_notice) {
                copied += cqe->res != 0;
            } else if (cqe->res < 0) {
                fail("send", -cqe->res);
            }
        }
        io_uring_cq_advance(&uring, count);
    }
}

// One answer on each of `count` connections. Returns nanoseconds for each.
static double run(enum way way, uint32_t bytes, uint32_t count) {
    static uint32_t chance;
    uint32_t per_slab = SLAB_BYTES / bytes;
    bool has_head = way < BODY_COPIED;
    uint64_t start = now_ns();
    if (way == APART || way == APART_FIXED) {
        for (uint32_t i = 0; i < count; i++) {
            queue_head(&connections[i]);
        }
        turn(count, false);
    }
    for (uint32_t i = 0; i < count; i++) {
        chance = chance * 1103515245u + 12345u;
        uint32_t place = (chance >> 8) % (per_slab * (MEMORY_BYTES / SLAB_BYTES));
        queue_body(&connections[i], way,
                   (size_t)(place / per_slab) * SLAB_BYTES + (size_t)(place % per_slab) * bytes,
                   bytes);
        connections[i].sequence += bytes + (has_head ? HEAD_BYTES : 0);
    }
    turn(count, false);
    for (uint32_t i = 0; i < count; i++) {
        acknowledge(&connections[i]);
    }
    if (way != COPIED && way != BODY_COPIED) {
        turn(count, true);
    }
    return (double)(now_ns() - start) / count;
}

static int compare(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static void measure(uint32_t bytes, uint32_t count, uint32_t rounds) {
    for (uint32_t round = 0; round < rounds; round++) {
        for (uint32_t way = 0; way < WAY_COUNT; way++) {
            samples[way][round] = run((enum way)way, bytes, count);
        }
    }
    printf("%7u", bytes);
    for (uint32_t way = 0; way < WAY_COUNT; way++) {
        uint32_t base = way < BODY_COPIED ? COPIED : BODY_COPIED;
        qsort(samples[way], rounds, sizeof(double), compare);
        printf("  %6.0f %4.2f  ", samples[way][rounds / 4],
               samples[way][rounds / 4] / samples[base][rounds / 4]);
    }
    printf("\n");
}

int main(int argc, char **argv) {
    static const uint32_t sizes[] = {4096,  8192,  16384,  24576,  32768,
                                     49152, 65536, 131072, 262144, 524288};
    uint32_t rounds = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 200;
    bool huge = argc > 2;
    if (rounds == 0 || rounds > ROUNDS_MAX || argc > 3) {
        fprintf(stderr, "usage: zero_copy [ROUNDS [huge]]\n");
        return 2;
    }
    set_up_device();
    set_up_ring(huge);
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        open_connection(&connections[i], (uint16_t)(2000 + i));
    }
    // A change of the path makes TCP look at the segment size it was told.
    if (system("ip link set sink mtu 1500") != 0) {
        fail("ip", EINVAL);
    }
    for (uint32_t count = 1; count <= CONNECTIONS; count += CONNECTIONS - 1) {
        printf("ns per answer (lower quartile) and against copying, %u at once, %s pages\n%7s",
               count, huge ? "huge" : "small", "bytes");
        for (uint32_t way = 0; way < WAY_COUNT; way++) {
            printf("  %-13s", way_names[way]);
        }
        printf("\n");
        for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            measure(sizes[i], count, rounds);
        }
    }
    printf("copied after all: %u\n", copied);
    return 0;
}
