/* What a client asked for.
 *
 * A request handle is valid from the handler's call until the request is finished: answered, ended
 * or cancelled through <covet/response.h>. During the handler's own call (and that of middleware)
 * it stays valid to its end. A request is finished exactly once, by the handler or somebody it
 * handed it to, whether or not the client is still there.
 *
 * How long spans live: those marked [call] until the handler, middleware or callback that asked for
 * them returns (ask again in the next one; the answer is the same), those marked [request] until
 * the request is finished. Names given as const char * are compared as their function says.
 *
 * Thread: the request's worker only.
 */
#ifndef COVET_REQUEST_H
#define COVET_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <covet/span.h>

#ifdef __cplusplus
extern "C" {
#endif

struct covet_request;
struct covet_response;
struct covet_worker;

/* The bit of the method (enum covet_method), 0 for a method covet has no name for. */
COVET_EXPORT unsigned covet_request_method(const struct covet_request *request);
COVET_EXPORT struct covet_span
covet_request_method_text(const struct covet_request *request); /* [call] */

/* The path, decoded once, dot segments removed; what routes are matched against. [call] */
COVET_EXPORT struct covet_span covet_request_path(const struct covet_request *request);
/* The path as sent. [call] */
COVET_EXPORT struct covet_span covet_request_path_raw(const struct covet_request *request);
/* The query as sent, without '?'. `data` is NULL when there is none or it is empty. [call] */
COVET_EXPORT struct covet_span covet_request_query_raw(const struct covet_request *request);
/* The host and port asked for, from Host or from the absolute target. [call] */
COVET_EXPORT struct covet_span covet_request_authority(const struct covet_request *request);
/* 0 for HTTP/1.0, 1 for HTTP/1.1. */
COVET_EXPORT int covet_request_version_minor(const struct covet_request *request);

/* A parameter of the route's pattern, decoded. `data` is NULL when the pattern has none of that
 * name. [call] */
COVET_EXPORT struct covet_span covet_request_param(const struct covet_request *request,
                                                   const char *name);
/* The same as a number. Returns 0, -ENOENT, or -EINVAL when it is not one that fits; never the
 * latter for {name:int}. */
COVET_EXPORT int covet_request_param_int(const struct covet_request *request, const char *name,
                                         int64_t *value);

/* The first value of `name` in the query, decoded ('+' is a space). `data` is NULL when it is
 * missing, holds a broken escape, or memory is exhausted. Names are compared decoded, exactly.
 * [call] */
COVET_EXPORT struct covet_span covet_request_query(struct covet_request *request, const char *name);
/* Walks all pairs in order: `*at` is 0 before the first call. False at the end. Pairs that cannot
 * be decoded are skipped. [call] */
COVET_EXPORT bool covet_request_query_next(struct covet_request *request, size_t *at,
                                           struct covet_span *name, struct covet_span *value);

/* The same for a body of type application/x-www-form-urlencoded that was taken whole; any other
 * body has no form values. [call] */
COVET_EXPORT struct covet_span covet_request_form(struct covet_request *request, const char *name);
COVET_EXPORT bool covet_request_form_next(struct covet_request *request, size_t *at,
                                          struct covet_span *name, struct covet_span *value);

/* The value of the first field called `name`, ASCII case ignored, without white space around it.
 * `data` is NULL when there is none. [call] */
COVET_EXPORT struct covet_span covet_request_header(const struct covet_request *request,
                                                    const char *name);
/* The field at `index`, counted from 0 as sent. False behind the last one. [call] */
COVET_EXPORT bool covet_request_header_at(const struct covet_request *request, size_t index,
                                          struct covet_span *name, struct covet_span *value);

/* The value of the first cookie called `name`, compared exactly, quotes taken off. `data` is NULL
 * when there is none. Nothing is decoded. [call] */
COVET_EXPORT struct covet_span covet_request_cookie(const struct covet_request *request,
                                                    const char *name);

/* The client's address. A proxy in front is the client. */
enum covet_peer_family {
    COVET_PEER_UNKNOWN = 0,
    COVET_PEER_IPV4 = 1,
    COVET_PEER_IPV6 = 2,
    COVET_PEER_UNIX = 3
};

struct covet_peer {
    enum covet_peer_family family;
    uint16_t port;       /* host order; 0 for a unix socket */
    uint8_t address[16]; /* network order; 4 bytes for IPv4 */
};

COVET_EXPORT void covet_request_peer(struct covet_request *request, struct covet_peer *peer);
/* The address alone as text: "192.0.2.7", "2001:db8::1", "unix", "unknown". `data` is NULL without
 * memory. [request] */
COVET_EXPORT struct covet_span covet_request_peer_text(struct covet_request *request);

/* The whole body, without transfer coding; empty when there is none and for streamed ones. [call]
 */
COVET_EXPORT struct covet_span covet_request_body(const struct covet_request *request);
/* The length announced by Content-Length, -1 when there is none (no body, or a chunked one). */
COVET_EXPORT int64_t covet_request_content_length(const struct covet_request *request);

/* Streamed bodies, for routes with stream_body. The handler runs as soon as the head is there and
 * registers a function that gets the body's bytes as they come; `last` is true in exactly one call,
 * which may be without bytes. `data` lives during the call. Registering keeps the request up to
 * that last call, in which it must be answered, streamed or deferred as in a handler. The handler
 * may also answer earlier; nothing more is delivered then.
 *
 * Register during the handler's call: bytes that come while nothing is registered are dropped. If
 * the client leaves before the last byte there is no call with `last`; the abort notice comes
 * instead. Without one registered covet then cancels the request itself, so register one if the
 * handle is kept anywhere else, in a timer for example.
 *
 * Returns 0, -EINVAL for a route that takes bodies whole, -EALREADY for a finished request. */
typedef void (*covet_body_fn)(struct covet_request *request, const void *data, size_t length,
                              bool last, void *context);
COVET_EXPORT int covet_request_on_body(struct covet_request *request, covet_body_fn on_body,
                                       void *context);

/* Stops (and continues) reading a streamed body, and with it the client once the kernel's buffers
 * are full. Bytes received before are delivered after continuing; continuing may call on_body or
 * the abort notice before it returns, but not inside the handler or on_body itself. No effect when
 * finished. The timeout for slow bodies does not run while stopped. */
COVET_EXPORT void covet_request_pause_body(struct covet_request *request, bool paused);

/* Keeps the request after the handler's return, to be answered later from the same worker: from a
 * timer, a posted function, a callback. A request kept is finished by the one who keeps it, always:
 * register an abort notice to know early that nobody waits. No effect the second time, or once the
 * request is finished. */
COVET_EXPORT void covet_request_defer(struct covet_request *request);

/* The abort notice: called when covet knows or must assume that the client left before its answer
 * was complete. The request stays valid and must still be finished (from here, if wished).
 *
 * It is also called when the client only closed its sending side, which most clients do when they
 * leave: covet_request_aborted is false then, and an answer would still be sent. If the client
 * turns out to have left, it is called again. So at most once for each; never from inside the
 * handler, nor after the request is finished. */
typedef void (*covet_abort_fn)(struct covet_request *request, void *context);
COVET_EXPORT void covet_request_on_abort(struct covet_request *request, covet_abort_fn on_abort,
                                         void *context);
/* Has the client left? */
COVET_EXPORT bool covet_request_aborted(const struct covet_request *request);

/* The route's `context`; NULL without a route. */
COVET_EXPORT void *covet_request_context(const struct covet_request *request);
/* One pointer for whoever handles the request: middleware to handler, handler to callbacks. Starts
 * NULL. covet does nothing with it. */
COVET_EXPORT void *covet_request_user_data(const struct covet_request *request);
COVET_EXPORT void covet_request_set_user_data(struct covet_request *request, void *user_data);

/* Both are never NULL and valid as long as the request. */
COVET_EXPORT struct covet_response *covet_request_response(struct covet_request *request);
COVET_EXPORT struct covet_worker *covet_request_worker(const struct covet_request *request);

/* Memory that lives as long as the request, aligned to 16 and not cleared; never freed one by one.
 * NULL when memory is exhausted. [request] */
COVET_EXPORT void *covet_request_alloc(struct covet_request *request, size_t bytes);
/* A copy with a NUL byte behind it, for spans that must outlive the call. NULL without memory.
 * [request] */
COVET_EXPORT char *covet_request_copy(struct covet_request *request, struct covet_span span);

#ifdef __cplusplus
}
#endif

#endif
