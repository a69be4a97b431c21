// Starts covet with the programs in place, so that nothing it does goes uncounted. covet finds the
// line to us in its environment (<covet/abi.h>) and hands it on when it executes a new binary; as
// orphans come to us (PR_SET_CHILD_SUBREAPER) we see the end of whichever supervisor is the last.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "profile/arguments.h"
#include "profile/commands.h"
#include "profile/line.h"
#include "profile/session.h"

#define EXIT_NOT_FOUND 127
#define EXIT_SIGNAL 128

static const int forwarded[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR2};

struct run {
    struct cv_session session;
    struct cv_line line;
    int signal_fd;
    pid_t covet;     // The supervisor in charge.
    bool has_ended;  // It, with `status`.
    int status;
};

static int open_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < CV_ARRAY_COUNT(forwarded); i++) {
        sigaddset(&set, forwarded[i]);
    }
    sigaddset(&set, SIGCHLD);
    signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) {
        return -errno;
    }
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

static _Noreturn void execute(char **command, int line_fd) {
    char text[16];
    sigset_t none;
    int fd = dup(line_fd);  // Without close-on-exec.
    snprintf(text, sizeof(text), "%d", fd);
    setenv(COVET_PROFILE_FD, text, 1);
    signal(SIGPIPE, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execvp(command[0], command);
    fprintf(stderr, "covet-prof: %s: %s\n", command[0], strerror(errno));
    _exit(EXIT_NOT_FOUND);
}

static int start(struct run *run, char **command) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        return -errno;
    }
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    run->covet = fork();
    if (run->covet == 0) {
        execute(command, pair[1]);
    }
    int error = run->covet < 0 ? -errno : 0;
    close(pair[1]);
    run->line = (struct cv_line){.fd = pair[0], .way_out = "--level 1"};
    return error;
}

static void reap(struct run *run) {
    pid_t pid;
    int status;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == run->covet) {
            run->has_ended = true;
            run->status = status;
        }
    }
    // A successor that ended before the supervisor that started it was reaped by that one.
    run->has_ended |= pid < 0 && errno == ECHILD;
}

// What a terminal sends (SI_KERNEL) goes to covet too, which takes a second one for impatience.
static void on_signals(struct run *run) {
    struct signalfd_siginfo info;
    while (read(run->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD) {
            reap(run);
        } else if (info.ssi_code != SI_KERNEL) {
            kill(run->covet, (int)info.ssi_signo);
        }
    }
}

static void end_line(struct run *run, const char *reason) {
    close(run->line.fd);
    run->line.fd = -1;
    if (reason != NULL) {
        fprintf(stderr, "covet-prof: %s\n", reason);
    }
}

static void on_line(struct run *run) {
    int alive = cv_line_receive(&run->line);
    if (run->line.has_target && run->line.running.supervisor_pid != run->covet) {
        run->covet = run->line.running.supervisor_pid;
        run->has_ended = false;
    }
    cv_line_follow(&run->line, &run->session);
    if (alive < 0) {
        end_line(run, CV_LINE_FOREIGN_REASON "; " CV_LINE_FOREIGN_REMEDY);
    } else if (alive == 0) {
        bool is_silent = run->line.running.supervisor_pid == 0 && !run->has_ended;
        end_line(run, is_silent ? "the program closed the line to its profiler unused (does it "
                                  "start covet through sudo?); nothing is measured"
                                : NULL);
    }
}

// Until nobody is left who could speak, and the last supervisor has ended.
static void watch(struct run *run) {
    while (run->line.fd >= 0 || !run->has_ended) {
        struct pollfd polls[] = {
            {.fd = run->signal_fd, .events = POLLIN},
            {.fd = run->line.fd, .events = POLLIN},
        };
        if (poll(polls, CV_ARRAY_COUNT(polls), -1) < 0) {
            continue;
        }
        if (polls[0].revents != 0) {
            on_signals(run);
        }
        if (polls[1].revents != 0) {
            on_line(run);
        }
    }
}

int cv_run_main(int argc, char **argv) {
    struct cv_arguments arguments;
    struct run run = {0};
    int exit_code = cv_arguments_read(argc, argv,
                                      CV_ARGUMENT_LEVEL | CV_ARGUMENT_PIN_DIR | CV_ARGUMENT_KEEP |
                                          CV_ARGUMENT_READABLE | CV_ARGUMENT_COMMAND,
                                      &arguments);
    if (exit_code >= 0) {
        return exit_code;
    }
    enum cv_attach_error opened = cv_session_open(&run.session, &arguments.attach);
    if (opened != CV_ATTACH_OK) {
        fprintf(stderr, "covet-prof: %s\n", run.session.message);
        return cv_session_exit_code(opened);
    }
    run.signal_fd = open_signals();
    int error = run.signal_fd < 0 ? run.signal_fd : start(&run, arguments.command);
    if (error != 0) {
        fprintf(stderr, "covet-prof: %s\n", strerror(-error));
        cv_session_close(&run.session);
        return CV_EXIT_FAILED;
    }
    cv_session_step_back();  // Now, as covet would have inherited it.
    watch(&run);
    cv_session_close(&run.session);
    return WIFSIGNALED(run.status) ? EXIT_SIGNAL + WTERMSIG(run.status) : WEXITSTATUS(run.status);
}
