// The lists of a snapshot that are dumps of maps: which map each comes from, and where it is kept.
#ifndef CV_OBSERVE_LISTS_H
#define CV_OBSERVE_LISTS_H

#include <stddef.h>
#include <stdint.h>

enum cv_list_id {
    CV_LIST_SYSCALLS,
    CV_LIST_OTHER_SYSCALLS,
    CV_LIST_URINGS,
    CV_LIST_NETS,
    CV_LIST_DROPS,
    CV_LIST_SYSCALL_LATENCIES,
    CV_LIST_URING_LATENCIES,
    CV_LIST_COUNT
};

struct cv_list {
    const char *map;  // its name below the pin directory
    uint32_t key_bytes;
    uint32_t value_bytes;
    size_t entry_bytes;
    size_t value_offset;    // in an entry
    size_t entries_offset;  // in struct cv_snapshot, of the pointer,
    size_t count_offset;    // and of the size_t
};

extern const struct cv_list cv_lists[CV_LIST_COUNT];

struct cv_snapshot;

static inline void **cv_list_entries(struct cv_snapshot *snapshot, enum cv_list_id id) {
    return (void **)((char *)snapshot + cv_lists[id].entries_offset);
}

static inline const void *const *cv_list_entries_const(const struct cv_snapshot *snapshot,
                                                       enum cv_list_id id) {
    return (const void *const *)((const char *)snapshot + cv_lists[id].entries_offset);
}

static inline const size_t *cv_list_count_const(const struct cv_snapshot *snapshot,
                                                enum cv_list_id id) {
    return (const size_t *)((const char *)snapshot + cv_lists[id].count_offset);
}

static inline size_t *cv_list_count(struct cv_snapshot *snapshot, enum cv_list_id id) {
    return (size_t *)((char *)snapshot + cv_lists[id].count_offset);
}

#endif
