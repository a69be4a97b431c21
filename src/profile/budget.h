// A budget: what a covet may use for its requests, as a file that a test can hold it to.
//
//     [load]                   # what must have been there for the rest to mean anything
//     requests = 100_000       # at least so many answered (1)
//     connections = 64         # at least so many open at once
//     keepalive = true         # fewer than one connection accepted for 10 requests
//     seconds = 10             # how long to measure unless told otherwise
//
//     [per_1000_requests]
//     syscalls = 300
//     context_switches = 50.5
//
//     [absolute]
//     tcp_retransmit = 0
//
// A subset of TOML: sections, numbers of digits with a point and underscores, true and false,
// comments. Limits are measures by name (profile/measure.h), in either section.
#ifndef CV_PROFILE_BUDGET_H
#define CV_PROFILE_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "observe/snapshot.h"
#include "profile/window.h"

#define CV_BUDGET_LIMITS_MAX 64u
#define CV_BUDGET_NAME_BYTES 48u

struct cv_budget_limit {
    char name[CV_BUDGET_NAME_BYTES];
    bool is_absolute;  // else for each 1000 requests
    double allowed;
};

struct cv_budget {
    uint64_t requests_min;
    uint64_t connections_min;
    bool is_keepalive;
    double seconds;  // 0: not said
    struct cv_budget_limit limits[CV_BUDGET_LIMITS_MAX];
    size_t limit_count;
};

enum cv_budget_verdict { CV_BUDGET_WITHIN, CV_BUDGET_OVER, CV_BUDGET_UNMEASURED };

struct cv_budget_line {
    double measured;
    enum cv_budget_verdict verdict;
    uint32_t level_needed;  // where it is not measured
};

// Reads a budget. Returns 0, or -errno with "FILE:LINE: reason" in `message`: an unknown key or
// measure, one given twice, no limit at all.
CV_MUST_USE int cv_budget_read(struct cv_budget *budget, const char *path, char *message,
                               size_t message_bytes);

// Compares with what was measured, a line for each limit, and gives the verdict on all: over when
// one is, else unmeasured when one is. Without the load it asks for, everything is unmeasured and
// `message` says what was missing; else it is empty.
enum cv_budget_verdict cv_budget_judge(const struct cv_budget *budget,
                                       const struct cv_snapshot *change,
                                       const struct cv_window_peak *peak,
                                       struct cv_budget_line lines[CV_BUDGET_LIMITS_MAX],
                                       char *message, size_t message_bytes);

#endif
