// covet-sim: runs seeds, and makes a failing one small.
//
//   covet-sim [--seeds N] [--first S] [--requests N] [--fail-fast]
//                                                      many; the last line sums them up
//   covet-sim --seed S [--trace] [--here]              one again, with its timeline, in a debugger
//       [--workers N] [--clients N] [--faults A,B|none]  as a failing one was shrunk to
//
// Runs are done in a child process, since a failing one ends its process: by sim_fail, by an
// assertion of the server's, by a fault, or by the alarm when it never ends.
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/compiler.h"
#include "sim/kernel.h"
#include "sim/world.h"

#define EXIT_USAGE 64
#define RUN_SECONDS_MAX 60u
#define SHRINK_RUNS_MAX 200u
#define TIMELINE_LINES 40
#define FAILURES_MAX 5u  // After so many the rest would say the same.

// What children write, and their parent reads when they are gone.
struct ledger {
    uint64_t seed;  // Begun last.
    uint64_t requests;
    uint64_t hash;
};
static struct ledger *ledger;

struct options {
    uint64_t first;
    uint64_t count;
    uint32_t requests;
    bool is_single;
    bool is_traced;
    bool is_fast;  // Ends at the first failure, and does not make it small.
    bool is_here;  // Without a child process, for a debugger.
    // What the seed decides unless it is given: 0, 0 and NULL.
    uint32_t workers;
    uint32_t clients;
    const char *faults;
};

static const char *const fault_names[] = {
#define SIM_FAULT_NAME(name, help) #name,
    SIM_FAULTS(SIM_FAULT_NAME)
#undef SIM_FAULT_NAME
};

static _Noreturn void refuse(const char *format, const char *text) {
    (void)fprintf(stderr, format, text);
    exit(EXIT_USAGE);
}

static uint64_t read_faults(const char *text) {
    uint64_t faults = 0;
    char copy[512];
    (void)snprintf(copy, sizeof(copy), "%s", text);
    char *rest = copy;
    for (char *word; strcmp(text, "none") != 0 && (word = strsep(&rest, ",")) != NULL;) {
        uint32_t i = 0;
        while (i < SIM_FAULT_COUNT && strcmp(word, fault_names[i]) != 0) {
            i++;
        }
        if (i == SIM_FAULT_COUNT) {
            refuse("covet-sim: there is no fault \"%s\"\n", word);
        }
        faults |= 1ull << i;
    }
    return faults;
}

static struct sim_plan plan_of(const struct options *options, uint64_t seed) {
    struct sim_plan plan = sim_plan_of(seed, options->requests);
    if (options->workers != 0) {
        plan.worker_count = options->workers;
    }
    if (options->clients != 0) {
        plan.client_count = options->clients;
    }
    if (options->faults != NULL) {
        plan.faults = read_faults(options->faults);
    }
    return plan;
}

int __real_clock_gettime(clockid_t id, struct timespec *time);

