// Listening sockets.
//
// Every address is tried before any is opened: a bind without SO_REUSEPORT fails where another
// server listens, which a bind with it would not (two servers of one user would share the traffic
// and nobody would notice). The trial socket never listens, so no client can end up in its queue.
#include "server/sockets.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/shortage.h"
#include "server/address.h"
#include "server/holder.h"
#include "server/worker.h"

#define EXIT_IN_USE 69
#define EXIT_OS 71
#define EXIT_CONFIG 78
#define BACKLOG 65535  // The kernel cuts it to net.core.somaxconn (4096 since Linux 5.4).
#define ORPHAN_ATTEMPTS_MAX 20u
#define TCP_FLAGS_OFFSET 13  // RFC 9293 section 3.1: the byte, and the bit in it.
#define TCP_SYN 0x02
#define UNIX_MODE 0666  // As open to local programs as a loopback port.

struct message {
    char *text;
    size_t bytes;
};

static CV_PRINTF(3, 4) int fail(struct message message, int exit_code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message.text, message.bytes, format, arguments);
    va_end(arguments);
    return exit_code;
}

static int make_socket(const struct cv_address *address) {
    int fd = socket(address->socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

static int set_option(int fd, int level, int name) {
    int on = 1;
    return setsockopt(fd, level, name, &on, sizeof(on)) < 0 ? -errno : 0;
}

static int bind_to(int fd, const struct cv_address *address) {
    int error = 0;
    if (!cv_address_is_unix(address)) {
        error = set_option(fd, SOL_SOCKET, SO_REUSEADDR);
    }
    if (error == 0 && address->socket.ss_family == AF_INET6) {
        error = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    }
    if (error == 0 &&
        bind(fd, (const struct sockaddr *)&address->socket, address->socket_bytes) < 0) {
        error = -errno;
    }
    return error;
}

static int say_in_use(const struct cv_address *address, struct message message) {
    struct cv_holder holder;
    if (cv_holder_find(address, &holder)) {
        return fail(message, EXIT_IN_USE, "%s is in use by process %d (%s)", address->text,
                    (int)holder.pid, holder.name);
    }
    return fail(message, EXIT_IN_USE, "%s is in use", address->text);
}

static int say_failure(const struct cv_address *address, int error, struct message message) {
    if (error == -EADDRINUSE) {
        return say_in_use(address, message);
    }
    const char *hint = error == -EACCES && !cv_address_is_unix(address)
                           ? " (ports below net.ipv4.ip_unprivileged_port_start need root)"
                           : cv_shortage_remedy(error);
    return fail(message, cv_shortage_is(error) ? EXIT_OS : EXIT_CONFIG, "cannot listen on %s: %s%s",
                address->text, strerror(-error), hint);
}

// A ring that dies with its process gives its sockets back a little later, when nobody can be named
// any more: then a moment of patience is right.
static const struct timespec orphan_pause = {.tv_nsec = 50 * 1000 * 1000};

static int try_tcp(const struct cv_address *address, struct message message) {
    struct cv_holder holder;
    int error;
    for (uint32_t i = 0; i < ORPHAN_ATTEMPTS_MAX; i++) {
        int fd = make_socket(address);
        error = fd < 0 ? fd : bind_to(fd, address);
        if (fd >= 0) {
            close(fd);
        }
        if (error != -EADDRINUSE || cv_holder_find(address, &holder)) {
            break;
        }
        nanosleep(&orphan_pause, NULL);
    }
    return error != 0 ? say_failure(address, error, message) : 0;
}

// Who answers at a unix path? Returns 0 and the process that listened first, or -errno.
static int call_unix(const struct cv_address *address, pid_t *listener) {
    struct ucred peer = {0};
    socklen_t peer_bytes = sizeof(peer);
    int fd = make_socket(address);
    if (fd < 0) {
        return fd;
    }
    int error = 0;
    if (connect(fd, (const struct sockaddr *)&address->socket, address->socket_bytes) < 0) {
        error = -errno;
    } else {
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_bytes);
        *listener = peer.pid;
    }
    close(fd);
    return error;
}

// Of another PID namespace (0) too.
static bool is_alive(pid_t pid) {
    return kill(pid, 0) == 0 || errno != ESRCH;
}

// Removes a socket file that nobody answers at.
static int try_unix(const struct cv_address *address, struct message message) {
    const char *path = cv_address_path(address);
    struct stat status;
    if (lstat(path, &status) < 0) {
        return errno == ENOENT ? 0 : say_failure(address, -errno, message);
    }
    if (!S_ISSOCK(status.st_mode)) {
        return fail(message, EXIT_IN_USE, "%s exists and is not a socket", address->text);
    }
    pid_t listener = 0;
    int error = call_unix(address, &listener);
    for (uint32_t i = 0; error == 0 && !is_alive(listener) && i < ORPHAN_ATTEMPTS_MAX; i++) {
        nanosleep(&orphan_pause, NULL);
        error = call_unix(address, &listener);
    }
    if (error == 0) {
        struct cv_holder holder;
        cv_holder_name(&holder, listener);
        return fail(message, EXIT_IN_USE, "%s is in use by process %d (%s)", address->text,
                    (int)listener, holder.name);
    }
    if (error == -ECONNREFUSED) {
        error = unlink(path) < 0 && errno != ENOENT ? -errno : 0;
    }
    return error != 0 && error != -ENOENT ? say_failure(address, error, message) : 0;
}

static int try_address(const struct cv_address *address, struct message message) {
    return cv_address_is_unix(address) ? try_unix(address, message) : try_tcp(address, message);
}

// Accepted sockets inherit both. Nothing can be congested between two sockets of one machine, so
// the simplest algorithm does there: where the system's is BBR, its model and pacing cost about 3 %
// of a small request's CPU and cap a stream at a third of what the machine can copy. A kernel that
// does not offer it keeps its own.
static int tune(int fd, const struct cv_address *address) {
    static const char simplest[] = "reno";
    if (cv_address_is_loopback(address)) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, simplest, sizeof(simplest) - 1);
    }
    return set_option(fd, IPPROTO_TCP, TCP_NODELAY);
}

