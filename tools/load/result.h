// What a run has measured: filled by lanes, summed by the fleet, printed by the report.
#ifndef LOAD_RESULT_H
#define LOAD_RESULT_H

#include <stdint.h>

#include "load/answers.h"
#include "load/histogram.h"

enum load_error {
    LOAD_ERROR_CONNECT,  // Refused, unreachable, no port left.
    LOAD_ERROR_RECEIVE,  // Reset by the peer, and other failures of a receive.
    LOAD_ERROR_SEND,
    LOAD_ERROR_CUT,      // The connection ended inside an answer, or with answers owed.
    LOAD_ERROR_MESSAGE,  // Bytes that are no HTTP answer.
    LOAD_ERROR_TIMEOUT,  // No answer in time (`--timeout`), or none at the end of the run.
    LOAD_ERROR_STATUS,   // A complete answer of 400 or above; it is counted in `answers` too.
    LOAD_ERROR_COUNT,
};

struct load_result {
    struct load_tally tally;
    uint64_t requests_sent;
    uint64_t connects;  // Connections established, in all.
    uint64_t bytes_received, bytes_sent;
    uint64_t errors[LOAD_ERROR_COUNT];
    int connect_error;            // The errno of the last connection that was refused or not made.
    uint64_t enters;              // io_uring_enter calls.
    uint64_t late;                // Open loop: requests sent over 1 ms after their time, or never.
    uint64_t unsent;              // Of them, those that were due and never sent.
    uint64_t began_ns, ended_ns;  // First send; last answer. CLOCK_MONOTONIC.
    uint64_t cpu_ns;              // CPU time of the lanes from first send to last answer.
    double lane_busy;             // The busiest lane's share of one core, 0..1.
    // With what it waited for its core while others had it; the fullest. 0 of short runs.
    double core_busy;
    double server_core_busy;  // The same of the server (watch.h); below 0: unknown.
    struct load_histogram latency_of[LOAD_KIND_COUNT];  // Never answered: the last kind.
    struct load_histogram latency;                      // Of all kinds; only in sums over lanes.
};

#endif
