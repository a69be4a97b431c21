// The programs of bpf/ in the kernel: loaded, attached to one server, their maps pinned.
//
// All links belong to the process that opened them and end with it, however it ends; maps stay
// pinned until cv_attach_close, or as a last snapshot after a kill, which the next opening
// replaces.
#ifndef CV_PROFILE_ATTACH_H
#define CV_PROFILE_ATTACH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "observe/running.h"

struct cv_attach_options {
    uint32_t level;       // 1 to 3
    const char *pin_dir;  // borrowed for the life of the attachment
    bool readable;        // maps may be read by every user (mode 0644), not root alone
    bool keep;            // leave the maps pinned at close
};

// Why there is no profiler; each has one message with its remedy.
enum cv_attach_error {
    CV_ATTACH_OK = 0,
    CV_ATTACH_NO_RIGHTS,  // bpf(2) refused: which capability is missing
    CV_ATTACH_NO_BTF,     // no /sys/kernel/btf/vmlinux
    CV_ATTACH_NO_BPFFS,   // nowhere to pin, and not allowed to mount it
    CV_ATTACH_HELD,       // another profiler has this directory; the message names its pid
    CV_ATTACH_FAILED,     // anything else, with what the kernel said
};

struct cv_attach;

// Loads, pins and attaches, measuring nobody yet. On CV_ATTACH_OK the caller owns `*attach`;
// otherwise nothing is left behind and `message` has the line. Mounts bpffs where it is missing and
// that is allowed.
CV_MUST_USE enum cv_attach_error cv_attach_open(struct cv_attach **attach,
                                                const struct cv_attach_options *options,
                                                char *message, size_t message_bytes);

// Measures `running` from now on; counts of the server before stay. One without a server
// pauses. Returns 0, or -ESRCH when the server is gone already.
CV_MUST_USE int cv_attach_follow(struct cv_attach *attach, const struct cv_running *running);

// "21 programs, off: io_uring_cqe_overflow (no such tracepoint)", for log lines.
const char *cv_attach_summary(const struct cv_attach *attach);

void cv_attach_close(struct cv_attach *attach);

// Unpins whatever a dead profiler has left in `pin_dir`. Returns the number of objects removed, or
// -EBUSY when a live one has it (`*holder_pid`), or -errno.
CV_MUST_USE int cv_attach_clean(const char *pin_dir, int *holder_pid);

#endif
