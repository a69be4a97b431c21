// Compiler attributes used across covet, under one name each.
#ifndef CV_BASE_COMPILER_H
#define CV_BASE_COMPILER_H

#define CV_MUST_USE __attribute__((warn_unused_result))
#define CV_PRINTF(format_index, first_index) \
    __attribute__((format(printf, format_index, first_index)))
#define CV_ALWAYS_INLINE inline __attribute__((always_inline))
#define CV_NOINLINE __attribute__((noinline))
// For loads that reach past an object.
#define CV_READS_BEYOND __attribute__((no_sanitize("address", "thread")))
#define CV_COLD __attribute__((cold, noinline))
#define CV_CACHE_LINE_BYTES 64
#define CV_CACHE_ALIGNED __attribute__((aligned(CV_CACHE_LINE_BYTES)))

#define CV_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define CV_UNLIKELY(condition) __builtin_expect(!!(condition), 0)

#define CV_ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define CV_MIN(a, b) ((a) < (b) ? (a) : (b))
#define CV_MAX(a, b) ((a) > (b) ? (a) : (b))

// The struct that holds `member` at address `pointer`.
#define CV_CONTAINER_OF(pointer, type, member) \
    ((type *)((char *)(pointer) - __builtin_offsetof(type, member)))

#endif
