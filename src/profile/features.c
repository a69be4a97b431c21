#include "profile/features.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <linux/perf_event.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "profile/attach.h"
#include "profile/rights.h"

#define BTF_PATH "/sys/kernel/btf/vmlinux"
#define LEVEL_MAX 3u

struct list {
    struct cv_feature *features;
    size_t count;
};

static CV_PRINTF(4, 5) void add(struct list *list, const char *name, bool is_possible,
                                const char *format, ...) {
    struct cv_feature *feature = &list->features[list->count++];
    va_list arguments;
    feature->name = name;
    feature->is_possible = is_possible;
    va_start(arguments, format);
    vsnprintf(feature->why, sizeof(feature->why), format, arguments);
    va_end(arguments);
}

// The first word of a file; "?" when it cannot be read.
static const char *word_of(const char *path, char word[64]) {
    FILE *file = fopen(path, "re");
    if (file == NULL || fscanf(file, "%63s", word) != 1) {
        snprintf(word, 64, "?");
    }
    if (file != NULL) {
        fclose(file);
    }
    return word;
}

static void find_btf(struct list *list) {
    bool is_there = access(BTF_PATH, R_OK) == 0;
    add(list, "kernel types (BTF)", is_there, "%s",
        is_there ? BTF_PATH : "no " BTF_PATH ": needs a kernel with CONFIG_DEBUG_INFO_BTF");
}

static void find_capabilities(struct list *list) {
    static const struct {
        const char *name;
        unsigned number;
        const char *what;
    } wanted[] = {{"CAP_BPF", CAP_BPF, "loads programs"},
                  {"CAP_PERFMON", CAP_PERFMON, "lets them trace"}};
    bool is_admin = cv_rights_has(CAP_SYS_ADMIN);
    for (size_t i = 0; i < CV_ARRAY_COUNT(wanted); i++) {
        bool has_it = cv_rights_has(wanted[i].number);
        add(list, wanted[i].name, has_it || is_admin, "%s%s", wanted[i].what,
            has_it     ? ""
            : is_admin ? "; CAP_SYS_ADMIN stands in for it"
                       : "; missing: run as root, or give covet-prof this capability (setcap)");
    }
}

static void find_bpffs(struct list *list, const char *pin_dir) {
    char place[PATH_MAX];
    struct statfs status;
    const char *slash = strrchr(pin_dir, '/');
    snprintf(place, sizeof(place), "%.*s", (int)(slash - pin_dir), pin_dir);
    bool is_there = statfs(place, &status) == 0 && status.f_type == BPF_FS_MAGIC;
    add(list, "bpf file system", is_there, "%s%s", place,
        !is_there                  ? ": not mounted (mount -t bpf bpf /sys/fs/bpf)"
        : access(place, W_OK) == 0 ? ""
                                   : ": not writable for this user");
}

static unsigned find_levels(struct list *list, const char *pin_dir) {
    static const char *const names[] = {"level 1: rings, scheduling, TCP",
                                        "level 2: and system calls", "level 3: and latencies"};
    char place[PATH_MAX];
    char message[256];
    unsigned level_max = 0;
    snprintf(place, sizeof(place), "%s-check-%d", pin_dir, (int)getpid());
    for (unsigned level = 1; level <= LEVEL_MAX; level++) {
        struct cv_attach *attach;
        struct cv_attach_options options = {.level = level, .pin_dir = place};
        enum cv_attach_error error = cv_attach_open(&attach, &options, message, sizeof(message));
        if (error == CV_ATTACH_OK) {
            add(list, names[level - 1], true, "%s", cv_attach_summary(attach));
            cv_attach_close(attach);
            level_max = level;
        } else {
            add(list, names[level - 1], false, "%s", message);
        }
    }
    return level_max;
}

// A clock of our own thread's: without rights to others' this is what may be had at most.
static void find_perf_events(struct list *list) {
    char word[64];
    struct perf_event_attr attributes = {
        .type = PERF_TYPE_SOFTWARE,
        .size = sizeof(attributes),
        .config = PERF_COUNT_SW_CPU_CLOCK,
        .sample_period = 1000000,
        .disabled = 1,
    };
    long fd = syscall(SYS_perf_event_open, &attributes, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
    word_of("/proc/sys/kernel/perf_event_paranoid", word);
    if (fd >= 0) {
        close((int)fd);
        add(list, "CPU samples for flame graphs", true, "perf_event_open(2)");
    } else {
        add(list, "CPU samples for flame graphs", false,
            "perf_event_open(2): %s (kernel.perf_event_paranoid is %s)", strerror(errno), word);
    }
}

static void find_symbols(struct list *list) {
    char word[64];
    bool is_there = strspn(word_of("/proc/kallsyms", word), "0?") != strlen(word);
    word_of("/proc/sys/kernel/kptr_restrict", word);
    add(list, "names of kernel functions", is_there,
        is_there ? "/proc/kallsyms, kernel.kptr_restrict is %s"
                 : "/proc/kallsyms hides addresses: needs CAP_SYSLOG (kernel.kptr_restrict is %s)",
        word);
}

size_t cv_features_find(const char *pin_dir, struct cv_feature features[CV_FEATURES_MAX],
                        unsigned *level_max) {
    struct list list = {.features = features};
    find_btf(&list);
    find_capabilities(&list);
    find_bpffs(&list, pin_dir);
    *level_max = find_levels(&list, pin_dir);
    find_perf_events(&list);
    find_symbols(&list);
    return list.count;
}
