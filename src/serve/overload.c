// A level is a comparison per turn. Everything that follows from one is done when it changes, but
// for two things: idle connections are looked at by a timer, a part of the table at a time, and
// new requests ask.
//
// Closing those idle longest first needs no order among them: each look at the whole table halves
// the time after which a connection counts as idle, until there is room again.
#include "serve/overload.h"

#include "base/log.h"
#include "base/schedstat.h"
#include "metrics/counter.h"
#include "net/listener.h"
#include "serve/http1.h"

#define TICK_MS 100u
#define TELL_MS 1000u
#define RECORDS_PER_TICK_MIN 4096u
#define TICKS_PER_TABLE 4u
#define LEVEL_COUNT 3u
// What a request or a connection takes outside of handlers, the kernel's part included, and what a
// byte does: ample both.
#define OUTSIDE_NS 25000u
#define BYTE_NS 1u

static const uint8_t enter_percent[LEVEL_COUNT] = {85, 92, 95};
static const uint8_t leave_percent[LEVEL_COUNT] = {82, 89, 92};

static uint32_t level_of(uint64_t used, uint64_t max, uint32_t level) {
    while (level < LEVEL_COUNT && used * 100 >= max * enter_percent[level]) {
        level++;
    }
    while (level > 0 && used * 100 < max * leave_percent[level - 1]) {
        level--;
    }
    return level;
}

static uint32_t percent_of(uint32_t level) {
    return level == 0 ? 0 : enter_percent[level - 1];
}

static uint32_t highest(const struct cv_overload *overload) {
    return CV_MAX(overload->connections.level, overload->memory.level);
}

// Idle connections.
static void close_idle(struct cv_overload *overload) {
    struct cv_net *net = overload->net;
    uint32_t count = CV_MAX(RECORDS_PER_TICK_MIN, net->table_used / TICKS_PER_TABLE);
    uint32_t end = (uint32_t)CV_MIN((uint64_t)overload->cursor + count, (uint64_t)net->table_used);

    for (uint32_t i = overload->cursor; i < end; i++) {
        struct cv_conn *conn = &net->table[i];
        if (conn->state == CV_CONN_OPEN && conn->ops == &cv_http1_ops &&
            cv_http1_silent_ms(conn) >= overload->idle_ms) {
            cv_conn_close(conn, COVET_COUNTER_CLOSED_SPARED);
        }
    }
    overload->cursor = end;
    if (end == net->table_used) {
        overload->cursor = 0;
        overload->idle_ms = CV_MAX(overload->idle_ms / 2, CV_OVERLOAD_IDLE_MS_MIN);
    }
}

static void begin_closing_idle(struct cv_overload *overload) {
    const struct cv_limits *limits = overload->net->limits;

    overload->cursor = 0;
    overload->idle_ms = CV_MAX(limits->idle_timeout_ms / 2, CV_OVERLOAD_IDLE_MS_MIN);
}

// The log.
static bool is_told(const struct cv_overload_state *state) {
    return state->told == state->level;
}

static bool may_tell(struct cv_overload_state *state, uint64_t now_ms) {
    if (is_told(state) || now_ms < state->tell_ms) {
        return false;
    }
    state->told = state->level;
    state->tell_ms = now_ms + TELL_MS;
    return true;
}

static void tell_share(const struct cv_overload *overload, struct cv_overload_state *state,
                       const char *of, uint64_t used, uint64_t max) {
    if (may_tell(state, overload->net->clock->now_ms)) {
        cv_log(state->level > 0 ? CV_LOG_WARN : CV_LOG_INFO,
               state->level > 0 ? "overload" : "overload_over",
               "worker=%u of=%s level=%u used=%llu max=%llu", overload->net->worker_index, of,
               percent_of(state->level), (unsigned long long)used, (unsigned long long)max);
    }
}

