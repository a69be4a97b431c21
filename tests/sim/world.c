// The loop of a run: clients, workers and the main thread do a little each, in an order the seed
// decides, as long as anything happens; then time passes to the next moment at which it does. When
// there is no such moment and answers are still due, the server hangs.
#include "sim/world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "app/app.h"
#include "base/compiler.h"
#include "base/log.h"
#include "metrics/counter.h"
#include "serve/access.h"
#include "server/logqueue.h"
#include "server/rollout.h"
#include "server/worker.h"
#include "sim/application.h"
#include "sim/client.h"
#include "sim/lag.h"
#include "sim/torture.h"

#define MS_NS 1000000ull
#define DESCRIPTORS_MAX 10000u   // A worker takes nearly as many connections,
#define DESCRIPTORS_FEW 38u      // or half of them where they are few, and clients wait.
#define FEWER_CONNECTIONS 4000u  // Accepted one by one; clients make no more than a quarter.
#define BACKLOG_MAX 8192u        // Connections behind which accepts are multishot.
#define STEPS_MAX 4000000u
#define REFUSALS_PER_ANSWER 4u
#define TIME_SCALE 10u  // Of time-outs, where time passes within turns.
#define DRAIN_IDLE_MS_MIN 1000u
#define DRAIN_IDLE_MS_MAX 3000u
#define UNREAD_STEPS_MAX 2000u
#define AWAY_STEPS_MAX 30u
#define CAPPED_CLIENTS_MAX 20u

struct world {
    struct cv_settings settings;
    struct cv_rollout rollout;
    struct cv_mailbox mailbox;
    int eventfd;
    struct cv_stats stats;
    int listener[SIM_RINGS_MAX][SIM_LISTENERS_MAX];
    bool has_ended[SIM_RINGS_MAX];
    uint32_t ended_count;
    uint32_t ready_count;
    bool wants_reclaim;
    bool has_told_end;
    uint64_t reloads;
    struct cv_logqueue *log[SIM_RINGS_MAX];  // owned; NULL: no access log is written
    uint64_t log_lines;
    uint32_t unread_steps;               // For which the first of them has held something.
    uint32_t away_steps[SIM_RINGS_MAX];  // For which a worker gets no processor.
    struct sim_client *client[SIM_CLIENTS_MAX];
};

static struct world world;

int __wrap_unshare(int flags);
int __wrap_unshare(int flags) {
    (void)flags;
    errno = sim_torture_call(SIM_CALL_UNSHARE);
    return errno != 0 ? -1 : 0;
}

int __wrap_sched_setaffinity(int pid, size_t bytes, const void *mask);
int __wrap_sched_setaffinity(int pid, size_t bytes, const void *mask) {
    (void)pid, (void)bytes, (void)mask;
    errno = sim_torture_call(SIM_CALL_AFFINITY);
    return errno != 0 ? -1 : 0;
}

struct sim_plan sim_plan_of(uint64_t seed, uint32_t request_count) {
    struct sim_random random;
    sim_random_seed(&random, seed ^ 0x706c616eu);
    struct sim_plan plan = {
        .seed = seed,
        .worker_count = sim_random_between(&random, 1, SIM_WORKERS_MAX),
        .client_count = sim_random_size(&random, SIM_CLIENTS_MAX),
        .request_count = request_count,
    };
    // Some runs know few faults, so that each is seen without the others too.
    uint32_t in_thousand = sim_random_chance(&random, 300) ? 100 : 500;
    for (uint32_t i = 0; i < SIM_FAULT_COUNT; i++) {
        plan.faults |= (uint64_t)sim_random_chance(&random, in_thousand) << i;
    }
    if ((plan.faults >> SIM_BUSY & 1) != 0 && sim_random_chance(&random, 700)) {
        // A few clients are never too many, and few buffers never let many be heard.
        plan.client_count = sim_random_between(&random, SIM_CLIENTS_MAX / 4, SIM_CLIENTS_MAX);
        plan.faults &= ~(1ull << SIM_NO_BUFFERS | 1ull << SIM_SMALL_CQ);
    }
    // Without large bodies nothing is sent without a copy.
    plan.has_zero_copy = sim_random_chance(&random, 60);
    plan.large_in_thousand = plan.has_zero_copy || sim_random_chance(&random, 20) ? 100 : 0;
    return plan;
}

