// Starting and reaping one command.
#include "profile/child.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define COMMAND_NOT_FOUND 127

int cv_child_start(struct cv_child *child, char *const *command) {
    pid_t pid = fork();

    if (pid < 0)
        return -errno;
    if (pid == 0) {
        execvp(command[0], command);
        fprintf(stderr, "covet-prof: %s: %s\n", command[0], strerror(errno));
        _exit(COMMAND_NOT_FOUND);
    }
    child->pid = pid;
    child->fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (child->fd >= 0)
        return 0;
    int error = -errno;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return error;
}

int cv_child_finish(struct cv_child *child) {
    struct pollfd watched = {.fd = child->fd, .events = POLLIN};
    int status = 0;

    if (poll(&watched, 1, 0) != 1)
        kill(child->pid, SIGTERM);
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    close(child->fd);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
