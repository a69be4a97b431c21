/* Ring operations, in the thread that submits or completes them: the worker, or a thread of the
 * kernel that serves it (io-wq, SQPOLL).
 *
 * These are the events that come with every request, so what a worker does itself is tallied in
 * plain memory and added to the map when it leaves io_uring_enter or the core: before anybody can
 * see it idle. The kernel's threads, and all that is rare, go to the map at once; several may, so
 * additions there are atomic.
 *
 * A completion bears its request but for those a request posts before its last (multishot) and
 * messages of other rings. Their opcode is in covet's user_data, and for a ring whose user_data
 * means something else it was noted at submission.
 */
#include "uring.h"
#include "threads.h"

#define CQE_MORE (1u << 1) /* IORING_CQE_F_MORE */
#define CQE_NOTIFICATION \
    (1u << 3) /* IORING_CQE_F_NOTIF: its request is one of the kernel's own \
               */
#define STARTS_MAX 16384u

#define OP_BIT(op) (1ull << IORING_OP_##op)
static const uint64_t completing_often = OP_BIT(POLL_ADD) | OP_BIT(RECVMSG) | OP_BIT(TIMEOUT) |
                                         OP_BIT(ACCEPT) | OP_BIT(SEND) | OP_BIT(RECV) |
                                         OP_BIT(URING_CMD) | OP_BIT(SEND_ZC) | OP_BIT(SENDMSG_ZC) |
                                         OP_BIT(READ_MULTISHOT) | OP_BIT(RECV_ZC);

struct covet_tally covet_tallies[COVET_WORKERS_MAX][COVET_TALLY_OPS];
struct covet_noted covet_noted[COVET_NOTED_MAX];
uint32_t covet_has_noted;

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16384);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct covet_uring_key);
    __type(value, struct covet_uring_stats);
} uring_stats SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16384);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct covet_uring_key);
    __type(value, struct covet_latency);
} uring_latency SEC(".maps");

/* When requests began, by their address: of two that meet in one place the older is not timed. */
struct covet_start {
    uint64_t request;
    uint64_t ns;
};
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, STARTS_MAX);
    __type(key, uint32_t);
    __type(value, struct covet_start);
} covet_starts SEC(".maps");

/* What avg_ns is made of. */
struct covet_timed {
    uint64_t count;
    uint64_t total_ns;
};
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16384);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct covet_uring_key);
    __type(value, struct covet_timed);
} covet_timed SEC(".maps");

static const struct covet_uring_stats no_stats;
static const struct covet_latency no_latency;
static const struct covet_timed no_time;

static __always_inline uint32_t hash(uint64_t value) {
    return (uint32_t)((value * 0x9e3779b97f4a7c15ull) >> 40);
}

/* What covet's user_data says; NOP for the operations it says nothing about. */
static __always_inline uint32_t opcode_by_layout(uint64_t user_data) {
    switch (covet_user_data_op(user_data)) {
    case COVET_OP_ACCEPT:
        return IORING_OP_ACCEPT;
    case COVET_OP_RECV:
        return IORING_OP_RECV;
    case COVET_OP_SEND:
        return IORING_OP_SEND;
    case COVET_OP_MESSAGE:
        return IORING_OP_MSG_RING;
    case COVET_OP_ZERO_COPY:
        return IORING_OP_SEND_ZC;
    case COVET_OP_ALARM:
        return IORING_OP_TIMEOUT;
    default:
        return IORING_OP_NOP;
    }
}

static __always_inline void note(uint64_t user_data, uint32_t opcode) {
    if (opcode > 63 || !(completing_often & (1ull << opcode)) ||
        opcode_by_layout(user_data) == opcode)
        return;
    struct covet_noted *noted = &covet_noted[hash(user_data) & (COVET_NOTED_MAX - 1)];
    noted->user_data = user_data;
    noted->opcode = opcode;
    covet_has_noted = 1;
}

static __always_inline uint32_t opcode_by_user_data(uint64_t user_data) {
    if (covet_has_noted) {
        struct covet_noted *noted = &covet_noted[hash(user_data) & (COVET_NOTED_MAX - 1)];
        if (noted->user_data == user_data && noted->opcode != 0)
            return (uint32_t)noted->opcode;
    }
    uint32_t opcode = opcode_by_layout(user_data);
    return opcode != IORING_OP_NOP ? opcode : IORING_OP_MSG_RING;
}

