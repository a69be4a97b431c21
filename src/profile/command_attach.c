// Attaches to a covet that runs already. Nobody tells it of restarts: it looks at the counter pages
// four times a second, which costs a page that is in memory anyway.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "profile/arguments.h"
#include "profile/commands.h"
#include "profile/control.h"
#include "profile/session.h"
#include "profile/target.h"

#define LOOK_MS 250

static int open_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) {
        return -errno;
    }
    int fd = signalfd(-1, &set, SFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static void follow(struct cv_session *session, const struct cv_running *running, bool is_verbose) {
    // A server that is gone is replaced soon; the next look finds its successor.
    int error = cv_session_follow(session, running);
    if (is_verbose) {
        fprintf(stderr, "covet-prof: supervisor=%d server=%d%s\n", (int)running->supervisor_pid,
                (int)running->server_pid, error != 0 ? " (gone)" : "");
    }
}

static void watch(struct cv_session *session, struct cv_target *target, int signal_fd,
                  bool is_verbose) {
    struct pollfd poll_fd = {.fd = signal_fd, .events = POLLIN};
    while (poll(&poll_fd, 1, LOOK_MS) <= 0) {
        if (!cv_target_look(target)) {
            fprintf(stderr, "covet-prof: covet has ended\n");
            return;
        }
        if (target->running.server_pid != session->server_pid) {
            follow(session, &target->running, is_verbose);
        }
    }
}

static int attach(const struct cv_arguments *arguments) {
    char message[256];
    char text[COVET_PROFILE_LINE_BYTES_MAX];
    struct cv_running running;
    struct cv_target target = {0};
    struct cv_session session = {0};
    if (cv_running_find(&running, arguments->pid, message, sizeof(message)) != 0) {
        fprintf(stderr, "covet-prof: %s\n", message);
        return CV_EXIT_FAILED;
    }
    int signal_fd = open_signals();
    if (signal_fd < 0) {
        fprintf(stderr, "covet-prof: signals: %s\n", strerror(-signal_fd));
        return CV_EXIT_FAILED;
    }
    cv_session_step_back();
    enum cv_attach_error error = cv_session_open(&session, &arguments->attach);
    if (error != CV_ATTACH_OK) {
        fprintf(stderr, "covet-prof: %s\n", session.message);
        return cv_session_exit_code(error);
    }
    follow(&session, &running, arguments->is_verbose);
    fprintf(stderr, "covet-prof: %s\n", cv_session_on_line(&session, "--level 1", text));
    cv_target_aim(&target, &running);
    watch(&session, &target, signal_fd, arguments->is_verbose);
    cv_session_close(&session);
    return 0;
}

int cv_attach_main(int argc, char **argv) {
    struct cv_arguments arguments;
    int exit_code = cv_arguments_read(argc, argv,
                                      CV_ARGUMENT_PID | CV_ARGUMENT_LEVEL | CV_ARGUMENT_PIN_DIR |
                                          CV_ARGUMENT_KEEP | CV_ARGUMENT_READABLE |
                                          CV_ARGUMENT_VERBOSE | CV_ARGUMENT_CONTROL,
                                      &arguments);
    if (exit_code >= 0) {
        return exit_code;
    }
    return arguments.control_fd >= 0 ? cv_control_run(arguments.control_fd, &arguments.attach)
                                     : attach(&arguments);
}
