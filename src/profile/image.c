// libelf does the reading and its checks; what is kept is a sorted array of functions. Names stay
// where libelf has them. Sections are read, not mapped: a file that is cut meanwhile would be
// fatal.
#include "profile/image.h"

#include <errno.h>
#include <gelf.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct segment {
    uint64_t offset;
    uint64_t address;
    uint64_t bytes;
};

struct function {
    uint64_t start;
    uint64_t end;
    const char *name;  // borrowed from the file
    uint8_t rank;      // among names of one place, the lowest wins
};

struct cv_image {
    int fd;        // owned; -1: from memory
    char *memory;  // owned; NULL: from a file
    Elf *elf;      // owned
    struct segment *segments;
    size_t segment_count;
    struct function *functions;  // owned; ascending, one per start
    size_t function_count;
    bool has_all_symbols;
    struct cv_cfi cfi;
};

static bool read_segments(struct cv_image *image) {
    size_t count;
    GElf_Phdr header;

    if (elf_getphdrnum(image->elf, &count) != 0 || count == 0)
        return true;  // A file of debugging symbols may load nothing.
    image->segments = calloc(count, sizeof(*image->segments));
    if (image->segments == NULL)
        return false;
    for (size_t i = 0; i < count && i <= INT32_MAX; i++) {
        if (gelf_getphdr(image->elf, (int)i, &header) != NULL && header.p_type == PT_LOAD)
            image->segments[image->segment_count++] =
                (struct segment){header.p_offset, header.p_vaddr, header.p_filesz};
    }
    return true;
}

// Exported names are what people call a function; a name that begins with "_" has a reason to hide.
static uint8_t rank_of(unsigned char binding, const char *name) {
    uint8_t rank = binding == STB_GLOBAL ? 0 : binding == STB_WEAK ? 8 : 16;

    return (uint8_t)(rank + strspn(name, "_"));
}

static int compare_functions(const void *a, const void *b) {
    const struct function *left = a, *right = b;

    if (left->start != right->start)
        return left->start < right->start ? -1 : 1;
    return left->rank - right->rank;
}

// Sorts, and leaves one name per place. A symbol of assembly code may have no size: it reaches to
// the next one.
static void tidy_functions(struct cv_image *image) {
    size_t kept = 0;

    if (image->function_count == 0)
        return;
    qsort(image->functions, image->function_count, sizeof(*image->functions), compare_functions);
    for (size_t i = 0; i < image->function_count; i++) {
        struct function *next = &image->functions[i];
        struct function *last = kept > 0 ? &image->functions[kept - 1] : NULL;
        if (last != NULL && last->start == next->start) {
            last->end = CV_MAX(last->end, next->end);
            continue;
        }
        if (last != NULL && last->end == last->start)
            last->end = next->start;
        image->functions[kept++] = *next;
    }
    image->function_count = kept;
}

static bool add_table(struct cv_image *image, Elf_Scn *section, const GElf_Shdr *header) {
    Elf_Data *data = elf_getdata(section, NULL);
    size_t count = header->sh_entsize > 0 ? header->sh_size / header->sh_entsize : 0;
    GElf_Sym symbol;

    if (data == NULL || count == 0 || count > INT32_MAX)
        return true;
    void *grown =
        reallocarray(image->functions, image->function_count + count, sizeof(*image->functions));
    if (grown == NULL)
        return false;
    image->functions = grown;
    for (size_t i = 0; i < count; i++) {
        if (gelf_getsym(data, (int)i, &symbol) == NULL || symbol.st_shndx == SHN_UNDEF ||
            (GELF_ST_TYPE(symbol.st_info) != STT_FUNC &&
             GELF_ST_TYPE(symbol.st_info) != STT_GNU_IFUNC))
            continue;
        const char *name = elf_strptr(image->elf, header->sh_link, symbol.st_name);
        if (name == NULL || name[0] == '\0')
            continue;
        image->functions[image->function_count++] = (struct function){
            .start = symbol.st_value,
            .end = symbol.st_value + symbol.st_size,
            .name = name,
            .rank = rank_of(GELF_ST_BIND(symbol.st_info), name),
        };
    }
    return true;
}

static bool read_sections(struct cv_image *image) {
    Elf_Scn *section = NULL;
    size_t names;
    GElf_Shdr header;

    if (elf_getshdrstrndx(image->elf, &names) != 0)
        return true;
    while ((section = elf_nextscn(image->elf, section)) != NULL) {
        if (gelf_getshdr(section, &header) == NULL)
            continue;
        const char *name = elf_strptr(image->elf, names, header.sh_name);
        if (header.sh_type == SHT_SYMTAB || header.sh_type == SHT_DYNSYM) {
            image->has_all_symbols |= header.sh_type == SHT_SYMTAB;
            if (!add_table(image, section, &header))
                return false;
        } else if (name != NULL && strcmp(name, ".eh_frame") == 0 && header.sh_type != SHT_NOBITS &&
                   image->cfi.bytes == NULL) {
            Elf_Data *data = elf_rawdata(section, NULL);
            if (data != NULL && data->d_buf != NULL &&
                cv_cfi_init(&image->cfi, data->d_buf, data->d_size, header.sh_addr) != 0)
                return false;
        }
    }
    tidy_functions(image);
    return true;
}

