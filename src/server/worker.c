// A worker's loop. One turn: hand everything queued to the kernel and wait (one system call),
// handle what completed, run timers, run the connections' to-do list. Nothing in a turn waits for
// anything else.
//
// Messages arrive through the mailbox; a wake-up is a completion like any other: a read of the
// eventfd (the main thread, kernels before 6.11) or a ring message (other workers).
#include "server/worker.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "app/app.h"
#include "app/context.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/schedstat.h"
#include "mem/pool.h"
#include "mem/remote.h"
#include "metrics/counter.h"
#include "net/listener.h"
#include "net/net.h"
#include "ring/ring.h"
#include "serve/http1.h"
#include "server/lastwords.h"
#include "server/logqueue.h"
#include "server/rollout.h"
#include "timer/wheel.h"

#define COMPLETIONS_PER_BATCH 256u
#define UNSEEN_NS 1000000u       // In so much time more can be missed than a turn brings.
#define CATCH_UP_TIMES 10u       // What was missed in a time is heard in so many such times,
#define CATCH_UP_NS 1000000000u  // and timers wait no longer than about this for it.
#define CATCH_UP_FEW 16u         // Completions of a turn behind which nothing missed waits.
#define STOP_TURNS_MAX 50u  // Of STOP_TURN_NS each, for the kernel to let go of what is cancelled.
#define STOP_TURN_NS 10000000u

struct cv_worker {
    struct cv_worker_options options;
    struct cv_ring *ring;  // owned
    int eventfd;           // owned
    int schedstat;         // owned, between enter and leave; below 0: none
    pthread_t thread;
    bool is_started;
    bool is_draining;
    bool is_stopping;
    bool has_more;            // The to-do list is not empty.
    bool has_logged;          // Lines were put since the main thread was last looked after.
    uint64_t catch_up_ns;     // What is left of the time to hear what was missed; 0: nothing was.
    uint32_t cut_count;       // Connections cut by CV_MESSAGE_STOP.
    uint32_t attached_count;  // Generations that are not released, the newest included.
    struct covet_worker *attached[CV_ROLLOUT_GENERATIONS_MAX];
    struct covet_app *refused;  // By its own init hook, at the start; NULL: none.
    uint64_t wake_count;        // Where reads of the eventfd go.
    struct cv_turn turn;
    struct cv_clock clock;
    struct cv_wheel wheel;
    struct cv_pool pool;
    struct cv_net net;
    struct cv_http1 http1;
    struct cv_env env;
    struct covet_stats_worker *stats;  // borrowed
    struct cv_mailbox mailbox;
    struct cv_completion completion[COMPLETIONS_PER_BATCH];
};

static const uint64_t one = 1;  // What an eventfd is woken with.

// Messages.
static void tell_main(struct cv_worker *worker, enum cv_message_kind kind, void *pointer,
                      int32_t detail) {
    struct cv_message message = {
        .kind = kind,
        .detail = detail,
        .number = worker->options.index,
        .pointer = pointer,
    };
    bool wake;
    // Workers say a handful of things per reload; a full mailbox means a main thread that is stuck.
    CV_ASSERT(cv_mailbox_put(worker->options.main_mailbox, &message, &wake) == 0);
    if (wake && write(worker->options.main_eventfd, &one, sizeof(one)) < 0) {
        cv_log(CV_LOG_ERROR, "wake_failed", "worker=%u error=%d", worker->options.index, errno);
    }
}

static uint64_t user_data(const struct cv_worker *worker, enum covet_op op, uint32_t slot) {
    return covet_user_data(op, worker->options.index, 0, slot);
}

// Wakes another worker, or the main thread as the one behind the last. Only failures complete.
static void wake_by_eventfd(struct cv_worker *worker, uint32_t target) {
    const struct cv_worker_options *options = &worker->options;
    int eventfd = target < options->count ? options->all[target]->eventfd : options->main_eventfd;
    cv_ring_write(worker->ring, eventfd, &one, sizeof(one),
                  user_data(worker, COVET_OP_NOTIFY, target));
}

