// Maps of our own below /sys/fs/bpf, for what reads pinned maps. Needs root and bpf(2).
#ifndef T_SUPPORT_PINNED_MAPS_H
#define T_SUPPORT_PINNED_MAPS_H

#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"

#define T_BPF_FS_MAGIC 0xcafe4a11

static char t_pins[64];

static inline long t_bpf(enum bpf_cmd command, union bpf_attr *attributes) {
    return syscall(__NR_bpf, command, attributes, sizeof(*attributes));
}

// A new hash map, not pinned; -1: not possible here.
static inline int t_map_create(uint32_t key_bytes, uint32_t value_bytes, uint32_t entries_max) {
    union bpf_attr attributes = {.map_type = BPF_MAP_TYPE_HASH,
                                 .key_size = key_bytes,
                                 .value_size = value_bytes,
                                 .max_entries = entries_max};

    return (int)t_bpf(BPF_MAP_CREATE, &attributes);
}

static inline void t_map_put(int fd, const void *key, const void *value) {
    union bpf_attr attributes = {.map_fd = (uint32_t)fd,
                                 .key = (uint64_t)(uintptr_t)key,
                                 .value = (uint64_t)(uintptr_t)value};

    CV_ASSERT(t_bpf(BPF_MAP_UPDATE_ELEM, &attributes) == 0);
}

static inline void t_map_remove(int fd, const void *key) {
    union bpf_attr attributes = {.map_fd = (uint32_t)fd, .key = (uint64_t)(uintptr_t)key};

    CV_ASSERT(t_bpf(BPF_MAP_DELETE_ELEM, &attributes) == 0);
}

static inline void t_pin_path(char *path, size_t path_bytes, const char *name) {
    snprintf(path, path_bytes, "%s/%s", t_pins, name);
}

// Pins and closes a map.
static inline void t_map_pin(int fd, const char *name) {
    char path[128];
    union bpf_attr attributes = {.bpf_fd = (uint32_t)fd, .pathname = (uint64_t)(uintptr_t)path};

    t_pin_path(path, sizeof(path), name);
    CV_ASSERT(t_bpf(BPF_OBJ_PIN, &attributes) == 0);
    close(fd);
}

static inline void t_unpin(const char *name) {
    char path[128];

    t_pin_path(path, sizeof(path), name);
    unlink(path);
}

// Makes a directory for pins. False, with a line that says why, where that is not possible.
static inline bool t_pins_begin(void) {
    struct statfs status;
    int fd = t_map_create(4, 8, 1);

    if (fd < 0) {
        printf("bpf(2) is not allowed here: %s\n", strerror(errno));
        return false;
    }
    close(fd);
    if (statfs("/sys/fs/bpf", &status) != 0 || (unsigned long)status.f_type != T_BPF_FS_MAGIC) {
        puts("/sys/fs/bpf is not mounted");
        return false;
    }
    snprintf(t_pins, sizeof(t_pins), "/sys/fs/bpf/covet-test-%d", (int)getpid());
    if (mkdir(t_pins, 0755) != 0) {
        printf("%s cannot be made: %s\n", t_pins, strerror(errno));
        return false;
    }
    return true;
}

static inline void t_pins_end(void) {
    rmdir(t_pins);
}

#endif
