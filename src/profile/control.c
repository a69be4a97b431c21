// Nobody waits for this process. It ends with its line, or of a TERM meant for it alone (a newer
// covet-prof is to take its place); signals that a terminal sends to all of covet's process group
// do not end it before covet has drained.
#include "profile/control.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "profile/commands.h"
#include "profile/line.h"
#include "profile/rights.h"
#include "profile/session.h"

#define RETRY_MS 200
#define PATIENCE_NS 3000000000ull  // A holder that is about to end is not worth a line of log.

struct waiting {
    uint64_t since_ns;
    bool has_said;
};

static const char *remedy_of(enum cv_attach_error error, pid_t covet, char *out, size_t out_bytes) {
    switch (error) {
    case CV_ATTACH_NO_RIGHTS:
        snprintf(out, out_bytes, "sudo covet-prof -p %d, at any time; or start covet as root",
                 (int)covet);
        break;
    case CV_ATTACH_HELD:
        snprintf(
            out, out_bytes,
            "begins when that one ends; COVET_PIN_DIR=DIR gives this covet a place of its own");
        break;
    default:
        snprintf(out, out_bytes, "covet-prof check says what is possible here");
    }
    return out;
}

static void say_off(const struct cv_line *line, const char *reason, const char *remedy) {
    char text[COVET_PROFILE_LINE_BYTES_MAX];
    cv_line_say(line, cv_session_off_line(reason, remedy, text));
}

// Tries to open. Returns 0 when it is open, -EAGAIN when it may be later, else the exit code.
static int try_open(struct cv_session *session, const struct cv_attach_options *options,
                    const struct cv_line *line, struct waiting *waiting) {
    char remedy[160];
    enum cv_attach_error error = cv_session_open(session, options);
    if (error == CV_ATTACH_OK) {
        cv_rights_reduce();
        return 0;
    }
    bool is_held = error == CV_ATTACH_HELD;
    bool is_patient = is_held && cv_clock_monotonic_ns() - waiting->since_ns < PATIENCE_NS;
    if (!is_patient && !waiting->has_said) {
        say_off(line, session->message, remedy_of(error, getppid(), remedy, sizeof(remedy)));
        waiting->has_said = true;
    }
    return is_held ? -EAGAIN : cv_session_exit_code(error);
}

static volatile sig_atomic_t is_told_to_end;

static void on_term(int number) {
    (void)number;
    is_told_to_end = 1;
}

// TERM comes in while we wait and at no other time.
static void set_signals(void) {
    static const int ignored[] = {SIGINT, SIGHUP, SIGUSR2, SIGPIPE};
    struct sigaction action = {.sa_handler = on_term};
    sigset_t term;
    for (size_t i = 0; i < CV_ARRAY_COUNT(ignored); i++) {
        signal(ignored[i], SIG_IGN);
    }
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    sigaction(SIGTERM, &action, NULL);
}

// Whether something can be read within this time, -1: any.
static bool wait_for_line(int fd, int limit_ms) {
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    struct timespec limit = {.tv_nsec = limit_ms * 1000000L};
    sigset_t none;
    sigemptyset(&none);
    return ppoll(&poll_fd, 1, limit_ms < 0 ? NULL : &limit, &none) > 0;
}

int cv_control_run(int fd, const struct cv_attach_options *options) {
    struct cv_session session = {0};
    struct cv_line line = {.fd = fd, .way_out = "--profile 1 or off"};
    struct waiting waiting = {.since_ns = cv_clock_monotonic_ns()};
    int is_open = -EAGAIN;
    int alive = 1;
    set_signals();
    cv_session_step_back();
    while (alive > 0 && !is_told_to_end) {
        if (session.attach == NULL) {
            is_open = try_open(&session, options, &line, &waiting);
            if (is_open > 0) {
                return is_open;
            }
        }
        cv_line_follow(&line, &session);
        if (wait_for_line(fd, is_open == 0 ? -1 : RETRY_MS)) {
            alive = cv_line_receive(&line);
        }
    }
    if (alive < 0) {
        say_off(&line, CV_LINE_FOREIGN_REASON, CV_LINE_FOREIGN_REMEDY);
    }
    cv_session_close(&session);
    return alive < 0 ? CV_EXIT_FAILED : 0;
}
