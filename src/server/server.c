// The server's main thread.
//
// Start: the user is dropped first, so modules and everything after them run without rights; rings
// are made while CAP_IPC_LOCK is left; then every right goes, and only then threads start (one step
// for all workers before the next). The main thread then sleeps in poll(2) without a time limit
// until the supervisor, a worker or an admin client has something to say, or lines are being
// logged. It keeps no listener: a socket leaves its SO_REUSEPORT group only with its last copy, so
// a copy here would keep a dead worker's queue alive.
#include "server/server.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "app/app.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/shortage.h"
#include "http/parser.h"
#include "metrics/exposition.h"
#include "ring/probe.h"
#include "server/accesslog.h"
#include "server/admin.h"
#include "server/control.h"
#include "server/lastwords.h"
#include "server/liveroutes.h"
#include "server/mailbox.h"
#include "server/memory.h"
#include "server/privileges.h"
#include "server/rollout.h"
#include "server/worker.h"

#define MS_NS 1000000ull
#define RECLAIM_PAUSE_MS_MIN 1u
#define RECLAIM_PAUSE_MS_MAX 1000u
#define IDLE_GRACE_MS 2000u  // For a last request on idle connections of a draining server.
#define EXIT_BROKEN 70
#define DESCRIPTORS_BASE 32u  // Of the main thread, a few clients included.

struct server {
    const struct cv_server_options *options;
    struct cv_settings settings;
    int control_fd;
    int eventfd;
    struct cv_mailbox mailbox;  // From the workers.
    struct cv_rollout rollout;
    struct cv_accesslog log;
    bool log_is_active;
    struct cv_admin *admin;  // NULL: none
    uint64_t descriptors_max;
    int *deal;  // owned; listeners of all workers, until they are ready
    uint32_t started_count;
    uint32_t ready_count;
    uint32_t stopped_count;
    uint64_t cut_count;
    bool is_draining;
    bool is_stopping;
    uint64_t stop_at_ns;  // While draining.
    // Replaced route tables wait to be freed (app/routes).
    _Atomic bool reclaim_is_wanted;  // By any thread, until it is done.
    uint64_t reclaim_at_ns;          // UINT64_MAX: never
    uint64_t reclaim_pause_ms;
    bool is_done;
    int exit_code;
    char features[512];
    struct cv_control_message message;
};

// Only the supervisor is told to stop and reload; a Ctrl-C goes to the whole process group.
static void set_signals(void) {
    static const int ignored[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM,
                                  SIGUSR1, SIGUSR2, SIGPIPE, SIGXFSZ};
    for (size_t i = 0; i < CV_ARRAY_COUNT(ignored); i++) {
        signal(ignored[i], SIG_IGN);
    }
    signal(SIGCHLD, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
}

// Dies with the supervisor. The kernel forgets this at a change of credentials (prctl(2)), and the
// supervisor may have died before the call.
static bool follow_supervisor(const struct cv_server_options *options) {
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    return getppid() == options->supervisor_pid;
}

static uint64_t raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        return 1024;
    }
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
        getrlimit(RLIMIT_NOFILE, &limit);
    }
    return limit.rlim_cur;
}

static int drop_user(const struct cv_settings *settings) {
    int error = cv_privileges_drop_user(settings->user, settings->group);
    if (error != 0) {
        cv_log(CV_LOG_ERROR, "start_failed", "reason=\"cannot become user %s: %s\"",
               settings->user_name, strerror(-error));
        return CV_SERVER_EXIT_CONFIG;
    }
    return 0;
}

// Any thread. The eventfd is written at most once per reclaim.
static void want_reclaim(void *context) {
    struct server *server = context;
    const uint64_t one = 1;
    if (!atomic_exchange(&server->reclaim_is_wanted, true) &&
        write(server->eventfd, &one, sizeof(one)) < 0) {
        cv_log(CV_LOG_ERROR, "wake_failed", "error=%d", errno);
    }
}

// Before a worker or a thread of a module can see it.
static void connect_routes(struct server *server, struct cv_generation *generation) {
    generation->app->routes.want_context = server;
    generation->app->routes.want_reclaim = want_reclaim;
}

