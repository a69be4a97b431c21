// Taking snapshots: counter pages and maps are copied, then /proc is asked.
//
// Numbers of processes and threads in the pages are those of the server's PID namespace; what
// leaves here are the reader's own. Those of threads are looked up once per thread.
#include "observe/snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "metrics/counter.h"
#include "metrics/histogram.h"
#include "observe/listeners.h"
#include "observe/lists.h"
#include "observe/pinned.h"
#include "observe/procfs.h"
#include "observe/running.h"

// A reader that was put off its core between pages and maps shows one too new for the other: it
// tries again, a few times.
#define APART_NS_MAX 2000000u
#define TRIES_MAX 4u

struct thread_number {
    uint32_t inner;  // as the pages say
    pid_t ours;
};

struct cv_snapshot_source {
    struct cv_running running;
    struct cv_stats stats;
    char *pin_dir;
    struct thread_number threads[COVET_WORKERS_MAX];
};

struct cv_snapshot_source *cv_snapshot_open(pid_t pid, const char *pin_dir, char *message,
                                            size_t message_bytes) {
    struct cv_running running;

    if (cv_running_find(&running, pid, message, message_bytes) != 0)
        return NULL;
    struct cv_snapshot_source *source = calloc(1, sizeof(*source));
    if (source == NULL) {
        snprintf(message, message_bytes, "out of memory");
        return NULL;
    }
    source->running = running;
    source->pin_dir = strdup(pin_dir == NULL ? COVET_PIN_DIR : pin_dir);
    if (source->pin_dir == NULL || cv_stats_open(&source->stats, running.stats_path) != 0) {
        snprintf(message, message_bytes, "covet %d ended just now", (int)running.supervisor_pid);
        cv_snapshot_close(source);
        return NULL;
    }
    return source;
}

void cv_snapshot_close(struct cv_snapshot_source *source) {
    if (source == NULL)
        return;
    cv_stats_close(&source->stats);
    free(source->pin_dir);
    free(source);
}

static void copy_header(struct cv_snapshot *snapshot, const struct cv_snapshot_source *source) {
    snapshot->server = *source->stats.header;
    snapshot->server.worker_count = source->stats.worker_count;
    snapshot->server.supervisor_pid = (uint32_t)source->running.supervisor_pid;
    snapshot->server.server_pid = (uint32_t)source->running.server_pid;
    snapshot->server.port_count = source->running.port_count;
    snapshot->worker_count = snapshot->server.worker_count;
}

static void copy_worker(struct cv_snapshot_worker *worker, const struct covet_stats_worker *page) {
    worker->thread_id = __atomic_load_n(&page->thread_id, __ATOMIC_ACQUIRE);
    worker->cpu = __atomic_load_n(&page->cpu, __ATOMIC_RELAXED);
    worker->start_ns = __atomic_load_n(&page->start_ns, __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < COVET_COUNTER_COUNT; i++)
        worker->counter[i] = cv_counter_read(page, (enum covet_counter)i);
    cv_histogram_read(&page->handler_time, &worker->handler_time);
}

static pid_t our_number(struct cv_snapshot_source *source, uint32_t index, uint32_t inner) {
    const struct cv_running *running = &source->running;
    struct thread_number *number = &source->threads[index];

    if (number->inner != inner || number->ours <= 0) {
        number->inner = inner;
        number->ours =
            running->supervisor_pid == (pid_t)source->stats.header->supervisor_pid
                ? (pid_t)inner
                : cv_procfs_find_thread(running->root, running->server_pid, (pid_t)inner);
    }
    return number->ours;
}

static void ask_proc(struct cv_snapshot_source *source, struct cv_snapshot_worker *worker,
                     uint32_t index) {
    const struct cv_running *running = &source->running;
    struct cv_procfs_thread thread;

    if (worker->thread_id == 0 || running->server_pid == 0)
        return;
    pid_t tid = our_number(source, index, worker->thread_id);
    if (tid <= 0 || cv_procfs_thread(&thread, running->root, running->server_pid, tid) != 0)
        return;
    worker->thread_id = (uint32_t)tid;
    worker->has_proc = true;
    worker->cpu_ns = thread.cpu_ns;
    worker->runq_ns = thread.runq_ns;
    worker->voluntary_switches = thread.voluntary_switches;
    worker->involuntary_switches = thread.involuntary_switches;
    worker->allowed_cpus = thread.allowed_cpus;
}

static void ask_network(struct cv_snapshot *snapshot, const struct cv_running *running) {
    pid_t pid = running->supervisor_pid;

    // What is hidden from us stays 0.
    (void)!cv_procfs_network(&snapshot->host_listen_overflows, running->root, pid, "netstat",
                             "TcpExt", "ListenOverflows");
    (void)!cv_procfs_network(&snapshot->host_retransmits, running->root, pid, "snmp", "Tcp",
                             "RetransSegs");
    cv_listeners_read(snapshot->listeners, &snapshot->listener_count, pid, running->ports,
                      running->port_count);
}

// Pages and maps, which are compared with each other, one right after the other.
static int take_counts(const struct cv_snapshot_source *source, struct cv_snapshot *snapshot) {
    snapshot->taken_ns = cv_clock_monotonic_ns();
    copy_header(snapshot, source);
    snapshot->workers = calloc(snapshot->worker_count, sizeof(*snapshot->workers));
    if (snapshot->workers == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < snapshot->worker_count; i++)
        copy_worker(&snapshot->workers[i], cv_stats_worker(&source->stats, i));
    return cv_pinned_read(snapshot, &source->running, source->pin_dir);
}

int cv_snapshot_take(struct cv_snapshot_source *source, struct cv_snapshot *snapshot) {
    struct cv_snapshot taken = {0};
    int result = -ESRCH;

    for (unsigned tries = TRIES_MAX; tries > 0; tries--) {
        if (cv_running_refresh_from(&source->running, source->stats.header) != 0)
            return -ESRCH;
        result = take_counts(source, &taken);
        if (result != 0 || tries == 1 || cv_clock_monotonic_ns() - taken.taken_ns < APART_NS_MAX)
            break;
        cv_snapshot_deinit(&taken);
    }
    if (result != 0) {
        cv_snapshot_deinit(&taken);
        return result;
    }
    for (uint32_t i = 0; i < taken.worker_count; i++)
        ask_proc(source, &taken.workers[i], i);
    ask_network(&taken, &source->running);
    cv_snapshot_deinit(snapshot);
    *snapshot = taken;
    return 0;
}

void cv_snapshot_deinit(struct cv_snapshot *snapshot) {
    free(snapshot->workers);
    for (enum cv_list_id id = 0; id < CV_LIST_COUNT; id++)
        free(*cv_list_entries(snapshot, id));
    *snapshot = (struct cv_snapshot){0};
}
