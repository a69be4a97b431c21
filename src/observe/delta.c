// What changed between two snapshots, and sums over workers.
//
// Counts only grow while their owner lives, so what is smaller later began anew and counts from 0.
#include "observe/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "observe/lists.h"

#define LATENCY_WORDS COVET_LATENCY_BUCKET_COUNT

static void minus(uint64_t *later, uint64_t earlier) {
    *later = *later >= earlier ? *later - earlier : *later;
}

static void add(uint64_t *sum, uint64_t value) {
    *sum += value;
}

static uint64_t ratio(uint64_t count, uint64_t factor, uint64_t of) {
    return of == 0 ? 0 : count * factor / of;
}

// The same for every member that counts; `step` is minus or add.
typedef void (*step_fn)(uint64_t *value, uint64_t other);

static void step_words(uint64_t *values, const uint64_t *others, size_t count, step_fn step) {
    for (size_t i = 0; i < count; i++)
        step(&values[i], others[i]);
}

static void step_latency(void *values, const void *others, step_fn step) {
    step_words(values, others, LATENCY_WORDS, step);
}

static void step_histogram(struct covet_histogram *value, const struct covet_histogram *other,
                           step_fn step) {
    step(&value->sum_ns, other->sum_ns);
    step(&value->count, other->count);
    step_words(value->bucket, other->bucket, COVET_HISTOGRAM_BUCKETS, step);
}

static void step_bpf(struct covet_worker_stats *value, const struct covet_worker_stats *other,
                     step_fn step) {
    step(&value->requests, other->requests);
    step(&value->syscalls, other->syscalls);
    step(&value->io_uring_enters, other->io_uring_enters);
    step(&value->completions, other->completions);
    value->syscalls_per_1000_requests = ratio(value->syscalls, 1000, value->requests);
    value->completions_per_100_enters = ratio(value->completions, 100, value->io_uring_enters);
}

static void step_sched(struct covet_sched_stats *value, const struct covet_sched_stats *other,
                       step_fn step) {
    step(&value->voluntary_switches, other->voluntary_switches);
    step(&value->involuntary_switches, other->involuntary_switches);
    step(&value->migrations, other->migrations);
    step(&value->running_ns, other->running_ns);
    step(&value->waiting_ns, other->waiting_ns);
    step(&value->runq_ns, other->runq_ns);
}

static void step_proc(struct cv_snapshot_worker *value, const struct cv_snapshot_worker *other,
                      step_fn step) {
    step(&value->cpu_ns, other->cpu_ns);
    step(&value->runq_ns, other->runq_ns);
    step(&value->voluntary_switches, other->voluntary_switches);
    step(&value->involuntary_switches, other->involuntary_switches);
}

static void step_syscall(void *value, const void *other, step_fn step) {
    struct covet_syscall_stats *stats = value;
    const struct covet_syscall_stats *others = other;

    step(&stats->count, others->count);
    step(&stats->errors, others->errors);
    step(&stats->busy_ns, others->busy_ns);
    step(&stats->blocked_ns, others->blocked_ns);
    stats->max_busy_ns =
        step == add ? CV_MAX(stats->max_busy_ns, others->max_busy_ns) : stats->max_busy_ns;
    stats->avg_busy_ns = ratio(stats->busy_ns, 1, stats->count);
    stats->last_error = stats->last_error != 0 ? stats->last_error : others->last_error;
}

static void step_uring(void *value, const void *other, step_fn step) {
    struct covet_uring_stats *stats = value;
    const struct covet_uring_stats *others = other;

    // Of an average that has no sum, the sum is not far from average times count.
    if (step == add)
        stats->avg_ns = ratio(stats->avg_ns * stats->completed + others->avg_ns * others->completed,
                              1, stats->completed + others->completed);
    step(&stats->submitted, others->submitted);
    step(&stats->completed, others->completed);
    step(&stats->errors, others->errors);
    step(&stats->punted, others->punted);
    step(&stats->poll_arms, others->poll_arms);
    step(&stats->multishot_cqes, others->multishot_cqes);
    step(&stats->overflows, others->overflows);
    stats->last_error = stats->last_error != 0 ? stats->last_error : others->last_error;
}

static void step_count(void *value, const void *other, step_fn step) {
    step(value, *(const uint64_t *)other);
}

