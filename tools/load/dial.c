// Options of every TCP socket: TCP_NODELAY, since requests are sent when they are complete and a
// pipelined one must not wait for the acknowledgement of those before it. With client addresses
// IP_BIND_ADDRESS_NO_PORT, so that a port is chosen by the connect, which knows both ends, and
// 28,000 ports are there for every address and not in all. To this machine itself the plainest
// congestion control, which every kernel has: there is nothing to control, and one that paces (BBR)
// sends a third in bulk and takes a few percent more for small requests.
#include "load/dial.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"

#define SOCKET_OP_SETSOCKOPT 3u  // Linux 6.7; liburing 2.3 does not name it.
#define OP_BIND 56u              // Linux 6.11; the same.

static const int on = 1;
static const char reno[] = "reno";

struct option {
    int level, name;
    const void *value;
    socklen_t bytes;
};

bool load_dialer_is_loopback4(const struct sockaddr_storage *address) {
    struct sockaddr_in ipv4;
    memcpy(&ipv4, address, sizeof(ipv4));
    return ipv4.sin_family == AF_INET && ntohl(ipv4.sin_addr.s_addr) >> 24 == 127;
}

static bool is_loopback6(const struct sockaddr_storage *address) {
    struct sockaddr_in6 ipv6;
    memcpy(&ipv6, address, sizeof(ipv6));
    return ipv6.sin6_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&ipv6.sin6_addr);
}

int load_dialer_init(struct load_dialer *dialer, const struct sockaddr_storage *address,
                     socklen_t address_bytes, unsigned client_count) {
    bool local = load_dialer_is_loopback4(address) || is_loopback6(address);
    *dialer = (struct load_dialer){.address = address,
                                   .address_bytes = address_bytes,
                                   .client_count = client_count,
                                   .local = local,
                                   .chained = true};
    if (client_count == 0) {
        return 0;
    }
    dialer->clients = calloc(client_count, sizeof(*dialer->clients));
    if (dialer->clients == NULL) {
        return -ENOMEM;
    }
    for (unsigned i = 0; i < client_count; i++) {
        dialer->clients[i] = (struct sockaddr_in){
            .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + i)};
    }
    return 0;
}

void load_dialer_deinit(struct load_dialer *dialer) {
    free(dialer->clients);
}

static unsigned options_of(const struct load_dialer *dialer, struct option *options) {
    unsigned count = 0;
    if (dialer->address->ss_family == AF_UNIX) {
        return 0;
    }
    options[count++] = (struct option){IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)};
    if (dialer->local) {
        options[count++] = (struct option){IPPROTO_TCP, TCP_CONGESTION, reno, sizeof(reno) - 1};
    }
    if (dialer->client_count > 0) {
        options[count++] = (struct option){IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)};
    }
    return count;
}

// A link that fails and is silent about success silences the rest of its chain, so one completion
// comes of every chain.
static void link_on(struct io_uring_sqe *sqe, unsigned file, uint64_t failed_data) {
    sqe->fd = (int)file;
    sqe->flags = IOSQE_FIXED_FILE | IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = failed_data;
}

static void chain(const struct load_dialer *dialer, struct load_ring *ring, unsigned file,
                  const struct sockaddr_in *client, uint64_t failed_data) {
    struct option options[3];
    unsigned count = options_of(dialer, options);
    struct io_uring_sqe *sqe = load_ring_sqe(ring);

    io_uring_prep_socket_direct(sqe, dialer->address->ss_family, SOCK_STREAM, 0, file, 0);
    sqe->flags = IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = failed_data;
    for (unsigned i = 0; i < count; i++) {
        sqe = load_ring_sqe(ring);
        sqe->opcode = IORING_OP_URING_CMD;
        sqe->cmd_op = SOCKET_OP_SETSOCKOPT;
        // The level and the name of the option share this word, its length is in the place of a
        // descriptor to splice from.
        sqe->addr = (uint64_t)(uint32_t)options[i].name << 32 | (uint32_t)options[i].level;
        sqe->splice_fd_in = (int32_t)options[i].bytes;
        sqe->addr3 = (uintptr_t)options[i].value;
        link_on(sqe, file, failed_data);
    }
    if (client != NULL) {
        sqe = load_ring_sqe(ring);
        sqe->opcode = OP_BIND;
        sqe->addr = (uintptr_t)client;
        sqe->addr2 = sizeof(*client);
        link_on(sqe, file, failed_data);
    }
}

static int by_calls(const struct load_dialer *dialer, struct load_ring *ring, unsigned file,
                    const struct sockaddr_in *client) {
    struct option options[3];
    unsigned count = options_of(dialer, options);
    int status = 0, fd = socket(dialer->address->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return -errno;
    }
    for (unsigned i = 0; i < count && status == 0; i++) {
        status =
            setsockopt(fd, options[i].level, options[i].name, options[i].value, options[i].bytes);
    }
    if (status == 0 && client != NULL) {
        status = bind(fd, (const struct sockaddr *)client, sizeof(*client));
    }
    status = status == 0 ? io_uring_register_files_update(&ring->uring, file, &fd, 1) : -errno;
    close(fd);
    return status < 0 ? status : 0;
}

int load_dialer_start(struct load_dialer *dialer, struct load_ring *ring, unsigned file,
                      unsigned turn, uint64_t connect_data, uint64_t failed_data) {
    const struct sockaddr_in *client =
        dialer->client_count > 0 ? &dialer->clients[turn % dialer->client_count] : NULL;

    if (dialer->chained) {
        load_ring_reserve(ring, 6);
        chain(dialer, ring, file, client, failed_data);
    } else {
        int status = by_calls(dialer, ring, file, client);
        if (status < 0) {
            return status;
        }
    }
    struct io_uring_sqe *sqe = load_ring_sqe(ring);
    io_uring_prep_connect(sqe, (int)file, (const struct sockaddr *)dialer->address,
                          dialer->address_bytes);
    sqe->flags = IOSQE_FIXED_FILE;
    sqe->user_data = connect_data;
    return 0;
}

void load_dialer_fall_back(struct load_dialer *dialer) {
    dialer->chained = false;
}
