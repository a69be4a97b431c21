/* System calls of the server's threads. The time of a call is split: io_uring_enter mostly waits,
 * and what it costs is the rest. How long its thread was off the core sched.bpf.c says. */
#include "syscalls.h"
#include "threads.h"

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16384);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct covet_syscall_key);
    __type(value, struct covet_syscall_stats);
} syscall_stats SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 2048);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct covet_other_syscall_key);
    __type(value, struct covet_syscall_stats);
} other_syscall_stats SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16384);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct covet_syscall_key);
    __type(value, struct covet_latency);
} syscall_latency SEC(".maps");

static const struct covet_syscall_stats no_stats;
static const struct covet_latency no_latency;

static __always_inline void begin_entry(uint32_t worker, enum covet_syscall syscall) {
    struct covet_syscall_key key = {.worker = worker, .syscall = syscall};
    bpf_map_update_elem(&syscall_stats, &key, &no_stats, BPF_NOEXIST);
}

/* What an io_uring server calls, and what it never calls. */
__noinline int covet_syscalls_begin(uint32_t worker) {
    if (covet_level < 2)
        return 0;
    begin_entry(worker, SYS_io_uring_enter);
    begin_entry(worker, SYS_read);
    begin_entry(worker, SYS_write);
    begin_entry(worker, SYS_sendto);
    begin_entry(worker, SYS_recvfrom);
    return 0;
}

static __always_inline bool is_error(long result) {
    return result < 0 && result >= -4095;
}

static __always_inline void count_worker(uint32_t index, uint32_t syscall, uint64_t total_ns,
                                         uint64_t blocked_ns, long result) {
    struct covet_worker *worker = &covet_workers[index & (COVET_WORKERS_MAX - 1)];
    struct covet_syscall_key key = {.worker = index, .syscall = syscall};
    struct covet_syscall_stats *stats = covet_entry(&syscall_stats, &key, &no_stats);
    uint64_t busy_ns = total_ns - blocked_ns;

    worker->syscalls++;
    if (syscall == SYS_io_uring_enter)
        worker->enters++;
    if (stats == NULL)
        return;
    stats->count++;
    stats->busy_ns += busy_ns;
    stats->blocked_ns += blocked_ns;
    stats->avg_busy_ns = stats->busy_ns / stats->count;
    if (busy_ns > stats->max_busy_ns)
        stats->max_busy_ns = busy_ns;
    if (is_error(result)) {
        stats->errors++;
        stats->last_error = result;
    }
    if (covet_level < 3)
        return;
    struct covet_latency *latency = covet_entry(&syscall_latency, &key, &no_latency);
    if (latency != NULL)
        covet_latency_add(latency, busy_ns);
}

/* Many threads may have one role, so these are atomic. */
static __always_inline void count_other(enum covet_role role, uint32_t syscall, uint64_t total_ns,
                                        uint64_t blocked_ns, long result) {
    struct covet_other_syscall_key key = {.role = role, .syscall = syscall};
    struct covet_syscall_stats *stats = covet_entry(&other_syscall_stats, &key, &no_stats);
    uint64_t busy_ns = total_ns - blocked_ns;

    if (stats == NULL)
        return;
    __sync_fetch_and_add(&stats->count, 1);
    __sync_fetch_and_add(&stats->busy_ns, busy_ns);
    __sync_fetch_and_add(&stats->blocked_ns, blocked_ns);
    if (stats->count != 0)
        stats->avg_busy_ns = stats->busy_ns / stats->count;
    if (busy_ns > stats->max_busy_ns)
        stats->max_busy_ns = busy_ns;
    if (is_error(result)) {
        __sync_fetch_and_add(&stats->errors, 1);
        stats->last_error = result;
    }
}

static __always_inline void count(struct covet_thread *thread, uint64_t total_ns, long result) {
    if (thread->role == COVET_WORKER)
        count_worker(thread->worker, thread->syscall, total_ns, thread->syscall_off_ns, result);
    else
        count_other(thread->role, thread->syscall, total_ns, thread->syscall_off_ns, result);
}

SEC("tp_btf/sys_enter")
int covet_sys_enter(uint64_t *ctx) {
    uint32_t number = (uint32_t)ctx[1];
    struct covet_thread *thread = covet_thread_current();
    if (thread == NULL)
        return 0;
    thread->syscall = number;
    thread->syscall_off_ns = 0;
    if (number == SYS_exit || number == SYS_exit_group) {
        count(thread, 0, 0);
        thread->syscall = COVET_NO_SYSCALL;
        return 0;
    }
    if (number == SYS_io_uring_enter && thread->role == COVET_WORKER)
        covet_worker_publish(thread->worker);
    thread->syscall_start_ns = bpf_ktime_get_ns();
    return 0;
}

SEC("tp_btf/sys_exit")
int covet_sys_exit(uint64_t *ctx) {
    long result = (long)ctx[1];
    struct covet_thread *thread = covet_thread_current();
    if (thread == NULL || thread->syscall == COVET_NO_SYSCALL)
        return 0;
    if (thread->syscall == SYS_io_uring_enter && thread->role == COVET_WORKER)
        covet_uring_flush(thread->worker);
    count(thread, bpf_ktime_get_ns() - thread->syscall_start_ns, result);
    thread->syscall = COVET_NO_SYSCALL;
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