// Frees what can be freed. Where a worker has a turn to pass first, tries again after 1 ms, 2 ms
// and so on: most turns are over at once, and a blocked worker shall not cost more than a wake-up
// per second.
static void reclaim(struct server *server, uint64_t now_ns) {
    atomic_store(&server->reclaim_is_wanted, false);
    if (cv_rollout_reclaim(&server->rollout)) {
        server->reclaim_at_ns = now_ns + server->reclaim_pause_ms * MS_NS;
        server->reclaim_pause_ms =
            CV_MIN(2 * server->reclaim_pause_ms, (uint64_t)RECLAIM_PAUSE_MS_MAX);
    } else {
        server->reclaim_at_ns = UINT64_MAX;
        server->reclaim_pause_ms = RECLAIM_PAUSE_MS_MIN;
    }
}

// A wish waits for a moment, so that a burst of changes costs one wake-up.
static void reclaim_if_due(struct server *server, uint64_t now_ns) {
    if (atomic_load(&server->reclaim_is_wanted)) {
        server->reclaim_at_ns =
            CV_MIN(server->reclaim_at_ns, now_ns + RECLAIM_PAUSE_MS_MIN * MS_NS);
    }
    if (now_ns >= server->reclaim_at_ns) {
        reclaim(server, now_ns);
    }
}

static int load(struct server *server) {
    struct cv_generation *first;
    char why[CV_APP_ERROR_BYTES + 128];
    char quoted[sizeof(why) + 64];
    int error = cv_generation_create(&first, &server->settings, server->options->module_fd,
                                     &server->options->source, why, sizeof(why));
    if (error == 0) {
        connect_routes(server, first);
        error = cv_rollout_init(&server->rollout, first, &server->settings.limits);
        snprintf(why, sizeof(why), "no memory");
    }
    if (error != 0) {
        cv_log(CV_LOG_ERROR, "start_failed", "reason=%s",
               cv_log_quote(quoted, sizeof(quoted), cv_span_of(why)));
        return CV_SERVER_EXIT_CONFIG;
    }
    return 0;
}

// What a worker shall not keep a copy of, beside the other workers' listeners: descriptors that the
// main thread may close and replace.
static uint32_t add_private(const struct server *server, int *fds) {
    uint32_t count = 0;
    fds[count++] = server->control_fd;
    if (server->options->admin_fd >= 0) {
        fds[count++] = server->options->admin_fd;
    }
    if (server->log.fd >= 0) {
        fds[count++] = server->log.fd;
    }
    for (uint32_t i = 0; i < server->settings.module_count; i++) {
        fds[count++] = server->options->module_fd[i];
    }
    return count;
}
#define PRIVATE_MAX (3 + CV_SETTINGS_MODULES_MAX)

// Without CAP_IPC_LOCK all rings together must fit the memory-lock limit. An eighth stays for
// others of the same user.
static uint64_t share_of_lockable(uint32_t worker_count) {
    uint64_t bytes = cv_privileges_lockable_bytes();
    return bytes == UINT64_MAX ? 0 : CV_MAX(bytes / 8 * 7 / worker_count, (uint64_t)1);
}

// Half of the memory stays for the kernel's socket buffers, for what applications allocate by
// themselves, and for a successor while there are two of us.
static uint64_t share_of_memory(uint32_t worker_count) {
    return CV_MAX(cv_memory_available_bytes() / 2 / worker_count,
                  (uint64_t)CV_LIMITS_MEMORY_BYTES_MIN);
}

static int create_worker(struct server *server, uint32_t index, int *fds) {
    const struct cv_settings *settings = &server->settings;
    uint32_t own_count;
    uint32_t foreign_count;
    int *foreign = fds + CV_WORKER_LISTENERS_MAX;
    cv_sockets_deal(server->options->sockets, index, settings->worker_count, fds, &own_count,
                    foreign, &foreign_count);
    foreign_count += add_private(server, foreign + foreign_count);
    struct cv_worker_options options = {
        .index = index,
        .count = settings->worker_count,
        .cpu = settings->cpu[index % settings->cpu_count],
        .stats = server->options->stats,
        .limits = cv_rollout_limits(&server->rollout),
        .app = server->rollout.newest->app,
        .log = server->log.queue[index],
        .log_enabled = server->log.fd >= 0,
        .listener = fds,
        .listener_count = own_count,
        .foreign = foreign,
        .foreign_count = foreign_count,
        .locked_bytes_max = share_of_lockable(settings->worker_count),
        .descriptors_max = (uint32_t)CV_MIN(server->descriptors_max, (uint64_t)UINT32_MAX),
        .memory_bytes_max = share_of_memory(settings->worker_count),
        .main_mailbox = &server->mailbox,
        .main_eventfd = server->eventfd,
        .all = server->rollout.worker,
    };
    int error = cv_worker_create(&server->rollout.worker[index], &options);
    if (error == 0) {
        server->rollout.worker_count++;
    }
    return error;
}

