// The skeleton that the build makes of bpf/: programs and maps as a struct, and the object itself.
#ifndef CV_PROFILE_SKELETON_H
#define CV_PROFILE_SKELETON_H

#include "bpf/state.h"

// Generated, and not in our style; absent where headers are checked without a build.
#if __has_include(<covet.skel.h>)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#include <covet.skel.h>
#pragma GCC diagnostic pop
#endif

#endif
