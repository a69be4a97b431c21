// A tree of stacks as one SVG file that needs nothing else: a picture anywhere, and in a browser
// interactive (zoom, search, keyboard) by the script it carries.
#ifndef CV_PROFILE_FLAME_SVG_H
#define CV_PROFILE_FLAME_SVG_H

#include <stdio.h>

#include "base/compiler.h"
#include "profile/flame_tree.h"

struct cv_flame_svg_text {
    const char *title;     // what was measured
    const char *subtitle;  // when, how long, how often, what was lost
    const char *unit;      // of the weights: "samples", "us asleep"
};

// Writes a sorted tree whose weight is not 0. Frames too narrow to be seen, even with the whole
// width for their parent, are left out and said to be. Texts may hold any bytes: all but printable
// ASCII become "?". Errors stay in `file`.
void cv_flame_svg_write(const struct cv_flame_tree *tree, const struct cv_flame_svg_text *text,
                        FILE *file);

#endif
