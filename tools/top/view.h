// The views. Each writes a page from the same figures; all of them are in one table.
#ifndef TOP_VIEW_H
#define TOP_VIEW_H

#include <stdbool.h>

#include "top/page.h"
#include "top/sample.h"
#include "top/table.h"

// What the user has chosen in one view. Every view has its own.
struct top_choice {
    bool is_total;      // all workers together, or each of them
    unsigned sorted;    // column of the view's main table
    bool shows_sorted;  // it has just been chosen: it shall be in sight
    unsigned sideways;  // columns of that table scrolled away
    unsigned line;      // lines of the page scrolled away
};

struct top_view {
    const char *name;                  // as --view takes it
    const char *title;                 // as the tab shows it
    const char *about;                 // a sentence for the help
    struct top_choice choice;          // at the start
    const struct top_column *columns;  // of its main table
    unsigned column_count;

    // Writes the page, which has begun and has no line, and sets what of it does not scroll.
    // `choice->sideways` is brought into its limits.
    void (*write)(struct top_page *page, const struct top_sample *sample,
                  struct top_choice *choice);
};

#define TOP_VIEW_COUNT 5u

extern const struct top_view *const top_views[TOP_VIEW_COUNT];

// The index of the view with this name, TOP_VIEW_COUNT if there is none.
unsigned top_view_find(const char *name);

// For the views: a sorted table on the page, its titles and all above them frozen.
void top_view_table(struct top_page *page, struct top_table *table, struct top_choice *choice);

// For the views: "Not measured at level 0 ..." with what would measure it.
void top_view_needs_level(struct top_page *page, const struct top_sample *sample, const char *what,
                          uint32_t level);

#endif
