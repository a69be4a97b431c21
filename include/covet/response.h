/* What the client gets.
 *
 * Set status and fields first, then finish with exactly one of: an answer (text, bytes, json, body,
 * empty, error, redirect), a streamed answer (begin, write..., end), or covet_response_cancel.
 *
 * "Returns as above" means:
 *     0            done
 *     -EALREADY    the answer is made, or its stream has begun; nothing was changed
 *     -EINVAL      an argument is wrong; nothing was changed
 *     -EBADMSG     a field was refused, now or before. What sends the head has sent a 500 in place
 *                  of it and finished the request
 *     -ECONNRESET  the client has left. What finishes a request has finished it
 * A request must not be touched after the call that finishes it, except during its handler's call.
 *
 * The connection, its framing and its date belong to covet: it writes Content-Length,
 * Transfer-Encoding, Connection and Date. HEAD requests, 204, 205 and 304 lose their body by
 * themselves.
 *
 * Thread: the request's worker only.
 */
#ifndef COVET_RESPONSE_H
#define COVET_RESPONSE_H

#include <stddef.h>
#include <stdint.h>

#include <covet/span.h>

#ifdef __cplusplus
extern "C" {
#endif

struct covet_request;
struct covet_response;

/* All fields of one response together, and its trailers: the most bytes they take. */
#define COVET_FIELDS_BYTES_MAX 65536u

/* 200 to 599; 200 until set. The automatic bodies of covet_response_error follow it. Returns as
 * above. */
COVET_EXPORT int covet_response_status(struct covet_response *response, int status);
/* The status as it is set now. */
COVET_EXPORT int covet_response_get_status(const struct covet_response *response);

/* Appends a field. Fields may repeat, but Content-Type is one: it is replaced, and it wins over the
 * type given with the answer. Space around the value is taken off. A name that is not a token, a
 * value with CR, LF, NUL or another control byte, and the names that belong to covet are never
 * sent: the field is refused, the answer will be a 500 without any field, one log line says why.
 * Beyond COVET_FIELDS_BYTES_MAX and without memory, too. Returns as above, -EBADMSG for a field
 * refused. */
COVET_EXPORT int covet_response_header(struct covet_response *response, const char *name,
                                       const char *value);
COVET_EXPORT int covet_response_header_span(struct covet_response *response, const char *name,
                                            struct covet_span value);

/* Appends a Set-Cookie field (RFC 6265 section 4.1). Everything is sent as it is; a name that is no
 * token, a value or attribute with bytes a cookie cannot hold, make it a field refused. Returns as
 * covet_response_header. */
enum covet_same_site {
    COVET_SAME_SITE_LAX = 0,
    COVET_SAME_SITE_STRICT = 1,
    COVET_SAME_SITE_NONE = 2 /* browsers want `secure` with it */
};

struct covet_cookie {
    const char *name;
    const char *value;
    const char *path;   /* NULL: not sent */
    const char *domain; /* NULL: not sent */
    int64_t max_age_s;  /* 0: until the browser closes; below 0: delete it now */
    enum covet_same_site same_site;
    int secure;        /* not 0: https only */
    int script_access; /* not 0: leaves HttpOnly away */
};
COVET_EXPORT int covet_response_cookie(struct covet_response *response,
                                       const struct covet_cookie *cookie);

/* Answers. Each sends the status, the fields and a body, and finishes the request. Returns as
 * above. */

/* text/plain; charset=utf-8, copied. */
COVET_EXPORT int covet_response_text(struct covet_response *response, const char *text);
/* application/json; the text is sent as it is, copied. */
COVET_EXPORT int covet_response_json(struct covet_response *response, const char *json);
/* Any bytes, copied. `type` NULL: no Content-Type. */
COVET_EXPORT int covet_response_bytes(struct covet_response *response, const char *type,
                                      const void *data, size_t length);

/* Any bytes, with a promise of how long they stay as they are, so that they need no copy. */
enum covet_lifetime {
    COVET_COPY = 0,   /* only during the call */
    COVET_STATIC = 1, /* as long as the module is loaded: literals, static const data */
    COVET_REQUEST = 2 /* what covet_request_alloc and _copy gave; body and form as they are now */
};
COVET_EXPORT int covet_response_body(struct covet_response *response, const char *type,
                                     const void *data, size_t length, enum covet_lifetime lifetime);

/* No body; a status left at 200 becomes 204. */
COVET_EXPORT int covet_response_empty(struct covet_response *response);
/* `status` (400 to 599) with its name as plain text, "404 Not Found\n". */
COVET_EXPORT int covet_response_error(struct covet_response *response, int status);
/* `status` 301, 302, 303, 307 or 308 and Location, which must be a URI reference already encoded;
 * one that is not a valid field value counts as a field refused. */
COVET_EXPORT int covet_response_redirect(struct covet_response *response, int status,
                                         const char *location);

/* Streams.
 *
 * begin sends status and fields and keeps the request (as covet_request_defer does). `length` is
 * that of the whole body; COVET_LENGTH_UNKNOWN sends it in chunks, or up to the end of the
 * connection for HTTP/1.0. `type` may be NULL. Returns as above; -EBADMSG has finished the request,
 * after -ECONNRESET it must still be ended. */
#define COVET_LENGTH_UNKNOWN UINT64_MAX
COVET_EXPORT int covet_response_begin(struct covet_response *response, const char *type,
                                      uint64_t length);

/* Copies bytes into the connection's output queue. Returns the bytes now queued there. Above
 * COVET_HIGH_WATER_BYTES stop and go on in on_drain; while more than COVET_QUEUE_BYTES_MAX are
 * queued nothing is taken and -EAGAIN is returned; a call made below that is taken whole. Returns 0
 * where no body is sent (HEAD). -EINVAL before begin, -EALREADY after end, -EMSGSIZE for more than
 * the length announced (nothing is taken), -ECONNRESET when the client has left. */
#define COVET_HIGH_WATER_BYTES 262144u
#define COVET_QUEUE_BYTES_MAX 4194304u
COVET_EXPORT int64_t covet_response_write(struct covet_response *response, const void *data,
                                          size_t length);

/* Called from the worker's loop when the queue has fallen to half of COVET_HIGH_WATER_BYTES after
 * having been above it; never from inside write. Also called, once, when the client leaves and no
 * abort notice is registered: write then returns -ECONNRESET, and the stream must be ended or
 * cancelled. Stays registered. `context` is borrowed until the end. */
typedef void (*covet_drain_fn)(struct covet_request *request, struct covet_response *response,
                               void *context);
COVET_EXPORT void covet_response_on_drain(struct covet_response *response, covet_drain_fn on_drain,
                                          void *context);

/* Appends a field to be sent behind a chunked body; dropped where the body is not chunked. The
 * rules are those of covet_response_header, and fields that steer the message (RFC 9110 section
 * 6.5.1) are refused too; a refused one is not sent, costs one log line, and leaves the answer as
 * it is. Before or after begin. -EALREADY once finished, else returns as above. */
COVET_EXPORT int covet_response_trailer(struct covet_response *response, const char *name,
                                        const char *value);

/* Ends the stream and finishes the request. -EINVAL before begin. -EPROTO when bytes of the
 * announced length are missing: the connection is cut so that the client can tell; the request is
 * finished. -EALREADY, -ECONNRESET as above. */
COVET_EXPORT int covet_response_end(struct covet_response *response);

/* Finishes the request without an answer, or in the middle of one: the connection is cut. Returns
 * 0, -EALREADY, or -ECONNRESET. */
COVET_EXPORT int covet_response_cancel(struct covet_response *response);

#ifdef __cplusplus
}
#endif

#endif
