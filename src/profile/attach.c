// Opening: choose programs, load, pin, attach; measuring nobody yet, for the target is none.
// Following: pause, look for the server's threads and counter pages with iterators, go on.
#include "profile/attach.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <covet/app.h>
#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "bpf/net.h"
#include "bpf/workers.h"
#include "metrics/counter.h"
#include "profile/attach_internal.h"
#include "profile/guard.h"
#include "profile/iterator.h"
#include "profile/pins.h"
#include "profile/skeleton.h"
#include "profile/variants.h"

struct cv_attach {
    struct cv_attach_options options;
    struct covet_bpf *bpf;  // owned
    struct cv_pins pins;    // owned
    struct cv_guard guard;  // owned; of the pinned iterator, which would outlive us
    struct cv_variants variants;
    struct bpf_link *links[CV_VARIANTS_MAX];  // owned
    uint32_t link_count;
    uint32_t program_count;
    uint32_t program_off_count;
    uint32_t target_count;
    char stats_path[sizeof(((struct cv_running *)0)->stats_path)];  // of the server before
    char summary[512];
};

// Maps that users look at, and the level from which on they exist.
struct pinned {
    const char *name;
    uint32_t level_min;
};

static const struct pinned pinned_maps[] = {
    {"worker_stats", 1},    {"profile_info", 1}, {"syscall_stats", 2}, {"other_syscall_stats", 2},
    {"syscall_latency", 3}, {"uring_stats", 1},  {"uring_latency", 3}, {"sched_stats", 1},
    {"runq_latency", 1},    {"net_stats", 1},    {"drop_reasons", 1},
};

// Maps that only some levels use, and those of programs that are not ours to load.
static const struct pinned other_maps[] = {
    {"covet_starts", 3},
    {"covet_timed", 3},
};

static char last_complaint[256];  // libbpf's, for the message of what nobody foresaw

static int keep_complaint(enum libbpf_print_level level, const char *format, va_list arguments) {
    if (level == LIBBPF_WARN) {
        vsnprintf(last_complaint, sizeof(last_complaint), format, arguments);
        last_complaint[strcspn(last_complaint, "\n")] = '\0';
    }
    return 0;
}

static bool has_capability(unsigned capability) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
    return syscall(SYS_capget, &header, data) == 0 &&
           (data[capability / 32].effective & (1u << (capability % 32))) != 0;
}

static bool has_rights(void) {
    return has_capability(CAP_SYS_ADMIN) ||
           (has_capability(CAP_BPF) && has_capability(CAP_PERFMON));
}

static enum cv_attach_error explain_rights(char *message, size_t message_bytes) {
    if (has_rights()) {
        snprintf(
            message, message_bytes,
            "bpf(2) is refused although the capabilities are there: a container's seccomp "
            "profile, a user namespace or kernel lockdown forbids it; run on the host as root");
    } else {
        bool may_load = has_capability(CAP_BPF), may_trace = has_capability(CAP_PERFMON);
        snprintf(message, message_bytes, "bpf(2) is refused: needs %s%s%s; run as root (sudo)",
                 may_load ? "" : "CAP_BPF", may_load || may_trace ? "" : " and ",
                 may_trace ? "" : "CAP_PERFMON");
    }
    return CV_ATTACH_NO_RIGHTS;
}

static enum cv_attach_error explain(int status, const char *step, char *message,
                                    size_t message_bytes) {
    if (status == -EPERM) {
        return explain_rights(message, message_bytes);
    }
    snprintf(message, message_bytes, "%s: %s%s%s", step, strerror(-status),
             last_complaint[0] != '\0' ? ": " : "", last_complaint);
    return CV_ATTACH_FAILED;
}

static enum cv_attach_error explain_pins(const char *path, int status, pid_t holder_pid,
                                         char *message, size_t message_bytes) {
    if (status == -EBUSY) {
        snprintf(message, message_bytes,
                 "%s belongs to the profiler with pid %d; end it, or choose another --pin-dir",
                 path, (int)holder_pid);
        return CV_ATTACH_HELD;
    }
    if (status == -EUSERS) {
        snprintf(message, message_bytes,
                 "%s is another user's: remove it, or choose another --pin-dir", path);
        return CV_ATTACH_FAILED;
    }
    if (status == -EMEDIUMTYPE || status == -ENOENT) {
        snprintf(message, message_bytes,
                 "%s is not on a bpffs and none can be mounted there: mount -t bpf bpf /sys/fs/bpf",
                 path);
        return CV_ATTACH_NO_BPFFS;
    }
    snprintf(message, message_bytes, "%s: %s", path, strerror(-status));
    return status == -EPERM || status == -EACCES ? CV_ATTACH_NO_RIGHTS : CV_ATTACH_FAILED;
}

