#include "profile/mappings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stdbool.h>

static bool is_executable(const char *line, struct cv_mapping *mapping) {
    char execute;
    int path_at = 0;

    // proc_pid_maps(5): start-end rwxp offset major:minor inode path
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*c%*c%c%*c %" SCNx64 " %*x:%*x %" SCNu64 " %n",
               &mapping->start, &mapping->end, &execute, &mapping->offset, &mapping->inode,
               &path_at) < 5 ||
        execute != 'x' || path_at == 0)
        return false;
    mapping->path = line + path_at;
    return mapping->end > mapping->start;
}

int cv_mappings_parse(struct cv_mappings *mappings, char *take_text) {
    size_t line_count = 1;
    char *next;

    for (const char *at = take_text; (at = strchr(at, '\n')) != NULL; at++)
        line_count++;
    struct cv_mapping *list = calloc(line_count, sizeof(*list));
    if (list == NULL)
        return -ENOMEM;
    size_t count = 0;
    for (char *line = take_text; line != NULL; line = next) {
        next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        count += is_executable(line, &list[count]);
    }
    cv_mappings_deinit(mappings);
    *mappings = (struct cv_mappings){.list = list, .count = count, .text = take_text};
    return 0;
}

int cv_mappings_read(struct cv_mappings *mappings, pid_t pid) {
    char path[32], *text = NULL;
    size_t capacity = 0;

    snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return errno == ENOENT ? -ESRCH : -errno;
    errno = 0;
    // No NUL byte is in that file, so this reads all of it.
    ssize_t length = getdelim(&text, &capacity, '\0', file);
    int error = length > 0 ? 0 : errno != 0 ? -errno : -ESRCH;
    fclose(file);
    if (error == 0)
        error = cv_mappings_parse(mappings, text);
    if (error != 0)
        free(text);
    return error;
}

const struct cv_mapping *cv_mappings_find(const struct cv_mappings *mappings, uint64_t address) {
    size_t low = 0, high = mappings->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (mappings->list[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == mappings->count || mappings->list[low].start > address)
        return NULL;
    return &mappings->list[low];
}

void cv_mappings_deinit(struct cv_mappings *mappings) {
    free(mappings->list);
    free(mappings->text);
    *mappings = (struct cv_mappings){0};
}
