#include "torture/points.h"

#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/compiler.h"
#include "sim/kernel.h"
#include "sim/torture.h"
#include "torture/memory.h"

#define JOBS_MAX 16u
#define CHILD_SECONDS_MAX 30u  // Of a run that takes milliseconds: a hang.
#define FRAMES_MAX 12
#define KINDS_MAX 64u
#define SITES_MAX 4096u
#define SITE_FRAMES_FIRST 3  // Behind our own.
#define SITE_FRAMES 6

struct child {
    pid_t pid;
    uint64_t point;
    uint32_t way;
    const char *what;
};

// Calls of one name.
struct kind {
    const char *what;
    uint64_t count;
};

// A call and where it is made from.
struct site {
    uint64_t hash;  // 0: none
    uint32_t count;
    uint32_t tries;
};

// Shared with the process that runs the scenario, which may die of it.
struct ledger {
    struct points_result result;
    struct kind kind[KINDS_MAX];
    struct site site[SITES_MAX];
};
static struct ledger *ledger;

static struct {
    const struct points_plan *plan;
    const char *name;
    bool is_counting;
    bool has_failed;
    struct child child[JOBS_MAX];
    uint32_t child_count;
} points;

bool points_have_failed(void) {
    return points.has_failed;
}

void points_fail(const char *format, ...) {
    va_list list;
    va_start(list, format);
    (void)vfprintf(stderr, format, list);
    (void)fputc('\n', stderr);
    va_end(list);
    _exit(SIM_EXIT_BROKEN);
}

static void judge(const struct child *child, int status) {
    ledger->result.tries++;
    if (status == 0) {
        return;
    }
    ledger->result.wrong++;
    const char *how = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? "never ends"
                      : WIFSIGNALED(status) ? strsignal(WTERMSIG(status))
                                            : "wrong";
    (void)fprintf(stderr, "%s, %s fails: %s; again: --scenario %s --fail %llu.%u\n", points.name,
                  child->what, how, points.name, (unsigned long long)child->point, child->way);
}

static void await_children(uint32_t left) {
    while (points.child_count > left) {
        int status;
        pid_t pid = waitpid(-1, &status, 0);
        for (uint32_t i = 0; i < points.child_count; i++) {
            if (points.child[i].pid == pid) {
                judge(&points.child[i], status);
                points.child[i] = points.child[--points.child_count];
                break;
            }
        }
    }
}

static void strike(void) {
    points.is_counting = false;
    points.has_failed = sim_torture.has_struck = true;
}

// True in the child.
static bool try_way(const char *what, uint32_t way) {
    await_children(points.plan->jobs - 1);
    pid_t pid = fork();
    if (pid < 0) {
        points_fail("fork: %s", strerror(errno));
    }
    if (pid == 0) {
        (void)alarm(CHILD_SECONDS_MAX);
        strike();
        return true;
    }
    points.child[points.child_count++] =
        (struct child){.pid = pid, .point = ledger->result.points, .way = way, .what = what};
    return false;
}

// Who called, as a command that says so in words.
static void print_caller(const char *what) {
    extern char __executable_start;
    void *frame[FRAMES_MAX];
    int count = backtrace(frame, FRAMES_MAX);
    (void)fprintf(stderr, "%s fails: addr2line -spfe %s", what, program_invocation_name);
    for (int i = 2; i < count; i++) {
        (void)fprintf(stderr, " 0x%lx",
                      (unsigned long)((uintptr_t)frame[i] - (uintptr_t)&__executable_start - 1));
    }
    (void)fputc('\n', stderr);
}

static void count_kind(const char *what) {
    struct kind *kind = ledger->kind;
    while (kind->what != NULL && kind->what != what) {
        kind++;
        CV_ASSERT(kind < ledger->kind + KINDS_MAX - 1);
    }
    kind->what = what;
    kind->count++;
}

uint64_t points_count(const char *what) {
    const struct kind *kind = ledger->kind;
    while (kind->what != NULL && strcmp(kind->what, what) != 0) {
        kind++;
    }
    return kind->count;
}

void points_list(void) {
    for (const struct kind *kind = ledger->kind; kind->what != NULL; kind++) {
        printf("    %6llu %s\n", (unsigned long long)kind->count, kind->what);
    }
}

static struct site *find_site(void) {
    void *frame[SITE_FRAMES_FIRST + SITE_FRAMES];
    int count = backtrace(frame, SITE_FRAMES_FIRST + SITE_FRAMES);
    uint64_t hash = 1;
    for (int i = SITE_FRAMES_FIRST; i < count; i++) {
        hash = (hash ^ (uint64_t)(uintptr_t)frame[i]) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 32;
    }
    uint32_t at = (uint32_t)(hash % SITES_MAX);
    for (uint32_t i = 0; i < SITES_MAX; i++, at = (at + 1) % SITES_MAX) {
        struct site *site = &ledger->site[at];
        if (site->hash == hash || site->hash == 0) {
            site->hash = hash;
            return site;
        }
    }
    points_fail("more than %u places make calls that can fail", SITES_MAX);
}

uint32_t points_reach(const char *what, uint32_t ways) {
    if (!points.is_counting) {
        return 0;
    }
    uint64_t point = ++ledger->result.points;
    count_kind(what);
    const struct points_plan *plan = points.plan;
    if (plan->only_point != 0) {
        if (point != plan->only_point) {
            return 0;
        }
        print_caller(what);
        strike();
        return 1 + plan->only_way % ways;
    }
    if (plan->is_dry) {
        return 0;
    }
    uint32_t first = 0;
    uint32_t end = ways;
    if (plan->tries_max != 0) {
        struct site *site = find_site();
        site->count++;
        if (site->tries == plan->tries_max || (site->count & (site->count - 1)) != 0) {
            return 0;
        }
        first = site->tries++ % ways;
        end = first + 1;
    }
    for (uint32_t way = first; way < end; way++) {
        if (try_way(what, way)) {
            return 1 + way;
        }
    }
    return 0;
}

static _Noreturn void run_scenario(points_scenario_fn scenario, const void *context) {
    memset(ledger, 0, sizeof(*ledger));
    points.is_counting = true;
    scenario(context);
    points.is_counting = false;
    memory_check();
    if (!points.has_failed) {
        await_children(0);
    }
    (void)fflush(NULL);
    _exit(0);
}

struct points_result points_run(const struct points_plan *plan, const char *name,
                                points_scenario_fn scenario, const void *context) {
    if (ledger == NULL) {
        ledger =
            mmap(NULL, sizeof(*ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    }
    if (ledger == MAP_FAILED) {
        points_fail("no memory");
    }
    points.plan = plan;
    points.name = name;
    CV_ASSERT(plan->jobs > 0 && plan->jobs <= JOBS_MAX);
    int status;
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        run_scenario(scenario, context);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
        ledger->result.is_broken = true;
        (void)fprintf(stderr, "%s: wrong even without a failure\n", name);
    }
    return ledger->result;
}
