// The registering half of <covet/app.h>. Whatever fails first is kept with its text, so that an
// application that ignores a return value is refused all the same, and with the true reason.
// Routes alone may change later.
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app.h"
#include "base/assert.h"

static CV_PRINTF(3, 4) int fail(struct covet_app *app, int error, const char *format, ...) {
    va_list arguments;

    if (app->error != 0)
        return error;
    app->error = error;
    va_start(arguments, format);
    vsnprintf(app->error_text, sizeof(app->error_text), format, arguments);
    va_end(arguments);
    return error;
}

// Too late: workers read the application by now, so that not even the mistake is noted in it.
static bool is_closed(const struct covet_app *app) {
    CV_ASSERT(app != NULL);
    return app->sealed;
}

static char *join(const char *prefix, const char *pattern) {
    size_t prefix_bytes = strlen(prefix), pattern_bytes = strlen(pattern);
    char *text = malloc(prefix_bytes + pattern_bytes + 1);

    if (text != NULL) {
        memcpy(text, prefix, prefix_bytes);
        memcpy(text + prefix_bytes, pattern, pattern_bytes + 1);
    }
    return text;
}

int cv_app_put_route(struct covet_app *app, const struct covet_route_options *options,
                     enum cv_routes_mode mode, char *error, size_t error_bytes) {
    struct covet_group *group = options->group == NULL ? &app->root : options->group;
    struct cv_route *route;
    int result;

    if (group->app != app) {
        snprintf(error, error_bytes, "route \"%.200s\": a group of another application",
                 options->pattern == NULL ? "" : options->pattern);
        return -EINVAL;
    }
    result = cv_routes_make(&route, group->prefix == NULL ? "" : group->prefix, options, error,
                            error_bytes);
    if (result != 0)
        return result;
    route->group = group;
    return cv_routes_add(&app->routes, route, mode, error, error_bytes);
}

// The application remembers a failure while it is being built. Once it serves, only the caller is
// told.
static int put_route(struct covet_app *app, const struct covet_route_options *options,
                     enum cv_routes_mode mode) {
    char text[CV_APP_ERROR_BYTES];
    int result;

    CV_ASSERT(app != NULL);
    result = cv_app_put_route(app, options, mode, text, sizeof(text));
    if (result == 0)
        return 0;
    if (options->why != NULL && options->why_bytes > 0)
        snprintf(options->why, options->why_bytes, "%s", text);
    return app->sealed ? result : fail(app, result, "%s", text);
}

int covet_route_with(struct covet_app *app, const struct covet_route_options *options) {
    return put_route(app, options, CV_ROUTES_ADD);
}

int covet_route_replace(struct covet_app *app, const struct covet_route_options *options) {
    return put_route(app, options, CV_ROUTES_REPLACE);
}

int covet_route(struct covet_app *app, unsigned methods, const char *pattern,
                covet_handler_fn handler, void *context) {
    return covet_route_with(
        app, &(struct covet_route_options){
                 .methods = methods, .pattern = pattern, .handler = handler, .context = context});
}

int covet_route_remove(struct covet_app *app, unsigned methods, const char *pattern) {
    char text[CV_APP_ERROR_BYTES];

    CV_ASSERT(app != NULL);
    return cv_routes_remove(&app->routes, (uint16_t)(methods & COVET_ANY_METHOD),
                            pattern == NULL ? "" : pattern, text, sizeof(text));
}

int covet_group_route(struct covet_group *group, unsigned methods, const char *pattern,
                      covet_handler_fn handler, void *context) {
    if (group == NULL)
        return -EINVAL;
    return covet_route_with(group->app, &(struct covet_route_options){.group = group,
                                                                      .methods = methods,
                                                                      .pattern = pattern,
                                                                      .handler = handler,
                                                                      .context = context});
}

static struct covet_group *add_group(struct covet_app *app, struct covet_group *parent,
                                     const char *prefix) {
    struct covet_group *group;
    size_t bytes = prefix == NULL ? 0 : strlen(prefix);

    if (is_closed(app))
        return NULL;
    if (prefix == NULL || (bytes > 0 && (prefix[0] != '/' || prefix[bytes - 1] == '/'))) {
        fail(app, -EINVAL, "group \"%.200s\": a prefix is empty or begins, not ends, with '/'",
             prefix == NULL ? "" : prefix);
        return NULL;
    }
    group = calloc(1, sizeof(*group));
    if (group != NULL)
        group->prefix = join(parent->prefix == NULL ? "" : parent->prefix, prefix);
    if (group == NULL || group->prefix == NULL) {
        free(group);
        fail(app, -ENOMEM, "group \"%.200s\": no memory", prefix);
        return NULL;
    }
    group->app = app;
    group->parent = parent;
    group->next = app->groups;
    app->groups = group;
    return group;
}

