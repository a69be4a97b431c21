// A turn is one io_uring_enter: it submits what the last turn prepared and waits for a completion.
// Then the clock is read, once, every completion is looked at, and each connection that has
// something to send gets one send.
#include "load/lane.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "base/clock.h"
#include "load/lane_state.h"

#define TICK_NS (20 * LOAD_NS_PER_MS)
#define SETUP_WAIT_NS LOAD_NS_PER_MS
#define DRAIN_NS_MAX (2000 * (uint64_t)LOAD_NS_PER_MS)
#define SPIN_NS (100 * (uint64_t)1000)
#define PREEMPTED_NS \
    LOAD_NS_PER_MS  // A spin that takes so much longer has lost its core meanwhile.
#define NO_SPIN_NS (200 * (uint64_t)LOAD_NS_PER_MS)
#define SHARED_CORE_NS_MIN (400 * (uint64_t)LOAD_NS_PER_MS)  // Clock ticks are 10 ms, turns may be.
#define UNSENT_PARTS 512
#define SPIN_LOOKS 32u  // Between two readings of the clock.

static void on_completion(struct load_lane *lane, const struct io_uring_cqe *cqe) {
    uint32_t index = (uint32_t)cqe->user_data;
    enum load_op op = (enum load_op)(cqe->user_data >> 56);
    bool ours = cqe->user_data == load_lane_tag(lane, op, index);

    if (CV_LIKELY(op == LOAD_OP_RECEIVE)) {
        load_exchange_on_receive(lane, index, cqe, ours);
    } else if (op == LOAD_OP_TICK) {
        lane->ticking = false;
    } else if (op == LOAD_OP_SEND && ours) {
        load_exchange_on_send(lane, index, cqe->res);
    } else if (op == LOAD_OP_CONNECT && ours) {
        load_link_on_connect(lane, index, cqe->res);
    } else if (op == LOAD_OP_CHAIN && ours) {
        lane->dialling--;
        load_dialer_fall_back(&lane->dialer);
        load_link_dial(lane, index);
    }
}

static void reap(struct load_lane *lane) {
    unsigned head, count = 0;
    struct io_uring_cqe *cqe;
    io_uring_for_each_cqe(&lane->ring.uring, head, cqe) {
        on_completion(lane, cqe);
        count++;
    }
    io_uring_cq_advance(&lane->ring.uring, count);
}

static void publish(struct load_lane *lane) {
    lane->result.errors[LOAD_ERROR_STATUS] =
        lane->result.tally.status[4] + lane->result.tally.status[5];
    uint64_t errors = 0;
    for (unsigned i = 0; i < LOAD_ERROR_COUNT; i++) {
        errors += lane->result.errors[i];
    }
    struct load_lane_progress *progress = &lane->progress;
    atomic_store_explicit(&progress->answers, lane->result.tally.answers, memory_order_relaxed);
    atomic_store_explicit(&progress->errors, errors, memory_order_relaxed);
    atomic_store_explicit(&progress->connects, lane->result.connects, memory_order_relaxed);
    atomic_store_explicit(&progress->open, lane->open, memory_order_relaxed);
}

// Takes down what the core has done while the lane was there; and where the lane is now.
static void note_core(struct load_lane *lane) {
    struct load_core now = load_core_now(lane->core);
    lane->core_sum.idle_ns += now.idle_ns - lane->core_began.idle_ns;
    lane->core_sum.taken_ns += now.taken_ns - lane->core_began.taken_ns;
    lane->core = sched_getcpu();
    lane->core_began = load_core_now(lane->core);
}

static void tick(struct load_lane *lane) {
    for (unsigned i = 0; i < lane->connection_count; i++) {
        load_link_look_after(lane, i);
    }
    publish(lane);
    if (lane->phase == LOAD_PHASE_RUN && sched_getcpu() != lane->core) {
        note_core(lane);
    }
    if (lane->phase == LOAD_PHASE_RUN &&
        atomic_load_explicit(&lane->plan.signals->stop, memory_order_relaxed)) {
        lane->ends_ns = lane->now_ns;
    }
    uint64_t next_ns = TICK_NS;
    if (lane->phase == LOAD_PHASE_RUN && lane->ends_ns - lane->now_ns < next_ns) {
        next_ns = lane->ends_ns > lane->now_ns ? lane->ends_ns - lane->now_ns : 0;
    }
    lane->tick = (struct __kernel_timespec){.tv_nsec = (int64_t)next_ns};
    struct io_uring_sqe *sqe = load_ring_sqe(&lane->ring);
    io_uring_prep_timeout(sqe, &lane->tick, 0, 0);
    sqe->user_data = (uint64_t)LOAD_OP_TICK << 56;
    lane->ticking = true;
}

