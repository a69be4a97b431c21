// A measuring window. It waits in slices, so that peaks of what is no count (connections, queues)
// are seen, and an interrupt is heard.
#include "profile/window.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/span.h"
#include "observe/running.h"
#include "profile/arguments.h"
#include "profile/commands.h"

#define SLICE_MS 200
// At first often, so that a load of a moment shows its connections too.
#define SHORT_SLICE_MS 25
#define SHORT_SLICES_NS 2000000000u
#define MESSAGE_BYTES 256u

static volatile sig_atomic_t is_interrupted;

bool cv_window_is_interrupted(void) {
    return is_interrupted != 0;
}

static void on_signal(int number) {
    (void)number;
    is_interrupted = 1;
}

static void catch_signals(void) {
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal};

    for (size_t i = 0; i < CV_ARRAY_COUNT(numbers); i++)
        sigaction(numbers[i], &action, NULL);
}

int cv_window_usage(const char *command, const char *usage, const char *format, ...) {
    va_list arguments;

    fprintf(stderr, "covet-prof %s: ", command);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\nusage: covet-prof %s %s\n", command, usage);
    return CV_EXIT_USAGE;
}

bool cv_window_seconds(double *seconds, const char *text) {
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end != '\0' || !(value > 0) || value > CV_WINDOW_SECONDS_MAX)
        return false;
    *seconds = value;
    return true;
}

int cv_window_option(struct cv_window_options *options, int letter, char **argv,
                     const char *usage) {
    uint64_t number;

    switch (letter) {
    case 'p':
        if (!cv_span_to_uint64(cv_span_of(optarg), INT32_MAX, &number) || number == 0)
            return cv_window_usage(argv[0], usage, "%s is no process id", optarg);
        options->pid = (pid_t)number;
        return -1;
    case 'D':
        options->pin_dir = optarg;
        return -1;
    case 'L':
        if (!cv_span_to_uint64(cv_span_of(optarg), 3, &number))
            return cv_window_usage(argv[0], usage, "--level is 0 to 3, not %s", optarg);
        options->level = (uint32_t)number;
        return -1;
    case 's':
        if (!cv_window_seconds(&options->seconds, optarg))
            return cv_window_usage(argv[0], usage, "%s is no number of seconds", optarg);
        return -1;
    case 'j':
        options->is_json = true;
        return -1;
    case 'h':
        printf("usage: covet-prof %s %s\n", argv[0], usage);
        return 0;
    case ':':
        return cv_window_usage(argv[0], usage, "%s needs a value", argv[optind - 1]);
    default:
        return cv_window_usage(argv[0], usage, "there is no option %s", argv[optind - 1]);
    }
}

// Nothing is attached yet, or what is measures another covet.
static void attach_own(struct cv_window *window, const struct cv_window_options *options,
                       const char *pin_dir) {
    struct cv_attach_options wanted = {.level = options->level, .pin_dir = pin_dir};
    struct cv_running running;

    if (cv_attach_open(&window->attach, &wanted, window->note, sizeof(window->note)) !=
        CV_ATTACH_OK) {
        window->attach = NULL;
        return;
    }
    int result = cv_running_find(&running, (pid_t)window->first.server.supervisor_pid, window->note,
                                 sizeof(window->note));
    if (result == 0 && cv_attach_follow(window->attach, &running) == 0)
        window->note[0] = '\0';
}

int cv_window_open(struct cv_window *window, const struct cv_window_options *options,
                   const char *command) {
    const char *pin_dir = options->pin_dir != NULL ? options->pin_dir : cv_arguments_pin_dir();
    char message[MESSAGE_BYTES];

    *window = (struct cv_window){0};
    window->source = cv_snapshot_open(options->pid, pin_dir, message, sizeof(message));
    if (window->source == NULL) {
        fprintf(stderr, "covet-prof %s: %s\n", command, message);
        return CV_EXIT_FAILED;
    }
    catch_signals();
    if (cv_snapshot_take(window->source, &window->first) != 0) {
        fprintf(stderr, "covet-prof %s: covet ended just now\n", command);
        cv_window_close(window);
        return CV_EXIT_FAILED;
    }
    if (window->first.has_bpf)
        return 0;
    if (options->level > 0)
        attach_own(window, options, pin_dir);
    else
        snprintf(window->note, sizeof(window->note), "--level 0 was asked for");
    return 0;
}