static void tell_lag(struct cv_overload *overload) {
    struct cv_overload_state *state = &overload->lag;

    if (may_tell(state, overload->net->clock->now_ms)) {
        cv_log(
            state->level > 0 ? CV_LOG_WARN : CV_LOG_INFO,
            state->level > 0 ? "overload" : "overload_over", "worker=%u of=lag refused=%llu",
            overload->net->worker_index,
            (unsigned long long)cv_counter_read(overload->net->stats, COVET_COUNTER_REFUSED_LAG));
    }
}

static void tell(struct cv_overload *overload, size_t live_bytes) {
    tell_share(overload, &overload->connections, "connections", overload->net->open_count,
               overload->net->connections_max);
    tell_share(overload, &overload->memory, "memory", live_bytes, overload->memory_bytes_max);
    tell_lag(overload);
}

static bool is_calm(const struct cv_overload *overload) {
    return highest(overload) == 0 && overload->lag.level == 0 && is_told(&overload->connections) &&
           is_told(&overload->memory) && is_told(&overload->lag);
}

// Turns must come, even when nothing arrives: the end of an overload is noticed in one.
static void on_tick(struct cv_timer *timer) {
    struct cv_overload *overload = CV_CONTAINER_OF(timer, struct cv_overload, timer);
    struct cv_net *net = overload->net;

    if (highest(overload) > 0 && !net->draining) {
        close_idle(overload);
    }
    if (!is_calm(overload)) {
        cv_wheel_start(net->wheel, timer, net->clock->now_ms + TICK_MS);
    }
}

static void count_entered(const struct cv_overload *overload, uint32_t before, uint32_t level) {
    for (; before < level; before++) {
        cv_counter_add(overload->net->stats,
                       (enum covet_counter)(COVET_COUNTER_OVERLOADS_85 + before), 1);
    }
}

static void set_level(struct cv_overload *overload, struct cv_overload_state *state, uint32_t level,
                      enum covet_counter gauge) {
    count_entered(overload, state->level, level);
    state->level = level;
    cv_counter_set(overload->net->stats, gauge, percent_of(level));
}

static void note_refusing(struct cv_overload *overload) {
    bool has_few = overload->net->limits->connections_max < CV_OVERLOAD_CONNECTIONS_MIN;

    overload->is_exhausted = overload->memory.level == LEVEL_COUNT ||
                             (overload->connections.level == LEVEL_COUNT && !has_few);
    overload->refuses = overload->is_exhausted || overload->shed.is_on;
}

static void await_turns(struct cv_overload *overload) {
    if (!cv_timer_armed(&overload->timer)) {
        cv_wheel_start(overload->net->wheel, &overload->timer,
                       overload->net->clock->now_ms + TICK_MS);
    }
}

static void change_levels(struct cv_overload *overload, uint32_t connections, uint32_t memory) {
    struct cv_net *net = overload->net;
    uint32_t before = highest(overload);

    set_level(overload, &overload->connections, connections, COVET_COUNTER_OVERLOAD_CONNECTIONS);
    set_level(overload, &overload->memory, memory, COVET_COUNTER_OVERLOAD_MEMORY);
    uint32_t level = highest(overload);
    if (before == 0 && level > 0) {
        begin_closing_idle(overload);
    }
    bool is_small = net->connections_max < CV_OVERLOAD_CONNECTIONS_MIN;
    net->ends_connections = net->draining || memory >= 2 || (connections >= 2 && !is_small);
    if ((level == LEVEL_COUNT) != (before == LEVEL_COUNT)) {
        cv_listener_hold(net, level == LEVEL_COUNT);
    }
    note_refusing(overload);
    await_turns(overload);
}

static void begin_round(struct cv_overload *overload) {
    struct cv_net *net = overload->net;

    cv_shed_note(&overload->shed, net->turned_away);
    net->turned_away = 0;
    net->openings_left = cv_shed_openings(&overload->shed);
}