// With few the server waits for one to end; with just more than a backlog it accepts all there are
// at once, until it comes near that.
static uint32_t connections_max(void) {
    if (sim_world.is_crowded) {
        return sim_random_chance(&sim.random, 500) ? 0 : sim_random_between(&sim.random, 4, 20);
    }
    return sim_random_chance(&sim.random, 500)
               ? BACKLOG_MAX + sim_random_size(&sim.random, 2 * SIM_CLIENTS_MAX)
               : FEWER_CONNECTIONS;
}

// `usual` has what stays the same.
static struct cv_limits limits(const struct cv_limits *usual) {
    uint32_t scale = sim_world.time_scale;
    return (struct cv_limits){
        .header_timeout_ms = 2000 * scale,
        .idle_timeout_ms = usual->idle_timeout_ms,
        .body_grace_ms = 1500 * scale,
        .body_rate_min = 100,
        .write_timeout_ms = usual->write_timeout_ms,
        .linger_timeout_ms = 1000 * scale,
        .lag_max_ms = usual->lag_max_ms,
        .lag_hold_ms = usual->lag_hold_ms,
        .head_bytes_max = 16384,
        .target_bytes_max = 4096,
        .fields_max = 50,
        .pipeline_max = sim_random_size(&sim.random, 32),
        .output_bytes_max = 4096 * sim_random_size(&sim.random, 64),
        .zero_copy_bytes_min =
            sim_random_chance(&sim.random, 500) || sim.plan.has_zero_copy ? SIM_LENT_BYTES_MIN : 0,
        .connections_max = connections_max(),
        .connections_per_address_max = sim.per_address_max,
        .retry_after_s = 1,
        .body_bytes_max = 1000000,
    };
}

// What takes how long, and how long work may wait.
static struct cv_limits choose_times(void) {
    static const uint64_t handlers_ns[] = {0, 50000, 2000000, 2000000};
    bool passes = sim_may(SIM_BUSY) || sim_may(SIM_PAUSE) || sim_may(SIM_STEAL);
    sim_world.time_scale = passes ? TIME_SCALE : 1;
    struct cv_limits times = {
        .idle_timeout_ms = sim_random_between(&sim.random, 1000, 5000) * sim_world.time_scale,
        .write_timeout_ms = sim_random_between(&sim.random, 2000, 5000) * sim_world.time_scale,
        .lag_max_ms = 50,
        .lag_hold_ms = 100,
    };
    if (sim_may(SIM_BUSY)) {
        sim_world.handler_ns =
            handlers_ns[sim_random_below(&sim.random, CV_ARRAY_COUNT(handlers_ns))];
        times.lag_max_ms = sim_random_size(&sim.random, 32) - sim_random_chance(&sim.random, 100);
        times.lag_hold_ms = sim_random_size(&sim.random, 32);
    }
    return times;
}

// The main thread.
// Something of the server's did not come about, which only a failure that was planted explains.
static void must_be_torture(const char *what) {
    if (!sim_torture.has_struck) {
        sim_fail("%s", what);
    }
    sim_event(what, 0, 0);
}

static void want_reclaim(void *context) {
    (void)context;
    world.wants_reclaim = true;
}

// NULL: refused.
static struct cv_generation *make_generation(void) {
    static const struct cv_generation_source source = {.init = sim_application_init};
    static const int none = -1;  // No modules.
    struct cv_generation *generation;
    char why[256] = "";
    if (cv_generation_create(&generation, &world.settings, &none, &source, why, sizeof(why)) != 0) {
        must_be_torture("no generation");
        if (why[0] == '\0') {
            sim_fail("a generation is refused without a reason");
        }
        return NULL;
    }
    generation->app->routes.want_reclaim = want_reclaim;
    return generation;
}

static void tell_all(enum cv_message_kind kind, uint64_t number) {
    for (uint32_t i = 0; i < sim.plan.worker_count; i++) {
        struct cv_message message = {.kind = kind, .number = number};
        if (!world.has_ended[i] && cv_worker_post(world.rollout.worker[i], &message) != 0) {
            sim_fail("worker %u takes no message", i);
        }
    }
}

