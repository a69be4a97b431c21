// Nobody waits for this process and nobody tells it to end: the end of the line is the only word
// that counts, so that signals meant for covet's process group (Ctrl-C, a terminal that closes) do
// not end it before covet has drained.
#include "profile/control.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "profile/commands.h"
#include "profile/line.h"
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

static void ignore_signals(void) {
    static const int numbers[] = {SIGINT, SIGHUP, SIGUSR2, SIGPIPE};
    for (size_t i = 0; i < CV_ARRAY_COUNT(numbers); i++) {
        signal(numbers[i], SIG_IGN);
    }
}

int cv_control_run(int fd, const struct cv_attach_options *options) {
    struct cv_session session = {0};
    struct cv_line line = {.fd = fd, .way_out = "--profile 1 or off"};
    struct waiting waiting = {.since_ns = cv_clock_monotonic_ns()};
    int is_open = -EAGAIN;
    int alive = 1;
    ignore_signals();
    cv_session_step_back();
    while (alive > 0) {
        if (session.attach == NULL) {
            is_open = try_open(&session, options, &line, &waiting);
            if (is_open > 0) {
                return is_open;
            }
        }
        cv_line_follow(&line, &session);
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        if (poll(&poll_fd, 1, is_open == 0 ? -1 : RETRY_MS) > 0) {
            alive = cv_line_receive(&line);
        }
    }
    if (alive < 0) {
        say_off(&line, CV_LINE_FOREIGN_REASON, CV_LINE_FOREIGN_REMEDY);
    }
    cv_session_close(&session);
    return alive == 0 ? 0 : CV_EXIT_FAILED;
}
