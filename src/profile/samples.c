#include "profile/samples.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "profile/iterator.h"
#include "profile/skeleton.h"

// What runs a program.
struct clock {
    struct bpf_link *link;  // owned; NULL for a core that is off
};

struct cv_samples {
    struct covet_bpf *bpf;  // owned
    struct clock *clocks;   // owned, one per core, or the one switch of threads
    int clock_count;
    int stats_fd;  // owned; as long as it is open the kernel measures programs. -1: it does not
    struct ring_buffer *ring;  // owned
    cv_samples_fn on_record;   // of the cv_samples_read that runs
    void *context;
};

static int be_silent(enum libbpf_print_level level, const char *format, va_list arguments) {
    (void)level;
    (void)format;
    (void)arguments;
    return 0;
}

static int on_ring_record(void *context, void *data, size_t bytes) {
    const struct cv_samples *samples = context;
    const struct covet_stack_record *record = data;

    (void)bytes;
    samples->on_record(samples->context, record);
    return 0;
}

static int explain(int error, char *message, size_t message_bytes) {
    switch (error) {
    case -EPERM:
    case -EACCES:
        snprintf(message, message_bytes,
                 "the kernel refuses BPF programs: needs CAP_BPF and CAP_PERFMON; try sudo");
        return -EPERM;
    case -ENOENT:
    case -ESRCH:
    case -EINVAL:
        snprintf(
            message, message_bytes,
            "this kernel cannot: needs BPF type information (/sys/kernel/btf/vmlinux) and Linux "
            "5.18 or newer");
        return -EOPNOTSUPP;
    default:
        snprintf(message, message_bytes, "BPF programs: %s", strerror(-error));
        return error;
    }
}

// Ours alone of the programs; the others are for an attached profiler. Maps are made all, for the
// few that are needed by the one that finds the server are not told apart, and hold nothing.
static void choose(struct covet_bpf *bpf, bool off_cpu) {
    struct bpf_program *program;

    bpf_object__for_each_program(program, bpf->obj) {
        bool is_wanted = off_cpu ? program == bpf->progs.covet_stack_switch ||
                                       program == bpf->progs.covet_stack_find_asleep
                                 : program == bpf->progs.covet_stack_sample;
        bpf_program__set_autoload(program, is_wanted || program == bpf->progs.covet_scan_tasks);
    }
}

// The server's number in the initial PID namespace, which is the one the kernel's side sees.
static int find_server(struct covet_bpf *bpf, pid_t pid) {
    struct stat pid_namespace;

    if (stat("/proc/self/ns/pid", &pid_namespace) != 0)
        return -errno;
    bpf->bss->covet_scan.pid = (uint32_t)pid;
    bpf->bss->covet_scan.pid_namespace = (uint32_t)pid_namespace.st_ino;
    int error = cv_iterator_run(bpf->progs.covet_scan_tasks, pid);
    if (error == 0 && bpf->bss->covet_scan.tgid == 0)
        error = -ESRCH;
    if (error == 0)
        bpf->data->covet_target.tgid = bpf->bss->covet_scan.tgid;
    return error;
}

static int load(struct cv_samples *samples, const struct cv_samples_options *options, char *message,
                size_t message_bytes) {
    libbpf_print_fn_t print = libbpf_set_print(be_silent);
    int error;

    samples->bpf = covet_bpf__open();
    error = samples->bpf == NULL ? -errno : 0;
    if (error == 0) {
        choose(samples->bpf, options->off_cpu);
        error = bpf_map__set_max_entries(samples->bpf->maps.covet_stack_scratch,
                                         (uint32_t)libbpf_num_possible_cpus());
    }
    if (error == 0) {
        error = covet_bpf__load(samples->bpf);
    }
    libbpf_set_print(print);
    if (error != 0)
        return explain(error, message, message_bytes);
    error = find_server(samples->bpf, options->server_pid);
    if (error == -ESRCH)
        snprintf(message, message_bytes, "process %d is gone", (int)options->server_pid);
    if (error != 0)
        return message[0] != '\0' ? error : explain(error, message, message_bytes);
    samples->ring = ring_buffer__new(bpf_map__fd(samples->bpf->maps.covet_stack_ring),
                                     on_ring_record, samples, NULL);
    return samples->ring == NULL ? -errno : 0;
}

// A clock of its own on each core: its interrupts find whoever runs there.
static int open_clock(int cpu, uint32_t hz) {
    struct perf_event_attr attributes = {
        .size = sizeof(attributes),
        .type = PERF_TYPE_SOFTWARE,
        .config = PERF_COUNT_SW_CPU_CLOCK,
        .freq = 1,
        .sample_freq = hz,
    };
    long fd = syscall(SYS_perf_event_open, &attributes, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);

    return fd < 0 ? -errno : (int)fd;
}

