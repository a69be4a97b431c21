// Pinned maps, read through bpf(2) alone and read-only: where the owner of a map lets everybody
// read it, no capability is needed. Functions return 0 or -errno and set their results only on
// success.
#ifndef CV_OBSERVE_MAPS_H
#define CV_OBSERVE_MAPS_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define CV_MAPS_ENTRIES_MAX 65536u

struct cv_map {
    int fd;  // -1: not open
    uint32_t key_bytes;
    uint32_t value_bytes;
    uint32_t entries_max;
};

// Opens the map pinned as `directory`/`name`. Returns -EPROTO when its keys, values or size are not
// those expected: it is that of another version; -ENOENT when nothing is pinned there.
CV_MUST_USE int cv_map_open(struct cv_map *map, const char *directory, const char *name,
                            uint32_t key_bytes, uint32_t value_bytes);

// No effect on a map that is not open.
void cv_map_close(struct cv_map *map);

// The value of one key, -ENOENT when it has none.
CV_MUST_USE int cv_map_lookup(const struct cv_map *map, const void *key, void *value);

// Reads all entries into memory that the caller frees: each has `entry_bytes` bytes, the key first
// and the value at `value_offset`, in ascending order of the keys, which are 32-bit numbers, the
// first deciding first. Under concurrent change every entry that is there throughout comes
// exactly once.
CV_MUST_USE int cv_map_read(const struct cv_map *map, size_t entry_bytes, size_t value_offset,
                            void **entries, size_t *count);

#endif
