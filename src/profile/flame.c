// The order: names first, since they need the right to look into the process; then the programs;
// then a loop that empties the ring until time is up. Nothing is written before something was
// measured.
#include "profile/flame.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "observe/running.h"
#include "profile/commands.h"
#include "profile/flame_options.h"
#include "profile/flame_stacks.h"
#include "profile/flame_svg.h"
#include "profile/samples.h"

#define READ_EVERY_NS 50000000
#define COMMAND_BYTES_MAX 256u

// What a run has come to.
struct run {
    const struct cv_flame_options *options;
    pid_t server_pid;
    struct cv_samples *samples;
    struct cv_symbols *symbols;
    struct cv_flame_stacks stacks;
    uint64_t start_ns;
    uint64_t end_ns;
    time_t start_time;
    uint64_t lost;
    double kernel_cost;  // shares of a core
    double profiler_cost;
};

static volatile sig_atomic_t is_interrupted;

static void on_signal(int number) {
    (void)number;
    is_interrupted = 1;
}

static int fail(int code, const char *message) {
    fprintf(stderr, "covet-prof flame: %s\n", message);
    return code;
}

static uint64_t now_ns(void) {
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint64_t own_cpu_ns(void) {
    struct timespec time;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void take_record(void *context, const struct covet_stack_record *record) {
    struct run *run = context;

    cv_flame_stacks_add(&run->stacks, record);
    if (record->head.event == COVET_STACK_RESUMED)
        return;
    if (record->stack_top == 0 && run->stacks.stack_top != 0)
        cv_samples_set_top(run->samples, record->head.thread_id, run->stacks.stack_top);
}

// A second Ctrl-C ends the program as usual.
static void catch_signals(void) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

// Without CAP_KILL a process that is there refuses even the question.
static bool is_there(pid_t pid) {
    return kill(pid, 0) == 0 || errno != ESRCH;
}

static void measure(struct run *run) {
    const struct timespec pause = {.tv_nsec = READ_EVERY_NS};
    uint64_t deadline = run->start_ns + (uint64_t)(run->options->seconds * 1e9);
    uint64_t cpu_before = own_cpu_ns();

    while (!is_interrupted && now_ns() < deadline && is_there(run->server_pid)) {
        nanosleep(&pause, NULL);
        cv_samples_read(run->samples, take_record, run);
    }
    run->end_ns = now_ns();
    cv_samples_stop(run->samples);
    cv_samples_read(run->samples, take_record, run);
    cv_flame_stacks_end(&run->stacks, run->end_ns);
    run->lost = cv_samples_lost(run->samples);
    double elapsed = (double)(run->end_ns - run->start_ns);
    run->kernel_cost = (double)cv_samples_cost_ns(run->samples) / elapsed;
    run->profiler_cost = (double)(own_cpu_ns() - cpu_before) / elapsed;
}

// The command of the server, for the title; its arguments are apart by NUL bytes.
static void read_command(pid_t pid, char command[COMMAND_BYTES_MAX]) {
    char path[32];

    snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
    FILE *file = fopen(path, "re");
    size_t length = file == NULL ? 0 : fread(command, 1, COMMAND_BYTES_MAX - 1, file);
    if (file != NULL)
        fclose(file);
    while (length > 0 && command[length - 1] == '\0')
        length--;
    for (size_t i = 0; i < length; i++) {
        if (command[i] == '\0')
            command[i] = ' ';
    }
    command[length] = '\0';
}

static void write_svg(const struct run *run, FILE *file) {
    char command[COMMAND_BYTES_MAX], title[COMMAND_BYTES_MAX + 64], subtitle[256], rate[64] = "";
    char when[32] = "";
    struct tm local;
    const struct cv_flame_stacks *stacks = &run->stacks;

    read_command(run->server_pid, command);
    snprintf(title, sizeof(title), "%s: %s", run->options->off_cpu ? "Asleep" : "Running", command);
    if (localtime_r(&run->start_time, &local) != NULL)
        strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &local);
    if (!run->options->off_cpu)
        snprintf(rate, sizeof(rate), " at %u Hz and core", run->options->hz);
    snprintf(subtitle, sizeof(subtitle),
             "process %d, %s, %.1f s%s: %" PRIu64 " %s, %" PRIu64 " lost, %" PRIu64 " incomplete%s",
             (int)run->server_pid, when, (double)(run->end_ns - run->start_ns) / 1e9, rate,
             stacks->stack_count, run->options->off_cpu ? "sleeps" : "samples", run->lost,
             stacks->incomplete_count,
             cv_symbols_kernel_is_hidden(run->symbols) ? "; the kernel hides its names" : "");
    struct cv_flame_svg_text text = {title, subtitle,
                                     run->options->off_cpu ? "us asleep" : "samples"};
    cv_flame_svg_write(&stacks->tree, &text, file);
}

static int write_file(const struct run *run, const char *path, bool is_svg) {
    bool is_stdout = strcmp(path, "-") == 0;
    FILE *file = is_stdout ? stdout : fopen(path, "we");

    if (file == NULL) {
        fprintf(stderr, "covet-prof flame: %s: %s\n", path, strerror(errno));
        return CV_EXIT_FAILED;
    }
    if (is_svg)
        write_svg(run, file);
    else
        cv_flame_tree_write(&run->stacks.tree, file);
    bool is_bad = ferror(file) != 0;
    is_bad |= (is_stdout ? fflush(file) : fclose(file)) != 0;
    if (is_bad) {
        fprintf(stderr, "covet-prof flame: %s: %s\n", path, strerror(errno));
        return CV_EXIT_FAILED;
    }
    return 0;
}

static int report(struct run *run) {
    const struct cv_flame_stacks *stacks = &run->stacks;
    const char *kind = run->options->off_cpu ? "sleeps" : "samples";

    if (stacks->is_out_of_memory)
        return fail(CV_EXIT_FAILED, "out of memory");
    if (stacks->tree.nodes[0].total == 0)
        return fail(CV_EXIT_FAILED, run->options->off_cpu
                                        ? "no thread slept: the server was busy all the time"
                                        : "no samples: the server was idle; put load on it, or see "
                                          "with --off-cpu what it waits for");
    cv_flame_tree_sort(&run->stacks.tree);
    int code = write_file(run, run->options->svg_path, true);
    if (code == 0 && run->options->folded_path != NULL)
        code = write_file(run, run->options->folded_path, false);
    if (code == 0)
        fprintf(stderr,
                "covet-prof flame: %s: %" PRIu64 " %s in %.1f s, %" PRIu64 " lost, %" PRIu64
                " incomplete; cost: %.1f %% of a core in the kernel, %.1f %% here\n",
                run->options->svg_path, stacks->stack_count, kind,
                (double)(run->end_ns - run->start_ns) / 1e9, run->lost, stacks->incomplete_count,
                100 * run->kernel_cost, 100 * run->profiler_cost);
    return code;
}

static int run_it(struct run *run) {
    struct cv_samples_options options = {
        .server_pid = run->server_pid, .hz = run->options->hz, .off_cpu = run->options->off_cpu};
    char message[256];

    catch_signals();
    int error = cv_samples_open(&run->samples, &options, message, sizeof(message));
    if (error != 0)
        return fail(error == -EPERM || error == -EOPNOTSUPP ? CV_EXIT_IMPOSSIBLE : CV_EXIT_FAILED,
                    message);
    run->start_ns = now_ns();
    run->start_time = time(NULL);
    if (cv_flame_stacks_init(&run->stacks, run->symbols, run->start_ns) != 0) {
        cv_samples_close(run->samples);
        return fail(CV_EXIT_FAILED, "out of memory");
    }
    run->stacks.is_wanted = run->options->has_workers ? run->options->is_wanted : NULL;
    fprintf(stderr, "covet-prof flame: measuring process %d for %g s (Ctrl-C ends it earlier)\n",
            (int)run->server_pid, run->options->seconds);
    measure(run);
    int code = report(run);
    cv_flame_stacks_deinit(&run->stacks);
    cv_samples_close(run->samples);
    return code;
}

static int fail_symbols(pid_t pid, int error) {
    char message[160];

    if (error == -EACCES || error == -EPERM) {
        snprintf(message, sizeof(message),
                 "/proc/%d/maps may not be read: needs CAP_SYS_PTRACE; try sudo", (int)pid);
        return fail(CV_EXIT_IMPOSSIBLE, message);
    }
    snprintf(message, sizeof(message), "process %d: %s", (int)pid, strerror(-error));
    return fail(CV_EXIT_FAILED, message);
}

int cv_flame_main(int argc, char **argv) {
    struct cv_flame_options options;
    struct cv_running running;
    char message[256];

    int code = cv_flame_options_read(&options, argc, argv);
    if (code >= 0)
        return code;
    if (cv_running_find(&running, options.pid, message, sizeof(message)) != 0)
        return fail(CV_EXIT_FAILED, message);
    if (running.server_pid == 0)
        return fail(CV_EXIT_FAILED, "covet is between two servers; try again");
    struct run run = {.options = &options, .server_pid = running.server_pid};
    int error = cv_symbols_create(&run.symbols, running.server_pid);
    if (error != 0)
        return fail_symbols(running.server_pid, error);
    code = run_it(&run);
    cv_symbols_destroy(run.symbols);
    return code;
}
