// A hand-over may be over within milliseconds, the old supervisor gone before anybody looked at its
// children. Then its run directory is gone too, and its successor's lies beside the place where it
// was. A port tells it from others there: two covets never share one but in a hand-over.
#include "profile/successor.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/span.h"
#include "metrics/counter.h"

uint64_t cv_successor_start_ns(const struct cv_running *running) {
    struct cv_stats stats;
    if (cv_stats_open(&stats, running->stats_path) != 0) {
        return 0;
    }
    uint64_t start_ns = stats.header->start_ns;
    cv_stats_close(&stats);
    return start_ns;
}

// Whether this process is a supervisor whose server runs.
static bool serves(pid_t pid, struct cv_running *found) {
    char ignored[256];
    return cv_running_find(found, pid, ignored, sizeof(ignored)) == 0 &&
           found->supervisor_pid == pid && found->server_pid > 0;
}

// Threads' names are cheap to read; finding out whose a process is is not.
static bool has_name_of(pid_t a, pid_t b) {
    char names[2][32] = {"", ""};
    const pid_t pids[2] = {a, b};
    for (int i = 0; i < 2; i++) {
        char path[32];
        snprintf(path, sizeof(path), "/proc/%d/comm", (int)pids[i]);
        FILE *file = fopen(path, "re");
        if (file == NULL) {
            return false;
        }
        bool is_read = fgets(names[i], sizeof(names[i]), file) != NULL;
        fclose(file);
        if (!is_read) {
            return false;
        }
    }
    return strcmp(names[0], names[1]) == 0;
}

bool cv_successor_find_child(const struct cv_running *running, struct cv_running *next) {
    char path[64];
    int pid;
    bool is_found = false;
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)running->supervisor_pid,
             (int)running->supervisor_pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    while (!is_found && fscanf(file, "%d", &pid) == 1) {
        is_found = pid != running->server_pid && has_name_of(pid, running->supervisor_pid) &&
                   serves(pid, next);
    }
    fclose(file);
    return is_found;
}

static bool share_a_port(const struct cv_running *a, const struct cv_running *b) {
    for (uint32_t i = 0; i < a->port_count; i++) {
        for (uint32_t j = 0; j < b->port_count; j++) {
            if (a->ports[i] == b->ports[j]) {
                return true;
            }
        }
    }
    return a->port_count == 0 && b->port_count == 0;
}

// Cuts the last `count` parts off a path.
static void cut(char *path, int count) {
    for (char *slash; count > 0 && (slash = strrchr(path, '/')) != NULL; count--) {
        *slash = '\0';
    }
}

bool cv_successor_find_heir(const struct cv_running *running, uint64_t start_ns,
                            struct cv_running *next) {
    char base[sizeof(running->stats_path)];
    bool is_found = false;
    snprintf(base, sizeof(base), "%s", running->stats_path);
    cut(base, 2);  // BASE/PID/stats
    DIR *directory = opendir(base);
    if (directory == NULL) {
        return false;
    }
    const struct dirent *entry;
    while (!is_found && (entry = readdir(directory)) != NULL) {
        uint64_t pid;
        is_found = cv_span_to_uint64(cv_span_of(entry->d_name), INT_MAX, &pid) &&
                   serves((pid_t)pid, next) && share_a_port(running, next) &&
                   cv_successor_start_ns(next) > start_ns;
    }
    closedir(directory);
    return is_found;
}