static int explain_clock(int error, uint32_t hz, char *message, size_t message_bytes) {
    if (error == -EPERM || error == -EACCES) {
        snprintf(
            message, message_bytes,
            "perf_event_open is refused: needs CAP_PERFMON, or kernel.perf_event_paranoid at 0 "
            "(sysctl); try sudo");
        return -EPERM;
    }
    if (error == -EINVAL) {
        snprintf(
            message, message_bytes,
            "%u samples per second are more than kernel.perf_event_max_sample_rate allows; take a "
            "lower -F",
            hz);
        return error;
    }
    snprintf(message, message_bytes, "perf_event_open: %s", strerror(-error));
    return error;
}

static int attach_clocks(struct cv_samples *samples, uint32_t hz, char *message,
                         size_t message_bytes) {
    int cpu_count = libbpf_num_possible_cpus();
    int attached = 0, error = 0;

    samples->clocks = calloc((size_t)CV_MAX(cpu_count, 1), sizeof(*samples->clocks));
    if (samples->clocks == NULL)
        return -ENOMEM;
    samples->clock_count = CV_MAX(cpu_count, 0);
    for (int cpu = 0; cpu < cpu_count; cpu++) {
        int fd = open_clock(cpu, hz);
        if (fd == -ENODEV)
            continue;  // The core is off.
        if (fd < 0)
            return explain_clock(fd, hz, message, message_bytes);
        samples->clocks[cpu].link =
            bpf_program__attach_perf_event(samples->bpf->progs.covet_stack_sample, fd);
        if (samples->clocks[cpu].link == NULL) {
            error = -errno;
            close(fd);
            return explain_clock(error, hz, message, message_bytes);
        }
        attached++;
    }
    return attached > 0 ? 0 : explain_clock(-ENODEV, hz, message, message_bytes);
}

static int attach_switches(struct cv_samples *samples, pid_t pid, char *message,
                           size_t message_bytes) {
    samples->clocks = calloc(1, sizeof(*samples->clocks));
    if (samples->clocks == NULL)
        return -ENOMEM;
    samples->clock_count = 1;
    samples->clocks[0].link = bpf_program__attach(samples->bpf->progs.covet_stack_switch);
    int error = samples->clocks[0].link == NULL
                    ? -errno
                    : cv_iterator_run(samples->bpf->progs.covet_stack_find_asleep, pid);
    return error == 0 ? 0 : explain(error, message, message_bytes);
}

int cv_samples_open(struct cv_samples **samples, const struct cv_samples_options *options,
                    char *message, size_t message_bytes) {
    struct cv_samples *made = calloc(1, sizeof(*made));

    if (made == NULL) {
        snprintf(message, message_bytes, "out of memory");
        return -ENOMEM;
    }
    message[0] = '\0';
    made->stats_fd = -1;
    int error = load(made, options, message, message_bytes);
    if (error == 0) {
        made->stats_fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
        error = options->off_cpu
                    ? attach_switches(made, options->server_pid, message, message_bytes)
                    : attach_clocks(made, options->hz, message, message_bytes);
    }
    if (error != 0) {
        if (message[0] == '\0')
            snprintf(message, message_bytes, "%s", strerror(-error));
        cv_samples_close(made);
        return error;
    }
    *samples = made;
    return 0;
}

void cv_samples_stop(struct cv_samples *samples) {
    for (int i = 0; i < samples->clock_count; i++)
        bpf_link__destroy(samples->clocks[i].link);
    samples->clock_count = 0;
}

void cv_samples_close(struct cv_samples *samples) {
    if (samples == NULL)
        return;
    cv_samples_stop(samples);
    free(samples->clocks);
    ring_buffer__free(samples->ring);
    if (samples->stats_fd >= 0)
        close(samples->stats_fd);
    covet_bpf__destroy(samples->bpf);
    free(samples);
}

void cv_samples_read(struct cv_samples *samples, cv_samples_fn on_record, void *context) {
    samples->on_record = on_record;
    samples->context = context;
    (void)ring_buffer__consume(samples->ring);
}

void cv_samples_set_top(struct cv_samples *samples, uint32_t thread_id, uint64_t top) {
    // Without it stacks are copied all the same, only more of them.
    (void)bpf_map__update_elem(samples->bpf->maps.covet_stack_tops, &thread_id, sizeof(thread_id),
                               &top, sizeof(top), BPF_ANY);
}

uint64_t cv_samples_lost(const struct cv_samples *samples) {
    return samples->bpf->bss->covet_stack_lost;
}

uint64_t cv_samples_cost_ns(const struct cv_samples *samples) {
    struct bpf_program *program;
    uint64_t sum_ns = 0;

    bpf_object__for_each_program(program, samples->bpf->obj) {
        struct bpf_prog_info info = {0};
        uint32_t bytes = sizeof(info);
        int fd = bpf_program__fd(program);
        if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &bytes) == 0)
            sum_ns += info.run_time_ns;
    }
    return sum_ns;
}
