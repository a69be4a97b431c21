// Why something is refused, in words.
#ifndef LOAD_REASON_H
#define LOAD_REASON_H

#include "base/compiler.h"

#define LOAD_REASON_BYTES 512u  // A longer one is cut.

// Sets `*why` to the text, which stands until the next one is given, and returns `error`. One
// thread.
int load_reason_give(const char **why, int error, const char *format, ...) CV_PRINTF(3, 4);

#endif
