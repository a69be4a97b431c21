// What /proc tells about a process, its threads and its network namespace.
//
// `root` is prefixed to every path: "" but in tests. A pid is one of the reader's own namespace;
// "inner" is what the process itself sees when it lives in a nested one (pid_namespaces(7)).
// Functions return 0 or -errno and set their results only on success.
#ifndef CV_OBSERVE_PROCFS_H
#define CV_OBSERVE_PROCFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"

struct cv_procfs_process {
    pid_t parent;
    pid_t inner_pid;    // its own number for itself
    bool is_nested;     // in a PID namespace below the reader's
    uid_t uid;          // effective
    uint64_t start_ns;  // CLOCK_BOOTTIME, in steps of a clock tick
};

struct cv_procfs_thread {
    uint64_t cpu_ns;
    uint64_t runq_ns;
    uint64_t voluntary_switches;
    uint64_t involuntary_switches;
    uint32_t allowed_cpus;  // how many cores it may run on
};

// Reads a whole file as text, ended by NUL; what does not fit is cut. Returns its length, or -errno
// with an empty text.
CV_MUST_USE ssize_t cv_procfs_read(const char *path, char *text, size_t text_bytes);

CV_MUST_USE int cv_procfs_process(struct cv_procfs_process *process, const char *root, pid_t pid);

// Whether process `pid` runs and was there already at `moment_ns` (CLOCK_MONOTONIC): false also
// for another process that got the number of one that is gone.
bool cv_procfs_is_older(const char *root, pid_t pid, uint64_t moment_ns);

CV_MUST_USE int cv_procfs_thread(struct cv_procfs_thread *thread, const char *root, pid_t pid,
                                 pid_t tid);

// The reader's number for the thread of `pid` that sees itself as `inner_tid`, or -ESRCH.
CV_MUST_USE pid_t cv_procfs_find_thread(const char *root, pid_t pid, pid_t inner_tid);

// The same for a process, among the children of `parent`.
CV_MUST_USE pid_t cv_procfs_find_child(const char *root, pid_t parent, pid_t inner_pid);

// Value `name` of protocol `protocol` in the two-line tables of /proc/PID/net/netstat and snmp;
// `file` is one of these two names.
CV_MUST_USE int cv_procfs_network(uint64_t *value, const char *root, pid_t pid, const char *file,
                                  const char *protocol, const char *name);

#endif
