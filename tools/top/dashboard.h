// What is shown and how the user wants it: the state that keys change. No terminal here.
#ifndef TOP_DASHBOARD_H
#define TOP_DASHBOARD_H

#include <stdbool.h>

#include "top/view.h"

struct top_dashboard {
    struct top_sample sample;
    double seconds;                             // an interval
    unsigned view;                              // index in top_views
    struct top_choice choices[TOP_VIEW_COUNT];  // one for each view
    bool is_paused;
    bool has_help;
    struct top_choice help;  // only its line
    unsigned page_lines;     // that were in sight in the last frame
};

// What a key asks of whoever runs the dashboard; the state has changed already.
enum top_wish {
    TOP_WISH_NOTHING,
    TOP_WISH_FRAME,   // draw
    TOP_WISH_REBASE,  // top_sample_rebase, then draw
    TOP_WISH_RESUME,  // top_sample_restart, begin an interval, then draw
    TOP_WISH_PACE,    // the interval is another one, then draw
    TOP_WISH_QUIT,
};

// Sets the start values; the sample, which is opened by the caller, is left alone.
void top_dashboard_begin(struct top_dashboard *dashboard, double seconds, unsigned view);

// `key` is one of keys.h.
enum top_wish top_dashboard_key(struct top_dashboard *dashboard, int key);

// The next longer or shorter interval of 0.1 0.2 0.5 1 2 5 10 30 60, `seconds` at the ends.
double top_dashboard_pace(double seconds, bool is_longer);

#endif
