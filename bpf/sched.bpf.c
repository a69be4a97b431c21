/* Where the workers' time goes. All of a thread's numbers are written where it leaves and enters a
 * core, so by one core at a time; a wakeup leaves no more than its moment. */
#include "sched.h"
#include "threads.h"

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, COVET_WORKERS_MAX);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, uint32_t);
    __type(value, struct covet_sched_stats);
} sched_stats SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, COVET_WORKERS_MAX);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, uint32_t);
    __type(value, struct covet_latency);
} runq_latency SEC(".maps");

__noinline int covet_sched_begin(uint32_t worker) {
    struct covet_sched_stats no_stats = {};
    struct covet_latency no_latency = {};
    bpf_map_update_elem(&sched_stats, &worker, &no_stats, BPF_NOEXIST);
    bpf_map_update_elem(&runq_latency, &worker, &no_latency, BPF_NOEXIST);
    return 0;
}

static __always_inline void leave_core(struct covet_thread *thread, bool asleep, uint64_t now) {
    uint64_t on_ns = thread->on_ns;
    thread->on_ns = 0;
    thread->off_ns = now;
    thread->woken_ns = 0;
    thread->is_asleep = asleep;
    if (thread->role != COVET_WORKER)
        return;
    covet_uring_flush(thread->worker);
    struct covet_sched_stats *stats = bpf_map_lookup_elem(&sched_stats, &thread->worker);
    if (stats == NULL)
        return;
    if (asleep)
        stats->voluntary_switches++;
    else
        stats->involuntary_switches++;
    if (on_ns != 0)
        stats->running_ns += now - on_ns;
    if (covet_level < 2)
        covet_worker_publish(thread->worker);
}

static __always_inline void enter_core(struct covet_thread *thread, uint64_t now) {
    uint64_t off_ns = thread->off_ns, woken_ns = thread->woken_ns;
    uint32_t cpu = bpf_get_smp_processor_id();
    bool moved = off_ns != 0 && thread->cpu != cpu;

    thread->on_ns = now;
    thread->cpu = cpu;
    if (off_ns == 0)
        return;
    thread->syscall_off_ns += now - off_ns;
    if (thread->role != COVET_WORKER)
        return;
    /* Woken before it was off the core, or without our seeing it: it did not wait for the core. */
    uint64_t runnable_ns = !thread->is_asleep ? off_ns : woken_ns > off_ns ? woken_ns : now;
    uint64_t runq_ns = now - runnable_ns;
    struct covet_sched_stats *stats = bpf_map_lookup_elem(&sched_stats, &thread->worker);
    struct covet_latency *latency = bpf_map_lookup_elem(&runq_latency, &thread->worker);
    if (latency != NULL)
        covet_latency_add(latency, runq_ns);
    if (stats == NULL)
        return;
    stats->migrations += moved;
    stats->waiting_ns += runnable_ns - off_ns;
    stats->runq_ns += runq_ns;
    if (runq_ns > stats->max_runq_ns)
        stats->max_runq_ns = runq_ns;
}

SEC("tp_btf/sched_switch")
int covet_sched_switch(uint64_t *ctx) {
    bool preempted = ctx[0];
    const struct task_struct *previous = (void *)ctx[1], *next = (void *)ctx[2];
    uint32_t tgid = covet_target.tgid;
    if ((uint32_t)previous->tgid == tgid) {
        struct covet_thread *thread = covet_thread_find((uint32_t)previous->pid);
        if (thread != NULL)
            leave_core(thread, !preempted && previous->__state != 0, bpf_ktime_get_ns());
    }
    if ((uint32_t)next->tgid == tgid) {
        struct covet_thread *thread = covet_thread_find((uint32_t)next->pid);
        if (thread != NULL)
            enter_core(thread, bpf_ktime_get_ns());
    }
    return 0;
}

static __always_inline int wake(const struct task_struct *task) {
    if ((uint32_t)task->tgid != covet_target.tgid)
        return 0;
    struct covet_thread *thread = covet_thread_find((uint32_t)task->pid);
    if (thread != NULL)
        thread->woken_ns = bpf_ktime_get_ns();
    return 0;
}

SEC("tp_btf/sched_wakeup")
int covet_sched_wakeup(uint64_t *ctx) {
    return wake((void *)ctx[0]);
}

SEC("tp_btf/sched_wakeup_new")
int covet_sched_wakeup_new(uint64_t *ctx) {
    return wake((void *)ctx[0]);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
