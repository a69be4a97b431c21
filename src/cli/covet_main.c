// From the command line to the supervisor.
#include <covet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/shortage.h"
#include "cli/check.h"
#include "cli/options.h"
#include "demo/demo.h"
#include "server/supervisor.h"

#define EXIT_USAGE 64
#define EXIT_OS 71

struct arguments {
    int argc;
    char **argv;
};

// A server started with a standard descriptor closed would get a socket by that number, and write
// its log to a client.
static bool hold_standard_descriptors(void) {
    int fd;
    do {
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    } while (fd >= 0 && fd <= STDERR_FILENO && fcntl(fd, F_SETFD, 0) == 0);
    if (fd > STDERR_FILENO) {
        close(fd);
    }
    return fd >= 0;
}

static int say_wrong(const struct cv_options_result *result) {
    fprintf(stderr, "covet: %s\n", result->message);
    if (result->exit_code == EXIT_USAGE) {
        cv_options_print_usage(stderr);
        fputs("covet --help says more.\n", stderr);
    }
    return result->exit_code;
}

static int read_again(void *context, struct cv_settings *settings, char *message,
                      size_t message_bytes) {
    const struct arguments *arguments = context;
    struct cv_options_result result;
    int exit_code = cv_options_read(arguments->argc, arguments->argv, settings, &result);
    if (exit_code != 0) {
        snprintf(message, message_bytes, "%s", result.message);
    }
    return exit_code;
}

static int serve(struct arguments *arguments, const struct cv_settings *settings,
                 int (*init)(struct covet_app *app)) {
    struct cv_supervisor_options options = {
        .settings = settings,
        .read_settings = read_again,
        .context = arguments,
        .source = {.init = init, .fallback = cv_demo_init},
        .argv = arguments->argv,
    };
    return cv_supervisor_run(&options);
}

int covet_main(int argc, char **argv, int (*init)(struct covet_app *app)) {
    struct arguments arguments = {argc, argv};
    struct cv_settings settings;
    struct cv_options_result result;
    if (argc < 1) {
        return EXIT_USAGE;
    }
    if (!hold_standard_descriptors()) {
        fprintf(stderr, "covet: /dev/null: %s%s\n", strerror(errno), cv_shortage_remedy(errno));
        return EXIT_OS;
    }
    if (cv_options_read(argc, argv, &settings, &result) != 0) {
        return say_wrong(&result);
    }
    switch (result.action) {
    case CV_OPTIONS_HELP:
        cv_options_print_help(stdout);
        return 0;
    case CV_OPTIONS_VERSION:
        puts("covet " COVET_VERSION);
        return 0;
    case CV_OPTIONS_CHECK:
        return cv_check_print(stdout);
    case CV_OPTIONS_SERVE:
        break;
    }
    cv_log_set_level(settings.log_level);
    if (result.warning[0] != '\0') {
        cv_log(CV_LOG_WARN, "cores_missing", "%s", result.warning);
    }
    return serve(&arguments, &settings, init);
}
