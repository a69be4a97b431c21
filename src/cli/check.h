// covet --check: what this kernel and this process's limits give.
#ifndef CV_CLI_CHECK_H
#define CV_CLI_CHECK_H

#include <stdio.h>

#include "base/compiler.h"

// Prints one line per feature: its name, yes or no, why it matters. Returns 0, or 71 when something
// is missing that covet needs.
CV_MUST_USE int cv_check_print(FILE *out);

#endif
