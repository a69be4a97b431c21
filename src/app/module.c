// The descriptor's entry in /proc/self/fd gives the loader a path for a file that may have none, a
// memory file for example. Symbols stay local: two modules may use the same names.
#include "app/module.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>

static int refuse(struct cv_module *module, int result) {
    cv_module_unload(module);
    return result;
}

int cv_module_load(struct cv_module *module, int fd, const char *name, char *error,
                   size_t error_bytes) {
    char path[64];
    const char *why;
    const int *api;

    module->init = NULL;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    module->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (module->handle == NULL) {
        why = dlerror();
        snprintf(error, error_bytes, "module %s: %s", name, why == NULL ? "cannot be loaded" : why);
        return -ENOEXEC;
    }
    api = dlsym(module->handle, "covet_module_api");
    if (api == NULL) {
        snprintf(error, error_bytes, "module %s: no covet_module_api, not a covet module", name);
        return refuse(module, -ENOEXEC);
    }
    if (*api != COVET_API_VERSION) {
        snprintf(error, error_bytes, "module %s: made for interface version %d, this covet has %d",
                 name, *api, COVET_API_VERSION);
        return refuse(module, -EPROTO);
    }
    // ISO C knows no conversion from an object pointer to a function; POSIX promises this one.
    *(void **)&module->init = dlsym(module->handle, "covet_module_init");
    if (module->init == NULL) {
        snprintf(error, error_bytes, "module %s: no function covet_module_init", name);
        return refuse(module, -ENOEXEC);
    }
    return 0;
}

void cv_module_unload(struct cv_module *module) {
    if (module->handle != NULL)
        dlclose(module->handle);
    module->handle = NULL;
    module->init = NULL;
}
