// What a connection and a request cost in our own code: the worker's turn over a ring that does
// nothing, so that every nanosecond is bookkeeping of net and serve, and for requests of http and
// app too.
//
// A turn is the worker's (src/server/worker.c) with 64 completions, in a shuffled order. The ring's
// functions are defined here, so the library's own ring is not linked; they stay calls, since no
// kernel could be inlined either.
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <covet.h>

#include "app/app.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "mem/pool.h"
#include "metrics/counter.h"
#include "net/listener.h"
#include "net/net.h"
#include "ring/ring.h"
#include "serve/http1.h"
#include "timer/wheel.h"

#define BATCH 64u
#define OPEN_MAX (19u * OPEN)  // Connections that stay open; their records fill the second cache.
#define OPEN (15u * BATCH)     // Of them, the busy ones where not all are.
#define DESCRIPTORS_MAX 20000u
#define LISTENER_DESCRIPTOR 5
#define FIRST_DESCRIPTOR 10u
#define BUFFER_STRIDE (CV_RING_BUFFER_BYTES + 64u)
#define DEPTH 16u  // Requests in one receive, where they are pipelined.

#if defined(__GNUC__) && !defined(__clang__)
#define KERNEL __attribute__((noipa))
#else
#define KERNEL __attribute__((noinline))
#endif

struct cv_ring {
    uint64_t accept;                    // user_data of the armed accept
    uint64_t receive[DESCRIPTORS_MAX];  // and receives, by descriptor.
    uint32_t sends;                     // So many, of so many bytes.
    uint64_t sent_bytes;
    uint8_t *buffers;
};

static struct bench_server {
    struct cv_ring ring;
    struct cv_pool pool;
    struct cv_wheel wheel;
    struct cv_clock clock;
    struct covet_stats_worker stats;
    struct cv_limits limits;
    struct cv_net net;
    struct cv_env env;
    struct cv_http1 http1;
    uint32_t order[BATCH];          // Of the short connections,
    uint32_t open_order[OPEN_MAX];  // and of those that stay.
    struct cv_completion next[OPEN_MAX];
} server;

// The ring.
const struct cv_ring_features *cv_ring_features(const struct cv_ring *ring) {
    static const struct cv_ring_features features = {.zero_copy = true};
    (void)ring;
    return &features;
}

KERNEL void cv_ring_accept(struct cv_ring *ring, int descriptor, bool multishot,
                           uint64_t user_data) {
    (void)descriptor, (void)multishot;
    ring->accept = user_data;
}

KERNEL void cv_ring_receive(struct cv_ring *ring, int descriptor, bool poll_first,
                            uint64_t user_data) {
    (void)poll_first;
    ring->receive[descriptor] = user_data;
}

KERNEL void cv_ring_receive_bundle(struct cv_ring *ring, int descriptor, uint32_t bytes_max,
                                   uint64_t user_data) {
    (void)bytes_max;
    ring->receive[descriptor] = user_data;
}

KERNEL void cv_ring_send(struct cv_ring *ring, int descriptor, const void *data, size_t bytes,
                         enum cv_ring_send_mode mode, uint64_t user_data) {
    (void)descriptor, (void)data, (void)mode, (void)user_data;
    ring->sends++;
    ring->sent_bytes += bytes;
}

KERNEL void cv_ring_sendmsg(struct cv_ring *ring, int descriptor, const struct msghdr *message,
                            enum cv_ring_send_mode mode, uint64_t user_data) {
    (void)descriptor, (void)message, (void)mode, (void)user_data;
    ring->sends++;
}

KERNEL void cv_ring_send_zero_copy(struct cv_ring *ring, int descriptor, const void *data,
                                   size_t bytes, uint32_t memory, uint64_t user_data) {
    (void)descriptor, (void)data, (void)memory, (void)user_data;
    ring->sends++;
    ring->sent_bytes += bytes;
}

bool cv_ring_has_memory(const struct cv_ring *ring, uint32_t index) {
    (void)ring, (void)index;
    return false;
}

uint32_t cv_ring_unacknowledged(struct cv_ring *ring, int descriptor) {
    (void)ring, (void)descriptor;
    return 0;
}

KERNEL void cv_ring_cancel(struct cv_ring *ring, uint64_t target, uint64_t user_data) {
    (void)ring, (void)target, (void)user_data;
}

