// The supervisor's life: open everything, start a server, then sleep in poll(2) on signals
// (signalfd), the server's control line, the profiler's and, during a hand-over, the new
// supervisor's pipe.
//
// Invariants: there is at most one server process, and it dies with us (PR_SET_PDEATHSIG and the
// end of file on its control line). Sockets and descriptors here are the originals; every server
// works on copies, so a crashed one loses no queued connection. What a reload brings is only
// `pending` until the server says that it serves it: a server started after a crash gets what is
// known to work.
#include "server/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/cpu.h"
#include "base/log.h"
#include "base/shortage.h"
#include "mem/poison.h"
#include "metrics/counter.h"
#include "server/address.h"
#include "server/bundle.h"
#include "server/control.h"
#include "server/notify.h"
#include "server/profiler.h"
#include "server/rundir.h"
#include "server/server.h"
#include "server/sockets.h"
#include "server/upgrade.h"

#define MS_NS 1000000ull
#define LONG_LIFE_NS (10000 * MS_NS)  // A server that lived so long starts the back-off anew.
#define BACKOFF_FIRST_MS 100u
#define BACKOFF_MAX_MS 5000u
#define KILL_MARGIN_MS 1000u  // The server ends its drain itself; this is for one that cannot.
#define GATE_LIMIT_MS 2000
#define UPGRADE_LIMIT_NS (30000 * MS_NS)
#define EXIT_CONFIG 78
#define EXIT_OS 71
#define ADMIN_MODE 0660

_Static_assert(sizeof(struct cv_settings) <= CV_CONTROL_PAYLOAD_BYTES_MAX,
               "settings fit a control message");
_Static_assert(CV_RUNDIR_PATH_BYTES + 8 <= sizeof(((struct covet_profile_target *)0)->stats_path),
               "the profiler can be told where the counter pages are");
_Static_assert(CV_SETTINGS_MODULES_MAX <= CV_CONTROL_FDS_MAX, "so do the modules");

struct supervisor {
    const struct cv_supervisor_options *options;
    char program[CV_SETTINGS_PATH_BYTES * 4];
    struct cv_bundle current;
    struct cv_bundle pending;
    bool is_pending;
    bool reload_again;
    int access_log_fd;    // owned; -1: none
    int admin_fd;         // owned; -1: none
    bool admin_is_given;  // At an address of the user's; else in the run directory.
    bool admin_is_taken;  // From the supervisor before.
    int signal_fd;
    struct cv_sockets sockets;
    struct cv_rundir rundir;
    struct cv_stats stats;
    char stats_path[CV_RUNDIR_PATH_BYTES + 8];  // Empty: they have no file.
    struct cv_upgrade_inherited inherited;

    pid_t server_pid;  // 0: none
    int control_fd;    // -1: none
    bool is_ready;     // This server.
    bool was_ever_ready;
    uint64_t started_ns;
    uint64_t restart_at_ns;  // While there is no server.
    uint32_t backoff_ms;

    struct cv_profiler profiler;
    int gate_fd;  // Closed, it lets the server begin; -1: it has.

    struct cv_upgrade upgrade;  // pid 0: none
    uint64_t upgrade_until_ns;
    bool is_handed_over;

    bool is_stopping;
    uint64_t kill_at_ns;
    bool is_done;
    int exit_code;
    struct cv_control_message message;
};

static void finish(struct supervisor *self, int exit_code) {
    self->is_done = true;
    self->exit_code = exit_code;
}

static void log_failure(const char *event, const char *reason) {
    char quoted[CV_LOG_LINE_BYTES_MAX];
    cv_log(CV_LOG_ERROR, event, "reason=%s",
           cv_log_quote(quoted, sizeof(quoted), cv_span_of(reason)));
}

// Opening.

static int exit_code_of(int error) {
    return cv_shortage_is(error) ? EXIT_OS : EXIT_CONFIG;
}