// Programs and maps.
static struct bpf_program *program_at(const struct cv_attach *self, size_t index) {
    struct bpf_program *program =
        bpf_object__find_program_by_name(self->bpf->obj, cv_variants_program(index));
    CV_ASSERT(program != NULL);
    return program;
}

static void summarize(struct cv_attach *self) {
    FILE *out = fmemopen(self->summary, sizeof(self->summary), "w");
    if (out == NULL) {
        return;
    }
    fprintf(out, "%u programs", self->program_count);
    const char *separator = ", off: ";
    for (size_t i = 0; i < cv_variants_count(); i++) {
        const char *reason = cv_variants_reason(self->variants.state[i]);
        if (*reason != '\0') {
            fprintf(out, "%s%s (%s)", separator, cv_variants_event(i), reason);
            separator = ", ";
        }
    }
    (void)fclose(out);
    self->summary[sizeof(self->summary) - 1] = '\0';
}

static int choose(struct cv_attach *self) {
    struct btf *kernel = btf__load_vmlinux_btf();
    if (kernel == NULL) {
        return -errno;
    }
    cv_variants_choose(&self->variants, kernel, self->options.level);
    btf__free(kernel);
    for (size_t i = 0; i < cv_variants_count(); i++) {
        bool is_on = self->variants.state[i] == CV_VARIANT_ON;
        self->program_count += is_on;
        self->program_off_count += *cv_variants_reason(self->variants.state[i]) != '\0';
        (void)bpf_program__set_autoload(program_at(self, i), is_on);
    }
    return 0;
}

static void set_constants(struct cv_attach *self) {
    struct covet_bpf *bpf = self->bpf;
    bpf->rodata->covet_level = self->options.level;
    bpf->rodata->covet_drop_has_socket = self->variants.drop_has_socket;
    for (size_t i = 0; i < CV_VARIANTS_REASONS; i++) {
        bpf->rodata->covet_reasons[i] = self->variants.reasons[i];
    }
}

static void leave_maps_out(struct cv_attach *self, const struct pinned *maps, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct bpf_map *map = bpf_object__find_map_by_name(self->bpf->obj, maps[i].name);
        CV_ASSERT(map != NULL);
        (void)bpf_map__set_autocreate(map, self->options.level >= maps[i].level_min);
    }
}

static int pin_maps(struct cv_attach *self) {
    for (size_t i = 0; i < CV_ARRAY_COUNT(pinned_maps); i++) {
        const char *name = pinned_maps[i].name;
        if (self->options.level < pinned_maps[i].level_min) {
            continue;
        }
        int fd = bpf_object__find_map_fd_by_name(self->bpf->obj, name);
        int status = cv_pins_add(&self->pins, name, fd, self->options.readable);
        if (status < 0) {
            return status;
        }
    }
    return 0;
}

// The link of an iterator runs nothing until somebody reads its file.
static int pin_listeners(struct cv_attach *self) {
    struct bpf_program *program = self->bpf->progs.covet_listeners;
    if (!bpf_program__autoload(program)) {
        return 0;
    }
    struct bpf_link *link = bpf_program__attach_iter(program, NULL);
    if (link == NULL) {
        return -errno;
    }
    char path[PATH_MAX];
    int status = cv_pins_add(&self->pins, "listeners", bpf_link__fd(link), self->options.readable);
    bpf_link__destroy(link);
    (void)snprintf(path, sizeof(path), "%s/listeners", self->options.pin_dir);
    return status < 0 ? status : cv_guard_start(&self->guard, path);
}

static bool is_iterator(const char *event) {
    return strncmp(event, "bpf_iter_", strlen("bpf_iter_")) == 0;
}

static int attach_programs(struct cv_attach *self) {
    for (size_t i = 0; i < cv_variants_count(); i++) {
        if (self->variants.state[i] != CV_VARIANT_ON || is_iterator(cv_variants_event(i))) {
            continue;
        }
        struct bpf_link *link = bpf_program__attach(program_at(self, i));
        if (link == NULL) {
            return -errno;
        }
        self->links[self->link_count++] = link;
    }
    return 0;
}

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int write_info(const struct cv_attach *self, const struct covet_profile_info *info) {
    uint32_t zero = 0;
    int status = bpf_map__update_elem(self->bpf->maps.profile_info, &zero, sizeof(zero), info,
                                      sizeof(*info), BPF_ANY);
    return status;
}

