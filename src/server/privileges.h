// Giving up rights, in two steps: the user first, keeping the one capability that making rings
// needs, then everything.
#ifndef CV_SERVER_PRIVILEGES_H
#define CV_SERVER_PRIVILEGES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"

// Becomes `user` and `group` without other groups when the process is root, keeps of all
// capabilities only CAP_IPC_LOCK (rings then do not count against RLIMIT_MEMLOCK), and empties the
// bounding and ambient sets, where it may. The process must have one thread. Returns 0 or -errno.
CV_MUST_USE int cv_privileges_drop_user(uid_t user, gid_t group);

// The bytes of memory this process may lock, UINT64_MAX when there is no limit for it.
uint64_t cv_privileges_lockable_bytes(void);

// Drops the last capability and sets NO_NEW_PRIVS. Without `core_dumps` the process is also closed
// to ptrace and leaves no core file; with it the core limit is raised as far as it goes. The
// process must have one thread. Returns 0 or -errno.
CV_MUST_USE int cv_privileges_drop_rest(bool core_dumps);

#endif