// By a ring message where those are fast.
static void wake_worker(struct cv_worker *worker, uint32_t target) {
    if (cv_ring_features(worker->ring)->message_ring) {
        cv_ring_message(worker->ring, cv_ring_descriptor(worker->options.all[target]->ring),
                        user_data(worker, COVET_OP_MESSAGE, worker->options.index),
                        user_data(worker, COVET_OP_NOTIFY, target));
    } else {
        wake_by_eventfd(worker, target);
    }
}

// A message to our own ring waits in the kernel behind everything that waits there already; a write
// to our own eventfd does the same through another thread.
static void send_echo(struct cv_worker *worker) {
    wake_worker(worker, worker->options.index);
}

static int post(struct cv_env *env, uint32_t index, void (*call)(void *context), void *context) {
    struct cv_worker *worker = CV_CONTAINER_OF(env, struct cv_worker, env);
    struct cv_message message = {.kind = CV_MESSAGE_CALL, .pointer = context, .call = call};
    bool wake;
    if (index >= worker->options.count) {
        return -EINVAL;
    }
    struct cv_worker *target = worker->options.all[index];
    int status = cv_mailbox_put(&target->mailbox, &message, &wake);
    if (status == 0 && wake) {
        if (target == worker) {
            wake_by_eventfd(worker, index);  // A message to ourselves is an echo.
        } else {
            wake_worker(worker, index);
        }
    }
    return status;
}

int cv_worker_post(struct cv_worker *worker, const struct cv_message *message) {
    bool wake;
    int status = cv_mailbox_put(&worker->mailbox, message, &wake);
    if (status == 0 && wake && write(worker->eventfd, &one, sizeof(one)) < 0) {
        return -errno;
    }
    return status;
}

static void detach(struct cv_worker *worker, struct covet_worker *app_worker) {
    if (worker->http1.app == app_worker) {
        worker->http1.app = NULL;
    }
    for (uint32_t i = 0; i < worker->attached_count; i++) {
        if (worker->attached[i] == app_worker) {
            worker->attached[i] = worker->attached[--worker->attached_count];
        }
    }
    cv_app_detach(app_worker);
}

static void on_released(struct covet_worker *app_worker) {
    struct cv_worker *worker = app_worker->server_data;
    struct covet_app *app = app_worker->app;
    detach(worker, app_worker);
    tell_main(worker, CV_MESSAGE_RELEASED, app, 0);
}

static int adopt(struct cv_worker *worker, struct covet_app *app) {
    struct covet_worker *fresh;
    struct covet_worker *old = worker->http1.app;
    if (worker->attached_count == CV_ARRAY_COUNT(worker->attached)) {
        return -EBUSY;
    }
    int status = cv_app_attach(app, &worker->env, &fresh);
    if (status < 0) {
        return status;
    }
    worker->attached[worker->attached_count++] = fresh;
    fresh->on_released = on_released;
    fresh->server_data = worker;
    worker->http1.app = fresh;
    if (old != NULL) {
        cv_app_retire(old);
    }
    return 0;
}

static void drain(struct cv_worker *worker, uint64_t idle_ms) {
    if (!worker->is_draining) {
        worker->is_draining = true;
        worker->http1.drain_idle_ms = (uint32_t)CV_MIN(CV_MAX(idle_ms, 1u), (uint64_t)UINT32_MAX);
        worker->net.draining = true;
        cv_listener_stop_all(&worker->net, true);
        cv_net_drain(&worker->net);
    }
}

static void stop(struct cv_worker *worker) {
    drain(worker, 0);
    worker->is_stopping = true;
}

