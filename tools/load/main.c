// covet-load: from the command line to a report.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "load/fleet.h"
#include "load/options.h"
#include "load/report.h"
#include "load/watch.h"

#define EXIT_DONE 0
#define EXIT_FAILED 1
#define EXIT_BOTTLENECK 3

static void on_progress(const struct load_progress *progress) {
    static struct load_progress before;
    load_report_progress(stderr, &before, progress);
}

int main(int argc, char **argv) {
    static struct load_options options;
    static struct load_result result;
    const char *why;

    load_options_read(&options, argc, argv);
    struct load_watch *watch = load_watch_begin((const struct sockaddr *)&options.address);
    int status = load_fleet_run(&options, &result, options.progress ? on_progress : NULL, &why);
    double server_busy = load_watch_end(watch, &result.server_core_busy);
    if (options.progress) {
        load_report_progress_end(stderr);
    }
    if (status < 0) {
        fprintf(stderr, "covet-load: %s: %s\n", why, strerror(-status));
        load_options_deinit(&options);
        return EXIT_FAILED;
    }
    int exit_status = EXIT_DONE;
    errno = 0;
    if (options.json) {
        load_report_json(stdout, &options, &result, server_busy);
    } else {
        load_report_text(stdout, &options, &result, server_busy);
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "covet-load: the report could not be written: %s\n", strerror(errno));
        exit_status = EXIT_FAILED;
    } else if (result.connects == 0) {
        fprintf(stderr, "covet-load: no connection could be made: %s\n",
                strerror(result.connect_error));
        exit_status = EXIT_FAILED;
    } else if (result.tally.answers == 0) {
        fputs("covet-load: nothing was answered\n", stderr);
        exit_status = EXIT_FAILED;
    } else if (load_report_is_bottleneck(&result, server_busy)) {
        fputs("covet-load: the generator is the bottleneck: its core is full, the server's is not;"
              " these figures are its own, not the server's\n",
              stderr);
        exit_status = EXIT_BOTTLENECK;
    }
    load_options_deinit(&options);
    return exit_status;
}
