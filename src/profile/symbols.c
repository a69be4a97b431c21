#include "profile/symbols.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/span.h"
#include "profile/image.h"
#include "profile/kallsyms.h"
#include "profile/mappings.h"
#include "profile/names.h"

#define PLACES_MIN 4096u
#define VDSO_BYTES_MAX (1u << 20)
#define REREAD_NS 100000000u
#define NAME_BYTES_MAX 512u
#define PATH_BYTES_MAX 4096u

// A file behind mappings.
struct file {
    uint64_t inode;
    const char *path;  // one of `names`
    const char *base_name;
    enum cv_origin origin;
    struct cv_image *image;  // owned; NULL: cannot be read
    struct cv_image *debug;  // owned; NULL: none was needed or there
};

// Places by address, open addressing, at most half full.
struct places {
    struct cv_place *slots;  // frame.name NULL: empty
    size_t slot_count;
    size_t count;
};

struct cv_symbols {
    pid_t pid;
    struct cv_names names;
    struct cv_mappings mappings;
    uint64_t mappings_read_ns;
    struct file *files;
    size_t file_count;
    struct places user;
    struct places kernel;
    struct cv_kallsyms kallsyms;
    struct cv_place stranger;  // the last address that nobody knew
};

static uint64_t now_ns(void) {
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static struct cv_place *find_slot(const struct places *places, uint64_t address) {
    size_t at = (address * 0x9e3779b97f4a7c15u >> 32) & (places->slot_count - 1);

    while (places->slots[at].frame.name != NULL && places->slots[at].address != address)
        at = (at + 1) & (places->slot_count - 1);
    return &places->slots[at];
}

static bool grow(struct places *places) {
    struct places grown = {.slot_count = CV_MAX(2 * places->slot_count, PLACES_MIN),
                           .count = places->count};

    grown.slots = calloc(grown.slot_count, sizeof(*grown.slots));
    if (grown.slots == NULL)
        return false;
    for (size_t i = 0; i < places->slot_count; i++) {
        if (places->slots[i].frame.name != NULL)
            *find_slot(&grown, places->slots[i].address) = places->slots[i];
    }
    free(places->slots);
    *places = grown;
    return true;
}

static void forget(struct places *places) {
    free(places->slots);
    *places = (struct places){0};
}

// The slot of `address`; empty when it is new. NULL when memory is exhausted.
static struct cv_place *reserve(struct places *places, uint64_t address) {
    if (2 * places->count >= places->slot_count && !grow(places))
        return NULL;
    return find_slot(places, address);
}

static const struct cv_place *fill(struct places *places, struct cv_place *slot,
                                   const struct cv_place *place) {
    if (place->frame.name == NULL)
        return NULL;
    *slot = *place;
    places->count++;
    return slot;
}

const char *cv_symbols_name(struct cv_symbols *symbols, const char *text) {
    return cv_names_add(&symbols->names, cv_span_of(text));
}

// Compilers mark parts and copies of a function behind a dot (.cold, .part.0, .lto_priv.0); they
// are that function.
static const char *add_function(struct cv_symbols *symbols, const char *name) {
    size_t length = 1 + strcspn(name + 1, ".");

    return cv_names_add(&symbols->names, cv_span_make(name, length));
}

static bool starts_with(const char *text, const char *start) {
    return strncmp(text, start, strlen(start)) == 0;
}

static enum cv_origin origin_of(const char *path, const char *base_name, const char *program) {
    static const struct {
        const char *start;
        enum cv_origin origin;
    } libraries[] = {
        {"libcovet.so", CV_ORIGIN_SERVER}, {"liburing.so", CV_ORIGIN_LIBURING},
        {"libc.so", CV_ORIGIN_LIBC},       {"libc.musl", CV_ORIGIN_LIBC},
        {"libm.so", CV_ORIGIN_LIBC},       {"ld-linux", CV_ORIGIN_LIBC},
        {"ld-musl", CV_ORIGIN_LIBC},       {"[vdso]", CV_ORIGIN_LIBC},
    };

    if (strcmp(path, program) == 0)
        return CV_ORIGIN_SERVER;
    if (starts_with(path, "/memfd:"))
        return CV_ORIGIN_MODULE;  // The supervisor's copies of --module files.
    for (size_t i = 0; i < CV_ARRAY_COUNT(libraries); i++) {
        if (starts_with(base_name, libraries[i].start))
            return libraries[i].origin;
    }
    return CV_ORIGIN_OTHER;
}

static int open_file(pid_t pid, const struct cv_mapping *mapping) {
    char path[PATH_BYTES_MAX];
    struct stat status;

    // The very file, whatever became of its name since; needs CAP_SYS_ADMIN or, from Linux 5.9 on,
    // CAP_CHECKPOINT_RESTORE.
    snprintf(path, sizeof(path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, (int)pid,
             mapping->start, mapping->end);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 || mapping->path[0] != '/')
        return fd;
    snprintf(path, sizeof(path), "/proc/%d/root%s", (int)pid, mapping->path);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0 && (fstat(fd, &status) != 0 || status.st_ino != mapping->inode)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static struct cv_image *read_vdso(pid_t pid, const struct cv_mapping *mapping) {
    struct cv_image *image = NULL;
    uint64_t bytes = mapping->end - mapping->start;
    char path[32];

    snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    void *copy = bytes <= VDSO_BYTES_MAX ? malloc(bytes) : NULL;
    if (copy != NULL && pread(fd, copy, bytes, (off_t)mapping->start) == (ssize_t)bytes)
        image = cv_image_open_memory(copy, bytes);
    free(copy);
    close(fd);
    return image;
}

// The file of debugging symbols that belongs to `image`, in the process's root or in ours.
static struct cv_image *open_debug(pid_t pid, const struct cv_image *image) {
    uint8_t id[CV_IMAGE_BUILD_ID_BYTES_MAX];
    size_t id_bytes = cv_image_build_id(image, id);
    char name[2 * CV_IMAGE_BUILD_ID_BYTES_MAX + 1], root[32], path[256];

    if (id_bytes < 2)
        return NULL;
    for (size_t i = 0; i < id_bytes; i++)
        snprintf(name + 2 * i, 3, "%02x", id[i]);
    snprintf(root, sizeof(root), "/proc/%d/root", (int)pid);
    for (int own_root = 0; own_root <= 1; own_root++) {
        snprintf(path, sizeof(path), "%s/usr/lib/debug/.build-id/%.2s/%s.debug",
                 own_root ? "" : root, name, name + 2);
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // The root may be a stranger's.
        if (fd >= 0)
            return cv_image_open(fd);
    }
    return NULL;
}

static void open_image(struct cv_symbols *symbols, const struct cv_mapping *mapping,
                       struct file *file) {
    if (strcmp(mapping->path, "[vdso]") == 0) {
        file->image = read_vdso(symbols->pid, mapping);
        return;
    }
    int fd = mapping->inode != 0 ? open_file(symbols->pid, mapping) : -1;
    file->image = fd >= 0 ? cv_image_open(fd) : NULL;
    if (file->image == NULL || cv_image_has_all_symbols(file->image))
        return;
    file->debug = open_debug(symbols->pid, file->image);
    if (file->debug != NULL && cv_image_add_symbols(file->image, file->debug) != 0) {
        cv_image_close(file->debug);
        file->debug = NULL;
    }
}

// The last part of the path: "/memfd:hello.so (deleted)" is hello.so.
static const char *add_base_name(struct cv_symbols *symbols, const char *path) {
    const char *slash = strrchr(path, '/');
    const char *base = starts_with(path, "/memfd:") ? path + strlen("/memfd:")
                       : slash != NULL              ? slash + 1
                                                    : path;
    const char *deleted = strstr(base, " (deleted)");

    return cv_names_add(
        &symbols->names,
        cv_span_make(base, deleted != NULL ? (size_t)(deleted - base) : strlen(base)));
}

static const struct file *add_file(struct cv_symbols *symbols, const struct cv_mapping *mapping) {
    struct file *grown = reallocarray(symbols->files, symbols->file_count + 1, sizeof(*grown));
    char link[32], program[PATH_BYTES_MAX] = "";

    if (grown == NULL)
        return NULL;
    symbols->files = grown;
    struct file *file = &grown[symbols->file_count];
    *file = (struct file){.inode = mapping->inode,
                          .path = cv_symbols_name(symbols, mapping->path),
                          .base_name = add_base_name(symbols, mapping->path)};
    if (file->path == NULL || file->base_name == NULL)
        return NULL;
    snprintf(link, sizeof(link), "/proc/%d/exe", (int)symbols->pid);
    ssize_t length = readlink(link, program, sizeof(program) - 1);
    program[CV_MAX(length, 0)] = '\0';
    file->origin = origin_of(file->path, file->base_name, program);
    open_image(symbols, mapping, file);
    symbols->file_count++;
    return file;
}

static const struct file *find_file(struct cv_symbols *symbols, const struct cv_mapping *mapping) {
    for (size_t i = 0; i < symbols->file_count; i++) {
        if (symbols->files[i].inode == mapping->inode &&
            strcmp(symbols->files[i].path, mapping->path) == 0)
            return &symbols->files[i];
    }
    return add_file(symbols, mapping);
}

// Without a name: the start of the function where a table knows it, so that its instructions are
// one place, and the address itself otherwise.
static const char *name_nameless(struct cv_symbols *symbols, const struct file *file,
                                 uint64_t address) {
    char text[NAME_BYTES_MAX];

    if (file->base_name[0] == '\0')
        return cv_symbols_name(symbols, "[anonymous]");
    snprintf(text, sizeof(text), "[%s+0x%" PRIx64 "]", file->base_name, address);
    return cv_symbols_name(symbols, text);
}

static void find_in_file(struct cv_symbols *symbols, const struct cv_mapping *mapping,
                         const struct file *file, struct cv_place *place) {
    uint64_t offset = place->address - mapping->start + mapping->offset;
    uint64_t address = offset;
    const char *name = NULL;

    // The vDSO lies in memory as it would in its file.
    if (file->image != NULL && cv_image_address(file->image, offset, &address)) {
        name = cv_image_function(file->image, address);
        const struct cv_cfi *cfi = cv_image_cfi(file->image);
        const struct cv_cfi_function *function = cv_cfi_find(cfi, address);
        if (function != NULL && cv_cfi_row(cfi, function, address, &place->row))
            place->cfi = cfi;
        if (function != NULL)
            address = function->start;
    }
    place->frame.origin = file->origin;
    place->frame.name =
        name != NULL ? add_function(symbols, name) : name_nameless(symbols, file, address);
}

static const struct cv_mapping *find_mapping(struct cv_symbols *symbols, uint64_t address) {
    const struct cv_mapping *mapping = cv_mappings_find(&symbols->mappings, address);
    uint64_t now = now_ns();

    if (mapping != NULL || now - symbols->mappings_read_ns < REREAD_NS)
        return mapping;
    symbols->mappings_read_ns = now;
    if (cv_mappings_read(&symbols->mappings, symbols->pid) != 0)
        return NULL;
    forget(&symbols->user);  // Other code may lie at the same addresses now.
    return cv_mappings_find(&symbols->mappings, address);
}

const struct cv_place *cv_symbols_user(struct cv_symbols *symbols, uint64_t address) {
    struct cv_place *slot = reserve(&symbols->user, address);
    struct cv_place place = {.address = address, .frame.origin = CV_ORIGIN_UNKNOWN};

    if (slot == NULL || slot->frame.name != NULL)
        return slot;
    const struct cv_mapping *mapping = find_mapping(symbols, address);
    if (mapping == NULL) {
        place.frame.name = cv_symbols_name(symbols, "[unknown]");
        symbols->stranger = place;
        return place.frame.name != NULL ? &symbols->stranger : NULL;
    }
    const struct file *file = find_file(symbols, mapping);
    if (file == NULL)
        return NULL;
    find_in_file(symbols, mapping, file, &place);
    slot = reserve(&symbols->user, address);  // Finding the mapping may have cleared the table.
    return slot == NULL ? NULL : fill(&symbols->user, slot, &place);
}

const struct cv_place *cv_symbols_kernel(struct cv_symbols *symbols, uint64_t address) {
    struct cv_place *slot = reserve(&symbols->kernel, address);
    struct cv_place place = {.address = address, .frame.origin = CV_ORIGIN_KERNEL};
    char text[NAME_BYTES_MAX];

    if (slot == NULL || slot->frame.name != NULL)
        return slot;
    const struct cv_kallsyms_function *function = cv_kallsyms_find(&symbols->kallsyms, address);
    if (function == NULL) {
        place.frame.name = cv_symbols_name(symbols, "[kernel]");
    } else if (strcmp(function->module, "bpf") == 0) {
        place.frame.origin = CV_ORIGIN_BPF;
        place.frame.name = cv_symbols_name(symbols, function->name);
    } else if (function->module[0] != '\0') {
        snprintf(text, sizeof(text), "%s [%s]", function->name, function->module);
        place.frame.name = cv_symbols_name(symbols, text);
    } else {
        place.frame.name = add_function(symbols, function->name);
    }
    return fill(&symbols->kernel, slot, &place);
}

int cv_symbols_create(struct cv_symbols **symbols, pid_t pid) {
    struct cv_symbols *made = calloc(1, sizeof(*made));

    if (made == NULL)
        return -ENOMEM;
    made->pid = pid;
    int error = cv_mappings_read(&made->mappings, pid);
    made->mappings_read_ns = now_ns();
    // Without it the kernel's functions have no names, which is no reason to give up.
    FILE *file = fopen("/proc/kallsyms", "re");
    made->kallsyms.is_hidden = true;
    if (file != NULL) {
        if (cv_kallsyms_read(&made->kallsyms, file) != 0)
            made->kallsyms.is_hidden = true;
        fclose(file);
    }
    if (error != 0) {
        cv_symbols_destroy(made);
        return error;
    }
    *symbols = made;
    return 0;
}

void cv_symbols_destroy(struct cv_symbols *symbols) {
    if (symbols == NULL)
        return;
    for (size_t i = 0; i < symbols->file_count; i++) {
        cv_image_close(symbols->files[i].image);
        cv_image_close(symbols->files[i].debug);
    }
    free(symbols->files);
    forget(&symbols->user);
    forget(&symbols->kernel);
    cv_mappings_deinit(&symbols->mappings);
    cv_kallsyms_deinit(&symbols->kallsyms);
    cv_names_deinit(&symbols->names);
    free(symbols);
}

bool cv_symbols_kernel_is_hidden(const struct cv_symbols *symbols) {
    return symbols->kallsyms.is_hidden;
}

const char *cv_symbols_origin_name(enum cv_origin origin) {
    static const char *const names[CV_ORIGIN_COUNT] = {
        [CV_ORIGIN_THREAD] = "thread",   [CV_ORIGIN_SERVER] = "server",
        [CV_ORIGIN_MODULE] = "module",   [CV_ORIGIN_LIBURING] = "liburing",
        [CV_ORIGIN_LIBC] = "libc",       [CV_ORIGIN_OTHER] = "other",
        [CV_ORIGIN_KERNEL] = "kernel",   [CV_ORIGIN_BPF] = "bpf",
        [CV_ORIGIN_UNKNOWN] = "unknown",
    };

    return names[origin];
}
