// Finding a covet. Each has a directory BASE/PID with its counter pages (server/rundir), and the
// candidates for BASE are few; so all of them are looked at, and the pages themselves say whose
// they are. Pages count only while the process they name runs: its number may be another's by now,
// and where everybody may write (/tmp), somebody may have put pages there in the name of another.
#include "observe/running.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/span.h"
#include "metrics/counter.h"
#include "observe/procfs.h"

#define PATH_BYTES sizeof(((struct cv_running *)NULL)->stats_path)
#define ENVIRON_BYTES 32768u
#define LISTED_MAX 8u

struct search {
    const char *root;
    pid_t supervisor;  // the one wanted, in our namespace; 0: any
    pid_t inner;       // what it calls itself, and so its directory
    struct cv_running found;
    unsigned count;
    pid_t pids[LISTED_MAX];  // of those found
    bool is_other_version;
};

static void copy_ports(struct cv_running *running, const struct covet_stats_header *header) {
    running->port_count =
        CV_MIN(__atomic_load_n(&header->port_count, __ATOMIC_RELAXED), COVET_STATS_PORTS_MAX);
    for (uint32_t i = 0; i < running->port_count; i++)
        running->ports[i] = __atomic_load_n(&header->port[i], __ATOMIC_RELAXED);
}

// The server below the supervisor, in our namespace.
static pid_t server_of(const struct cv_running *running, const struct covet_stats_header *header) {
    pid_t inner = (pid_t)__atomic_load_n(&header->server_pid, __ATOMIC_RELAXED);

    if (inner == 0 || (pid_t)header->supervisor_pid == running->supervisor_pid)
        return inner;
    pid_t pid = cv_procfs_find_child(running->root, running->supervisor_pid, inner);
    return CV_MAX(pid, 0);
}

static bool is_owner(const char *root, const struct cv_stats *stats, pid_t pid) {
    struct cv_procfs_process process;

    return cv_procfs_process(&process, root, pid) == 0 &&
           (stats->owner == 0 || stats->owner == process.uid);
}

// Where a container shares our /run or /tmp its pages name processes of its own PID namespace, and
// those numbers are others' here: then the server is somebody else's child.
static bool has_other_parent(const struct cv_running *running) {
    struct cv_procfs_process server;

    return running->server_pid > 0 && running->server_pid != running->supervisor_pid &&
           cv_procfs_process(&server, running->root, running->server_pid) == 0 &&
           server.parent != running->supervisor_pid;
}

static void add_found(struct search *search, struct cv_running *running, const char *path,
                      const struct covet_stats_header *header) {
    memcpy(running->stats_path, path, strlen(path) + 1);
    copy_ports(running, header);
    search->found = *running;
    if (search->count < LISTED_MAX)
        search->pids[search->count] = running->supervisor_pid;
    search->count++;
}

// Takes the pages at `path` if they are those of the process `pid`, which calls itself `inner`.
static void try_pages(struct search *search, const char *path, pid_t pid, pid_t inner) {
    struct cv_running running = {.root = search->root, .supervisor_pid = pid};
    struct cv_stats stats;

    for (unsigned i = 0; i < CV_MIN(search->count, LISTED_MAX); i++) {
        if (search->pids[i] == pid)
            return;  // Two ways to one place.
    }
    int result = cv_stats_open(&stats, path);
    if (result == -EPROTO && cv_procfs_is_older(search->root, pid, UINT64_MAX / 2))
        search->is_other_version = true;
    if (result != 0)
        return;
    if ((pid_t)stats.header->supervisor_pid == inner &&
        cv_procfs_is_older(search->root, pid, stats.header->start_ns) &&
        is_owner(search->root, &stats, pid)) {
        running.server_pid = server_of(&running, stats.header);
        if (!has_other_parent(&running))
            add_found(search, &running, path, stats.header);
    }
    cv_stats_close(&stats);
}

static void try_entry(struct search *search, const char *base, pid_t inner) {
    char path[PATH_BYTES];
    int length = snprintf(path, sizeof(path), "%s/%d/stats", base, (int)inner);

    if (length > 0 && (size_t)length < sizeof(path))
        try_pages(search, path, search->supervisor != 0 ? search->supervisor : inner, inner);
}

static void look_in(struct search *search, const char *prefix, const char *base) {
    char folder[PATH_BYTES];
    uint64_t pid;
    int length = snprintf(folder, sizeof(folder), "%s%s", prefix, base);

    if (length < 0 || (size_t)length >= sizeof(folder))
        return;
    if (search->supervisor != 0) {
        try_entry(search, folder, search->inner);
        return;
    }
    DIR *directory = opendir(folder);
    if (directory == NULL)
        return;
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        if (cv_span_to_uint64(cv_span_of(entry->d_name), INT32_MAX, &pid) && pid > 0)
            try_entry(search, folder, (pid_t)pid);
    }
    closedir(directory);
}

// Every "FOLDER/<begin>...<tail>".
static void look_in_each(struct search *search, const char *prefix, const char *folder,
                         const char *begin, const char *tail) {
    char path[PATH_BYTES];

    snprintf(path, sizeof(path), "%s%s", prefix, folder);
    DIR *directory = opendir(path);
    if (directory == NULL)
        return;
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] == '.' || strncmp(entry->d_name, begin, strlen(begin)) != 0)
            continue;
        int length = snprintf(path, sizeof(path), "%s/%s%s", folder, entry->d_name, tail);
        if (length > 0 && (size_t)length < sizeof(path))
            look_in(search, prefix, path);
    }
    closedir(directory);
}