static void destroy_workers(struct server *server) {
    for (uint32_t i = 0; i < server->rollout.worker_count; i++) {
        cv_worker_destroy(server->rollout.worker[i]);
    }
    server->rollout.worker_count = 0;
}

// What keeps a worker from running, in words an administrator can act on.
static void log_ring_failure(uint32_t worker, int error) {
    char why[512];
    char quoted[600];
    cv_probe_explain(error, why, sizeof(why));
    cv_log(CV_LOG_ERROR, "start_failed", "worker=%u reason=%s", worker,
           cv_log_quote(quoted, sizeof(quoted), cv_span_of(why)));
}

static int create_workers(struct server *server) {
    uint32_t count = server->settings.worker_count;
    size_t stride = CV_WORKER_LISTENERS_MAX + server->options->sockets->count + PRIVATE_MAX;
    server->deal = calloc(count, stride * sizeof(int));
    int error = server->deal == NULL ? -ENOMEM : 0;
    for (uint32_t i = 0; error == 0 && i < count; i++) {
        error = create_worker(server, i, server->deal + i * stride);
    }
    if (error != 0) {
        log_ring_failure(server->rollout.worker_count, error);
        return CV_SERVER_EXIT_NO_RING;
    }
    return 0;
}

// The features in use as one word for the start-up line.
static void name_features(struct server *server) {
    struct cv_probe_line lines[CV_PROBE_LINES_MAX];
    size_t count = cv_probe_run(lines);
    size_t length = 0;
    for (size_t i = 0; i < count && length < sizeof(server->features); i++) {
        if (lines[i].available) {
            int written = snprintf(server->features + length, sizeof(server->features) - length,
                                   "%s%s", length > 0 ? "," : "", lines[i].feature);
            length += (size_t)CV_MAX(written, 0);
        }
    }
    for (char *at = server->features; *at != '\0'; at++) {
        *at = *at == ' ' ? '_' : *at;
    }
}

static int start_workers(struct server *server) {
    int error = 0;
    for (uint32_t i = 0; error == 0 && i < server->rollout.worker_count; i++) {
        error = cv_worker_start(server->rollout.worker[i]);
        server->started_count += error == 0;
    }
    if (error != 0) {
        cv_log(CV_LOG_ERROR, "start_failed", "worker=%u reason=\"no thread: %s%s\"",
               server->started_count, strerror(-error), cv_shortage_remedy(error));
        return CV_SERVER_EXIT_NO_RING;
    }
    return 0;
}

static bool is_up(const struct server *server) {
    return server->ready_count == server->rollout.worker_count;
}

// The first reason is the one that counts: a worker that failed ends next.
static void finish(struct server *server, int exit_code) {
    if (server->is_done) {
        return;
    }
    server->is_done = true;
    server->exit_code = exit_code;
}

static int tell(struct server *server, enum cv_control_kind kind, uint64_t number,
                const char *text) {
    struct cv_control_message *message = &server->message;
    message->kind = (uint32_t)kind;
    message->number = number;
    message->fd_count = 0;
    message->payload_bytes = (uint32_t)strlen(text);
    memcpy(message->payload, text, message->payload_bytes);
    int error = cv_control_send(server->control_fd, message);
    if (error != 0) {
        cv_log(CV_LOG_ERROR, "supervisor_deaf", "reason=\"%s\"", strerror(-error));
    }
    return error;
}

// What the supervisor waits for, and would for ever: rather than that, it starts another server.
static void tell_or_end(struct server *server, enum cv_control_kind kind, uint64_t number,
                        const char *text) {
    if (tell(server, kind, number, text) != 0) {
        finish(server, EXIT_BROKEN);
    }
}

