// Control groups nest, and the limit of each holds for all below it; the path in /proc/self/cgroup
// leads from the mounted root to ours (cgroups(7), version 2: the line that begins with "0::").
// Inside a container that root is usually the container's own group.
#include "server/memory.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/span.h"

#define ROOT "/sys/fs/cgroup"
#define PATH_BYTES 1024u

// UINT64_MAX: no limit ("max"), or no such file.
static uint64_t limit_of(const char *group) {
    char path[PATH_BYTES + 64];
    char text[32] = "";
    uint64_t bytes = UINT64_MAX;

    (void)snprintf(path, sizeof(path), ROOT "%s/memory.max", group);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return UINT64_MAX;
    if (fgets(text, sizeof(text), file) != NULL)
        (void)cv_span_to_uint64(cv_span_make(text, strcspn(text, "\n")), UINT64_MAX, &bytes);
    (void)fclose(file);
    return bytes;
}

// Empty when there is none.
static void find_group(char group[PATH_BYTES]) {
    char line[PATH_BYTES];
    FILE *file = fopen("/proc/self/cgroup", "re");

    group[0] = '\0';
    if (file == NULL)
        return;
    while (fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "0::/", 4) == 0) {
            line[strcspn(line, "\n")] = '\0';
            memcpy(group, line + 3, strlen(line + 3) + 1);
        }
    }
    (void)fclose(file);
}

uint64_t cv_memory_available_bytes(void) {
    uint64_t bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    char group[PATH_BYTES];

    find_group(group);
    bytes = CV_MIN(bytes, limit_of(group));
    for (char *slash; (slash = strrchr(group, '/')) != NULL;) {
        *slash = '\0';
        bytes = CV_MIN(bytes, limit_of(group));
    }
    return CV_MAX(bytes, (uint64_t)1);
}
