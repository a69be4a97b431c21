// A page: lines of styled glyphs, as many as there are. Views write pages; what is a terminal's and
// what is a pipe's business comes later (screen.h).
#ifndef TOP_PAGE_H
#define TOP_PAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define TOP_PAGE_WIDTH_MAX 1000u

enum top_style {
    TOP_PLAIN,
    TOP_STRONG,  // what matters most
    TOP_DIM,     // what matters least
    TOP_HEAD,    // column titles
    TOP_SORTED,  // the title of the column that rows are sorted by
    TOP_GOOD,
    TOP_WARN,
    TOP_BAD,
    TOP_BAR,  // bars and sparklines
    TOP_STYLE_COUNT
};

struct top_glyph {
    uint16_t code;  // of the Basic Multilingual Plane, one column wide
    uint8_t style;  // enum top_style
};

struct top_page {
    unsigned width;       // of every line; what is written beyond it is cut off
    unsigned line_count;  // top_page_line adds one
    unsigned frozen;      // so many first lines do not scroll; the writer's to set

    struct top_glyph *glyphs;  // owned
    size_t capacity;           // glyphs
};

// Empties the page and sets its width (at most TOP_PAGE_WIDTH_MAX). A zeroed page may begin.
void top_page_begin(struct top_page *page, unsigned width);
void top_page_deinit(struct top_page *page);

// Adds a blank line; the functions below write to the last one.
void top_page_line(struct top_page *page);

// Writes UTF-8 from `column` on; bytes that are none, and control characters, show as '?'. Returns
// the column behind it, at most the width.
unsigned top_page_put(struct top_page *page, unsigned column, enum top_style style,
                      const char *text);
unsigned top_page_print(struct top_page *page, unsigned column, enum top_style style,
                        const char *format, ...) CV_PRINTF(4, 5);

// Writes `text` so that it ends before `column_end`.
void top_page_put_right(struct top_page *page, unsigned column_end, enum top_style style,
                        const char *text);

// The same, one glyph.
void top_page_glyph(struct top_page *page, unsigned column, enum top_style style, uint16_t code);

// Gives the last line's glyphs from `column` to its end this style.
void top_page_fill(struct top_page *page, unsigned column, enum top_style style);

// A bar of `share` (0 to 1) of `width` columns, in eighths of a column; a share above 0 shows.
void top_page_bar(struct top_page *page, unsigned column, unsigned width, double share);

// The glyphs of line `index`, `page->width` of them. Borrowed until the page changes.
const struct top_glyph *top_page_glyphs(const struct top_page *page, unsigned index);

#endif
