// The help: keys, and what the columns of a view mean.
#ifndef TOP_HELP_H
#define TOP_HELP_H

#include "top/view.h"

// Writes it to a page that has begun, broken into lines of its width.
void top_help_write(struct top_page *page, const struct top_view *view);

#endif