static void on_ready(struct server *server, const struct cv_message *message) {
    if (message->detail != 0) {
        if (message->pointer != NULL) {
            cv_log(CV_LOG_ERROR, "start_failed", "worker=%u reason=\"its init hook failed: %s\"",
                   (unsigned)message->number, strerror(-message->detail));
        } else {
            log_ring_failure((uint32_t)message->number, message->detail);
        }
        finish(server, message->pointer != NULL ? CV_SERVER_EXIT_CONFIG : CV_SERVER_EXIT_NO_RING);
        return;
    }
    server->ready_count++;
    if (is_up(server)) {
        cv_sockets_close(server->options->sockets, CV_SOCKETS_KEEP_PATHS);
        free(server->deal);
        server->deal = NULL;
        tell_or_end(server, CV_CONTROL_READY, 0, server->features);
    }
}

static void on_stopped(struct server *server, const struct cv_message *message) {
    server->cut_count += (uint64_t)CV_MAX(message->detail, 0);
    if (server->is_done) {
        return;  // It has said why it could not start.
    }
    if (!server->is_draining) {
        cv_log(CV_LOG_ERROR, "worker_ended", "worker=%u", (unsigned)message->number);
        finish(server, EXIT_BROKEN);
    } else if (++server->stopped_count == server->rollout.worker_count) {
        finish(server, CV_SERVER_EXIT_CLEAN);
    }
}

static void on_rollout(struct server *server, const struct cv_message *message) {
    if (message->kind == CV_MESSAGE_ADOPTED && !is_up(server)) {
        // The first generation's hooks failed, or will be followed by READY.
        if (message->detail != 0) {
            cv_log(CV_LOG_ERROR, "start_failed", "worker=%u reason=\"its init hook failed: %s\"",
                   (unsigned)message->number, strerror(-message->detail));
            finish(server, CV_SERVER_EXIT_CONFIG);
        }
        return;
    }
    enum cv_rollout_event event = cv_rollout_on_message(&server->rollout, message);
    if (event != CV_ROLLOUT_NOTHING) {
        tell_or_end(server, CV_CONTROL_RELOADED, event == CV_ROLLOUT_REFUSED, "");
    }
}

static void take_messages(struct server *server) {
    struct cv_message message;
    uint64_t wakes;
    ssize_t got = read(server->eventfd, &wakes, sizeof(wakes));
    (void)got;
    while (cv_mailbox_take(&server->mailbox, &message)) {
        switch (message.kind) {
        case CV_MESSAGE_READY:
            on_ready(server, &message);
            break;
        case CV_MESSAGE_STOPPED:
            on_stopped(server, &message);
            break;
        case CV_MESSAGE_ADOPTED:
        case CV_MESSAGE_RELEASED:
        case CV_MESSAGE_LIMITS_TAKEN:
            on_rollout(server, &message);
            break;
        default:
            cv_log(CV_LOG_ERROR, "message_unknown", "kind=%d", (int)message.kind);
        }
    }
}

static void drain(struct server *server, uint64_t limit_ms) {
    if (server->is_draining) {
        return;
    }
    server->is_draining = true;
    server->stop_at_ns = cv_clock_monotonic_ns() + limit_ms * MS_NS;
    struct cv_message message = {
        .kind = CV_MESSAGE_DRAIN,
        .number = CV_MIN(limit_ms, (uint64_t)IDLE_GRACE_MS),
    };
    cv_rollout_post(&server->rollout, &message);
}

static void stop_if_late(struct server *server, uint64_t now_ns) {
    if (server->is_draining && !server->is_stopping && now_ns >= server->stop_at_ns) {
        server->is_stopping = true;
        struct cv_message message = {.kind = CV_MESSAGE_STOP};
        cv_rollout_post(&server->rollout, &message);
    }
}

static void reload(struct server *server, const struct cv_settings *settings) {
    const struct cv_control_message *message = &server->message;
    struct cv_generation *generation;
    char why[CV_APP_ERROR_BYTES + 128];
    char quoted[sizeof(why) + 64];
    int error = cv_generation_create(&generation, settings, message->fd, &server->options->source,
                                     why, sizeof(why));
    if (error == 0) {
        connect_routes(server, generation);
        error = cv_rollout_adopt(&server->rollout, generation);
        snprintf(why, sizeof(why), "%u generations are still in use", CV_ROLLOUT_GENERATIONS_MAX);
    }
    if (error == 0) {
        error = cv_rollout_set_limits(&server->rollout, &settings->limits);
        snprintf(why, sizeof(why), "no memory for the limits");
    }
    if (error != 0) {
        cv_log(CV_LOG_ERROR, "reload_failed", "reason=%s",
               cv_log_quote(quoted, sizeof(quoted), cv_span_of(why)));
        tell_or_end(server, CV_CONTROL_RELOADED, 1, "");
        return;
    }
    server->settings = *settings;
    cv_log_set_level(settings->log_level);
}