static void bound_memory(struct cv_worker *worker) {
    uint64_t bytes_max = worker->net.limits->memory_bytes_max;
    if (bytes_max == 0) {
        bytes_max = worker->options.memory_bytes_max;
    }
    if (bytes_max == 0 || bytes_max > CV_LIMITS_MEMORY_BYTES_MAX) {
        bytes_max = CV_LIMITS_MEMORY_BYTES_MAX;
    }
    cv_pool_set_bytes_max(&worker->pool, bytes_max);
    worker->http1.overload.memory_bytes_max = bytes_max;
}

static void handle(struct cv_worker *worker, const struct cv_message *message) {
    cv_counter_add(worker->stats, COVET_COUNTER_MESSAGES, 1);
    switch (message->kind) {
    case CV_MESSAGE_ADOPT:
        tell_main(worker, CV_MESSAGE_ADOPTED, message->pointer,
                  worker->is_draining ? -ESHUTDOWN : adopt(worker, message->pointer));
        break;
    case CV_MESSAGE_LIMITS:
        cv_net_set_limits(&worker->net, message->pointer);
        bound_memory(worker);
        tell_main(worker, CV_MESSAGE_LIMITS_TAKEN, message->pointer, 0);
        break;
    case CV_MESSAGE_DRAIN:
        drain(worker, message->number);
        break;
    case CV_MESSAGE_STOP:
        stop(worker);
        break;
    case CV_MESSAGE_LOG:
        worker->http1.access.enabled = message->number != 0;
        break;
    case CV_MESSAGE_CALL:
        message->call(message->pointer);
        break;
    default:
        cv_log(CV_LOG_ERROR, "message_unknown", "kind=%d", (int)message->kind);
        abort();
    }
}

static void take_messages(struct cv_worker *worker) {
    struct cv_message message;
    while (cv_mailbox_take(&worker->mailbox, &message)) {
        handle(worker, &message);
    }
}

static void put_log_line(void *context, struct cv_span line) {
    struct cv_worker *worker = context;
    worker->has_logged = true;
    if (!cv_logqueue_put(worker->options.log, line)) {
        cv_counter_add(worker->stats, COVET_COUNTER_LOG_DROPPED, 1);
    }
}

// Slabs are registered with the ring, so that bodies in them need not be pinned for each zero-copy
// send. A slab that the kernel refuses (the limit of locked memory) is sent from all the same.
static void on_slab_added(void *context, uint32_t index, void *memory, size_t bytes) {
    struct cv_worker *worker = context;
    int status = cv_ring_add_memory(worker->ring, index, memory, bytes);
    if (status < 0) {
        cv_log(CV_LOG_DEBUG, "slab_not_registered", "worker=%u slab=%u error=%d",
               worker->options.index, index, -status);
    }
}

static void on_slab_removed(void *context, uint32_t index) {
    struct cv_worker *worker = context;
    cv_ring_remove_memory(worker->ring, index);
}

// The turn.
static void await_wake(struct cv_worker *worker) {
    cv_ring_read(worker->ring, worker->eventfd, &worker->wake_count, sizeof(worker->wake_count),
                 user_data(worker, COVET_OP_WAKE, 0));
}

static void dispatch(struct cv_worker *worker, const struct cv_completion *completion) {
    switch ((enum covet_op)covet_user_data_op(completion->user_data)) {
    case COVET_OP_RECV:
    case COVET_OP_ZERO_COPY:
    case COVET_OP_CANCEL:
    case COVET_OP_CLOSE:
        cv_net_complete(&worker->net, completion);
        break;
    case COVET_OP_ACCEPT:
        cv_listener_complete(&worker->net, completion);
        break;
    case COVET_OP_WAKE:
        cv_overload_on_echo(&worker->http1.overload);
        take_messages(worker);
        await_wake(worker);
        break;
    case COVET_OP_MESSAGE:
        if (covet_user_data_slot(completion->user_data) == worker->options.index) {
            cv_overload_on_echo(&worker->http1.overload);
        }
        take_messages(worker);
        break;
    case COVET_OP_NOTIFY:
        // A wake-up that did not arrive: the target's ring is not enabled yet, or is full, or the
        // kernel had no memory for it.
        wake_by_eventfd(worker, covet_user_data_slot(completion->user_data));
        break;
    default:
        break;
    }
}

