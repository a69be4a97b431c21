// The rules. Each is a function that looks at one thing and adds at most one finding; the
// thresholds stand together, with the reason for their size.
#include "profile/doctor.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "profile/measure.h"

// Fewer requests say nothing about ratios.
#define REQUESTS_MIN 1000u
// Below this a worker waits for clients; what it wastes then, it does not lack.
#define BUSY_PERCENT 70.0
// A busy worker with this many connections finds several of them ready at a time: it does with 100
// to 300 calls. With fewer connections one call for each request is what there is to do.
#define BATCH_CONNECTIONS_MIN 16u
#define BATCH_ENTERS_PER_1000 600.0
// Beyond one call for a receive and one for a send, calls find no work.
#define SPIN_ENTERS_PER_1000 2500.0
#define PUNTS_PER_1000 1.0
#define OTHER_CALLS_PER_1000 10.0
// Of random spread: with 8 connections a worker, 1.6 times the mean is a 2 % chance.
#define SKEW_FACTOR 1.6
#define SKEW_CONNECTIONS_MIN 8u
// Runnable but not running, of all time it wanted to run. A quarter is a neighbour at work.
#define RUNQ_PERCENT 25.0
#define RUNQ_CPU_PERCENT 10.0
#define QUEUE_PERCENT 50u
#define BACKLOG_MIN 1024u
#define RETRANSMIT_PER_1000 10.0
#define EVENTS_MIN 10u
#define RESETS_PER_1000 50.0
#define ERRORS_PER_1000 1.0
#define ERRORS_BAD_PER_1000 50.0
// A handler holds up all other connections of its worker while it runs.
#define SLOW_NS 8388608u  // 2^23: the end of a bucket.
#define SLOW_BUSY_PERCENT 5.0
#define SLOW_BAD_PERCENT 50.0

struct exam {
    const struct cv_snapshot *change;
    const struct cv_window_peak *peak;
    const struct cv_doctor_machine *machine;
    struct cv_snapshot_worker total;
    uint64_t requests;
    struct cv_finding *findings;
    size_t count;
};

static struct cv_finding *add(struct exam *exam, enum cv_severity severity, const char *tag,
                              const char *remedy) {
    CV_ASSERT(exam->count < CV_FINDINGS_MAX);
    struct cv_finding *finding = &exam->findings[exam->count++];

    *finding = (struct cv_finding){.severity = severity, .tag = tag, .remedy = remedy};
    return finding;
}

CV_PRINTF(2, 3) static void say(struct cv_finding *finding, const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(finding->finding, sizeof(finding->finding), format, arguments);
    va_end(arguments);
}

CV_PRINTF(2, 3) static void show(struct cv_finding *finding, const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(finding->evidence, sizeof(finding->evidence), format, arguments);
    va_end(arguments);
}

static double percent(uint64_t part, uint64_t whole) {
    return whole == 0 ? 0 : (double)part * 100 / (double)whole;
}

static double per_1000(const struct exam *exam, uint64_t count) {
    return cv_measure_per_1000(count, exam->requests);
}

static uint64_t counted(const struct exam *exam, enum covet_counter counter) {
    return exam->total.counter[counter];
}

static uint64_t measured(const struct exam *exam, const char *name) {
    struct cv_measure measure;

    return cv_measure_read(&measure, exam->change, &exam->total, name) == CV_MEASURE_OK
               ? measure.count
               : 0;
}

static double cpu_percent(const struct exam *exam, const struct cv_snapshot_worker *worker) {
    return percent(worker->cpu_ns, exam->change->interval_ns);
}

static void check_idle(struct exam *exam) {
    if (exam->requests > 0)
        return;
    struct cv_finding *finding =
        add(exam, CV_SEVERITY_INFO, "IDLE", "examine it under its load, or for longer: --seconds");
    say(finding, "no requests came, so most rules had nothing to look at");
    show(finding, "0 requests, up to %" PRIu64 " connections in %.1f s",
         exam->peak->connections_open, (double)exam->change->interval_ns / 1e9);
}

static void check_restart(struct exam *exam) {
    const struct cv_snapshot *change = exam->change;
    uint64_t begin_ns = change->taken_ns - change->interval_ns;
    bool is_new = false;

    for (uint32_t i = 0; i < change->worker_count; i++)
        is_new |= change->workers[i].thread_id != 0 && change->workers[i].start_ns > begin_ns;
    if (!is_new || change->server.server_starts < 2)
        return;
    struct cv_finding *finding =
        add(exam, CV_SEVERITY_ERROR, "RESTART", "look for event=crash in covet's log");
    say(finding, "the server was started again while it was examined");
    show(finding, "%u starts since covet began", change->server.server_starts);
}