static void change_log(struct server *server) {
    const struct cv_control_message *message = &server->message;
    cv_accesslog_set_fd(&server->log, message->fd_count > 0 ? message->fd[0] : -1);
    struct cv_message order = {.kind = CV_MESSAGE_LOG, .number = message->fd_count > 0};
    cv_rollout_post(&server->rollout, &order);
    server->log_is_active = true;
}

static void on_control(struct server *server) {
    struct cv_control_message *message = &server->message;
    int result;
    while ((result = cv_control_receive(server->control_fd, message)) == 1) {
        struct cv_settings settings;
        switch ((enum cv_control_kind)message->kind) {
        case CV_CONTROL_DRAIN:
            drain(server, message->number);
            break;
        case CV_CONTROL_LOG:
            change_log(server);
            break;
        case CV_CONTROL_RELOAD:
            memcpy(&settings, message->payload, sizeof(settings));
            reload(server, &settings);
            break;
        default:
            cv_log(CV_LOG_ERROR, "control_unknown", "kind=%u", message->kind);
        }
    }
    if (result == 0) {
        cv_log(CV_LOG_ERROR, "supervisor_gone", "pid=%d", (int)server->options->supervisor_pid);
        finish(server, EXIT_BROKEN);
    } else if (result != -EAGAIN) {
        cv_log(CV_LOG_ERROR, "control_failed", "reason=\"%s\"", strerror(-result));
    }
}

static int write_metrics(void *context, struct cv_span text) {
    cv_admin_reply_write(context, text);
    return 0;
}

static void answer_metrics(struct server *server, uint16_t method, struct cv_span query,
                           struct cv_admin_reply *reply) {
    (void)method, (void)query;
    reply->content_type = CV_SPAN(CV_OPENMETRICS_CONTENT_TYPE);
    int result = cv_exposition_write(server->options->stats, COVET_VERSION, cv_clock_monotonic_ns(),
                                     write_metrics, reply);
    reply->status = result == 0 ? 200 : 500;
}

static void answer_health(struct server *server, uint16_t method, struct cv_span query,
                          struct cv_admin_reply *reply) {
    (void)method, (void)query;
    reply->status = server->is_draining ? 503 : 200;
    cv_admin_reply_write(reply, server->is_draining ? CV_SPAN("draining\n") : CV_SPAN("ok\n"));
}

// NULL once every worker has let go of the last one.
static struct covet_app *newest_app(const struct server *server) {
    const struct cv_generation *newest = server->rollout.newest;
    return newest == NULL ? NULL : newest->app;
}

static void answer_routes(struct server *server, uint16_t method, struct cv_span query,
                          struct cv_admin_reply *reply) {
    cv_liveroutes_answer(newest_app(server), method, query, reply);
}

static void answer_tables(struct server *server, uint16_t method, struct cv_span query,
                          struct cv_admin_reply *reply) {
    (void)method, (void)query;
    cv_liveroutes_tables(newest_app(server), reply);
}

static void answer_order(struct server *server, enum cv_control_kind order,
                         struct cv_admin_reply *reply) {
    bool is_told = tell(server, order, 0, "") == 0;
    reply->status = is_told ? 202 : 503;
    cv_admin_reply_write(reply, is_told ? CV_SPAN("accepted\n") : CV_SPAN("not now\n"));
}

static void answer_reload(struct server *server, uint16_t method, struct cv_span query,
                          struct cv_admin_reply *reply) {
    (void)method, (void)query;
    answer_order(server, CV_CONTROL_WANT_RELOAD, reply);
}

static void answer_drain(struct server *server, uint16_t method, struct cv_span query,
                         struct cv_admin_reply *reply) {
    (void)method, (void)query;
    answer_order(server, CV_CONTROL_WANT_DRAIN, reply);
}