struct covet_group *covet_group(struct covet_app *app, const char *prefix) {
    CV_ASSERT(app != NULL);
    return add_group(app, &app->root, prefix);
}

struct covet_group *covet_group_in(struct covet_group *parent, const char *prefix) {
    return parent == NULL ? NULL : add_group(parent->app, parent, prefix);
}

static int add_middleware(struct covet_group *group, covet_before_fn before, covet_after_fn after,
                          void *context) {
    struct covet_app *app = group->app;
    const char *name = group->prefix == NULL ? "" : group->prefix;
    int error;

    if (is_closed(app))
        return -EPERM;
    error = cv_middleware_add(&group->own, CV_MIDDLEWARE_PER_GROUP_MAX,
                              &(struct cv_middleware){before, after, context});
    if (error == -EINVAL)
        return fail(app, error, "middleware of group \"%.200s\": no function", name);
    if (error == -ENOSPC)
        return fail(app, error, "middleware of group \"%.200s\": more than %u", name,
                    CV_MIDDLEWARE_PER_GROUP_MAX);
    return error == 0 ? 0 : fail(app, error, "middleware of group \"%.200s\": no memory", name);
}

int covet_use(struct covet_app *app, covet_before_fn before, covet_after_fn after, void *context) {
    CV_ASSERT(app != NULL);
    return add_middleware(&app->root, before, after, context);
}

int covet_group_use(struct covet_group *group, covet_before_fn before, covet_after_fn after,
                    void *context) {
    return group == NULL ? -EINVAL : add_middleware(group, before, after, context);
}

static bool is_handler_name(const char *name) {
    size_t bytes = name == NULL ? 0 : strlen(name);

    return bytes > 0 && bytes <= CV_APP_HANDLER_NAME_BYTES_MAX;
}

static int add_handler(struct covet_app *app, struct covet_group *group, const char *name,
                       covet_handler_fn handler, void *context) {
    struct cv_app_handler *item;

    if (is_closed(app))
        return -EPERM;
    if (!is_handler_name(name) || handler == NULL)
        return fail(app, -EINVAL, "handler \"%.200s\": no function, or no name of 1 to %u bytes",
                    name == NULL ? "" : name, CV_APP_HANDLER_NAME_BYTES_MAX);
    if (cv_app_find_handler(app, cv_span_of(name)) != NULL)
        return fail(app, -EEXIST, "handler \"%.200s\": there is one of this name", name);
    item = calloc(1, sizeof(*item));
    if (item != NULL)
        item->name = strdup(name);
    if (item == NULL || item->name == NULL) {
        free(item);
        return fail(app, -ENOMEM, "handler \"%.200s\": no memory", name);
    }
    item->group = group;
    item->handler = handler;
    item->context = context;
    item->next = app->handlers;
    app->handlers = item;
    return 0;
}

int covet_handler(struct covet_app *app, const char *name, covet_handler_fn handler,
                  void *context) {
    return add_handler(app, NULL, name, handler, context);
}

int covet_group_handler(struct covet_group *group, const char *name, covet_handler_fn handler,
                        void *context) {
    return group == NULL ? -EINVAL : add_handler(group->app, group, name, handler, context);
}

const struct cv_app_handler *cv_app_find_handler(const struct covet_app *app, struct cv_span name) {
    const struct cv_app_handler *item = app->handlers;

    while (item != NULL && !cv_span_equal(cv_span_of(item->name), name))
        item = item->next;
    return item;
}

int covet_on_worker(struct covet_app *app, covet_worker_init_fn init, covet_worker_exit_fn exit,
                    void *context) {
    if (is_closed(app))
        return -EPERM;
    if (app->hook_count == CV_CONTEXT_HOOKS_MAX)
        return fail(app, -ENOSPC, "worker hooks: more than %u", CV_CONTEXT_HOOKS_MAX);
    for (uint32_t i = 0; i < app->hook_count; i++)
        if (app->hook[i].context == context)
            return fail(app, -EEXIST, "worker hooks: two of them with the same context");
    app->hook[app->hook_count++] = (struct cv_app_hook){init, exit, context};
    return 0;
}
