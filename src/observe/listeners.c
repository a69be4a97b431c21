// The inet_diag protocol (linux/inet_diag.h). Of a listening socket the receive queue is the number
// of connections that wait, the send queue the backlog, and the drops of its memory figures are the
// connections it refused.
#include "observe/listeners.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/assert.h"

#define ANSWER_BYTES 32768u
#define ANSWER_SECONDS_MAX 1

struct reading {
    struct cv_snapshot_listener *listeners;
    size_t count;
    const uint16_t *ports;
    uint32_t port_count;
};

static struct cv_snapshot_listener *listener_of(struct reading *reading, uint16_t port) {
    bool is_ours = false;

    for (uint32_t i = 0; i < reading->port_count; i++)
        is_ours |= reading->ports[i] == port;
    if (!is_ours)
        return NULL;
    for (size_t i = 0; i < reading->count; i++) {
        if (reading->listeners[i].port == port)
            return &reading->listeners[i];
    }
    struct cv_snapshot_listener *added = &reading->listeners[reading->count++];
    *added = (struct cv_snapshot_listener){.port = port};
    return added;
}

static uint32_t drops_of(const struct inet_diag_msg *message, size_t bytes) {
    const struct rtattr *attribute = (const struct rtattr *)(message + 1);
    uint32_t figures[SK_MEMINFO_VARS] = {0};

    for (bytes -= sizeof(*message); RTA_OK(attribute, bytes);
         attribute = RTA_NEXT(attribute, bytes)) {
        if (attribute->rta_type == INET_DIAG_SKMEMINFO)
            memcpy(figures, RTA_DATA(attribute), CV_MIN(RTA_PAYLOAD(attribute), sizeof(figures)));
    }
    return figures[SK_MEMINFO_DROPS];
}

static void take_socket(struct reading *reading, const struct nlmsghdr *header) {
    const struct inet_diag_msg *message = NLMSG_DATA(header);

    if (header->nlmsg_len < NLMSG_LENGTH(sizeof(*message)))
        return;
    struct cv_snapshot_listener *listener = listener_of(reading, ntohs(message->id.idiag_sport));
    if (listener == NULL)
        return;
    uint32_t percent =
        (uint32_t)(100ull * message->idiag_rqueue / CV_MAX(message->idiag_wqueue, 1));
    listener->sockets++;
    listener->queue += message->idiag_rqueue;
    listener->queue_max += message->idiag_wqueue;
    listener->fullest_percent = CV_MAX(listener->fullest_percent, percent);
    listener->drops += drops_of(message, header->nlmsg_len - NLMSG_HDRLEN);
}

// Takes one datagram of answers; false when it was the last.
static bool take_answers(struct reading *reading, int fd) {
    _Alignas(struct nlmsghdr) char answer[ANSWER_BYTES];
    ssize_t got = recv(fd, answer, sizeof(answer), 0);
    size_t bytes = got < 0 ? 0 : (size_t)got;

    for (const struct nlmsghdr *header = (const struct nlmsghdr *)answer; NLMSG_OK(header, bytes);
         header = NLMSG_NEXT(header, bytes)) {
        if (header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR)
            return false;
        take_socket(reading, header);
    }
    return got > 0;
}

static void ask(struct reading *reading, int fd, uint8_t family) {
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 request;
    } message = {
        .header = {.nlmsg_len = sizeof(message),
                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .request = {.sdiag_family = family,
                    .sdiag_protocol = IPPROTO_TCP,
                    .idiag_ext = 1 << (INET_DIAG_SKMEMINFO - 1),
                    .idiag_states = 1 << TCP_LISTEN},
    };

    if (send(fd, &message, sizeof(message), 0) == (ssize_t)sizeof(message)) {
        while (take_answers(reading, fd))
            continue;
    }
}

static int open_diag(void) {
    struct timeval patience = {.tv_sec = ANSWER_SECONDS_MAX};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return fd;
}

// A netlink socket belongs to the namespace it was made in, so this thread goes there and back.
// Returns -1 where it may not.
static int open_diag_of(pid_t pid) {
    char path[64];
    struct stat ours, theirs;

    snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
    if (stat(path, &theirs) != 0)
        return open_diag();  // Of another user, whom we cannot ask: most likely ours.
    if (stat("/proc/thread-self/ns/net", &ours) == 0 && ours.st_ino == theirs.st_ino)
        return open_diag();

    int fd = -1;
    int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    int there = open(path, O_RDONLY | O_CLOEXEC);
    if (home >= 0 && there >= 0 && setns(there, CLONE_NEWNET) == 0) {
        fd = open_diag();
        CV_ASSERT(setns(home, CLONE_NEWNET) == 0);
    }
    if (home >= 0)
        close(home);
    if (there >= 0)
        close(there);
    return fd;
}

void cv_listeners_read(struct cv_snapshot_listener *listeners, size_t *listener_count, pid_t pid,
                       const uint16_t *ports, uint32_t port_count) {
    struct reading reading = {listeners, 0, ports, port_count};
    int fd = port_count == 0 ? -1 : open_diag_of(pid);

    if (fd >= 0) {
        ask(&reading, fd, AF_INET);
        ask(&reading, fd, AF_INET6);
        close(fd);
    }
    *listener_count = reading.count;
}
