// The promises again, from what can be seen outside: when echoes went and came, what was asked in
// between, and how long that took.
#include "sim/lag.h"

#include "base/compiler.h"
#include "metrics/counter.h"
#include "serve/overload.h"
#include "sim/client.h"
#include "sim/kernel.h"
#include "sim/torture.h"

#define MS_NS 1000000ull
#define OUTSIDE_NS 25000u  // Ample for a request or a connection beside its handler.
#define LONG_NS (200 * MS_NS)
#define LONG_ONE_IN 2000u  // Handlers.
// Shedding ends within so many looks behind the last request that was shed: one window with it, and
// one for each doubling of a budget.
#define LOOK_NS (100 * MS_NS)
#define LOOKS_MAX 12u

// What a worker has done, and what was done to it.
struct account {
    uint64_t count;  // Requests and connections.
    uint64_t work_ns;
};

struct watch {
    struct cv_overload *overload;  // borrowed while the worker lives
    bool is_away, was_on;
    uint64_t sent_ns;
    struct account sent;  // Then.
    uint64_t late_since_ns;
    uint64_t waited_ns;                    // When that was, or the last late one came back.
    uint64_t admitted, first_ns;           // In this round.
    uint64_t burned_ns;                    // By handlers,
    uint64_t first_burned_ns, longest_ns;  // when this round began, and the slowest one since.
    uint32_t burned;                       // Handlers since then.
    uint64_t refused, refusals_seen, turned_away_seen;
    uint64_t closed;         // So many connections were turned away.
    uint64_t quiet_ns;       // When something was last shed,
    uint64_t quiet_held_ns;  // and how much had passed in turns.
    uint64_t episodes;
};

static struct watch watches[SIM_RINGS_MAX];

static uint64_t counter(const struct watch *watch, enum covet_counter counter) {
    return cv_counter_read(watch->overload->net->stats, counter);
}

static const struct cv_limits *limits(const struct watch *watch) {
    return watch->overload->net->limits;
}

static uint64_t lag_max_ns(const struct watch *watch) {
    return limits(watch)->lag_max_ms * MS_NS;
}

static struct account account(const struct watch *watch) {
    uint64_t count =
        counter(watch, COVET_COUNTER_REQUESTS) + counter(watch, COVET_COUNTER_CONNECTIONS_ACCEPTED);
    uint64_t bytes =
        counter(watch, COVET_COUNTER_RECEIVED_BYTES) + counter(watch, COVET_COUNTER_SENT_BYTES);
    return (struct account){count, watch->burned_ns + count * OUTSIDE_NS + bytes};
}

static struct watch *watch_of(struct cv_overload *overload) {
    struct watch *watch = &watches[overload->net->worker_index];
    watch->overload = overload;
    return watch;
}

_Noreturn static void broken(const struct watch *watch, const char *what) {
    sim_fail("worker %u: %s (lag-max %u ms, lag-hold %u ms)", watch->overload->net->worker_index,
             what, limits(watch)->lag_max_ms, limits(watch)->lag_hold_ms);
}

// Echoes.
static bool is_late(const struct watch *watch, uint64_t now_ns) {
    struct account now = account(watch);
    uint64_t waited_ns = sim_stolen_ns(watch->overload->net->worker_index) - watch->waited_ns;
    uint64_t age_ns = now_ns - watch->sent_ns;
    age_ns -= watch->late_since_ns == 0 ? 0 : CV_MIN(age_ns, waited_ns);
    return age_ns > lag_max_ns(watch) && now.work_ns - watch->sent.work_ns > lag_max_ns(watch) &&
           now.count - watch->sent.count > CV_SHED_REQUESTS_MIN;
}

static void note_echo(struct watch *watch, uint64_t now_ns) {
    if (!is_late(watch, now_ns)) {
        watch->late_since_ns = 0;
    } else if (watch->late_since_ns == 0) {
        watch->late_since_ns = now_ns;
        watch->waited_ns = sim_stolen_ns(watch->overload->net->worker_index);
    }
}

