// The life of a generation. Registration is in register.c; here it is made, sealed, shared and let
// go.
//
// A worker leaves a generation in one direction only: attached, retired, released, detached. It is
// released when no request of it is open (pins) and no posted call is on its way to it (the box
// closes only then); only after that may the module behind it be unloaded.
#include "app/app.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "app/post.h"
#include "base/assert.h"
#include "base/log.h"

#define RECHECK_MS 10u

struct covet_app *cv_app_create(void) {
    struct covet_app *app = calloc(1, sizeof(*app));

    if (app == NULL)
        return NULL;
    if (cv_routes_init(&app->routes) != 0) {
        free(app);
        return NULL;
    }
    app->body_bytes_max = CV_APP_BODY_BYTES_MAX;
    app->root.app = app;
    return app;
}

static void free_group(struct covet_group *group) {
    cv_middleware_deinit(&group->own);
    cv_middleware_deinit(&group->chain);
    free(group->prefix);
}

void cv_app_destroy(struct covet_app *app) {
    if (app == NULL)
        return;
    cv_routes_deinit(&app->routes);
    while (app->handlers != NULL) {
        struct cv_app_handler *handler = app->handlers;

        app->handlers = handler->next;
        free(handler->name);
        free(handler);
    }
    while (app->groups != NULL) {
        struct covet_group *group = app->groups;

        app->groups = group->next;
        free_group(group);
        free(group);
    }
    free_group(&app->root);
    for (uint32_t i = 0; i < COVET_WORKERS_MAX; i++)
        cv_post_destroy(app->box[i]);
    free(app);
}

// A group's chain is its own middleware behind that of all its parents.
static int seal_group(struct covet_group *group) {
    for (const struct covet_group *from = group; from != NULL; from = from->parent) {
        int error = cv_middleware_prepend(&group->chain, &from->own);

        if (error != 0)
            return error;
    }
    return 0;
}

int cv_app_seal(struct covet_app *app) {
    if (app->sealed)
        return app->error;
    app->sealed = true;
    if (app->error == 0)
        app->error = seal_group(&app->root);
    for (struct covet_group *group = app->groups; group != NULL; group = group->next)
        if (app->error == 0)
            app->error = seal_group(group);
    if (app->error == 0)
        app->error = cv_routes_publish(&app->routes);
    return app->error;
}

const char *cv_app_error(const struct covet_app *app) {
    if (app->error != 0 && app->error_text[0] == '\0')
        return "the application takes too much memory, or its middleware too many levels";
    return app->error_text;
}

static void run_exit_hooks(struct covet_worker *worker) {
    while (worker->hook_count > 0) {
        const struct cv_app_hook *hook = &worker->app->hook[--worker->hook_count];

        if (hook->exit != NULL)
            hook->exit(worker, hook->context);
    }
}

static int run_init_hooks(struct covet_worker *worker) {
    for (uint32_t i = 0; i < worker->app->hook_count; i++) {
        const struct cv_app_hook *hook = &worker->app->hook[i];
        int error = hook->init == NULL ? 0 : hook->init(worker, hook->context);

        if (error < 0) {
            cv_log(CV_LOG_ERROR, "worker_init_failed", "worker=%u hook=%u error=\"%s\"",
                   worker->env->worker_index, i,
                   strerrordesc_np(-error) != NULL ? strerrordesc_np(-error) : "unknown");
            return error;
        }
        worker->hook_count = i + 1;
    }
    return 0;
}

// Ends everything of the application on this worker. Timers go last: a hook may cancel or start
// some.
static void leave(struct covet_worker *worker) {
    run_exit_hooks(worker);
    cv_context_drop_timers(worker);
    cv_wheel_stop(worker->env->wheel, &worker->recheck);
    cv_routes_leave(&worker->app->routes, worker->env->worker_index);
    worker->released = true;
}

static void release_if_unused(struct covet_worker *worker) {
    struct cv_env *env = worker->env;

    if (!worker->retired || worker->released || worker->pins > 0)
        return;
    if (!cv_post_close(worker->box)) {
        cv_wheel_start(env->wheel, &worker->recheck, env->clock->now_ms + RECHECK_MS);
        return;
    }
    leave(worker);
    if (worker->on_released != NULL)
        worker->on_released(worker);
}

static void on_recheck(struct cv_timer *timer) {
    release_if_unused(CV_CONTAINER_OF(timer, struct covet_worker, recheck));
}

int cv_app_attach(struct covet_app *app, struct cv_env *env, struct covet_worker **worker) {
    struct covet_worker *made;
    int error;

    CV_ASSERT(app->sealed && app->error == 0);
    CV_ASSERT(env->worker_index < COVET_WORKERS_MAX);
    CV_ASSERT(app->box[env->worker_index] == NULL);
    made = calloc(1, sizeof(*made));
    if (made == NULL)
        return -ENOMEM;
    made->env = env;
    made->app = app;
    made->recheck.on_expiry = on_recheck;
    cv_list_init(&made->timers);
    cv_routes_enter(&app->routes, env->worker_index, env->turn);
    made->box = cv_post_create(made);
    error = made->box == NULL ? -ENOMEM : run_init_hooks(made);
    if (error != 0) {
        leave(made);
        cv_post_destroy(made->box);
        free(made);
        return error;
    }
    // From here on other workers may post to this one.
    atomic_store_explicit(&app->box[env->worker_index], made->box, memory_order_release);
    *worker = made;
    return 0;
}

void cv_app_retire(struct covet_worker *worker) {
    CV_ASSERT(!worker->retired);
    worker->retired = true;
    release_if_unused(worker);
}

void cv_app_unpin(struct covet_worker *worker) {
    CV_ASSERT(worker->pins > 0);
    worker->pins--;
    release_if_unused(worker);
}

void cv_app_detach(struct covet_worker *worker) {
    if (worker == NULL)
        return;
    if (!worker->released) {
        cv_post_shut(worker->box);
        leave(worker);
    }
    free(worker);
}
