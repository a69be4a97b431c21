// One generation of what is served: the application object and the modules behind it, with account
// of the workers that may still use it. Main thread only.
#ifndef CV_SERVER_GENERATION_H
#define CV_SERVER_GENERATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <covet/abi.h>

#include "app/module.h"
#include "base/compiler.h"
#include "server/settings.h"

struct covet_app;

// Where an application comes from beside modules. Either function may be NULL.
struct cv_generation_source {
    int (*init)(struct covet_app *app);      // Of the embedding program; before the modules.
    int (*fallback)(struct covet_app *app);  // When there is neither that nor a module.
};

struct cv_generation {
    struct covet_app *app;  // owned
    uint32_t module_count;
    struct cv_module module[CV_SETTINGS_MODULES_MAX];  // owned
    int module_fd[CV_SETTINGS_MODULES_MAX];  // owned: the loader tells modules apart by them
    uint32_t number;                         // 1 is the first one.
    uint32_t released_count;
    bool is_released[COVET_WORKERS_MAX];  // By this worker.
    uint32_t adopted_count;
    bool is_refused;  // By at least one worker.
    struct cv_generation *next;
};

// Loads the modules named by `settings` from `module_fd` (one each, taken) and registers
// everything. Returns 0 or -errno with one line in `error`.
CV_MUST_USE int cv_generation_create(struct cv_generation **generation,
                                     const struct cv_settings *settings, const int *module_fd_taken,
                                     const struct cv_generation_source *source, char *error,
                                     size_t error_bytes);

// No worker may use it. NULL is ignored.
void cv_generation_destroy(struct cv_generation *generation);

#endif
