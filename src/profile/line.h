// The profiler's end of the line to covet: targets come in, lines of text go out (<covet/abi.h>).
#ifndef CV_PROFILE_LINE_H
#define CV_PROFILE_LINE_H

#include <stdbool.h>

#include "base/compiler.h"
#include "observe/running.h"
#include "profile/session.h"

struct cv_line {
    int fd;                     // borrowed
    const char *way_out;        // borrowed: how the user avoids the cost of level 2
    struct cv_running running;  // The last target.
    bool has_target;            // It has not been followed yet.
    bool has_said;              // What is on, since the session was opened.
};

// Takes what has arrived, without waiting. Returns 1, 0 at the end of the line, or -EPROTO when the
// covet at its other end is of a version with another layout.
CV_MUST_USE int cv_line_receive(struct cv_line *line);

// Has an open session follow the last target if it is new, and answers: what is on, the first time.
void cv_line_follow(struct cv_line *line, struct cv_session *session);

// Sends a line of text; a covet that is gone or does not read does not get it.
void cv_line_say(const struct cv_line *line, const char *text);

// The reason and the remedy for -EPROTO.
#define CV_LINE_FOREIGN_REASON "covet-prof and covet are of different versions"
#define CV_LINE_FOREIGN_REMEDY "install both from one build"

#endif