// The most enters of a worker that had enough to do at a time.
static void check_batch(struct exam *exam) {
    const struct cv_snapshot *change = exam->change;
    double worst = 0;
    uint32_t which = 0;

    for (uint32_t i = 0; i < change->worker_count; i++) {
        const struct cv_snapshot_worker *worker = &change->workers[i];
        uint64_t requests = worker->counter[COVET_COUNTER_REQUESTS];
        double enters = cv_measure_per_1000(worker->counter[COVET_COUNTER_ENTERS], requests);
        bool has_work = worker->counter[COVET_COUNTER_CONNECTIONS_OPEN] >= BATCH_CONNECTIONS_MIN &&
                        cpu_percent(exam, worker) >= BUSY_PERCENT;
        bool is_kept = worker->counter[COVET_COUNTER_CONNECTIONS_ACCEPTED] < requests / 10;

        if (requests >= REQUESTS_MIN && is_kept && enters > worst &&
            enters >= (has_work ? BATCH_ENTERS_PER_1000 : SPIN_ENTERS_PER_1000)) {
            worst = enters;
            which = i;
        }
    }
    if (worst == 0)
        return;
    const struct cv_snapshot_worker *worker = &change->workers[which];
    struct cv_finding *finding =
        add(exam, CV_SEVERITY_WARN, "BATCH",
            "look for handlers that post messages or arm timers for each request; compare with "
            "covet-prof stat under covet-load");
    say(finding, "worker %u enters the kernel for little work at a time", which);
    show(finding,
         "%.0f io_uring_enter per 1000 requests with %" PRIu64 " connections open at %.0f %% CPU",
         worst, worker->counter[COVET_COUNTER_CONNECTIONS_OPEN], cpu_percent(exam, worker));
}

// Files are looked up by kernel threads, which is as it should be; sockets never need one.
static bool is_socket_op(uint32_t opcode) {
    switch (opcode) {
    case IORING_OP_SENDMSG:
    case IORING_OP_RECVMSG:
    case IORING_OP_ACCEPT:
    case IORING_OP_SEND:
    case IORING_OP_RECV:
    case IORING_OP_SEND_ZC:
    case IORING_OP_SENDMSG_ZC:
    case IORING_OP_MSG_RING:
        return true;
    default:
        return false;
    }
}

static void check_punt(struct exam *exam) {
    const struct cv_snapshot *change = exam->change;
    uint64_t punts = 0, most = 0;
    uint32_t worst = 0;

    for (size_t i = 0; i < change->uring_count; i++) {
        uint64_t punted = change->urings[i].stats.punted;
        if (!is_socket_op((uint32_t)change->urings[i].key.opcode))
            continue;
        punts += punted;
        if (punted > most) {
            most = punted;
            worst = (uint32_t)change->urings[i].key.opcode;
        }
    }
    if (punts < EVENTS_MIN || per_1000(exam, punts) < PUNTS_PER_1000)
        return;
    struct cv_finding *finding =
        add(exam, CV_SEVERITY_WARN, "PUNT",
            "see what is in the way of the operation: a file given as socket, a missing feature "
            "(covet --check)");
    say(finding, "operations on sockets are handed to kernel threads");
    show(finding, "%" PRIu64 " punted, %.1f per 1000 requests, most of them %s", punts,
         per_1000(exam, punts), cv_snapshot_uring_op_name(worst));
}

static void check_overflow(struct exam *exam) {
    uint64_t overflows = counted(exam, COVET_COUNTER_CQ_OVERFLOWS);

    if (overflows == 0)
        return;
    struct cv_finding *finding =
        add(exam, CV_SEVERITY_WARN, "OVERFLOW",
            "handlers run too long between two looks at the ring, or there are too few workers: "
            "see SLOW, add --cores");
    say(finding, "completion queues were full");
    show(finding, "%" PRIu64 " completions had no room, %.1f per 1000 requests", overflows,
         per_1000(exam, overflows));
}

