// Everything in /proc may be gone between two reads, or be somebody else's; what cannot be read is
// skipped.
#include "load/watch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/compiler.h"
#include "load/core.h"

struct process {
    int pid, parent;
    bool is_server;
};

struct thread {
    int tid;
    uint64_t cpu_ns;
    uint64_t queued_ns;  // Ready to run, and another one had the core.
    int core;            // Where it ran last.
    struct load_core core_now;
};

// A growing array; one that cannot grow stays as it is, and something is not seen.
struct list {
    void *items;  // Owned.
    size_t count, room, item_bytes;
};

struct load_watch {
    uint64_t began_ns;
    struct list processes;  // struct process, the servers found at the beginning.
    struct list threads;    // struct thread
};

static void list_add(struct list *list, const void *item) {
    if (list->count == list->room) {
        size_t room = list->room == 0 ? 64 : 2 * list->room;
        void *items = realloc(list->items, room * list->item_bytes);
        if (items == NULL) {
            return;
        }
        list->items = items;
        list->room = room;
    }
    memcpy((char *)list->items + list->count++ * list->item_bytes, item, list->item_bytes);
}

static uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

// A row of /proc/net/tcp or tcp6; an IPv4 address is the last word of four.
struct tcp_row {
    uint32_t address[4];  // As in memory.
    unsigned port, state;
    uint64_t inode;
};

#define ROW_END ":%x %*x:%*x %x %*x:%*x %*x:%*x %*x %*u %*d %lu"

static bool read_row(const char *line, bool is_v6, struct tcp_row *row) {
    unsigned long inode;
    uint32_t *word = row->address;
    *row = (struct tcp_row){0};
    int found = is_v6 ? sscanf(line, "%*d: %8x%8x%8x%8x" ROW_END, &word[0], &word[1], &word[2],
                               &word[3], &row->port, &row->state, &inode)
                      : sscanf(line, "%*d: %8x" ROW_END, &word[3], &row->port, &row->state, &inode);
    row->inode = inode;
    return found == (is_v6 ? 7 : 4);
}

static bool is_any(const uint32_t address[4]) {
    return (address[0] | address[1] | address[2] | address[3]) == 0;
}

// Does who listens there get connections to `address`?
static bool row_matches(const struct tcp_row *row, bool is_v6, const struct sockaddr *address) {
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
    uint32_t wanted[4] = {0};
    if (address->sa_family == AF_INET) {
        wanted[2] = is_v6 ? htonl(0xffff) : 0;  // ::ffff:a.b.c.d
        wanted[3] = v4->sin_addr.s_addr;
    } else if (is_v6) {
        memcpy(wanted, &v6->sin6_addr, sizeof(wanted));
    } else {
        return false;
    }
    // The port is at the same place in both.
    return row->port == ntohs(v4->sin_port) &&
           (is_any(row->address) || memcmp(row->address, wanted, sizeof(wanted)) == 0);
}

#define TCP_STATE_LISTEN 10u

// Listening sockets come first in these files, however many connections follow.
static void find_tcp(const char *name, bool is_v6, const struct sockaddr *address,
                     struct list *inodes) {
    FILE *file = fopen(name, "re");
    char line[512];
    struct tcp_row row;
    if (file == NULL) {
        return;
    }
    for (bool is_title = true; fgets(line, sizeof(line), file) != NULL; is_title = false) {
        if (is_title) {
            continue;
        }
        if (!read_row(line, is_v6, &row) || row.state != TCP_STATE_LISTEN) {
            break;
        }
        if (row_matches(&row, is_v6, address)) {
            list_add(inodes, &row.inode);
        }
    }
    fclose(file);
}

#define UNIX_ACCEPTS 0x10000u  // __SO_ACCEPTCON of the kernel.

static void find_unix(const struct sockaddr *address, struct list *inodes) {
    const struct sockaddr_un *wanted = (const struct sockaddr_un *)(const void *)address;
    FILE *file = fopen("/proc/net/unix", "re");
    char line[512];
    if (file == NULL) {
        return;
    }
    while (fgets(line, sizeof(line), file) != NULL) {
        unsigned flags;
        unsigned long inode;
        int path_at = 0;
        line[strcspn(line, "\n")] = '\0';
        if (sscanf(line, "%*x: %*x %*x %x %*x %*x %lu %n", &flags, &inode, &path_at) == 2 &&
            path_at > 0 && (flags & UNIX_ACCEPTS) &&
            strcmp(line + path_at, wanted->sun_path) == 0) {
            uint64_t number = inode;
            list_add(inodes, &number);
        }
    }
    fclose(file);
}

