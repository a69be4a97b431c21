// Small lists on a page: a name, how often a second, how often since the baseline, and one figure
// more.
#ifndef TOP_FACTS_H
#define TOP_FACTS_H

#include "top/page.h"

struct top_facts {
    struct top_page *page;  // borrowed
    unsigned figure_end[3];
};

// Writes a blank line, where the page has lines, and the titles: `name`, "/s", "since" and `third`.
void top_facts_begin(struct top_facts *facts, struct top_page *page, const char *name,
                     const char *third);

// Writes one line. A figure that is NAN shows as "-". `since` of `warn` or more (0: never) shows
// so.
void top_facts_add(const struct top_facts *facts, const char *name, double per_second, double since,
                   double third, double warn);

// Writes a line of plain words in place of facts.
void top_facts_say(const struct top_facts *facts, const char *text);

#endif
