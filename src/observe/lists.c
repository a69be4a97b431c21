// The table of lists.
#include "observe/lists.h"

#include "observe/snapshot.h"

#define LIST(map_name, type, value, entries, entry_count) \
    { \
        .map = (map_name), .key_bytes = sizeof(((struct type *)NULL)->key), \
        .value_bytes = sizeof(((struct type *)NULL)->value), .entry_bytes = sizeof(struct type), \
        .value_offset = offsetof(struct type, value), \
        .entries_offset = offsetof(struct cv_snapshot, entries), \
        .count_offset = offsetof(struct cv_snapshot, entry_count), \
    }

const struct cv_list cv_lists[CV_LIST_COUNT] = {
    [CV_LIST_SYSCALLS] = LIST("syscall_stats", cv_snapshot_syscall, stats, syscalls, syscall_count),
    [CV_LIST_OTHER_SYSCALLS] = LIST("other_syscall_stats", cv_snapshot_other_syscall, stats,
                                    other_syscalls, other_syscall_count),
    [CV_LIST_URINGS] = LIST("uring_stats", cv_snapshot_uring, stats, urings, uring_count),
    [CV_LIST_NETS] = LIST("net_stats", cv_snapshot_net, count, nets, net_count),
    [CV_LIST_DROPS] = LIST("drop_reasons", cv_snapshot_drop, count, drops, drop_count),
    [CV_LIST_SYSCALL_LATENCIES] = LIST("syscall_latency", cv_snapshot_syscall_latency, latency,
                                       syscall_latencies, syscall_latency_count),
    [CV_LIST_URING_LATENCIES] = LIST("uring_latency", cv_snapshot_uring_latency, latency,
                                     uring_latencies, uring_latency_count),
};
