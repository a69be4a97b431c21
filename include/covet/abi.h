/* The binary seams of covet: how a ring's user_data is packed and how counter pages are laid out.
 *
 * Read by src/ring, src/metrics, bpf/ and tools/, which include nothing of each other. Fixed-width
 * types only; every change of a layout below raises COVET_ABI_VERSION.
 */
#ifndef COVET_ABI_H
#define COVET_ABI_H

#include <stdint.h>

#define COVET_ABI_VERSION 4u

/* user_data of a submission, high bits to low:
 *
 *   63      56 55      48 47              32 31                               0
 *  +----------+----------+------------------+----------------------------------+
 *  |    op    |  worker  |    generation    |               slot               |
 *  +----------+----------+------------------+----------------------------------+
 *
 * `op` is what the completion means (enum covet_op), `worker` the index of the ring's owner,
 * `slot` an index in the owner's table for that op, and `generation` that slot's at submission: a
 * completion whose generation is not the slot's own any more belongs to a connection that is gone.
 */
enum covet_op {
    COVET_OP_NONE = 0,
    COVET_OP_ACCEPT = 1,    /* multishot accept; slot: listener */
    COVET_OP_RECV = 2,      /* receive; slot: connection */
    COVET_OP_SEND = 3,      /* send or sendmsg; slot: connection */
    COVET_OP_CANCEL = 4,    /* cancel of another operation; slot: connection or listener */
    COVET_OP_CLOSE = 5,     /* close of a descriptor; slot: connection */
    COVET_OP_WAKE = 6,      /* the worker's eventfd is readable; slot: 0 */
    COVET_OP_MESSAGE = 7,   /* another ring's message; slot: sender's worker index */
    COVET_OP_NOTIFY = 8,    /* a wake-up that failed; slot: a worker, their number: main */
    COVET_OP_ZERO_COPY = 9, /* zero-copy send, completes twice; slot: such a send */
    COVET_OP_ALARM = 10,    /* the time-out that ends a wait; worker and slot: 0 */
    COVET_OP_COUNT = 11
};

#define COVET_WORKERS_MAX 256u

static inline uint64_t covet_user_data(uint32_t op, uint32_t worker, uint32_t generation,
                                       uint32_t slot) {
    return ((uint64_t)(op & 0xffu) << 56) | ((uint64_t)(worker & 0xffu) << 48) |
           ((uint64_t)(generation & 0xffffu) << 32) | slot;
}

static inline uint32_t covet_user_data_op(uint64_t user_data) {
    return (uint32_t)(user_data >> 56);
}

static inline uint32_t covet_user_data_worker(uint64_t user_data) {
    return (uint32_t)(user_data >> 48) & 0xffu;
}

static inline uint32_t covet_user_data_generation(uint64_t user_data) {
    return (uint32_t)(user_data >> 32) & 0xffffu;
}

static inline uint32_t covet_user_data_slot(uint64_t user_data) {
    return (uint32_t)user_data;
}

/* Counters of one worker, each written by its owner alone. Gauges are counters that also fall.
 * COVET_COUNTERS(X) lists X(NAME, name, kind, help); `name` is what OpenMetrics shows after
 * "covet_". A counter's name gets "_total" there. Label values of one family stand in braces. */