static void note_shed(struct watch *watch) {
    watch->quiet_ns = sim.now_ns;
    watch->quiet_held_ns = sim.held_ns;
}

// What the handlers of the round that ends have taken is what one more request waited for. Those of
// earlier rounds whose bodies came in this one are more than it admitted.
static void check_round(const struct watch *watch) {
    uint64_t later = watch->burned - CV_MIN(watch->burned, watch->admitted);
    uint64_t later_ns = later * watch->longest_ns;
    uint64_t burned_ns = watch->burned_ns - watch->first_burned_ns;
    uint64_t taken_ns = burned_ns - CV_MIN(burned_ns, later_ns);
    uint64_t slow_ns = CV_SHED_REQUESTS_MIN * watch->longest_ns;
    if (watch->admitted > 0 && taken_ns > slow_ns &&
        taken_ns > lag_max_ns(watch) / 2 + watch->longest_ns) {
        broken(watch, "a round took longer than half of the lag");
    }
}

static void begin_round(struct watch *watch) {
    watch->admitted = 0;
}

static void note_level(struct watch *watch, uint64_t now_ns) {
    bool is_on = watch->overload->shed.is_on;
    if (is_on && !watch->was_on) {
        bool is_due = watch->late_since_ns != 0 &&
                      now_ns - watch->late_since_ns >= limits(watch)->lag_hold_ms * MS_NS;
        if (!is_due || limits(watch)->lag_hold_ms == 0 || limits(watch)->lag_max_ms == 0) {
            broken(watch, "it sheds, and work did not wait for too long, long enough");
        }
        watch->episodes++;
        sim_event("sheds", watch->overload->net->worker_index, 0);
        note_shed(watch);
        begin_round(watch);
    }
    if (!is_on && watch->was_on) {
        sim_event("sheds no more", watch->overload->net->worker_index, 0);
        watch->late_since_ns = 0;
    }
    watch->was_on = is_on;
}

void __real_cv_overload_on_echo(struct cv_overload *overload);
void __wrap_cv_overload_on_echo(struct cv_overload *overload);
void __wrap_cv_overload_on_echo(struct cv_overload *overload) {
    struct watch *watch = watch_of(overload);
    bool was_away = watch->is_away;
    watch->is_away = false;
    if (was_away) {
        sim_event("echo behind", account(watch).count - watch->sent.count,
                  sim.now_ns - watch->sent_ns);
    }
    if (was_away && watch->was_on) {
        check_round(watch);
        begin_round(watch);
    } else if (was_away) {
        note_echo(watch, sim.now_ns);
    }
    __real_cv_overload_on_echo(overload);
    note_level(watch, sim.now_ns);
    if (was_away) {
        watch->waited_ns = sim_stolen_ns(overload->net->worker_index);
    }
}

// Requests.
bool __real_cv_overload_admits(struct cv_overload *overload);
bool __wrap_cv_overload_admits(struct cv_overload *overload);
bool __wrap_cv_overload_admits(struct cv_overload *overload) {
    struct watch *watch = watch_of(overload);
    bool admits = __real_cv_overload_admits(overload);
    if (overload->is_exhausted) {
        return admits;
    }
    bool is_long = watch->admitted >= CV_SHED_REQUESTS_MIN &&
                   sim.now_ns - watch->first_ns >= lag_max_ns(watch) / 2;
    if (!watch->was_on) {
        broken(watch, "requests ask whether they may run, and nothing is shed");
    }
    if (admits && is_long) {
        broken(watch, "a round goes on for longer than half of the lag");
    }
    if (!admits && watch->admitted < CV_SHED_REQUESTS_MIN) {
        broken(watch, "a round hears fewer than eight requests");
    }
    if (!admits) {
        watch->refused++;
        note_shed(watch);
    } else if (watch->admitted++ == 0) {
        watch->first_ns = sim.now_ns;
        watch->first_burned_ns = watch->burned_ns;
        watch->longest_ns = 0;
        watch->burned = 0;
    }
    return admits;
}

