// Names of what is counted, from the lists in bpf/.
#include "observe/snapshot.h"

#include "base/compiler.h"

// A table of names by number; holes and what lies behind the end are "?".
static const char *name_of(const char *const *names, size_t count, uint32_t number) {
    return number < count && names[number] != NULL ? names[number] : "?";
}

const char *cv_snapshot_syscall_name(uint32_t number) {
    static const char *const names[] = {
#define SYSCALL_NAME(name, value) [value] = #name,
        COVET_SYSCALLS(SYSCALL_NAME)
#undef SYSCALL_NAME
    };
    return name_of(names, CV_ARRAY_COUNT(names), number);
}

const char *cv_snapshot_uring_op_name(uint32_t opcode) {
    static const char *const names[] = {
#define OP_NAME(name, value) [value] = #name,
        COVET_URING_OPS(OP_NAME)
#undef OP_NAME
    };
    return name_of(names, CV_ARRAY_COUNT(names), opcode);
}

const char *cv_snapshot_net_event_name(uint32_t event) {
    static const char *const names[] = {
#define EVENT_NAME(name, help) [name] = #name,
        COVET_NET_EVENTS(EVENT_NAME)
#undef EVENT_NAME
    };
    return name_of(names, CV_ARRAY_COUNT(names), event);
}

const char *cv_snapshot_drop_reason_name(uint32_t reason) {
    static const char *const names[] = {
#define REASON_NAME(name) [DROP_##name] = #name,
        COVET_DROP_REASONS(REASON_NAME)
#undef REASON_NAME
            [DROP_OTHER] = "OTHER",
    };
    return name_of(names, CV_ARRAY_COUNT(names), reason);
}

// The errors of system calls and ring operations (errno(3), numbers of x86-64).
const char *cv_snapshot_errno_name(int64_t error) {
    static const char *const names[] = {
        [1] = "EPERM",
        [2] = "ENOENT",
        [3] = "ESRCH",
        [4] = "EINTR",
        [5] = "EIO",
        [6] = "ENXIO",
        [7] = "E2BIG",
        [8] = "ENOEXEC",
        [9] = "EBADF",
        [10] = "ECHILD",
        [11] = "EAGAIN",
        [12] = "ENOMEM",
        [13] = "EACCES",
        [14] = "EFAULT",
        [16] = "EBUSY",
        [17] = "EEXIST",
        [18] = "EXDEV",
        [19] = "ENODEV",
        [20] = "ENOTDIR",
        [21] = "EISDIR",
        [22] = "EINVAL",
        [23] = "ENFILE",
        [24] = "EMFILE",
        [25] = "ENOTTY",
        [26] = "ETXTBSY",
        [27] = "EFBIG",
        [28] = "ENOSPC",
        [29] = "ESPIPE",
        [30] = "EROFS",
        [31] = "EMLINK",
        [32] = "EPIPE",
        [34] = "ERANGE",
        [36] = "ENAMETOOLONG",
        [38] = "ENOSYS",
        [39] = "ENOTEMPTY",
        [40] = "ELOOP",
        [61] = "ENODATA",
        [62] = "ETIME",
        [71] = "EPROTO",
        [74] = "EBADMSG",
        [75] = "EOVERFLOW",
        [77] = "EBADFD",
        [88] = "ENOTSOCK",
        [89] = "EDESTADDRREQ",
        [90] = "EMSGSIZE",
        [92] = "ENOPROTOOPT",
        [93] = "EPROTONOSUPPORT",
        [95] = "EOPNOTSUPP",
        [97] = "EAFNOSUPPORT",
        [98] = "EADDRINUSE",
        [99] = "EADDRNOTAVAIL",
        [100] = "ENETDOWN",
        [101] = "ENETUNREACH",
        [103] = "ECONNABORTED",
        [104] = "ECONNRESET",
        [105] = "ENOBUFS",
        [106] = "EISCONN",
        [107] = "ENOTCONN",
        [108] = "ESHUTDOWN",
        [110] = "ETIMEDOUT",
        [111] = "ECONNREFUSED",
        [112] = "EHOSTDOWN",
        [113] = "EHOSTUNREACH",
        [114] = "EALREADY",
        [115] = "EINPROGRESS",
        [122] = "EDQUOT",
        [125] = "ECANCELED",
    };
    uint64_t number = error < 0 ? -(uint64_t)error : (uint64_t)error;

    return name_of(names, CV_ARRAY_COUNT(names), number > UINT32_MAX ? 0 : (uint32_t)number);
}