static void look_in_variables(struct search *search, const char *prefix, const char *service,
                              const char *session) {
    char base[PATH_BYTES];

    if (service != NULL && service[0] == '/')
        look_in(search, prefix, service);
    if (session != NULL && session[0] == '/') {
        snprintf(base, sizeof(base), "%s/covet", session);
        look_in(search, prefix, base);
    }
}

static void look_everywhere(struct search *search, const char *prefix) {
    look_in_variables(search, prefix, getenv("RUNTIME_DIRECTORY"), getenv("XDG_RUNTIME_DIR"));
    look_in(search, prefix, "/run/covet");
    look_in_each(search, prefix, "/run/user", "", "/covet");
    look_in_each(search, prefix, "/tmp", "covet-", "");
}

static const char *variable(const char *environment, size_t length, const char *name) {
    size_t name_length = strlen(name);

    for (const char *at = environment; at < environment + length; at += strlen(at) + 1) {
        if (strncmp(at, name, name_length) == 0 && at[name_length] == '=')
            return at + name_length + 1;
    }
    return NULL;
}

// Where the process itself has its directory: its own variables, its own root.
static void look_as_process(struct search *search, const char *prefix) {
    static const char *const names[] = {"RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"};
    char path[PATH_BYTES];
    char *environment = malloc(ENVIRON_BYTES);

    snprintf(path, sizeof(path), "%s/proc/%d/environ", search->root, (int)search->supervisor);
    ssize_t length = environment == NULL ? -1 : cv_procfs_read(path, environment, ENVIRON_BYTES);
    if (length > 0)
        look_in_variables(search, prefix, variable(environment, (size_t)length, names[0]),
                          variable(environment, (size_t)length, names[1]));
    free(environment);
    if (search->count == 0)
        look_everywhere(search, prefix);
}

// The pages of the supervisor `pid`.
static void find_supervisor(struct search *search, pid_t pid,
                            const struct cv_procfs_process *process) {
    char inside[PATH_BYTES];

    search->supervisor = pid;
    search->inner = process->inner_pid;
    // By our own way first: another's root is open to its user and to root only.
    if (!process->is_nested)
        look_as_process(search, search->root);
    snprintf(inside, sizeof(inside), "%s/proc/%d/root", search->root, (int)pid);
    if (search->count == 0)
        look_as_process(search, inside);
}

static int find_process(struct search *search, pid_t pid, char *message, size_t message_bytes) {
    struct cv_procfs_process process, parent;

    if (cv_procfs_process(&process, search->root, pid) != 0) {
        snprintf(message, message_bytes, "no process %d is running here", (int)pid);
        return -ESRCH;
    }
    find_supervisor(search, pid, &process);
    if (search->count == 0 && cv_procfs_process(&parent, search->root, process.parent) == 0) {
        find_supervisor(search, process.parent, &parent);
        if (search->count > 0 && search->found.server_pid != pid)
            search->count = 0;  // Some other child of a covet.
    }
    if (search->count == 0 && !search->is_other_version) {
        snprintf(message, message_bytes,
                 "process %d is no covet that can be seen from here; "
                 "if it runs as another user or in a container, try as root",
                 (int)pid);
        return -ESRCH;
    }
    return 0;
}

static int find_only_one(struct search *search, char *message, size_t message_bytes) {
    char list[LISTED_MAX * 12] = "";
    size_t length = 0;

    look_everywhere(search, search->root);
    if (search->count == 0 && !search->is_other_version) {
        snprintf(message, message_bytes,
                 "no covet is running that can be seen from here; name one in a container or of "
                 "another user with -p PID, as root");
        return -ESRCH;
    }
    if (search->count <= 1)
        return 0;
    for (unsigned i = 0; i < CV_MIN(search->count, LISTED_MAX); i++)
        length +=
            (size_t)snprintf(list + length, sizeof(list) - length, " %d", (int)search->pids[i]);
    snprintf(message, message_bytes, "%u covets are running (%s%s): choose one with -p PID",
             search->count, list + 1, search->count > LISTED_MAX ? " ..." : "");
    return -ENOTUNIQ;
}

int cv_running_find_below(struct cv_running *running, const char *root, pid_t pid, char *message,
                          size_t message_bytes) {
    struct search search = {.root = root};
    int result = pid != 0 ? find_process(&search, pid, message, message_bytes)
                          : find_only_one(&search, message, message_bytes);

    if (result != 0)
        return result;
    if (search.count == 0) {
        snprintf(message, message_bytes,
                 "that covet is of another version (its counter pages are not of version %u): use "
                 "the tools that came with it",
                 COVET_ABI_VERSION);
        return -EPROTO;
    }
    *running = search.found;
    return 0;
}

int cv_running_find(struct cv_running *running, pid_t pid, char *message, size_t message_bytes) {
    return cv_running_find_below(running, "", pid, message, message_bytes);
}

int cv_running_refresh_from(struct cv_running *running, const struct covet_stats_header *header) {
    if (!cv_procfs_is_older(running->root, running->supervisor_pid, header->start_ns))
        return -ESRCH;
    running->server_pid = server_of(running, header);
    copy_ports(running, header);
    return 0;
}

int cv_running_refresh(struct cv_running *running) {
    struct cv_stats stats;

    if (cv_stats_open(&stats, running->stats_path) != 0)
        return -ESRCH;
    int result = cv_running_refresh_from(running, stats.header);
    cv_stats_close(&stats);
    return result;
}