// Counts the lines, and shows them to the clients, who know what they must say. One may be cut in
// two where the queue wraps around.
static uint32_t take_lines(uint32_t worker, struct cv_span lines) {
    static char line[SIM_RINGS_MAX][2 * CV_ACCESS_LINE_BYTES_MAX];
    static size_t length[SIM_RINGS_MAX];
    uint32_t count = 0;
    for (size_t i = 0; i < lines.length; i++) {
        line[worker][length[worker]++] = lines.data[i];
        if (lines.data[i] == '\n' || length[worker] == sizeof(line[worker])) {
            line[worker][length[worker] - 1] = '\0';
            length[worker] = 0;
            count++;
            if (sim_http_client.see_log_line != NULL) {
                sim_http_client.see_log_line(line[worker]);
            }
        }
    }
    return count;
}

// Until every queue is empty and the workers know that they must wake us.
static void read_logs(void) {
    for (uint32_t i = 0; i < sim.plan.worker_count && world.log[i] != NULL; i++) {
        do {
            struct cv_span lines;
            while ((lines = cv_logqueue_peek(world.log[i])).length > 0) {
                world.log_lines += take_lines(i, lines);
                cv_logqueue_consume(world.log[i], lines.length);
            }
        } while (!cv_logqueue_sleep(world.log[i]));
    }
}

// A worker has let go of a generation: nothing of it may still look at one of its route tables.
static void check_pins(struct cv_routes *routes, uint32_t worker) {
    if (routes->current->pins[worker].count != 0) {
        sim_fail("worker %u has let go of a route table, and it is pinned", worker);
    }
    for (const struct cv_router *table = routes->retired; table != NULL; table = table->next) {
        if (table->pins[worker].count != 0) {
            sim_fail("worker %u has let go of a replaced route table, and it is pinned", worker);
        }
    }
}

static void listen_to_workers(void) {
    struct cv_message message;
    if (sim_eventfd_take(world.eventfd) > 0) {
        read_logs();
        world.unread_steps = 0;
    } else if (world.log[0] != NULL && cv_logqueue_peek(world.log[0]).length > 0 &&
               ++world.unread_steps > UNREAD_STEPS_MAX) {
        sim_fail("nobody is woken for what is logged");
    }
    while (cv_mailbox_take(&world.mailbox, &message)) {
        sim_event("main hears", message.kind, message.number);
        switch (message.kind) {
        case CV_MESSAGE_READY:
            world.ready_count++;
            break;
        case CV_MESSAGE_RELEASED:
            check_pins(&((struct covet_app *)message.pointer)->routes, (uint32_t)message.number);
            (void)cv_rollout_on_message(&world.rollout, &message);
            break;
        case CV_MESSAGE_ADOPTED:
        case CV_MESSAGE_LIMITS_TAKEN:
            (void)cv_rollout_on_message(&world.rollout, &message);
            break;
        default:
            break;
        }
    }
    if (world.wants_reclaim) {
        world.wants_reclaim = cv_rollout_reclaim(&world.rollout);
    }
}

static void reload(void) {
    if (world.rollout.generation_count + 1 < CV_ROLLOUT_GENERATIONS_MAX) {
        world.reloads++;
        sim_event("reload", world.reloads, 0);
        struct cv_generation *generation = make_generation();
        if (generation != NULL && cv_rollout_adopt(&world.rollout, generation) != 0) {
            sim_fail("a generation was refused");
        }
        struct cv_limits fresh = limits(&world.settings.limits);
        bool is_bound = sim.connections_max != 0 && fresh.connections_max != 0;
        sim.connections_max = is_bound ? CV_MAX(sim.connections_max, fresh.connections_max) : 0;
        if (cv_rollout_set_limits(&world.rollout, &fresh) != 0) {
            must_be_torture("no memory for limits");
        }
    }
}

// A refusal takes little: it is a part of an answer.
static bool has_answered_enough(void) {
    uint64_t refusals = sim_world.refusals;
    return sim_world.answers - refusals + refusals / REFUSALS_PER_ANSWER >= sim.plan.request_count;
}

static bool ends_under_load(void) {
    return sim_may(SIM_DRAIN) || sim_may(SIM_STOP);
}

static void end_server(void) {
    bool stops = sim_may(SIM_STOP);
    world.has_told_end = sim_world.is_ending = true;
    sim_world.is_stopped = stops;
    sim_world.end_ns = sim.now_ns;
    sim_world.drain_idle_ms =
        sim_random_between(&sim.random, DRAIN_IDLE_MS_MIN, DRAIN_IDLE_MS_MAX) *
        sim_world.time_scale;
    sim_event(stops ? "stop" : "drain", 0, 0);
    tell_all(stops ? CV_MESSAGE_STOP : CV_MESSAGE_DRAIN, sim_world.drain_idle_ms);
}