static const struct admin_page {
    const char *path;
    const char *methods;
    uint16_t method_bits;
    void (*answer)(struct server *server, uint16_t method, struct cv_span query,
                   struct cv_admin_reply *reply);
} admin_pages[] = {
    {"/metrics", "GET", CV_METHOD_GET, answer_metrics},
    {"/healthz", "GET", CV_METHOD_GET, answer_health},
    {"/routes", "GET, POST, DELETE", CV_METHOD_GET | CV_METHOD_POST | CV_METHOD_DELETE,
     answer_routes},
    {"/routes/tables", "GET", CV_METHOD_GET, answer_tables},
    {"/reload", "POST", CV_METHOD_POST, answer_reload},
    {"/drain", "POST", CV_METHOD_POST, answer_drain},
};

static void answer_admin(void *context, uint16_t method, struct cv_span path, struct cv_span query,
                         struct cv_admin_reply *reply) {
    for (size_t i = 0; i < CV_ARRAY_COUNT(admin_pages); i++) {
        const struct admin_page *page = &admin_pages[i];
        if (!cv_span_equal(path, cv_span_of(page->path))) {
            continue;
        }
        if ((page->method_bits & method) != 0) {
            page->answer(context, method, query, reply);
        } else {
            reply->status = 405;
            cv_admin_reply_format(reply, "%s only\n", page->methods);
        }
        return;
    }
    reply->status = 404;
    for (size_t i = 0; i < CV_ARRAY_COUNT(admin_pages); i++) {
        cv_admin_reply_format(reply, "%s %s\n", admin_pages[i].methods, admin_pages[i].path);
    }
}

enum { POLL_CONTROL, POLL_EVENT, POLL_ADMIN, POLL_COUNT = POLL_ADMIN + CV_ADMIN_POLLS };

// poll(2) takes no more entries than descriptors may be open, the empty ones included.
_Static_assert(POLL_COUNT <= DESCRIPTORS_BASE, "the main thread's loop can run");

uint64_t cv_server_descriptors_min(const struct cv_settings *settings) {
    // A worker's ring, its eventfd and its listeners, before it has a table of its own.
    uint32_t addresses = CV_MAX(settings->listen_count, 1u);
    return DESCRIPTORS_BASE + (uint64_t)settings->worker_count * (2 + addresses);
}

// The shorter of a time limit (-1: none) and what is left until `at_ns`.
static int sooner(int timeout_ms, uint64_t now_ns, uint64_t at_ns) {
    uint64_t left_ns = at_ns > now_ns ? at_ns - now_ns : 0;
    int left_ms = (int)CV_MIN(left_ns / MS_NS + 1, (uint64_t)INT32_MAX);
    return timeout_ms < 0 ? left_ms : CV_MIN(timeout_ms, left_ms);
}

// Until every worker has a descriptor table of its own, and has closed there what is not for it,
// only the workers are listened to.
static int prepare(const struct server *server, uint64_t now_ns, struct pollfd polls[POLL_COUNT]) {
    bool is_all = is_up(server);
    int timeout_ms = server->log_is_active && is_all ? (int)CV_ACCESSLOG_INTERVAL_MS : -1;
    polls[POLL_CONTROL] = (struct pollfd){.fd = is_all ? server->control_fd : -1, .events = POLLIN};
    polls[POLL_EVENT] = (struct pollfd){.fd = server->eventfd, .events = POLLIN};
    for (size_t i = POLL_ADMIN; i < POLL_COUNT; i++) {
        polls[i] = (struct pollfd){.fd = -1};
    }
    if (server->admin != NULL && is_all) {
        cv_admin_prepare(server->admin, now_ns, polls + POLL_ADMIN, &timeout_ms);
    }
    if (server->is_draining && !server->is_stopping) {
        timeout_ms = sooner(timeout_ms, now_ns, server->stop_at_ns);
    }
    if (server->reclaim_at_ns != UINT64_MAX) {
        timeout_ms = sooner(timeout_ms, now_ns, server->reclaim_at_ns);
    }
    return timeout_ms;
}

