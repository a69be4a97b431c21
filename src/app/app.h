// One generation of an application: its routes, groups, middleware and hooks (<covet/app.h>).
//
// Built on the main thread by covet_module_init, sealed, then shared by the workers, which only
// read it (but for the boxes of posted calls and the routes, which are made for that). The server
// creates one per load, attaches the workers, and destroys it when every one of them is released.
#ifndef CV_APP_APP_H
#define CV_APP_APP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <covet/abi.h>
#include <covet/app.h>

#include "app/context.h"
#include "app/middleware.h"
#include "app/routes.h"
#include "base/compiler.h"

#define CV_APP_ERROR_BYTES 512u
#define CV_APP_BODY_BYTES_MAX (1024u * 1024u)
#define CV_APP_HANDLER_NAME_BYTES_MAX 63u

struct cv_post_box;

struct covet_group {
    struct covet_app *app;            // borrowed
    struct covet_group *parent;       // borrowed; NULL for the root
    struct covet_group *next;         // The app's list.
    char *prefix;                     // owned; whole, with those of the parents
    struct cv_middleware_list own;    // As registered.
    struct cv_middleware_list chain;  // Sealed: those of the parents, then its own.
};

struct cv_app_hook {
    covet_worker_init_fn init;  // May be NULL.
    covet_worker_exit_fn exit;  // May be NULL.
    void *context;
};

// A handler that the admin address may give a route.
struct cv_app_handler {
    char *name;                 // owned
    struct covet_group *group;  // borrowed; NULL: none. Its routes begin with the prefix.
    covet_handler_fn handler;
    void *context;
    struct cv_app_handler *next;
};

struct covet_app {
    uint64_t body_bytes_max;  // Of routes that set none. Set by the server before init.
    struct cv_routes routes;
    struct cv_app_handler *handlers;  // owned list
    struct covet_group *groups;       // owned list, `root` not in it; parents behind their children
    struct covet_group root;          // No prefix; the middleware of the whole application.
    struct cv_app_hook hook[CV_CONTEXT_HOOKS_MAX];
    uint32_t hook_count;
    bool sealed;
    int error;  // Of the first registration that failed, 0 if none did.
    char error_text[CV_APP_ERROR_BYTES];
    struct cv_post_box *_Atomic box[COVET_WORKERS_MAX];  // owned; made when a worker attaches
    void *server_data;
};

// An empty application, NULL without memory.
CV_MUST_USE struct covet_app *cv_app_create(void);

// No worker may be attached any more. NULL is ignored.
void cv_app_destroy(struct covet_app *app);

// Ends the registration: nothing can be added any more. Returns 0 or the negative errno value of
// the first registration that failed; cv_app_error then says which.
CV_MUST_USE int cv_app_seal(struct covet_app *app);

// A sentence for one log line; "" when nothing failed. Borrowed until cv_app_destroy.
const char *cv_app_error(const struct covet_app *app);

// As covet_route_with and covet_route_replace, with the sentence in `error`. `options->why` is not
// used. Valid at any time, on any thread once sealed.
CV_MUST_USE int cv_app_put_route(struct covet_app *app, const struct covet_route_options *options,
                                 enum cv_routes_mode mode, char *error, size_t error_bytes);

// NULL when no handler was registered under that name.
const struct cv_app_handler *cv_app_find_handler(const struct covet_app *app, struct cv_span name);

// The four below: on the worker's own thread.

// Makes the worker part of the generation, which must be sealed, and runs its init hooks. Returns
// 0, -ENOMEM, or the error of a hook, logged; the exit hooks of those that succeeded have then run.
// The caller sets `on_released` and `server_data`.
CV_MUST_USE int cv_app_attach(struct covet_app *app, struct cv_env *env,
                              struct covet_worker **worker);

// A newer generation took over, or the worker ends. As soon as no request is open and no post is on
// its way here, possibly at once, the exit hooks run, the remaining timers are dropped and
// `on_released` is called, which may call cv_app_detach. Until then timers go on, because an open
// request may wait for one. At most once.
void cv_app_retire(struct covet_worker *worker);

// A request that pinned the generation is gone. Releases the worker if it was the last one.
void cv_app_unpin(struct covet_worker *worker);

// Frees it. One that was not released is released first, whatever is open and without
// `on_released`: for a worker that is stopped hard. NULL is ignored.
void cv_app_detach(struct covet_worker *worker);

#endif
