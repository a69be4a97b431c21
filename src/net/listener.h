// Accepting on one listening socket: a multishot accept that is armed again when it ends, paused
// when descriptors or connections run out, and drained when the worker stops.
#ifndef CV_NET_LISTENER_H
#define CV_NET_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "net/net.h"
#include "ring/ring.h"
#include "timer/wheel.h"

struct cv_listener {
    struct cv_timer timer;  // Ends a pause.
    struct cv_net *net;     // borrowed
    int descriptor;         // owned; -1 when closed
    uint32_t index;
    uint16_t generation;  // Of the armed accept.
    bool armed;
    bool multishot;  // How it is armed.
    bool paused;
    bool stopping;
    bool take_queue;  // When stopped: first accept what waits in the queue.
};

// Takes `count` listening descriptors; the connections of all of them go to `net`. Returns 0 or
// -ENOMEM.
CV_MUST_USE int cv_listener_open_all(struct cv_net *net, const int *descriptors, uint32_t count);

// Handles one completion of op ACCEPT.
void cv_listener_complete(struct cv_net *net, const struct cv_completion *completion);

// Connections may be accepted again, or must not, after the number of open ones changed.
void cv_listener_adjust(struct cv_net *net);

// Holds accepting, or lets it go on. Connections on their way here are still opened.
void cv_listener_hold(struct cv_net *net, bool held);

// Stops accepting. With `take_queue`, connections that wait in a queue are accepted first and
// served; without it they are left to whoever shares the listener. The descriptors close when all
// is done.
void cv_listener_stop_all(struct cv_net *net, bool take_queue);

// True when every listener is closed.
bool cv_listener_all_closed(const struct cv_net *net);

// Frees the array, after cv_listener_all_closed or at the end of the process.
void cv_listener_deinit_all(struct cv_net *net);

#endif