// Opens, binds and listens.
static int listen_at(const struct cv_address *address, bool is_shared_port, mode_t mode) {
    int fd = make_socket(address);
    if (fd < 0) {
        return fd;
    }
    int error = 0;
    if (!cv_address_is_unix(address)) {
        error = tune(fd, address);
    }
    if (error == 0 && is_shared_port) {
        error = set_option(fd, SOL_SOCKET, SO_REUSEPORT);
    }
    if (error == 0) {
        error = bind_to(fd, address);
    }
    if (error != 0) {
        close(fd);
        return error;
    }
    bool has_path = cv_address_is_unix(address);
    if ((has_path && chmod(cv_address_path(address), mode) < 0) || listen(fd, BACKLOG) < 0) {
        error = -errno;
        close(fd);
        if (has_path) {
            unlink(cv_address_path(address));
        }
        return error;
    }
    return fd;
}

int cv_sockets_open_one(const struct cv_address *address, mode_t mode, gid_t group,
                        char *message_text, size_t message_bytes) {
    struct message message = {message_text, message_bytes};
    int exit_code = try_address(address, message);
    if (exit_code != 0) {
        return -exit_code;
    }
    int fd = listen_at(address, false, mode);
    if (fd < 0) {
        return -say_failure(address, fd, message);
    }
    if (cv_address_is_unix(address) && chown(cv_address_path(address), (uid_t)-1, group) < 0) {
        // An ordinary user may not; then the file is for that user's own group.
        cv_log(CV_LOG_DEBUG, "admin_group", "reason=\"%s\"", strerror(errno));
    }
    return fd;
}

static struct cv_sockets_group *find_group(struct cv_sockets *sockets,
                                           const struct cv_address *address) {
    for (uint32_t i = 0; i < sockets->group_count; i++) {
        if (cv_address_equal(&sockets->group[i].address, address)) {
            return &sockets->group[i];
        }
    }
    return NULL;
}

static struct cv_sockets_group *add_group(struct cv_sockets *sockets,
                                          const struct cv_address *address) {
    if (sockets->group_count == CV_SOCKETS_GROUPS_MAX) {
        return NULL;
    }
    struct cv_sockets_group *group = &sockets->group[sockets->group_count++];
    *group = (struct cv_sockets_group){.address = *address};
    return group;
}

static void add_socket(struct cv_sockets *sockets, struct cv_sockets_group *group, int fd) {
    sockets->fd[sockets->count] = fd;
    sockets->group_index[sockets->count] = (uint8_t)(group - sockets->group);
    sockets->count++;
    group->count++;
}

static int get_option(int fd, int name) {
    int value = 0;
    socklen_t value_bytes = sizeof(value);
    return getsockopt(fd, SOL_SOCKET, name, &value, &value_bytes) < 0 ? -errno : value;
}

