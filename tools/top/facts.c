#include "top/facts.h"

#include <stdbool.h>

#include "top/quantity.h"

void top_facts_begin(struct top_facts *facts, struct top_page *page, const char *name,
                     const char *third) {
    static const unsigned ends[] = {37, 45, 59};
    *facts = (struct top_facts){.page = page};
    if (page->line_count > 0) {
        top_page_line(page);
    }
    top_page_line(page);
    top_page_fill(page, 0, TOP_HEAD);
    top_page_put(page, 0, TOP_HEAD, name);
    const char *const titles[] = {"/s", "since", third};
    for (unsigned i = 0; i < 3; i++) {
        facts->figure_end[i] = ends[i];
        top_page_put_right(page, ends[i], TOP_HEAD, titles[i]);
    }
}

void top_facts_add(const struct top_facts *facts, const char *name, double per_second, double since,
                   double third, double warn) {
    const double values[] = {per_second, since, third};
    static const enum top_unit units[] = {TOP_COUNT, TOP_COUNT, TOP_RATIO};
    bool is_warning = warn > 0 && since >= warn;
    top_page_line(facts->page);
    top_page_put(facts->page, 0, TOP_PLAIN, name);
    for (unsigned i = 0; i < 3; i++) {
        char text[TOP_QUANTITY_BYTES];
        enum top_style style = is_warning ? TOP_WARN : values[i] > 0 ? TOP_PLAIN : TOP_DIM;
        top_quantity(text, units[i], values[i]);
        top_page_put_right(facts->page, facts->figure_end[i], style, text);
    }
}

void top_facts_say(const struct top_facts *facts, const char *text) {
    top_page_line(facts->page);
    top_page_put(facts->page, 0, TOP_DIM, text);
}
