// A profiler at work: the attachment, what it costs, and the line that says both. Whoever has one
// tells it which server to follow.
#ifndef CV_PROFILE_SESSION_H
#define CV_PROFILE_SESSION_H

#include <covet/abi.h>
#include <stdint.h>

#include "base/compiler.h"
#include "profile/attach.h"

struct cv_session {
    struct cv_attach *attach;  // owned; NULL: not open
    struct cv_attach_options options;
    uint64_t bare_syscall_ns;  // Before anything was attached; 0: not measured.
    uint64_t extra_syscall_ns;
    pid_t supervisor_pid;
    pid_t server_pid;   // Whom the attachment measures; 0: nobody.
    char message[256];  // Why it is not open, with the remedy.
};

// Gives up priority for good: a profiler is never to win a core from the server.
void cv_session_step_back(void);

// Begins to measure nobody. What fails can be tried again. `options` is copied, its directory
// borrowed.
CV_MUST_USE enum cv_attach_error cv_session_open(struct cv_session *session,
                                                 const struct cv_attach_options *options);

// Measures that covet's server from now on, or pauses when it has none. Returns 0 or -ESRCH.
CV_MUST_USE int cv_session_follow(struct cv_session *session, const struct cv_running *running);

// The line for logs, without its end: "on level=2 ..." or "off reason=...". `way_out` says how
// the cost is avoided where this profiler was started. Returns `out`.
const char *cv_session_on_line(const struct cv_session *session, const char *way_out,
                               char out[COVET_PROFILE_LINE_BYTES_MAX]);
const char *cv_session_off_line(const char *reason, const char *remedy,
                                char out[COVET_PROFILE_LINE_BYTES_MAX]);

// The exit code that goes with a failure to open.
CV_MUST_USE int cv_session_exit_code(enum cv_attach_error error);

void cv_session_close(struct cv_session *session);

#endif