int cv_sockets_take(struct cv_sockets *sockets, int fd, bool is_activated) {
    struct cv_address address;
    int is_listening = get_option(fd, SO_ACCEPTCONN);
    if (is_listening < 0) {
        return is_listening;
    }
    if (is_listening == 0 || get_option(fd, SO_TYPE) != SOCK_STREAM) {
        return -EINVAL;
    }
    int error = cv_address_of_socket(fd, &address);
    if (error != 0) {
        return error;
    }
    if (sockets->count == CV_SOCKETS_MAX) {
        return -ENOSPC;
    }
    struct cv_sockets_group *group = find_group(sockets, &address);
    if (group == NULL) {
        group = add_group(sockets, &address);
        if (group == NULL) {
            return -ENOSPC;
        }
        group->is_taken = true;
        group->is_activated = is_activated;
        group->is_owned = !is_activated && cv_address_is_unix(&address);
    }
    add_socket(sockets, group, fd);
    if (!cv_address_is_unix(&address)) {
        return tune(fd, &address);
    }
    return 0;
}

static bool shares_port(const struct cv_sockets *sockets, const struct cv_sockets_group *group) {
    for (uint32_t i = 0; i < sockets->count; i++) {
        if (&sockets->group[sockets->group_index[i]] == group) {
            return get_option(sockets->fd[i], SO_REUSEPORT) > 0;
        }
    }
    return true;
}

// How many sockets the group shall have.
static uint32_t wanted_count(const struct cv_sockets *sockets, const struct cv_sockets_group *group,
                             uint32_t worker_count) {
    if (group->is_activated || !shares_port(sockets, group)) {
        return group->count;
    }
    return cv_address_is_unix(&group->address) ? 1 : worker_count;
}

static int fill_group(struct cv_sockets *sockets, struct cv_sockets_group *group,
                      uint32_t worker_count, struct message message) {
    bool is_unix = cv_address_is_unix(&group->address);
    uint32_t wanted = wanted_count(sockets, group, worker_count);
    while (group->count < wanted) {
        if (sockets->count == CV_SOCKETS_MAX) {
            return fail(message, EXIT_CONFIG, "more than %u sockets", CV_SOCKETS_MAX);
        }
        int fd = listen_at(&group->address, !is_unix, UNIX_MODE);
        if (fd < 0) {
            return say_failure(&group->address, fd, message);
        }
        group->is_owned = is_unix;
        add_socket(sockets, group, fd);
    }
    return 0;
}

// Marks the groups to serve and adds empty ones for new addresses, which are tried first.
static int choose_groups(struct cv_sockets *sockets, const struct cv_settings *settings,
                         struct message message) {
    bool is_activated = false;
    for (uint32_t i = 0; i < sockets->group_count; i++) {
        struct cv_sockets_group *group = &sockets->group[i];
        group->is_wanted = group->is_activated;
        is_activated |= group->is_activated;
    }
    if (is_activated && settings->listen_default) {
        return 0;
    }
    for (uint32_t i = 0; i < settings->listen_count; i++) {
        struct cv_sockets_group *group = find_group(sockets, &settings->listen[i]);
        if (group == NULL) {
            int exit_code = try_address(&settings->listen[i], message);
            if (exit_code != 0) {
                return exit_code;
            }
            group = add_group(sockets, &settings->listen[i]);
            if (group == NULL) {
                return fail(message, EXIT_CONFIG, "more than %u addresses", CV_SOCKETS_GROUPS_MAX);
            }
        }
        group->is_wanted = true;
    }
    return 0;
}

static int fill_groups(struct cv_sockets *sockets, const struct cv_settings *settings,
                       struct message message) {
    uint32_t per_worker = 0;
    for (uint32_t i = 0; i < sockets->group_count; i++) {
        struct cv_sockets_group *group = &sockets->group[i];
        if (!group->is_wanted) {
            continue;
        }
        int exit_code = fill_group(sockets, group, settings->worker_count, message);
        if (exit_code != 0) {
            return exit_code;
        }
        per_worker += (group->count + settings->worker_count - 1) / settings->worker_count;
    }
    if (per_worker > CV_WORKER_LISTENERS_MAX) {
        return fail(message, EXIT_CONFIG,
                    "%u sockets are too many for %u workers (at most %u for each)", sockets->count,
                    settings->worker_count, CV_WORKER_LISTENERS_MAX);
    }
    return 0;
}

int cv_sockets_open(struct cv_sockets *sockets, const struct cv_settings *settings,
                    char *message_text, size_t message_bytes) {
    struct message message = {message_text, message_bytes};
    int exit_code = choose_groups(sockets, settings, message);
    if (exit_code == 0) {
        exit_code = fill_groups(sockets, settings, message);
    }
    return exit_code;
}