#define COVET_COUNTERS(X) \
    X(REQUESTS, "requests", COUNTER, "Requests answered") \
    X(RESPONSES_1XX, "responses{class=\"1xx\"}", COUNTER, "Responses by status class") \
    X(RESPONSES_2XX, "responses{class=\"2xx\"}", COUNTER, "") \
    X(RESPONSES_3XX, "responses{class=\"3xx\"}", COUNTER, "") \
    X(RESPONSES_4XX, "responses{class=\"4xx\"}", COUNTER, "") \
    X(RESPONSES_5XX, "responses{class=\"5xx\"}", COUNTER, "") \
    X(RECEIVED_BYTES, "received_bytes", COUNTER, "Bytes received from clients") \
    X(SENT_BYTES, "sent_bytes", COUNTER, "Bytes sent to clients") \
    X(RECEIVES, "receives", COUNTER, "Receive completions that carried bytes") \
    X(SENDS, "sends", COUNTER, "Sends that are over") \
    X(CONNECTIONS_OPEN, "connections_open", GAUGE, "Connections open now") \
    X(CONNECTIONS_ACCEPTED, "connections_accepted", COUNTER, "Connections accepted") \
    X(CLOSED_CLIENT, "connections_closed{reason=\"client\"}", COUNTER, \
      "Connections closed, by reason") \
    X(CLOSED_RESET, "connections_closed{reason=\"reset\"}", COUNTER, "") \
    X(CLOSED_SERVER, "connections_closed{reason=\"server\"}", COUNTER, "") \
    X(CLOSED_IDLE, "connections_closed{reason=\"idle_timeout\"}", COUNTER, "") \
    X(CLOSED_HEADER, "connections_closed{reason=\"header_timeout\"}", COUNTER, "") \
    X(CLOSED_BODY, "connections_closed{reason=\"body_timeout\"}", COUNTER, "") \
    X(CLOSED_WRITE, "connections_closed{reason=\"write_timeout\"}", COUNTER, "") \
    X(CLOSED_ERROR, "connections_closed{reason=\"request_error\"}", COUNTER, "") \
    X(CLOSED_DRAIN, "connections_closed{reason=\"drain\"}", COUNTER, "") \
    X(CLOSED_LIMIT, "connections_closed{reason=\"limit\"}", COUNTER, "") \
    X(CLOSED_SPARED, "connections_closed{reason=\"overload_idle\"}", COUNTER, "") \
    X(CLOSED_OVERLOAD, "connections_closed{reason=\"overload\"}", COUNTER, "") \
    X(PARSE_REQUEST_LINE, "parse_errors{kind=\"request_line\"}", COUNTER, \
      "Requests refused by the parser, by kind") \
    X(PARSE_TARGET, "parse_errors{kind=\"target\"}", COUNTER, "") \
    X(PARSE_VERSION, "parse_errors{kind=\"version\"}", COUNTER, "") \
    X(PARSE_FIELD, "parse_errors{kind=\"field\"}", COUNTER, "") \
    X(PARSE_HOST, "parse_errors{kind=\"host\"}", COUNTER, "") \
    X(PARSE_FRAMING, "parse_errors{kind=\"framing\"}", COUNTER, "") \
    X(PARSE_CHUNK, "parse_errors{kind=\"chunk\"}", COUNTER, "") \
    X(PARSE_LIMIT, "parse_errors{kind=\"limit\"}", COUNTER, "") \
    X(MEMORY_BYTES, "memory_allocated_bytes", GAUGE, "Bytes the worker's pools hold") \
    X(BUFFERS_IN_USE, "receive_buffers_in_use", GAUGE, "Provided receive buffers lent out") \
    X(BUFFERS_STARVED, "receive_buffers_starved", COUNTER, \
      "Receives that ended because no buffer was free") \
    X(ENTERS, "enters", COUNTER, "io_uring_enter calls") \
    X(CQ_OVERFLOWS, "cq_overflows", COUNTER, "Completions the completion queue had no room for") \
    X(ACCEPT_PAUSES, "accept_pauses", COUNTER, \
      "Times accepting stopped: no descriptors, or overload") \
    X(LOG_DROPPED, "log_lines_dropped", COUNTER, \
      "Access-log lines dropped: queue full, or not written") \
    X(MESSAGES, "messages", COUNTER, "Messages received from other threads") \
    X(MEMORY_LIVE_BYTES, "memory_live_bytes", GAUGE, "Bytes of the worker's pools in use") \
    X(MEMORY_PEAK_BYTES, "memory_peak_bytes", GAUGE, \
      "The most that was in use at the end of a loop turn, or when a pool took more memory") \
    X(MEMORY_REFILLS, "memory_refills", COUNTER, \
      "Times a size class was empty and took more memory") \
    X(MEMORY_REMOTE_FREES, "memory_remote_frees", COUNTER, \
      "Blocks of the worker's pools freed by other threads") \
    X(MEMORY_SLABS_HUGETLB, "memory_slabs{pages=\"hugetlb\"}", GAUGE, \
      "Slabs of 2 MiB below the worker's pools, by what backs them") \
    X(MEMORY_SLABS_TRANSPARENT, "memory_slabs{pages=\"transparent\"}", GAUGE, "") \
    X(MEMORY_SLABS_PLAIN, "memory_slabs{pages=\"plain\"}", GAUGE, "") \
    X(ZERO_COPY_SENDS, "zero_copy_sends", COUNTER, \
      "Sends whose bytes the kernel took from where they lie") \
    X(ZERO_COPY_COPIED, "zero_copy_copied", COUNTER, \
      "Of them, those that were copied on their way") \
    X(ROUTE_CACHE_HITS, "route_cache_hits", COUNTER, \
      "Requests whose route the table of static paths knew") \
    X(ROUTE_CACHE_MISSES, "route_cache_misses", COUNTER, \
      "Requests for which the tree of patterns was searched") \
    X(OVERLOAD_CONNECTIONS, "overload_percent{of=\"connections\"}", GAUGE, \
      "The level reached: 0, 85, 92 or 95 percent of a limit") \
    X(OVERLOAD_MEMORY, "overload_percent{of=\"memory\"}", GAUGE, "") \
    X(SHEDDING, "shedding", GAUGE, "1 while new requests are shed because work waits too long") \
    X(OVERLOADS_85, "overloads{level=\"85\"}", COUNTER, \
      "Times a level was reached; lag: that shedding began") \
    X(OVERLOADS_92, "overloads{level=\"92\"}", COUNTER, "") \
    X(OVERLOADS_95, "overloads{level=\"95\"}", COUNTER, "") \
    X(OVERLOADS_LAG, "overloads{level=\"lag\"}", COUNTER, "") \
    X(REFUSED_LIMIT, "requests_refused{reason=\"limit\"}", COUNTER, \
      "Requests answered 503 unheard, by what was exhausted") \
    X(REFUSED_LAG, "requests_refused{reason=\"lag\"}", COUNTER, "")

