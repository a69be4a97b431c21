// covet-torture: every allocation and every call of the kernel fails once, in every scenario.
//
//   covet-torture [--scenario NAME] [--tries N] [--jobs N]   the last line sums it up
//       [--seeds N]                                          with so many schedules of each
//   covet-torture --scenario NAME --fail POINT[.WAY]         one again
//       [--seed S]
//   covet-torture --list                                     scenarios, and how much fails in them
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "sim/kernel.h"
#include "sim/torture.h"
#include "sim/world.h"
#include "torture/mainthread.h"
#include "torture/points.h"

#define EXIT_USAGE 64
#define JOBS_MAX 16u
#define MANY_LARGE 300u  // Of a thousand bodies: then zero-copy sends are what is looked at.

struct scenario {
    const char *name;
    const char *paths;
    uint64_t seed;
    uint64_t faults;
    uint32_t workers;
    uint32_t clients;
    uint32_t requests;
    uint32_t large_in_thousand;
    points_scenario_fn run;  // NULL: a simulation of the rest
};

#define BIT(fault) (1ull << SIM_##fault)
#define PLAIN_FAULTS \
    (BIT(SHORT_RECEIVE) | BIT(SHORT_SEND) | BIT(MULTISHOT_END) | BIT(LATE_CANCEL) | BIT(DELAY))

static const struct scenario scenarios[] = {
    {"plain", "/hello /swap /bytes", 1, 0, 1, 3, 60, 0, NULL},
    {"pipelined", "/hello", 2, 0, 1, 1, 100, 0, NULL},
    {"pieces", "/hello /echo", 3, BIT(TINY_PIECES) | BIT(SHORT_RECEIVE), 1, 2, 30, 0, NULL},
    {"bodies", "/echo", 4, 0, 1, 3, 60, 50, NULL},
    {"streamed-bodies", "/upload /early", 5, BIT(SLOW), 1, 3, 60, 50, NULL},
    {"streams", "/stream /known", 6, BIT(SHORT_SEND), 1, 3, 60, 100, NULL},
    {"large-answers", "/bytes /echo", 5007, BIT(LATE_NOTICE) | BIT(SHORT_SEND), 1, 3, 60, 400,
     NULL},
    {"slow-readers", "/stream /bytes", 8, BIT(SLOW) | BIT(SHORT_SEND), 1, 4, 40, 200, NULL},
    {"deferred", "/later /across", 9, 0, 3, 3, 60, 0, NULL},
    {"messages", "/across", 10, BIT(NO_MESSAGES) | BIT(SMALL_CQ), 3, 3, 60, 0, NULL},
    {"rich", "/rich", 10, 0, 1, 3, 60, 0, NULL},
    {"errors", "/missing /hello", 11, BIT(BAD_REQUEST), 1, 3, 60, 0, NULL},
    {"few-buffers", "/echo /upload", 12, BIT(NO_BUFFERS), 1, 6, 60, 100, NULL},
    {"small-queues", NULL, 13, BIT(SMALL_SQ) | BIT(SMALL_CQ), 2, 4, 60, 0, NULL},
    {"resets", NULL, 14, BIT(RESET) | BIT(ABORT) | BIT(HALF_CLOSE), 2, 6, 80, 50, NULL},
    {"routes", "/swap /hello", 15, BIT(ROUTES), 2, 3, 100, 0, NULL},
    {"reload", NULL, 16, BIT(RELOAD), 2, 4, 80, 0, NULL},
    {"drain", NULL, 17, BIT(DRAIN), 2, 6, 40, 0, NULL},
    {"drain-queues", "/hello", 24017, BIT(DRAIN) | BIT(NO_DESCRIPTORS) | BIT(DELAY) | BIT(ABORT), 2,
     32, 60, 0, NULL},
    {"stop", NULL, 18, BIT(STOP), 2, 6, 40, 0, NULL},
    {"mixed", NULL, 1019, PLAIN_FAULTS, 2, 6, 100, 50, NULL},
    {"everything", NULL, 20, ~0ull >> (64 - SIM_FAULT_COUNT), 3, 8, 80, 50, NULL},
    {"main-thread", NULL, 0, 0, 0, 0, 0, 0, mainthread_run},
};

static _Noreturn void refuse(const char *format, const char *text) {
    (void)fprintf(stderr, format, text);
    exit(EXIT_USAGE);
}

static const struct {
    const char *name;
    int error[8];
} calls[] = {
#define CALL_ERRORS(id, name, ...) {name, {__VA_ARGS__}},
    SIM_CALLS(CALL_ERRORS)
#undef CALL_ERRORS
};
static uint64_t call_count[CV_ARRAY_COUNT(calls)];

static int on_call(enum sim_call call) {
    uint32_t ways = 0;
    while (ways < CV_ARRAY_COUNT(calls[call].error) && calls[call].error[ways] != 0) {
        ways++;
    }
    uint32_t way = points_reach(calls[call].name, ways);
    return way == 0 ? 0 : calls[call].error[way - 1];
}

// Scenarios that have come to call less than they were written for say nothing of the rest.
static uint64_t count_uncalled(void) {
    uint64_t count = 0;
    for (size_t i = 0; i < CV_ARRAY_COUNT(calls); i++) {
        if (call_count[i] == 0) {
            (void)fprintf(stderr, "no scenario calls %s\n", calls[i].name);
            count++;
        }
    }
    return count;
}

