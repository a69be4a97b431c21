// covet-prof stat: what the kernel does for a running covet, as a table or as JSON.
#include <stdio.h>
#include <stdlib.h>

#include "base/span.h"
#include "profile/commands.h"
#include "profile/json_snapshot.h"
#include "profile/report.h"
#include "profile/window.h"

#define COUNT_MAX 1000000000u

static const char usage[] =
    "[-p PID] [-i SECONDS] [-n COUNT] [--json] [--level N] [--pin-dir DIR]\n"
    "  -i, --interval S    how long one measurement takes (1)\n"
    "  -n, --count N       measurements, one after the other; 0: until interrupted (1)\n"
    "      --json          one JSON object a line\n" CV_WINDOW_HELP;

static int show(const struct cv_window *window, const struct cv_snapshot *change, bool is_json) {
    char *text;

    if (!is_json) {
        cv_window_print_head(window, change);
        return cv_report_write(stdout, change) == 0 ? 0 : CV_EXIT_FAILED;
    }
    text = cv_json_snapshot_text(change);
    if (text == NULL)
        return CV_EXIT_FAILED;
    puts(text);
    free(text);
    return 0;
}

static int measure_all(struct cv_window *window, double seconds, uint64_t count, bool is_json) {
    struct cv_snapshot change = {0};
    int result = 0;

    for (uint64_t i = 0; result == 0 && (count == 0 || i < count); i++) {
        result = cv_window_begin(window);
        if (result == 0)
            result = cv_window_wait(window, seconds, -1, &change, NULL);
        if (i > 0 && !is_json && result == 0)
            putchar('\n');
        if (result == 0)
            result = show(window, &change, is_json);
        if (fflush(stdout) != 0)
            result = CV_EXIT_FAILED;
        if (cv_window_is_interrupted())
            break;
    }
    cv_snapshot_deinit(&change);
    return result;
}

int cv_stat_main(int argc, char **argv) {
    static const struct option long_options[] = {{"interval", required_argument, NULL, 'i'},
                                                 {"count", required_argument, NULL, 'n'},
                                                 {"json", no_argument, NULL, 'j'},
                                                 CV_WINDOW_LONG_OPTIONS,
                                                 {0}};
    struct cv_window_options options = {.level = CV_WINDOW_LEVEL, .seconds = 1};
    struct cv_window window;
    uint64_t count = 1;
    int letter;

    while ((letter = getopt_long(argc, argv, CV_WINDOW_LETTERS "i:n:", long_options, NULL)) != -1) {
        if (letter == 'n') {
            if (!cv_span_to_uint64(cv_span_of(optarg), COUNT_MAX, &count))
                return cv_window_usage(argv[0], usage, "%s is no number of measurements", optarg);
            continue;
        }
        int result = cv_window_option(&options, letter == 'i' ? 's' : letter, argv, usage);
        if (result >= 0)
            return result;
    }
    if (optind < argc)
        return cv_window_usage(argv[0], usage, "%s is not understood", argv[optind]);
    int result = cv_window_open(&window, &options, argv[0]);
    if (result != 0)
        return result;
    result = measure_all(&window, options.seconds, count, options.is_json);
    cv_window_close(&window);
    return result;
}