static int open_pages(struct supervisor *self, char *message, size_t message_bytes) {
    uint32_t worker_count = self->current.settings.worker_count;
    int error = cv_rundir_create(&self->rundir);
    if (error == 0) {
        snprintf(self->stats_path, sizeof(self->stats_path), "%s/stats", self->rundir.path);
        error = cv_stats_create(&self->stats, self->stats_path, worker_count);
    }
    if (error != 0) {
        cv_log(CV_LOG_WARN, "no_run_directory", "reason=\"%s%s; no counter file\"",
               strerror(-error), cv_shortage_remedy(error));
        self->stats_path[0] = '\0';
        error = cv_stats_create(&self->stats, NULL, worker_count);
        if (error != 0) {
            snprintf(message, message_bytes, "counter pages: %s%s", strerror(-error),
                     cv_shortage_remedy(error));
            return exit_code_of(error);
        }
    }
    struct covet_stats_header *header = self->stats.header;
    header->port_count = cv_sockets_ports(&self->sockets, header->port);
    return 0;
}

// The admin address: the user's, perhaps inherited, or the one in the run directory.
static int open_admin(struct supervisor *self, char *message, size_t message_bytes) {
    struct cv_settings *settings = &self->current.settings;
    struct cv_address address = settings->admin;
    struct cv_address inherited;
    self->admin_is_given = address.text[0] != '\0';
    if (!settings->admin_enabled) {
        return 0;
    }
    if (!self->admin_is_given) {
        char text[CV_SETTINGS_PATH_BYTES];
        const char *why;
        snprintf(text, sizeof(text), "unix:%s/admin", self->rundir.path);
        if (self->rundir.path[0] == '\0' || !cv_address_parse(text, &address, &why)) {
            return 0;  // Without a run directory there is no default place.
        }
    }
    if (self->inherited.admin_fd >= 0 &&
        cv_address_of_socket(self->inherited.admin_fd, &inherited) == 0 &&
        cv_address_equal(&address, &inherited)) {
        self->admin_fd = self->inherited.admin_fd;
        self->inherited.admin_fd = -1;
        self->admin_is_taken = true;
        return 0;
    }
    int fd = cv_sockets_open_one(&address, ADMIN_MODE, settings->group, message, message_bytes);
    if (fd < 0) {
        return -fd;
    }
    self->admin_fd = fd;
    return 0;
}

static int raise_descriptor_limit(const struct cv_settings *settings, char *message,
                                  size_t message_bytes) {
    struct rlimit limit;
    uint64_t wanted = cv_server_descriptors_min(settings);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < wanted) {
            snprintf(message, message_bytes,
                     "%llu descriptors are too few for workers=%u, which need %llu%s",
                     (unsigned long long)limit.rlim_cur, settings->worker_count,
                     (unsigned long long)wanted, cv_shortage_remedy(EMFILE));
            return EXIT_OS;
        }
    }
    return 0;
}

static int open_signals(struct supervisor *self) {
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR2, SIGCHLD};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < CV_ARRAY_COUNT(numbers); i++) {
        sigaddset(&set, numbers[i]);
        // An ignored signal is not queued, blocked or not (nohup ignores HUP).
        signal(numbers[i], SIG_DFL);
    }
    // A write that nobody reads, or beyond RLIMIT_FSIZE, shall fail and not kill.
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    if (sigprocmask(SIG_SETMASK, &set, NULL) < 0) {
        return -errno;
    }
    self->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return self->signal_fd < 0 ? -errno : 0;
}

static int open_all(struct supervisor *self, char *message, size_t message_bytes) {
    int error = open_signals(self);
    if (error != 0) {
        snprintf(message, message_bytes, "signals: %s%s", strerror(-error),
                 cv_shortage_remedy(error));
        return EXIT_OS;
    }
    int exit_code = raise_descriptor_limit(&self->current.settings, message, message_bytes);
    if (exit_code != 0) {
        return exit_code;
    }
    error = cv_upgrade_find_program(self->options->argv[0], self->program, sizeof(self->program));
    if (error != 0) {
        cv_log(CV_LOG_WARN, "no_upgrade", "reason=\"own path not found: %s\"", strerror(-error));
        self->program[0] = '\0';
    }
    cv_upgrade_inherit(&self->sockets, &self->inherited);
    cv_profiler_adopt(&self->profiler, self->inherited.profile_fd);
    exit_code = cv_sockets_open(&self->sockets, &self->current.settings, message, message_bytes);
    if (exit_code != 0) {
        return exit_code;
    }
    exit_code = open_pages(self, message, message_bytes);
    if (exit_code != 0) {
        return exit_code;
    }
    exit_code = open_admin(self, message, message_bytes);
    if (exit_code != 0) {
        return exit_code;
    }
    error =
        cv_bundle_open_log(&self->current.settings, &self->access_log_fd, message, message_bytes);
    if (error == 0) {
        error = cv_bundle_open_modules(&self->current, message, message_bytes);
    }
    return error != 0 ? exit_code_of(error) : 0;
}

