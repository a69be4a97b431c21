// HTTP/1.1 on a connection (RFC 9112): heads out of unread bytes, one request at a time, answers in
// order. Pipelined requests wait as unread input while one is being answered.
#ifndef CV_SERVE_HTTP1_H
#define CV_SERVE_HTTP1_H

#include <stdint.h>

#include "app/context.h"
#include "net/net.h"
#include "serve/access.h"
#include "serve/overload.h"

struct cv_exchange;

// What the HTTP/1.1 connections of one worker share; net's `protocol` points to it. Single thread.
struct cv_http1 {
    struct cv_env *env;        // borrowed
    struct covet_worker *app;  // borrowed; the generation that takes new requests
    struct cv_access access;
    uint32_t drain_idle_ms;     // What an idle connection gets for a last request in a drain.
    uint32_t unread_bytes;      // Behind the request being answered: more output will follow.
    struct cv_exchange *spare;  // owned; for the next request of the delivery, NULL outside of one
    struct cv_overload overload;
};

// The protocol of new connections.
extern const struct cv_conn_ops cv_http1_ops;

// An exchange of `conn` is over: the next request may come. Called from inside on_input or outside
// it.
void cv_http1_go_on(struct cv_conn *conn);

// How long a connection of this protocol has been waiting for a request; 0: it is not.
uint32_t cv_http1_silent_ms(const struct cv_conn *conn);

static inline struct cv_http1 *cv_http1_of(const struct cv_conn *conn) {
    return conn->net->protocol;
}

#endif