static void (*const step_value[CV_LIST_COUNT])(void *value, const void *other, step_fn step) = {
    [CV_LIST_SYSCALLS] = step_syscall,
    [CV_LIST_OTHER_SYSCALLS] = step_syscall,
    [CV_LIST_URINGS] = step_uring,
    [CV_LIST_NETS] = step_count,
    [CV_LIST_DROPS] = step_count,
    [CV_LIST_SYSCALL_LATENCIES] = step_latency,
    [CV_LIST_URING_LATENCIES] = step_latency,
};

// All keys are two 32-bit numbers.
static int compare_keys(const void *a, const void *b) {
    uint32_t left[2], right[2];

    memcpy(left, a, sizeof(left));
    memcpy(right, b, sizeof(right));
    if (left[0] != right[0])
        return left[0] < right[0] ? -1 : 1;
    return (left[1] > right[1]) - (left[1] < right[1]);
}

// Into `copy`, whose list is empty.
static int copy_list(struct cv_snapshot *copy, enum cv_list_id id,
                     const struct cv_snapshot *snapshot) {
    size_t count = *cv_list_count_const(snapshot, id);
    size_t bytes = count * cv_lists[id].entry_bytes;

    if (count == 0)
        return 0;
    void *entries = malloc(bytes);
    if (entries == NULL)
        return -ENOMEM;
    memcpy(entries, *cv_list_entries_const(snapshot, id), bytes);
    *cv_list_entries(copy, id) = entries;
    *cv_list_count(copy, id) = count;
    return 0;
}

static void forget_lists(struct cv_snapshot *snapshot) {
    for (enum cv_list_id id = 0; id < CV_LIST_COUNT; id++) {
        *cv_list_entries(snapshot, id) = NULL;
        *cv_list_count(snapshot, id) = 0;
    }
}

static int subtract_list(struct cv_snapshot *change, enum cv_list_id id,
                         const struct cv_snapshot *later, const struct cv_snapshot *earlier) {
    const struct cv_list *list = &cv_lists[id];
    const char *old = *cv_list_entries_const(earlier, id);
    size_t left = *cv_list_count_const(earlier, id);

    if (copy_list(change, id, later) != 0)
        return -ENOMEM;
    char *entry = *cv_list_entries(change, id);
    for (size_t i = 0; i < *cv_list_count(change, id); i++, entry += list->entry_bytes) {
        for (; left > 0 && compare_keys(old, entry) < 0; left--)
            old += list->entry_bytes;
        if (left > 0 && compare_keys(old, entry) == 0)
            step_value[id](entry + list->value_offset, old + list->value_offset, minus);
    }
    return 0;
}

// Kinds of counters by their number.
enum { COUNTER, GAUGE };
static const uint8_t kinds[COVET_COUNTER_COUNT] = {
#define COUNTER_KIND(name, text, kind, help) [COVET_COUNTER_##name] = kind,
    COVET_COUNTERS(COUNTER_KIND)
#undef COUNTER_KIND
};

// The pages go on counting where an earlier server left off; a new thread's time begins at 0.
static void subtract_worker(struct cv_snapshot_worker *later,
                            const struct cv_snapshot_worker *earlier, bool is_same_profile) {
    for (uint32_t i = 0; i < COVET_COUNTER_COUNT; i++) {
        if (kinds[i] == COUNTER)
            minus(&later->counter[i], earlier->counter[i]);
    }
    step_histogram(&later->handler_time, &earlier->handler_time, minus);
    if (later->has_proc && earlier->has_proc && later->start_ns == earlier->start_ns)
        step_proc(later, earlier, minus);
    if (later->has_bpf && earlier->has_bpf && is_same_profile) {
        step_bpf(&later->bpf, &earlier->bpf, minus);
        step_sched(&later->sched, &earlier->sched, minus);
        step_latency(&later->runq_latency, &earlier->runq_latency, minus);
    }
}

static void subtract_network(struct cv_snapshot *later, const struct cv_snapshot *earlier) {
    minus(&later->host_listen_overflows, earlier->host_listen_overflows);
    minus(&later->host_retransmits, earlier->host_retransmits);
    for (size_t i = 0; i < later->listener_count; i++) {
        for (size_t j = 0; j < earlier->listener_count; j++) {
            if (earlier->listeners[j].port == later->listeners[i].port)
                minus(&later->listeners[i].drops, earlier->listeners[j].drops);
        }
    }
}

