// Tells AddressSanitizer and Valgrind which of our own memory is free, so that its use is reported
// like that of freed malloc memory. Nothing at all in other builds: Valgrind is spoken to only by
// `make VARIANT=valgrind`, since its requests are instructions that would cost everybody something.
#ifndef CV_MEM_POISON_H
#define CV_MEM_POISON_H

#include <stdbool.h>
#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define CV_POISON_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CV_POISON_ASAN 1
#endif
#endif

#if defined(CV_POISON_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/lsan_interface.h>
#include <sys/prctl.h>
#define CV_POISON_ENABLED 1
#elif defined(CV_VALGRIND)
#include <valgrind/memcheck.h>
#define CV_POISON_ENABLED 1
#endif

// No access to these bytes until cv_poison_clear. `memory` is aligned to 8.
static inline void cv_poison_set(const void *memory, size_t bytes) {
#if defined(CV_POISON_ASAN)
    __asan_poison_memory_region(memory, bytes);
#elif defined(CV_VALGRIND)
    VALGRIND_MAKE_MEM_NOACCESS(memory, bytes);
#else
    (void)memory;
    (void)bytes;
#endif
}

// The bytes may be used, once they are written.
static inline void cv_poison_clear(const void *memory, size_t bytes) {
#if defined(CV_POISON_ASAN)
    __asan_unpoison_memory_region(memory, bytes);
#elif defined(CV_VALGRIND)
    VALGRIND_MAKE_MEM_UNDEFINED(memory, bytes);
#else
    (void)memory;
    (void)bytes;
#endif
}

// The bytes may be used as they are: an allocator reads a link it left in free memory.
static inline void cv_poison_lift(const void *memory, size_t bytes) {
#if defined(CV_VALGRIND)
    VALGRIND_MAKE_MEM_DEFINED(memory, bytes);
#else
    cv_poison_clear(memory, bytes);
#endif
}

// Whether the byte is known to be free; always false in other builds.
static inline bool cv_poison_test(const void *memory) {
#if defined(CV_POISON_ASAN)
    return __asan_address_is_poisoned(memory) != 0;
#elif defined(CV_VALGRIND)
    unsigned char bits;
    return VALGRIND_GET_VBITS(memory, &bits, 1) == 3;
#else
    (void)memory;
    return false;
#endif
}

// LeakSanitizer looks for pointers in malloc memory, not in what we map ourselves.
static inline void cv_poison_add_root(const void *memory, size_t bytes) {
#if defined(CV_POISON_ASAN)
    __lsan_register_root_region(memory, bytes);
#else
    (void)memory;
    (void)bytes;
#endif
}

static inline void cv_poison_remove_root(const void *memory, size_t bytes) {
#if defined(CV_POISON_ASAN)
    __lsan_unregister_root_region(memory, bytes);
#else
    (void)memory;
    (void)bytes;
#endif
}

// For a process that ends with _exit(2): reports the memory that nothing points to any more, and
// ends the process as failed when there is some. LeakSanitizer traces its own process for that,
// which must be dumpable and not traced already.
static inline void cv_poison_find_leaks(void) {
#if defined(CV_POISON_ASAN)
    if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0) {
        __lsan_do_leak_check();
    }
#endif
}

#endif
