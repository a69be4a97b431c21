// Columns that do not fit are left out as a whole: half a figure is a wrong one. Where there is
// room, two blanks stand between columns, else one.
#include "top/table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "top/grow.h"
#include "top/history.h"
#include "top/thread.h"

// Where columns go. Column i of the table, if it is drawn, begins at `begin[i]`.
struct layout {
    unsigned begin[TOP_TABLE_COLUMNS_MAX];
    bool is_drawn[TOP_TABLE_COLUMNS_MAX];
    bool has_more;  // to the right
};

void top_table_begin(struct top_table *table, const struct top_column *columns,
                     unsigned column_count, unsigned fixed_count) {
    CV_ASSERT(column_count <= TOP_TABLE_COLUMNS_MAX && fixed_count <= column_count);
    table->columns = columns;
    table->column_count = column_count;
    table->fixed_count = fixed_count;
    table->row_count = 0;
}

void top_table_deinit(struct top_table *table) {
    free(table->rows);
    *table = (struct top_table){0};
}

struct top_row *top_table_add(struct top_table *table) {
    table->rows =
        top_grow(table->rows, &table->row_capacity, table->row_count + 1, sizeof(*table->rows));
    struct top_row *row = &table->rows[table->row_count++];
    row->is_total = false;
    row->position = table->row_count;
    for (unsigned i = 0; i < table->column_count; i++) {
        row->cells[i] = (struct top_cell){.value = NAN, .text = ""};
    }
    return row;
}

struct order {
    unsigned column;
    enum top_cell_kind kind;
};

static int compare_cells(const struct top_cell *a, const struct top_cell *b,
                         enum top_cell_kind kind) {
    if (kind == TOP_CELL_TEXT) {
        return strcmp(a->text, b->text);
    }
    if (kind == TOP_CELL_THREAD || kind == TOP_CELL_PORT) {
        return (a->value > b->value) - (a->value < b->value);
    }
    if (isnan(a->value) || isnan(b->value)) {
        return !!isnan(a->value) - !!isnan(b->value);
    }
    return (a->value < b->value) - (a->value > b->value);
}

static int compare_rows(const void *left, const void *right, void *context) {
    const struct top_row *a = left, *b = right;
    const struct order *order = context;
    if (a->is_total != b->is_total) {
        return a->is_total ? -1 : 1;
    }
    int cells = compare_cells(&a->cells[order->column], &b->cells[order->column], order->kind);
    return cells != 0 ? cells : (a->position > b->position) - (a->position < b->position);
}

void top_table_sort(struct top_table *table, unsigned column) {
    CV_ASSERT(column < table->column_count);
    struct order order = {column, table->columns[column].kind};
    if (table->row_count > 1) {
        qsort_r(table->rows, table->row_count, sizeof(*table->rows), compare_rows, &order);
    }
}

static struct layout lay_out(const struct top_table *table, unsigned width, unsigned scroll) {
    struct layout layout = {0};
    unsigned needed = 0;
    for (unsigned i = 0; i < table->column_count; i++) {
        needed += table->columns[i].width + 2;
    }
    unsigned gap = needed <= width + 2 ? 2 : 1;
    unsigned at = 0;
    for (unsigned i = 0; i < table->column_count && !layout.has_more; i++) {
        if (i >= table->fixed_count && i < table->fixed_count + scroll) {
            continue;
        }
        layout.has_more = at + table->columns[i].width > width;
        if (!layout.has_more) {
            layout.begin[i] = at;
            layout.is_drawn[i] = true;
            at += table->columns[i].width + gap;
        }
    }
    return layout;
}

unsigned top_table_scroll_max(const struct top_table *table, unsigned width) {
    unsigned scroll = 0;
    while (table->fixed_count + scroll + 1 < table->column_count &&
           lay_out(table, width, scroll).has_more) {
        scroll++;
    }
    return scroll;
}

unsigned top_table_scroll_to(const struct top_table *table, unsigned width, unsigned scroll,
                             unsigned column) {
    if (column < table->fixed_count) {
        return scroll;
    }
    scroll = CV_MIN(scroll, column - table->fixed_count);
    while (scroll < column - table->fixed_count &&
           !lay_out(table, width, scroll).is_drawn[column]) {
        scroll++;
    }
    return scroll;
}

static bool is_left_aligned(const struct top_column *column) {
    return column->kind != TOP_CELL_FIGURE;
}

static bool has_group(const struct top_column *column) {
    return column->group != NULL && column->group[0] != '\0';
}

