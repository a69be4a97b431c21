/* The table of threads: who is who, from birth or first sight to exit. */
#include "threads.h"

/* include/linux/sched.h */
#define PF_EXITING 0x4u
#define PF_IO_WORKER 0x10u /* io-wq's and SQPOLL's */

const volatile uint32_t covet_level = 1;
struct covet_target covet_target = {.tgid = COVET_NO_TGID};
struct covet_thread covet_threads[COVET_THREADS_MAX];
struct covet_worker covet_workers[COVET_WORKERS_MAX];

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, COVET_WORKERS_MAX);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, uint32_t);
    __type(value, struct covet_worker_stats);
} worker_stats SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1);
    __type(key, uint32_t);
    __type(value, struct covet_profile_info);
} profile_info SEC(".maps");

extern int covet_syscalls_begin(uint32_t worker);
extern int covet_sched_begin(uint32_t worker);

/* The decimal number that is all of `text` from `at` on; UINT32_MAX when it is none. */
static __always_inline uint32_t number_at(const char *text, uint32_t at) {
    uint64_t number = 0;
    uint32_t i = at;
    for (; i < COVET_THREAD_NAME_BYTES && text[i] != '\0'; i++) {
        uint32_t digit = (uint32_t)(uint8_t)text[i] - '0';
        if (digit > 9)
            return UINT32_MAX;
        number = number * 10 + digit;
    }
    return i == at || number > UINT32_MAX ? UINT32_MAX : (uint32_t)number;
}

static __always_inline bool begins_with(const char *text, const char *prefix, uint32_t length) {
    for (uint32_t i = 0; i < length; i++) {
        if (text[i] != prefix[i])
            return false;
    }
    return true;
}

static __always_inline void begin_worker(struct covet_thread *thread, uint32_t index,
                                         const struct covet_thread_name *name) {
    struct covet_worker_stats zero = {};
    struct covet_worker_stats *stats = covet_entry(&worker_stats, &index, &zero);
    if (stats == NULL)
        return;
    __builtin_memcpy(stats->name, name->text, sizeof(stats->name));
    stats->thread_id = thread->tid;
    covet_sched_begin(index);
    covet_syscalls_begin(index);
}

/* Threads are known by their names. A thread inherits that of its creator, so an index belongs to
 * the first that has it, until it ends. The kernel's threads bear the number of the one they serve.
 */
static __always_inline void identify(struct covet_thread *thread, uint32_t flags,
                                     const struct covet_thread_name *name) {
    uint32_t tid = thread->tid;
    enum covet_role role = tid == covet_target.tgid ? COVET_MAIN : COVET_OTHER;
    uint32_t worker = COVET_WORKERS_MAX;
    uint32_t number;

    if (flags & PF_IO_WORKER) {
        role = begins_with(name->text, "iou-sqp-", 8) ? COVET_SQPOLL : COVET_IO_WQ;
        number = number_at(name->text, 8);
        struct covet_thread *served = number == UINT32_MAX ? NULL : covet_thread_find(number);
        if (served != NULL)
            worker = served->worker;
    } else if (begins_with(name->text, "covet-w", 7)) {
        number = number_at(name->text, 7);
        if (number < COVET_WORKERS_MAX) {
            uint32_t *owner = &covet_workers[number & (COVET_WORKERS_MAX - 1)].owner;
            uint32_t before = __sync_val_compare_and_swap(owner, 0, tid);
            if (before == 0 || before == tid) {
                role = COVET_WORKER;
                worker = number;
            }
        }
    }
    /* A worker that is renamed gives its index up. */
    uint32_t old = thread->worker;
    if (thread->role == COVET_WORKER && old != worker && old < COVET_WORKERS_MAX)
        covet_workers[old & (COVET_WORKERS_MAX - 1)].owner = 0;
    thread->role = role;
    thread->worker = worker;
    if (role == COVET_WORKER)
        begin_worker(thread, worker, name);
}

