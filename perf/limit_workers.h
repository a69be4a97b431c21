// The processes of perf/limit.c and what they count. Included once, by it.
//
// They share the port, not a socket: each has its own listener, and the kernel spreads connections
// over them. Worker 0 is the program itself; the others end with it.
#ifndef CV_PERF_LIMIT_WORKERS_H
#define CV_PERF_LIMIT_WORKERS_H

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "limit_options.h"
#include "limit_setup.h"

struct counts {
    uint64_t requests, accepted, refused, closed, starved, stalls, enters, completions;
    uint64_t bytes_received;
    uint64_t bytes_sent;  // Taken by the kernel; of a connection we close, handed to it.
};

struct workers {
    unsigned count, number;  // `number`: who the caller is.
    int listener;            // The caller's.
    struct counts *counts;   // One per worker, in memory they share.
    pid_t children[WORKERS_MAX];
};

// Forks; returns in every worker, pinned.
static void start_workers(struct workers *self, const struct options *options) {
    int listeners[WORKERS_MAX];
    unsigned ms = options->time_ms;

    self->count = options->workers;
    self->counts = map(self->count * sizeof(*self->counts), MAP_SHARED);
    for (unsigned i = 0; i < self->count; i++)  // All of them before the first is served.
        listeners[i] = open_listener(options);
    for (unsigned i = 1; i < self->count && self->number == 0; i++) {
        self->children[i] = fork();
        require(self->children[i], "fork");
        if (self->children[i] == 0)
            self->number = i;
    }
    for (unsigned i = 0; i < self->count; i++)
        if (i != self->number)
            close(listeners[i]);
    self->listener = listeners[self->number];
    if (options->core != ~0u)
        pin(options->core + self->number);
    if (self->number > 0)
        require(prctl(PR_SET_PDEATHSIG, SIGTERM), "prctl");
    else if (ms > 0)
        setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {ms / 1000, ms % 1000 * 1000}},
                  NULL);
}

static void print_counts(const struct workers *self) {
    static const char *const names[] = {"requests",       "accepted",  "refused", "closed",
                                        "starved",        "stalls",    "enters",  "completions",
                                        "bytes_received", "bytes_sent"};
    enum { NAME_COUNT = sizeof(names) / sizeof(names[0]) };
    _Static_assert(sizeof(struct counts) == NAME_COUNT * sizeof(uint64_t), "a name each");

    for (size_t i = 0; i < NAME_COUNT; i++) {
        uint64_t sum = 0;
        for (unsigned k = 0; k < self->count; k++)
            sum += ((const uint64_t *)&self->counts[k])[i];
        printf("%s\"%s\": %llu", i == 0 ? "{" : ", ", names[i], (unsigned long long)sum);
    }
    printf("}\n");
}

// To be called by every worker at its end; worker 0 ends the others and prints the sums. Returns
// the exit status.
static int end_workers(struct workers *self) {
    int failed = 0;

    if (self->number > 0)
        return 0;
    for (unsigned i = 1; i < self->count; i++)
        kill(self->children[i], SIGTERM);
    for (unsigned i = 1; i < self->count; i++) {
        int status;
        while (waitpid(self->children[i], &status, 0) < 0 && errno == EINTR)
            ;
        failed |= status != 0;
    }
    print_counts(self);
    return failed;
}

#endif
