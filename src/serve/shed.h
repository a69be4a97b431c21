// When work waits too long: which requests still run, and which are answered 503 at once.
//
// How long work waits is found by an echo: a wake-up the worker sends to itself. It takes its place
// in the kernel behind all that waits there, and is handed out when all of that was. While echoes
// take longer than lag_max_ms, one after the other, for lag_hold_ms, each round from one echo to
// the next runs requests, the oldest first, until a small budget of time is spent; the rest is
// shed, which takes little, so that the next round begins soon.
//
// Again and again the budget is tried twice as large. It grows on if hardly anything has to be shed
// any more, if the worker had nothing to do in between, or if no more requests came than in a round
// half as long: clients that wait for their answers before they ask again can all be heard. Where
// twice the time brings twice the requests, the shortest rounds are best. Grown to lag_max_ms it is
// no budget any more.
// docs/notes/0019-overload.md argues the shape.
//
// Single thread, no clock of its own.
#ifndef CV_SERVE_SHED_H
#define CV_SERVE_SHED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "net/limits.h"

#define CV_SHED_REQUESTS_MIN 8u      // A budget is worth so many requests, however slow they are,
#define CV_SHED_BUDGET_NS 500000u    // or so much time. Both double as it grows.
#define CV_SHED_WINDOW_NS 50000000u  // Between two decisions about it,
#define CV_SHED_ROUNDS_MIN 4u        // and so many rounds, if any request was shed.
#define CV_SHED_TOLERATED 32u        // It suffices when one request in so many, or fewer, was shed.
#define CV_SHED_IDLE_SHARE 8u  // So much of a window is much to have nothing to do: one in so many.
#define CV_SHED_GROWTH_MAX 28u  // Of doublings: eight requests times that many are still a number.
#define CV_SHED_REST 2u         // Windows at the smallest before it is tried larger again,
#define CV_SHED_REST_LARGE 20u  // and at the largest before it is tried small again.

// What a worker has ever done.
struct cv_shed_work {
    uint64_t count;  // Requests answered, connections accepted.
    uint64_t ns;     // At most so long it took; with handlers, what they waited for a processor.
    uint64_t waited_ns;  // So long the thread waited for one; where cv_shed_suspects, else 0.
};

struct cv_shed {
    bool is_on;
    bool is_spent;             // The round's budget.
    bool is_away;              // An echo.
    uint32_t admitted;         // In this round.
    uint32_t admitted_total;   // In this window.
    uint32_t shed_total;       // The same.
    uint32_t growth;           // Doublings of the budget.
    uint32_t rest;             // Windows in which it was not changed.
    uint32_t rounds;           // In this window.
    uint32_t came_before;      // Requests per round in the window before.
    struct cv_shed_work work;  // When the last echo was sent.
    uint64_t waited_ns;  // When an echo was first seen to be late, and as each late one came back.
    uint64_t sent_ns;    // When it was.
    uint64_t begin_ns;   // Of the round.
    uint64_t late_since_ns;  // When the first of the echoes that are late was seen to be; 0: none.
    uint64_t window_end_ns;
    uint64_t idle_since_ns;  // 0: it is not.
    uint64_t idle_ns;        // In this window.
};

// Whether one more request may run in this round; if not, it is counted as shed. While it is on.
bool cv_shed_admit(struct cv_shed *shed, const struct cv_limits *limits, uint64_t now_ns);

// So many connections were closed unheard: that is as if their requests were shed.
static inline void cv_shed_note(struct cv_shed *shed, uint32_t count) {
    shed->shed_total += count;
}

// How many connections may be opened in the round that begins; UINT32_MAX while it is off.
uint32_t cv_shed_openings(const struct cv_shed *shed);

// Whether an echo that is away, or has just come back, seems to be late: the answer depends on how
// long the thread waited for a processor since the last one was.
static inline bool cv_shed_suspects(const struct cv_shed *shed, const struct cv_limits *limits,
                                    uint64_t now_ns, const struct cv_shed_work *work) {
    uint64_t lag_max_ns = limits->lag_max_ms * 1000000ull;
    return shed->is_away && !shed->is_on && now_ns > shed->sent_ns + lag_max_ns &&
           work->ns - shed->work.ns > lag_max_ns &&
           work->count - shed->work.count > CV_SHED_REQUESTS_MIN;
}

// The echo is back.
void cv_shed_on_echo(struct cv_shed *shed, const struct cv_limits *limits, uint64_t now_ns,
                     const struct cv_shed_work *work);

// At the end of a turn: `is_on` may change.
void cv_shed_look(struct cv_shed *shed, const struct cv_limits *limits, uint64_t now_ns,
                  const struct cv_shed_work *work);

// Then: is it time for an echo? None is sent for nobody, so that an idle worker sleeps.
static inline bool cv_shed_wants_echo(const struct cv_shed *shed, const struct cv_limits *limits,
                                      uint64_t now_ns, const struct cv_shed_work *work) {
    bool is_due = shed->is_on || now_ns - shed->sent_ns >= limits->lag_max_ms * 500000ull;
    return !shed->is_away && is_due && shed->work.count != work->count && limits->lag_max_ms > 0;
}

void cv_shed_on_sent(struct cv_shed *shed, uint64_t now_ns, const struct cv_shed_work *work);

#endif
