// Lanes are dealt connections, requests and rate as evenly as whole numbers allow. The calling
// thread starts them, gives the common signal to begin when all are ready, and then looks at them
// twenty times a second: signals, progress, and whether there is a server at all.
#include "load/fleet.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/cpu.h"
#include "load/dial.h"
#include "load/lane.h"

#define NS_PER_MS 1000000u
#define LOOK_MS 50u
#define LOOKS_PER_PROGRESS 10u
#define NO_SERVER_NS (2000 * (uint64_t)NS_PER_MS)  // Nothing but refusals for so long: it is over.
// One client address has 28,000 ports for one server address, of which connect(2) looks at every
// second first, one by one from a random place: with more than these taken the search soon costs
// more than the connection. Ports of closed connections stay taken for a second (tcp_tw_reuse).
#define PORTS_PER_CLIENT 2000u
#define CLIENTS_FOR_RECONNECT 32u
#define CLIENTS_MAX 250u
#define LANES_MAX 4096u

struct member {
    struct load_lane *lane;
    pthread_t thread;
    bool started, ended;
    int status;
    const char *why;
};

struct fleet {
    const struct load_options *options;
    struct load_signals signals;
    struct member *members;  // owned
    unsigned count;
    unsigned busy_count;  // The first ones; the others only hold idle connections.
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number) {
    (void)number;
    if (interrupted) {
        _exit(130);
    }
    interrupted = 1;
}

static void *run_member(void *argument) {
    struct member *member = argument;
    member->status = load_lane_run(member->lane, &member->why);
    return NULL;
}

// The `index`-th of `parts` parts of `whole`, and where it begins.
static uint64_t share(uint64_t whole, unsigned parts, unsigned index, uint64_t *first) {
    uint64_t each = whole / parts, more = whole % parts;
    *first = each * index + CV_MIN((uint64_t)index, more);
    return each + (index < more);
}

static unsigned clients_for(const struct load_options *options) {
    unsigned wanted = options->client_addresses;
    if (!load_dialer_is_loopback4(&options->address)) {
        return 0;
    }
    if (wanted == 0) {
        unsigned total = options->connections + options->idle;
        wanted = total > PORTS_PER_CLIENT ? total / PORTS_PER_CLIENT + 1 : 0;
        wanted = CV_MIN(wanted, CLIENTS_MAX);
        if (options->reconnect > 0) {
            wanted = CV_MAX(wanted, CLIENTS_FOR_RECONNECT);
        }
    }
    return wanted;
}

static int core_for(const struct load_options *options, unsigned index) {
    uint16_t cores[CV_CPU_LIST_MAX];
    size_t count = 0;
    const char *reason;
    if (options->cores == NULL ||
        !cv_cpu_list_parse(cv_span_of(options->cores), cores, &count, &reason) || count == 0) {
        return -1;
    }
    return cores[index % count];
}

// As many threads as asked for, or more when the connections do not fit into their rings.
static unsigned lanes_for(const struct load_options *options) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    unsigned most = load_lane_connections_max();
    uint64_t total = (uint64_t)options->connections + options->idle;
    uint64_t needed = (total + most - 1) / most;
    uint64_t lanes = CV_MAX((uint64_t)CV_MIN(options->threads, options->connections), needed);
    return (unsigned)CV_MIN(lanes, (uint64_t)LANES_MAX);
}

static int create(struct fleet *fleet, const char **why) {
    const struct load_options *options = fleet->options;
    unsigned clients = clients_for(options);
    uint64_t total = (uint64_t)options->connections + options->idle, first, unused;

    fleet->members = calloc(fleet->count, sizeof(*fleet->members));
    *why = "memory for connections";
    if (fleet->members == NULL) {
        return -ENOMEM;
    }
    for (unsigned i = 0; i < fleet->count; i++) {
        struct load_lane_plan plan = {.options = options,
                                      .signals = &fleet->signals,
                                      .client_count = clients,
                                      .request_count = UINT64_MAX,
                                      .core = core_for(options, i)};
        plan.connections = (unsigned)share(options->connections, fleet->count, i, &unused);
        plan.idle = (unsigned)share(total, fleet->count, i, &first) - plan.connections;
        plan.connection_first = (unsigned)first;
        if (i < fleet->busy_count) {
            plan.rate = options->rate / fleet->busy_count;
            plan.phase = (double)i / fleet->busy_count;
        }
        if (i < fleet->busy_count && options->request_count > 0) {
            plan.request_count = share(options->request_count, fleet->busy_count, i, &unused);
        }
        fleet->members[i].lane = load_lane_create(&plan);
        if (fleet->members[i].lane == NULL) {
            return -ENOMEM;
        }
    }
    return 0;
}

