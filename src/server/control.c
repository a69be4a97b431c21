// Control messages: a fixed header and the payload in one packet, gathered from the message's own
// memory; descriptors in one SCM_RIGHTS block (the kernel takes up to 253, unix(7)).
#include "server/control.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"

#define SEND_WAIT_MS 1000
#define MEMORY_WAIT_MS 10

struct header {
    uint32_t kind;
    uint32_t payload_bytes;
    uint64_t number;
    uint32_t fd_count;
    uint32_t reserved;
};

union rights {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int) * CV_CONTROL_FDS_MAX)];
};

int cv_control_open(int pair[2]) {
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
        return -errno;
    }
    return 0;
}

// Waits where that helps. Changes the error when it was for too long.
static bool may_send_again(int fd, int *error, uint32_t *pauses_left) {
    const struct timespec pause = {.tv_nsec = MEMORY_WAIT_MS * 1000 * 1000};
    struct pollfd room = {.fd = fd, .events = POLLOUT};
    switch (-*error) {
    case EINTR:
        return true;
    case EAGAIN:
        if (poll(&room, 1, SEND_WAIT_MS) == 0) {
            *error = -ETIMEDOUT;
            return false;
        }
        return true;
    case ENOMEM:
    case ENOBUFS:
        nanosleep(&pause, NULL);
        return (*pauses_left)-- > 0;
    default:
        return false;
    }
}

int cv_control_send(int fd, const struct cv_control_message *message) {
    CV_ASSERT(message->payload_bytes <= CV_CONTROL_PAYLOAD_BYTES_MAX);
    CV_ASSERT(message->fd_count <= CV_CONTROL_FDS_MAX);
    struct header header = {
        .kind = message->kind,
        .payload_bytes = message->payload_bytes,
        .number = message->number,
        .fd_count = message->fd_count,
    };
    struct iovec parts[2] = {
        {&header, sizeof(header)},
        {(void *)(uintptr_t)message->payload, message->payload_bytes},
    };
    struct msghdr packet = {.msg_iov = parts, .msg_iovlen = 2};
    union rights rights = {0};
    if (message->fd_count > 0) {
        packet.msg_control = rights.bytes;
        packet.msg_controllen = CMSG_SPACE(sizeof(int) * message->fd_count);
        struct cmsghdr *block = CMSG_FIRSTHDR(&packet);
        block->cmsg_level = SOL_SOCKET;
        block->cmsg_type = SCM_RIGHTS;
        block->cmsg_len = CMSG_LEN(sizeof(int) * message->fd_count);
        memcpy(CMSG_DATA(block), message->fd, sizeof(int) * message->fd_count);
    }
    int error;
    uint32_t pauses_left = SEND_WAIT_MS / MEMORY_WAIT_MS;
    do {
        error = sendmsg(fd, &packet, MSG_NOSIGNAL) >= 0 ? 0 : -errno;
    } while (error != 0 && may_send_again(fd, &error, &pauses_left));
    return error;
}

int cv_control_tell(int fd, enum cv_control_kind kind, uint64_t number) {
    struct cv_control_message message;
    message.kind = (uint32_t)kind;
    message.number = number;
    message.payload_bytes = 0;
    message.fd_count = 0;
    return cv_control_send(fd, &message);
}

// Moves the descriptors of every SCM_RIGHTS block into the message.
static void take_fds(struct msghdr *packet, struct cv_control_message *message) {
    message->fd_count = 0;
    for (struct cmsghdr *block = CMSG_FIRSTHDR(packet); block != NULL;
         block = CMSG_NXTHDR(packet, block)) {
        if (block->cmsg_level != SOL_SOCKET || block->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        size_t count = (block->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        CV_ASSERT(message->fd_count + count <= CV_CONTROL_FDS_MAX);
        memcpy(message->fd + message->fd_count, CMSG_DATA(block), count * sizeof(int));
        message->fd_count += (uint32_t)count;
    }
}

int cv_control_receive(int fd, struct cv_control_message *message) {
    struct header header;
    struct iovec parts[2] = {
        {&header, sizeof(header)},
        {message->payload, sizeof(message->payload)},
    };
    union rights rights;
    struct msghdr packet = {
        .msg_iov = parts,
        .msg_iovlen = 2,
        .msg_control = rights.bytes,
        .msg_controllen = sizeof(rights.bytes),
    };
    ssize_t got;
    do {
        got = recvmsg(fd, &packet, MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        // A peer that died with unread packets in its queue is an end of file, too.
        return errno == ECONNRESET ? 0 : -errno;
    }
    if (got == 0) {
        return 0;
    }
    take_fds(&packet, message);
    bool whole =
        (size_t)got >= sizeof(header) && header.payload_bytes == (size_t)got - sizeof(header) &&
        header.fd_count == message->fd_count && (packet.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0;
    if (!whole) {
        for (uint32_t i = 0; i < message->fd_count; i++) {
            close(message->fd[i]);
        }
        return -EBADMSG;
    }
    message->kind = header.kind;
    message->number = header.number;
    message->payload_bytes = header.payload_bytes;
    return 1;
}