// A schedule of a scenario: the seeds of different ones lie apart.
struct variant {
    const struct scenario *scenario;
    uint32_t number;
};

static void simulate(const void *context) {
    const struct variant *variant = context;
    const struct scenario *scenario = variant->scenario;
    struct sim_plan plan = {
        .seed = scenario->seed + variant->number * 1000,
        .faults = scenario->faults,
        .worker_count = scenario->workers,
        .client_count = scenario->clients,
        .request_count = scenario->requests,
        .large_in_thousand = scenario->large_in_thousand,
        .has_zero_copy = scenario->large_in_thousand >= MANY_LARGE,
        .paths = scenario->paths,
    };
    sim_torture = (struct sim_torture){.on_call = on_call};
    (void)sim_run(&plan);
}

static uint64_t number(const char *text, char **end) {
    errno = 0;
    unsigned long long value = strtoull(text, end, 10);
    if (errno != 0 || *end == text || text[0] == '-') {
        refuse("covet-torture: \"%s\" is no number\n", text);
    }
    return value;
}

static uint32_t whole_number(const char *text) {
    char *end;
    uint64_t value = number(text, &end);
    if (*end != '\0' || value > UINT32_MAX) {
        refuse("covet-torture: \"%s\" is no number here\n", text);
    }
    return (uint32_t)value;
}

static void read_point(const char *text, struct points_plan *plan) {
    char *end;
    plan->only_point = number(text, &end);
    plan->only_way = *end == '.' ? whole_number(end + 1) : 0;
}

struct options {
    struct points_plan plan;
    const char *only;  // NULL: all
    uint32_t first_variant;
    uint32_t variant_count;
};

static void read_options(int argc, char **argv, struct options *options) {
    static const struct option long_options[] = {
        {"scenario", required_argument, NULL, 's'}, {"tries", required_argument, NULL, 't'},
        {"jobs", required_argument, NULL, 'j'},     {"fail", required_argument, NULL, 'f'},
        {"seeds", required_argument, NULL, 'n'},    {"seed", required_argument, NULL, 'v'},
        {"list", no_argument, NULL, 'l'},           {0},
    };
    int letter;
    while ((letter = getopt_long(argc, argv, "", long_options, NULL)) >= 0) {
        switch (letter) {
        case 's':
            options->only = optarg;
            break;
        case 't':
            options->plan.tries_max = whole_number(optarg);
            break;
        case 'j':
            options->plan.jobs = CV_MIN(CV_MAX(whole_number(optarg), 1u), JOBS_MAX);
            break;
        case 'f':
            read_point(optarg, &options->plan);
            break;
        case 'n':
            options->variant_count = whole_number(optarg);
            break;
        case 'v':
            options->first_variant = whole_number(optarg);
            break;
        case 'l':
            options->plan.is_dry = true;
            break;
        default:
            refuse("usage: covet-torture [--scenario NAME] [--seeds N] [--tries N] [--jobs N] %s\n",
                   "[[--seed S] --fail POINT[.WAY] | --list]");
        }
    }
}

// All schedules of a scenario.
static struct points_result run(const struct options *options, const struct scenario *scenario) {
    struct points_result sum = {0};
    // Only a simulation has more than one.
    uint32_t count = scenario->run != NULL ? 1 : options->variant_count;
    for (uint32_t i = 0; i < count; i++) {
        struct variant variant = {scenario, options->first_variant + i};
        char name[64];
        (void)snprintf(name, sizeof(name), "%s --seed %u", scenario->name, variant.number);
        struct points_result result = points_run(
            &options->plan, name, scenario->run != NULL ? scenario->run : simulate, &variant);
        sum.points += result.points;
        sum.tries += result.tries;
        sum.wrong += result.wrong + result.is_broken;
        for (size_t k = 0; k < CV_ARRAY_COUNT(calls); k++) {
            call_count[k] += points_count(calls[k].name);
        }
        if (options->plan.is_dry) {
            points_list();
        }
    }
    printf("%-16s %6llu calls can fail, %6llu failures tried, %llu wrong\n", scenario->name,
           (unsigned long long)sum.points, (unsigned long long)sum.tries,
           (unsigned long long)sum.wrong);
    (void)fflush(stdout);
    return sum;
}

int main(int argc, char **argv) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct options options = {
        .plan.jobs = (uint32_t)CV_MIN(CV_MAX(cores, 1L), (long)JOBS_MAX),
        .variant_count = 1,
    };
    read_options(argc, argv, &options);
    (void)setenv("COVET_MEMORY", "debug", 1);
    uint64_t tries = 0;
    uint64_t wrong = 0;
    uint32_t count = 0;
    for (size_t i = 0; i < CV_ARRAY_COUNT(scenarios); i++) {
        if (options.only == NULL || strcmp(options.only, scenarios[i].name) == 0) {
            struct points_result result = run(&options, &scenarios[i]);
            tries += result.tries;
            wrong += result.wrong;
            count++;
        }
    }
    if (count == 0) {
        refuse("covet-torture: there is no scenario \"%s\"\n", options.only);
    }
    if (options.only == NULL) {
        wrong += count_uncalled();
    }
    printf("%llu failures tried, %u scenarios, %llu wrong\n", (unsigned long long)tries, count,
           (unsigned long long)wrong);
    return wrong == 0 ? 0 : 1;
}
