// The web server of `covet-prof serve`: HTTP/1.1 for a few browsers and monitors, driven by the
// caller's poll(2), one thread.
//
// A connection carries one request. It is answered at once and closed, or it becomes a stream of
// server-sent events (HTML standard, section 9.2), which every cv_serve_http_publish continues.
// Bounded everywhere: connections, head, time up to the last byte of an answer, and what a client
// that does not read may be owed.
//
// Pages of other sites must not read what is served, even where they reach it: the Host must be an
// address, localhost or a name that was allowed, so a foreign name that was made to resolve here
// (DNS rebinding) gets 421; an Origin other than our own gets 403; and every answer forbids
// foreign embedding.
#ifndef CV_PROFILE_SERVE_HTTP_H
#define CV_PROFILE_SERVE_HTTP_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/span.h"

#define CV_SERVE_HTTP_CONNECTIONS_MAX 40u
#define CV_SERVE_HTTP_STREAMS_MAX 24u  // Of them; the others stay for /metrics.
#define CV_SERVE_HTTP_POLLS (CV_SERVE_HTTP_CONNECTIONS_MAX + 1)
#define CV_SERVE_HTTP_HEAD_BYTES_MAX 8192u
#define CV_SERVE_HTTP_TIMEOUT_MS 5000u  // From accept to the last byte of an answer.
#define CV_SERVE_HTTP_LATE_MAX 5u       // Events a stream may miss in a row; then it is closed.

struct cv_serve_http_reply {
    uint16_t status;              // 200 at first
    struct cv_span content_type;  // Static; text/plain at first.
    struct cv_span body;          // Borrowed until the callback's next call.
    bool is_stream;               // Events follow; `body` is the first of them, may be empty.
};

// Answers GET (and HEAD) of `path`, which is as it came, without the query.
typedef void (*cv_serve_http_fn)(void *context, struct cv_span path,
                                 struct cv_serve_http_reply *reply);

struct cv_serve_http_options {
    cv_serve_http_fn answer;
    void *context;
    const char *const *hosts;  // Names allowed in Host beside addresses and localhost, borrowed.
    uint32_t host_count;
};

struct cv_serve_http;

// Takes the listening socket. Returns 0 or -errno, with the socket closed.
CV_MUST_USE int cv_serve_http_create(struct cv_serve_http **http, int listener_taken,
                                     const struct cv_serve_http_options *options);
void cv_serve_http_destroy(struct cv_serve_http *http);  // NULL is ignored.

// Fills what to wait for (-1 where there is nothing) and lowers `*timeout_ms` (-1: none) to the
// next time limit.
void cv_serve_http_prepare(const struct cv_serve_http *http, uint64_t now_ns,
                           struct pollfd polls[CV_SERVE_HTTP_POLLS], int *timeout_ms);

// Does what poll(2) found, and ends connections that are over their time.
void cv_serve_http_handle(struct cv_serve_http *http, uint64_t now_ns,
                          const struct pollfd polls[CV_SERVE_HTTP_POLLS]);

// Sends `event`, whole lines in the form of server-sent events, to every stream. A stream that
// still has an earlier one to send misses it, and is closed when it has missed too many.
void cv_serve_http_publish(struct cv_serve_http *http, struct cv_span event);

uint32_t cv_serve_http_stream_count(const struct cv_serve_http *http);

#endif
