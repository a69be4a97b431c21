// Reading /proc. Every file is read whole, with one read(2) where the kernel makes it so, and then
// searched by the names of its fields: their order differs between kernels.
#include "observe/procfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/span.h"

#define PATH_BYTES 256u
#define STATUS_BYTES 4096u
#define TABLE_BYTES 16384u

ssize_t cv_procfs_read(const char *path, char *text, size_t text_bytes) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    size_t length = 0;
    ssize_t got;

    text[0] = '\0';
    if (fd < 0)
        return -errno;
    while ((got = read(fd, text + length, text_bytes - 1 - length)) > 0)
        length += (size_t)got;
    ssize_t result = got < 0 ? -errno : (ssize_t)length;  // ESRCH: it ended just now.
    close(fd);
    text[length] = '\0';
    return result;
}

static ssize_t read_of_process(const char *root, pid_t pid, const char *name, char *text,
                               size_t text_bytes) {
    char path[PATH_BYTES];

    snprintf(path, sizeof(path), "%s/proc/%d/%s", root, (int)pid, name);
    return cv_procfs_read(path, text, text_bytes);
}

static ssize_t read_of_thread(const char *root, pid_t pid, pid_t tid, const char *name, char *text,
                              size_t text_bytes) {
    char inside[64];

    snprintf(inside, sizeof(inside), "task/%d/%s", (int)tid, name);
    return read_of_process(root, pid, inside, text, text_bytes);
}

// What stands behind "NAME:" at the start of a line of a `status` file; NULL when there is none.
static const char *status_field(const char *text, const char *name) {
    size_t length = strlen(name);

    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, length) == 0 && line[length] == ':')
            return line + length + 1;
    }
    return NULL;
}

static uint64_t status_number(const char *text, const char *name) {
    const char *value = status_field(text, name);

    return value == NULL ? 0 : strtoull(value, NULL, 10);
}

// The last number of NSpid is what the process sees, the first what we see; more than one: nested.
static pid_t innermost(const char *text, bool *is_nested) {
    const char *at = status_field(text, "NSpid");
    pid_t last = 0;
    unsigned count = 0;

    while (at != NULL && *at != '\n' && *at != '\0') {
        char *end;
        last = (pid_t)strtol(at, &end, 10);
        if (end == at)
            break;
        count++;
        at = end;
    }
    *is_nested = count > 1;
    return count == 0 ? (pid_t)status_number(text, "Pid") : last;
}

// Field 22 of `stat`, counted behind the name, which may hold anything.
static int read_start(uint64_t *start_ns, const char *root, pid_t pid) {
    char text[STATUS_BYTES];
    ssize_t length = read_of_process(root, pid, "stat", text, sizeof(text));

    if (length < 0)
        return (int)length;
    const char *at = strrchr(text, ')');
    for (int field = 2; at != NULL && field < 22; field++)
        at = strchr(at + 1, ' ');
    if (at == NULL)
        return -EBADMSG;
    long ticks_per_s = sysconf(_SC_CLK_TCK);
    *start_ns = strtoull(at, NULL, 10) * (1000000000u / (uint64_t)ticks_per_s);
    return 0;
}

int cv_procfs_process(struct cv_procfs_process *process, const char *root, pid_t pid) {
    char text[STATUS_BYTES];
    struct cv_procfs_process found = {0};
    ssize_t length = read_of_process(root, pid, "status", text, sizeof(text));

    if (length < 0)
        return (int)length;
    const char *uids = status_field(text, "Uid");
    if (uids == NULL)
        return -EBADMSG;
    char *effective;
    (void)strtoul(uids, &effective, 10);
    found.uid = (uid_t)strtoul(effective, NULL, 10);
    found.parent = (pid_t)status_number(text, "PPid");
    found.inner_pid = innermost(text, &found.is_nested);
    int result = read_start(&found.start_ns, root, pid);
    if (result == 0)
        *process = found;
    return result;
}

