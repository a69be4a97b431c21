// covet-prof diff: what differs between two outputs of `covet-prof stat --json`.
//
// Counts are compared for each 1000 requests, times as they are. Which paths are shown, and as
// what, is the table below; workers one by one are not compared, for load spreads differently each
// time.
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "profile/commands.h"
#include "profile/figures.h"
#include "profile/window.h"

#define THRESHOLD_PERCENT 5.0
#define REQUESTS_PATH "total.counters.requests"

static const char usage[] =
    "A.json B.json [--threshold PERCENT]\n"
    "  A.json B.json       two outputs of covet-prof stat --json, before and after\n"
    "  -t, --threshold P   show what differs by more than P percent (5)\n"
    "  -h, --help";

enum unit { UNIT_PER_1000, UNIT_RATIO, UNIT_AS_IT_IS };  // A ratio is divided already.

// A path is shown when it begins and ends like a row: the first that fits.
static const struct {
    const char *begin;
    const char *end;
    enum unit unit;
} shown[] = {
    {"per_1000_requests.", "", UNIT_RATIO},
    {"total.syscalls.", ".count", UNIT_PER_1000},
    {"total.syscalls.", ".errors", UNIT_PER_1000},
    {"total.syscalls.", ".avg_busy_ns", UNIT_AS_IT_IS},
    {"total.syscalls.", ".latency.p99_ns", UNIT_AS_IT_IS},
    {"total.urings.", ".submitted", UNIT_PER_1000},
    {"total.urings.", ".completed", UNIT_PER_1000},
    {"total.urings.", ".errors", UNIT_PER_1000},
    {"total.urings.", ".punted", UNIT_PER_1000},
    {"total.urings.", ".poll_arms", UNIT_PER_1000},
    {"total.urings.", ".latency.p99_ns", UNIT_AS_IT_IS},
    {"total.handler_time.p", "", UNIT_AS_IT_IS},
    {"total.sched.runq_latency.p", "", UNIT_AS_IT_IS},
    {"total.counters.", "", UNIT_PER_1000},
    {"other_syscalls.", ".count", UNIT_PER_1000},
    {"net.", "", UNIT_PER_1000},
    {"drops.", "", UNIT_PER_1000},
};

static bool fits(const char *path, const char *begin, const char *end) {
    size_t length = strlen(path), end_length = strlen(end);

    return strncmp(path, begin, strlen(begin)) == 0 && length >= end_length &&
           strcmp(path + length - end_length, end) == 0;
}

static bool find_unit(const char *path, enum unit *unit) {
    for (size_t i = 0; i < CV_ARRAY_COUNT(shown); i++) {
        if (fits(path, shown[i].begin, shown[i].end)) {
            *unit = shown[i].unit;
            return strcmp(path, REQUESTS_PATH) != 0;  // What others are divided by.
        }
    }
    return false;
}

struct side {
    const char *path;
    struct cv_figures figures;
    double requests;
    double seconds;
};

// A figure of one side in the unit it is shown in; NAN when it was not measured.
static double figure_of(const struct side *side, const char *path, enum unit unit) {
    const double *value = cv_figures_find(&side->figures, path);

    if (value == NULL)
        return NAN;
    return unit == UNIT_PER_1000 ? *value * 1000 / side->requests : *value;
}

static void put_figure(double value, enum unit unit) {
    if (isnan(value))
        printf("%14s", "-");
    else
        printf("%14.*f", unit == UNIT_AS_IT_IS ? 0 : 2, value);
}

static void put_row(const char *name, double before, double after, enum unit unit) {
    char label[CV_FIGURES_PATH_BYTES + 8];

    snprintf(label, sizeof(label), "%s%s", name, unit == UNIT_AS_IT_IS ? "" : "/1000");
    printf("%-42s", label);
    put_figure(before, unit);
    put_figure(after, unit);
    if (isnan(before) || isnan(after))
        printf("%10s\n", "-");
    else if (before > 0)
        printf("%9.2fx\n", after / before);
    else
        printf("%10s\n", after > 0 ? "new" : "1.00x");
}

static bool differs(double before, double after, double threshold) {
    if (isnan(before) || isnan(after))
        return isnan(before) != isnan(after);
    return fabs(after - before) * 100 > threshold * CV_MAX(before, after);
}

