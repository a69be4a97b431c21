/* Operations of the server's rings, by worker and opcode (level 1 and up).
 *
 * Pinned: `uring_stats` {struct covet_uring_key: struct covet_uring_stats}, and at level 3
 * `uring_latency` {struct covet_uring_key: struct covet_latency} from submission to completion.
 */
#ifndef COVET_BPF_URING_H
#define COVET_BPF_URING_H

#include "shared.h"

/* Opcodes of Linux 6.18; numbers never change (io_uring_enter(2)). */
/* clang-format off */
#define COVET_URING_OPS(X) \
    X(NOP, 0) X(READV, 1) X(WRITEV, 2) X(FSYNC, 3) X(READ_FIXED, 4) X(WRITE_FIXED, 5) \
    X(POLL_ADD, 6) X(POLL_REMOVE, 7) X(SYNC_FILE_RANGE, 8) X(SENDMSG, 9) X(RECVMSG, 10) \
    X(TIMEOUT, 11) X(TIMEOUT_REMOVE, 12) X(ACCEPT, 13) X(ASYNC_CANCEL, 14) X(LINK_TIMEOUT, 15) \
    X(CONNECT, 16) X(FALLOCATE, 17) X(OPENAT, 18) X(CLOSE, 19) X(FILES_UPDATE, 20) X(STATX, 21) \
    X(READ, 22) X(WRITE, 23) X(FADVISE, 24) X(MADVISE, 25) X(SEND, 26) X(RECV, 27) \
    X(OPENAT2, 28) X(EPOLL_CTL, 29) X(SPLICE, 30) X(PROVIDE_BUFFERS, 31) X(REMOVE_BUFFERS, 32) \
    X(TEE, 33) X(SHUTDOWN, 34) X(RENAMEAT, 35) X(UNLINKAT, 36) X(MKDIRAT, 37) X(SYMLINKAT, 38) \
    X(LINKAT, 39) X(MSG_RING, 40) X(FSETXATTR, 41) X(SETXATTR, 42) X(FGETXATTR, 43) \
    X(GETXATTR, 44) X(SOCKET, 45) X(URING_CMD, 46) X(SEND_ZC, 47) X(SENDMSG_ZC, 48) \
    X(READ_MULTISHOT, 49) X(WAITID, 50) X(FUTEX_WAIT, 51) X(FUTEX_WAKE, 52) X(FUTEX_WAITV, 53) \
    X(FIXED_FD_INSTALL, 54) X(FTRUNCATE, 55) X(BIND, 56) X(LISTEN, 57) X(RECV_ZC, 58) \
    X(EPOLL_WAIT, 59) X(READV_FIXED, 60) X(WRITEV_FIXED, 61) X(PIPE, 62)
/* clang-format on */

#define COVET_URING_OP_COUNT 63u

enum covet_uring_op {
#define COVET_URING_OP_ENUM(name, number) IORING_OP_##name = number,
    COVET_URING_OPS(COVET_URING_OP_ENUM)
#undef COVET_URING_OP_ENUM
};

struct covet_uring_key {
    uint32_t worker;
    enum covet_uring_op opcode;
};

struct covet_uring_stats {
    uint64_t submitted;      /* requests the kernel took from the submission queue */
    uint64_t completed;      /* CQEs; less than submitted where IOSQE_CQE_SKIP_SUCCESS is set */
    uint64_t errors;         /* CQEs with res < 0; -ECANCELED and -ETIME too */
    uint64_t punted;         /* handed to an io-wq thread: the slow way */
    uint64_t poll_arms;      /* had to wait for readiness */
    uint64_t multishot_cqes; /* CQEs with IORING_CQE_F_MORE */
    uint64_t overflows;      /* CQEs the completion queue had no room for */
    uint64_t avg_ns;         /* level 3: submission to completion, one-shot requests; else 0 */
    int64_t last_error;      /* -errno, 0: none yet */
};

#endif
