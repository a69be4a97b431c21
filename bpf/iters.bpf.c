/* Iterators: programs that the profiler (or `cat listeners`) runs, none that anything else pays
 * for. They find what /proc would tell only to those who may trace the server. */
#include "threads.h"

#define NAMESPACE_LEVELS_MAX 32u /* MAX_PID_NS_LEVEL */
#define TCP_LISTEN 10

struct covet_scan covet_scan;

static __always_inline bool is_wanted(const struct task_struct *leader) {
    const struct pid *pid = leader->thread_pid;
    if (pid == NULL)
        return false;
    uint32_t deepest = pid->level;
    for (uint32_t level = 0; level <= NAMESPACE_LEVELS_MAX && level <= deepest; level++) {
        struct upid number;
        struct pid_namespace *space;
        unsigned int inum;
        if (bpf_core_read(&number, sizeof(number), &pid->numbers[level]) != 0)
            return false;
        space = number.ns;
        if (BPF_CORE_READ_INTO(&inum, space, ns.inum) == 0 && inum == covet_scan.pid_namespace)
            return (uint32_t)number.nr == covet_scan.pid;
    }
    return false;
}

SEC("iter/task")
int covet_scan_tasks(struct bpf_iter__task *ctx) {
    const struct task_struct *task = ctx->task;
    struct covet_thread_name name = {};

    if (task == NULL || !is_wanted(task->group_leader))
        return 0;
    covet_scan.tgid = (uint32_t)task->tgid;
    if (task->nsproxy != NULL)
        covet_scan.net = (uint64_t)task->nsproxy->net_ns;
    bpf_probe_read_kernel(&name, sizeof(name), task->comm);
    if (covet_thread_add((uint32_t)task->pid, task->flags, &name) >= 0)
        covet_scan.threads++;
    return 0;
}

SEC("iter/task_vma")
int covet_scan_memory(struct bpf_iter__task_vma *ctx) {
    const struct task_struct *task = ctx->task;
    const struct vm_area_struct *area = ctx->vma;

    if (task == NULL || area == NULL || (uint32_t)task->tgid != covet_scan.tgid ||
        area->vm_file == NULL || area->vm_pgoff != 0 ||
        area->vm_end - area->vm_start != covet_scan.file_bytes)
        return 0;
    if (area->vm_file->f_inode->i_ino == covet_scan.file)
        covet_scan.address = area->vm_start;
    return 0;
}

SEC("iter/tcp")
int covet_listeners(struct bpf_iter__tcp *ctx) {
    struct sock_common *common = ctx->sk_common;
    struct seq_file *out = ctx->meta->seq;

    if (ctx->meta->seq_num == 0)
        BPF_SEQ_PRINTF(out, "port     queue    max      drops\n");
    if (common == NULL || common->skc_state != TCP_LISTEN)
        return 0;
    uint16_t port = common->skc_num;
    if ((uint64_t)common->skc_net.net != covet_target.net ||
        (covet_target.ports[port / 64] & (1ull << (port % 64))) == 0)
        return 0;
    const struct sock *sk = (void *)bpf_skc_to_tcp_sock(common);
    if (sk != NULL)
        BPF_SEQ_PRINTF(out, "%-8u %-8u %-8u %u\n", port, sk->sk_ack_backlog, sk->sk_max_ack_backlog,
                       sk->sk_drops.counter);
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