// Until when this turn may sleep; 0: not at all.
static uint64_t wake_ns(const struct cv_worker *worker, uint64_t deadline_ns) {
    if (worker->has_more || worker->catch_up_ns != 0) {
        return 0;
    }
    uint64_t next_ms = cv_wheel_next_ms(&worker->wheel);
    return next_ms == CV_WHEEL_NEVER ? deadline_ns : CV_MIN(deadline_ns, next_ms * 1000000u);
}

static void publish_memory(struct cv_worker *worker, size_t live_bytes) {
    struct covet_stats_worker *stats = worker->stats;
    const struct cv_pool *pool = &worker->pool;
    const struct cv_slabs *slabs = cv_pool_slabs(&worker->pool);
    cv_counter_set(stats, COVET_COUNTER_MEMORY_BYTES, cv_pool_held_bytes(pool));
    cv_counter_set(stats, COVET_COUNTER_MEMORY_LIVE_BYTES, live_bytes);
    cv_counter_set(stats, COVET_COUNTER_MEMORY_PEAK_BYTES, pool->peak_bytes);
    cv_counter_set(stats, COVET_COUNTER_MEMORY_REFILLS, pool->refills);
    cv_counter_set(stats, COVET_COUNTER_MEMORY_REMOTE_FREES, pool->remote_frees);
    cv_counter_set(stats, COVET_COUNTER_MEMORY_SLABS_HUGETLB, slabs->count[CV_SLAB_HUGETLB]);
    cv_counter_set(stats, COVET_COUNTER_MEMORY_SLABS_TRANSPARENT,
                   slabs->count[CV_SLAB_TRANSPARENT]);
    cv_counter_set(stats, COVET_COUNTER_MEMORY_SLABS_PLAIN, slabs->count[CV_SLAB_PLAIN]);
}

static void publish(struct cv_worker *worker) {
    struct covet_stats_worker *stats = worker->stats;
    cv_counter_set(stats, COVET_COUNTER_ENTERS, cv_ring_enters(worker->ring));
    cv_counter_set(stats, COVET_COUNTER_CQ_OVERFLOWS, cv_ring_overflows(worker->ring));
    size_t live_bytes = cv_pool_turn(&worker->pool);
    publish_memory(worker, live_bytes);
    if (cv_overload_end_turn(&worker->http1.overload, live_bytes)) {
        send_echo(worker);
    }
    cv_counter_set(stats, COVET_COUNTER_BUFFERS_IN_USE, cv_ring_buffers_lent(worker->ring));
    if (!worker->http1.access.enabled) {
        return;
    }
    cv_counter_add(stats, COVET_COUNTER_LOG_DROPPED, cv_logqueue_take_dropped(worker->options.log));
    if (worker->has_logged && cv_logqueue_wants_wake(worker->options.log)) {
        wake_by_eventfd(worker, worker->options.count);
    }
    worker->has_logged = false;
}

// A drained worker has neither listeners nor connections; what its application still owes somebody
// who has left is waited for, unless the worker was told to stop.
static bool is_over(struct cv_worker *worker) {
    if (worker->is_stopping) {
        // Each turn, because connections may still be accepted while the listeners close.
        worker->cut_count += cv_net_close_all(&worker->net);
    }
    if (!worker->is_draining || !cv_net_is_idle(&worker->net) ||
        !cv_listener_all_closed(&worker->net)) {
        return false;
    }
    if (worker->http1.app != NULL && !worker->http1.app->retired) {
        cv_app_retire(worker->http1.app);
    }
    return worker->attached_count == 0 || worker->is_stopping;
}

