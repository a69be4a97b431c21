// The application object goes before the modules, because what it was told points into them.
#include "server/generation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/app.h"
#include "server/lastwords.h"

// Runs one registration; `name` says whose it is.
static int run_init(struct covet_app *app, int (*init)(struct covet_app *app), const char *name,
                    char *error, size_t error_bytes) {
    int result = init(app);
    if (result == 0) {
        return 0;
    }
    const char *why = cv_app_error(app);
    if (why[0] != '\0') {
        snprintf(error, error_bytes, "%s: %s", name, why);
    } else {
        snprintf(error, error_bytes, "%s: its init function returned %d%s%s", name, result,
                 result < 0 ? ": " : "", result < 0 ? strerror(-result) : "");
    }
    return result < 0 ? result : -EINVAL;
}

static int load_modules(struct cv_generation *generation, const struct cv_settings *settings,
                        char *error, size_t error_bytes) {
    for (uint32_t i = 0; i < generation->module_count; i++) {
        int result = cv_module_load(&generation->module[i], generation->module_fd[i],
                                    settings->module[i], error, error_bytes);
        // A module that crashes in its own start shall be named in the last words.
        cv_lastwords_refresh();
        if (result == 0) {
            result = run_init(generation->app, generation->module[i].init, settings->module[i],
                              error, error_bytes);
        }
        if (result != 0) {
            return result;
        }
    }
    return 0;
}

static int fill(struct cv_generation *generation, const struct cv_settings *settings,
                const struct cv_generation_source *source, char *error, size_t error_bytes) {
    struct covet_app *app = generation->app;
    int result = 0;
    if (source->init != NULL) {
        result = run_init(app, source->init, "application", error, error_bytes);
    } else if (generation->module_count == 0 && source->fallback != NULL) {
        result = run_init(app, source->fallback, "demo", error, error_bytes);
    }
    if (result == 0) {
        result = load_modules(generation, settings, error, error_bytes);
    }
    if (result == 0) {
        result = cv_app_seal(app);
        if (result != 0) {
            snprintf(error, error_bytes, "%s", cv_app_error(app));
        }
    }
    return result;
}

int cv_generation_create(struct cv_generation **generation_out, const struct cv_settings *settings,
                         const int *module_fd_taken, const struct cv_generation_source *source,
                         char *error, size_t error_bytes) {
    struct cv_generation *generation = calloc(1, sizeof(*generation));
    if (generation == NULL) {
        for (uint32_t i = 0; i < settings->module_count; i++) {
            close(module_fd_taken[i]);
        }
        snprintf(error, error_bytes, "no memory");
        return -ENOMEM;
    }
    generation->module_count = settings->module_count;
    memcpy(generation->module_fd, module_fd_taken,
           generation->module_count * sizeof(module_fd_taken[0]));
    generation->app = cv_app_create();
    int result = -ENOMEM;
    if (generation->app == NULL) {
        snprintf(error, error_bytes, "no memory");
    } else {
        generation->app->body_bytes_max = settings->limits.body_bytes_max;
        if (settings->worker_count > 0) {
            generation->app->routes.worker_count = settings->worker_count;
        }
        result = fill(generation, settings, source, error, error_bytes);
    }
    if (result != 0) {
        cv_generation_destroy(generation);
        return result;
    }
    *generation_out = generation;
    return 0;
}

void cv_generation_destroy(struct cv_generation *generation) {
    if (generation == NULL) {
        return;
    }
    cv_app_destroy(generation->app);
    for (uint32_t i = 0; i < generation->module_count; i++) {
        cv_module_unload(&generation->module[i]);
        close(generation->module_fd[i]);
    }
    free(generation);
    cv_lastwords_refresh();
}