static void find_sockets(const struct sockaddr *address, struct list *inodes) {
    if (address->sa_family == AF_UNIX) {
        find_unix(address, inodes);
    } else {
        find_tcp("/proc/net/tcp", false, address, inodes);
        find_tcp("/proc/net/tcp6", true, address, inodes);
    }
}

// The next entry of a directory whose name is a number; -1 at its end.
static int next_number(DIR *folder) {
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char *end;
        long number = strtol(entry->d_name, &end, 10);
        if (end != entry->d_name && *end == '\0' && number >= 0 && number <= INT32_MAX) {
            return (int)number;
        }
    }
    return -1;
}

static CV_PRINTF(1, 2) DIR *open_folder(const char *format, ...) {
    char path[96];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(path, sizeof(path), format, arguments);
    va_end(arguments);
    return opendir(path);
}

static bool has_inode(const struct list *inodes, uint64_t inode) {
    const uint64_t *items = inodes->items;
    for (size_t i = 0; i < inodes->count; i++) {
        if (items[i] == inode) {
            return true;
        }
    }
    return false;
}

// Is one of the sockets in the descriptor table of this thread?
static bool table_holds(int pid, int tid, const struct list *inodes) {
    DIR *folder = open_folder("/proc/%d/task/%d/fd", pid, tid);
    bool is_found = false;
    if (folder == NULL) {
        return false;
    }
    for (int fd; !is_found && (fd = next_number(folder)) >= 0;) {
        char name[16], link[64];
        unsigned long inode;
        snprintf(name, sizeof(name), "%d", fd);
        ssize_t bytes = readlinkat(dirfd(folder), name, link, sizeof(link) - 1);
        if (bytes > 0) {
            link[bytes] = '\0';
            is_found = sscanf(link, "socket:[%lu]", &inode) == 1 && has_inode(inodes, inode);
        }
    }
    closedir(folder);
    return is_found;
}

// Threads may have tables of their own (unshare); those that share are looked at once.
static bool holds_socket(int pid, const struct list *inodes) {
    if (table_holds(pid, pid, inodes)) {
        return true;
    }
    DIR *folder = open_folder("/proc/%d/task", pid);
    bool is_found = false;
    if (folder == NULL) {
        return false;
    }
    for (int tid; !is_found && (tid = next_number(folder)) >= 0;) {
        is_found = tid != pid && syscall(SYS_kcmp, pid, tid, KCMP_FILES, 0, 0) > 0 &&
                   table_holds(pid, tid, inodes);
    }
    closedir(folder);
    return is_found;
}

static CV_PRINTF(3, 4) bool read_text(char *text, size_t bytes, const char *format, ...) {
    char path[96];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(path, sizeof(path), format, arguments);
    va_end(arguments);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t got = read(fd, text, bytes - 1);
    close(fd);
    text[got > 0 ? got : 0] = '\0';
    return got > 0;
}

// The fourth word of /proc/PID/stat; the second is in parentheses and may hold any byte.
static int parent_of(int pid) {
    char text[512];
    int parent = 0;
    if (read_text(text, sizeof(text), "/proc/%d/stat", pid)) {
        const char *behind = strrchr(text, ')');
        if (behind == NULL || sscanf(behind, ") %*c %d", &parent) != 1) {
            parent = 0;
        }
    }
    return parent;
}

static void list_processes(struct list *processes) {
    DIR *folder = opendir("/proc");
    if (folder == NULL) {
        return;
    }
    for (int pid; (pid = next_number(folder)) >= 0;) {
        struct process process = {.pid = pid, .parent = parent_of(pid)};
        if (pid != getpid()) {
            list_add(processes, &process);
        }
    }
    closedir(folder);
}

static bool is_server(const struct list *processes, int pid) {
    const struct process *items = processes->items;
    for (size_t i = 0; i < processes->count; i++) {
        if (items[i].pid == pid) {
            return items[i].is_server;
        }
    }
    return false;
}

// Marks what descends from what is marked.
static void mark_descendants(struct list *processes) {
    struct process *items = processes->items;
    for (bool is_changed = true; is_changed;) {
        is_changed = false;
        for (size_t i = 0; i < processes->count; i++) {
            if (!items[i].is_server && items[i].parent > 1 &&
                is_server(processes, items[i].parent)) {
                items[i].is_server = is_changed = true;
            }
        }
    }
}

