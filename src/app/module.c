// The descriptor's entry in /proc/self/fd gives the loader a path for a file that may have none, a
// memory file for example. Symbols stay local: two modules may use the same names.
//
// The loader maps what the headers promise and believes them: of a file that ends too soon (it was
// being written, or its disk was full) it touches pages that are not there and dies of SIGBUS. So
// such a file is refused before the loader sees it.
#include "app/module.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PARTS_MAX 64u  // Program headers; linkers write about ten.

static int refuse(struct cv_module *module, int result) {
    cv_module_unload(module);
    return result;
}

static bool ends_within(const ElfW(Ehdr) * head, const ElfW(Phdr) * parts, uint64_t file_bytes) {
    for (size_t i = 0; i < head->e_phnum; i++) {
        if (parts[i].p_type == PT_LOAD && (parts[i].p_offset > file_bytes ||
                                           parts[i].p_filesz > file_bytes - parts[i].p_offset)) {
            return false;
        }
    }
    // The table of sections is what linkers write last.
    uint64_t sections_bytes = (uint64_t)head->e_shnum * head->e_shentsize;
    return head->e_shoff <= file_bytes && sections_bytes <= file_bytes - head->e_shoff;
}

// False also for a file that cannot be read; what is not ELF at all is left to the loader to name.
static bool is_whole(int fd) {
    ElfW(Ehdr) head;
    ElfW(Phdr) parts[PARTS_MAX];
    struct stat status;
    if (fstat(fd, &status) < 0) {
        return false;
    }
    ssize_t got = pread(fd, &head, sizeof(head), 0);
    if (got < SELFMAG || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
        head.e_ident[EI_CLASS] != ELFCLASS64) {
        return got > 0;
    }
    size_t parts_bytes = head.e_phnum * sizeof(parts[0]);
    return got == (ssize_t)sizeof(head) && head.e_phnum <= PARTS_MAX &&
           pread(fd, parts, parts_bytes, (off_t)head.e_phoff) == (ssize_t)parts_bytes &&
           ends_within(&head, parts, (uint64_t)status.st_size);
}

int cv_module_load(struct cv_module *module, int fd, const char *name, char *error,
                   size_t error_bytes) {
    char path[64];
    const char *why;
    const int *api;

    module->init = NULL;
    module->handle = NULL;
    if (!is_whole(fd)) {
        snprintf(error, error_bytes,
                 "module %s: the file is cut short; load it again when it is whole", name);
        return -ENOEXEC;
    }
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
