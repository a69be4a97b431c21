// The last values of one figure, and the line that is drawn of them.
#ifndef TOP_HISTORY_H
#define TOP_HISTORY_H

#include "top/page.h"

#define TOP_HISTORY_MAX 512u

struct top_history {
    double values[TOP_HISTORY_MAX];  // a ring
    unsigned count;                  // so many are there
    unsigned next;                   // where the next one goes
};

// Adds a value, 0 or more; the oldest one leaves when there are TOP_HISTORY_MAX. A zeroed history
// is empty.
void top_history_add(struct top_history *history, double value);

// The newest value; 0 of an empty history.
double top_history_last(const struct top_history *history);

// The largest of the last `count` values, 0 when there are none.
double top_history_max(const struct top_history *history, unsigned count);

// Draws the last `width` values, the newest at the right end, from `column` on. The largest of them
// fills its glyph, 0 is a blank; a value above 0 shows.
void top_history_draw(const struct top_history *history, struct top_page *page, unsigned column,
                      unsigned width);

// One value as such a glyph: an eighth block, or a blank.
uint16_t top_history_glyph(double value, double largest);

#endif
