// The cost is measured, not promised: the cheapest system call before and after the programs came.
#include "profile/session.h"

#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>

#include "base/log.h"
#include "profile/commands.h"
#include "profile/syscall_cost.h"

#define NICE 10
#define SYSCALL_LEVEL 2u  // From here on programs stand on every system call.

void cv_session_step_back(void) {
    (void)setpriority(PRIO_PROCESS, 0, NICE);
}

// Whether another profiler has the directory: asked before anything is loaded, as loading is work.
static bool is_held(struct cv_session *session, const char *pin_dir) {
    int holder_pid = 0;
    if (cv_attach_clean(pin_dir, &holder_pid) != -EBUSY) {
        return false;
    }
    snprintf(session->message, sizeof(session->message),
             "%s belongs to the profiler with pid %d; end it, or choose another --pin-dir", pin_dir,
             holder_pid);
    return true;
}

enum cv_attach_error cv_session_open(struct cv_session *session,
                                     const struct cv_attach_options *options) {
    if (is_held(session, options->pin_dir)) {
        return CV_ATTACH_HELD;
    }
    if (session->bare_syscall_ns == 0 && options->level >= SYSCALL_LEVEL) {
        session->bare_syscall_ns = cv_syscall_cost_ns();
    }
    enum cv_attach_error error =
        cv_attach_open(&session->attach, options, session->message, sizeof(session->message));
    if (error != CV_ATTACH_OK) {
        session->attach = NULL;
        return error;
    }
    session->options = *options;
    session->server_pid = 0;
    if (options->level >= SYSCALL_LEVEL) {
        uint64_t now_ns = cv_syscall_cost_ns();
        session->extra_syscall_ns =
            now_ns > session->bare_syscall_ns ? now_ns - session->bare_syscall_ns : 0;
    }
    return CV_ATTACH_OK;
}

int cv_session_follow(struct cv_session *session, const struct cv_running *running) {
    int error = cv_attach_follow(session->attach, running);
    session->supervisor_pid = running->supervisor_pid;
    session->server_pid = error == 0 ? running->server_pid : 0;
    return error;
}

const char *cv_session_on_line(const struct cv_session *session, const char *way_out,
                               char out[COVET_PROFILE_LINE_BYTES_MAX]) {
    char programs[512];
    char cost[192] = "nothing for other processes";
    cv_log_quote(programs, sizeof(programs), cv_span_of(cv_attach_summary(session->attach)));
    if (session->options.level >= SYSCALL_LEVEL) {
        snprintf(cost, sizeof(cost),
                 "every system call of every process takes about %llu ns longer; %s ends that",
                 (unsigned long long)session->extra_syscall_ns, way_out);
    }
    snprintf(out, COVET_PROFILE_LINE_BYTES_MAX,
             "on level=%u server=%d pinned=%s programs=%s cost=\"%s\"", session->options.level,
             (int)session->server_pid, session->options.pin_dir, programs, cost);
    return out;
}

const char *cv_session_off_line(const char *reason, const char *remedy,
                                char out[COVET_PROFILE_LINE_BYTES_MAX]) {
    char quoted[2][384];
    cv_log_quote(quoted[0], sizeof(quoted[0]), cv_span_of(reason));
    cv_log_quote(quoted[1], sizeof(quoted[1]), cv_span_of(remedy));
    snprintf(out, COVET_PROFILE_LINE_BYTES_MAX, "off reason=%s remedy=%s", quoted[0], quoted[1]);
    return out;
}

int cv_session_exit_code(enum cv_attach_error error) {
    switch (error) {
    case CV_ATTACH_OK:
        return 0;
    case CV_ATTACH_NO_RIGHTS:
    case CV_ATTACH_NO_BTF:
    case CV_ATTACH_NO_BPFFS:
        return CV_EXIT_IMPOSSIBLE;
    case CV_ATTACH_HELD:
    case CV_ATTACH_FAILED:
        break;
    }
    return CV_EXIT_FAILED;
}

void cv_session_close(struct cv_session *session) {
    if (session->attach != NULL) {
        cv_attach_close(session->attach);
        session->attach = NULL;
    }
}