static void run_loop(struct server *server) {
    struct pollfd polls[POLL_COUNT];
    while (!server->is_done) {
        int timeout_ms = prepare(server, cv_clock_monotonic_ns(), polls);
        if (poll(polls, POLL_COUNT, timeout_ms) < 0) {
            continue;  // EINTR; no revents were written, so nothing must be read.
        }
        uint64_t now_ns = cv_clock_monotonic_ns();
        if (polls[POLL_EVENT].revents != 0) {
            take_messages(server);
            server->log_is_active = true;  // Queues and mailbox share the wake-up.
        }
        if (polls[POLL_CONTROL].revents != 0 && !server->is_done) {
            on_control(server);
        }
        if (server->admin != NULL && !server->is_done) {
            cv_admin_handle(server->admin, now_ns, polls + POLL_ADMIN);
        }
        if (server->log_is_active && is_up(server)) {
            server->log_is_active = cv_accesslog_run(&server->log, now_ns);
        }
        reclaim_if_due(server, now_ns);
        stop_if_late(server, now_ns);
    }
}

// After a clean stop: what is still queued is logged, everything is given back.
static void tear_down(struct server *server) {
    for (uint32_t i = 0; i < server->rollout.worker_count; i++) {
        cv_worker_join(server->rollout.worker[i]);
    }
    destroy_workers(server);
    cv_accesslog_run(&server->log, cv_clock_monotonic_ns());
    cv_accesslog_deinit(&server->log);
    cv_admin_destroy(server->admin);
    cv_rollout_deinit(&server->rollout);
    close(server->eventfd);
    cv_log(CV_LOG_INFO, "drained", "connections_cut=%llu", (unsigned long long)server->cut_count);
}

static int open_admin(struct server *server) {
    if (server->options->admin_fd < 0) {
        return 0;
    }
    int error = cv_admin_create(&server->admin, server->options->admin_fd, answer_admin, server);
    if (error != 0) {
        cv_log(CV_LOG_ERROR, "start_failed", "reason=\"admin address: %s\"", strerror(-error));
        return CV_SERVER_EXIT_CONFIG;
    }
    return 0;
}

static int open_channels(struct server *server) {
    cv_mailbox_init(&server->mailbox);
    server->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int error = server->eventfd < 0 ? -errno : 0;
    if (error == 0) {
        error = cv_accesslog_init(&server->log, server->options->access_log_fd,
                                  server->settings.worker_count);
    }
    if (error != 0) {
        cv_log(CV_LOG_ERROR, "start_failed", "reason=\"%s%s\"", strerror(-error),
               cv_shortage_remedy(error));
        return CV_SERVER_EXIT_NO_RING;
    }
    return 0;
}

static int drop_rest(const struct cv_settings *settings) {
    int error = cv_privileges_drop_rest(settings->core_dumps);
    if (error != 0) {
        cv_log(CV_LOG_ERROR, "start_failed", "reason=\"cannot give up rights: %s\"",
               strerror(-error));
        return CV_SERVER_EXIT_CONFIG;
    }
    return 0;
}

static int start(struct server *server) {
    int exit_code = drop_user(&server->settings);
    if (exit_code == 0 && !follow_supervisor(server->options)) {
        exit_code = EXIT_BROKEN;
    }
    if (exit_code == 0) {
        cv_lastwords_install();
        exit_code = load(server);
    }
    if (exit_code == 0) {
        exit_code = open_channels(server);
    }
    if (exit_code == 0) {
        exit_code = open_admin(server);
    }
    if (exit_code == 0) {
        exit_code = create_workers(server);
    }
    if (exit_code == 0) {
        name_features(server);
        exit_code = drop_rest(&server->settings);
    }
    return exit_code != 0 ? exit_code : start_workers(server);
}

int cv_server_run(const struct cv_server_options *options) {
    static struct server server;  // One per process, and larger than a stack frame should be.
    server.options = options;
    server.settings = *options->settings;
    server.control_fd = options->control_fd;
    server.reclaim_at_ns = UINT64_MAX;
    server.reclaim_pause_ms = RECLAIM_PAUSE_MS_MIN;
    set_signals();
    if (!follow_supervisor(options)) {
        return EXIT_BROKEN;
    }
    server.descriptors_max = raise_descriptor_limit();
    int exit_code = start(&server);
    if (exit_code != 0) {
        return exit_code;
    }
    run_loop(&server);
    if (server.exit_code == CV_SERVER_EXIT_CLEAN) {
        tear_down(&server);
    }
    return server.exit_code;
}
