// Who holds an address: for the one line that says why a start failed.
#ifndef CV_SERVER_HOLDER_H
#define CV_SERVER_HOLDER_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "server/settings.h"

struct cv_holder {
    pid_t pid;
    char name[32];  // As /proc/PID/comm has it, printable.
};

// Finds a process that listens on a TCP address or on one that overlaps it. False when /proc does
// not tell: no such listener in this network namespace, or a process of somebody else.
CV_MUST_USE bool cv_holder_find(const struct cv_address *address, struct cv_holder *holder);

// The name of a process known by its number.
void cv_holder_name(struct cv_holder *holder, pid_t pid);

#endif