// The upper line: each group's text in the middle of the columns that share it.
static void draw_groups(const struct top_table *table, struct top_page *page,
                        const struct layout *layout) {
    top_page_line(page);
    for (unsigned i = 0; i < table->column_count; i++) {
        const struct top_column *column = &table->columns[i];
        if (!layout->is_drawn[i] || !has_group(column)) {
            continue;
        }
        unsigned last = i;
        while (last + 1 < table->column_count && layout->is_drawn[last + 1] &&
               has_group(&table->columns[last + 1]) &&
               strcmp(table->columns[last + 1].group, column->group) == 0) {
            last++;
        }
        unsigned begin = layout->begin[i];
        unsigned end = layout->begin[last] + table->columns[last].width;
        unsigned length = (unsigned)strlen(column->group);
        unsigned spare = end - begin - CV_MIN(length, end - begin);
        unsigned shift = is_left_aligned(column) ? 0 : i == last ? spare : (spare + 1) / 2;
        top_page_put(page, begin + shift, TOP_HEAD, column->group);
        i = last;
    }
    top_page_fill(page, 0, TOP_HEAD);
}

// The column behind the fixed ones.
static unsigned fixed_end(const struct top_table *table, const struct layout *layout) {
    unsigned last = table->fixed_count - 1;
    return table->fixed_count == 0 ? 0 : layout->begin[last] + table->columns[last].width;
}

void top_table_draw_head(const struct top_table *table, struct top_page *page, unsigned scroll,
                         unsigned sorted) {
    struct layout layout = lay_out(table, page->width, scroll);
    bool has_groups = false;
    for (unsigned i = 0; i < table->column_count; i++) {
        has_groups = has_groups || has_group(&table->columns[i]);
    }
    if (has_groups) {
        draw_groups(table, page, &layout);
    }
    top_page_line(page);
    top_page_fill(page, 0, TOP_HEAD);
    for (unsigned i = 0; i < table->column_count; i++) {
        const struct top_column *column = &table->columns[i];
        if (!layout.is_drawn[i]) {
            continue;
        }
        enum top_style style = i == sorted ? TOP_SORTED : TOP_HEAD;
        if (is_left_aligned(column)) {
            top_page_put(page, layout.begin[i], style, column->title);
        } else {
            top_page_put_right(page, layout.begin[i] + column->width, style, column->title);
        }
    }
    if (scroll > 0) {
        top_page_put(page, fixed_end(table, &layout), TOP_HEAD, "<");
    }
    if (layout.has_more) {
        top_page_put_right(page, page->width, TOP_HEAD, ">");
    }
}

static enum top_style style_of(const struct top_column *column, const struct top_row *row,
                               double value) {
    if (column->bad > 0 && value >= column->bad) {
        return TOP_BAD;
    }
    if (column->warn > 0 && value >= column->warn) {
        return TOP_WARN;
    }
    return value == 0 || isnan(value) ? TOP_DIM : row->is_total ? TOP_STRONG : TOP_PLAIN;
}

static void draw_shape(const struct top_column *column, const struct top_cell *cell,
                       struct top_page *page, unsigned begin) {
    uint64_t largest = 0;
    for (unsigned i = 0; cell->counts != NULL && i < column->width; i++) {
        largest = CV_MAX(largest, cell->counts[i]);
    }
    for (unsigned i = 0; cell->counts != NULL && i < column->width; i++) {
        top_page_glyph(page, begin + i, TOP_BAR,
                       top_history_glyph((double)cell->counts[i], (double)largest));
    }
}

static void draw_cell(const struct top_column *column, const struct top_row *row,
                      const struct top_cell *cell, struct top_page *page, unsigned begin) {
    char text[TOP_QUANTITY_BYTES];
    enum top_style style = row->is_total ? TOP_STRONG : TOP_PLAIN;
    switch (column->kind) {
    case TOP_CELL_TEXT:
        top_page_print(page, begin, style, "%.*s", (int)column->width, cell->text);
        break;
    case TOP_CELL_SHAPE:
        draw_shape(column, cell, page, begin);
        break;
    case TOP_CELL_THREAD:
        top_thread_name(text, cell->value);
        top_page_put(page, begin, style, text);
        break;
    case TOP_CELL_PORT:
        top_page_print(page, begin, style, isnan(cell->value) ? "all" : "%.0f", cell->value);
        break;
    case TOP_CELL_FIGURE:
        top_quantity(text, column->unit, cell->value);
        top_page_put_right(page, begin + column->width, style_of(column, row, cell->value), text);
        break;
    }
}

void top_table_draw_rows(const struct top_table *table, struct top_page *page, unsigned scroll) {
    struct layout layout = lay_out(table, page->width, scroll);
    for (size_t i = 0; i < table->row_count; i++) {
        const struct top_row *row = &table->rows[i];
        top_page_line(page);
        for (unsigned column = 0; column < table->column_count; column++) {
            if (layout.is_drawn[column]) {
                draw_cell(&table->columns[column], row, &row->cells[column], page,
                          layout.begin[column]);
            }
        }
    }
}
