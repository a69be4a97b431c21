// bpf(2) without libbpf: four commands are all that a reader needs.
//
// A map is read by one BPF_MAP_LOOKUP_BATCH with room for all it may hold. The kernel walks the
// buckets of the hash table itself, each under its lock or RCU, so an entry added or removed
// meanwhile neither hides nor repeats another, as it can between two BPF_MAP_GET_NEXT_KEY.
#include "observe/maps.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"

#define PATH_BYTES 512u
// Where a batch went to; for hash tables a bucket's number, for others a key.
#define CURSOR_BYTES 64u

static int call_bpf(enum bpf_cmd command, union bpf_attr *attributes) {
    long result = syscall(SYS_bpf, command, attributes, sizeof(*attributes));

    return result < 0 ? -errno : (int)result;
}

static uint64_t address(const void *pointer) {
    return (uint64_t)(uintptr_t)pointer;
}

static int check_layout(struct cv_map *map, uint32_t key_bytes, uint32_t value_bytes) {
    struct bpf_map_info info = {0};
    union bpf_attr attributes = {0};

    attributes.info.bpf_fd = (uint32_t)map->fd;
    attributes.info.info_len = sizeof(info);
    attributes.info.info = address(&info);
    int result = call_bpf(BPF_OBJ_GET_INFO_BY_FD, &attributes);
    if (result < 0)
        return result;
    if (info.key_size != key_bytes || info.value_size != value_bytes ||
        info.max_entries > CV_MAPS_ENTRIES_MAX)
        return -EPROTO;
    map->key_bytes = key_bytes;
    map->value_bytes = value_bytes;
    map->entries_max = info.max_entries;
    return 0;
}

int cv_map_open(struct cv_map *map, const char *directory, const char *name, uint32_t key_bytes,
                uint32_t value_bytes) {
    char path[PATH_BYTES];
    struct cv_map opened;
    union bpf_attr attributes = {0};

    CV_ASSERT(key_bytes % sizeof(uint32_t) == 0 && key_bytes <= CURSOR_BYTES);
    int length = snprintf(path, sizeof(path), "%s/%s", directory, name);
    if (length < 0 || (size_t)length >= sizeof(path))
        return -ENAMETOOLONG;
    attributes.pathname = address(path);
    attributes.file_flags = BPF_F_RDONLY;
    opened.fd = call_bpf(BPF_OBJ_GET, &attributes);
    if (opened.fd < 0)
        return opened.fd;
    int result = check_layout(&opened, key_bytes, value_bytes);
    if (result == 0)
        *map = opened;
    else
        close(opened.fd);
    return result;
}

void cv_map_close(struct cv_map *map) {
    if (map->fd >= 0)
        close(map->fd);
    map->fd = -1;
}

int cv_map_lookup(const struct cv_map *map, const void *key, void *value) {
    union bpf_attr attributes = {0};

    attributes.map_fd = (uint32_t)map->fd;
    attributes.key = address(key);
    attributes.value = address(value);
    return call_bpf(BPF_MAP_LOOKUP_ELEM, &attributes);
}

// Room for all entries: keys, values, and both as the caller wants them.
struct batch {
    unsigned char *keys;
    unsigned char *values;
    size_t count;
};

static int read_batch(const struct cv_map *map, struct batch *batch) {
    unsigned char cursor[CURSOR_BYTES];
    union bpf_attr attributes = {0};

    attributes.batch.out_batch = address(cursor);
    attributes.batch.keys = address(batch->keys);
    attributes.batch.values = address(batch->values);
    attributes.batch.count = map->entries_max;
    attributes.batch.map_fd = (uint32_t)map->fd;
    int result = call_bpf(BPF_MAP_LOOKUP_BATCH, &attributes);
    // -ENOENT: that was all, as it must be, there being room for all.
    if (result < 0 && result != -ENOENT)
        return result;
    batch->count = attributes.batch.count;
    return 0;
}

static int compare_keys(const void *a, const void *b, void *context) {
    size_t key_bytes = *(const size_t *)context;

    for (size_t at = 0; at < key_bytes; at += sizeof(uint32_t)) {
        uint32_t left, right;
        memcpy(&left, (const char *)a + at, sizeof(left));
        memcpy(&right, (const char *)b + at, sizeof(right));
        if (left != right)
            return left < right ? -1 : 1;
    }
    return 0;
}

static void *join(const struct cv_map *map, const struct batch *batch, size_t entry_bytes,
                  size_t value_offset) {
    size_t key_bytes = map->key_bytes;
    unsigned char *entries = calloc(CV_MAX(batch->count, 1), entry_bytes);

    if (entries == NULL)
        return NULL;
    for (size_t i = 0; i < batch->count; i++) {
        unsigned char *entry = entries + i * entry_bytes;
        memcpy(entry, batch->keys + i * key_bytes, key_bytes);
        memcpy(entry + value_offset, batch->values + i * map->value_bytes, map->value_bytes);
    }
    qsort_r(entries, batch->count, entry_bytes, compare_keys, &key_bytes);
    return entries;
}

int cv_map_read(const struct cv_map *map, size_t entry_bytes, size_t value_offset, void **entries,
                size_t *count) {
    struct batch batch = {
        .keys = malloc((size_t)map->entries_max * map->key_bytes),
        .values = malloc((size_t)map->entries_max * map->value_bytes),
    };
    int result = batch.keys == NULL || batch.values == NULL ? -ENOMEM : read_batch(map, &batch);

    CV_ASSERT(map->key_bytes <= value_offset && value_offset + map->value_bytes <= entry_bytes);
    if (result == 0) {
        void *joined = join(map, &batch, entry_bytes, value_offset);
        if (joined == NULL) {
            result = -ENOMEM;
        } else {
            *entries = joined;
            *count = batch.count;
        }
    }
    free(batch.keys);
    free(batch.values);
    return result;
}