/* The numbers of an operation of the current thread's ring; NULL: none of the server's workers'. */
static __always_inline struct covet_uring_stats *stats_of(struct covet_thread *thread,
                                                          struct covet_uring_key *key) {
    if (thread == NULL || thread->worker >= COVET_WORKERS_MAX)
        return NULL;
    key->worker = thread->worker;
    return covet_entry(&uring_stats, key, &no_stats);
}

static __always_inline void add(uint64_t *counter) {
    __sync_fetch_and_add(counter, 1);
}

/* Where the current thread may count without the map; NULL: it may not. */
static __always_inline struct covet_tally *tally_of(const struct covet_thread *thread,
                                                    uint32_t opcode) {
    uint32_t index = thread->worker;
    if (thread->role != COVET_WORKER || index >= COVET_WORKERS_MAX || opcode >= COVET_TALLY_OPS)
        return NULL;
    struct covet_worker *worker = &covet_workers[index];
    struct covet_tally *tally = &covet_tallies[index][opcode];
    if (!tally->is_dirty) {
        uint32_t place = worker->dirty_count;
        if (place >= COVET_TALLY_DIRTY_MAX)
            return NULL;
        worker->dirty[place] = (uint8_t)opcode;
        worker->dirty_count = place + 1;
        tally->is_dirty = 1;
    }
    return tally;
}

__noinline int covet_uring_flush(uint32_t index) {
    if (index >= COVET_WORKERS_MAX)
        return 0;
    struct covet_worker *worker = &covet_workers[index];
    for (uint32_t i = 0; i < COVET_TALLY_DIRTY_MAX && i < worker->dirty_count; i++) {
        struct covet_uring_key key = {.worker = index, .opcode = worker->dirty[i]};
        struct covet_tally *tally = &covet_tallies[index][key.opcode & (COVET_TALLY_OPS - 1)];
        struct covet_uring_stats *stats = covet_entry(&uring_stats, &key, &no_stats);
        if (stats != NULL) {
            __sync_fetch_and_add(&stats->submitted, tally->submitted);
            __sync_fetch_and_add(&stats->completed, tally->completed);
            __sync_fetch_and_add(&stats->multishot_cqes, tally->more);
        }
        worker->completions += tally->completed;
        tally->submitted = tally->completed = tally->more = tally->is_dirty = 0;
    }
    worker->dirty_count = 0;
    return 0;
}

static __always_inline void start_clock(uint64_t request) {
    uint32_t index = hash(request) & (STARTS_MAX - 1);
    struct covet_start *start = bpf_map_lookup_elem(&covet_starts, &index);
    if (start != NULL) {
        start->ns = bpf_ktime_get_ns();
        start->request = request;
    }
}

static __always_inline void stop_clock(uint64_t request, const struct covet_uring_key *key,
                                       struct covet_uring_stats *stats) {
    uint32_t index = hash(request) & (STARTS_MAX - 1);
    struct covet_start *start = bpf_map_lookup_elem(&covet_starts, &index);
    if (start == NULL || start->request != request)
        return;
    uint64_t ns = bpf_ktime_get_ns() - start->ns;
    start->request = 0;
    struct covet_timed *timed = covet_entry(&covet_timed, key, &no_time);
    if (timed != NULL) {
        add(&timed->count);
        __sync_fetch_and_add(&timed->total_ns, ns);
        if (timed->count != 0)
            stats->avg_ns = timed->total_ns / timed->count;
    }
    struct covet_latency *latency = covet_entry(&uring_latency, key, &no_latency);
    if (latency != NULL)
        covet_latency_add(latency, ns);
}

static __always_inline int on_submit(const struct io_kiocb *request) {
    struct covet_thread *thread = covet_thread_current();
    if (thread == NULL)
        return 0;
    struct covet_uring_key key = {.opcode = request->opcode};
    struct covet_tally *tally = tally_of(thread, key.opcode);
    if (tally != NULL) {
        tally->submitted++;
    } else {
        struct covet_uring_stats *stats = stats_of(thread, &key);
        if (stats == NULL)
            return 0;
        add(&stats->submitted);
    }
    note(request->cqe.user_data, key.opcode);
    if (covet_level >= 3) {
        /* Through memory the address becomes a number, with which one may calculate. */
        thread->request = (uint64_t)request;
        start_clock(*(volatile uint64_t *)&thread->request);
    }
    return 0;
}

