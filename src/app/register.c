// The registering half of <covet/app.h>. Whatever fails first is kept with its text, so that an
// application that ignores a return value is refused all the same, and with the true reason.
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

static int add_route(struct covet_app *app, struct covet_group *group,
                     const struct covet_route_options *options) {
    char text[CV_APP_ERROR_BYTES];
    const char *prefix = group->prefix == NULL ? "" : group->prefix;
    struct cv_route *route;
    char *pattern;
    int error;

    if (options->pattern == NULL || options->pattern[0] != '/')
        return fail(app, -EINVAL, "route \"%s%.200s\": a pattern begins with '/'", prefix,
                    options->pattern == NULL ? "" : options->pattern);
    if (options->handler == NULL)
        return fail(app, -EINVAL, "route \"%s%.200s\": no handler", prefix, options->pattern);
    if ((options->methods & ~(unsigned)COVET_ANY_METHOD) != 0)
        return fail(app, -EINVAL, "route \"%s%.200s\": methods that cannot be routed", prefix,
                    options->pattern);
    route = calloc(1, sizeof(*route));
    pattern = join(prefix, options->pattern);
    if (route == NULL || pattern == NULL) {
        free(route);
        free(pattern);
        return fail(app, -ENOMEM, "route \"%.200s\": no memory", options->pattern);
    }
    *route = (struct cv_route){
        .pattern = pattern,
        .methods = (uint16_t)options->methods,
        .stream_body = options->stream_body != 0,
        .body_bytes_max = options->body_bytes_max,
        .handler = options->handler,
        .context = options->context,
        .group = group,
        .next = app->routes,
    };
    app->routes = route;
    error = cv_router_add(&app->router, route, text, sizeof(text));
    return error == 0 ? 0 : fail(app, error, "%s", text);
}

int covet_route_with(struct covet_app *app, const struct covet_route_options *options) {
    struct covet_group *group = options->group == NULL ? &app->root : options->group;

    if (is_closed(app))
        return -EPERM;
    if (group->app != app)
        return fail(app, -EINVAL, "route \"%.200s\": a group of another application",
                    options->pattern == NULL ? "" : options->pattern);
    return add_route(app, group, options);
}

int covet_route(struct covet_app *app, unsigned methods, const char *pattern,
                covet_handler_fn handler, void *context) {
    return covet_route_with(
        app, &(struct covet_route_options){
                 .methods = methods, .pattern = pattern, .handler = handler, .context = context});
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
