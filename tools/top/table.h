// Tables of figures: columns described once, rows of cells, sorted and laid out on a page.
#ifndef TOP_TABLE_H
#define TOP_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "top/page.h"
#include "top/quantity.h"

#define TOP_TABLE_COLUMNS_MAX 20u

enum top_cell_kind {
    TOP_CELL_FIGURE,  // `value` in the column's unit; NAN is "not measured"
    TOP_CELL_THREAD,  // `value` names a thread (thread.h)
    TOP_CELL_PORT,    // `value` is a port; NAN: all of them
    TOP_CELL_TEXT,    // `text`
    TOP_CELL_SHAPE,   // `counts`, as many as the column is wide, drawn as a sparkline
};

struct top_cell {
    double value;
    const char *text;        // static
    const uint64_t *counts;  // borrowed until the table is drawn; NULL: nothing to draw
};

struct top_column {
    const char *group;  // the upper line of its title; neighbours with the same text share it
    const char *title;
    const char *meaning;  // one sentence part for people who see it for the first time
    enum top_cell_kind kind;
    enum top_unit unit;
    unsigned width;    // of the cells, titles included; figures are right-aligned
    double warn, bad;  // from these values on it is shown as such; 0: never
};

struct top_row {
    struct top_cell cells[TOP_TABLE_COLUMNS_MAX];
    bool is_total;    // stays in front of all others
    size_t position;  // in which order it was added
};

struct top_table {
    const struct top_column *columns;
    unsigned column_count;
    unsigned fixed_count;  // so many first columns are there however far one scrolls to the side
    struct top_row *rows;  // owned
    size_t row_count;
    size_t row_capacity;
};

// Empties the table. A zeroed one may begin. The columns are borrowed.
void top_table_begin(struct top_table *table, const struct top_column *columns,
                     unsigned column_count, unsigned fixed_count);
void top_table_deinit(struct top_table *table);

// Adds a row whose figures are all "not measured", and whose texts are "". Borrowed until the next.
struct top_row *top_table_add(struct top_table *table);

// Sorts by one column: figures largest first, what is not measured last; texts and threads
// ascending. Rows that are equal there keep the order they were added in.
void top_table_sort(struct top_table *table, unsigned column);

// How many columns behind the fixed ones one may scroll until the last one is in sight at `width`.
unsigned top_table_scroll_max(const struct top_table *table, unsigned width);

// The scroll nearest to `scroll` at which `column` is in sight.
unsigned top_table_scroll_to(const struct top_table *table, unsigned width, unsigned scroll,
                             unsigned column);

// Draws two lines of titles (one, when no column has a group). `scroll` columns behind the fixed
// ones are left out; `sorted` is the column whose title shows it (any other number: none).
void top_table_draw_head(const struct top_table *table, struct top_page *page, unsigned scroll,
                         unsigned sorted);

// Draws all rows.
void top_table_draw_rows(const struct top_table *table, struct top_page *page, unsigned scroll);

#endif