// Signals are the calling thread's; the lanes' threads have them blocked.
static int start(struct fleet *fleet, const char **why) {
    sigset_t all, before;
    int status = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    for (unsigned i = 0; i < fleet->count && status == 0; i++) {
        struct member *member = &fleet->members[i];
        *why = "starting a thread";
        status = -pthread_create(&member->thread, NULL, run_member, member);
        member->started = status == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

static bool all_ready(const struct fleet *fleet) {
    for (unsigned i = 0; i < fleet->count; i++) {
        struct load_lane_progress *progress = load_lane_progress(fleet->members[i].lane);
        if (!atomic_load_explicit(&progress->ready, memory_order_relaxed)) {
            return false;
        }
    }
    return true;
}

static void look(const struct fleet *fleet, struct load_progress *progress, uint64_t *connects) {
    *progress = (struct load_progress){0};
    *connects = 0;
    for (unsigned i = 0; i < fleet->count; i++) {
        struct load_lane_progress *one = load_lane_progress(fleet->members[i].lane);
        progress->answers += atomic_load_explicit(&one->answers, memory_order_relaxed);
        progress->errors += atomic_load_explicit(&one->errors, memory_order_relaxed);
        progress->open += atomic_load_explicit(&one->open, memory_order_relaxed);
        *connects += atomic_load_explicit(&one->connects, memory_order_relaxed);
    }
}

static void pause_ms(unsigned ms) {
    struct timespec time = {.tv_nsec = (long)ms * NS_PER_MS};
    (void)nanosleep(&time, NULL);
}

static void stop(struct fleet *fleet) {
    atomic_store_explicit(&fleet->signals.stop, true, memory_order_relaxed);
}

// Joins the members that have ended; true when all have. One that could not run ends the others,
// and so does the end of all that have requests to send.
static bool collect(struct fleet *fleet) {
    unsigned ended = 0, busy_ended = 0;
    for (unsigned i = 0; i < fleet->count; i++) {
        struct member *member = &fleet->members[i];
        if (member->started && !member->ended) {
            member->ended = pthread_tryjoin_np(member->thread, NULL) == 0;
            if (member->ended && member->status < 0) {
                stop(fleet);
            }
        }
        bool is_over = !member->started || member->ended;
        ended += is_over;
        busy_ended += is_over && i < fleet->busy_count;
    }
    if (busy_ended == fleet->busy_count) {
        stop(fleet);
    }
    return ended == fleet->count;
}

// Until every lane has ended.
static void attend(struct fleet *fleet, void (*on_progress)(const struct load_progress *)) {
    uint64_t opened_ns = cv_clock_monotonic_ns(), began_ns = 0, connects;
    struct load_progress progress;

    while (!interrupted && !all_ready(fleet)) {
        pause_ms(1);
    }
    began_ns = cv_clock_monotonic_ns() + NS_PER_MS;
    atomic_store_explicit(&fleet->signals.begin_ns, began_ns, memory_order_relaxed);
    for (unsigned looks = 1; !collect(fleet); looks++) {
        pause_ms(LOOK_MS);
        look(fleet, &progress, &connects);
        uint64_t now_ns = cv_clock_monotonic_ns();
        if (interrupted ||
            (connects == 0 && progress.errors > 0 && now_ns - opened_ns > NO_SERVER_NS)) {
            stop(fleet);
        }
        if (looks % LOOKS_PER_PROGRESS == 0 && on_progress != NULL) {
            progress.seconds = (double)(now_ns - began_ns) / 1e9;
            on_progress(&progress);
        }
    }
}

static void add(struct load_result *sum, const struct load_result *one) {
    sum->tally.answers += one->tally.answers;
    for (unsigned i = 0; i < CV_ARRAY_COUNT(sum->tally.status); i++) {
        sum->tally.status[i] += one->tally.status[i];
    }
    sum->tally.shed += one->tally.shed;
    sum->tally.body_bytes += one->tally.body_bytes;
    sum->tally.verified += one->tally.verified;
    sum->requests_sent += one->requests_sent;
    sum->connects += one->connects;
    sum->bytes_received += one->bytes_received;
    sum->bytes_sent += one->bytes_sent;
    for (unsigned i = 0; i < LOAD_ERROR_COUNT; i++) {
        sum->errors[i] += one->errors[i];
    }
    sum->connect_error = one->connect_error != 0 ? one->connect_error : sum->connect_error;
    sum->enters += one->enters;
    sum->late += one->late;
    sum->unsent += one->unsent;
    sum->began_ns = one->began_ns;  // The same for all.
    sum->ended_ns = CV_MAX(sum->ended_ns, one->ended_ns);
    sum->cpu_ns += one->cpu_ns;
    sum->lane_busy = CV_MAX(sum->lane_busy, one->lane_busy);
    sum->core_busy = CV_MAX(sum->core_busy, one->core_busy);
    for (unsigned i = 0; i < LOAD_KIND_COUNT; i++) {
        load_histogram_merge(&sum->latency_of[i], &one->latency_of[i]);
        load_histogram_merge(&sum->latency, &one->latency_of[i]);
    }
}

static int sum_up(const struct fleet *fleet, struct load_result *result, const char **why) {
    memset(result, 0, sizeof(*result));
    for (unsigned i = 0; i < fleet->count; i++) {
        const struct member *member = &fleet->members[i];
        if (member->status < 0) {
            *why = member->why;
            return member->status;
        }
        add(result, load_lane_result(member->lane));
    }
    return 0;
}

static void install_handlers(void) {
    struct sigaction action = {.sa_handler = on_interrupt};
    interrupted = 0;
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

int load_fleet_run(const struct load_options *options, struct load_result *result,
                   void (*on_progress)(const struct load_progress *), const char **why) {
    struct fleet fleet = {.options = options, .count = lanes_for(options)};
    fleet.busy_count = CV_MIN(fleet.count, options->connections);
    int status = create(&fleet, why);

    if (status == 0) {
        install_handlers();
        status = start(&fleet, why);
        if (status < 0) {
            stop(&fleet);
        }
        attend(&fleet, on_progress);
        status = status < 0 ? status : sum_up(&fleet, result, why);
    }
    for (unsigned i = 0; fleet.members != NULL && i < fleet.count; i++) {
        load_lane_destroy(fleet.members[i].lane);
    }
    free(fleet.members);
    return status;
}
