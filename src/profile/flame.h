// covet-prof flame: where a covet's threads spend their time, as one picture.
#ifndef CV_PROFILE_FLAME_H
#define CV_PROFILE_FLAME_H

#include "base/compiler.h"

// The subcommand; argv[0] is its name. Returns the exit code: 0, 1 with a message when there was
// nothing to measure or writing failed, 64 for a wrong command line, 77 without the rights or on a
// kernel that cannot.
CV_MUST_USE int cv_flame_main(int argc, char **argv);

#endif