// Sends first: see cv_net_sent.
static uint32_t take_completions(struct cv_worker *worker) {
    uint32_t count = cv_ring_reap(worker->ring, worker->completion, COMPLETIONS_PER_BATCH);
    for (uint32_t i = 0; i < count; i++) {
        if (covet_user_data_op(worker->completion[i].user_data) == COVET_OP_SEND) {
            cv_net_complete(&worker->net, &worker->completion[i]);
        }
    }
    if (cv_ring_is_settled(worker->ring)) {
        cv_net_sent(&worker->net);
    }
    for (uint32_t i = 0; i < CV_MIN(count, CV_NET_PREFETCH_AHEAD); i++) {
        cv_net_prefetch(&worker->net, &worker->completion[i]);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (i + CV_NET_PREFETCH_AHEAD < count) {
            cv_net_prefetch(&worker->net, &worker->completion[i + CV_NET_PREFETCH_AHEAD]);
        }
        if (i + CV_NET_OUTPUT_AHEAD < count) {
            uint64_t next = worker->completion[i + CV_NET_OUTPUT_AHEAD].user_data;
            cv_net_prefetch_output(&worker->net, covet_user_data_slot(next));
        }
        dispatch(worker, &worker->completion[i]);
    }
    return count;
}

// A process that was suspended, or blocked by a handler, finds timers over of clients that have
// said in time what they had to say: the time-out ends the wait with few completions beside it,
// since the kernel gives no more per call (20 since Linux 6.13). So timers wait for the next turn,
// and on while turns bring as many as that, or leave some behind. A turn that is long itself, as
// the first one with all that was missed may be, uses up half of the time they have. `unseen_ns`
// have passed since the last turn began.
static bool may_run_timers(struct cv_worker *worker, uint64_t unseen_ns, uint32_t taken) {
    if (CV_LIKELY(worker->catch_up_ns == 0)) {
        if (CV_LIKELY(unseen_ns <= UNSEEN_NS) ||
            cv_wheel_next_ms(&worker->wheel) > worker->clock.now_ms) {
            return true;
        }
        worker->catch_up_ns = CV_MIN(unseen_ns * CATCH_UP_TIMES, (uint64_t)CATCH_UP_NS);
        return false;
    }
    worker->catch_up_ns -= CV_MIN(unseen_ns, worker->catch_up_ns / 2);
    bool has_all = taken < CATCH_UP_FEW && cv_ring_is_settled(worker->ring);
    if (!has_all && worker->catch_up_ns > UNSEEN_NS) {
        return false;
    }
    worker->catch_up_ns = 0;
    return true;
}

enum cv_worker_stop cv_worker_turn(struct cv_worker *worker, uint64_t deadline_ns) {
    // What this turn and those before have read of the routes is in the pins now.
    cv_turn_sleep(&worker->turn);
    uint64_t before_ns = worker->clock.now_ns;
    int status = cv_ring_wait(worker->ring, before_ns, wake_ns(worker, deadline_ns));
    cv_turn_wake(&worker->turn);
    if (CV_UNLIKELY(status < 0)) {
        cv_log(CV_LOG_ERROR, "ring_failed", "worker=%u error=%d", worker->options.index, -status);
        abort();
    }
    cv_net_submitted(&worker->net);
    cv_clock_update(&worker->clock);
    uint32_t taken;
    while ((taken = take_completions(worker)) == COMPLETIONS_PER_BATCH) {
        // Many more wait: what this batch answered goes out before they are looked at.
        (void)cv_net_run(&worker->net);
        cv_ring_submit(worker->ring);
        cv_net_submitted(&worker->net);
    }
    cv_net_settle(&worker->net);
    if (may_run_timers(worker, worker->clock.now_ns - before_ns, taken)) {
        (void)cv_wheel_run(&worker->wheel, worker->clock.now_ms);
    }
    worker->has_more = cv_net_run(&worker->net) || worker->net.quiet_submitted > 0 ||
                       (worker->is_stopping && worker->net.quiet_count > 0);
    publish(worker);
    return is_over(worker) ? CV_WORKER_ENDED : CV_WORKER_TURNED;
}

