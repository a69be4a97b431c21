// A program file that nobody vouches for: its symbols, segments, notes and tables.
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "profile/image.h"

#define ADDRESSES 64u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Places all over the file's addresses, and around what its tables name.
static void look_up(const struct cv_image *image, size_t size) {
    const struct cv_cfi *cfi = cv_image_cfi(image);
    struct cv_cfi_row row;
    uint64_t address;
    for (uint64_t i = 0; i < ADDRESSES; i++) {
        if (cv_image_address(image, size * i / ADDRESSES, &address)) {
            const char *name = cv_image_function(image, address);
            CV_ASSERT(name == NULL || strlen(name) > 0);
            const struct cv_cfi_function *function = cv_cfi_find(cfi, address);
            if (function != NULL) {
                (void)!cv_cfi_row(cfi, function, address, &row);
            }
        }
    }
    (void)cv_image_function(image, UINT64_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t id[CV_IMAGE_BUILD_ID_BYTES_MAX];
    struct cv_image *image = cv_image_open_memory(data, size);
    if (image == NULL) {
        return 0;
    }
    struct cv_image *debug = cv_image_open_memory(data, size);
    CV_ASSERT(debug != NULL);
    CV_ASSERT(cv_image_build_id(image, id) <= sizeof(id));
    look_up(image, size);
    CV_ASSERT(cv_image_add_symbols(image, debug) == 0);
    CV_ASSERT(cv_image_has_all_symbols(image) == cv_image_has_all_symbols(debug));
    look_up(image, size);
    cv_image_close(image);
    cv_image_close(debug);
    return 0;
}