static uint64_t clock_ns(clockid_t clock) {
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// Start times are kept by a clock that runs through suspension. Taking all of that away at once
// makes a process look older, never younger, than it is.
bool cv_procfs_is_older(const char *root, pid_t pid, uint64_t moment_ns) {
    struct cv_procfs_process process;

    if (pid <= 0 || cv_procfs_process(&process, root, pid) != 0)
        return false;
    uint64_t suspended_ns = clock_ns(CLOCK_BOOTTIME) - clock_ns(CLOCK_MONOTONIC);
    return process.start_ns <= moment_ns + suspended_ns;
}

// The bits of "ff,ffffffff".
static uint32_t count_bits(const char *mask) {
    uint32_t bits = 0;

    for (; mask != NULL && *mask != '\n' && *mask != '\0'; mask++) {
        char digit[2] = {*mask, '\0'};
        bits += (uint32_t)__builtin_popcountl(strtoul(digit, NULL, 16));
    }
    return bits;
}

int cv_procfs_thread(struct cv_procfs_thread *thread, const char *root, pid_t pid, pid_t tid) {
    char text[STATUS_BYTES];
    struct cv_procfs_thread found = {0};
    ssize_t length = read_of_thread(root, pid, tid, "status", text, sizeof(text));

    if (length < 0)
        return (int)length;
    found.voluntary_switches = status_number(text, "voluntary_ctxt_switches");
    found.involuntary_switches = status_number(text, "nonvoluntary_ctxt_switches");
    found.allowed_cpus = count_bits(status_field(text, "Cpus_allowed"));
    length = read_of_thread(root, pid, tid, "schedstat", text, sizeof(text));
    if (length > 0) {  // Absent without CONFIG_SCHED_INFO.
        char *rest;
        found.cpu_ns = strtoull(text, &rest, 10);
        found.runq_ns = strtoull(rest, NULL, 10);
    }
    *thread = found;
    return 0;
}

// Calls `is_it` for each directory of `folder` that is named by a number, until it says yes.
static pid_t find_number(const char *folder, bool (*is_it)(const void *context, pid_t number),
                         const void *context) {
    DIR *directory = opendir(folder);
    pid_t found = -ESRCH;
    const struct dirent *entry;
    uint64_t number;

    if (directory == NULL)
        return -ESRCH;
    while (found < 0 && (entry = readdir(directory)) != NULL) {
        if (cv_span_to_uint64(cv_span_of(entry->d_name), INT32_MAX, &number) &&
            is_it(context, (pid_t)number))
            found = (pid_t)number;
    }
    closedir(directory);
    return found;
}

struct wanted {
    const char *root;
    pid_t pid;  // of the process, or of the parent
    pid_t inner;
};

static bool is_thread(const void *context, pid_t tid) {
    const struct wanted *wanted = context;
    char text[STATUS_BYTES];
    bool is_nested;

    return read_of_thread(wanted->root, wanted->pid, tid, "status", text, sizeof(text)) > 0 &&
           innermost(text, &is_nested) == wanted->inner;
}

static bool is_child(const void *context, pid_t pid) {
    const struct wanted *wanted = context;
    struct cv_procfs_process process;

    return cv_procfs_process(&process, wanted->root, pid) == 0 && process.parent == wanted->pid &&
           process.inner_pid == wanted->inner;
}

pid_t cv_procfs_find_thread(const char *root, pid_t pid, pid_t inner_tid) {
    struct wanted wanted = {root, pid, inner_tid};
    char folder[PATH_BYTES];

    snprintf(folder, sizeof(folder), "%s/proc/%d/task", root, (int)pid);
    return find_number(folder, is_thread, &wanted);
}

pid_t cv_procfs_find_child(const char *root, pid_t parent, pid_t inner_pid) {
    struct wanted wanted = {root, parent, inner_pid};
    char folder[PATH_BYTES];

    snprintf(folder, sizeof(folder), "%s/proc", root);
    return find_number(folder, is_child, &wanted);
}

// The lines of such a table come in pairs, "Tcp: NAME NAME..." and "Tcp: 1 2...".
int cv_procfs_network(uint64_t *value, const char *root, pid_t pid, const char *file,
                      const char *protocol, const char *name) {
    char text[TABLE_BYTES];
    char inside[32];

    snprintf(inside, sizeof(inside), "net/%s", file);
    ssize_t length = read_of_process(root, pid, inside, text, sizeof(text));
    if (length < 0)
        return (int)length;
    const char *names = status_field(text, protocol);
    const char *values = names == NULL ? NULL : status_field(names, protocol);
    if (values == NULL)
        return -ENOENT;
    for (;;) {
        names += strspn(names, " ");
        values += strspn(values, " ");
        size_t name_length = strcspn(names, " \n");
        size_t value_length = strcspn(values, " \n");
        if (name_length == 0 || value_length == 0)
            return -ENOENT;
        if (name_length == strlen(name) && memcmp(names, name, name_length) == 0) {
            *value = strtoull(values, NULL, 10);
            return 0;
        }
        names += name_length;
        values += value_length;
    }
}
