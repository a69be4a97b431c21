// One frame of the dashboard: header, tabs, the view or the help, and a line of help at the bottom.
#ifndef TOP_FRAME_H
#define TOP_FRAME_H

#include "top/dashboard.h"
#include "top/screen.h"

// Smaller terminals are told so.
#define TOP_FRAME_WIDTH_MIN 60u
#define TOP_FRAME_HEIGHT_MIN 10u

// Makes `screen` the frame for a terminal of this size, and brings what is scrolled into its
// limits.
void top_frame_draw(struct top_screen *screen, struct top_dashboard *dashboard, unsigned width,
                    unsigned height);

// Adds to `screen` the header and the whole view as plain text, lines cut off at `width`.
void top_frame_text(struct top_screen *screen, struct top_dashboard *dashboard, unsigned width);

#endif
