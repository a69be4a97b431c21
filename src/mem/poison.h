// Tells AddressSanitizer which of our own memory is free, so that its use is reported like that of
// freed malloc memory. Nothing at all in other builds.
#ifndef CV_MEM_POISON_H
#define CV_MEM_POISON_H

#include <stdbool.h>
#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define CV_POISON_ENABLED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CV_POISON_ENABLED 1
#endif
#endif

#ifdef CV_POISON_ENABLED
#include <sanitizer/asan_interface.h>
#endif

// No access to these bytes until cv_poison_clear. `memory` is aligned to 8.
static inline void cv_poison_set(const void *memory, size_t bytes) {
#ifdef CV_POISON_ENABLED
    __asan_poison_memory_region(memory, bytes);
#else
    (void)memory;
    (void)bytes;
#endif
}

static inline void cv_poison_clear(const void *memory, size_t bytes) {
#ifdef CV_POISON_ENABLED
    __asan_unpoison_memory_region(memory, bytes);
#else
    (void)memory;
    (void)bytes;
#endif
}

// Whether the byte is known to be free; always false without AddressSanitizer.
static inline bool cv_poison_test(const void *memory) {
#ifdef CV_POISON_ENABLED
    return __asan_address_is_poisoned(memory) != 0;
#else
    (void)memory;
    return false;
#endif
}

#endif