static void check_starved(struct exam *exam) {
    uint64_t starved = counted(exam, COVET_COUNTER_BUFFERS_STARVED);

    if (starved == 0)
        return;
    struct cv_finding *finding =
        add(exam, CV_SEVERITY_WARN, "STARVED",
            "handlers that read bodies slowly hold the buffers: lower --output-max or "
            "--pipeline-max, or add --cores");
    say(finding, "receives ended because no buffer was free");
    show(finding, "%" PRIu64 " receives, up to %" PRIu64 " buffers of one worker in use", starved,
         exam->peak->buffers_in_use);
}

static void check_skew(struct exam *exam) {
    const struct cv_snapshot *change = exam->change;
    uint64_t most = 0, connections = exam->peak->connections_open;
    uint32_t which = 0;

    for (uint32_t i = 0; i < change->worker_count; i++) {
        uint64_t requests = change->workers[i].counter[COVET_COUNTER_REQUESTS];
        if (requests > most) {
            most = requests;
            which = i;
        }
    }
    if (change->worker_count < 2 || exam->requests < REQUESTS_MIN ||
        connections < (uint64_t)SKEW_CONNECTIONS_MIN * change->worker_count)
        return;
    double factor = (double)most * change->worker_count / (double)exam->requests;
    if (factor < SKEW_FACTOR)
        return;
    struct cv_finding *finding =
        add(exam, CV_SEVERITY_WARN, "SKEW",
            "few long connections, or few client addresses, spread badly: let clients open more, "
            "and spread the queues of the network card (covet-tune plan)");
    say(finding, "worker %u has more than its share of the requests", which);
    show(finding, "%.1f times the mean of %u workers, with %" PRIu64 " connections", factor,
         change->worker_count, connections);
}

static void check_shared_core(struct exam *exam) {
    const struct cv_snapshot *change = exam->change;

    for (uint32_t i = 0; i < change->worker_count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            if (change->workers[i].thread_id == 0 || change->workers[j].thread_id == 0 ||
                change->workers[i].cpu != change->workers[j].cpu)
                continue;
            struct cv_finding *finding = add(
                exam, CV_SEVERITY_WARN, "PINNING",
                "give each worker a core of its own: leave --workers out, or name more --cores");
            say(finding, "workers %u and %u share a core", j, i);
            show(finding, "both are on core %u; %u workers in all", change->workers[i].cpu,
                 change->worker_count);
            return;
        }
    }
}

static void check_migration(struct exam *exam) {
    const struct cv_snapshot *change = exam->change;

    for (uint32_t i = 0; i < change->worker_count; i++) {
        const struct cv_snapshot_worker *worker = &change->workers[i];
        bool is_free = worker->has_proc && worker->allowed_cpus > 1;

        if (!is_free && worker->sched.migrations == 0)
            continue;
        struct cv_finding *finding =
            add(exam, CV_SEVERITY_WARN, "MIGRATION",
                "somebody changed the worker's affinity (taskset, a cpuset): take that back");
        say(finding, "worker %u is not bound to one core", i);
        show(finding, "it may run on %u cores and moved %" PRIu64 " times", worker->allowed_cpus,
             worker->sched.migrations);
        return;
    }
}

// The worker that was kept waiting most.
static void check_run_queue(struct exam *exam) {
    const struct cv_snapshot *change = exam->change;
    double worst = 0;
    uint32_t which = 0;

    for (uint32_t i = 0; i < change->worker_count; i++) {
        const struct cv_snapshot_worker *worker = &change->workers[i];
        double share = percent(worker->runq_ns, worker->runq_ns + worker->cpu_ns);

        if (cpu_percent(exam, worker) >= RUNQ_CPU_PERCENT && share > worst) {
            worst = share;
            which = i;
        }
    }
    if (worst < RUNQ_PERCENT)
        return;
    const struct cv_snapshot_worker *worker = &change->workers[which];
    struct cv_finding *finding =
        add(exam, CV_SEVERITY_WARN, "RUNQ",
            "keep others off the workers' cores: load generators, interrupts, other services "
            "(covet-tune plan)");
    say(finding, "others have worker %u's core while it wants to run", which);
    show(finding,
         "put off for %.0f %% of the time it wanted core %u, interrupted %" PRIu64
         " times, longest wait %.1f ms",
         worst, worker->cpu, worker->involuntary_switches, (double)worker->sched.max_runq_ns / 1e6);
}

