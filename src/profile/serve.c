// One thread, one poll(2) loop: clients, signals, and a tick per interval.
//
//   tick ── cv_snapshot_take ── minus the one before ── JSON ── an event for every open page
//   GET /metrics, /stats.json ── the newest snapshot, at most REUSE_NS old
//
// Nothing is read while nobody looks. An upgraded covet is followed. When covet ends, and none was
// named, the next one that is found is served; pages stay open meanwhile and say so.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <covet/json.h>

#include "base/clock.h"
#include "observe/running.h"
#include "observe/snapshot.h"
#include "profile/commands.h"
#include "profile/json_snapshot.h"
#include "profile/page_assets.h"
#include "profile/serve_http.h"
#include "profile/serve_listen.h"
#include "profile/serve_metrics.h"
#include "profile/serve_options.h"
#include "profile/session.h"
#include "profile/target.h"

#define MESSAGE_BYTES 512
#define REUSE_NS 100000000ull  // So that no client can make us read all day.
#define TEXT_BYTES_MIN (64u << 10)
#define TEXT_BYTES_MAX (64u << 20)
#define JSON_TYPE "application/json"

struct text {
    char *data;  // owned
    size_t length;
    size_t capacity;
};

struct serve {
    struct cv_serve_options options;
    struct cv_serve_http *http;  // owned
    struct cv_target target;
    bool has_target;                    // else there is no covet,
    char gone[MESSAGE_BYTES];           // and this is why
    struct cv_snapshot_source *source;  // of the target; owned; NULL: not open
    pid_t source_pid;                   // its supervisor
    struct cv_session session;          // our own; `attach` NULL: another's, or none
    struct cv_snapshot newest;          // for single answers; taken_ns 0: none
    struct cv_snapshot earlier;         // for events; the same
    struct cv_snapshot change;
    struct text answer;
    struct text event;
    bool is_over;
};

static bool grow(struct text *text, size_t bytes) {
    char *data = bytes > TEXT_BYTES_MAX ? NULL : realloc(text->data, bytes);
    if (data == NULL) {
        return false;
    }
    text->data = data;
    text->capacity = bytes;
    return true;
}

static int append(void *context, struct cv_span piece) {
    struct text *text = context;
    size_t wanted = text->length + piece.length;
    size_t capacity = CV_MAX(CV_MAX(2 * text->capacity, wanted), (size_t)TEXT_BYTES_MIN);
    if (wanted > text->capacity && !grow(text, capacity)) {
        return -ENOMEM;
    }
    memcpy(text->data + text->length, piece.data, piece.length);
    text->length = wanted;
    return 0;
}

static int append_json(struct text *text, const struct cv_snapshot *snapshot) {
    char *json = cv_json_snapshot_text(snapshot);
    int result = json == NULL ? -ENOMEM : append(text, cv_span_of(json));
    free(json);
    return result;
}

static int append_text(struct text *text, const char *literal) {
    return append(text, cv_span_of(literal));
}

static void close_source(struct serve *serve) {
    if (serve->source != NULL) {
        cv_snapshot_close(serve->source);
        serve->source = NULL;
    }
}

// Finds out whom to show now, and whom our own attachment is to measure.
static void look(struct serve *serve) {
    struct cv_running found;
    if (serve->has_target && !cv_target_look(&serve->target)) {
        serve->has_target = false;
        serve->is_over = serve->options.pid != 0;
    }
    if (!serve->has_target &&
        cv_running_find(&found, serve->options.pid, serve->gone, sizeof(serve->gone)) == 0) {
        cv_target_aim(&serve->target, &found);
        serve->has_target = true;
    }
    const struct cv_running *running = &serve->target.running;
    if (serve->source_pid != running->supervisor_pid || !serve->has_target) {
        close_source(serve);
        cv_snapshot_deinit(&serve->earlier);  // Its counts are another covet's.
        serve->source_pid = running->supervisor_pid;
    }
    if (serve->session.attach != NULL && serve->has_target &&
        running->server_pid != serve->session.server_pid &&
        cv_session_follow(&serve->session, running) != 0) {
        serve->target.running.server_pid = 0;  // It ended just now; a later look finds the next.
    }
}

// Reads a snapshot of the target. False: there is none, and `gone` says why.
static bool take(struct serve *serve, struct cv_snapshot *snapshot) {
    if (!serve->has_target) {
        return false;
    }
    if (serve->source == NULL) {
        serve->source = cv_snapshot_open(serve->source_pid, serve->options.pin_dir, serve->gone,
                                         sizeof(serve->gone));
    }
    int result = serve->source == NULL ? -ESRCH : cv_snapshot_take(serve->source, snapshot);
    if (result != 0) {
        close_source(serve);
        snprintf(serve->gone, sizeof(serve->gone), "%s",
                 result == -ESRCH ? "covet has ended" : strerror(-result));
    }
    return result == 0;
}

