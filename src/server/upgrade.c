// The hand-over. Sockets stay open throughout, in one process or the other, so no queue is ever
// dropped; see docs/notes/0004-supervisor.md for what else was considered.
#include "server/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/span.h"

#define ENV_LISTENERS "COVET_UPGRADE_LISTENERS"
#define ENV_ACTIVATED "COVET_UPGRADE_ACTIVATED"
#define ENV_ADMIN "COVET_UPGRADE_ADMIN"
#define ENV_READY "COVET_UPGRADE_READY"
#define FIRST_ACTIVATED_FD 3  // SD_LISTEN_FDS_START
#define LIST_BYTES (CV_SOCKETS_MAX * 8)

static int copy_path(char *path, size_t path_bytes, const char *directory, size_t directory_bytes,
                     const char *name) {
    int length = snprintf(path, path_bytes, "%.*s/%s", (int)directory_bytes, directory, name);
    return length > 0 && (size_t)length < path_bytes ? 0 : -ENAMETOOLONG;
}

static int search(const char *name, char *path, size_t path_bytes) {
    const char *list = getenv("PATH");
    while (list != NULL && *list != '\0') {
        size_t length = strcspn(list, ":");
        if (length > 0 && copy_path(path, path_bytes, list, length, name) == 0 &&
            access(path, X_OK) == 0) {
            return 0;
        }
        list += length + (list[length] == ':');
    }
    ssize_t length = readlink("/proc/self/exe", path, path_bytes - 1);
    if (length < 0) {
        return -errno;
    }
    path[length] = '\0';
    return 0;
}

int cv_upgrade_find_program(const char *argv0, char *path, size_t path_bytes) {
    char directory[PATH_MAX];
    if (strchr(argv0, '/') == NULL) {
        return search(argv0, path, path_bytes);
    }
    if (argv0[0] == '/') {
        int length = snprintf(path, path_bytes, "%s", argv0);
        return (size_t)length < path_bytes ? 0 : -ENAMETOOLONG;
    }
    if (getcwd(directory, sizeof(directory)) == NULL) {
        return -errno;
    }
    return copy_path(path, path_bytes, directory, strlen(directory), argv0);
}

// In the child: lets a descriptor live through exec and adds its number to a list.
static void pass_fd(char *list, size_t list_bytes, int fd) {
    size_t length = strlen(list);
    snprintf(list + length, list_bytes - length, "%s%d", length > 0 ? "," : "", fd);
    fcntl(fd, F_SETFD, 0);
}

static void pass_single(const char *variable, int fd) {
    char text[16] = "";
    if (fd >= 0) {
        pass_fd(text, sizeof(text), fd);
        setenv(variable, text, 1);
    }
}

static _Noreturn void execute(const struct cv_upgrade_order *order, int ready_fd) {
    static char listeners[LIST_BYTES];
    static char activated[LIST_BYTES];
    sigset_t none;
    for (uint32_t i = 0; i < order->sockets->count; i++) {
        uint8_t group = order->sockets->group_index[i];
        pass_fd(order->sockets->group[group].is_activated ? activated : listeners, LIST_BYTES,
                order->sockets->fd[i]);
    }
    setenv(ENV_LISTENERS, listeners, 1);
    setenv(ENV_ACTIVATED, activated, 1);
    pass_single(ENV_ADMIN, order->admin_fd);
    pass_single(COVET_PROFILE_FD, order->profile_fd);
    pass_single(ENV_READY, ready_fd);
    signal(SIGPIPE, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execv(order->program, order->argv);
    cv_log(CV_LOG_ERROR, "upgrade_failed", "program=%s reason=\"%s\"", order->program,
           strerror(errno));
    _exit(127);
}

int cv_upgrade_start(struct cv_upgrade *upgrade, const struct cv_upgrade_order *order) {
    int ready[2];
    if (pipe2(ready, O_CLOEXEC | O_NONBLOCK) < 0) {
        return -errno;
    }
    pid_t pid = fork();
    if (pid == 0) {
        execute(order, ready[1]);
    }
    int error = pid < 0 ? -errno : 0;
    close(ready[1]);
    if (error != 0) {
        close(ready[0]);
        return error;
    }
    *upgrade = (struct cv_upgrade){.pid = pid, .ready_fd = ready[0]};
    return 0;
}

static void take(struct cv_sockets *sockets, int fd, bool is_activated) {
    int flags = fcntl(fd, F_GETFD);
    int error = flags < 0 || fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0 ? -errno : 0;
    if (error == 0) {
        error = cv_sockets_take(sockets, fd, is_activated);
    }
    if (error != 0) {
        cv_log(CV_LOG_WARN, "socket_refused", "fd=%d reason=\"%s\"", fd, strerror(-error));
        if (flags >= 0) {
            close(fd);
        }
    }
}

// The next number of a comma list; -1 at its end or where it is no number.
static int next_fd(const char **list) {
    if (*list == NULL) {
        return -1;
    }
    uint64_t fd;
    size_t length = strcspn(*list, ",");
    if (!cv_span_to_uint64(cv_span_make(*list, length), INT_MAX, &fd)) {
        return -1;
    }
    *list += length + ((*list)[length] == ',');
    return (int)fd;
}

static void take_list(struct cv_sockets *sockets, const char *variable, bool is_activated) {
    const char *list = getenv(variable);
    int fd;
    while ((fd = next_fd(&list)) >= 0) {
        take(sockets, fd, is_activated);
    }
    unsetenv(variable);
}

static int take_single(const char *variable) {
    const char *list = getenv(variable);
    int fd = next_fd(&list);
    unsetenv(variable);
    if (fd >= 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
        fd = -1;
    }
    return fd;
}

// A number that somebody else may have given: what it names is looked at before it is touched.
static int take_profile(void) {
    const char *list = getenv(COVET_PROFILE_FD);
    int fd = next_fd(&list);
    int type = 0;
    socklen_t type_bytes = sizeof(type);
    unsetenv(COVET_PROFILE_FD);
    if (fd < 0) {
        return -1;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_bytes) < 0 || type != SOCK_SEQPACKET ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
        cv_log(CV_LOG_WARN, "profile_refused", "fd=%d reason=\"not a profiler's line\"", fd);
        return -1;
    }
    return fd;
}

static void take_activated(struct cv_sockets *sockets) {
    const char *pid = getenv("LISTEN_PID");
    const char *count_text = getenv("LISTEN_FDS");
    uint64_t number;
    uint64_t count;
    if (pid != NULL && count_text != NULL && cv_span_to_uint64(cv_span_of(pid), INT_MAX, &number) &&
        (pid_t)number == getpid() &&
        cv_span_to_uint64(cv_span_of(count_text), CV_SOCKETS_MAX, &count)) {
        for (int i = 0; i < (int)count; i++) {
            take(sockets, FIRST_ACTIVATED_FD + i, true);
        }
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
}

void cv_upgrade_inherit(struct cv_sockets *sockets, struct cv_upgrade_inherited *inherited) {
    take_activated(sockets);
    take_list(sockets, ENV_LISTENERS, false);
    take_list(sockets, ENV_ACTIVATED, true);
    inherited->admin_fd = take_single(ENV_ADMIN);
    inherited->ready_fd = take_single(ENV_READY);
    inherited->profile_fd = take_profile();
}

void cv_upgrade_say_ready(struct cv_upgrade_inherited *inherited) {
    if (inherited->ready_fd < 0) {
        return;
    }
    ssize_t written = write(inherited->ready_fd, "R", 1);
    (void)written;  // An old supervisor that is gone needs no answer.
    close(inherited->ready_fd);
    inherited->ready_fd = -1;
}