static void run_main(void) {
    listen_to_workers();
    if (sim_strikes(SIM_RELOAD, 2) && !world.has_told_end) {
        reload();
    }
    if (sim_strikes(SIM_ROUTES, 5) && !world.has_told_end) {
        sim_event("swap", 0, 0);
        if (sim_application_swap(world.rollout.newest->app) != 0) {
            must_be_torture("a route cannot be replaced");
        }
    }
    bool is_early =
        ends_under_load() && has_answered_enough() && sim_random_chance(&sim.random, 20);
    if (is_early && !world.has_told_end) {
        end_server();
    }
}

// Workers.
static bool enter_worker(uint32_t index) {
    struct cv_worker *worker = world.rollout.worker[index];
    sim.current = (int)index;
    bool has_entered = cv_worker_enter(worker) == 0;
    sim.current = -1;
    if (!has_entered) {
        must_be_torture("a worker does not start");
        return false;
    }
    world.has_ended[index] = false;
    world.ended_count--;
    return true;
}

static void run_worker(uint32_t index) {
    struct cv_worker *worker = world.rollout.worker[index];
    sim.current = (int)index;
    bool has_ended = cv_worker_turn(worker, UINT64_MAX) == CV_WORKER_ENDED;
    sim_ring_check(index);
    if (has_ended) {
        sim_event("ended", index, 0);
        cv_worker_leave(worker);
        sim_ring_end(index);
        size_t held = cv_pool_held_bytes(sim_application_pool(index));
        if (held != 0) {
            sim_fail("worker %u has ended, and its pool holds %zu bytes", index, held);
        }
        world.has_ended[index] = true;
        world.ended_count++;
    }
    sim.current = -1;
}

static bool create_workers(uint32_t descriptors_max) {
    uint32_t listener_count = sim_random_between(&sim.random, 1, SIM_LISTENERS_MAX);
    sim.listener_count = listener_count;
    for (uint32_t i = 0; i < sim.plan.worker_count; i++) {
        for (uint32_t k = 0; k < listener_count; k++) {
            world.listener[i][k] = sim_listener_create();
        }
        struct cv_worker_options options = {
            .index = i,
            .count = sim.plan.worker_count,
            .stats = &world.stats,
            .limits = cv_rollout_limits(&world.rollout),
            .app = world.rollout.newest->app,
            .listener = world.listener[i],
            .listener_count = listener_count,
            .descriptors_max = descriptors_max,
            .log = world.log[i],
            .log_enabled = world.log[i] != NULL,
            .main_mailbox = &world.mailbox,
            .main_eventfd = world.eventfd,
            .all = world.rollout.worker,
        };
        if (cv_worker_create(&world.rollout.worker[i], &options) != 0) {
            must_be_torture("no worker");
            return false;
        }
        world.rollout.worker_count++;
    }
    return true;
}

static bool create_logs(void) {
    for (uint32_t i = 0; i < sim.plan.worker_count; i++) {
        world.log[i] = cv_logqueue_create();
        if (world.log[i] == NULL) {
            must_be_torture("no memory for a log");
            return false;
        }
    }
    return true;
}

// A run that forks into tortured ones shall not share its counters with them.
static void keep_counters(void) {
    struct covet_stats_header *shared = world.stats.header;
    size_t bytes = shared->total_bytes;
    void *copy = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (copy == MAP_FAILED) {
        sim_fail("the simulation itself is out of memory");
    }
    memcpy(copy, shared, bytes);
    if (mremap(copy, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, shared) != shared) {
        sim_fail("counters cannot be kept: %s", strerror(errno));
    }
}