static bool refresh(struct serve *serve) {
    if (cv_clock_monotonic_ns() - serve->newest.taken_ns > REUSE_NS &&
        !take(serve, &serve->newest)) {
        cv_snapshot_deinit(&serve->newest);
    }
    return serve->newest.taken_ns != 0;
}

// Why there is less to see than there could be, and what to do; empty when all is well.
static void write_note(const struct serve *serve, const struct cv_snapshot *snapshot,
                       char note[2 * MESSAGE_BYTES]) {
    const char *why = serve->session.message;
    note[0] = '\0';
    if (snapshot == NULL) {
        snprintf(note, 2 * MESSAGE_BYTES, "%s", serve->gone);
        return;
    }
    if (snapshot->has_bpf) {
        return;
    }
    if (why[0] == '\0') {
        why = serve->options.level == 0
                  ? "--level 0 was asked for"
                  : "the profiler has ended: start covet-prof, or this program anew as root";
    }
    snprintf(note, 2 * MESSAGE_BYTES,
             "Level 0: the server's counters and /proc only, no system calls, ring operations or "
             "TCP events (%s)",
             why);
}

static int append_note(struct serve *serve, const struct cv_snapshot *snapshot) {
    char note[2 * MESSAGE_BYTES];
    char json[4 * MESSAGE_BYTES];
    struct covet_json_writer writer;
    struct covet_span text;

    write_note(serve, snapshot, note);
    covet_json_writer_init(&writer, json, sizeof(json), NULL, NULL);
    covet_json_write_text(&writer, note);
    int result = covet_json_writer_finish(&writer, &text);
    if (result != 0) {
        return result;
    }
    append_text(&serve->event, "event: note\ndata: ");
    append(&serve->event, cv_span_make(text.data, text.length));
    return append_text(&serve->event, "\n\n");
}

static int append_stats(struct serve *serve, const struct cv_snapshot *snapshot) {
    append_text(&serve->event, "event: stats\ndata: ");
    int result = append_json(&serve->event, snapshot);
    return result != 0 ? result : append_text(&serve->event, "\n\n");
}

// A page opens: what is known now, so that its head is filled before the first interval is over.
static void open_stream(struct serve *serve, struct cv_serve_http_reply *reply) {
    bool is_there = refresh(serve);
    if (serve->earlier.taken_ns == 0 && !take(serve, &serve->earlier)) {
        is_there = false;
    }
    serve->event.length = 0;
    append_text(&serve->event, "retry: 2000\n\n");
    int result = append_note(serve, is_there ? &serve->newest : NULL);
    if (result == 0 && is_there) {
        result = append_stats(serve, &serve->newest);
    }
    if (result != 0) {
        reply->status = 500;
        reply->body = CV_SPAN("out of memory\n");
        return;
    }
    reply->content_type = CV_SPAN("text/event-stream");
    reply->is_stream = true;
    reply->body = cv_span_make(serve->event.data, serve->event.length);
}

static int answer_stats(struct serve *serve, struct cv_serve_http_reply *reply) {
    reply->content_type = CV_SPAN(JSON_TYPE);
    if (refresh(serve)) {
        return append_json(&serve->answer, &serve->newest);
    }
    reply->status = 503;
    return append_text(&serve->answer, "{\"error\":\"there is no covet to be seen\"}\n");
}

static int answer_metrics(struct serve *serve, struct cv_serve_http_reply *reply) {
    reply->content_type = CV_SPAN(CV_OPENMETRICS_CONTENT_TYPE);
    return cv_serve_metrics_write(refresh(serve) ? &serve->newest : NULL, append, &serve->answer);
}

static void answer(void *context, struct cv_span path, struct cv_serve_http_reply *reply) {
    struct serve *serve = context;
    int result = 0;
    if (cv_page_assets_find(path, &reply->content_type, &reply->body)) {
        return;
    }
    if (cv_span_equal(path, CV_SPAN("/events"))) {
        open_stream(serve, reply);
        return;
    }
    serve->answer.length = 0;
    if (cv_span_equal(path, CV_SPAN("/metrics"))) {
        result = answer_metrics(serve, reply);
    } else if (cv_span_equal(path, CV_SPAN("/stats.json"))) {
        result = answer_stats(serve, reply);
    } else {
        reply->status = 404;
        result = append_text(&serve->answer, "here are /, /metrics, /stats.json and /events\n");
    }
    if (result != 0) {
        reply->status = 500;
        serve->answer.length = 0;
    }
    reply->body = cv_span_make(serve->answer.data, serve->answer.length);
}

// Attaches when nobody else has. No error: level 0 is worth looking at too.
static void attach(struct serve *serve) {
    const struct cv_attach_options options = {
        .level = serve->options.level,
        .pin_dir = serve->options.pin_dir,
    };
    if (!serve->newest.has_bpf && options.level > 0 &&
        cv_session_open(&serve->session, &options) == CV_ATTACH_OK) {
        cv_session_step_back();
        look(serve);
    }
}

