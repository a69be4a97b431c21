// The executable mappings of a process: which file is behind an address.
#ifndef CV_PROFILE_MAPPINGS_H
#define CV_PROFILE_MAPPINGS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"

struct cv_mapping {
    uint64_t start;
    uint64_t end;
    uint64_t offset;   // in the file, of `start`
    uint64_t inode;    // 0: no file
    const char *path;  // as /proc shows it, "" for anonymous memory; borrowed from the list
};

struct cv_mappings {
    struct cv_mapping *list;  // owned; ascending
    size_t count;
    char *text;  // owned: what paths lie in
};

// Reads /proc/PID/maps; `mappings` is zeroed or from an earlier call. Returns 0 or -errno (-EACCES
// without the right to look into the process, -ESRCH when it is gone), `mappings` being as before.
CV_MUST_USE int cv_mappings_read(struct cv_mappings *mappings, pid_t pid);

// The same from text, which is taken on success (free()).
CV_MUST_USE int cv_mappings_parse(struct cv_mappings *mappings, char *take_text);

// The mapping that holds `address`, or NULL.
const struct cv_mapping *cv_mappings_find(const struct cv_mappings *mappings, uint64_t address);

void cv_mappings_deinit(struct cv_mappings *mappings);

#endif