KERNEL void cv_ring_close(struct cv_ring *ring, int descriptor, uint64_t user_data) {
    (void)user_data;
    ring->receive[descriptor] = 0;
}

KERNEL uint8_t *cv_ring_buffer(const struct cv_ring *ring, uint32_t buffer) {
    return ring->buffers + (size_t)buffer * BUFFER_STRIDE;
}

KERNEL void cv_ring_give_back(struct cv_ring *ring, uint32_t buffer) {
    (void)ring, (void)buffer;
}

uint32_t cv_ring_buffers_lent(const struct cv_ring *ring) {
    (void)ring;
    return 0;
}

uint32_t cv_ring_buffers_total(const struct cv_ring *ring) {
    (void)ring;
    return BATCH;
}

void cv_ring_shutdown(struct cv_ring *ring, int descriptor, int how) {
    (void)ring, (void)descriptor, (void)how;
}

void cv_ring_reset_on_close(struct cv_ring *ring, int descriptor) {
    (void)ring, (void)descriptor;
}

int cv_ring_accept_now(struct cv_ring *ring, int descriptor) {
    (void)ring, (void)descriptor;
    return -1;
}

void cv_ring_peer(struct cv_ring *ring, int descriptor, struct cv_peer *peer) {
    (void)ring, (void)descriptor;
    *peer = (struct cv_peer){.family = CV_PEER_IPV4};
}

// Turns.
static void begin_turn(void) {
    cv_net_submitted(&server.net);
    cv_net_sent(&server.net);
    cv_clock_update(&server.clock);
}

static void end_turn(void) {
    cv_net_settle(&server.net);
    (void)cv_wheel_run(&server.wheel, server.clock.now_ms);
    while (cv_net_run(&server.net)) {
    }
}

static void accept_batch(void) {
    begin_turn();
    for (uint32_t i = 0; i < BATCH; i++) {
        struct cv_completion completion = {server.ring.accept,
                                           (int32_t)(FIRST_DESCRIPTOR + server.order[i]),
                                           CV_RING_NO_BUFFER, true, false};
        cv_listener_complete(&server.net, &completion);
    }
    end_turn();
}

static void take_batch(const struct cv_completion *completions) {
    begin_turn();
    for (uint32_t i = 0; i < CV_NET_PREFETCH_AHEAD; i++)
        cv_net_prefetch(&server.net, &completions[i]);
    for (uint32_t i = 0; i < BATCH; i++) {
        if (i + CV_NET_PREFETCH_AHEAD < BATCH)
            cv_net_prefetch(&server.net, &completions[i + CV_NET_PREFETCH_AHEAD]);
        if (i + CV_NET_OUTPUT_AHEAD < BATCH)
            cv_net_prefetch_output(
                &server.net, covet_user_data_slot(completions[i + CV_NET_OUTPUT_AHEAD].user_data));
        cv_net_complete(&server.net, &completions[i]);
    }
    end_turn();
}

static const char request[] = "GET /hello HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

// So many requests of the connection at `descriptor`, or its client's end. Every buffer holds DEPTH
// of them.
static struct cv_completion received(uint32_t descriptor, uint32_t buffer, uint32_t requests) {
    return (struct cv_completion){server.ring.receive[descriptor],
                                  (int32_t)(requests * (sizeof(request) - 1)),
                                  requests > 0 ? buffer : CV_RING_NO_BUFFER, requests > 0, false};
}

static void receive_batch(uint32_t requests) {
    struct cv_completion completions[BATCH];
    for (uint32_t i = 0; i < BATCH; i++)
        completions[i] = received(FIRST_DESCRIPTOR + server.order[i], i, requests);
    take_batch(completions);
}

static void prepare(void *context) {
    (void)context;
    bench_shuffle(server.order, BATCH);
}

static void run_accept_close(void *context, uint32_t count) {
    (void)context;
    for (uint32_t done = 0; done < count; done += BATCH) {
        accept_batch();
        receive_batch(0);
    }
    bench_keep(server.net.open_count);
}

static void run_accept_hello_close(void *context, uint32_t count) {
    (void)context;
    for (uint32_t done = 0; done < count; done += BATCH) {
        accept_batch();
        receive_batch(1);
        receive_batch(0);
    }
    bench_keep(server.ring.sends);
}

// So many connections, each of which sends so many requests in turn.
struct clients {
    uint32_t open;
    uint32_t depth;
};

