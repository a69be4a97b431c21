#include "profile/serve_options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/shared.h"
#include "profile/arguments.h"

static const char help[] =
    "usage: covet-prof serve [OPTION]...\n"
    "Serves the figures of a running covet: / is a page with live plots, /metrics is for\n"
    "Prometheus, /stats.json is a snapshot, /events a stream of what changes.\n"
    "\n"
    "  -l, --listen ADDR:PORT  where (default 127.0.0.1:9464; port 0: any free one)\n"
    "      --allow-remote      ADDR may be one that others can reach: what they get is all there "
    "is\n"
    "      --host NAME         answer under this name too, not only under addresses and localhost\n"
    "  -p, --pid PID           the covet to show, and end with it (default: the only one there "
    "is,\n"
    "                          then the next one)\n"
    "  -i, --interval SECONDS  between two points of a plot, 0.1 to 10 (default 1)\n"
    "      --level LEVEL       what to measure where no profiler is attached yet, 1 to 3; 0: "
    "nothing\n"
    "                          beyond counters and /proc (default 2)\n"
    "      --pin-dir DIR       where the profiler's maps are (default $COVET_PIN_DIR, else\n"
    "                          " COVET_PIN_DIR ")\n"
    "  -h, --help              this text\n";

enum { OPTION_ALLOW_REMOTE = 256, OPTION_HOST, OPTION_LEVEL, OPTION_PIN_DIR };

static const struct option names[] = {
    {"listen", required_argument, NULL, 'l'},
    {"allow-remote", no_argument, NULL, OPTION_ALLOW_REMOTE},
    {"host", required_argument, NULL, OPTION_HOST},
    {"pid", required_argument, NULL, 'p'},
    {"interval", required_argument, NULL, 'i'},
    {"level", required_argument, NULL, OPTION_LEVEL},
    {"pin-dir", required_argument, NULL, OPTION_PIN_DIR},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static bool read_number(const char *text, double min, double max, double *value) {
    char *end;
    errno = 0;
    double number = strtod(text, &end);
    if (end == text || *end != '\0' || errno != 0 || !(number >= min && number <= max)) {
        return false;
    }
    *value = number;
    return true;
}

static bool read_whole(const char *text, double min, double max, double *value) {
    return strspn(text, "0123456789") == strlen(text) && read_number(text, min, max, value);
}

// Returns what is wrong with the argument, NULL when nothing is.
static const char *take(struct cv_serve_options *options, int option, const char *argument) {
    double number = 0;
    switch (option) {
    case 'l':
        options->listen = argument;
        return NULL;
    case OPTION_ALLOW_REMOTE:
        options->allow_remote = true;
        return NULL;
    case OPTION_HOST:
        if (options->host_count == CV_SERVE_HOSTS_MAX) {
            return "at most 8 times";
        }
        options->hosts[options->host_count++] = argument;
        return NULL;
    case 'p':
        if (!read_whole(argument, 1, INT_MAX, &number)) {
            return "a process id is a number above 0";
        }
        options->pid = (pid_t)number;
        return NULL;
    case 'i':
        if (!read_number(argument, 0.1, 10, &number)) {
            return "seconds, from 0.1 to 10";
        }
        options->interval_ns = (uint64_t)(number * 1e9);
        return NULL;
    case OPTION_LEVEL:
        if (!read_whole(argument, 0, 3, &number)) {
            return "a level is 0, 1, 2 or 3";
        }
        options->level = (uint32_t)number;
        return NULL;
    default:
        options->pin_dir = argument;
        return NULL;
    }
}

static enum cv_serve_action complain(const char *what, const char *why) {
    fprintf(stderr, "covet-prof serve: %s: %s (see covet-prof serve --help)\n", what, why);
    return CV_SERVE_WRONG;
}

enum cv_serve_action cv_serve_options_read(struct cv_serve_options *options, int argc,
                                           char **argv) {
    *options = (struct cv_serve_options){
        .listen = "127.0.0.1:9464",
        .pin_dir = cv_arguments_pin_dir(),
        .level = 2,
        .interval_ns = 1000000000,
    };
    optind = 0;  // Starts getopt again: the command before us may have used it.
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, ":l:p:i:h", names, NULL)) != -1;) {
        if (option == 'h') {
            fputs(help, stdout);
            return CV_SERVE_HELP;
        }
        if (option == '?' || option == ':') {
            return complain(argv[optind - 1],
                            option == ':' ? "its value is missing" : "there is no such option");
        }
        const char *why = take(options, option, optarg);
        if (why != NULL) {
            return complain(optarg, why);
        }
    }
    if (optind < argc) {
        return complain(argv[optind], "nothing but options is understood here");
    }
    return CV_SERVE_RUN;
}
