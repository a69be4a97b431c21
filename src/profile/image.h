// A program file or library as a profiler needs it: its functions' names and unwinding tables.
//
// Addresses are those the file itself uses; cv_image_address makes one from a place in the file,
// which is what a mapping tells. Not thread-safe.
#ifndef CV_PROFILE_IMAGE_H
#define CV_PROFILE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "profile/cfi.h"

#define CV_IMAGE_BUILD_ID_BYTES_MAX 32u

struct cv_image;

// Reads an ELF file. `take_fd` is taken: closed at once on failure, else by cv_image_close.
// Returns NULL for what is no x86-64 ELF file, or when memory is exhausted.
CV_MUST_USE struct cv_image *cv_image_open(int take_fd);

// The same of bytes in memory, which are copied: the vDSO has no file.
CV_MUST_USE struct cv_image *cv_image_open_memory(const void *bytes, size_t byte_count);

void cv_image_close(struct cv_image *image);

// The note by which a file of debugging symbols is found; 0 bytes when there is none. Returns the
// number of bytes written to `id`.
size_t cv_image_build_id(const struct cv_image *image, uint8_t id[CV_IMAGE_BUILD_ID_BYTES_MAX]);

// Adds the symbols of `debug`, the same program's file of debugging symbols, which stays the
// caller's and must stay open as long. Returns 0 or -ENOMEM with the image unchanged.
CV_MUST_USE int cv_image_add_symbols(struct cv_image *image, const struct cv_image *debug);

// Whether the file has its full symbol table, and not only what it exports.
bool cv_image_has_all_symbols(const struct cv_image *image);

// The address of the byte at `offset` of the file. Returns false for what is not loaded.
bool cv_image_address(const struct cv_image *image, uint64_t offset, uint64_t *address);

// The name of the function that holds `address`, borrowed until cv_image_close, or NULL. Of names
// for one place, exported ones and those with fewer underscores in front win.
const char *cv_image_function(const struct cv_image *image, uint64_t address);

const struct cv_cfi *cv_image_cfi(const struct cv_image *image);

#endif