void cv_sockets_deal(const struct cv_sockets *sockets, uint32_t index, uint32_t count, int *own,
                     uint32_t *own_count, int *foreign, uint32_t *foreign_count) {
    uint32_t place[CV_SOCKETS_GROUPS_MAX] = {0};  // Of the next socket within its group.
    *own_count = 0;
    *foreign_count = 0;
    for (uint32_t i = 0; i < sockets->count; i++) {
        const struct cv_sockets_group *group = &sockets->group[sockets->group_index[i]];
        uint32_t nth = place[sockets->group_index[i]]++;
        // Fewer sockets than workers: several workers share one; more: a worker has several.
        bool is_own = group->count < count ? index % group->count == nth : nth % count == index;
        if (group->is_wanted && is_own) {
            own[(*own_count)++] = sockets->fd[i];
        } else {
            foreign[(*foreign_count)++] = sockets->fd[i];
        }
    }
}

void cv_sockets_close_unwanted(struct cv_sockets *sockets) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < sockets->count; i++) {
        uint8_t index = sockets->group_index[i];
        if (sockets->group[index].is_wanted) {
            sockets->fd[kept] = sockets->fd[i];
            sockets->group_index[kept] = index;
            kept++;
        } else {
            close(sockets->fd[i]);
            sockets->group[index].count--;
        }
    }
    sockets->count = kept;
    for (uint32_t i = 0; i < sockets->group_count; i++) {
        struct cv_sockets_group *group = &sockets->group[i];
        if (!group->is_wanted && group->is_owned) {
            unlink(cv_address_path(&group->address));
            group->is_owned = false;
        }
    }
}

// Port 0: not TCP.
static uint16_t port_of(const struct cv_address *address) {
    const struct sockaddr *any = (const struct sockaddr *)&address->socket;
    switch (any->sa_family) {
    case AF_INET:
        return ntohs(((const struct sockaddr_in *)any)->sin_port);
    case AF_INET6:
        return ntohs(((const struct sockaddr_in6 *)any)->sin6_port);
    default:
        return 0;
    }
}

// A socket's filter sees segments from their TCP header on; ACK goes through, as it ends a
// handshake that began before. The connections inherit the filter, and no segment of theirs has
// SYN.
void cv_sockets_deafen(const struct cv_sockets *sockets) {
    static struct sock_filter no_syn[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, TCP_FLAGS_OFFSET),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, TCP_SYN, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    static const struct sock_fprog filter = {.len = CV_ARRAY_COUNT(no_syn), .filter = no_syn};
    for (uint32_t i = 0; i < sockets->count; i++) {
        const struct cv_sockets_group *group = &sockets->group[sockets->group_index[i]];
        if (port_of(&group->address) != 0 && !group->is_activated) {
            // Where it is refused, a connection may be lost as it always was.
            (void)setsockopt(sockets->fd[i], SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter));
        }
    }
}

void cv_sockets_close(struct cv_sockets *sockets, enum cv_sockets_paths paths) {
    for (uint32_t i = 0; i < sockets->count; i++) {
        close(sockets->fd[i]);
    }
    for (uint32_t i = 0; i < sockets->group_count; i++) {
        const struct cv_sockets_group *group = &sockets->group[i];
        bool is_ours = paths == CV_SOCKETS_UNLINK_OWNED ||
                       (paths == CV_SOCKETS_UNLINK_OPENED && !group->is_taken);
        if (group->is_owned && is_ours) {
            unlink(cv_address_path(&group->address));
        }
    }
    sockets->count = 0;
    sockets->group_count = 0;
}

uint32_t cv_sockets_ports(const struct cv_sockets *sockets, uint16_t port[COVET_STATS_PORTS_MAX]) {
    uint32_t count = 0;
    uint16_t last = 0;
    while (count < COVET_STATS_PORTS_MAX) {
        uint16_t next = UINT16_MAX;
        bool is_found = false;
        for (uint32_t i = 0; i < sockets->group_count; i++) {
            uint16_t candidate = port_of(&sockets->group[i].address);
            if (sockets->group[i].is_wanted && candidate > last && candidate <= next) {
                next = candidate;
                is_found = true;
            }
        }
        if (!is_found) {
            break;
        }
        port[count++] = last = next;
    }
    return count;
}

const char *cv_sockets_text(const struct cv_sockets *sockets, char *out, size_t out_bytes) {
    size_t length = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < sockets->group_count && length < out_bytes; i++) {
        if (sockets->group[i].is_wanted) {
            int written = snprintf(out + length, out_bytes - length, "%s%s", length > 0 ? "," : "",
                                   sockets->group[i].address.text);
            length += (size_t)CV_MAX(written, 0);
        }
    }
    return out;
}