static uint64_t burn_ns(void) {
    uint32_t usual_ns = (uint32_t)sim_world.handler_ns;
    return sim_random_below(&sim.random, LONG_ONE_IN) == 0
               ? LONG_NS
               : usual_ns / 2 + sim_random_below(&sim.random, usual_ns + 1);
}

void sim_lag_burn(void) {
    if (!sim_may(SIM_BUSY) || sim.current < 0) {
        return;
    }
    struct watch *watch = &watches[sim.current];
    uint64_t ns = burn_ns();
    uint64_t begin_ns = sim.now_ns;
    sim_spend(ns);
    if (sim_strikes(SIM_STEAL, 300)) {
        sim_steal(sim_random_below(&sim.random, 2) * ns + ns);
    }
    watch->burned++;
    watch->burned_ns += sim.now_ns - begin_ns;
    watch->longest_ns = CV_MAX(watch->longest_ns, sim.now_ns - begin_ns);
}

// Turns.
static void note_turned_away(struct watch *watch) {
    uint64_t closed = counter(watch, COVET_COUNTER_CLOSED_OVERLOAD);
    if (closed != watch->closed) {
        watch->closed = closed;
        note_shed(watch);
    }
}

static void check_end(struct watch *watch) {
    uint64_t waits_ns = sim.now_ns - watch->quiet_ns - (sim.held_ns - watch->quiet_held_ns);
    if (waits_ns > LOOKS_MAX * LOOK_NS) {
        broken(watch, "it sheds on when there is nothing to shed any more");
    }
}

static void check_counters(const struct watch *watch) {
    if (counter(watch, COVET_COUNTER_SHEDDING) != watch->was_on ||
        counter(watch, COVET_COUNTER_OVERLOADS_LAG) != watch->episodes ||
        counter(watch, COVET_COUNTER_REFUSED_LAG) != watch->refused) {
        broken(watch, "counters say other things of what was shed than happened");
    }
}

bool __real_cv_overload_end_turn(struct cv_overload *overload, size_t live_bytes);
bool __wrap_cv_overload_end_turn(struct cv_overload *overload, size_t live_bytes);
bool __wrap_cv_overload_end_turn(struct cv_overload *overload, size_t live_bytes) {
    struct watch *watch = watch_of(overload);
    uint64_t now_ns = overload->net->clock->now_ns;
    if (watch->is_away && !watch->was_on && now_ns > watch->sent_ns + lag_max_ns(watch)) {
        note_echo(watch, now_ns);
    }
    bool sends = __real_cv_overload_end_turn(overload, live_bytes);
    note_level(watch, now_ns);
    if (sends) {
        watch->is_away = true;
        watch->sent_ns = sim.now_ns;
        watch->sent = account(watch);
    }
    note_turned_away(watch);
    if (watch->was_on) {
        check_end(watch);
    }
    check_counters(watch);
    return sends;
}

// The world.
void sim_lag_init(void) {
    for (uint32_t i = 0; i < SIM_RINGS_MAX; i++) {
        watches[i] = (struct watch){0};
    }
}

// A planted failure may be told as a refusal as well, which cannot be told from one for lag.
bool sim_lag_refusal(uint32_t worker) {
    uint64_t refused = watches[worker].refused + (sim_torture.has_struck ? 1 : 0);
    return watches[worker].refusals_seen++ < refused;
}

bool sim_lag_turned_away(uint32_t worker) {
    return watches[worker].turned_away_seen++ < watches[worker].closed;
}

bool sim_lag_is_shedding(uint32_t worker_count) {
    for (uint32_t i = 0; i < worker_count; i++) {
        if (watches[i].was_on) {
            return true;
        }
    }
    return false;
}

void sim_lag_end(uint32_t worker_count, uint64_t lost) {
    uint64_t unseen = 0;
    for (uint32_t i = 0; i < worker_count; i++) {
        unseen += watches[i].refused - CV_MIN(watches[i].refused, watches[i].refusals_seen);
    }
    if (unseen > lost) {
        sim_fail("%llu requests were refused, and their clients did not hear of it",
                 (unsigned long long)unseen);
    }
}
