#include "profile/line.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static void take(struct cv_line *line, const struct covet_profile_target *target) {
    line->running = (struct cv_running){
        .root = "",
        .supervisor_pid = (pid_t)target->supervisor_pid,
        .server_pid = (pid_t)target->server_pid,
        .port_count = CV_MIN(target->port_count, COVET_STATS_PORTS_MAX),
    };
    memcpy(line->running.ports, target->port, sizeof(target->port));
    snprintf(line->running.stats_path, sizeof(line->running.stats_path), "%.*s",
             (int)sizeof(target->stats_path), target->stats_path);
    line->has_target = true;
}

int cv_line_receive(struct cv_line *line) {
    struct covet_profile_target target;
    for (;;) {
        ssize_t length = recv(line->fd, &target, sizeof(target), MSG_DONTWAIT | MSG_TRUNC);
        if (length < 0) {
            return errno == EAGAIN || errno == EINTR ? 1 : 0;
        }
        if (length == 0) {
            return 0;
        }
        if (length != (ssize_t)sizeof(target) || target.abi_version != COVET_ABI_VERSION) {
            return -EPROTO;
        }
        take(line, &target);
    }
}

void cv_line_follow(struct cv_line *line, struct cv_session *session) {
    char text[COVET_PROFILE_LINE_BYTES_MAX];
    if (!line->has_target || session->attach == NULL) {
        return;
    }
    line->has_target = false;
    // A server that is gone already is followed by news of the next one.
    int error = cv_session_follow(session, &line->running);
    if (error == 0 && session->server_pid > 0) {
        cv_line_say(line, line->has_said ? "ok" : cv_session_on_line(session, line->way_out, text));
        line->has_said = true;
    }
}

void cv_line_say(const struct cv_line *line, const char *text) {
    ssize_t sent = send(line->fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)sent;
}