enum covet_counter {
#define COVET_COUNTER_ENUM(name, text, kind, help) COVET_COUNTER_##name,
    COVET_COUNTERS(COVET_COUNTER_ENUM)
#undef COVET_COUNTER_ENUM
        COVET_COUNTER_COUNT
};

/* Handler time, in nanoseconds: bucket i counts handlers that took at most 2^(i + 8) ns and more
 * than the end of the bucket before; the last one has no upper end. */
#define COVET_HISTOGRAM_BUCKETS 24u

struct covet_histogram {
    uint64_t sum_ns;
    uint64_t count;
    uint64_t bucket[COVET_HISTOGRAM_BUCKETS];
};

/* One worker's slot group: written by its owner alone, one aligned word at a time, and read by
 * anyone without locks. */
struct covet_stats_worker {
    uint32_t thread_id; /* kernel thread id, 0 while the worker is not running */
    uint32_t cpu;       /* the core it is pinned to */
    uint64_t start_ns;  /* CLOCK_MONOTONIC at the start of the thread */
    uint64_t counter[COVET_COUNTER_COUNT];
    struct covet_histogram handler_time;
} __attribute__((aligned(64)));

/* The file /run/covet/PID/stats: this header, then `worker_count` slot groups. */
#define COVET_STATS_MAGIC 0x7374617465766f63ull /* "covetats" read as bytes, low first */

#define COVET_STATS_PORTS_MAX 16u

struct covet_stats_header {
    uint64_t magic;
    uint32_t abi_version;
    uint32_t worker_count;
    uint32_t header_bytes; /* offset of the first slot group */
    uint32_t worker_bytes; /* distance between slot groups */
    uint64_t total_bytes;
    uint64_t start_ns;         /* CLOCK_MONOTONIC at the supervisor's start */
    uint64_t start_realtime_s; /* seconds since the epoch at the supervisor's start */
    uint32_t supervisor_pid;
    uint32_t server_pid;                  /* the running server, 0 between servers */
    uint32_t server_starts;               /* servers started since the supervisor's start */
    uint32_t port_count;                  /* of the ports below; more than fit are left out */
    uint16_t port[COVET_STATS_PORTS_MAX]; /* TCP ports it listens on, ascending, each once */
} __attribute__((aligned(64)));

/* The line between covet and a profiler, a SOCK_SEQPACKET pair: covet sends a target whenever one
 * begins or ends; once it measures that server the profiler answers with a line of text, "on
 * key=value..." the first time and "ok" from then on, or at any time says why it does not, "off
 * key=value..."; covet logs what is behind on and off. The end of one is an end of file for the
 * other. A profiler that starts covet names covet's end of the pair, a descriptor, in this variable
 * of its environment; covet's servers then wait a moment for its answer before they begin. */
#define COVET_PROFILE_FD "COVET_PROFILE_FD"
#define COVET_PROFILE_LINE_BYTES_MAX 900u

struct covet_profile_target {
    uint32_t abi_version; /* of the sender; first in every version */
    uint32_t supervisor_pid;
    uint32_t server_pid; /* 0: between servers */
    uint32_t port_count;
    uint16_t port[COVET_STATS_PORTS_MAX]; /* as in the counter pages */
    char stats_path[112];                 /* the counter pages; empty: they have no file */
};

#ifndef __cplusplus
_Static_assert(sizeof(struct covet_stats_header) == 64 || sizeof(struct covet_stats_header) == 128,
               "the header fills whole cache lines");
_Static_assert(sizeof(struct covet_stats_worker) % 64 == 0, "slot groups share no cache line");
#endif

#endif