/* A place for `tid`: its own, or one that is free. Only the thread itself and, before anything is
 * measured, the profiler's iterator come here, so no two look for a place for the same thread. */
static __always_inline int claim(uint32_t tid) {
    uint32_t home = covet_thread_home(tid);
    int known = covet_thread_index(tid);
    if (known >= 0)
        return known;
    for (uint32_t i = 0; i < COVET_THREAD_PROBES; i++) {
        uint32_t index = (home + i) & (COVET_THREADS_MAX - 1);
        struct covet_thread *thread = &covet_threads[index];
        if (__sync_val_compare_and_swap(&thread->tid, 0, tid) == 0) {
            thread->role = COVET_OTHER;
            thread->worker = COVET_WORKERS_MAX;
            thread->syscall = COVET_NO_SYSCALL;
            thread->on_ns = thread->off_ns = thread->woken_ns = 0;
            return (int)index;
        }
    }
    return -1;
}

__noinline int covet_thread_add(uint32_t tid, uint32_t flags, struct covet_thread_name *name) {
    int index = tid == 0 || name == NULL ? -1 : claim(tid);
    if (index < 0)
        return -1;
    identify(covet_thread_at(index), flags, name);
    return index;
}

/* One that is ending would never be taken out again. */
__noinline int covet_thread_add_current(void) {
    const struct task_struct *task = (void *)bpf_get_current_task_btf();
    struct covet_thread_name name = {};
    if (task->flags & PF_EXITING)
        return -1;
    bpf_get_current_comm(&name, sizeof(name));
    return covet_thread_add((uint32_t)task->pid, task->flags, &name);
}

__noinline int covet_worker_publish(uint32_t index) {
    if (index >= COVET_WORKERS_MAX)
        return 0;
    struct covet_worker *worker = &covet_workers[index];
    struct covet_worker_stats *stats = bpf_map_lookup_elem(&worker_stats, &index);
    uint64_t requests;

    if (stats == NULL)
        return 0;
    if (worker->requests_address != 0 &&
        bpf_probe_read_user(&requests, sizeof(requests), (void *)worker->requests_address) == 0)
        stats->requests = requests - worker->requests_base;
    stats->cpu = bpf_get_smp_processor_id();
    stats->completions = worker->completions + worker->completions_elsewhere;
    if (covet_level < 2)
        return 0;
    stats->syscalls = worker->syscalls;
    stats->io_uring_enters = worker->enters;
    if (stats->requests != 0)
        stats->syscalls_per_1000_requests = stats->syscalls * 1000 / stats->requests;
    if (stats->io_uring_enters != 0)
        stats->completions_per_100_enters = stats->completions * 100 / stats->io_uring_enters;
    return 0;
}

/* The event comes before the change: what is the new name is its argument. */
SEC("tp_btf/task_rename")
int covet_task_rename(uint64_t *ctx) {
    const struct task_struct *task = (void *)ctx[0];
    struct covet_thread_name name = {};
    if ((uint32_t)task->tgid != covet_target.tgid)
        return 0;
    bpf_probe_read_kernel_str(&name, sizeof(name), (void *)ctx[1]);
    covet_thread_add((uint32_t)task->pid, task->flags, &name);
    return 0;
}

/* What a thread does while it ends nobody counts. */
SEC("tp_btf/sched_process_exit")
int covet_process_exit(uint64_t *ctx) {
    const struct task_struct *task = (void *)ctx[0];
    if ((uint32_t)task->tgid != covet_target.tgid)
        return 0;
    struct covet_thread *thread = covet_thread_find((uint32_t)task->pid);
    if (thread == NULL)
        return 0;
    if (thread->role == COVET_WORKER && thread->worker < COVET_WORKERS_MAX)
        covet_workers[thread->worker & (COVET_WORKERS_MAX - 1)].owner = 0;
    thread->tid = 0;
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
