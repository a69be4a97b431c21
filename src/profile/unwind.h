// From a thread's registers and a copy of its stack to the functions it is in.
#ifndef CV_PROFILE_UNWIND_H
#define CV_PROFILE_UNWIND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "profile/symbols.h"

#define CV_UNWIND_FRAMES_MAX 256u

// Unwinds `thread`, which is changed by it. Writes up to CV_UNWIND_FRAMES_MAX functions, innermost
// first, and returns their number, 0 when memory is exhausted. `*is_complete` is false when the
// outermost function is not the first one of the thread: no table, or more stack than was copied.
CV_MUST_USE size_t cv_unwind(struct cv_symbols *symbols, struct cv_cfi_thread *thread,
                             struct cv_frame frames[CV_UNWIND_FRAMES_MAX], bool *is_complete);

#endif