static void check_accept(struct exam *exam) {
    uint64_t drops = measured(exam, "accept_drops");
    const struct cv_snapshot *change = exam->change;
    uint32_t room = 0;

    for (size_t i = 0; i < change->listener_count; i++) {
        uint32_t each = change->listeners[i].queue_max / CV_MAX(change->listeners[i].sockets, 1);
        room = i == 0 ? each : CV_MIN(room, each);
    }
    if (drops == 0 && exam->peak->queue_percent < QUEUE_PERCENT)
        return;
    struct cv_finding *finding =
        add(exam, drops > 0 ? CV_SEVERITY_ERROR : CV_SEVERITY_WARN, "ACCEPT",
            room < BACKLOG_MIN
                ? "raise net.core.somaxconn (sysctl -w net.core.somaxconn=4096) and restart covet"
                : "workers come too late to accept: see SLOW and RUNQ, or add --cores");
    say(finding,
        drops > 0 ? "connections were refused, an accept queue was full" : "accept queues fill up");
    show(finding, "%" PRIu64 " refused, fullest queue %u %% of %u", drops,
         exam->peak->queue_percent, room);
}

static void check_backlog(struct exam *exam) {
    const struct cv_snapshot *change = exam->change;

    for (size_t i = 0; i < change->listener_count; i++) {
        const struct cv_snapshot_listener *listener = &change->listeners[i];
        uint32_t each = listener->queue_max / CV_MAX(listener->sockets, 1);

        if (each >= BACKLOG_MIN)
            continue;
        struct cv_finding *finding =
            add(exam, CV_SEVERITY_WARN, "BACKLOG",
                "raise net.core.somaxconn (sysctl -w net.core.somaxconn=4096) and restart covet");
        say(finding, "port %u has short accept queues", listener->port);
        show(finding, "room for %u connections in each of %u; the kernel's default is 4096", each,
             listener->sockets);
        return;
    }
}

static void check_descriptors(struct exam *exam) {
    uint64_t pauses = counted(exam, COVET_COUNTER_ACCEPT_PAUSES);

    if (pauses == 0)
        return;
    struct cv_finding *finding = add(exam, CV_SEVERITY_ERROR, "DESCRIPTORS",
                                     "raise the limit: LimitNOFILE= of the service, ulimit -n");
    say(finding, "accepting stopped for want of descriptors");
    show(finding, "%" PRIu64 " times, with up to %" PRIu64 " connections", pauses,
         exam->peak->connections_open);
}

static void check_retransmit(struct exam *exam) {
    uint64_t again = measured(exam, "tcp_retransmit");
    uint64_t answers = measured(exam, "tcp_retransmit_synack");
    uint64_t sends = counted(exam, COVET_COUNTER_SENDS);
    double ratio = cv_measure_per_1000(again, sends);

    if (answers < EVENTS_MIN && (again < EVENTS_MIN || ratio < RETRANSMIT_PER_1000))
        return;
    struct cv_finding *finding = add(
        exam, CV_SEVERITY_WARN, "RETRANSMIT",
        "packets get lost on the way to clients: look at the network card's and the path's drops");
    say(finding, "TCP sends again");
    show(finding, "%" PRIu64 " segments, %.1f per 1000 sends; %" PRIu64 " SYN-ACKs", again, ratio,
         answers);
}

static void check_resets(struct exam *exam) {
    uint64_t sent = measured(exam, "tcp_reset_sent");
    uint64_t received =
        CV_MAX(measured(exam, "tcp_reset_received"), counted(exam, COVET_COUNTER_CLOSED_RESET));
    uint64_t closed = sent + received;

    if (closed < EVENTS_MIN || per_1000(exam, closed) < RESETS_PER_1000)
        return;
    struct cv_finding *finding =
        add(exam, CV_SEVERITY_WARN, "RESETS",
            sent > received
                ? "covet closes on clients that still send: see the time-outs and refusals in "
                  "covet_connections_closed of /metrics"
                : "clients break connections off: their time-outs, or a balancer's health checks");
    say(finding, "connections end in resets");
    show(finding, "%" PRIu64 " sent, %" PRIu64 " received, %.0f per 1000 requests", sent, received,
         per_1000(exam, closed));
}

