// covet-top: from the command line to the end of the last frame.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "top/colors.h"
#include "top/dashboard.h"
#include "top/frame.h"
#include "top/json.h"
#include "top/keys.h"
#include "top/options.h"
#include "top/screen.h"
#include "top/terminal.h"

#define EXIT_FAILED 1
#define MESSAGE_BYTES 256u
#define NS_PER_S 1e9
// The first figures come sooner than an interval, so that one does not wait before an empty page.
#define FIRST_SECONDS 0.3

static struct top_dashboard dashboard;
static struct top_screen screen;

// Why watching ended, as one line and the exit status for it.
static int say_end(int result) {
    if (result == -ESRCH) {
        fputs("covet-top: covet has stopped\n", stderr);
        return 0;
    }
    fprintf(stderr, "covet-top: %s\n", strerror(-result));
    return EXIT_FAILED;
}

static uint64_t later_ns(uint64_t ns, double seconds) {
    return ns + (uint64_t)(seconds * NS_PER_S);
}

static void sleep_until(uint64_t deadline_ns) {
    struct timespec deadline = {.tv_sec = (time_t)(deadline_ns / 1000000000u),
                                .tv_nsec = (long)(deadline_ns % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, NULL) == EINTR) {
    }
}

// Intervals as text or JSON, for pipes and for terminals that can do nothing but print.
static int print_intervals(const struct top_options *options) {
    uint64_t deadline_ns = cv_clock_monotonic_ns();
    for (bool is_first = true; is_first || !options->once; is_first = false) {
        deadline_ns = later_ns(deadline_ns, options->seconds);
        sleep_until(deadline_ns);
        int result = top_sample_take(&dashboard.sample);
        if (result != 0) {
            int status = say_end(result);
            return options->once ? EXIT_FAILED : status;
        }
        screen.length = 0;
        if (options->json) {
            top_json_write(&screen, &dashboard.sample);
        } else {
            top_frame_text(&screen, &dashboard, TOP_PAGE_WIDTH_MAX);
            top_screen_raw(&screen, options->once ? "" : "\n");
        }
        if (fwrite(screen.bytes, 1, screen.length, stdout) != screen.length ||
            fflush(stdout) != 0) {
            fprintf(stderr, "covet-top: cannot write: %s\n", strerror(errno));
            return EXIT_FAILED;
        }
    }
    return 0;
}

// An action asked for by a key. Returns as top_sample_take does.
static int fulfil(enum top_wish wish, uint64_t *deadline_ns) {
    uint64_t now_ns = cv_clock_monotonic_ns();
    switch (wish) {
    case TOP_WISH_REBASE:
        return top_sample_rebase(&dashboard.sample);
    case TOP_WISH_RESUME:
        *deadline_ns = later_ns(now_ns, dashboard.seconds);
        return top_sample_restart(&dashboard.sample);
    case TOP_WISH_PACE:
        *deadline_ns = later_ns(now_ns, dashboard.seconds);
        return 0;
    default:
        return 0;
    }
}

static bool draw(void) {
    unsigned width, height;
    top_terminal_size(&width, &height);
    top_frame_draw(&screen, &dashboard, width, height);
    return top_terminal_write(screen.bytes, screen.length);
}

// Until the user or covet ends it. Returns 0 when the user did, or as top_sample_take does.
static int watch(void) {
    struct top_keys keys = {.length = 0};
    uint64_t deadline_ns =
        later_ns(cv_clock_monotonic_ns(), CV_MIN(FIRST_SECONDS, dashboard.seconds));
    while (draw()) {
        char bytes[64];
        size_t count;
        int result = 0;
        unsigned events =
            top_terminal_wait(dashboard.is_paused ? 0 : deadline_ns, bytes, sizeof(bytes), &count);
        if ((events & TOP_EVENT_HANGUP) != 0) {
            return 0;
        }
        for (size_t i = 0; i < count && result == 0; i++) {
            enum top_wish wish = top_dashboard_key(&dashboard, top_keys_feed(&keys, bytes[i]));
            if (wish == TOP_WISH_QUIT) {
                return 0;
            }
            result = fulfil(wish, &deadline_ns);
        }
        uint64_t now_ns = cv_clock_monotonic_ns();
        if (result == 0 && !dashboard.is_paused && now_ns >= deadline_ns) {
            top_dashboard_key(&dashboard, top_keys_flush(&keys));
            result = top_sample_take(&dashboard.sample);
            deadline_ns = CV_MAX(later_ns(deadline_ns, dashboard.seconds), now_ns);
        }
        if (result != 0) {
            return result;
        }
    }
    return 0;
}

static int run_dashboard(void) {
    int result = top_terminal_open();
    if (result != 0) {
        fprintf(stderr, "covet-top: cannot use this terminal: %s; --once needs none\n",
                strerror(-result));
        return EXIT_FAILED;
    }
    result = watch();
    top_terminal_close();
    return result == 0 ? 0 : say_end(result);
}

static bool can_draw(void) {
    const char *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && term != NULL && term[0] != '\0' && strcmp(term, "dumb") != 0;
}

int main(int argc, char **argv) {
    struct top_options options;
    char message[MESSAGE_BYTES];

    top_options_read(&options, argc, argv);
    screen.way.has_utf8 = top_colors_has_utf8();
    screen.way.has_colors =
        top_colors_wanted(getenv("TERM"), getenv("COLORTERM"), getenv("NO_COLOR"));
    top_dashboard_begin(&dashboard, options.seconds, options.view);
    if (top_sample_open(&dashboard.sample, options.pid, options.pin_dir, message,
                        sizeof(message)) != 0) {
        fprintf(stderr, "covet-top: %s\n", message);
        return EXIT_FAILED;
    }
    bool prints = options.once || options.json || !can_draw();
    int status = prints ? print_intervals(&options) : run_dashboard();
    top_sample_close(&dashboard.sample);
    top_screen_deinit(&screen);
    return status;
}
