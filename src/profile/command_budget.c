// covet-prof budget: whether a running covet keeps within a file of limits, for scripts.
#include <inttypes.h>
#include <stdio.h>

#include "profile/budget.h"
#include "profile/child.h"
#include "profile/commands.h"
#include "profile/window.h"

#define SECONDS 10.0

static const char usage[] =
    "FILE [-p PID] [--seconds N] [--level N] [--pin-dir DIR] [-- COMMAND...]\n"
    "  FILE                limits, as in docs/PROFILING.md\n"
    "      --seconds N     how long to measure (the file's seconds, or 10)\n"
    "  COMMAND...          measure while it runs, however long\n" CV_WINDOW_HELP "\n"
    "exit status: 0 within, 3 over, 4 not measurable, 1 failed, 64 bad options or file";

static void show_line(const struct cv_budget_limit *limit, const struct cv_budget_line *line) {
    int decimals = limit->is_absolute ? 0 : 1;

    printf("%-29s%-10s%11.*f", limit->name, limit->is_absolute ? "in all" : "per 1000",
           limit->allowed == (double)(uint64_t)limit->allowed ? decimals : 3, limit->allowed);
    if (line->verdict == CV_BUDGET_UNMEASURED && line->level_needed > 0)
        printf("%12s  not measured: needs level %u\n", "-", line->level_needed);
    else if (line->verdict == CV_BUDGET_UNMEASURED)
        printf("%12s  not measured: hidden from this user\n", "-");
    else
        printf("%12.*f  %s\n", decimals, line->measured,
               line->verdict == CV_BUDGET_OVER ? "OVER" : "within");
}

static int show(const struct cv_window *window, const struct cv_budget *budget,
                const struct cv_snapshot *change, const struct cv_window_peak *peak) {
    static const struct {
        const char *word;
        int exit_code;
    } verdicts[] = {
        [CV_BUDGET_WITHIN] = {"within the budget", 0},
        [CV_BUDGET_OVER] = {"over the budget", CV_EXIT_OVER},
        [CV_BUDGET_UNMEASURED] = {"not measurable", CV_EXIT_UNMEASURABLE},
    };
    struct cv_budget_line lines[CV_BUDGET_LIMITS_MAX];
    struct cv_snapshot_worker total;
    char missing[160];

    cv_snapshot_total(change, &total);
    enum cv_budget_verdict verdict =
        cv_budget_judge(budget, change, peak, lines, missing, sizeof(missing));
    cv_window_print_head(window, change);
    printf("%" PRIu64 " requests, up to %" PRIu64 " connections\n\n",
           total.counter[COVET_COUNTER_REQUESTS], peak->connections_open);
    printf("%-39s%11s%12s  %s\n", "limit", "allowed", "measured", "verdict");
    for (size_t i = 0; i < budget->limit_count; i++)
        show_line(&budget->limits[i], &lines[i]);
    printf("\n%s%s%s\n", verdicts[verdict].word, missing[0] != '\0' ? ": " : "", missing);
    return fflush(stdout) == 0 ? verdicts[verdict].exit_code : CV_EXIT_FAILED;
}

// While the command runs. Its failure is told, and makes the measurement worth nothing.
static int measure_command(struct cv_window *window, char **command, struct cv_snapshot *change,
                           struct cv_window_peak *peak) {
    struct cv_child child;
    int result = cv_child_start(&child, command);

    if (result != 0) {
        perror("covet-prof budget");
        return CV_EXIT_FAILED;
    }
    result = cv_window_wait(window, CV_WINDOW_SECONDS_MAX, child.fd, change, peak);
    int status = cv_child_finish(&child);
    if (result == 0 && status != 0) {
        fprintf(stderr, "covet-prof budget: %s ended with status %d\n", command[0], status);
        result = CV_EXIT_FAILED;
    }
    return result;
}

static int measure(struct cv_window *window, const struct cv_budget *budget, double seconds,
                   char **command) {
    struct cv_snapshot change = {0};
    struct cv_window_peak peak;
    int result = cv_window_begin(window);

    if (result == 0)
        result = command[0] != NULL ? measure_command(window, command, &change, &peak)
                                    : cv_window_wait(window, seconds, -1, &change, &peak);
    if (result == 0)
        result = show(window, budget, &change, &peak);
    cv_snapshot_deinit(&change);
    return result;
}

int cv_budget_main(int argc, char **argv) {
    static const struct option long_options[] = {
        {"seconds", required_argument, NULL, 's'}, CV_WINDOW_LONG_OPTIONS, {0}};
    struct cv_window_options options = {.level = CV_WINDOW_LEVEL};
    struct cv_budget budget;
    struct cv_window window;
    char message[256];
    int letter;

    while ((letter = getopt_long(argc, argv, CV_WINDOW_LETTERS, long_options, NULL)) != -1) {
        int result = cv_window_option(&options, letter, argv, usage);
        if (result >= 0)
            return result;
    }
    if (optind == argc)
        return cv_window_usage(argv[0], usage, "which budget?");
    char **command = argv + optind + 1;
    if (command[0] != NULL && options.seconds > 0)
        return cv_window_usage(argv[0], usage, "--seconds or a command, not both");
    if (cv_budget_read(&budget, argv[optind], message, sizeof(message)) != 0) {
        fprintf(stderr, "covet-prof budget: %s\n", message);
        return CV_EXIT_USAGE;
    }
    double seconds = options.seconds > 0 ? options.seconds : budget.seconds;
    int result = cv_window_open(&window, &options, argv[0]);
    if (result != 0)
        return result;
    result = measure(&window, &budget, seconds > 0 ? seconds : SECONDS, command);
    cv_window_close(&window);
    return result;
}