static struct cv_image *read_image(struct cv_image *image) {
    GElf_Ehdr header;

    if (image->elf == NULL || gelf_getehdr(image->elf, &header) == NULL ||
        header.e_machine != EM_X86_64 || !read_segments(image) || !read_sections(image)) {
        cv_image_close(image);
        return NULL;
    }
    return image;
}

struct cv_image *cv_image_open(int take_fd) {
    struct cv_image *image = calloc(1, sizeof(*image));

    if (image == NULL) {
        close(take_fd);
        return NULL;
    }
    elf_version(EV_CURRENT);
    image->fd = take_fd;
    image->elf = elf_begin(take_fd, ELF_C_READ, NULL);
    return read_image(image);
}

struct cv_image *cv_image_open_memory(const void *bytes, size_t byte_count) {
    struct cv_image *image = calloc(1, sizeof(*image));

    if (image == NULL)
        return NULL;
    elf_version(EV_CURRENT);
    image->fd = -1;
    image->memory = malloc(byte_count);
    if (image->memory != NULL) {
        memcpy(image->memory, bytes, byte_count);
        image->elf = elf_memory(image->memory, byte_count);
    }
    return read_image(image);
}

void cv_image_close(struct cv_image *image) {
    if (image == NULL)
        return;
    cv_cfi_deinit(&image->cfi);
    free(image->functions);
    free(image->segments);
    elf_end(image->elf);
    free(image->memory);
    if (image->fd >= 0)
        close(image->fd);
    free(image);
}

// Notes: name and description, each padded to four bytes behind their lengths.
static size_t find_build_id(Elf_Data *data, uint8_t id[CV_IMAGE_BUILD_ID_BYTES_MAX]) {
    size_t at = 0, name_at, id_at;
    GElf_Nhdr note;

    while ((at = gelf_getnote(data, at, &note, &name_at, &id_at)) != 0) {
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof(ELF_NOTE_GNU) &&
            memcmp((const char *)data->d_buf + name_at, ELF_NOTE_GNU, sizeof(ELF_NOTE_GNU)) == 0 &&
            note.n_descsz <= CV_IMAGE_BUILD_ID_BYTES_MAX) {
            memcpy(id, (const char *)data->d_buf + id_at, note.n_descsz);
            return note.n_descsz;
        }
    }
    return 0;
}

size_t cv_image_build_id(const struct cv_image *image, uint8_t id[CV_IMAGE_BUILD_ID_BYTES_MAX]) {
    Elf_Scn *section = NULL;
    GElf_Shdr header;
    size_t bytes = 0;

    while (bytes == 0 && (section = elf_nextscn(image->elf, section)) != NULL) {
        if (gelf_getshdr(section, &header) == NULL || header.sh_type != SHT_NOTE)
            continue;
        Elf_Data *data = elf_getdata(section, NULL);
        bytes = data != NULL ? find_build_id(data, id) : 0;
    }
    return bytes;
}

int cv_image_add_symbols(struct cv_image *image, const struct cv_image *debug) {
    size_t count = image->function_count + debug->function_count;
    struct function *grown = reallocarray(image->functions, CV_MAX(count, 1), sizeof(*grown));

    if (grown == NULL)
        return -ENOMEM;
    image->functions = grown;
    if (debug->function_count > 0)
        memcpy(grown + image->function_count, debug->functions,
               debug->function_count * sizeof(*grown));
    image->function_count = count;
    image->has_all_symbols |= debug->has_all_symbols;
    tidy_functions(image);
    return 0;
}

bool cv_image_has_all_symbols(const struct cv_image *image) {
    return image->has_all_symbols;
}

bool cv_image_address(const struct cv_image *image, uint64_t offset, uint64_t *address) {
    for (size_t i = 0; i < image->segment_count; i++) {
        const struct segment *segment = &image->segments[i];
        if (offset - segment->offset < segment->bytes) {
            *address = segment->address + (offset - segment->offset);
            return true;
        }
    }
    return false;
}

const char *cv_image_function(const struct cv_image *image, uint64_t address) {
    size_t low = 0, high = image->function_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (image->functions[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && address < image->functions[low - 1].end ? image->functions[low - 1].name
                                                              : NULL;
}

const struct cv_cfi *cv_image_cfi(const struct cv_image *image) {
    return &image->cfi;
}