static const char *without(const char *path, const char *begin) {
    return strncmp(path, begin, strlen(begin)) == 0 ? path + strlen(begin) : path;
}

// Shows a path, unless it differs by less than the threshold. True if it was shown.
static bool compare(const struct side *before, const struct side *after, const char *path,
                    enum unit unit, double threshold) {
    double old_value = figure_of(before, path, unit);
    double new_value = figure_of(after, path, unit);

    if (!differs(old_value, new_value, threshold))
        return false;
    const char *name = without(without(path, "per_1000_requests."), "total.");
    put_row(without(name, "counters."), old_value, new_value, unit);
    return true;
}

static int open_side(struct side *side, const char *path) {
    char message[256];

    *side = (struct side){.path = path};
    if (cv_figures_read(&side->figures, path, message, sizeof(message)) != 0) {
        fprintf(stderr, "covet-prof diff: %s\n", message);
        return CV_EXIT_FAILED;
    }
    const double *requests = cv_figures_find(&side->figures, REQUESTS_PATH);
    const double *interval_ns = cv_figures_find(&side->figures, "interval_ns");
    if (requests == NULL || interval_ns == NULL) {
        fprintf(stderr, "covet-prof diff: %s is no output of covet-prof stat --json\n", path);
        return CV_EXIT_FAILED;
    }
    if (*requests == 0 || *interval_ns == 0) {
        fprintf(stderr, "covet-prof diff: %s: no requests were answered, nothing can be compared\n",
                path);
        return CV_EXIT_UNMEASURABLE;
    }
    side->requests = *requests;
    side->seconds = *interval_ns / 1e9;
    return 0;
}

static void describe(char letter, const struct side *side) {
    const double *level = cv_figures_find(&side->figures, "profile.level");

    printf("%c: %s: level %.0f, %.2f s, %.0f requests\n", letter, side->path,
           level == NULL ? 0 : *level, side->seconds, side->requests);
}

static void show(const struct side *before, const struct side *after, double threshold) {
    size_t same = 0;
    enum unit unit;

    describe('A', before);
    describe('B', after);
    printf("\n%-42s%14s%14s%10s\n", "", "A", "B", "B/A");
    put_row("requests/s", before->requests / before->seconds, after->requests / after->seconds,
            UNIT_AS_IT_IS);
    for (size_t i = 0; i < before->figures.count; i++) {
        const char *path = before->figures.items[i].path;
        if (find_unit(path, &unit) && !compare(before, after, path, unit, threshold))
            same++;
    }
    for (size_t i = 0; i < after->figures.count; i++) {
        const char *path = after->figures.items[i].path;
        if (cv_figures_find(&before->figures, path) == NULL && find_unit(path, &unit))
            (void)compare(before, after, path, unit, threshold);
    }
    printf("\n%zu other figures differ by %g %% or less\n", same, threshold);
}

static bool read_percent(double *percent, const char *text) {
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end != '\0' || !(value >= 0) || value > 1e6)
        return false;
    *percent = value;
    return true;
}

int cv_diff_main(int argc, char **argv) {
    static const struct option long_options[] = {
        {"threshold", required_argument, NULL, 't'}, {"help", no_argument, NULL, 'h'}, {0}};
    struct cv_window_options none = {0};
    double threshold = THRESHOLD_PERCENT;
    struct side before, after = {0};
    int letter;

    while ((letter = getopt_long(argc, argv, ":ht:", long_options, NULL)) != -1) {
        if (letter == 't' && !read_percent(&threshold, optarg))
            return cv_window_usage(argv[0], usage, "%s is no number of percent", optarg);
        int result = letter == 't' ? -1 : cv_window_option(&none, letter, argv, usage);
        if (result >= 0)
            return result;
    }
    if (argc - optind != 2)
        return cv_window_usage(argv[0], usage, "it takes two files");
    int result = open_side(&before, argv[optind]);
    if (result == 0)
        result = open_side(&after, argv[optind + 1]);
    if (result == 0) {
        show(&before, &after, threshold);
        result = fflush(stdout) == 0 ? 0 : CV_EXIT_FAILED;
    }
    cv_figures_deinit(&before.figures);
    cv_figures_deinit(&after.figures);
    return result;
}