// Life.
int cv_worker_create(struct cv_worker **out, const struct cv_worker_options *options) {
    struct cv_worker *worker = aligned_alloc(CV_CACHE_LINE_BYTES, sizeof(*worker));
    if (worker == NULL) {
        return -ENOMEM;
    }
    *worker = (struct cv_worker){.options = *options};
    uint32_t connections_max = options->limits->connections_max;
    struct cv_ring_options ring_options = {
        .connections_max = connections_max != 0 ? connections_max : options->descriptors_max,
        .locked_bytes_max = options->locked_bytes_max,
    };
    int status = cv_ring_create(&worker->ring, &ring_options);
    if (status < 0) {
        goto fail_free;
    }
    worker->eventfd = eventfd(0, EFD_CLOEXEC);
    if (worker->eventfd < 0) {
        status = -errno;
        goto fail_ring;
    }
    worker->stats = cv_stats_worker(options->stats, options->index);
    cv_mailbox_init(&worker->mailbox);
    *out = worker;
    return 0;

fail_ring:
    cv_ring_destroy(worker->ring);
fail_free:
    free(worker);
    return status;
}

static void pin(struct cv_worker *worker) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(worker->options.cpu, &cpus);
    if (sched_setaffinity(0, sizeof(cpus), &cpus) != 0) {
        cv_log(CV_LOG_WARN, "pin_failed", "worker=%u cpu=%u error=%d", worker->options.index,
               (unsigned)worker->options.cpu, errno);
    }
}

static void give_up_pool(struct cv_worker *worker) {
    cv_slab_watch(cv_pool_slabs(&worker->pool), NULL, NULL, NULL);
    cv_remote_close(&worker->pool);
}

// In the order that docs/notes/0001-core.md argues.
int cv_worker_enter(struct cv_worker *worker) {
    const struct cv_worker_options *options = &worker->options;
    cv_turn_wake(&worker->turn);
    pin(worker);
    if (unshare(CLONE_FILES) != 0) {
        return -errno;
    }
    int status = cv_ring_enable(worker->ring);
    if (status < 0) {
        return status;
    }
    for (uint32_t i = 0; i < options->foreign_count; i++) {
        (void)close(options->foreign[i]);
    }
    cv_clock_init(&worker->clock);
    cv_wheel_init(&worker->wheel, worker->clock.now_ms);
    cv_pool_init(&worker->pool);
    if (cv_ring_features(worker->ring)->zero_copy && options->limits->zero_copy_bytes_min > 0) {
        cv_slab_watch(cv_pool_slabs(&worker->pool), on_slab_added, on_slab_removed, worker);
    }
    cv_counter_begin(worker->stats, (uint32_t)gettid(), options->cpu, worker->clock.now_ns);
    worker->env = (struct cv_env){
        .worker_index = options->index,
        .worker_count = options->count,
        .pool = &worker->pool,
        .wheel = &worker->wheel,
        .clock = &worker->clock,
        .stats = worker->stats,
        .all_stats = options->stats,
        .turn = &worker->turn,
        .post = post,
    };
    worker->http1 = (struct cv_http1){
        .env = &worker->env,
        .access = {.enabled = options->log_enabled, .put = put_log_line, .context = worker},
    };
    status = adopt(worker, options->app);
    if (status < 0) {
        worker->refused = options->app;
        goto fail_pool;
    }
    worker->net = (struct cv_net){
        .ring = worker->ring,
        .pool = &worker->pool,
        .slabs = cv_pool_slabs(&worker->pool),
        .wheel = &worker->wheel,
        .clock = &worker->clock,
        .stats = worker->stats,
        .limits = options->limits,
        .ops = &cv_http1_ops,
        .protocol = &worker->http1,
        .worker_index = options->index,
    };
    status = cv_net_init(&worker->net, options->descriptors_max);
    if (status < 0) {
        goto fail_app;
    }
    status = cv_listener_open_all(&worker->net, options->listener, options->listener_count);
    if (status < 0) {
        goto fail_net;
    }
    // Without it lag is judged by the clock alone.
    worker->schedstat = cv_schedstat_open();
    cv_overload_init(&worker->http1.overload, &worker->net, 0, worker->schedstat);
    bound_memory(worker);
    cv_slab_prepare(cv_pool_slabs(&worker->pool));
    publish_memory(worker, 0);
    await_wake(worker);
    return 0;

fail_net:
    cv_net_deinit(&worker->net);
fail_app:
    detach(worker, worker->http1.app);
fail_pool:
    cv_counter_end(worker->stats);
    give_up_pool(worker);
    return status;
}

