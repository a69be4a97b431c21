// Assertions are for our own mistakes; input never asserts. CV_ASSERT stays in release builds.
#ifndef CV_BASE_ASSERT_H
#define CV_BASE_ASSERT_H

#include "base/compiler.h"

// Prints one line to standard error and aborts; the supervisor restarts the server.
_Noreturn CV_COLD void cv_assert_fail(const char *condition, const char *file, int line);

#define CV_ASSERT(condition) \
    (CV_LIKELY(condition) ? (void)0 : cv_assert_fail(#condition, __FILE__, __LINE__))

#ifdef NDEBUG
#define CV_DEBUG_ASSERT(condition) ((void)sizeof(condition))
#else
#define CV_DEBUG_ASSERT(condition) CV_ASSERT(condition)
#endif

#endif
