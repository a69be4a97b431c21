#include "profile/rights.h"

#include <linux/capability.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SETS _LINUX_CAPABILITY_U32S_3

static bool read_sets(struct __user_cap_data_struct sets[SETS]) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    return syscall(SYS_capget, &header, sets) == 0;
}

bool cv_rights_has(unsigned capability) {
    struct __user_cap_data_struct sets[SETS] = {0};
    return read_sets(sets) && (sets[capability / 32].effective >> capability % 32 & 1u) != 0;
}

void cv_rights_reduce(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[SETS];
    uint64_t kept = cv_rights_has(CAP_BPF) && cv_rights_has(CAP_PERFMON)
                        ? 1ull << CAP_BPF | 1ull << CAP_PERFMON
                        : 1ull << CAP_SYS_ADMIN;
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (!read_sets(sets)) {
        return;
    }
    for (unsigned i = 0; i < SETS; i++) {
        uint32_t word = (uint32_t)(kept >> 32 * i);
        sets[i].effective &= word;
        sets[i].permitted &= word;
        sets[i].inheritable &= word;
    }
    (void)syscall(SYS_capset, &header, sets);
}