static double now_s(void) {
    struct timespec time;
    (void)__real_clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

// Runs `work` in a child; returns its wait status.
static int in_child(void (*work)(const void *context), const void *context) {
    (void)fflush(NULL);
    pid_t child = fork();
    int status = 0;
    if (child < 0) {
        (void)fprintf(stderr, "covet-sim: fork: %s\n", strerror(errno));
        exit(1);
    }
    if (child == 0) {
        work(context);
        (void)fflush(NULL);
        _exit(0);
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

static void run_range(const void *context) {
    const struct options *options = context;
    for (uint64_t seed = options->first; seed < options->first + options->count; seed++) {
        struct sim_plan plan = plan_of(options, seed);
        ledger->seed = seed;
        (void)alarm(RUN_SECONDS_MAX);
        struct sim_result result = sim_run(&plan);
        ledger->requests += result.requests;
        ledger->hash = (ledger->hash ^ result.hash) * 0x9e3779b97f4a7c15u;
    }
}

static void run_plan(const void *context) {
    (void)alarm(RUN_SECONDS_MAX);
    (void)sim_run(context);
}

static void run_plan_quietly(const void *context) {
    (void)!freopen("/dev/null", "w", stderr);
    (void)!freopen("/dev/null", "w", stdout);
    run_plan(context);
}

static bool fails(const struct sim_plan *plan) {
    return in_child(run_plan_quietly, plan) != 0;
}

// As the command that runs it again.
static void describe(const struct sim_plan *plan) {
    const char *before = "";
    printf("build/covet-sim --seed %llu --workers %u --clients %u --requests %u --faults ",
           (unsigned long long)plan->seed, plan->worker_count, plan->client_count,
           plan->request_count);
    for (uint32_t i = 0; i < SIM_FAULT_COUNT; i++) {
        if ((plan->faults >> i & 1) != 0) {
            printf("%s%s", before, fault_names[i]);
            before = ",";
        }
    }
    printf(plan->faults == 0 ? "none\n" : "\n");
}

static bool is_same(const struct sim_plan *a, const struct sim_plan *b) {
    return a->faults == b->faults && a->worker_count == b->worker_count &&
           a->client_count == b->client_count && a->request_count == b->request_count;
}

// Fewer faults, clients, workers and requests, as long as it still fails.
static void shrink(struct sim_plan *plan) {
    bool is_smaller = true;
    uint32_t runs = 0;
    while (is_smaller && runs < SHRINK_RUNS_MAX) {
        is_smaller = false;
        struct sim_plan all[SIM_FAULT_COUNT + 3];
        uint32_t count = 0;
        for (uint32_t i = 0; i < SIM_FAULT_COUNT; i++) {
            if ((plan->faults >> i & 1) != 0) {
                all[count] = *plan;
                all[count++].faults &= ~(1ull << i);
            }
        }
        all[count] = *plan;
        all[count++].client_count = (plan->client_count + 1) / 2;
        all[count] = *plan;
        all[count++].request_count = (plan->request_count + 1) / 2;
        all[count] = *plan;
        all[count++].worker_count = 1;
        for (uint32_t i = 0; i < count && runs < SHRINK_RUNS_MAX; i++) {
            if (!is_same(&all[i], plan) && ++runs > 0 && fails(&all[i])) {
                *plan = all[i];
                is_smaller = true;
                break;
            }
        }
    }
}

static void run_traced(const void *context) {
    sim.is_traced = true;
    run_plan(context);
}

// The last lines of a failing run's timeline.
static void print_timeline(const struct sim_plan *plan) {
    int pipes[2];
    static char lines[TIMELINE_LINES][160];
    uint64_t count = 0;
    (void)fflush(NULL);
    if (pipe(pipes) != 0) {
        return;
    }
    pid_t child = fork();
    if (child == 0) {
        (void)dup2(pipes[1], 1);
        (void)dup2(pipes[1], 2);
        (void)close(pipes[0]);
        (void)close(pipes[1]);
        run_traced(plan);
        (void)fflush(NULL);
        _exit(0);
    }
    (void)close(pipes[1]);
    FILE *stream = fdopen(pipes[0], "r");
    while (stream != NULL && fgets(lines[count % TIMELINE_LINES], sizeof(lines[0]), stream)) {
        count++;
    }
    (void)waitpid(child, NULL, 0);
    for (uint64_t i = count > TIMELINE_LINES ? count - TIMELINE_LINES : 0; i < count; i++) {
        printf("  %s", lines[i % TIMELINE_LINES]);
    }
    if (stream != NULL) {
        (void)fclose(stream);
    }
}

static void report(const struct options *options, uint64_t seed, int status) {
    struct sim_plan plan = plan_of(options, seed);
    if (WIFSIGNALED(status)) {
        printf("seed %llu: %s\n", (unsigned long long)seed,
               WTERMSIG(status) == SIGALRM ? "it never ends" : strsignal(WTERMSIG(status)));
    }
    shrink(&plan);
    describe(&plan);
    print_timeline(&plan);
}

static void sum_up(uint64_t seeds, uint32_t failures, double seconds) {
    printf("%llu seeds, %llu requests, %u failures, %.0f requests/s, hash %016llx\n",
           (unsigned long long)seeds, (unsigned long long)ledger->requests, failures,
           (double)ledger->requests / seconds, (unsigned long long)ledger->hash);
}

static int run_many(const struct options *options) {
    struct options rest = *options;
    uint32_t failures = 0;
    double start_s = now_s();
    while (rest.count > 0 && failures < FAILURES_MAX) {
        int status = in_child(run_range, &rest);
        uint64_t done = status == 0 ? rest.count : ledger->seed + 1 - rest.first;
        if (status != 0) {
            failures++;
            if (options->is_fast) {
                printf("failed at seed %llu\n", (unsigned long long)ledger->seed);
                return 1;
            }
            report(options, ledger->seed, status);
        }
        rest.first += done;
        rest.count -= done;
    }
    sum_up(options->count - rest.count, failures, now_s() - start_s);
    return failures == 0 ? 0 : 1;
}

static int run_one(const struct options *options) {
    struct sim_plan plan = plan_of(options, options->first);
    double start_s = now_s();
    int status = 0;
    describe(&plan);
    sim.is_traced = options->is_traced;
    if (options->is_here) {
        run_range(options);
    } else {
        status = in_child(run_range, options);
    }
    sim.is_traced = false;
    if (status != 0) {
        report(options, options->first, status);
    }
    sum_up(1, status != 0, now_s() - start_s);
    return status != 0;
}

static uint64_t number(const char *text) {
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 0);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-') {
        refuse("covet-sim: \"%s\" is no number\n", text);
    }
    return value;
}

// One seed after the other: pages are not given back to be asked for, and cleared, again.
static void keep_memory(void) {
    (void)mallopt(M_MMAP_THRESHOLD, INT32_MAX);
    (void)mallopt(M_TRIM_THRESHOLD, INT32_MAX);
    (void)prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
}

int main(int argc, char **argv) {
    static const struct option long_options[] = {
        {"seeds", required_argument, NULL, 'n'},
        {"first", required_argument, NULL, 'f'},
        {"seed", required_argument, NULL, 's'},
        {"requests", required_argument, NULL, 'r'},
        {"trace", no_argument, NULL, 't'},
        {"here", no_argument, NULL, 'h'},
        {"workers", required_argument, NULL, 'w'},
        {"clients", required_argument, NULL, 'c'},
        {"faults", required_argument, NULL, 'a'},
        {"fail-fast", no_argument, NULL, 'q'},
        {0},
    };
    struct options options = {.first = 1, .count = 100, .requests = 1000};
    int letter;
    while ((letter = getopt_long(argc, argv, "", long_options, NULL)) >= 0) {
        switch (letter) {
        case 'n':
            options.count = number(optarg);
            break;
        case 'f':
            options.first = number(optarg);
            break;
        case 's':
            options.first = number(optarg);
            options.count = 1;
            options.is_single = true;
            break;
        case 'r':
            options.requests = (uint32_t)number(optarg);
            break;
        case 't':
            options.is_traced = true;
            break;
        case 'q':
            options.is_fast = true;
            break;
        case 'w':
            options.workers = (uint32_t)CV_MIN(number(optarg), (uint64_t)SIM_WORKERS_MAX);
            break;
        case 'c':
            options.clients = (uint32_t)CV_MIN(number(optarg), (uint64_t)SIM_CLIENTS_MAX);
            break;
        case 'a':
            options.faults = optarg;
            break;
        case 'h':
            options.is_here = true;
            break;
        default:
            refuse(
                "usage: covet-sim [--seeds N | --seed S] [--first S] [--requests N] [--fail-fast] "
                "[--trace] [--here]%s\n",
                " [--workers N] [--clients N] [--faults A,B|none]");
        }
    }
    keep_memory();
    ledger = mmap(NULL, sizeof(*ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (ledger == MAP_FAILED) {
        return 1;
    }
    return options.is_single ? run_one(&options) : run_many(&options);
}
