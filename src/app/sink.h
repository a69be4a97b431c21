// Where an answer goes: the output interface between the application layer and a protocol.
//
// A protocol (http1 now, http2 later) embeds a struct cv_sink in its record of one request and
// implements the operations; the application layer knows nothing else of it. All calls come from
// the worker that owns the request. Per request the legal order is
//
//     answer                                       a whole answer, or
//     begin, write*, (end | abort)                 a streamed one, or
//     abort                                        no answer: the connection is cut.
//
// After answer, end or abort the protocol may recycle the request at once or later, when it says so
// with cv_request_deinit (but see app/request.h for cv_request_run); the application layer touches
// the sink no more.
#ifndef CV_APP_SINK_H
#define CV_APP_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/peer.h"
#include "base/span.h"
#include "http/head.h"

struct cv_sink;

// How long the bytes handed to `answer` stay as they are.
enum cv_body_lifetime {
    CV_BODY_COPY,     // Only during the call: the sink copies.
    CV_BODY_REQUEST,  // Until cv_request_deinit: the request's arena, body, or its pinned module.
};

struct cv_sink_ops {
    // Sends head and body. `head->date`, `close` and `keep_alive` are the sink's to fill;
    // `content_length` stays even where `body` is empty (HEAD). Never fails for the caller: a dead
    // connection drops it.
    void (*answer)(struct cv_sink *sink, struct cv_head *head, struct cv_span body,
                   enum cv_body_lifetime lifetime);
    // Starts a streamed answer. With CV_HEAD_LENGTH exactly that many bytes must be written, else
    // the sink chunks (or delimits by closing, for HTTP/1.0).
    void (*begin)(struct cv_sink *sink, struct cv_head *head);
    // Copies body bytes into the output queue; returns the bytes now queued on the connection. An
    // empty `data` writes nothing and asks for that number.
    size_t (*write)(struct cv_sink *sink, struct cv_span data);
    // Ends a streamed answer. `trailers` are whole field lines or empty; sent only when chunked.
    void (*end)(struct cv_sink *sink, struct cv_span trailers);
    // Cuts the connection: the answer is short and the client must see that.
    void (*abort)(struct cv_sink *sink);
    // Streamed request bodies: stop or go on calling cv_request_body. Stopping is asked for from
    // inside cv_request_run and cv_request_body too; going on is not, so it may call
    // cv_request_body at once.
    void (*pause_body)(struct cv_sink *sink, bool paused);
    // The client's address; found out at the first call, then kept with the connection.
    const struct cv_peer *(*peer)(struct cv_sink *sink);
};

struct cv_sink {
    const struct cv_sink_ops *ops;
};

// Above this many queued bytes a streaming handler should wait for on_drain, which comes at half of
// it.
#define CV_SINK_HIGH_WATER_BYTES (256u * 1024u)

#endif