// Lets the kernel give back what was cancelled, then frees everything but the record itself.
void cv_worker_leave(struct cv_worker *worker) {
    for (uint32_t i = 0; i < STOP_TURNS_MAX && !cv_net_is_idle(&worker->net); i++) {
        (void)cv_worker_turn(worker, worker->clock.now_ns + STOP_TURN_NS);
    }
    // What the last turn queued may be what wakes another worker; where that fails it is tried
    // anew.
    for (uint32_t i = 0; i < STOP_TURNS_MAX; i++) {
        cv_ring_submit(worker->ring);
        if (take_completions(worker) == 0) {
            break;
        }
    }
    while (worker->attached_count > 0) {
        struct covet_worker *app_worker = worker->attached[0];
        struct covet_app *app = app_worker->app;
        detach(worker, app_worker);
        tell_main(worker, CV_MESSAGE_RELEASED, app, 0);
    }
    if (worker->schedstat >= 0) {
        (void)close(worker->schedstat);
    }
    cv_counter_end(worker->stats);
    // After a hard stop a handler's unfinished request may still hold blocks; the process ends with
    // them.
    give_up_pool(worker);
}

static void *run(void *context) {
    struct cv_worker *worker = context;
    char name[16];
    (void)snprintf(name, sizeof(name), "covet-w%u", worker->options.index);
    (void)pthread_setname_np(pthread_self(), name);
    cv_lastwords_thread();
    int status = cv_worker_enter(worker);
    tell_main(worker, CV_MESSAGE_READY, worker->refused, status);
    if (status == 0) {
        while (cv_worker_turn(worker, UINT64_MAX) != CV_WORKER_ENDED) {
        }
        cv_worker_leave(worker);
    }
    tell_main(worker, CV_MESSAGE_STOPPED, NULL, (int32_t)worker->cut_count);
    return NULL;
}

int cv_worker_start(struct cv_worker *worker) {
    // Faults must reach the crash handler; every other signal is the main thread's.
    static const int faults[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    sigset_t all, old;
    (void)sigfillset(&all);
    for (size_t i = 0; i < CV_ARRAY_COUNT(faults); i++) {
        (void)sigdelset(&all, faults[i]);
    }
    (void)pthread_sigmask(SIG_BLOCK, &all, &old);
    int status = pthread_create(&worker->thread, NULL, run, worker);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    worker->is_started = status == 0;
    return -status;
}

void cv_worker_join(struct cv_worker *worker) {
    if (worker->is_started) {
        (void)pthread_join(worker->thread, NULL);
        worker->is_started = false;
    }
}

void cv_worker_destroy(struct cv_worker *worker) {
    if (worker == NULL) {
        return;
    }
    CV_ASSERT(!worker->is_started);
    cv_ring_destroy(worker->ring);
    if (worker->net.table != NULL) {
        cv_net_deinit(&worker->net);
    }
    (void)close(worker->eventfd);
    free(worker);
}
