// A multishot accept ends with any error, so every completion without `more` is followed by a
// decision: arm again now (an aborted connection), later (out of descriptors or memory, forbidden),
// or never (stopped). Accepting pauses before the table is full: the backlog keeps clients waiting
// instead of refused. A multishot accept empties a whole backlog before it can be cancelled, so
// close to the limit connections are accepted one by one.
#include "net/listener.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/log.h"
#include "metrics/counter.h"

#define PAUSE_MS 100u
#define BACKLOG_MAX \
    8192u  // More than listeners are given, with what arrives before a cancel works.

static uint64_t user_data(const struct cv_listener *listener, enum covet_op op) {
    return covet_user_data(op, listener->net->worker_index, listener->generation, listener->index);
}

static bool has_room(const struct cv_net *net) {
    return !net->is_held && net->open_count < net->connections_max;
}

static bool has_ample_room(const struct cv_net *net) {
    return net->connections_max > BACKLOG_MAX &&
           net->open_count < net->connections_max - BACKLOG_MAX;
}

static void arm(struct cv_listener *listener) {
    if (!listener->armed && !listener->stopping && !listener->paused && listener->descriptor >= 0 &&
        has_room(listener->net)) {
        listener->armed = true;
        listener->generation++;
        listener->multishot = has_ample_room(listener->net);
        cv_ring_accept(listener->net->ring, listener->descriptor, listener->multishot,
                       user_data(listener, COVET_OP_ACCEPT));
    }
}

static void disarm(struct cv_listener *listener) {
    if (listener->armed) {
        cv_ring_cancel(
            listener->net->ring, user_data(listener, COVET_OP_ACCEPT),
            covet_user_data(COVET_OP_CANCEL, listener->net->worker_index, 0, UINT32_MAX));
    }
}

// All of them: each takes its whole backlog before it can be cancelled.
static void disarm_multishots(struct cv_net *net) {
    for (uint32_t i = 0; i < net->listener_count; i++) {
        if (net->listeners[i].multishot) {
            disarm(&net->listeners[i]);
        }
    }
}

static void on_pause_over(struct cv_timer *timer) {
    struct cv_listener *listener = CV_CONTAINER_OF(timer, struct cv_listener, timer);
    listener->paused = false;
    arm(listener);
}

static void pause_for_want(struct cv_listener *listener, int32_t error) {
    struct cv_net *net = listener->net;
    cv_counter_add(net->stats, COVET_COUNTER_ACCEPT_PAUSES, 1);
    cv_log(CV_LOG_DEBUG, "accept_paused", "worker=%u error=%d", net->worker_index, -error);
    listener->paused = true;
    cv_wheel_start(net->wheel, &listener->timer, net->clock->now_ms + PAUSE_MS);
}

// Whether accept(2) speaks of the connection it took, not of those behind it: its own errors and
// those that were pending on it.
static bool is_of_one(int error) {
    return error == -ECONNABORTED || error == -EINTR || error == -EPROTO || error == -ENETDOWN ||
           error == -ENETUNREACH || error == -EHOSTDOWN || error == -EHOSTUNREACH;
}

// The accept has ended for good: serves what the queue still holds, then lets go of the listener.
static void close_listener(struct cv_listener *listener) {
    struct cv_net *net = listener->net;
    if (listener->take_queue) {
        int result;
        while ((result = cv_ring_accept_now(net->ring, listener->descriptor)) >= 0 ||
               is_of_one(result)) {
            if (result >= 0) {
                cv_net_open(net, result);
            }
        }
    }
    cv_ring_close(net->ring, listener->descriptor,
                  covet_user_data(COVET_OP_CLOSE, net->worker_index, 0, UINT32_MAX));
    listener->descriptor = -1;
}

int cv_listener_open_all(struct cv_net *net, const int *descriptors, uint32_t count) {
    net->listeners = calloc(count, sizeof(*net->listeners));
    if (net->listeners == NULL) {
        return -ENOMEM;
    }
    net->listener_count = count;
    for (uint32_t i = 0; i < count; i++) {
        net->listeners[i] = (struct cv_listener){
            .timer = {.on_expiry = on_pause_over},
            .net = net,
            .descriptor = descriptors[i],
            .index = i,
        };
        arm(&net->listeners[i]);
    }
    return 0;
}

void cv_listener_complete(struct cv_net *net, const struct cv_completion *completion) {
    uint32_t index = covet_user_data_slot(completion->user_data);
    CV_ASSERT(index < net->listener_count);
    struct cv_listener *listener = &net->listeners[index];
    int32_t result = completion->result;
    if (result >= 0) {
        cv_net_open(net, result);
        if (!has_ample_room(net)) {
            disarm_multishots(net);
        }
    }
    if (completion->more) {
        return;
    }
    listener->armed = false;
    if (listener->stopping) {
        close_listener(listener);
        return;
    }
    switch (-result) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case EPERM:  // Of a security module, which will say so again.
        pause_for_want(listener, result);
        break;
    case EBADF:
    case EINVAL:
    case ENOTSOCK:
        cv_log(CV_LOG_ERROR, "accept_failed", "worker=%u error=%d", net->worker_index, -result);
        listener->stopping = true;
        close_listener(listener);
        break;
    default:
        arm(listener);
        break;
    }
}

void cv_listener_adjust(struct cv_net *net) {
    for (uint32_t i = 0; i < net->listener_count; i++) {
        struct cv_listener *listener = &net->listeners[i];
        if (CV_UNLIKELY(!listener->armed)) {
            // A connection has just gone: its descriptor is what a paused listener waits for.
            listener->paused = false;
            cv_wheel_stop(net->wheel, &listener->timer);
            arm(listener);
        }
    }
}

void cv_listener_hold(struct cv_net *net, bool held) {
    net->is_held = held;
    if (!held) {
        cv_listener_adjust(net);
        return;
    }
    cv_counter_add(net->stats, COVET_COUNTER_ACCEPT_PAUSES, 1);
    for (uint32_t i = 0; i < net->listener_count; i++) {
        if (!net->listeners[i].stopping) {
            disarm(&net->listeners[i]);
        }
    }
}

void cv_listener_stop_all(struct cv_net *net, bool take_queue) {
    for (uint32_t i = 0; i < net->listener_count; i++) {
        struct cv_listener *listener = &net->listeners[i];
        if (listener->descriptor < 0 || listener->stopping) {
            continue;
        }
        listener->stopping = true;
        listener->take_queue = take_queue;
        cv_wheel_stop(net->wheel, &listener->timer);
        if (listener->armed) {
            disarm(listener);
        } else {
            close_listener(listener);
        }
    }
}

bool cv_listener_all_closed(const struct cv_net *net) {
    for (uint32_t i = 0; i < net->listener_count; i++) {
        if (net->listeners[i].descriptor >= 0) {
            return false;
        }
    }
    return true;
}

void cv_listener_deinit_all(struct cv_net *net) {
    free(net->listeners);
    net->listeners = NULL;
    net->listener_count = 0;
}
