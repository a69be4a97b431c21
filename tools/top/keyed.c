#include "top/keyed.h"

#include <stdlib.h>
#include <string.h>

#include "observe/snapshot.h"

struct key {
    uint32_t first, second;
};

#define IS_KEYED(entry) \
    _Static_assert(offsetof(struct entry, key) == 0 && \
                       sizeof(((struct entry *)0)->key) == sizeof(struct key), \
                   "begins with a key of two numbers")
IS_KEYED(cv_snapshot_syscall);
IS_KEYED(cv_snapshot_other_syscall);
IS_KEYED(cv_snapshot_uring);
IS_KEYED(cv_snapshot_net);
IS_KEYED(cv_snapshot_drop);
IS_KEYED(cv_snapshot_syscall_latency);
IS_KEYED(cv_snapshot_uring_latency);

static int compare(const void *wanted, const void *entry) {
    struct key a, b;
    memcpy(&a, wanted, sizeof(a));
    memcpy(&b, entry, sizeof(b));
    if (a.first != b.first) {
        return a.first < b.first ? -1 : 1;
    }
    return (a.second > b.second) - (a.second < b.second);
}

const void *top_keyed_find(const void *list, size_t count, size_t entry_bytes, uint32_t first,
                           uint32_t second) {
    struct key key = {first, second};
    return count == 0 ? NULL : bsearch(&key, list, count, entry_bytes, compare);
}
