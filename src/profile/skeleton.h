// The skeleton that the build makes of bpf/: programs and maps as a struct, and the object itself.
#ifndef CV_PROFILE_SKELETON_H
#define CV_PROFILE_SKELETON_H

#include "bpf/state.h"

// Absent where headers are checked without a build.
#if __has_include(<covet.skel.h>)
#include <covet.skel.h>
#endif

#endif