int cv_snapshot_subtract(struct cv_snapshot *change, const struct cv_snapshot *later,
                         const struct cv_snapshot *earlier) {
    static const struct cv_snapshot nothing;
    struct cv_snapshot made = *later;
    bool is_same_covet = later->server.start_ns == earlier->server.start_ns &&
                         later->server.supervisor_pid == earlier->server.supervisor_pid;
    bool is_same_profile = is_same_covet && later->has_bpf && earlier->has_bpf &&
                           later->info.attached_ns == earlier->info.attached_ns;
    int result = 0;

    forget_lists(&made);
    made.interval_ns = later->taken_ns - earlier->taken_ns;
    made.workers = malloc(CV_MAX(later->worker_count, 1) * sizeof(*made.workers));
    if (made.workers == NULL)
        return -ENOMEM;
    if (later->worker_count > 0)
        memcpy(made.workers, later->workers, later->worker_count * sizeof(*made.workers));
    for (enum cv_list_id id = 0; id < CV_LIST_COUNT && result == 0; id++)
        result = subtract_list(&made, id, later, is_same_profile ? earlier : &nothing);
    if (result != 0) {
        cv_snapshot_deinit(&made);
        return result;
    }
    if (is_same_covet) {
        for (uint32_t i = 0; i < CV_MIN(later->worker_count, earlier->worker_count); i++)
            subtract_worker(&made.workers[i], &earlier->workers[i], is_same_profile);
        subtract_network(&made, earlier);
    }
    cv_snapshot_deinit(change);
    *change = made;
    return 0;
}

void cv_snapshot_total(const struct cv_snapshot *snapshot, struct cv_snapshot_worker *total) {
    *total = (struct cv_snapshot_worker){0};
    for (uint32_t i = 0; i < snapshot->worker_count; i++) {
        const struct cv_snapshot_worker *worker = &snapshot->workers[i];

        step_words(total->counter, worker->counter, COVET_COUNTER_COUNT, add);
        step_histogram(&total->handler_time, &worker->handler_time, add);
        total->has_proc |= worker->has_proc;
        step_proc(total, worker, add);
        total->allowed_cpus = CV_MAX(total->allowed_cpus, worker->allowed_cpus);
        total->has_bpf |= worker->has_bpf;
        step_bpf(&total->bpf, &worker->bpf, add);
        step_sched(&total->sched, &worker->sched, add);
        total->sched.max_runq_ns = CV_MAX(total->sched.max_runq_ns, worker->sched.max_runq_ns);
        step_latency(&total->runq_latency, &worker->runq_latency, add);
    }
}

// Lists whose keys begin with a worker.
static bool is_by_worker(enum cv_list_id id) {
    return id == CV_LIST_SYSCALLS || id == CV_LIST_URINGS || id == CV_LIST_SYSCALL_LATENCIES ||
           id == CV_LIST_URING_LATENCIES;
}

// Calls all entries worker 0's, and joins those that have the same key then.
static void join_workers(struct cv_snapshot *snapshot, enum cv_list_id id) {
    const struct cv_list *list = &cv_lists[id];
    char *entries = *cv_list_entries(snapshot, id);
    size_t count = *cv_list_count(snapshot, id);
    size_t kept = 0;

    for (size_t i = 0; i < count; i++)
        memset(entries + i * list->entry_bytes, 0, sizeof(uint32_t));
    if (count > 0)
        qsort(entries, count, list->entry_bytes, compare_keys);
    for (size_t i = 0; i < count; i++) {
        const char *entry = entries + i * list->entry_bytes;
        char *last = entries + (kept == 0 ? 0 : kept - 1) * list->entry_bytes;

        if (kept > 0 && compare_keys(last, entry) == 0)
            step_value[id](last + list->value_offset, entry + list->value_offset, add);
        else
            memmove(entries + kept++ * list->entry_bytes, entry, list->entry_bytes);
    }
    *cv_list_count(snapshot, id) = kept;
}

int cv_snapshot_merge(struct cv_snapshot *merged, const struct cv_snapshot *snapshot) {
    struct cv_snapshot made = *snapshot;
    int result = 0;

    forget_lists(&made);
    made.worker_count = 1;
    made.workers = malloc(sizeof(*made.workers));
    if (made.workers == NULL)
        return -ENOMEM;
    cv_snapshot_total(snapshot, &made.workers[0]);
    for (enum cv_list_id id = 0; id < CV_LIST_COUNT && result == 0; id++) {
        result = copy_list(&made, id, snapshot);
        if (result == 0 && is_by_worker(id))
            join_workers(&made, id);
    }
    if (result != 0) {
        cv_snapshot_deinit(&made);
        return result;
    }
    cv_snapshot_deinit(merged);
    *merged = made;
    return 0;
}
