// Each step is tried until it works: the one that meets the failure must say so and leave things
// as they were, and the same step then works, because memory is there again.
#include "torture/mainthread.h"

#include <covet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "cli/options.h"
#include "metrics/counter.h"
#include "metrics/exposition.h"
#include "server/admin.h"
#include "server/generation.h"
#include "server/liveroutes.h"
#include "server/logqueue.h"
#include "server/rollout.h"
#include "torture/memory.h"
#include "torture/points.h"

#define ROUTES 100
#define GROUPS 5

static struct {
    struct cv_settings settings;
    struct cv_rollout rollout;
    struct cv_stats stats;
    bool has_excused;  // The one failure was seen.
} main_thread;

// A step did not work. Once, and behind the failure, that is right.
static void excuse(const char *step) {
    if (!points_have_failed() || main_thread.has_excused) {
        points_fail("main thread: %s fails for no reason", step);
    }
    main_thread.has_excused = true;
}

static void must_say(const char *why, const char *step) {
    if (why[0] == '\0') {
        points_fail("main thread: %s fails without a word", step);
    }
    excuse(step);
}

// The application.
static void handle(struct covet_request *request, struct covet_response *response) {
    (void)request;
    (void)covet_response_text(response, "x");
}

static enum covet_next before(struct covet_request *request, struct covet_response *response,
                              void *context) {
    (void)request, (void)response, (void)context;
    return COVET_NEXT;
}

// It ignores what the functions return, as a careless module does.
static int init(struct covet_app *app) {
    (void)covet_use(app, before, NULL, NULL);
    struct covet_group *group = NULL;
    for (int i = 0; i < ROUTES; i++) {
        char pattern[64];
        if (i % (ROUTES / GROUPS) == 0) {
            (void)snprintf(pattern, sizeof(pattern), "/group%d", i);
            group = i % 2 == 0 || group == NULL ? covet_group(app, pattern)
                                                : covet_group_in(group, pattern);
            (void)covet_group_use(group, before, NULL, NULL);
        }
        (void)snprintf(pattern, sizeof(pattern), "/path/of/route/%d%s", i,
                       i % 3 == 0 ? "/{id:int}/{rest...}" : "");
        (void)covet_group_route(group, COVET_GET, pattern, handle, NULL);
    }
    (void)covet_handler(app, "named", handle, NULL);
    (void)covet_group_handler(group, "in a group", handle, NULL);
    return 0;
}

static struct cv_generation *make_generation(void) {
    static const struct cv_generation_source source = {.init = init};
    static const int none = -1;  // No modules.
    struct cv_generation *generation = NULL;
    char why[256] = "";
    while (cv_generation_create(&generation, &main_thread.settings, &none, &source, why,
                                sizeof(why)) != 0) {
        must_say(why, "a generation");
    }
    return generation;
}

// The configuration.
static void read_configuration(void) {
    static const char text[] = "listen = 127.0.0.1:8000\nworkers = 2\naccess-log = -\n"
                               "body-max = 1000000\nuser = nobody\n";
    char path[64];
    int file = memfd_create("configuration", MFD_CLOEXEC);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    if (file < 0 || write(file, text, sizeof(text) - 1) < 0) {
        points_fail("%s: %s", path, strerror(errno));
    }
    char *arguments[] = {"covet", "--config", path, NULL};
    struct cv_options_result result;
    while (cv_options_read(3, arguments, &main_thread.settings, &result) != 0) {
        must_say(result.message, "the configuration");
    }
    (void)close(file);
}

// Admin requests.
static int write_metrics(void *context, struct cv_span text) {
    cv_admin_reply_write(context, text);
    return 0;
}

static void answer(void *context, uint16_t method, struct cv_span path, struct cv_span query,
                   struct cv_admin_reply *reply) {
    (void)context;
    if (cv_span_equal(path, CV_SPAN("/metrics"))) {
        int status = cv_exposition_write(&main_thread.stats, COVET_VERSION, cv_clock_monotonic_ns(),
                                         write_metrics, reply);
        reply->status = status == 0 ? 200 : 500;
    } else {
        cv_liveroutes_answer(main_thread.rollout.newest->app, method, query, reply);
    }
}

static void ask(const char *request) {
    char text[256];
    (void)snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: a\r\n\r\n", request);
    for (;;) {
        struct cv_span output = {0};
        int status = 0;
        if (!cv_admin_answer(cv_span_of(text), answer, NULL, &output)) {
            points_fail("main thread: %s is not answered", request);
        }
        if (output.data != NULL) {
            (void)sscanf(output.data, "HTTP/1.1 %d ", &status);
        }
        // As admin.c gives it back.
        torture_free((void *)(uintptr_t)output.data);
        // What failed may have been the answer: then the change is made.
        if (status == 200 || (status == 404 && main_thread.has_excused)) {
            return;
        }
        if (status != 0 && status != 500 && status != 503) {
            points_fail("main thread: %s is answered with %d", request, status);
        }
        excuse(request);
    }
}

static void serve_admin(void) {
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct cv_admin *admin = NULL;
    while (cv_admin_create(&admin, listener, answer, NULL) != 0) {
        excuse("the admin address");
        listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    }
    ask("GET /metrics");
    ask("GET /routes");
    ask("POST /routes?method=GET&pattern=/new&handler=named");
    ask("POST /routes?method=GET,POST&pattern=/new&handler=named");
    ask("DELETE /routes?method=GET&pattern=/new");
    (void)cv_rollout_reclaim(&main_thread.rollout);
    cv_admin_destroy(admin);
}

static void make_log(void) {
    struct cv_logqueue *queue;
    while ((queue = cv_logqueue_create()) == NULL) {
        excuse("a log queue");
    }
    cv_logqueue_destroy(queue);
}

void mainthread_run(const void *context) {
    (void)context;
    read_configuration();
    while (cv_stats_create(&main_thread.stats, NULL, 2) != 0) {
        excuse("the counters");
    }
    while (cv_rollout_init(&main_thread.rollout, make_generation(), &main_thread.settings.limits) !=
           0) {
        excuse("the first limits");
        cv_rollout_deinit(&main_thread.rollout);
    }
    make_log();
    serve_admin();
    struct cv_generation *before_reload = main_thread.rollout.newest;
    if (cv_rollout_adopt(&main_thread.rollout, make_generation()) != 0 ||
        main_thread.rollout.newest->next != before_reload) {
        points_fail("main thread: a reload fails");
    }
    while (cv_rollout_set_limits(&main_thread.rollout, &main_thread.settings.limits) != 0) {
        excuse("new limits");
    }
    serve_admin();
    cv_rollout_deinit(&main_thread.rollout);
    cv_stats_close(&main_thread.stats);
}
