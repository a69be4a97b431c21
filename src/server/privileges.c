// Raw capget/capset: the set is three words, no library is needed. They act on the calling thread
// only, which is why both steps come before the first thread is made.
#include "server/privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/compiler.h"

#define CAPABILITY_COUNT_MAX 64  // Two words of 32.

// Leaves of the permitted capabilities only those in `keep`, all of them in effect.
static int keep_capabilities(uint64_t keep) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data) < 0) {
        return -errno;
    }
    for (unsigned i = 0; i < CV_ARRAY_COUNT(data); i++) {
        data[i].permitted &= (uint32_t)(keep >> (32 * i));
        data[i].effective = data[i].permitted;
        data[i].inheritable = 0;
    }
    return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

static void empty_bounding_set(void) {
    // EINVAL ends the list of those this kernel knows; EPERM: not ours to do, and NO_NEW_PRIVS
    // will make the set meaningless anyway.
    for (unsigned long i = 0; i < CAPABILITY_COUNT_MAX; i++) {
        if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0) {
            return;
        }
    }
}

static int become(uid_t user, gid_t group) {
    if (setgroups(0, NULL) < 0 || setresgid(group, group, group) < 0 ||
        setresuid(user, user, user) < 0) {
        return -errno;
    }
    return 0;
}

int cv_privileges_drop_user(uid_t user, gid_t group) {
    empty_bounding_set();
    if (geteuid() == 0) {
        if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0) {
            return -errno;
        }
        int error = become(user, group);
        if (error != 0) {
            return error;
        }
        prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
    }
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return keep_capabilities(1ull << CAP_IPC_LOCK);
}

uint64_t cv_privileges_lockable_bytes(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}, {0}};
    struct rlimit limit;
    if ((syscall(SYS_capget, &header, data) == 0 &&
         (data[0].effective & 1u << CAP_IPC_LOCK) != 0) ||
        getrlimit(RLIMIT_MEMLOCK, &limit) < 0) {
        return UINT64_MAX;
    }
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_MEMLOCK, &limit);
    return limit.rlim_max == RLIM_INFINITY ? UINT64_MAX : limit.rlim_max;
}

int cv_privileges_drop_rest(bool core_dumps) {
    struct rlimit core;
    int error = keep_capabilities(0);
    if (error != 0) {
        return error;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_DUMPABLE, core_dumps ? 1 : 0, 0, 0, 0) < 0) {
        return -errno;
    }
    if (core_dumps && getrlimit(RLIMIT_CORE, &core) == 0) {
        core.rlim_cur = core.rlim_max;
        return setrlimit(RLIMIT_CORE, &core) < 0 ? -errno : 0;
    }
    return 0;
}
