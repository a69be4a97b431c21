/* An application: its routes, groups, middleware and worker hooks.
 *
 * It is built in covet_module_init (or the function given to covet_main), on the main thread,
 * before any worker sees it. The first registration that fails is remembered: the application is
 * then refused as a whole, with a message that names it, even where a module ignored the error.
 *
 * Once workers serve it, routes may still be added, replaced and removed (see "Live routes" below);
 * everything else is fixed: its functions return -EPERM (or NULL) and change nothing. A reload
 * builds a new application, without what was changed live, and the old one goes when its last
 * request is finished.
 */
#ifndef COVET_APP_H
#define COVET_APP_H

#include <stdint.h>

#include <covet/span.h>

#ifdef __cplusplus
extern "C" {
#endif

#define COVET_VERSION "0.1.0"

/* Raised by every change that breaks a compiled module. */
#define COVET_API_VERSION 2

struct covet_app;
struct covet_group;
struct covet_request;
struct covet_response;
struct covet_worker;

/* Methods, as a set of bits. */
enum covet_method {
    COVET_GET = 1 << 0, /* also answers HEAD, without the body, unless a route takes HEAD itself */
    COVET_HEAD = 1 << 1,
    COVET_POST = 1 << 2,
    COVET_PUT = 1 << 3,
    COVET_DELETE = 1 << 4,
    COVET_OPTIONS = 1 << 5, /* answered with 204 and Allow where no route takes it */
    COVET_PATCH = 1 << 6,
    COVET_TRACE = 1 << 7,   /* cannot be routed: 405 */
    COVET_CONNECT = 1 << 8, /* cannot be routed: 501 */
    COVET_ANY_METHOD = 0x7f /* all that can be routed */
};

/* Handles one request: answers it with a covet_response_* function, starts a streamed answer, or
 * keeps it with covet_request_defer to answer later. A handler that does none of these gets a 500
 * sent. */
typedef void (*covet_handler_fn)(struct covet_request *request, struct covet_response *response);

/* Routes.
 *
 * A pattern begins with '/' and is matched segment by segment against the decoded path,
 * case-sensitive, a trailing slash being significant. A segment is plain text or one parameter:
 *
 *     {name}      one segment that is not empty
 *     {name:int}  one segment that is a decimal number of 1 to 19 digits, with an optional '-',
 *                 that fits int64_t
 *     {name...}   last segment only: everything that is left, slashes included; may be empty, so
 *                 "/files/{rest...}" matches "/files/" but not "/files"
 *
 * Where several patterns match, text wins over {name:int}, that over {name}, that over {name...},
 * from the first segment on; a pattern that fails later in the path gives way to the next one, and
 * so does one whose routes do not take the method. Two routes that would match the same paths with
 * the same method are refused. At most 16 parameters, 64 segments and 1023 bytes; a name is 1 to 63
 * of A-Z a-z 0-9 _.
 *
 * A path that is matched only with other methods is answered with 405 and Allow, one that is not
 * matched with 404, one that cannot be decoded with 400.
 *
 * `context` is what covet_request_context gives the handler; it is borrowed until the route's
 * on_removed is called, or for the application's life. */

/* Adds a route for a set of methods. Returns 0; -EINVAL: a bad pattern, no method or one
 * that cannot be routed, or no handler; -EEXIST: another route is in the way; -EAGAIN: see "Live
 * routes"; -ENOMEM. */
COVET_EXPORT int covet_route(struct covet_app *app, unsigned methods, const char *pattern,
                             covet_handler_fn handler, void *context);

/* The same with everything that can be chosen; members left 0 keep their defaults. */
struct covet_route_options {
    struct covet_group *group; /* NULL: none, so check what covet_group returned */
    unsigned methods;
    const char *pattern; /* behind the group's prefix */
    covet_handler_fn handler;
    void *context;
    uint64_t body_bytes_max; /* 0: the server's default; a longer body is answered with 413 */
    int stream_body;         /* not 0: the handler runs before the body: covet_request_on_body */
    /* Called exactly once when no request can use the route any more, after it was replaced or
     * removed or with the application, so that `context` can be freed. May change routes, but for
     * the end of the application: -ESHUTDOWN then. Thread: any of the server's, and any that
     * changes routes, from inside that call. Not called for a route that was refused. */
    void (*on_removed)(void *context);
    char *why; /* where a sentence goes if the route is refused; for a conflict it names both */
    size_t why_bytes;
};
/* Returns as covet_route, and -EINVAL for a group of another application. */
COVET_EXPORT int covet_route_with(struct covet_app *app, const struct covet_route_options *options);

/* Live routes.
 *
 * covet_route, covet_route_with, covet_group_route and the two functions below may be called at any
 * time, from any thread of the server process: handlers, timers, threads of the module's own. Those
 * begin no earlier than the first worker hook `init` and must have ended when the last worker hook
 * `exit` returns. covet_worker_app gives a handler its application.
 *
 * A change is seen by every request whose route is looked up after the function returned; a request
 * that is open keeps its route until it is finished, however long that takes. Workers never wait
 * for a change, changes wait for each other (some ten microseconds for each 100 routes). What a
 * change replaced stays in memory until each worker has come to the end of its turn and the last
 * request that uses it is finished: -EAGAIN is returned when more than 256 MiB wait for that. */

/* As covet_route_with, but routes of the same pattern (the names of parameters do not count) lose
 * those methods to the new one instead of being in its way. There need not be any. */
COVET_EXPORT int covet_route_replace(struct covet_app *app,
                                     const struct covet_route_options *options);

/* Takes the methods away from the routes of a pattern, which is written with the prefix of its
 * group. A route without methods is gone. Returns 0; -EINVAL: not a pattern; -ENOENT: no route of
 * it has any of the methods; -EAGAIN or -ENOMEM. */
COVET_EXPORT int covet_route_remove(struct covet_app *app, unsigned methods, const char *pattern);

/* Groups: a common prefix and common middleware. `prefix` is "" or begins with '/' and does not end
 * with one; it may hold {name} and {name:int}. NULL is returned (and remembered as a failure) for a
 * bad prefix or without memory; functions that take a group accept that NULL and fail in turn. The
 * group belongs to the application. */
COVET_EXPORT struct covet_group *covet_group(struct covet_app *app, const char *prefix);
COVET_EXPORT struct covet_group *covet_group_in(struct covet_group *parent, const char *prefix);
/* Returns as covet_route, and -EINVAL for a NULL group. */
COVET_EXPORT int covet_group_route(struct covet_group *group, unsigned methods, const char *pattern,
                                   covet_handler_fn handler, void *context);

/* Registers a handler under a name of 1 to 63 bytes, for the admin address: POST
 * /routes?method=GET&pattern=/x&handler=NAME there gives it a route, or one of another handler.
 * With a group the middleware of the group runs around it, and the pattern must begin with the
 * group's prefix. `context` is borrowed for the application's life. Returns 0; -EINVAL: no such
 * name, no function or a NULL group; -EEXIST: the name is in use; -EPERM or -ENOMEM. */
COVET_EXPORT int covet_handler(struct covet_app *app, const char *name, covet_handler_fn handler,
                               void *context);
COVET_EXPORT int covet_group_handler(struct covet_group *group, const char *name,
                                     covet_handler_fn handler, void *context);

/* Middleware: runs around every handler of the application or of one group, whether the route was
 * added before or after it. Outer groups come first; within one group the order of registration
 * counts. That of the application also runs around 404, 405 and automatic OPTIONS answers.
 *
 * `before` runs on the way in. COVET_NEXT goes on. COVET_STOP ends the chain there: it has
 * answered, or deferred the request to answer it later; stopping without either sends a 500.
 * Answering and returning COVET_NEXT stops as well.
 *
 * `after` runs on the way out, in reverse order, once the status and fields are known and before
 * they are sent: when the answer is made or its stream begins, which may be later than the
 * handler's return. It may set fields and change the status, but not answer or change the body. It
 * runs for every middleware whose `before` was called, the one that stopped included; not when a
 * request is cancelled, and not when covet answers 400 for the path.
 *
 * Either may be NULL. At most 32 per application and per group, and 255 around one handler. Returns
 * 0, -EINVAL when both are NULL or the group is, -ENOSPC or -ENOMEM. */
enum covet_next { COVET_NEXT = 0, COVET_STOP = 1 };

typedef enum covet_next (*covet_before_fn)(struct covet_request *request,
                                           struct covet_response *response, void *context);
typedef void (*covet_after_fn)(struct covet_request *request, struct covet_response *response,
                               void *context);

COVET_EXPORT int covet_use(struct covet_app *app, covet_before_fn before, covet_after_fn after,
                           void *context);
COVET_EXPORT int covet_group_use(struct covet_group *group, covet_before_fn before,
                                 covet_after_fn after, void *context);

/* Hooks of each worker. `init` runs on the worker's thread before its first request of this
 * application; a negative errno value refuses the application. `exit` runs there after its last
 * request (and only if `init` succeeded), in reverse order of registration. `context` is also the
 * key of the state, see covet_worker_state: use the address of something of your own, a static
 * variable for example. Either function may be NULL. Returns 0, -EEXIST for a `context` in use,
 * -ENOSPC beyond 16. */
typedef int (*covet_worker_init_fn)(struct covet_worker *worker, void *context);
typedef void (*covet_worker_exit_fn)(struct covet_worker *worker, void *context);

COVET_EXPORT int covet_on_worker(struct covet_app *app, covet_worker_init_fn init,
                                 covet_worker_exit_fn exit, void *context);

/* What a module defines: COVET_MODULE once, at file scope, and covet_module_init, which returns 0
 * or a negative errno value. It is called on the main thread, and again in a fresh copy of the
 * module after every reload. */
extern COVET_EXPORT const int covet_module_api;
#define COVET_MODULE const int covet_module_api = COVET_API_VERSION

COVET_EXPORT int covet_module_init(struct covet_app *app);

/* Runs the server with the command line of covet(1) and returns its exit code. `init` registers the
 * application as covet_module_init does; it is called again for each reload. Modules
 * named by --module are registered before it; with neither, the demo application is. Call it from
 * main, before any thread is started. */
COVET_EXPORT int covet_main(int argc, char **argv, int (*init)(struct covet_app *app));

#ifdef __cplusplus
}
#endif

#endif