// The 39th word of its stat.
static int core_of(int pid, int tid) {
    char text[1024];
    int core = -1;
    if (read_text(text, sizeof(text), "/proc/%d/task/%d/stat", pid, tid)) {
        const char *at = strrchr(text, ')');
        for (unsigned word = 2; at != NULL && word < 39; word++) {
            at = strchr(at + 1, ' ');
        }
        core = at == NULL ? -1 : (int)strtol(at, NULL, 10);
    }
    return core;
}

static void list_threads(int pid, struct list *threads) {
    DIR *folder = open_folder("/proc/%d/task", pid);
    if (folder == NULL) {
        return;
    }
    for (int tid; (tid = next_number(folder)) >= 0;) {
        char text[96];
        unsigned long cpu_ns, queued_ns;
        if (read_text(text, sizeof(text), "/proc/%d/task/%d/schedstat", pid, tid) &&
            sscanf(text, "%lu %lu", &cpu_ns, &queued_ns) == 2) {
            int core = core_of(pid, tid);
            list_add(threads, &(struct thread){tid, cpu_ns, queued_ns, core, load_core_now(core)});
        }
    }
    closedir(folder);
}

static void list_server_threads(const struct list *processes, struct list *threads) {
    const struct process *items = processes->items;
    for (size_t i = 0; i < processes->count; i++) {
        if (items[i].is_server) {
            list_threads(items[i].pid, threads);
        }
    }
}

static void free_watch(struct load_watch *watch) {
    free(watch->processes.items);
    free(watch->threads.items);
    free(watch);
}

struct load_watch *load_watch_begin(const struct sockaddr *address) {
    struct list inodes = {.item_bytes = sizeof(uint64_t)};
    struct load_watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL) {
        return NULL;
    }
    watch->processes.item_bytes = sizeof(struct process);
    watch->threads.item_bytes = sizeof(struct thread);
    find_sockets(address, &inodes);
    if (inodes.count > 0) {
        list_processes(&watch->processes);
        struct process *items = watch->processes.items;
        for (size_t i = 0; i < watch->processes.count; i++) {
            items[i].is_server = holds_socket(items[i].pid, &inodes);
        }
        mark_descendants(&watch->processes);
        list_server_threads(&watch->processes, &watch->threads);
    }
    free(inodes.items);
    if (watch->threads.count == 0) {
        free_watch(watch);
        return NULL;
    }
    watch->began_ns = now_ns();
    return watch;
}

static struct thread thread_before(const struct load_watch *watch, int tid) {
    const struct thread *items = watch->threads.items;
    for (size_t i = 0; i < watch->threads.count; i++) {
        if (items[i].tid == tid) {
            return items[i];
        }
    }
    return (struct thread){.tid = tid, .core = -1};  // It has begun since.
}

// What it used and waited for, and what its core did besides if it stayed there.
static uint64_t filled_ns(const struct thread *before, const struct thread *after,
                          uint64_t passed_ns) {
    uint64_t began_ns = before->cpu_ns + before->queued_ns;
    uint64_t ended_ns = after->cpu_ns + after->queued_ns;
    bool stayed = before->core == after->core;
    return load_core_filled_ns(stayed ? before->core_now : after->core_now, after->core_now,
                               ended_ns - CV_MIN(began_ns, ended_ns), passed_ns);
}

double load_watch_end(struct load_watch *watch, double *core_busy) {
    *core_busy = -1;
    if (watch == NULL) {
        return -1;
    }
    struct list processes = {.item_bytes = sizeof(struct process)};
    struct list threads = {.item_bytes = sizeof(struct thread)};
    uint64_t passed_ns = now_ns() - watch->began_ns + 1;
    double busiest = -1;
    list_processes(&processes);
    struct process *servers = processes.items;
    for (size_t i = 0; i < processes.count; i++) {
        servers[i].is_server = is_server(&watch->processes, servers[i].pid);
    }
    mark_descendants(&processes);
    list_server_threads(&processes, &threads);
    const struct thread *items = threads.items;
    for (size_t i = 0; i < threads.count; i++) {
        struct thread before = thread_before(watch, items[i].tid);
        uint64_t used_ns = items[i].cpu_ns - CV_MIN(before.cpu_ns, items[i].cpu_ns);
        double core = (double)filled_ns(&before, &items[i], passed_ns) / (double)passed_ns;
        busiest = CV_MAX(busiest, CV_MIN((double)used_ns / (double)passed_ns, 1.0));
        *core_busy = CV_MAX(*core_busy, core);
    }
    free(processes.items);
    free(threads.items);
    free_watch(watch);
    return busiest;
}