static void check_drops(struct exam *exam) {
    const struct cv_snapshot *change = exam->change;
    uint64_t drops = 0, most = 0;
    uint32_t worst = 0;

    for (size_t i = 0; i < change->drop_count; i++) {
        switch ((uint32_t)change->drops[i].key.reason) {
        case DROP_SOCKET_BACKLOG:
        case DROP_SOCKET_RCVBUFF:
        case DROP_PROTO_MEM:
        case DROP_NETFILTER_DROP:
        case DROP_SOCKET_FILTER:
        case DROP_TCP_CSUM:
        case DROP_TCP_OFO_QUEUE_PRUNE:
        case DROP_TCP_OFO_DROP:
            drops += change->drops[i].count;
            if (change->drops[i].count > most) {
                most = change->drops[i].count;
                worst = (uint32_t)change->drops[i].key.reason;
            }
            break;
        default:  // What any TCP drops now and then: old, doubled, late.
            break;
        }
    }
    if (drops < EVENTS_MIN)
        return;
    struct cv_finding *finding =
        add(exam, CV_SEVERITY_WARN, "DROPS",
            "SOCKET_RCVBUFF, PROTO_MEM: raise net.ipv4.tcp_rmem, tcp_mem; NETFILTER_DROP: the "
            "firewall");
    say(finding, "the kernel drops packets for the server's ports");
    show(finding, "%" PRIu64 " packets, most of them %s", drops,
         cv_snapshot_drop_reason_name(worst));
}

static void check_errors(struct exam *exam) {
    // Requests of before the interval may be answered within it.
    uint64_t errors = CV_MIN(counted(exam, COVET_COUNTER_RESPONSES_5XX), exam->requests);
    double ratio = per_1000(exam, errors);

    if (errors == 0 || ratio < ERRORS_PER_1000)
        return;
    struct cv_finding *finding =
        add(exam, ratio >= ERRORS_BAD_PER_1000 ? CV_SEVERITY_ERROR : CV_SEVERITY_WARN, "ERRORS",
            "read the application's log; --access-log shows which paths");
    say(finding, "requests are answered with 5xx");
    show(finding, "%" PRIu64 " of %" PRIu64 " requests, %.1f per 1000", errors, exam->requests,
         ratio);
}

// The least time that slow handlers took, from the buckets they are counted in.
static uint64_t slow_ns(const struct covet_histogram *histogram, uint64_t *count) {
    uint64_t least_ns = 0;

    *count = 0;
    for (uint32_t i = 1; i < COVET_HISTOGRAM_BUCKETS; i++) {
        uint64_t begin_ns = 1ull << (i + 7);  // <covet/abi.h>: bucket i ends at 2^(i + 8).
        if (begin_ns < SLOW_NS)
            continue;
        *count += histogram->bucket[i];
        least_ns += histogram->bucket[i] * begin_ns;
    }
    return least_ns;
}

static void check_slow(struct exam *exam) {
    const struct cv_snapshot *change = exam->change;
    double worst = 0;
    uint64_t count = 0;
    uint32_t which = 0;

    for (uint32_t i = 0; i < change->worker_count; i++) {
        uint64_t slow;
        double share =
            percent(slow_ns(&change->workers[i].handler_time, &slow), change->interval_ns);
        if (share > worst) {
            worst = share;
            which = i;
            count = slow;
        }
    }
    if (worst < SLOW_BUSY_PERCENT)
        return;
    struct cv_finding *finding =
        add(exam, worst >= SLOW_BAD_PERCENT ? CV_SEVERITY_ERROR : CV_SEVERITY_WARN, "SLOW",
            "a handler must not block: keep the request (covet_request_defer) and answer from a "
            "timer, another thread or the ring; covet-prof flame shows where it is");
    say(finding, "handlers hold worker %u up", which);
    show(finding,
         "%" PRIu64 " took over %.0f ms, together at least %.0f %% of the time; p99 of all %.1f ms",
         count, (double)SLOW_NS / 1e6, worst,
         (double)CV_MIN(cv_snapshot_handler_ns(&exam->total.handler_time, 0.99), 1ull << 31) / 1e6);
}

static void check_syscalls(struct exam *exam) {
    const struct cv_snapshot *change = exam->change;
    uint64_t calls = measured(exam, "other_syscalls"), most = 0;
    uint32_t worst = 0;

    if (calls < EVENTS_MIN || exam->requests < EVENTS_MIN ||
        per_1000(exam, calls) < OTHER_CALLS_PER_1000)
        return;
    for (size_t i = 0; i < change->syscall_count; i++) {
        const struct cv_snapshot_syscall *call = &change->syscalls[i];
        if (call->key.syscall != SYS_io_uring_enter && call->stats.count > most) {
            most = call->stats.count;
            worst = (uint32_t)call->key.syscall;
        }
    }
    struct cv_finding *finding =
        add(exam, CV_SEVERITY_WARN, "SYSCALLS",
            "handlers make system calls of their own: keep them off the request's path");
    say(finding, "workers make system calls beside io_uring_enter");
    show(finding, "%.1f per 1000 requests, most of them %s (%" PRIu64 ")", per_1000(exam, calls),
         cv_snapshot_syscall_name(worst), most);
}