static int begin_info(const struct cv_attach *self) {
    struct utsname system;
    struct covet_profile_info info = {
        .level = self->options.level,
        .abi_version = COVET_ABI_VERSION,
        .profiler_pid = (uint32_t)getpid(),
        .programs = self->program_count,
        .programs_off = self->program_off_count,
        .attached_ns = now_ns(),
        .attached_realtime = (uint64_t)time(NULL),
    };
    snprintf(info.version, sizeof(info.version), "%s", COVET_VERSION);
    if (uname(&system) == 0) {
        snprintf(info.kernel, sizeof(info.kernel), "%.31s", system.release);
    }
    return write_info(self, &info);
}

static int update_info(struct cv_attach *self, const struct cv_running *running) {
    uint32_t zero = 0;
    struct covet_profile_info info;
    int status = bpf_map__lookup_elem(self->bpf->maps.profile_info, &zero, sizeof(zero), &info,
                                      sizeof(info), 0);
    if (status < 0) {
        return status;
    }
    info.server_pid = (uint32_t)running->server_pid;
    info.supervisor_pid = (uint32_t)running->supervisor_pid;
    info.targets = self->target_count;
    return write_info(self, &info);
}

// Life.
static int load(struct cv_attach *self) {
    struct bpf_map *map;
    set_constants(self);
    leave_maps_out(self, pinned_maps, CV_ARRAY_COUNT(pinned_maps));
    leave_maps_out(self, other_maps, CV_ARRAY_COUNT(other_maps));
    bpf_object__for_each_map(map, self->bpf->obj) {
        if (strncmp(bpf_map__name(map), "covet_stack_", strlen("covet_stack_")) == 0) {
            (void)bpf_map__set_autocreate(map, false);
        }
    }
    return covet_bpf__load(self->bpf);
}

enum cv_attach_error cv_attach_open(struct cv_attach **attach,
                                    const struct cv_attach_options *options, char *message,
                                    size_t message_bytes) {
    CV_ASSERT(options->level >= 1 && options->level <= 3);
    enum cv_attach_error error;
    pid_t holder_pid = 0;
    struct cv_attach *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        return explain(-ENOMEM, "profiler", message, message_bytes);
    }
    self->options = *options;
    last_complaint[0] = '\0';
    libbpf_set_print(keep_complaint);

    // Loading costs a tenth of a second of CPU, so what forbids it is looked for first.
    if (!has_rights()) {
        error = explain_rights(message, message_bytes);
        goto fail_free;
    }
    if (access("/sys/kernel/btf/vmlinux", R_OK) < 0) {
        snprintf(message, message_bytes,
                 "no /sys/kernel/btf/vmlinux: needs a kernel with CONFIG_DEBUG_INFO_BTF");
        error = CV_ATTACH_NO_BTF;
        goto fail_free;
    }
    int status = cv_pins_open(&self->pins, options->pin_dir, options->readable, &holder_pid);
    if (status < 0) {
        error = explain_pins(options->pin_dir, status, holder_pid, message, message_bytes);
        goto fail_free;
    }
    self->bpf = covet_bpf__open();
    if (self->bpf == NULL) {
        error = explain(-errno, "programs", message, message_bytes);
        goto fail_pins;
    }
    if ((status = choose(self)) < 0 || (status = load(self)) < 0) {
        error = explain(status, "loading programs", message, message_bytes);
        goto fail_bpf;
    }
    if ((status = begin_info(self)) < 0 || (status = pin_maps(self)) < 0 ||
        (status = pin_listeners(self)) < 0 || (status = attach_programs(self)) < 0) {
        error = explain(status, "attaching programs", message, message_bytes);
        goto fail_links;
    }
    summarize(self);
    *attach = self;
    return CV_ATTACH_OK;

fail_links:
    for (uint32_t i = 0; i < self->link_count; i++) {
        bpf_link__destroy(self->links[i]);
    }
    cv_guard_end(&self->guard);
fail_bpf:
    covet_bpf__destroy(self->bpf);
fail_pins:
    cv_pins_close(&self->pins, false);
fail_free:
    free(self);
    return error;
}

const char *cv_attach_summary(const struct cv_attach *attach) {
    return attach->summary;
}

struct covet_bpf *cv_attach_skeleton(struct cv_attach *attach) {
    return attach->bpf;
}

void cv_attach_close(struct cv_attach *attach) {
    if (attach == NULL) {
        return;
    }
    for (uint32_t i = 0; i < attach->link_count; i++) {
        bpf_link__destroy(attach->links[i]);
    }
    cv_guard_end(&attach->guard);
    cv_pins_close(&attach->pins, attach->options.keep);
    covet_bpf__destroy(attach->bpf);
    free(attach);
}

