// Modules: shared objects that register an application (COVET_MODULE and covet_module_init).
#ifndef CV_APP_MODULE_H
#define CV_APP_MODULE_H

#include <stddef.h>

#include <covet/app.h>

#include "base/compiler.h"

struct cv_module {
    void *handle;                        // owned; NULL: not loaded
    int (*init)(struct covet_app *app);  // borrowed from the module
};

// Loads the module in the open file `fd`, which stays open as long as it is loaded: the dynamic
// loader knows a file by name and inode, so a reload needs a fresh copy of it under another
// descriptor. `name` is for messages only. Returns 0; -ENOEXEC: not a loadable object, or not one
// of ours; -EPROTO: made for another version of the interface. On failure `error` holds a sentence
// for one log line.
CV_MUST_USE int cv_module_load(struct cv_module *module, int fd, const char *name, char *error,
                               size_t error_bytes);

// No code or data of it may be in use. No effect when not loaded.
void cv_module_unload(struct cv_module *module);

#endif