static void check_ring_errors(struct exam *exam) {
    const struct cv_snapshot *change = exam->change;

    for (size_t i = 0; i < change->uring_count; i++) {
        const struct cv_snapshot_uring *op = &change->urings[i];
        const char *error = cv_snapshot_errno_name(op->stats.last_error);
        // EINVAL and such are never a client's doing; the rest is.
        bool is_ours = strcmp(error, "EINVAL") == 0 || strcmp(error, "EBADF") == 0 ||
                       strcmp(error, "EFAULT") == 0 || strcmp(error, "ENOMEM") == 0 ||
                       strcmp(error, "EOPNOTSUPP") == 0;

        if (!is_ours || op->stats.errors < EVENTS_MIN)
            continue;
        struct cv_finding *finding =
            add(exam, CV_SEVERITY_ERROR, "RINGERROR",
                "covet --check shows what this kernel gives; report it with this line");
        say(finding, "ring operations of worker %u fail", op->key.worker);
        show(finding, "%s: %" PRIu64 " errors, the last %s",
             cv_snapshot_uring_op_name((uint32_t)op->key.opcode), op->stats.errors, error);
        return;
    }
}

static void check_log(struct exam *exam) {
    uint64_t dropped = counted(exam, COVET_COUNTER_LOG_DROPPED);

    if (dropped == 0)
        return;
    struct cv_finding *finding = add(exam, CV_SEVERITY_WARN, "LOG",
                                     "write the access log to a faster place, or leave it out");
    say(finding, "access-log lines are lost");
    show(finding, "%" PRIu64 " lines, %.1f per 1000 requests", dropped, per_1000(exam, dropped));
}

static void check_governor(struct exam *exam) {
    bool is_busy = false;

    for (uint32_t i = 0; i < exam->change->worker_count; i++)
        is_busy |= cpu_percent(exam, &exam->change->workers[i]) >= BUSY_PERCENT;
    if (!is_busy || exam->machine->governor[0] == '\0')
        return;
    struct cv_finding *finding =
        add(exam, CV_SEVERITY_INFO, "GOVERNOR",
            "cpupower frequency-set -g performance, or covet-tune apply --class latency");
    say(finding, "busy cores may run below their highest frequency");
    show(finding, "the governor of a worker's core is %s", exam->machine->governor);
}

// The worst first; among equals the order of the rules stays.
static void sort(struct cv_finding *findings, size_t count) {
    for (size_t i = 1; i < count; i++) {
        struct cv_finding moved = findings[i];
        size_t to = i;

        for (; to > 0 && findings[to - 1].severity < moved.severity; to--)
            findings[to] = findings[to - 1];
        findings[to] = moved;
    }
}

size_t cv_doctor_examine(struct cv_finding findings[CV_FINDINGS_MAX],
                         const struct cv_snapshot *change, const struct cv_window_peak *peak,
                         const struct cv_doctor_machine *machine) {
    static void (*const checks[])(struct exam * exam) = {
        check_restart,  check_errors,     check_accept,      check_descriptors, check_ring_errors,
        check_slow,     check_batch,      check_punt,        check_overflow,    check_starved,
        check_skew,     check_syscalls,   check_shared_core, check_migration,   check_run_queue,
        check_backlog,  check_retransmit, check_resets,      check_drops,       check_log,
        check_governor, check_idle,
    };
    struct exam exam = {
        .change = change,
        .peak = peak,
        .machine = machine,
        .findings = findings,
    };

    _Static_assert(CV_ARRAY_COUNT(checks) <= CV_FINDINGS_MAX, "each adds one at most");
    cv_snapshot_total(change, &exam.total);
    exam.requests = exam.total.counter[COVET_COUNTER_REQUESTS];
    for (size_t i = 0; i < CV_ARRAY_COUNT(checks); i++)
        checks[i](&exam);
    sort(findings, exam.count);
    return exam.count;
}

const char *cv_doctor_severity_name(enum cv_severity severity) {
    static const char *const names[] = {
        [CV_SEVERITY_INFO] = "info", [CV_SEVERITY_WARN] = "warn", [CV_SEVERITY_ERROR] = "error"};

    return names[severity];
}
