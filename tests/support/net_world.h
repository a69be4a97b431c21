// The connections of one worker on a fake ring, with a clock the test sets.
//
// t_world_turn is a worker's turn: completions, timers, the to-do list. t_world_settle runs turns
// as long as something wakes the worker. t_world_deinit asserts that nothing is left behind.
#ifndef T_SUPPORT_NET_WORLD_H
#define T_SUPPORT_NET_WORLD_H

#include "support/fake_ring.h"

#include "base/clock.h"
#include "mem/pool.h"
#include "metrics/counter.h"
#include "net/listener.h"
#include "net/net.h"
#include "timer/wheel.h"

#define T_START_NS 5000000000000ull
#define T_REALTIME_S 784111777  // Sun, 06 Nov 1994 08:49:37 GMT
#define T_DESCRIPTORS_MAX 9000u
#define T_ZERO_COPY_MIN 40000u  // Where `features.zero_copy` is set and taken in.

struct t_world {
    struct cv_ring *ring;
    struct cv_pool pool;
    struct cv_wheel wheel;
    struct cv_clock clock;
    struct covet_stats_worker stats;
    struct cv_limits limits;
    struct cv_net net;
    bool has_more;
};

static inline struct cv_limits t_limits(void) {
    return (struct cv_limits){
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
        .zero_copy_bytes_min = T_ZERO_COPY_MIN,
        .lag_max_ms = 50,
        .lag_hold_ms = 100,
        .retry_after_s = 1,
        .body_bytes_max = 1024 * 1024,
    };
}

static inline void t_world_init(struct t_world *world, const struct cv_conn_ops *ops,
                                uint32_t buffer_count) {
    memset(world, 0, sizeof(*world));
    world->ring = t_ring_create(buffer_count);
    world->limits = t_limits();
    cv_clock_set(&world->clock, T_START_NS, T_REALTIME_S);
    cv_wheel_init(&world->wheel, world->clock.now_ms);
    cv_pool_init(&world->pool);
    world->net = (struct cv_net){
        .ring = world->ring,
        .pool = &world->pool,
        .wheel = &world->wheel,
        .clock = &world->clock,
        .stats = &world->stats,
        .limits = &world->limits,
        .ops = ops,
        .worker_index = 3,
    };
    assert_int_equal(cv_net_init(&world->net, T_DESCRIPTORS_MAX), 0);
}

static inline uint64_t t_counter(const struct t_world *world, enum covet_counter counter) {
    return cv_counter_read(&world->stats, counter);
}

static inline int t_world_open(struct t_world *world) {
    int descriptor = t_ring_socket(world->ring);
    cv_net_open(&world->net, descriptor);
    return descriptor;
}

// The record behind a descriptor that is open or still known to the kernel.
static inline struct cv_conn *t_world_conn(struct t_world *world, int descriptor) {
    for (uint32_t i = 0; i < world->net.table_used; i++) {
        struct cv_conn *conn = &world->net.table[i];
        if (conn->descriptor == descriptor && conn->state != CV_CONN_FREE) {
            return conn;
        }
    }
    return NULL;
}

static inline void t_world_complete(struct t_world *world, struct cv_completion completion) {
    cv_net_complete(&world->net, &completion);
}

// Completes what a kernel would now. Returns how much that was.
static inline uint32_t t_world_kernel(struct t_world *world) {
    struct cv_completion completion;
    uint32_t count = 0;
    for (int i = 0; i < world->ring->socket_count; i++) {
        if (t_ring_poll_send(world->ring, i, &completion)) {
            t_world_complete(world, completion);
            count++;
        }
    }
    cv_net_sent(&world->net);
    for (int i = 0; i < world->ring->socket_count; i++) {
        if (t_ring_poll_receive(world->ring, i, &completion)) {
            t_world_complete(world, completion);
            count++;
        }
        if (t_ring_frees(&world->ring->socket[i])) {
            t_world_complete(world, t_ring_freed(world->ring, i));
            count++;
        }
    }
    return count;
}

static inline void t_world_submit(struct t_world *world) {
    t_ring_submit(world->ring);
    cv_net_submitted(&world->net);
}

static inline void t_world_turn(struct t_world *world) {
    t_world_submit(world);
    (void)t_world_kernel(world);
    cv_net_settle(&world->net);
    (void)cv_wheel_run(&world->wheel, world->clock.now_ms);
    world->has_more = cv_net_run(&world->net) || world->net.quiet_submitted > 0;
}

static inline void t_world_settle(struct t_world *world) {
    uint32_t turns = 0;
    // What the test did since, it did as a handler or timer would in the course of a turn.
    t_world_turn(world);
    for (;;) {
        // The worker submits before it sleeps, so this may be what wakes it.
        t_world_submit(world);
        if (!world->has_more && !t_ring_wakes(world->ring) &&
            cv_wheel_next_ms(&world->wheel) > world->clock.now_ms) {
            return;
        }
        assert_true(++turns < 200000);
        t_world_turn(world);
    }
}

// Time passes, looked at often enough that no timer is more than a moment late.
static inline void t_world_wait(struct t_world *world, uint64_t ms) {
    while (ms > 0) {
        uint64_t step = CV_MIN(ms, (uint64_t)10);
        cv_clock_set(&world->clock, world->clock.now_ns + step * 1000000u, T_REALTIME_S);
        t_world_settle(world);
        ms -= step;
    }
}

static inline void t_world_assert_empty(struct t_world *world) {
    assert_int_equal(world->net.open_count, 0);
    assert_true(cv_net_is_idle(&world->net));
    assert_int_equal(cv_pool_live_bytes(&world->pool), 0);
    assert_int_equal(world->ring->lent, 0);
    assert_int_equal(world->wheel.count, 0);
    assert_int_equal(world->net.zero_copy.count, 0);
    assert_int_equal(t_counter(world, COVET_COUNTER_CONNECTIONS_OPEN), 0);
}

static inline void t_world_deinit(struct t_world *world) {
    (void)cv_net_close_all(&world->net);
    t_world_settle(world);
    t_world_assert_empty(world);
    cv_pool_deinit(&world->pool);
    cv_net_deinit(&world->net);
    t_ring_destroy(world->ring);
}

#endif