static void change_shedding(struct cv_overload *overload) {
    struct cv_net *net = overload->net;

    overload->lag.level = overload->shed.is_on;
    cv_counter_set(net->stats, COVET_COUNTER_SHEDDING, overload->lag.level);
    cv_counter_add(net->stats, COVET_COUNTER_OVERLOADS_LAG, overload->lag.level);
    note_refusing(overload);
    begin_round(overload);
    await_turns(overload);
}

// Until `now_ns`. A connection that is accepted, or turned away, is work as well.
static struct cv_shed_work work_of(const struct cv_overload *overload, uint64_t now_ns) {
    const struct covet_stats_worker *stats = overload->net->stats;
    uint64_t count = cv_counter_read(stats, COVET_COUNTER_REQUESTS) +
                     cv_counter_read(stats, COVET_COUNTER_CONNECTIONS_ACCEPTED);
    uint64_t bytes = cv_counter_read(stats, COVET_COUNTER_RECEIVED_BYTES) +
                     cv_counter_read(stats, COVET_COUNTER_SENT_BYTES);

    struct cv_shed_work work = {
        .count = count,
        .ns = stats->handler_time.sum_ns + count * OUTSIDE_NS + bytes * BYTE_NS,
    };
    if (CV_UNLIKELY(cv_shed_suspects(&overload->shed, overload->net->limits, now_ns, &work))) {
        work.waited_ns = cv_schedstat_waited_ns(overload->schedstat);
    }
    return work;
}

void cv_overload_on_echo(struct cv_overload *overload) {
    uint64_t now_ns = cv_clock_monotonic_ns();
    struct cv_shed_work work = work_of(overload, now_ns);

    begin_round(overload);
    cv_shed_on_echo(&overload->shed, overload->net->limits, now_ns, &work);
}

bool cv_overload_end_turn(struct cv_overload *overload, size_t live_bytes) {
    struct cv_net *net = overload->net;
    uint32_t connections =
        level_of(net->open_count, net->connections_max, overload->connections.level);
    uint32_t memory = level_of(live_bytes, overload->memory_bytes_max, overload->memory.level);

    if (CV_UNLIKELY(connections != overload->connections.level ||
                    memory != overload->memory.level)) {
        change_levels(overload, connections, memory);
    }
    struct cv_shed_work work = work_of(overload, net->clock->now_ns);
    cv_shed_look(&overload->shed, net->limits, net->clock->now_ns, &work);
    if (CV_UNLIKELY(overload->shed.is_on != (overload->lag.level > 0))) {
        change_shedding(overload);
    }
    if (CV_UNLIKELY(cv_timer_armed(&overload->timer))) {
        tell(overload, live_bytes);
    }
    if (CV_LIKELY(!cv_shed_wants_echo(&overload->shed, net->limits, net->clock->now_ns, &work))) {
        return false;
    }
    cv_shed_on_sent(&overload->shed, cv_clock_monotonic_ns(), &work);
    return true;
}

bool cv_overload_admits(struct cv_overload *overload) {
    struct cv_net *net = overload->net;

    if (overload->is_exhausted) {
        cv_counter_add(net->stats, COVET_COUNTER_REFUSED_LIMIT, 1);
        return false;
    }
    // A turn that has nothing left to give need not look at the clock.
    uint64_t now_ns = overload->shed.is_spent ? 0 : cv_clock_monotonic_ns();
    if (!cv_shed_admit(&overload->shed, net->limits, now_ns)) {
        cv_counter_add(net->stats, COVET_COUNTER_REFUSED_LAG, 1);
        return false;
    }
    return true;
}

void cv_overload_init(struct cv_overload *overload, struct cv_net *net, uint64_t memory_bytes_max,
                      int schedstat) {
    *overload = (struct cv_overload){
        .net = net,
        .memory_bytes_max = memory_bytes_max,
        .schedstat = schedstat,
        .timer = {.on_expiry = on_tick},
    };
}