int cv_attach_clean(const char *pin_dir, int *holder_pid) {
    return cv_pins_clean(pin_dir, holder_pid);
}

// Following.
static void set_target(struct cv_attach *self, uint32_t tgid) {
    __atomic_store_n(&self->bpf->data->covet_target.tgid, tgid, __ATOMIC_SEQ_CST);
}

static void forget_threads(struct cv_attach *self) {
    memset(self->bpf->bss->covet_threads, 0, sizeof(self->bpf->bss->covet_threads));
    for (uint32_t i = 0; i < COVET_WORKERS_MAX; i++) {
        self->bpf->bss->covet_workers[i].owner = 0;
        self->bpf->bss->covet_workers[i].requests_address = 0;
    }
}

// The kernel's thread that serves another is told by the other's number, so all are looked at
// twice.
static int find_server(struct cv_attach *self, const struct cv_running *running) {
    struct stat pid_namespace;
    if (stat("/proc/self/ns/pid", &pid_namespace) < 0) {
        return -errno;
    }
    self->bpf->bss->covet_scan.pid = (uint32_t)running->server_pid;
    self->bpf->bss->covet_scan.pid_namespace = (uint32_t)pid_namespace.st_ino;
    self->bpf->bss->covet_scan.tgid = 0;
    self->bpf->bss->covet_scan.net = 0;
    for (int i = 0; i < 2; i++) {
        int status = cv_iterator_run(self->bpf->progs.covet_scan_tasks, running->server_pid);
        if (status < 0) {
            return status;
        }
    }
    return self->bpf->bss->covet_scan.tgid == 0 ? -ESRCH : 0;
}

// A worker's requests count from the profiler's coming. Counter pages outlive servers, but not
// supervisors: with new pages they go on from what was counted so far.
static void set_requests_base(struct cv_attach *self, const struct cv_stats *stats, uint32_t index,
                              bool is_known) {
    if (is_known) {
        return;
    }
    struct covet_worker_stats line = {0};
    (void)bpf_map__lookup_elem(self->bpf->maps.worker_stats, &index, sizeof(index), &line,
                               sizeof(line), 0);
    self->bpf->bss->covet_workers[index].requests_base =
        cv_counter_read(cv_stats_worker(stats, index), COVET_COUNTER_REQUESTS) - line.requests;
}

static void find_counters(struct cv_attach *self, const struct cv_running *running) {
    struct cv_stats stats;
    struct stat file;
    if (cv_stats_open(&stats, running->stats_path) < 0) {
        return;
    }
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    self->bpf->bss->covet_scan.address = 0;
    self->bpf->bss->covet_scan.file_bytes = (stats.header->total_bytes + page - 1) / page * page;
    if (stat(running->stats_path, &file) == 0) {
        self->bpf->bss->covet_scan.file = file.st_ino;
        (void)cv_iterator_run(self->bpf->progs.covet_scan_memory, running->server_pid);
    }
    uint64_t address = self->bpf->bss->covet_scan.address;
    bool is_known = strcmp(self->stats_path, running->stats_path) == 0;
    for (uint32_t i = 0; address != 0 && i < stats.worker_count; i++) {
        set_requests_base(self, &stats, i, is_known);
        self->bpf->bss->covet_workers[i].requests_address =
            address + sizeof(*stats.header) + (uint64_t)i * sizeof(struct covet_stats_worker) +
            offsetof(struct covet_stats_worker, counter[COVET_COUNTER_REQUESTS]);
    }
    if (address != 0) {
        snprintf(self->stats_path, sizeof(self->stats_path), "%s", running->stats_path);
    }
    cv_stats_close(&stats);
}

static void set_ports(struct cv_attach *self, const struct cv_running *running) {
    uint64_t ports[65536 / 64] = {0};
    for (uint32_t i = 0; i < running->port_count; i++) {
        ports[running->ports[i] / 64] |= 1ull << (running->ports[i] % 64);
    }
    memcpy(self->bpf->data->covet_target.ports, ports, sizeof(ports));
    self->bpf->data->covet_target.net = self->bpf->bss->covet_scan.net;
}

int cv_attach_follow(struct cv_attach *attach, const struct cv_running *running) {
    set_target(attach, COVET_NO_TGID);
    if (running->server_pid == 0) {
        return update_info(attach, running);
    }
    forget_threads(attach);
    int status = find_server(attach, running);
    if (status < 0) {
        return status;
    }
    find_counters(attach, running);
    set_ports(attach, running);
    attach->target_count++;
    set_target(attach, attach->bpf->bss->covet_scan.tgid);
    return update_info(attach, running);
}
