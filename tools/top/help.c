#include "top/help.h"

#include <stdio.h>
#include <string.h>

#define LEFT 24u  // Columns of names and keys.

// Writes words from `column` on, in as many lines as they need.
static void write_words(struct top_page *page, unsigned column, const char *text) {
    const char *rest = text;
    while (*rest != '\0') {
        unsigned room = page->width - CV_MIN(column, page->width - 1);
        size_t length = strlen(rest);
        if (length > room) {
            length = room;
            while (length > 0 && rest[length] != ' ') {
                length--;
            }
            length = length > 0 ? length : room;
        }
        top_page_print(page, column, TOP_PLAIN, "%.*s", (int)length, rest);
        rest += length;
        rest += *rest == ' ';
        if (*rest != '\0') {
            top_page_line(page);
        }
    }
}

static void write_pair(struct top_page *page, const char *name, const char *text) {
    top_page_line(page);
    top_page_put(page, 2, TOP_STRONG, name);
    write_words(page, LEFT, text);
}

static void write_title(struct top_page *page, const char *title) {
    if (page->line_count > 0) {
        top_page_line(page);
    }
    top_page_line(page);
    top_page_fill(page, 0, TOP_HEAD);
    top_page_put(page, 0, TOP_HEAD, title);
}

void top_help_write(struct top_page *page, const struct top_view *view) {
    static const struct {
        const char *keys, *what;
    } keys[] = {
        {"1-5, Tab, Shift-Tab", "another view"},
        {"t", "all workers together, or each of them"},
        {"s, S", "sort by the next column, by the one before"},
        {"arrows, PgUp, PgDn", "scroll; left and right for columns that do not fit"},
        {"Home, End", "to the beginning, to the end"},
        {"p, space", "pause, and go on"},
        {"+, -", "longer, shorter intervals"},
        {"r", "set the baseline to now: what is counted \"since\" begins at 0"},
        {"h, ?", "this help, and back"},
        {"q, Ctrl-C", "quit"},
    };
    write_title(page, view->title);
    top_page_line(page);
    write_words(page, 0, view->about);
    for (unsigned i = 0; i < view->column_count; i++) {
        const struct top_column *column = &view->columns[i];
        char name[40];
        snprintf(name, sizeof(name), "%s%s%s", column->group != NULL ? column->group : "",
                 column->group != NULL ? " " : "", column->title);
        write_pair(page, column->kind == TOP_CELL_SHAPE ? "shape" : name, column->meaning);
    }
    write_title(page, "Keys");
    for (unsigned i = 0; i < CV_ARRAY_COUNT(keys); i++) {
        write_pair(page, keys[i].keys, keys[i].what);
    }
    write_title(page, "Figures");
    write_pair(page, "/s", "per second, in the last interval");
    write_pair(page, "since", "counted since the baseline: the start of covet-top, or the last r");
    write_pair(page, "-", "not measured at this level, or nothing to divide by");
    write_pair(page, "level 0", "the server's counters and /proc; no profiler");
    write_pair(page, "level 1", "and rings, scheduling, TCP (covet-prof --level 1)");
    write_pair(page, "level 2", "and system calls (the default of covet-prof)");
    write_pair(page, "level 3", "and how long operations and calls take");
}
