// A made-up machine for what reads /proc and run directories: a tree of files below a directory of
// its own, removed at the end.
#ifndef T_SUPPORT_PROC_WORLD_H
#define T_SUPPORT_PROC_WORLD_H

#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "metrics/counter.h"

static char t_root[64];

static inline void t_world_begin(void) {
    snprintf(t_root, sizeof(t_root), "/tmp/cv-XXXXXX");
    CV_ASSERT(mkdtemp(t_root) != NULL);
}

static inline int t_world_remove(const char *path, const struct stat *status, int kind,
                                 struct FTW *place) {
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

static inline void t_world_end(void) {
    nftw(t_root, t_world_remove, 16, FTW_DEPTH | FTW_PHYS);
}

// The folders of a path below the root.
static inline void t_world_folders(const char *path) {
    char part[PATH_MAX];

    snprintf(part, sizeof(part), "%s", path);
    for (char *at = part + strlen(t_root) + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        mkdir(part, 0755);
        *at = '/';
    }
}

static inline void t_world_write_bytes(const char *name, const char *bytes, size_t length) {
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", t_root, name);
    t_world_folders(path);
    FILE *file = fopen(path, "we");
    CV_ASSERT(file != NULL && fwrite(bytes, 1, length, file) == length);
    fclose(file);
}

// Writes the file `name` below the root.
static inline void t_world_write(const char *name, const char *text) {
    t_world_write_bytes(name, text, strlen(text));
}

// A process that is running: its `numbers` are as NSpid shows them, "12" or "12\t1".
static inline void t_world_process(int pid, int parent, const char *numbers, unsigned uid,
                                   uint64_t start_ticks) {
    char name[64], text[512];

    snprintf(name, sizeof(name), "proc/%d/status", pid);
    snprintf(text, sizeof(text),
             "Name:\tcovet\nPid:\t%d\nPPid:\t%d\nUid:\t9\t%u\t9\t9\nNSpid:\t%s\n", pid, parent, uid,
             numbers);
    t_world_write(name, text);
    snprintf(name, sizeof(name), "proc/%d/stat", pid);
    snprintf(text, sizeof(text),
             "%d (a ) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 %llu 20 21\n", pid,
             (unsigned long long)start_ticks);
    t_world_write(name, text);
}

// Counter pages at `name` below the root, of a supervisor and a server that call themselves so.
static inline void t_world_pages(const char *name, unsigned supervisor, unsigned server) {
    char path[PATH_MAX];
    struct cv_stats stats;

    snprintf(path, sizeof(path), "%s/%s", t_root, name);
    t_world_folders(path);
    CV_ASSERT(cv_stats_create(&stats, path, 2) == 0);
    stats.header->supervisor_pid = supervisor;
    stats.header->server_pid = server;
    stats.header->port_count = 2;
    stats.header->port[0] = 80;
    stats.header->port[1] = 8080;
    cv_stats_close(&stats);
}

#endif
