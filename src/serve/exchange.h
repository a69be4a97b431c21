// One HTTP/1.1 request and its answer: takes the body off the connection, runs the application, and
// is the sink its answer goes to. At most one per connection is current (the connection's
// `protocol`).
//
//     start -> [body] -> run -> (answered | deferred) -> the rest of the body -> over
//
// The record outlives its being current while the application still owes an answer to a client that
// left, and while queued output refers to the request's memory. Single thread.
#ifndef CV_SERVE_EXCHANGE_H
#define CV_SERVE_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/request.h"
#include "app/sink.h"
#include "base/compiler.h"
#include "http/chunked.h"
#include "http/parser.h"
#include "mem/buffer.h"
#include "net/conn.h"

// An unread body up to this length is dropped to keep the connection; a longer one closes it.
#define CV_EXCHANGE_DISCARD_BYTES_MAX (64u * 1024u)

struct cv_exchange {
    struct cv_sink sink;
    struct cv_conn *conn;  // borrowed; NULL once the connection is gone
    struct cv_pool *pool;  // borrowed
    uint32_t holders;      // Reasons to keep the record: being current, calls, queued output.
    bool is_current;
    bool is_busy;           // Inside a call of the application.
    bool is_started;        // cv_request_run was called.
    bool is_answered;       // Answer complete, or given up.
    bool is_streaming;      // The answer is streamed and has begun.
    bool is_body_streamed;  // The body goes to the handler as it comes.
    bool is_body_over;      // All of it was read off the connection.
    bool is_kept;           // The head (and body) lie in the request's own memory.
    bool is_chunked_out;
    bool is_closing;      // The connection ends with this answer.
    bool is_above_water;  // The handler was told to wait with writing.
    bool owes_continue;   // 100 (Continue) is expected and not sent.
    bool is_past_grace;   // The body has had its time to start; now its rate counts.
    uint16_t status;
    uint64_t sent_bytes;   // Of the answer's body.
    const char *lent_end;  // Of the bytes lent for the first call; void once `is_kept`.
    // From here to `body_left`: of requests with a body, and of all that outlast their first call.
    uint64_t body_bytes;    // Read so far.
    struct cv_buffer body;  // owned
    uint32_t window_bytes;  // Since the last look at its rate.
    uint64_t body_left;     // Content-Length minus what was read.
    uint64_t body_bytes_max;
    struct cv_chunked chunked;
    struct cv_parser_head head;
    struct covet_request request;
};

struct cv_http1;  // What the connections of the worker share.

// A record for the next request of `conn`, NULL when memory is exhausted. Parse into its `head`,
// then start or cancel it.
CV_MUST_USE struct cv_exchange *cv_exchange_create(struct cv_http1 *http1, struct cv_conn *conn);
void cv_exchange_cancel(struct cv_exchange *exchange);

// At the end of a delivery: gives back the record that its requests have shared one after the
// other.
void cv_exchange_drop_spare(struct cv_http1 *http1, struct cv_conn *conn);

// `exchange->head` describes the head at `base`; `length` bytes lie behind it. Makes the exchange
// current and goes as far as these bytes allow. Returns how many of them belonged to the body.
size_t cv_exchange_start(struct cv_exchange *exchange, struct cv_http1 *http1, const char *base,
                         const uint8_t *data, size_t length);

// The same for a request that is refused because the server is busy: 503, and the connection goes
// on where its framing is certain and the body short enough to be dropped.
size_t cv_exchange_turn_down(struct cv_exchange *exchange, const char *base, const uint8_t *data,
                             size_t length);

// More bytes, while the body is not over. Returns how many belonged to it.
size_t cv_exchange_feed(struct cv_exchange *exchange, const uint8_t *data, size_t length);

// The read time-out: the body was too slow, or its rate is looked at again.
void cv_exchange_on_read_timeout(struct cv_exchange *exchange);

// The client half-closed: whoever waits is told, and may still answer.
void cv_exchange_on_half_close(struct cv_exchange *exchange);

// The output queue is shorter than before.
void cv_exchange_on_output(struct cv_exchange *exchange);

// The connection is gone or must not be used: the exchange is no longer current.
void cv_exchange_abandon(struct cv_exchange *exchange);

#endif