// False: a failure that was planted keeps the server from starting. What there is of it ends.
static bool start(void) {
    uint32_t count = sim.plan.worker_count;
    world = (struct world){0};
    sim_world = (struct sim_world_state){.limits = &world.settings.limits,
                                         .is_crowded = sim_random_chance(&sim.random, 200)};
    // Many clients of few addresses would mostly wait for those that stall.
    bool is_capped =
        sim.plan.client_count <= CAPPED_CLIENTS_MAX && sim_random_chance(&sim.random, 200);
    sim.per_address_max = is_capped ? sim_random_between(&sim.random, 1, 8) : 0;
    struct cv_limits times = choose_times();
    world.settings.limits = limits(&times);
    world.settings.worker_count = count;
    sim.connections_max = world.settings.limits.connections_max;
    uint32_t descriptors_max = sim_world.is_crowded
                                   ? sim_random_between(&sim.random, 8, DESCRIPTORS_FEW)
                                   : DESCRIPTORS_MAX;
    sim_event("lag", times.lag_max_ms, times.lag_hold_ms);
    sim_lag_init();
    world.ended_count = count;  // None has begun.
    memset(world.has_ended, true, sizeof(world.has_ended));
    cv_mailbox_init(&world.mailbox);
    world.eventfd = sim_eventfd_create();
    struct cv_generation *first = make_generation();
    if (first == NULL) {
        return false;
    }
    if (cv_rollout_init(&world.rollout, first, &world.settings.limits) != 0 ||
        cv_stats_create(&world.stats, NULL, count) != 0) {
        must_be_torture("no memory");
        return false;
    }
    if (sim_torture.on_call != NULL) {
        keep_counters();
    }
    if (sim_random_chance(&sim.random, 50) && !create_logs()) {
        return false;
    }
    if (!create_workers(descriptors_max)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!enter_worker(i)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < sim.plan.client_count; i++) {
        world.client[i] = sim_http_client.create(i);
    }
    return true;
}

// Of a server that did not start.
static void stop_all(void) {
    for (uint32_t i = 0; i < world.rollout.worker_count; i++) {
        struct cv_worker *worker = world.rollout.worker[i];
        struct cv_message stop = {.kind = CV_MESSAGE_STOP};
        if (!world.has_ended[i] && cv_worker_post(worker, &stop) != 0) {
            sim_fail("worker %u takes no message", i);
        }
        while (!world.has_ended[i]) {
            run_worker(i);
        }
    }
}

// Every request that was answered has its line, and none is left that nobody was woken for.
static void check_log(void) {
    uint64_t requests = 0, dropped = 0;
    for (uint32_t i = 0; i < sim.plan.worker_count; i++) {
        const struct covet_stats_worker *stats = cv_stats_worker(&world.stats, i);
        requests += cv_counter_read(stats, COVET_COUNTER_REQUESTS);
        dropped += cv_counter_read(stats, COVET_COUNTER_LOG_DROPPED);
    }
    if (world.log[0] != NULL && world.log_lines + dropped != requests) {
        sim_fail("%llu requests were answered, and %llu lines logged", (unsigned long long)requests,
                 (unsigned long long)world.log_lines);
    }
}

// What a worker counted, against what went through its ring.
static void check_counters(uint32_t index) {
    const struct covet_stats_worker *stats = cv_stats_worker(&world.stats, index);
    const struct sim_figures truth = sim_ring_figures(index);
    uint64_t received = cv_counter_read(stats, COVET_COUNTER_RECEIVED_BYTES);
    uint64_t sent = cv_counter_read(stats, COVET_COUNTER_SENT_BYTES);
    uint64_t accepted = cv_counter_read(stats, COVET_COUNTER_CONNECTIONS_ACCEPTED);
    uint64_t closed = 0;
    for (int i = COVET_COUNTER_CLOSED_CLIENT; i <= COVET_COUNTER_CLOSED_OVERLOAD; i++) {
        closed += cv_counter_read(stats, (enum covet_counter)i);
    }
    // Bytes that come behind the end of a connection are not counted.
    if (received > truth.received_bytes || sent != truth.sent_bytes || accepted != truth.accepted ||
        closed != accepted) {
        sim_fail("worker %u counts %llu connections, %llu closed, %llu bytes received and %llu "
                 "sent; it was %llu, %llu and %llu",
                 index, (unsigned long long)accepted, (unsigned long long)closed,
                 (unsigned long long)received, (unsigned long long)sent,
                 (unsigned long long)truth.accepted, (unsigned long long)truth.received_bytes,
                 (unsigned long long)truth.sent_bytes);
    }
}

static void finish(void) {
    for (uint32_t i = 0; i < sim.plan.client_count && world.client[i] != NULL; i++) {
        sim_http_client.destroy(world.client[i]);
    }
    sim_lag_end(sim.plan.worker_count, sim_world.lost);
    listen_to_workers();
    if (world.stats.header != NULL) {
        check_log();
    }
    for (uint32_t i = 0; i < world.rollout.worker_count; i++) {
        check_counters(i);
        cv_worker_destroy(world.rollout.worker[i]);
    }
    for (uint32_t i = 0; i < sim.plan.worker_count; i++) {
        cv_logqueue_destroy(world.log[i]);
    }
    if (sim_application_pending() != 0 && !sim_world.is_stopped) {
        sim_fail("%u requests were never finished", sim_application_pending());
    }
    if (cv_rollout_reclaim(&world.rollout)) {
        sim_fail("a replaced route table is held by nobody, and never freed");
    }
    cv_rollout_deinit(&world.rollout);
    cv_stats_close(&world.stats);
    sim_kernel_deinit();
}