static void prepare_requests(void *context) {
    const struct clients *clients = context;
    bench_shuffle(server.open_order, clients->open);
    for (uint32_t i = 0; i < clients->open; i++)
        server.next[i] =
            received(FIRST_DESCRIPTOR + BATCH + server.open_order[i], i % BATCH, clients->depth);
}

static void run_requests(void *context, uint32_t count) {
    const struct clients *clients = context;
    for (uint32_t done = 0; done < count / clients->depth; done += BATCH)
        take_batch(&server.next[done % clients->open]);
    bench_keep(server.ring.sends);
}

// The server.
static void handle_hello(struct covet_request *hello, struct covet_response *response) {
    (void)hello;
    (void)covet_response_body(response, "text/plain", "Hello, World!", 13, COVET_STATIC);
}

static void open_server(void) {
    static const int listener = LISTENER_DESCRIPTOR;
    struct covet_app *app = cv_app_create();

    server.ring.buffers = malloc((size_t)BATCH * BUFFER_STRIDE);
    if (server.ring.buffers == NULL || app == NULL)
        abort();
    for (uint32_t i = 0; i < BATCH * DEPTH; i++)
        memcpy(cv_ring_buffer(&server.ring, i / DEPTH) + i % DEPTH * (sizeof(request) - 1), request,
               sizeof(request) - 1);
    server.limits = (struct cv_limits){
        .header_timeout_ms = 10000,
        .idle_timeout_ms = 60000,
        .body_grace_ms = 5000,
        .body_rate_min = 500,
        .write_timeout_ms = 30000,
        .linger_timeout_ms = 2000,
        .head_bytes_max = 32768,
        .target_bytes_max = 8192,
        .fields_max = 100,
        .pipeline_max = 128,
        .output_bytes_max = 256 * 1024,
        .zero_copy_bytes_min = 32 * 1024,
        .body_bytes_max = 1024 * 1024,
    };
    cv_clock_init(&server.clock);
    cv_wheel_init(&server.wheel, server.clock.now_ms);
    cv_pool_init(&server.pool);
    server.env = (struct cv_env){
        .worker_count = 1,
        .pool = &server.pool,
        .wheel = &server.wheel,
        .clock = &server.clock,
        .stats = &server.stats,
    };
    server.http1 = (struct cv_http1){.env = &server.env, .drain_idle_ms = 2000};
    server.net = (struct cv_net){
        .ring = &server.ring,
        .pool = &server.pool,
        .wheel = &server.wheel,
        .clock = &server.clock,
        .stats = &server.stats,
        .limits = &server.limits,
        .ops = &cv_http1_ops,
        .protocol = &server.http1,
    };
    if (covet_route(app, COVET_GET, "/hello", handle_hello, NULL) != 0 || cv_app_seal(app) != 0 ||
        cv_app_attach(app, &server.env, &server.http1.app) != 0 ||
        cv_net_init(&server.net, DESCRIPTORS_MAX) != 0 ||
        cv_listener_open_all(&server.net, &listener, 1) != 0)
        abort();
}

void bench_conn(void) {
    static const struct clients few = {OPEN, 1}, many = {OPEN_MAX, 1}, pipelining = {OPEN, DEPTH};
    const struct bench each[] = {
        {.name = "conn/accept_close",
         .multiple = BATCH,
         .run = run_accept_close,
         .prepare = prepare},
        {.name = "conn/accept_hello_close",
         .multiple = BATCH,
         .run = run_accept_hello_close,
         .prepare = prepare},
        {.name = "conn/request_hello",
         .multiple = OPEN,
         .run = run_requests,
         .prepare = prepare_requests,
         .context = (void *)(uintptr_t)&few},
        {.name = "conn/request_hello_18k",
         .multiple = OPEN_MAX,
         .run = run_requests,
         .prepare = prepare_requests,
         .context = (void *)(uintptr_t)&many},
        {.name = "conn/request_pipelined",
         .multiple = OPEN * DEPTH,
         .run = run_requests,
         .prepare = prepare_requests,
         .context = (void *)(uintptr_t)&pipelining},
    };

    open_server();
    for (uint32_t i = 0; i < OPEN_MAX; i++)
        cv_net_open(&server.net, (int)(FIRST_DESCRIPTOR + BATCH + i));
    for (size_t i = 0; i < CV_ARRAY_COUNT(each); i++) {
        struct bench bench = each[i];

        bench.impl = "covet";
        bench_add(&bench);
    }
}
