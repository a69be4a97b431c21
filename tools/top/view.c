#include "top/view.h"

#include <string.h>

#include "top/views.h"

const struct top_view *const top_views[TOP_VIEW_COUNT] = {
    &top_view_workers, &top_view_syscalls, &top_view_ring, &top_view_network, &top_view_latency,
};

unsigned top_view_find(const char *name) {
    unsigned view = 0;
    while (view < TOP_VIEW_COUNT && strcmp(top_views[view]->name, name) != 0) {
        view++;
    }
    return view;
}

void top_view_table(struct top_page *page, struct top_table *table, struct top_choice *choice) {
    unsigned sideways_max = top_table_scroll_max(table, page->width);
    if (choice->shows_sorted) {
        choice->sideways =
            top_table_scroll_to(table, page->width, choice->sideways, choice->sorted);
    }
    choice->sideways = CV_MIN(choice->sideways, sideways_max);
    top_table_sort(table, choice->sorted);
    top_table_draw_head(table, page, choice->sideways, choice->sorted);
    page->frozen = page->line_count;
    top_table_draw_rows(table, page, choice->sideways);
}

void top_view_needs_level(struct top_page *page, const struct top_sample *sample, const char *what,
                          uint32_t level) {
    uint32_t now = top_sample_level(&sample->change);
    top_page_line(page);
    top_page_line(page);
    if (now == 0) {
        top_page_print(page, 0, TOP_WARN, "%s from level %u on, and no profiler is attached.", what,
                       level);
    } else {
        top_page_print(page, 0, TOP_WARN, "%s from level %u on; this is level %u.", what, level,
                       now);
    }
    top_page_line(page);
    top_page_print(page, 0, TOP_PLAIN, "To see them: sudo covet-prof --level %u", level);
}