// One step of everybody, in an order of the seed's.
static void step(void) {
    sim_arrive();
    uint32_t clients = sim.plan.client_count;
    uint32_t workers = sim.plan.worker_count;
    uint32_t first = sim_random_below(&sim.random, clients);
    for (uint32_t i = first; i < clients; i++) {
        sim_http_client.step(world.client[i]);
    }
    for (uint32_t i = 0; i < first; i++) {
        sim_http_client.step(world.client[i]);
    }
    first = sim_random_below(&sim.random, workers);
    for (uint32_t i = 0; i < workers; i++) {
        uint32_t index = (first + i) % workers;
        if (world.away_steps[index] > 0) {
            world.away_steps[index]--;
            sim_event("away", index, 0);
        } else if (sim_strikes(SIM_DELAY, 1)) {
            world.away_steps[index] = AWAY_STEPS_MAX;
        } else if (!world.has_ended[index] &&
                   (sim_ring_is_ready(index) || sim_strikes(SIM_INTERRUPT, 100))) {
            run_worker(index);
        }
    }
    run_main();
}

static bool clients_are_done(void) {
    for (uint32_t i = 0; i < sim.plan.client_count; i++) {
        if (!sim_http_client.is_done(world.client[i])) {
            return false;
        }
    }
    return true;
}

static bool is_anybody_ready(void) {
    for (uint32_t i = 0; i < sim.plan.worker_count; i++) {
        if (!world.has_ended[i] && sim_ring_is_ready(i)) {
            return true;
        }
    }
    return false;
}

static _Noreturn void fail_hung(const char *what) {
    for (uint32_t i = 0; i < sim.plan.client_count; i++) {
        char line[256];
        if (!sim_http_client.is_done(world.client[i])) {
            sim_http_client.describe(world.client[i], line, sizeof(line));
            (void)fprintf(stderr, "%s\n", line);
        }
    }
    sim_fail("%s, %llu requests are answered", what, (unsigned long long)sim_world.answers);
}

// To the next moment at which somebody does something of his own accord.
static void pass_time(void) {
    uint64_t next_ns = sim_arrival_ns();
    for (uint32_t i = 0; i < sim.plan.worker_count; i++) {
        if (!world.has_ended[i]) {
            next_ns = CV_MIN(next_ns, sim_ring_wake_at_ns(i));
        }
    }
    for (uint32_t i = 0; i < sim.plan.client_count; i++) {
        next_ns = CV_MIN(next_ns, sim_http_client.wake_at_ns(world.client[i]));
    }
    if (next_ns == UINT64_MAX) {
        fail_hung("nothing will ever happen again");
    }
    if (next_ns > sim.now_ns) {
        sim_event("time", next_ns - sim.now_ns, 0);
        sim.now_ns = next_ns;
    }
}

struct sim_result sim_run(const struct sim_plan *plan) {
    cv_log_set_level(CV_LOG_ERROR);
    sim_kernel_init(plan);
    if (!start()) {
        stop_all();
        finish();
        return (struct sim_result){.hash = sim.hash, .events = sim.events};
    }
    uint64_t events = 0;
    uint32_t steps = 0;
    uint32_t idle_steps = 0;
    while (world.ended_count < plan->worker_count) {
        step();
        if (++steps > STEPS_MAX) {
            fail_hung("no end in sight");
        }
        sim_world.is_enough = sim_world.is_ending || (has_answered_enough() && !ends_under_load());
        if (sim_world.is_enough && clients_are_done() && !world.has_told_end &&
            !sim_lag_is_shedding(plan->worker_count)) {
            end_server();
        }
        idle_steps = sim.events == events ? idle_steps + 1 : 0;
        events = sim.events;
        if (idle_steps >= 3 && !is_anybody_ready()) {
            pass_time();
            events = sim.events;
            idle_steps = 0;
        } else {
            sim.now_ns += sim_random_below(&sim.random, 100000);
        }
    }
    finish();
    return (struct sim_result){
        .requests = sim_world.answers, .hash = sim.hash, .events = sim.events};
}
