/* Samples of the server's threads, and their sleeps (covet-prof flame).
 *
 * Stacks are copied, not walked: what a worker's stack holds is a few kB, so that costs no more
 * than a walk along frame pointers, and can be unwound later by the tables every program has.
 */
#include "stacks.h"

#include "threads.h"

/* What a thread left user space with. */
struct pt_regs___user {
    unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, ip, sp;
} __attribute__((preserve_access_index));

/* Records that found the ring full. */
uint64_t covet_stack_lost;

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 16 << 20);
} covet_stack_ring SEC(".maps");

/* Where records are made, one for each core, whose number the profiler knows. They are of unknown
 * size until they are filled, and larger than a per-CPU map allows. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, uint32_t);
    __type(value, struct covet_stack_record);
} covet_stack_scratch SEC(".maps");

/* The iterator's own, since it may be interrupted, and moved to another core. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, uint32_t);
    __type(value, struct covet_stack_record);
} covet_stack_asleep SEC(".maps");

/* Where the stack of a thread ends, by thread, as the profiler learned from its first records. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, COVET_THREADS_MAX);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, uint32_t);
    __type(value, uint64_t);
} covet_stack_tops SEC(".maps");

static __always_inline void fill_head(struct covet_stack_head *head, uint32_t event,
                                      const struct task_struct *task) {
    head->event = event;
    head->thread_id = (uint32_t)task->pid;
    head->time_ns = bpf_ktime_get_ns();
}

/* Who it is, and its registers in the order of the unwinding tables. */
static __always_inline void fill_task(struct covet_stack_record *record, uint32_t event,
                                      struct task_struct *task) {
    const struct pt_regs___user *from = (void *)bpf_task_pt_regs(task);
    uint64_t *to = record->registers;

    fill_head(&record->head, event, task);
    bpf_probe_read_kernel(record->name, sizeof(record->name), task->comm);
    to[0] = from->ax;
    to[1] = from->dx;
    to[2] = from->cx;
    to[3] = from->bx;
    to[4] = from->si;
    to[5] = from->di;
    to[6] = from->bp;
    to[7] = from->sp;
    to[8] = from->r8;
    to[9] = from->r9;
    to[10] = from->r10;
    to[11] = from->r11;
    to[12] = from->r12;
    to[13] = from->r13;
    to[14] = from->r14;
    to[15] = from->r15;
    to[16] = from->ip;
    record->stack_start = from->sp & ~(uint64_t)(COVET_STACK_CHUNK_BYTES - 1);
    record->stack_top = 0;
}

static __always_inline void set_kernel_bytes(struct covet_stack_record *record, long bytes) {
    record->kernel_count = bytes > 0 ? (uint32_t)bytes / sizeof(record->kernel[0]) : 0;
}

/* `bytes` of stack[] are filled. The profiler looks often enough, and needs no waking. */
static __always_inline void send_record(struct covet_stack_record *record, uint32_t bytes) {
    if (bytes > sizeof(record->stack))
        return;
    record->stack_bytes = bytes;
    if (bpf_ringbuf_output(&covet_stack_ring, record,
                           offsetof(struct covet_stack_record, stack) + bytes,
                           BPF_RB_NO_WAKEUP) != 0)
        __sync_fetch_and_add(&covet_stack_lost, 1);
}

/* Where to stop; UINT64_MAX when that is not known, or when the thread is on another stack now. */
static __always_inline uint64_t find_top(struct covet_stack_record *record) {
    uint64_t *top = bpf_map_lookup_elem(&covet_stack_tops, &record->head.thread_id);

    record->stack_top = top == NULL ? 0 : *top;
    return record->stack_top > record->stack_start ? record->stack_top : UINT64_MAX;
}

/* A copy in the making: a loop that is verified once, however often it runs. */
struct copying {
    struct covet_stack_record *record;
    uint64_t top;
    uint32_t bytes;
};

/* Chunks are aligned, so none of them reaches from one page into another. What cannot be read is
 * left out: beyond the end of the stack, which is why that is worth knowing, but also pages in the
 * middle that nobody has touched yet. */
static long copy_chunk(uint32_t index, struct copying *copying) {
    uint32_t offset = (index & (COVET_STACK_CHUNKS - 1)) * COVET_STACK_CHUNK_BYTES;
    uint8_t *to = copying->record->stack + offset;
    uint64_t from = copying->record->stack_start + offset;

    if (from >= copying->top)
        return 1;
    if (bpf_probe_read_user(to, COVET_STACK_CHUNK_BYTES, (void *)from) == 0)
        copying->bytes = offset + COVET_STACK_CHUNK_BYTES;
    return 0;
}

/* The current thread's. */
static __always_inline void send_current(void *context, struct task_struct *task, uint32_t event) {
    uint32_t cpu = bpf_get_smp_processor_id();
    struct copying copying = {.record = bpf_map_lookup_elem(&covet_stack_scratch, &cpu)};
    struct covet_stack_record *record = copying.record;

    if (record == NULL)
        return;
    fill_task(record, event, task);
    set_kernel_bytes(record, bpf_get_stack(context, record->kernel, sizeof(record->kernel), 0));
    if (record->registers[COVET_STACK_RIP] != 0) {
        copying.top = find_top(record);
        bpf_loop(COVET_STACK_CHUNKS, copy_chunk, &copying, 0);
    }
    send_record(record, copying.bytes);
}

SEC("?perf_event")
int covet_stack_sample(void *context) {
    struct task_struct *task = bpf_get_current_task_btf();

    if ((uint32_t)task->tgid == covet_target.tgid)
        send_current(context, task, COVET_STACK_RUNNING);
    return 0;
}

/* A thread that is put off its core while it could run is no sleeper. */
SEC("?tp_btf/sched_switch")
int BPF_PROG(covet_stack_switch, bool preempted, struct task_struct *previous,
             struct task_struct *next) {
    if ((uint32_t)previous->tgid == covet_target.tgid && !preempted && previous->__state != 0)
        send_current(ctx, previous, COVET_STACK_BLOCKED);
    if ((uint32_t)next->tgid == covet_target.tgid) {
        struct covet_stack_head head;
        fill_head(&head, COVET_STACK_RESUMED, next);
        if (bpf_ringbuf_output(&covet_stack_ring, &head, sizeof(head), BPF_RB_NO_WAKEUP) != 0)
            __sync_fetch_and_add(&covet_stack_lost, 1);
    }
    return 0;
}

/* Read once, after the others are attached: an idle worker may sleep longer than the measurement,
 * and would not be seen going to sleep. */
SEC("?iter.s/task")
int covet_stack_find_asleep(struct bpf_iter__task *context) {
    struct task_struct *task = context->task;
    uint32_t zero = 0, chunk;
    struct covet_stack_record *record = bpf_map_lookup_elem(&covet_stack_asleep, &zero);

    if (task == NULL || record == NULL || (uint32_t)task->tgid != covet_target.tgid ||
        task->__state == 0)
        return 0;
    fill_task(record, COVET_STACK_ASLEEP, task);
    set_kernel_bytes(record, bpf_get_task_stack(task, record->kernel, sizeof(record->kernel), 0));
    for (chunk = 0; chunk < COVET_STACK_CHUNKS; chunk++) {
        uint32_t offset = chunk * COVET_STACK_CHUNK_BYTES;
        if (record->registers[COVET_STACK_RIP] == 0 ||
            bpf_copy_from_user_task(record->stack + offset, COVET_STACK_CHUNK_BYTES,
                                    (void *)(record->stack_start + offset), task, 0) != 0)
            break;
    }
    send_record(record, chunk * COVET_STACK_CHUNK_BYTES);
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
