// A running covet, found by a process id, and the server process below it.
#ifndef CV_OBSERVE_RUNNING_H
#define CV_OBSERVE_RUNNING_H

#include <covet/abi.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"

// Process ids are those of the caller's PID namespace, also for a covet in a container.
struct cv_running {
    const char *root;  // borrowed: in front of every path, "" but in tests
    pid_t supervisor_pid;
    pid_t server_pid;  // 0: between servers
    char stats_path[112];
    uint16_t ports[COVET_STATS_PORTS_MAX];  // it listens on
    uint32_t port_count;
};

// Finds the counter pages of the covet that `pid` belongs to (supervisor or server; 0: the only one
// there is) below /run/covet, $RUNTIME_DIRECTORY, $XDG_RUNTIME_DIR/covet and /tmp/covet-UID, of any
// user when the caller may look. With a pid also where that process sees these places, which is how
// a covet in a container is found (for root). Returns 0, -ESRCH when there is none, -EPROTO when it
// is of another version, or -ENOTUNIQ when there are several and `pid` is 0, with one line in
// `message` that says what to do.
CV_MUST_USE int cv_running_find(struct cv_running *running, pid_t pid, char *message,
                                size_t message_bytes);

// The same with `root` in front of every path.
CV_MUST_USE int cv_running_find_below(struct cv_running *running, const char *root, pid_t pid,
                                      char *message, size_t message_bytes);

// Reads server and ports anew from the pages at `running->stats_path`, or from pages that the
// caller has mapped. Returns 0, or -ESRCH when the supervisor is gone.
CV_MUST_USE int cv_running_refresh(struct cv_running *running);
CV_MUST_USE int cv_running_refresh_from(struct cv_running *running,
                                        const struct covet_stats_header *header);

#endif
