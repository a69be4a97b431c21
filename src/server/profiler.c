// The supervisor's side of the line to covet-prof.
//
// The profiler may be older or newer than we are, hang, or die: so it is found by name, what is
// sent carries a version, every send and receive is non-blocking, and of targets that it has not
// read yet only the last one matters.
#include "server/profiler.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/span.h"

#define PROGRAM "covet-prof"
#define LINE_FD 3
#define LINES_PER_RUN_MAX 16u  // The rest waits for the next time, which comes at once.

static void log_off(enum cv_log_level level, const char *reason, const char *remedy) {
    cv_log(level, "profile_off", "reason=\"%s\" remedy=\"%s\"", reason, remedy);
}

void cv_profiler_adopt(struct cv_profiler *profiler, int fd) {
    *profiler = (struct cv_profiler){.fd = fd};
}

// Finding it.

static bool is_program(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

static bool join(char *path, const char *directory, size_t directory_bytes) {
    int length = snprintf(path, PATH_MAX, "%.*s/" PROGRAM, (int)directory_bytes, directory);
    return length > 0 && length < PATH_MAX && is_program(path);
}

// Beside our own program file, wherever links to it may lie.
static bool find_beside(char path[PATH_MAX]) {
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (length <= 0) {
        return false;
    }
    self[length] = '\0';
    return join(path, self, (size_t)(strrchr(self, '/') - self));
}

// Absolute entries only: root shall not run what lies in the current directory.
static bool find_in_path(char path[PATH_MAX]) {
    const char *list = getenv("PATH");
    while (list != NULL && *list != '\0') {
        size_t length = strcspn(list, ":");
        if (list[0] == '/' && join(path, list, length)) {
            return true;
        }
        list += length + (list[length] == ':');
    }
    return false;
}

// Starting it.

static _Noreturn void execute(const char *path, int fd, uint32_t level) {
    char line[16];
    char level_text[16];
    sigset_t none;
    int null_fd = open("/dev/null", O_RDWR);
    if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 || dup2(null_fd, STDOUT_FILENO) < 0 ||
        dup2(fd, LINE_FD) < 0 || fcntl(LINE_FD, F_SETFD, 0) < 0 ||
        syscall(SYS_close_range, LINE_FD + 1, ~0u, 0) < 0) {
        _exit(127);
    }
    snprintf(line, sizeof(line), "%d", LINE_FD);
    snprintf(level_text, sizeof(level_text), "%u", level);
    signal(SIGPIPE, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execl(path, PROGRAM, "--control", line, "--level", level_text, (char *)NULL);
    _exit(127);
}

static int start(struct cv_profiler *profiler, const char *path, uint32_t level) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        return -errno;
    }
    pid_t pid = fork();
    if (pid == 0) {
        execute(path, pair[1], level);
    }
    int error = pid < 0 ? -errno : 0;
    close(pair[1]);
    if (error != 0) {
        close(pair[0]);
        return error;
    }
    *profiler = (struct cv_profiler){.fd = pair[0], .pid = pid, .level = level};
    return 0;
}

void cv_profiler_set_level(struct cv_profiler *profiler, uint32_t level) {
    char path[PATH_MAX];
    if (cv_profiler_is_adopted(profiler) || (profiler->fd >= 0 && profiler->level == level)) {
        return;
    }
    cv_profiler_close(profiler);
    if (level == 0) {
        return;
    }
    if (!find_beside(path) && !find_in_path(path)) {
        log_off(CV_LOG_INFO, PROGRAM " is neither beside this program nor in PATH",
                "scripts/install-deps and make build it; --profile off says nothing");
        return;
    }
    int error = start(profiler, path, level);
    if (error != 0) {
        log_off(CV_LOG_WARN, strerror(-error), "HUP tries again");
    }
}

// Talking to it.

static void send_target(struct cv_profiler *profiler) {
    ssize_t sent = send(profiler->fd, &profiler->target, sizeof(profiler->target),
                        MSG_DONTWAIT | MSG_NOSIGNAL);
    // Any other failure is the end of it, which receiving notices.
    profiler->is_unsent = sent < 0 && errno == EAGAIN;
}

void cv_profiler_tell(struct cv_profiler *profiler, const struct covet_profile_target *target) {
    if (profiler->fd >= 0) {
        profiler->target = *target;
        profiler->has_answered = false;
        send_target(profiler);
    }
}

short cv_profiler_events(const struct cv_profiler *profiler) {
    return profiler->is_unsent ? POLLIN | POLLOUT : POLLIN;
}

static void log_answer(struct cv_profiler *profiler, const char *line) {
    size_t word = strcspn(line, " ");
    profiler->has_answered = true;
    if (strcmp(line, "ok") == 0) {
        return;
    }
    profiler->is_off = word != 2 || memcmp(line, "on", word) != 0;
    cv_log(CV_LOG_INFO, profiler->is_off ? "profile_off" : "profile", "%s",
           line + word + (line[word] == ' '));
}

void cv_profiler_run(struct cv_profiler *profiler) {
    char line[COVET_PROFILE_LINE_BYTES_MAX + 1];
    ssize_t length;
    if (profiler->fd < 0) {
        return;
    }
    if (profiler->is_unsent) {
        send_target(profiler);
    }
    length = 1;
    for (uint32_t i = 0; i < LINES_PER_RUN_MAX; i++) {
        length = recv(profiler->fd, line, sizeof(line) - 1, MSG_DONTWAIT);
        if (length > 0) {
            line[length] = '\0';
            log_answer(profiler, line);
        } else if (length == 0 || errno != ECONNRESET) {
            break;
        }
        // It left without reading the last target: what it had said comes behind that error.
    }
    if (length > 0 || (length < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNRESET))) {
        return;
    }
    // A child of ours says the rest with its exit status.
    if (cv_profiler_is_adopted(profiler) && !profiler->is_off) {
        log_off(CV_LOG_WARN, PROGRAM ", which started this server, has ended", "none is needed");
    }
    close(profiler->fd);
    profiler->fd = -1;
}

bool cv_profiler_reap(struct cv_profiler *profiler, pid_t pid, int status) {
    char reason[96];
    if (pid != profiler->pid || pid == 0) {
        return false;
    }
    cv_profiler_run(profiler);  // What it said last.
    if (!profiler->is_off && WIFSIGNALED(status)) {
        snprintf(reason, sizeof(reason), PROGRAM " (pid %d) died of signal %d", (int)pid,
                 WTERMSIG(status));
        log_off(CV_LOG_WARN, reason, "HUP starts it again");
    } else if (!profiler->is_off) {
        snprintf(reason, sizeof(reason), PROGRAM " (pid %d) ended with exit code %d", (int)pid,
                 WEXITSTATUS(status));
        log_off(CV_LOG_WARN, reason, "HUP starts it again");
    }
    cv_profiler_close(profiler);
    return true;
}

void cv_profiler_close(struct cv_profiler *profiler) {
    if (profiler->fd >= 0) {
        close(profiler->fd);
        if (profiler->pid > 0) {
            // The end of the line tells it already; this is for one that does not listen.
            kill(profiler->pid, SIGTERM);
        }
    }
    *profiler = CV_PROFILER_NONE;
}
