// Reading a profiler's maps. Nothing is kept open between two snapshots: a profiler may go, and
// another replace its pins, at any time; the price is four calls for each map.
#include "observe/pinned.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "observe/lists.h"
#include "observe/maps.h"
#include "observe/procfs.h"

// The maps that are keyed by worker alone, and the members they go to.
static const struct {
    const char *map;
    uint32_t value_bytes;
    size_t offset;
} by_worker[] = {
    {"worker_stats", sizeof(struct covet_worker_stats), offsetof(struct cv_snapshot_worker, bpf)},
    {"sched_stats", sizeof(struct covet_sched_stats), offsetof(struct cv_snapshot_worker, sched)},
    {"runq_latency", sizeof(struct covet_latency),
     offsetof(struct cv_snapshot_worker, runq_latency)},
};

#define KEY_AND_GAP_BYTES 8u  // Of an entry keyed by worker; its value is aligned.

CV_PRINTF(2, 3) static void note(struct cv_snapshot *snapshot, const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(snapshot->bpf_note, sizeof(snapshot->bpf_note), format, arguments);
    va_end(arguments);
}

static void note_error(struct cv_snapshot *snapshot, int error, const char *pin_dir) {
    if (error == -EPROTO)
        note(snapshot, "maps in %s are of another version of covet-prof", pin_dir);
    else if (error == -EACCES || error == -EPERM)
        note(snapshot, "maps in %s may not be read by this user (covet-prof --readable)", pin_dir);
    else if (error != -ENOENT)
        note(snapshot, "maps in %s cannot be read: %s", pin_dir, strerror(-error));
}

static int read_map(void **entries, size_t *count, const char *pin_dir, const char *name,
                    uint32_t key_bytes, uint32_t value_bytes, size_t entry_bytes,
                    size_t value_offset) {
    struct cv_map map;
    int result = cv_map_open(&map, pin_dir, name, key_bytes, value_bytes);

    if (result != 0)
        return result;
    result = cv_map_read(&map, entry_bytes, value_offset, entries, count);
    cv_map_close(&map);
    return result;
}

// Of a living profiler that measures this covet; else false, with a note.
static bool read_info(struct cv_snapshot *snapshot, const struct cv_running *running,
                      const char *pin_dir) {
    struct covet_profile_info info;
    struct cv_map map;
    uint32_t key = 0;
    int result = cv_map_open(&map, pin_dir, "profile_info", sizeof(key), sizeof(info));

    if (result == 0) {
        result = cv_map_lookup(&map, &key, &info);
        cv_map_close(&map);
    }
    if (result == 0 && info.abi_version != COVET_ABI_VERSION)
        result = -EPROTO;
    if (result != 0) {
        note_error(snapshot, result, pin_dir);
        return false;
    }
    if (!cv_procfs_is_older(running->root, (pid_t)info.profiler_pid, info.attached_ns)) {
        note(snapshot, "maps in %s were left by a profiler that is gone (covet-prof clean)",
             pin_dir);
        return false;
    }
    if ((pid_t)info.supervisor_pid != running->supervisor_pid) {
        note(snapshot, "the profiler of %s, pid %u, measures covet %u", pin_dir, info.profiler_pid,
             info.supervisor_pid);
        return false;
    }
    snapshot->info = info;
    return true;
}

static int read_list(struct cv_snapshot *snapshot, enum cv_list_id id, const char *pin_dir) {
    const struct cv_list *list = &cv_lists[id];

    return read_map(cv_list_entries(snapshot, id), cv_list_count(snapshot, id), pin_dir, list->map,
                    list->key_bytes, list->value_bytes, list->entry_bytes, list->value_offset);
}

static int read_by_worker(struct cv_snapshot *snapshot, size_t which, const char *pin_dir) {
    size_t value_bytes = by_worker[which].value_bytes;
    size_t entry_bytes = KEY_AND_GAP_BYTES + value_bytes;
    unsigned char *entries;
    size_t count;
    int result =
        read_map((void **)&entries, &count, pin_dir, by_worker[which].map, sizeof(uint32_t),
                 by_worker[which].value_bytes, entry_bytes, KEY_AND_GAP_BYTES);

    if (result != 0)
        return result;
    for (size_t i = 0; i < count; i++) {
        const unsigned char *entry = entries + i * entry_bytes;
        uint32_t worker;
        memcpy(&worker, entry, sizeof(worker));
        if (worker >= snapshot->worker_count)
            continue;
        memcpy((char *)&snapshot->workers[worker] + by_worker[which].offset,
               entry + KEY_AND_GAP_BYTES, value_bytes);
        snapshot->workers[worker].has_bpf = true;
    }
    free(entries);
    return 0;
}

int cv_pinned_read(struct cv_snapshot *snapshot, const struct cv_running *running,
                   const char *pin_dir) {
    snapshot->has_bpf = read_info(snapshot, running, pin_dir);
    if (!snapshot->has_bpf)
        return 0;
    // A level has not all of the maps; what is not pinned is not measured.
    for (size_t i = 0; i < CV_ARRAY_COUNT(by_worker); i++) {
        int result = read_by_worker(snapshot, i, pin_dir);
        if (result == -ENOMEM)
            return result;
        if (result != 0)
            note_error(snapshot, result, pin_dir);
    }
    for (enum cv_list_id id = 0; id < CV_LIST_COUNT; id++) {
        int result = read_list(snapshot, id, pin_dir);
        if (result == -ENOMEM)
            return result;
        if (result != 0)
            note_error(snapshot, result, pin_dir);
    }
    return 0;
}
