#include "profile/flame_options.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/span.h"
#include "profile/commands.h"

#define SECONDS_MAX 86400.0
#define HZ_MAX 20000u

enum { LONG_OFF_CPU = 256, LONG_FOLDED };

static const struct option long_options[] = {
    {"pid", required_argument, NULL, 'p'},
    {"duration", required_argument, NULL, 'd'},
    {"frequency", required_argument, NULL, 'F'},
    {"workers", required_argument, NULL, 'w'},
    {"output", required_argument, NULL, 'o'},
    {"off-cpu", no_argument, NULL, LONG_OFF_CPU},
    {"folded", required_argument, NULL, LONG_FOLDED},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static const char usage[] =
    "usage: covet-prof flame [-p PID] [-d SECONDS] [-F HZ] [-w LIST] [--off-cpu]\n"
    "                        [--folded FILE] [-o FILE]\n";

static const char help[] =
    "\nWhere a covet's threads spend their time, as a flame graph in one SVG file.\n\n"
    "  -p, --pid PID         the covet with this process id, its supervisor's or its\n"
    "                        server's (default: the only one there is)\n"
    "  -d, --duration SECS   how long to measure (10); Ctrl-C ends it earlier\n"
    "  -F, --frequency HZ    samples per second and core (997)\n"
    "  -w, --workers LIST    these workers alone, as in 0-3,7\n"
    "      --off-cpu         not where they run, but where they sleep and how long;\n"
    "                        costs something at each switch of threads, on all cores\n"
    "      --folded FILE     write the stacks as text too, a line each, for other tools\n"
    "  -o, --output FILE     the picture (flame.svg); - is standard output\n"
    "  -h, --help            this text\n";

static int refuse(const char *what, const char *value, const char *why) {
    fprintf(stderr, "covet-prof flame: %s %s: %s\n%s", what, value, why, usage);
    return CV_EXIT_USAGE;
}

static int read_number(const char *what, const char *text, uint64_t least, uint64_t most,
                       uint64_t *number) {
    char why[64];

    if (cv_span_to_uint64(cv_span_of(text), most, number) && *number >= least)
        return -1;
    snprintf(why, sizeof(why), "is no number from %llu to %llu", (unsigned long long)least,
             (unsigned long long)most);
    return refuse(what, text, why);
}

static int read_seconds(struct cv_flame_options *options, const char *text) {
    char *end;
    double seconds = strtod(text, &end);

    if (end == text || *end != '\0' || !(seconds > 0 && seconds <= SECONDS_MAX))
        return refuse("-d", text, "is no number of seconds above 0, at most a day");
    options->seconds = seconds;
    return -1;
}

static int read_workers(struct cv_flame_options *options, const char *text) {
    uint16_t list[CV_CPU_LIST_MAX];
    const char *reason;
    size_t count;

    if (!cv_cpu_list_parse(cv_span_of(text), list, &count, &reason))
        return refuse("-w", text, reason);
    for (size_t i = 0; i < count; i++) {
        if (list[i] >= COVET_WORKERS_MAX)
            return refuse("-w", text, "there are at most 256 workers");
        options->is_wanted[list[i]] = true;
    }
    options->has_workers = true;
    return -1;
}

static int read_option(struct cv_flame_options *options, int letter, const char *value) {
    uint64_t number = 0;
    int code = -1;

    switch (letter) {
    case 'p':
        code = read_number("-p", value, 1, INT_MAX, &number);
        options->pid = (pid_t)number;
        return code;
    case 'd':
        return read_seconds(options, value);
    case 'F':
        code = read_number("-F", value, 1, HZ_MAX, &number);
        options->hz = (uint32_t)number;
        return code;
    case 'w':
        return read_workers(options, value);
    case 'o':
        options->svg_path = value;
        return -1;
    case LONG_OFF_CPU:
        options->off_cpu = true;
        return -1;
    case LONG_FOLDED:
        options->folded_path = value;
        return -1;
    case 'h':
        printf("%s%s", usage, help);
        return 0;
    default:
        // getopt has said what is wrong.
        fputs(usage, stderr);
        return CV_EXIT_USAGE;
    }
}

int cv_flame_options_read(struct cv_flame_options *options, int argc, char **argv) {
    int letter, code;

    *options = (struct cv_flame_options){.seconds = 10, .hz = 997, .svg_path = "flame.svg"};
    optind = 0;  // Starts getopt again.
    while ((letter = getopt_long(argc, argv, "+p:d:F:w:o:h", long_options, NULL)) != -1) {
        code = read_option(options, letter, optarg);
        if (code >= 0)
            return code;
    }
    if (optind < argc)
        return refuse("argument", argv[optind], "is one too many");
    if (options->folded_path != NULL && strcmp(options->folded_path, options->svg_path) == 0)
        return refuse("--folded", options->folded_path, "is where -o writes to");
    return -1;
}