// CPU time of this thread without idle spinning, since the run began.
static uint64_t cpu_used_ns(const struct load_lane *lane) {
    struct timespec time;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    uint64_t now_ns = (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
    uint64_t used_ns = lane->cpu_began_ns + lane->spun_ns;
    return now_ns > used_ns ? now_ns - used_ns : 0;
}

// How long this thread could have run and waited for its core: the second number of schedstat
// (Documentation/scheduler/sched-stats.rst). 0 where there is none.
static uint64_t queued_ns(void) {
    unsigned long queued = 0;
    FILE *file = fopen("/proc/thread-self/schedstat", "re");
    if (file != NULL) {
        if (fscanf(file, "%*u %lu", &queued) != 1) {
            queued = 0;
        }
        fclose(file);
    }
    return queued;
}

static void look_for_start(struct load_lane *lane, uint64_t opened_ns) {
    const struct load_options *options = lane->plan.options;
    uint64_t begin_ns = atomic_load_explicit(&lane->plan.signals->begin_ns, memory_order_relaxed);

    if (lane->settled == lane->connection_count || lane->now_ns - opened_ns > lane->timeout_ns) {
        atomic_store_explicit(&lane->progress.ready, true, memory_order_relaxed);
    }
    if (begin_ns == 0 || lane->now_ns < begin_ns) {
        return;
    }
    lane->phase = LOAD_PHASE_RUN;
    lane->cpu_began_ns = cpu_used_ns(lane);
    lane->queued_began_ns = queued_ns();
    note_core(lane);
    lane->core_sum = (struct load_core){0};
    lane->result.began_ns = begin_ns;
    lane->ends_ns = begin_ns + (uint64_t)(options->seconds * 1e9);
    lane->timed_from_ns = begin_ns + (uint64_t)(options->warmup_seconds * 1e9);
    if (lane->open_loop) {
        load_pace_begin(&lane->pace, lane->plan.rate, lane->plan.phase, begin_ns, lane->ends_ns);
    }
    for (unsigned i = 0; i < lane->busy_count; i++) {
        load_owed_offer(lane, i);
    }
}

// Requests that were due and found no connection are not forgotten: their latency is what it was
// when the schedule ended, at least. They may be billions, so those whose waits differ by less than
// a bucket of the histogram is wide are counted at once.
static void count_unsent(struct load_lane *lane) {
    uint64_t left = lane->to_give;
    load_pace_end(&lane->pace, lane->ends_ns);
    while (lane->pace.next_ns != UINT64_MAX && left > 0) {
        uint64_t waited_ns = lane->ends_ns - load_pace_take(&lane->pace);
        double alike = (double)waited_ns / UNSENT_PARTS * lane->plan.rate / 1e9;
        uint64_t count = CV_MIN(1 + (uint64_t)alike, left);
        load_pace_skip(&lane->pace, count - 1);
        left -= count;
        lane->result.late += count;
        lane->result.unsent += count;
        if (lane->ends_ns >= lane->timed_from_ns) {
            load_histogram_record(&lane->result.latency_of[LOAD_KIND_OTHER], waited_ns, count);
        }
    }
}

static void measure_busy(struct load_lane *lane) {
    uint64_t passed_ns = lane->now_ns - lane->result.began_ns;
    uint64_t used_ns = cpu_used_ns(lane);
    note_core(lane);
    uint64_t waited_ns = queued_ns() - lane->queued_began_ns;
    if (passed_ns > 0) {
        lane->result.lane_busy = (double)used_ns / (double)passed_ns;
    }
    if (passed_ns > SHARED_CORE_NS_MIN) {
        uint64_t filled_ns = load_core_filled_ns((struct load_core){0}, lane->core_sum,
                                                 used_ns + waited_ns, passed_ns);
        lane->result.core_busy = (double)filled_ns / (double)passed_ns;
    }
}

static void begin_drain(struct load_lane *lane) {
    lane->phase = LOAD_PHASE_DRAIN;
    lane->ends_ns = CV_MIN(lane->ends_ns, lane->now_ns);
    if (lane->to_give == 0) {
        // The last of a number of requests have as much time as all others.
        lane->drained_by_ns = lane->now_ns + lane->timeout_ns;
        return;
    }
    lane->drained_by_ns = lane->now_ns + CV_MIN(lane->timeout_ns, DRAIN_NS_MAX);
    measure_busy(lane);
    if (lane->open_loop) {
        count_unsent(lane);
    }
}

static void finish(struct load_lane *lane) {
    for (unsigned i = 0; i < lane->busy_count; i++) {
        if (lane->connections[i].owed > 0) {
            lane->result.errors[LOAD_ERROR_TIMEOUT] += lane->connections[i].owed;
            load_owed_take(lane, i, lane->connections[i].owed,
                           lane->open_loop ? LOAD_KIND_OTHER : LOAD_KIND_COUNT);
        }
    }
    if (lane->to_give == 0) {
        measure_busy(lane);
    }
    lane->phase = LOAD_PHASE_DONE;
    lane->result.ended_ns = CV_MAX(lane->result.ended_ns, lane->ends_ns);
    lane->result.cpu_ns = cpu_used_ns(lane);
    lane->result.enters = lane->ring.enters;
    publish(lane);
}

static void advance(struct load_lane *lane, uint64_t opened_ns) {
    if (lane->phase == LOAD_PHASE_SETUP) {
        look_for_start(lane, opened_ns);
    }
    if (lane->phase == LOAD_PHASE_RUN) {
        if (lane->open_loop) {
            load_owed_give_due(lane);
        }
        if (lane->now_ns >= lane->ends_ns || lane->to_give == 0) {
            begin_drain(lane);
        }
    }
    if (lane->phase == LOAD_PHASE_DRAIN &&
        (lane->owed == 0 || lane->now_ns >= lane->drained_by_ns)) {
        finish(lane);
    }
}

static uint64_t wait_ns(const struct load_lane *lane) {
    if (lane->phase == LOAD_PHASE_SETUP) {
        return SETUP_WAIT_NS;
    }
    if (lane->phase == LOAD_PHASE_RUN && lane->open_loop && lane->rooms.count > 0) {
        // Where it spins it wakes up early and spins till then.
        uint64_t wake_ns = lane->now_ns + (lane->plan.core < 0 ? 0 : SPIN_NS);
        return lane->pace.next_ns > wake_ns ? lane->pace.next_ns - wake_ns : 0;
    }
    return LOAD_RING_WAIT_FOREVER;  // The tick ends it.
}

// Looks for news for a while, but not beyond the start of the next request. Time spent here is
// idle.
static bool spin(struct load_lane *lane) {
    uint64_t began_ns = cv_clock_monotonic_ns(), now_ns = began_ns;
    uint64_t until_ns = began_ns + SPIN_NS;
    bool has_news = false;

    if (lane->open_loop && lane->rooms.count > 0) {
        until_ns = CV_MIN(until_ns, lane->pace.next_ns);
    }
    while (!has_news && now_ns < until_ns) {
        for (unsigned i = 0; i < SPIN_LOOKS && !has_news; i++) {
            has_news = load_ring_has_news(&lane->ring);
            __builtin_ia32_pause();
        }
        now_ns = cv_clock_monotonic_ns();
    }
    if (now_ns - began_ns > SPIN_NS + PREEMPTED_NS) {
        lane->no_spin_until_ns = now_ns + NO_SPIN_NS;
    }
    lane->spun_ns += CV_MIN(now_ns - began_ns, SPIN_NS);
    return has_news || (until_ns < began_ns + SPIN_NS);
}

// A lane with a core of its own does not sleep at once: waking up costs more than the answers it
// waits for, here and at the server (docs/notes/0011-load-generator.md). Where it shares the core
// after all, spinning would only use up its turns.
static int wait(struct load_lane *lane) {
    if (lane->plan.core < 0 || lane->phase != LOAD_PHASE_RUN ||
        lane->now_ns < lane->no_spin_until_ns) {
        return load_ring_enter(&lane->ring, 1, wait_ns(lane));
    }
    int status = load_ring_enter(&lane->ring, 0, 0);
    if (status < 0 || load_ring_has_news(&lane->ring)) {
        return status;
    }
    return load_ring_enter(&lane->ring, spin(lane) ? 0 : 1, wait_ns(lane));
}

// Completions the kernel had no room for are taken before anything is sent: one may say that a
// send fell short.
static int wait_and_reap(struct load_lane *lane) {
    int status = wait(lane);
    lane->now_ns = cv_clock_monotonic_ns();
    reap(lane);
    while (status == 0 && CV_UNLIKELY(!load_ring_is_settled(&lane->ring))) {
        status = load_ring_enter(&lane->ring, 0, 0);
        reap(lane);
    }
    return status;
}

static int run(struct load_lane *lane) {
    int status = 0;
    lane->now_ns = cv_clock_monotonic_ns();
    uint64_t opened_ns = lane->now_ns;
    for (unsigned i = 0; i < lane->connection_count; i++) {
        load_link_queue(lane, i);
    }
    while (lane->phase != LOAD_PHASE_DONE && status == 0) {
        if (!lane->ticking) {
            tick(lane);
        }
        load_link_dial_queued(lane);
        load_exchange_send(lane);
        status = wait_and_reap(lane);
        advance(lane, opened_ns);
    }
    for (unsigned i = 0; i < lane->connection_count; i++) {
        if (lane->connections[i].state != LOAD_CLOSED &&
            lane->connections[i].state != LOAD_QUEUED) {
            load_link_close(lane, i);
        }
    }
    (void)load_ring_enter(&lane->ring, 0, 0);
    return status;
}

static int pin(int core) {
    cpu_set_t cores;
    if (core < 0) {
        return 0;
    }
    CPU_ZERO(&cores);
    CPU_SET((unsigned)core, &cores);
    return -pthread_setaffinity_np(pthread_self(), sizeof(cores), &cores);
}

int load_lane_run(struct load_lane *lane, const char **why) {
    *why = "pinning a thread to its core (--cores)";
    int status = pin(lane->plan.core);
    if (status == 0) {
        status = load_ring_open(&lane->ring, lane->connection_count, why);
    }
    if (status == 0) {
        *why = "io_uring_enter";
        status = run(lane);
        load_ring_close(&lane->ring);
    }
    atomic_store_explicit(&lane->progress.ready, true, memory_order_relaxed);
    return status;
}

static bool make_queue(struct load_queue *queue, unsigned size) {
    queue->size = size;
    queue->indexes = calloc(size, sizeof(*queue->indexes));
    return queue->indexes != NULL;
}

struct load_lane *load_lane_create(const struct load_lane_plan *plan) {
    struct load_lane *lane = calloc(1, sizeof(*lane));
    if (lane == NULL) {
        return NULL;
    }
    const struct load_options *options = plan->options;
    lane->plan = *plan;
    lane->requests = &options->requests;
    lane->busy_count = plan->connections;
    lane->connection_count = plan->connections + plan->idle;
    lane->open_loop = plan->rate > 0;
    lane->to_give = plan->request_count;
    lane->timeout_ns = (uint64_t)(options->timeout_seconds * 1e9);
    while (lane->run_mask + 1 < options->depth) {
        lane->run_mask = lane->run_mask * 2 + 1;
    }
    size_t count = lane->connection_count;
    lane->connections = calloc(count, sizeof(*lane->connections));
    lane->runs =
        calloc((size_t)CV_MAX(lane->busy_count, 1u) * (lane->run_mask + 1), sizeof(*lane->runs));
    lane->shapes = calloc(lane->requests->count, sizeof(*lane->shapes));
    lane->kinds = calloc(options->depth, sizeof(*lane->kinds));
    lane->dirty = calloc(count, sizeof(*lane->dirty));
    if (lane->connections == NULL || lane->runs == NULL || lane->shapes == NULL ||
        lane->kinds == NULL || lane->dirty == NULL ||
        !make_queue(&lane->dial_queue, lane->connection_count) ||
        !make_queue(&lane->rooms, lane->connection_count) ||
        load_dialer_init(&lane->dialer, &options->address, options->address_bytes,
                         plan->client_count) < 0) {
        load_lane_destroy(lane);
        return NULL;
    }
    return lane;
}

void load_lane_destroy(struct load_lane *lane) {
    if (lane == NULL) {
        return;
    }
    load_dialer_deinit(&lane->dialer);
    free(lane->rooms.indexes);
    free(lane->dial_queue.indexes);
    free(lane->dirty);
    free(lane->kinds);
    free(lane->shapes);
    free(lane->runs);
    free(lane->connections);
    free(lane);
}

struct load_lane_progress *load_lane_progress(struct load_lane *lane) {
    return &lane->progress;
}

const struct load_result *load_lane_result(const struct load_lane *lane) {
    return &lane->result;
}

unsigned load_lane_connections_max(void) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur > 1u << 20) {
        return 1u << 20;
    }
    return (unsigned)files.rlim_cur;
}