SEC("tp_btf/io_uring_submit_req")
int covet_submit_req(uint64_t *ctx) {
    return on_submit((void *)ctx[0]);
}

SEC("tp_btf/io_uring_submit_sqe")
int covet_submit_sqe(uint64_t *ctx) {
    return on_submit((void *)ctx[0]);
}

/* What is counted of a request's opcode; NULL where the running thread is none of the server's. */
static __always_inline struct covet_uring_stats *stats_of_request(const struct io_kiocb *request) {
    struct covet_thread *thread = covet_thread_current();
    if (thread == NULL)
        return NULL;
    struct covet_uring_key key = {.opcode = request->opcode};
    return stats_of(thread, &key);
}

/* The kernel refused it at first sight, so it is not seen above. */
SEC("tp_btf/io_uring_req_failed")
int covet_req_failed(uint64_t *ctx) {
    struct covet_uring_stats *stats = stats_of_request((void *)ctx[1]);
    if (stats != NULL)
        add(&stats->submitted);
    return 0;
}

static __always_inline int on_complete(uint64_t request, uint64_t user_data, int32_t result,
                                       uint32_t flags) {
    struct covet_thread *thread = covet_thread_current();
    if (thread == NULL)
        return 0;
    struct covet_uring_key key = {};
    if (request != 0 && !(flags & CQE_NOTIFICATION)) {
        uint8_t opcode = 0;
        bpf_core_read(&opcode, sizeof(opcode), &((struct io_kiocb *)request)->opcode);
        key.opcode = opcode;
    } else {
        key.opcode = opcode_by_user_data(user_data);
    }
    struct covet_tally *tally = tally_of(thread, key.opcode);
    if (tally != NULL) {
        tally->completed++;
        tally->more += (flags & CQE_MORE) / CQE_MORE;
        if (result >= 0 && covet_level < 3)
            return 0;
    }
    struct covet_uring_stats *stats = stats_of(thread, &key);
    if (stats == NULL)
        return 0;
    if (tally == NULL) {
        add(&covet_workers[thread->worker & (COVET_WORKERS_MAX - 1)].completions_elsewhere);
        add(&stats->completed);
        if (flags & CQE_MORE)
            add(&stats->multishot_cqes);
    }
    if (result < 0) {
        add(&stats->errors);
        stats->last_error = result;
    }
    if (covet_level >= 3 && request != 0)
        stop_clock(request, &key, stats);
    return 0;
}

/* Since 6.17 the completion comes as it is, before that in pieces. */
SEC("tp_btf/io_uring_complete")
int covet_complete_cqe(uint64_t *ctx) {
    const struct io_uring_cqe *cqe = (void *)ctx[2];
    return on_complete(ctx[1], cqe->user_data, cqe->res, cqe->flags);
}

SEC("tp_btf/io_uring_complete")
int covet_complete_parts(uint64_t *ctx) {
    return on_complete(ctx[1], ctx[2], (int32_t)ctx[3], (uint32_t)ctx[4]);
}

SEC("tp_btf/io_uring_queue_async_work")
int covet_queue_async_work(uint64_t *ctx) {
    struct covet_uring_stats *stats = stats_of_request((void *)ctx[0]);
    if (stats != NULL)
        add(&stats->punted);
    return 0;
}

SEC("tp_btf/io_uring_poll_arm")
int covet_poll_arm(uint64_t *ctx) {
    struct covet_uring_stats *stats = stats_of_request((void *)ctx[0]);
    if (stats != NULL)
        add(&stats->poll_arms);
    return 0;
}

SEC("tp_btf/io_uring_cqe_overflow")
int covet_cqe_overflow(uint64_t *ctx) {
    struct covet_uring_key key = {.opcode = opcode_by_user_data(ctx[1])};
    struct covet_uring_stats *stats = stats_of(covet_thread_current(), &key);
    if (stats != NULL)
        add(&stats->overflows);
    return 0;
}

/* Level 1 has no program at io_uring_enter; under load this is where a worker comes by, without
 * load it goes to sleep (sched.bpf.c). */
SEC("tp_btf/io_uring_local_work_run")
int covet_local_work_run(uint64_t *ctx) {
    (void)ctx;
    struct covet_thread *thread = covet_thread_current();
    if (thread != NULL && thread->role == COVET_WORKER) {
        covet_uring_flush(thread->worker);
        covet_worker_publish(thread->worker);
    }
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