static void look_for_peaks(struct cv_window_peak *peak, const struct cv_snapshot *snapshot) {
    uint64_t open = 0;

    for (uint32_t i = 0; i < snapshot->worker_count; i++) {
        const uint64_t *counter = snapshot->workers[i].counter;
        open += counter[COVET_COUNTER_CONNECTIONS_OPEN];
        peak->buffers_in_use = CV_MAX(peak->buffers_in_use, counter[COVET_COUNTER_BUFFERS_IN_USE]);
    }
    peak->connections_open = CV_MAX(peak->connections_open, open);
    for (size_t i = 0; i < snapshot->listener_count; i++)
        peak->queue_percent = CV_MAX(peak->queue_percent, snapshot->listeners[i].fullest_percent);
}

// Whether to go on waiting.
static bool wait_slice(uint64_t begin_ns, uint64_t until_ns, int until_fd) {
    struct pollfd watched = {.fd = until_fd, .events = POLLIN};
    uint64_t now_ns = cv_clock_monotonic_ns();
    uint64_t slice_ms = now_ns - begin_ns < SHORT_SLICES_NS ? SHORT_SLICE_MS : SLICE_MS;

    if (is_interrupted || now_ns >= until_ns)
        return false;
    uint64_t left_ms = (until_ns - now_ns + 999999) / 1000000;
    return poll(&watched, 1, (int)CV_MIN(left_ms, slice_ms)) <= 0;
}

static int take(struct cv_window *window, struct cv_snapshot *snapshot) {
    int result = cv_snapshot_take(window->source, snapshot);

    if (result == 0)
        return 0;
    fprintf(stderr, "covet-prof: %s\n",
            result == -ESRCH ? "covet ended while it was measured" : "out of memory");
    return CV_EXIT_FAILED;
}

int cv_window_begin(struct cv_window *window) {
    if (window->last.workers == NULL)
        return take(window, &window->first);
    cv_snapshot_deinit(&window->first);
    window->first = window->last;
    window->last = (struct cv_snapshot){0};
    return 0;
}

int cv_window_wait(struct cv_window *window, double seconds, int until_fd,
                   struct cv_snapshot *change, struct cv_window_peak *peak) {
    struct cv_window_peak unused;
    uint64_t begin_ns = cv_clock_monotonic_ns();
    uint64_t until_ns = begin_ns + (uint64_t)(seconds * 1e9);
    int result = 0;

    peak = peak == NULL ? &unused : peak;
    *peak = (struct cv_window_peak){0};
    while (result == 0) {
        bool goes_on = wait_slice(begin_ns, until_ns, until_fd);
        result = take(window, &window->last);
        if (result == 0)
            look_for_peaks(peak, &window->last);
        if (!goes_on)
            break;
    }
    if (result != 0)
        return result;
    if (cv_snapshot_subtract(change, &window->last, &window->first) != 0) {
        fputs("covet-prof: out of memory\n", stderr);
        return CV_EXIT_FAILED;
    }
    // What our own attempt met says more than what lies in the directory.
    if (!change->has_bpf && window->note[0] != '\0')
        snprintf(change->bpf_note, sizeof(change->bpf_note), "%s", window->note);
    return 0;
}

void cv_window_print_head(const struct cv_window *window, const struct cv_snapshot *change) {
    char source[64] = "level 0, counter pages and /proc";

    if (change->has_bpf && window->attach != NULL)
        snprintf(source, sizeof(source), "level %u, attached for this", change->info.level);
    else if (change->has_bpf)
        snprintf(source, sizeof(source), "level %u by covet-prof %u", change->info.level,
                 change->info.profiler_pid);
    printf("covet %u, server %u: %s, %.2f s\n", change->server.supervisor_pid,
           change->server.server_pid, source, (double)change->interval_ns / 1e9);
    if (!change->has_bpf && change->bpf_note[0] != '\0')
        printf("no profiler: %s\n", change->bpf_note);
}

void cv_window_close(struct cv_window *window) {
    cv_snapshot_deinit(&window->first);
    cv_snapshot_deinit(&window->last);
    cv_snapshot_close(window->source);
    if (window->attach != NULL)
        cv_attach_close(window->attach);
    *window = (struct cv_window){0};
}
