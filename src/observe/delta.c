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

static void subtract_syscall(void *later, const void *earlier) {
    struct covet_syscall_stats *stats = later;
    const struct covet_syscall_stats *before = earlier;

    minus(&stats->count, before->count);
    minus(&stats->errors, before->errors);
    minus(&stats->busy_ns, before->busy_ns);
    minus(&stats->blocked_ns, before->blocked_ns);
    stats->avg_busy_ns = ratio(stats->busy_ns, 1, stats->count);
}

static void subtract_uring(void *later, const void *earlier) {
    struct covet_uring_stats *stats = later;
    const struct covet_uring_stats *before = earlier;

    minus(&stats->submitted, before->submitted);
    minus(&stats->completed, before->completed);
    minus(&stats->errors, before->errors);
    minus(&stats->punted, before->punted);
    minus(&stats->poll_arms, before->poll_arms);
    minus(&stats->multishot_cqes, before->multishot_cqes);
    minus(&stats->overflows, before->overflows);
}

static void subtract_count(void *later, const void *earlier) {
    minus(later, *(const uint64_t *)earlier);
}

static void subtract_latency(void *later, const void *earlier) {
    step_latency(later, earlier, minus);
}

static void (*const subtract_value[CV_LIST_COUNT])(void *later, const void *earlier) = {
    [CV_LIST_SYSCALLS] = subtract_syscall,
    [CV_LIST_OTHER_SYSCALLS] = subtract_syscall,
    [CV_LIST_URINGS] = subtract_uring,
    [CV_LIST_NETS] = subtract_count,
    [CV_LIST_DROPS] = subtract_count,
    [CV_LIST_SYSCALL_LATENCIES] = subtract_latency,
    [CV_LIST_URING_LATENCIES] = subtract_latency,
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

static int subtract_list(struct cv_snapshot *change, enum cv_list_id id,
                         const struct cv_snapshot *later, const struct cv_snapshot *earlier) {
    const struct cv_list *list = &cv_lists[id];
    const char *const *source = (const char *const *)((const char *)later + list->entries_offset);
    const char *const *before = (const char *const *)((const char *)earlier + list->entries_offset);
    size_t count = *(const size_t *)((const char *)later + list->count_offset);
    size_t left = *(const size_t *)((const char *)earlier + list->count_offset);
    const char *old = *before;

    if (count == 0)
        return 0;
    char *entries = malloc(count * list->entry_bytes);
    if (entries == NULL)
        return -ENOMEM;
    memcpy(entries, *source, count * list->entry_bytes);
    for (char *entry = entries; entry < entries + count * list->entry_bytes;
         entry += list->entry_bytes) {
        for (; left > 0 && compare_keys(old, entry) < 0; left--)
            old += list->entry_bytes;
        if (left > 0 && compare_keys(old, entry) == 0)
            subtract_value[id](entry + list->value_offset, old + list->value_offset);
    }
    *cv_list_entries(change, id) = entries;
    *cv_list_count(change, id) = count;
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

    for (enum cv_list_id id = 0; id < CV_LIST_COUNT; id++) {
        *cv_list_entries(&made, id) = NULL;
        *cv_list_count(&made, id) = 0;
    }
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
        total->has_bpf |= worker->has_bpf;
        step_bpf(&total->bpf, &worker->bpf, add);
        step_sched(&total->sched, &worker->sched, add);
        total->sched.max_runq_ns = CV_MAX(total->sched.max_runq_ns, worker->sched.max_runq_ns);
        step_latency(&total->runq_latency, &worker->runq_latency, add);
    }
}
