#include "top/options.h"

#include <covet/app.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/compiler.h"
#include "base/span.h"
#include "top/view.h"

#define EXIT_USAGE 64

enum { LONG_ONCE = 256, LONG_JSON, LONG_VIEW, LONG_PIN_DIR, LONG_HELP, LONG_VERSION };

static const struct option names[] = {
    {"pid", required_argument, NULL, 'p'},
    {"interval", required_argument, NULL, 'i'},
    {"once", no_argument, NULL, LONG_ONCE},
    {"json", no_argument, NULL, LONG_JSON},
    {"view", required_argument, NULL, LONG_VIEW},
    {"pin-dir", required_argument, NULL, LONG_PIN_DIR},
    {"help", no_argument, NULL, LONG_HELP},
    {"version", no_argument, NULL, LONG_VERSION},
    {NULL, 0, NULL, 0},
};

static const char help[] =
    "usage: covet-top [OPTION]...\n"
    "\n"
    "Shows what a running covet does, worker by worker: requests, latency, connections, system\n"
    "calls, ring operations, TCP. It reads and changes nothing. Without a profiler it shows what\n"
    "counter pages and /proc know; with one (sudo covet-prof) all of it.\n"
    "\n"
    "  -p, --pid PID          The covet to watch, by its process id (the only one there is)\n"
    "  -i, --interval SECONDS How long one interval is, 0.1 to 3600 (1)\n"
    "      --view NAME        Begin with this view: workers, syscalls, ring, network, latency\n"
    "      --once             Print one interval as text and end; all rows, all columns\n"
    "      --json             Print each interval as one JSON object on a line of its own\n"
    "      --pin-dir DIR      Where the profiler has pinned its maps ($COVET_PIN_DIR, else\n"
    "                         /sys/fs/bpf/covet)\n"
    "      --help             Print this\n"
    "      --version          Print the version\n"
    "\n"
    "Keys: 1-5 and Tab views, t totals, s sort, arrows scroll, p pause, +/- interval,\n"
    "r count from now, h help, q quit. NO_COLOR=1 in the environment: no colours.\n"
    "Exit status: 0 it was ended, or covet has stopped; 1 there is nothing to watch; 64 bad "
    "options.";

static _Noreturn CV_PRINTF(1, 2) void refuse(const char *format, ...) {
    va_list arguments;
    fputs("covet-top: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputs("\ncovet-top --help lists the options\n", stderr);
    exit(EXIT_USAGE);
}

static pid_t read_pid(const char *text) {
    uint64_t value;
    if (!cv_span_to_uint64(cv_span_of(text), INT_MAX, &value) || value == 0) {
        refuse("-p: '%s' is no process id", text);
    }
    return (pid_t)value;
}

static double read_seconds(const char *text) {
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= TOP_SECONDS_MIN && value <= TOP_SECONDS_MAX)) {
        refuse("-i: '%s' is no number of seconds from %g to %g", text, TOP_SECONDS_MIN,
               TOP_SECONDS_MAX);
    }
    return value;
}

static unsigned read_view(const char *text) {
    unsigned view = top_view_find(text);
    if (view == TOP_VIEW_COUNT) {
        refuse("--view: '%s' is none of workers, syscalls, ring, network, latency", text);
    }
    return view;
}

void top_options_read(struct top_options *options, int argc, char **argv) {
    const char *pin_dir = getenv("COVET_PIN_DIR");
    *options = (struct top_options){.seconds = 1};
    options->pin_dir = pin_dir != NULL && pin_dir[0] != '\0' ? pin_dir : NULL;
    opterr = 0;
    optind = 0;  // Starts getopt again, for tests.
    for (int found; (found = getopt_long(argc, argv, ":p:i:", names, NULL)) != -1;) {
        switch (found) {
        case 'p':
            options->pid = read_pid(optarg);
            break;
        case 'i':
            options->seconds = read_seconds(optarg);
            break;
        case LONG_ONCE:
            options->once = true;
            break;
        case LONG_JSON:
            options->json = true;
            break;
        case LONG_VIEW:
            options->view = read_view(optarg);
            break;
        case LONG_PIN_DIR:
            options->pin_dir = optarg;
            break;
        case LONG_HELP:
            puts(help);
            exit(0);
        case LONG_VERSION:
            puts("covet-top " COVET_VERSION);
            exit(0);
        case ':':
            refuse("%s needs a value", argv[optind - 1]);
        default:
            if (optopt > 0 && optopt < LONG_ONCE) {
                refuse("there is no option -%c", optopt);
            }
            refuse("there is no option %s, or it takes no value", argv[optind - 1]);
        }
    }
    if (optind < argc) {
        refuse("'%s' is too much: there are options only", argv[optind]);
    }
}
