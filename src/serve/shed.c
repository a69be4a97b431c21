// The state is whether there is a budget, and how often it was doubled.
#include "serve/shed.h"

#define NS_PER_MS 1000000ull

static uint64_t lag_max_ns(const struct cv_limits *limits) {
    return limits->lag_max_ms * NS_PER_MS;
}

// A budget close to the lag would not keep the rounds short.
static uint64_t budget_ns(const struct cv_shed *shed, const struct cv_limits *limits) {
    return CV_MIN((uint64_t)CV_SHED_BUDGET_NS, lag_max_ns(limits) / 4) << shed->growth;
}

static void begin_round(struct cv_shed *shed, uint64_t now_ns) {
    shed->begin_ns = now_ns;
    shed->rounds += shed->admitted > 0;
    shed->is_spent = false;
    shed->admitted = 0;
}

static void begin_window(struct cv_shed *shed, uint64_t now_ns) {
    shed->window_end_ns = now_ns + CV_SHED_WINDOW_NS;
    shed->admitted_total = shed->shed_total = shed->rounds = 0;
    shed->idle_ns = 0;
}

bool cv_shed_admit(struct cv_shed *shed, const struct cv_limits *limits, uint64_t now_ns) {
    if (shed->admitted == 0) {
        // Time in which nobody came is not spent.
        shed->begin_ns = now_ns;
    }
    uint64_t spent_ns = now_ns - shed->begin_ns;
    bool is_worth = shed->admitted >= CV_SHED_REQUESTS_MIN << shed->growth;

    bool is_long = shed->admitted >= CV_SHED_REQUESTS_MIN && spent_ns >= lag_max_ns(limits) / 2;

    // Slow requests have the larger of both, but only the first of them may make the lag.
    shed->is_spent = shed->is_spent || is_long || (is_worth && spent_ns >= budget_ns(shed, limits));
    if (shed->is_spent) {
        shed->shed_total++;
        return false;
    }
    shed->admitted++;
    shed->admitted_total++;
    return true;
}

// Little more than what the round before could take: to hear a client and refuse costs more than to
// turn it away.
uint32_t cv_shed_openings(const struct cv_shed *shed) {
    uint32_t taken = shed->admitted + shed->admitted / 8;

    return shed->is_on ? CV_MAX(taken, CV_SHED_REQUESTS_MIN) : UINT32_MAX;
}

static void set_growth(struct cv_shed *shed, uint32_t growth) {
    shed->growth = CV_MIN(growth, CV_SHED_GROWTH_MAX);
    shed->rest = 0;
}

// An echo is late only behind work that accounts for it. If it is not, the processor was somebody
// else's meanwhile; behind no more requests than a round runs anyway, few requests are slow.
// Shedding would help neither. Work that was kept from running took no less long by the clock, so
// what the thread has waited since the last late echo is taken off.
static bool is_late(const struct cv_shed *shed, const struct cv_limits *limits, uint64_t now_ns,
                    const struct cv_shed_work *work) {
    uint64_t waited_ns = shed->late_since_ns == 0 ? 0 : work->waited_ns - shed->waited_ns;

    return cv_shed_suspects(shed, limits, now_ns, work) &&
           now_ns - shed->sent_ns > lag_max_ns(limits) + waited_ns;
}

static void judge(struct cv_shed *shed, const struct cv_limits *limits, uint64_t now_ns,
                  const struct cv_shed_work *work) {
    if (!is_late(shed, limits, now_ns, work) || limits->lag_hold_ms == 0) {
        shed->late_since_ns = 0;
    } else if (shed->late_since_ns == 0) {
        shed->late_since_ns = now_ns;
        shed->waited_ns = work->waited_ns;
    } else if (now_ns - shed->late_since_ns >= limits->lag_hold_ms * NS_PER_MS) {
        shed->is_on = true;
        set_growth(shed, 0);
        begin_round(shed, now_ns);
        begin_window(shed, now_ns);
    }
}

void cv_shed_on_echo(struct cv_shed *shed, const struct cv_limits *limits, uint64_t now_ns,
                     const struct cv_shed_work *work) {
    if (!shed->is_away) {
        return;
    }
    if (shed->is_on) {
        begin_round(shed, now_ns);
    } else {
        judge(shed, limits, now_ns, work);
        shed->waited_ns = work->waited_ns;
    }
    shed->is_away = false;
}

static bool is_enough(const struct cv_shed *shed) {
    return shed->shed_total <= (shed->admitted_total + shed->shed_total) / CV_SHED_TOLERATED;
}

static bool is_largest(const struct cv_shed *shed, const struct cv_limits *limits) {
    return budget_ns(shed, limits) >= lag_max_ns(limits) / 2;
}

// With the budget doubled, did clearly more requests come in a round?
static void change_budget(struct cv_shed *shed, const struct cv_limits *limits) {
    uint32_t came = (shed->admitted_total + shed->shed_total) / CV_MAX(shed->rounds, 1u);
    bool came_more = came > shed->came_before + shed->came_before / 2;

    shed->rest++;
    if (is_enough(shed) || shed->idle_ns >= CV_SHED_WINDOW_NS / CV_SHED_IDLE_SHARE) {
        set_growth(shed, shed->growth + 1);
    } else if (shed->growth == 0 && shed->rest <= CV_SHED_REST) {
        // Stays the smallest for a while.
    } else if (shed->growth > 0 && shed->rest == 1 && came_more) {
        set_growth(shed, 0);
    } else if (!is_largest(shed, limits)) {
        set_growth(shed, shed->growth + 1);
    } else if (shed->rest > CV_SHED_REST_LARGE) {
        set_growth(shed, 0);
    }
    shed->came_before = came;
}

static void end_window(struct cv_shed *shed, const struct cv_limits *limits, uint64_t now_ns) {
    bool was_enough = is_enough(shed);

    // Rounds may be long, and nobody may come any more.
    if (!was_enough && shed->rounds < CV_SHED_ROUNDS_MIN &&
        now_ns - shed->window_end_ns < CV_SHED_ROUNDS_MIN * CV_SHED_WINDOW_NS) {
        return;
    }
    change_budget(shed, limits);
    shed->is_on = !was_enough || budget_ns(shed, limits) < lag_max_ns(limits);
    shed->late_since_ns = 0;
    begin_window(shed, now_ns);
}

void cv_shed_look(struct cv_shed *shed, const struct cv_limits *limits, uint64_t now_ns,
                  const struct cv_shed_work *work) {
    bool is_idle = !shed->is_away && shed->work.count == work->count;

    shed->idle_ns += shed->idle_since_ns == 0 ? 0 : now_ns - shed->idle_since_ns;
    shed->idle_since_ns = is_idle ? now_ns : 0;
    if (shed->is_on && now_ns >= shed->window_end_ns) {
        end_window(shed, limits, now_ns);
    } else if (!shed->is_on && shed->is_away && now_ns > shed->sent_ns + lag_max_ns(limits)) {
        // It need not be back for us to know that it is late.
        judge(shed, limits, now_ns, work);
    }
}

void cv_shed_on_sent(struct cv_shed *shed, uint64_t now_ns, const struct cv_shed_work *work) {
    shed->is_away = true;
    shed->sent_ns = now_ns;
    shed->work = *work;
}