// One interval is over: tells every open page what changed in it.
static void tick(struct serve *serve) {
    struct cv_snapshot later = {0};
    look(serve);
    if (cv_serve_http_stream_count(serve->http) == 0) {
        cv_snapshot_deinit(&serve->earlier);
        return;
    }
    bool is_there = take(serve, &later);
    serve->event.length = 0;
    int result = append_note(serve, is_there ? &later : NULL);
    if (result == 0 && is_there && serve->earlier.taken_ns != 0) {
        result = cv_snapshot_subtract(&serve->change, &later, &serve->earlier);
        if (result == 0) {
            result = append_stats(serve, &serve->change);
        }
    }
    if (result == 0) {
        cv_serve_http_publish(serve->http, cv_span_make(serve->event.data, serve->event.length));
    }
    cv_snapshot_deinit(&serve->earlier);
    serve->earlier = later;
}

static int open_signals(void) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    return signalfd(-1, &signals, SFD_CLOEXEC);
}

static int run(struct serve *serve, int signals) {
    struct pollfd polls[1 + CV_SERVE_HTTP_POLLS] = {{.fd = signals, .events = POLLIN}};
    uint64_t tick_ns = cv_clock_monotonic_ns() + serve->options.interval_ns;

    while (polls[0].revents == 0 && !serve->is_over) {
        uint64_t now_ns = cv_clock_monotonic_ns();
        int timeout_ms = tick_ns > now_ns ? (int)((tick_ns - now_ns + 999999) / 1000000) : 0;
        cv_serve_http_prepare(serve->http, now_ns, polls + 1, &timeout_ms);
        if (poll(polls, CV_ARRAY_COUNT(polls), timeout_ms) < 0 && errno != EINTR) {
            return CV_EXIT_FAILED;
        }
        now_ns = cv_clock_monotonic_ns();
        cv_serve_http_handle(serve->http, now_ns, polls + 1);
        if (now_ns >= tick_ns) {
            tick(serve);
            // After a pause (a suspended machine) the ticks missed are not made up for.
            tick_ns =
                CV_MAX(tick_ns, now_ns - serve->options.interval_ns) + serve->options.interval_ns;
        }
    }
    return 0;
}

static void say_start(const struct serve *serve, const char *bound) {
    char note[2 * MESSAGE_BYTES];
    char line[COVET_PROFILE_LINE_BYTES_MAX];
    write_note(serve, &serve->newest, note);
    if (serve->session.attach != NULL) {
        printf("profile %s\n", cv_session_on_line(&serve->session, "--level 1", line));
    } else if (note[0] != '\0') {
        printf("%s\n", note);
    }
    printf("covet %u is shown at http://%s/\n", serve->newest.server.supervisor_pid, bound);
    fflush(stdout);
}

static void close_all(struct serve *serve) {
    cv_serve_http_destroy(serve->http);
    cv_session_close(&serve->session);
    close_source(serve);
    cv_snapshot_deinit(&serve->newest);
    cv_snapshot_deinit(&serve->earlier);
    cv_snapshot_deinit(&serve->change);
    free(serve->answer.data);
    free(serve->event.data);
}

static int complain(const char *message, int code) {
    fprintf(stderr, "covet-prof serve: %s\n", message);
    return code;
}

int cv_serve_main(int argc, char **argv) {
    static struct serve serve;
    char bound[CV_SERVE_LISTEN_TEXT_BYTES];
    char message[MESSAGE_BYTES];

    serve = (struct serve){0};
    enum cv_serve_action action = cv_serve_options_read(&serve.options, argc, argv);
    if (action != CV_SERVE_RUN) {
        return action == CV_SERVE_HELP ? 0 : CV_EXIT_USAGE;
    }
    int listener = cv_serve_listen_open(serve.options.listen, serve.options.allow_remote, bound,
                                        message, sizeof(message));
    if (listener < 0) {
        return complain(message,
                        listener == -EINVAL || listener == -EPERM ? CV_EXIT_USAGE : CV_EXIT_FAILED);
    }
    const struct cv_serve_http_options http = {
        .answer = answer,
        .context = &serve,
        .hosts = serve.options.hosts,
        .host_count = serve.options.host_count,
    };
    int signals = open_signals();
    int code = CV_EXIT_FAILED;
    look(&serve);
    if (signals < 0 || cv_serve_http_create(&serve.http, listener, &http) != 0) {
        complain("out of descriptors or memory", CV_EXIT_FAILED);
    } else if (!refresh(&serve)) {
        complain(serve.gone, CV_EXIT_FAILED);
    } else {
        attach(&serve);
        say_start(&serve, bound);
        code = run(&serve, signals);
    }
    close_all(&serve);
    if (signals >= 0) {
        close(signals);
    }
    return code;
}