static void close_all(struct supervisor *self) {
    enum cv_sockets_paths paths = self->is_handed_over    ? CV_SOCKETS_KEEP_PATHS
                                  : !self->was_ever_ready ? CV_SOCKETS_UNLINK_OPENED
                                                          : CV_SOCKETS_UNLINK_OWNED;
    bool owns_admin = self->admin_fd >= 0 && self->admin_is_given &&
                      cv_address_is_unix(&self->current.settings.admin) && !self->is_handed_over &&
                      (self->was_ever_ready || !self->admin_is_taken);
    if (owns_admin) {
        unlink(cv_address_path(&self->current.settings.admin));
    }
    const int fds[] = {
        self->admin_fd,           self->access_log_fd,      self->control_fd,       self->signal_fd,
        self->inherited.admin_fd, self->inherited.ready_fd, self->upgrade.ready_fd, self->gate_fd};
    for (size_t i = 0; i < CV_ARRAY_COUNT(fds); i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    cv_profiler_close(&self->profiler);
    cv_bundle_close(&self->current);
    if (self->is_pending) {
        cv_bundle_close(&self->pending);
    }
    cv_sockets_close(&self->sockets, paths);
    cv_stats_close(&self->stats);
    cv_rundir_destroy(&self->rundir);
}

// The server process.

// Under a profiler that has started us (covet-prof run) nothing shall go uncounted: the server
// waits for its answer, but not for one that hangs.
static void wait_at_gate(int gate_fd) {
    struct pollfd poll_fd = {.fd = gate_fd, .events = POLLIN};
    if (gate_fd >= 0) {
        (void)poll(&poll_fd, 1, GATE_LIMIT_MS);
        close(gate_fd);
    }
}

static void open_gate(struct supervisor *self) {
    if (self->gate_fd >= 0) {
        close(self->gate_fd);
        self->gate_fd = -1;
    }
}

static _Noreturn void become_server(struct supervisor *self, int control_fd, pid_t supervisor,
                                    int gate_fd) {
    wait_at_gate(gate_fd);
    const int unwanted[] = {self->signal_fd, self->inherited.ready_fd, self->inherited.admin_fd,
                            self->upgrade.ready_fd, self->profiler.fd};
    for (size_t i = 0; i < CV_ARRAY_COUNT(unwanted); i++) {
        if (unwanted[i] >= 0) {
            close(unwanted[i]);
        }
    }
    struct cv_server_options options = {
        .settings = &self->current.settings,
        .stats = &self->stats,
        .source = self->options->source,
        .supervisor_pid = supervisor,
        .sockets = &self->sockets,
        .control_fd = control_fd,
        .admin_fd = self->admin_fd,
        .access_log_fd = self->access_log_fd,
    };
    memcpy(options.module_fd, self->current.module_fd, sizeof(options.module_fd));
    int code = cv_server_run(&options);
    if (code == 0) {
        cv_poison_find_leaks();
    }
    // Not exit(3): what runs there belongs to the supervisor's image.
    _exit(code);
}

// Until the supervisor before us has let go, its server is the one that an adopted profiler
// measures.
static bool is_profiler_told(const struct supervisor *self) {
    return self->inherited.ready_fd < 0;
}

static void tell_profiler(struct supervisor *self) {
    const struct covet_stats_header *header = self->stats.header;
    struct covet_profile_target target = {
        .abi_version = COVET_ABI_VERSION,
        .supervisor_pid = (uint32_t)getpid(),
        .server_pid = (uint32_t)self->server_pid,
        .port_count = header->port_count,
    };
    memcpy(target.port, header->port, sizeof(target.port));
    memcpy(target.stats_path, self->stats_path, sizeof(self->stats_path));
    if (is_profiler_told(self)) {
        cv_profiler_tell(&self->profiler, &target);
    }
}

static void store_pid(struct supervisor *self, pid_t pid) {
    __atomic_store_n(&self->stats.header->server_pid, (uint32_t)pid, __ATOMIC_RELAXED);
}

static void schedule_restart(struct supervisor *self, uint64_t now_ns) {
    self->restart_at_ns = now_ns + self->backoff_ms * MS_NS;
    self->backoff_ms =
        self->backoff_ms == 0 ? BACKOFF_FIRST_MS : CV_MIN(2 * self->backoff_ms, BACKOFF_MAX_MS);
}

static void start_server(struct supervisor *self) {
    int pair[2];
    int gate[2] = {-1, -1};
    pid_t supervisor = getpid();
    open_gate(self);
    if (is_profiler_told(self) && cv_profiler_is_adopted(&self->profiler) &&
        pipe2(gate, O_CLOEXEC) < 0) {
        gate[0] = gate[1] = -1;
    }
    int error = cv_control_open(pair);
    if (error == 0) {
        self->server_pid = fork();
        if (self->server_pid == 0) {
            close(pair[0]);
            self->gate_fd = gate[1];
            open_gate(self);
            become_server(self, pair[1], supervisor, gate[0]);
        }
        error = self->server_pid < 0 ? -errno : 0;
        close(pair[1]);
    }
    self->gate_fd = gate[1];
    if (gate[0] >= 0) {
        close(gate[0]);
    }
    self->started_ns = cv_clock_monotonic_ns();
    if (error != 0) {
        cv_log(CV_LOG_ERROR, self->was_ever_ready ? "server_not_started" : "start_failed",
               "reason=\"no process: %s%s\"", strerror(-error), cv_shortage_remedy(error));
        if (self->server_pid < 0) {
            close(pair[0]);
        }
        self->server_pid = 0;
        if (self->was_ever_ready) {
            schedule_restart(self, self->started_ns);
        } else {
            finish(self, EXIT_OS);
        }
        return;
    }
    self->control_fd = pair[0];
    self->is_ready = false;
    store_pid(self, self->server_pid);
    __atomic_add_fetch(&self->stats.header->server_starts, 1, __ATOMIC_RELAXED);
    tell_profiler(self);
}

static const char *signal_name(int number) {
    const char *name = sigabbrev_np(number);
    return name != NULL ? name : "unknown";
}

static void discard_pending(struct supervisor *self) {
    if (self->is_pending) {
        cv_bundle_close(&self->pending);
        self->is_pending = false;
    }
    self->reload_again = false;
}

// The code this supervisor ends with when its server ended before it ever served.
static int start_failure(int status) {
    if (WIFSIGNALED(status)) {
        return EXIT_CONFIG;  // Before serving only the application's own start can crash.
    }
    int code = WEXITSTATUS(status);
    return code != 0 ? code : EXIT_OS;
}

static void log_end(const struct supervisor *self, int status, uint64_t now_ns) {
    uint64_t delay_ms = self->restart_at_ns > now_ns ? (self->restart_at_ns - now_ns) / MS_NS : 0;
    if (WIFSIGNALED(status)) {
        cv_log(CV_LOG_ERROR, "server_died", "pid=%d signal=SIG%s restart_in_ms=%llu",
               (int)self->server_pid, signal_name(WTERMSIG(status)), (unsigned long long)delay_ms);
    } else {
        cv_log(CV_LOG_ERROR, "server_died", "pid=%d exit_code=%d restart_in_ms=%llu",
               (int)self->server_pid, WEXITSTATUS(status), (unsigned long long)delay_ms);
    }
}

static void reload(struct supervisor *self);

static void on_server_end(struct supervisor *self, int status) {
    uint64_t now_ns = cv_clock_monotonic_ns();
    store_pid(self, 0);
    for (uint32_t i = 0; i < self->stats.worker_count; i++) {
        cv_counter_end(cv_stats_worker(&self->stats, i));
    }
    close(self->control_fd);
    self->control_fd = -1;
    self->is_ready = false;
    bool is_reload_owed = self->reload_again;  // Asked for while this server was starting.
    if (self->is_pending && !self->is_stopping) {
        log_failure("reload_failed", "the server died of it; the old generation comes back");
        cv_notify_send("READY=1");
    }
    discard_pending(self);
    if (self->is_stopping) {
        bool is_clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;
        if (!is_clean) {
            cv_log(CV_LOG_WARN, "server_cut", "pid=%d status=%d", (int)self->server_pid, status);
        }
        finish(self, 0);
    } else if (!self->was_ever_ready) {
        if (WIFSIGNALED(status)) {
            cv_log(CV_LOG_ERROR, "start_failed", "reason=\"the server died of SIG%s\"",
                   signal_name(WTERMSIG(status)));
        }
        finish(self, start_failure(status));
    } else {
        if (now_ns - self->started_ns >= LONG_LIFE_NS) {
            self->backoff_ms = 0;
        }
        schedule_restart(self, now_ns);
        log_end(self, status, now_ns);
    }
    self->server_pid = 0;
    tell_profiler(self);
    if (is_reload_owed && !self->is_done) {
        reload(self);
    }
}

// The start-up line.

static void log_start(struct supervisor *self) {
    const struct cv_settings *settings = &self->current.settings;
    char addresses[384];
    char cores[128];
    char features[256];
    struct utsname kernel;
    if (uname(&kernel) < 0) {
        kernel.release[0] = '\0';
    }
    snprintf(features, sizeof(features), "%.*s", (int)self->message.payload_bytes,
             self->message.payload);
    static const char *const levels[] = {"off", "1", "2", "3"};
    const char *profile =
        cv_profiler_is_adopted(&self->profiler) ? "run" : levels[settings->profile_level];
    cv_log(
        CV_LOG_INFO, self->stats.header->server_starts > 1 ? "restart" : "start",
        "address=%s cores=%s workers=%u kernel=%.32s features=%s simd=%s user=%s run=%s profile=%s",
        cv_sockets_text(&self->sockets, addresses, sizeof(addresses)),
        cv_settings_cores_text(settings, cores, sizeof(cores)), settings->worker_count,
        kernel.release, features, cv_cpu_simd_name(cv_cpu_simd()), settings->user_name,
        self->rundir.path[0] != '\0' ? self->rundir.path : "none", profile);
}

// Stopping.

static void kill_server(struct supervisor *self) {
    if (self->server_pid > 0) {
        kill(self->server_pid, SIGKILL);
    }
}

static void begin_stop(struct supervisor *self) {
    uint64_t drain_ms = self->current.settings.drain_ms;
    self->is_stopping = true;
    self->kill_at_ns = cv_clock_monotonic_ns() + (drain_ms + KILL_MARGIN_MS) * MS_NS;
    if (!self->is_handed_over) {
        cv_notify_send("STOPPING=1");
    }
    if (self->is_handed_over) {
        cv_profiler_close(&self->profiler);  // The new one's waits for its maps.
    }
    cv_log(CV_LOG_INFO, "drain", "limit_ms=%llu", (unsigned long long)drain_ms);
    // Without our copies a listener ends with the server's: new clients are refused, not left
    // waiting. But sockets that somebody else serves, before us or after us, must go on hearing.
    if (self->inherited.ready_fd >= 0) {
        close(self->inherited.ready_fd);  // Whoever waits for us need not: he serves on.
        self->inherited.ready_fd = -1;
    } else if (!self->is_handed_over) {
        cv_sockets_deafen(&self->sockets);
    }
    cv_sockets_close(&self->sockets,
                     self->is_handed_over ? CV_SOCKETS_KEEP_PATHS : CV_SOCKETS_UNLINK_OWNED);
    if (self->server_pid == 0) {
        finish(self, 0);
    } else if (cv_control_tell(self->control_fd, CV_CONTROL_DRAIN, drain_ms) != 0) {
        kill_server(self);
    }
}

static void on_stop_signal(struct supervisor *self) {
    if (self->is_stopping) {
        kill_server(self);
        return;
    }
    if (self->upgrade.pid > 0) {
        kill(self->upgrade.pid, SIGTERM);
    }
    begin_stop(self);
}

// Reloading.

static void send_access_log(struct supervisor *self) {
    struct cv_control_message *message = &self->message;
    message->kind = CV_CONTROL_LOG;
    message->number = 0;
    message->payload_bytes = 0;
    message->fd_count = self->access_log_fd >= 0;
    message->fd[0] = self->access_log_fd;
    int error = cv_control_send(self->control_fd, message);
    if (error != 0) {
        log_failure("reload_failed", strerror(-error));
    }
}

// Opens the log again, which a rotation may have renamed; the old one stays when that fails.
static int recv_bundle_open_log(struct supervisor *self, const struct cv_settings *settings,
                                char *message, size_t message_bytes) {
    int fd = -1;
    int error = cv_bundle_open_log(settings, &fd, message, message_bytes);
    if (error != 0) {
        return error;
    }
    bool had_log = self->access_log_fd >= 0;
    if (had_log) {
        close(self->access_log_fd);
    }
    self->access_log_fd = fd;
    if (self->control_fd >= 0 && (had_log || fd >= 0)) {
        send_access_log(self);
    }
    return 0;
}

// Starts the profiler where there is none (yet, or any more), with the level that is asked for.
static void apply_profile(struct supervisor *self) {
    cv_profiler_set_level(&self->profiler, self->current.settings.profile_level);
    tell_profiler(self);
}

static void adopt_pending(struct supervisor *self) {
    cv_bundle_close(&self->current);
    self->current = self->pending;
    self->is_pending = false;
    cv_log_set_level(self->current.settings.log_level);
    cv_log(CV_LOG_INFO, "reloaded", "modules=%u", self->current.settings.module_count);
    apply_profile(self);
    cv_notify_send("READY=1");
}

static int send_pending(struct supervisor *self) {
    struct cv_control_message *message = &self->message;
    message->kind = CV_CONTROL_RELOAD;
    message->number = 0;
    message->payload_bytes = sizeof(self->pending.settings);
    memcpy(message->payload, &self->pending.settings, sizeof(self->pending.settings));
    message->fd_count = self->pending.settings.module_count;
    memcpy(message->fd, self->pending.module_fd, message->fd_count * sizeof(int));
    return cv_control_send(self->control_fd, message);
}

// Reads everything again. Returns 0, or -errno with one line in `message` and the old state kept.
static int read_again(struct supervisor *self, char *message, size_t message_bytes) {
    struct cv_bundle *next = &self->pending;
    const struct cv_settings *now = &self->current.settings;
    char ignored[CV_LOG_LINE_BYTES_MAX];
    if (self->options->read_settings(self->options->context, &next->settings, message,
                                     message_bytes) != 0) {
        // A rotated log is left behind all the same.
        return recv_bundle_open_log(self, now, ignored, sizeof(ignored)) != 0 ? -EIO : -EINVAL;
    }
    cv_settings_keep_fixed(now, &next->settings);
    int error = cv_bundle_open_modules(next, message, message_bytes);
    if (error != 0) {
        return error;
    }
    error = recv_bundle_open_log(self, &next->settings, message, message_bytes);
    if (error != 0) {
        cv_bundle_close(next);
        return error;
    }
    self->is_pending = true;
    return 0;
}

static void reload(struct supervisor *self) {
    char message[CV_LOG_LINE_BYTES_MAX];
    if (self->is_stopping) {
        return;
    }
    if (self->is_pending || (self->server_pid > 0 && !self->is_ready)) {
        self->reload_again = true;  // When this one is through, or the server up.
        return;
    }
    cv_notify_format("RELOADING=1\nMONOTONIC_USEC=%llu",
                     (unsigned long long)(cv_clock_monotonic_ns() / 1000));
    int error = read_again(self, message, sizeof(message));
    if (error == 0 && !self->is_ready) {
        adopt_pending(self);  // The next server starts with it.
        return;
    }
    if (error == 0) {
        error = send_pending(self);
        if (error != 0) {
            snprintf(message, sizeof(message), "server: %s", strerror(-error));
            discard_pending(self);
        }
    }
    if (error != 0) {
        log_failure("reload_failed", message);
        cv_notify_send("READY=1");
    }
}

static void on_reloaded(struct supervisor *self, bool is_refused) {
    bool again = self->reload_again;
    if (!self->is_pending) {
        return;
    }
    if (is_refused) {
        discard_pending(self);
        log_failure("reload_failed", "the server keeps the old generation");
        cv_notify_send("READY=1");
    } else {
        adopt_pending(self);
    }
    self->reload_again = false;
    if (again) {
        reload(self);
    }
}

static void on_ready(struct supervisor *self) {
    self->is_ready = true;
    if (self->is_stopping) {
        return;  // Told so while it was starting: nobody shall count on it.
    }
    log_start(self);
    if (!self->was_ever_ready) {
        self->was_ever_ready = true;
        cv_notify_format("READY=1\nMAINPID=%d", (int)getpid());
        cv_upgrade_say_ready(&self->inherited);
        cv_sockets_close_unwanted(&self->sockets);
        apply_profile(self);
        if (self->inherited.admin_fd >= 0) {  // Its address is not ours any more.
            close(self->inherited.admin_fd);
            self->inherited.admin_fd = -1;
        }
    }
    if (self->reload_again) {
        self->reload_again = false;
        reload(self);
    }
}

// Handing over.

static void end_upgrade(struct supervisor *self) {
    close(self->upgrade.ready_fd);
    self->upgrade = (struct cv_upgrade){.ready_fd = -1};
}

static void begin_upgrade(struct supervisor *self) {
    if (self->is_stopping || self->upgrade.pid > 0 || self->program[0] == '\0' ||
        !self->was_ever_ready) {
        cv_log(CV_LOG_WARN, "upgrade_ignored", "reason=\"%s\"",
               self->upgrade.pid > 0 ? "one is under way" : "not possible now");
        return;
    }
    struct cv_upgrade_order order = {
        .program = self->program,
        .argv = self->options->argv,
        .sockets = &self->sockets,
        .admin_fd = self->admin_is_given ? self->admin_fd : -1,
        .profile_fd = cv_profiler_is_adopted(&self->profiler) ? self->profiler.fd : -1,
    };
    int error = cv_upgrade_start(&self->upgrade, &order);
    if (error != 0) {
        log_failure("upgrade_failed", strerror(-error));
        return;
    }
    self->upgrade_until_ns = cv_clock_monotonic_ns() + UPGRADE_LIMIT_NS;
    cv_log(CV_LOG_INFO, "upgrade", "program=%s pid=%d", self->program, (int)self->upgrade.pid);
}

static void on_upgrade_pipe(struct supervisor *self) {
    char byte;
    ssize_t got = read(self->upgrade.ready_fd, &byte, 1);
    if (got < 0) {
        return;
    }
    if (got == 0) {
        // Its end will be reaped too; a process that closed the pipe without a word is not waited
        // for.
        log_failure("upgrade_failed",
                    "the new supervisor never became ready; the old one serves on");
        end_upgrade(self);
        return;
    }
    cv_log(CV_LOG_INFO, "handed_over", "pid=%d", (int)self->upgrade.pid);
    end_upgrade(self);
    self->is_handed_over = true;
    if (!self->is_stopping) {
        begin_stop(self);
    }
}

// The loop.

static void reap(struct supervisor *self) {
    pid_t pid;
    int status;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == self->server_pid) {
            on_server_end(self, status);
        } else if (cv_profiler_reap(&self->profiler, pid, status)) {
            continue;
        } else if (pid == self->upgrade.pid) {
            on_upgrade_pipe(self);  // Ready and gone at once, or never ready.
            if (self->upgrade.pid == pid) {
                end_upgrade(self);  // The pipe is still open somewhere.
            }
        }
    }
}

static void on_signals(struct supervisor *self) {
    struct signalfd_siginfo info;
    while (read(self->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        switch (info.ssi_signo) {
        case SIGTERM:
        case SIGINT:
            on_stop_signal(self);
            break;
        case SIGHUP:
            reload(self);
            break;
        case SIGUSR2:
            begin_upgrade(self);
            break;
        default:
            reap(self);
        }
    }
}

static void on_control(struct supervisor *self) {
    struct cv_control_message *message = &self->message;
    while (self->control_fd >= 0 && cv_control_receive(self->control_fd, message) == 1) {
        switch ((enum cv_control_kind)message->kind) {
        case CV_CONTROL_READY:
            on_ready(self);
            break;
        case CV_CONTROL_RELOADED:
            on_reloaded(self, message->number != 0);
            break;
        case CV_CONTROL_WANT_RELOAD:
            reload(self);
            break;
        case CV_CONTROL_WANT_DRAIN:
            if (!self->is_stopping) {
                on_stop_signal(self);
            }
            break;
        default:
            cv_log(CV_LOG_ERROR, "control_unknown", "kind=%u", message->kind);
        }
    }
}

static void on_time(struct supervisor *self, uint64_t now_ns) {
    if (self->is_stopping && now_ns >= self->kill_at_ns) {
        kill_server(self);
        self->kill_at_ns = UINT64_MAX;
    }
    if (self->upgrade.pid > 0 && now_ns >= self->upgrade_until_ns) {
        kill(self->upgrade.pid, SIGKILL);  // The end of its pipe says the rest.
        self->upgrade_until_ns = UINT64_MAX;
    }
    if (self->server_pid == 0 && !self->is_stopping && now_ns >= self->restart_at_ns) {
        start_server(self);
    }
}

static int next_timeout_ms(const struct supervisor *self, uint64_t now_ns) {
    int timeout_ms = -1;
    if (self->is_stopping) {
        cv_clock_lower_timeout(&timeout_ms, now_ns, self->kill_at_ns);
    }
    if (self->upgrade.pid > 0) {
        cv_clock_lower_timeout(&timeout_ms, now_ns, self->upgrade_until_ns);
    }
    if (self->server_pid == 0) {
        cv_clock_lower_timeout(&timeout_ms, now_ns, self->restart_at_ns);
    }
    return timeout_ms;
}

static void run_loop(struct supervisor *self) {
    start_server(self);
    while (!self->is_done) {
        struct pollfd polls[] = {
            {.fd = self->signal_fd, .events = POLLIN},
            {.fd = self->control_fd, .events = POLLIN},
            {.fd = self->upgrade.ready_fd, .events = POLLIN},
            {.fd = self->profiler.fd, .events = cv_profiler_events(&self->profiler)},
        };
        int timeout_ms = next_timeout_ms(self, cv_clock_monotonic_ns());
        if (poll(polls, CV_ARRAY_COUNT(polls), timeout_ms) < 0) {
            continue;
        }
        // The server's words before its end: what it sent is read before it is reaped.
        if (polls[1].revents != 0) {
            on_control(self);
        }
        if (polls[2].revents != 0) {
            on_upgrade_pipe(self);
        }
        if (polls[3].revents != 0) {
            cv_profiler_run(&self->profiler);
            if (self->profiler.has_answered || self->profiler.fd < 0) {
                open_gate(self);
            }
        }
        if (polls[0].revents != 0) {
            on_signals(self);
        }
        if (!self->is_done) {
            on_time(self, cv_clock_monotonic_ns());
        }
    }
    kill_server(self);
}

int cv_supervisor_run(const struct cv_supervisor_options *options) {
    static struct supervisor self;  // One per process, and larger than a stack frame should be.
    char message[CV_LOG_LINE_BYTES_MAX] = "";
    self = (struct supervisor){
        .options = options,
        .access_log_fd = -1,
        .admin_fd = -1,
        .signal_fd = -1,
        .control_fd = -1,
        .gate_fd = -1,
        .inherited = {.ready_fd = -1, .admin_fd = -1, .profile_fd = -1},
        .profiler = CV_PROFILER_NONE,
        .upgrade = {.ready_fd = -1},
    };
    self.current.settings = *options->settings;
    memset(self.current.module_fd, -1, sizeof(self.current.module_fd));
    cv_log_set_level(options->settings->log_level);
    int exit_code = open_all(&self, message, sizeof(message));
    if (exit_code != 0) {
        log_failure("start_failed", message);
        close_all(&self);
        return exit_code;
    }
    run_loop(&self);
    close_all(&self);
    return self.exit_code;
}
