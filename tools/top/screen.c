// A frame is written over the one before, line by line, each wiped behind its end, so nothing
// flickers. Terminals that know synchronized output (private mode 2026) show it at once, others
// ignore that. Every row is addressed, and no newline written: the last one would scroll.
#include "top/screen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "top/grow.h"

#define ADDRESS_BYTES 32u

// Attributes alone, and with colours (ECMA-48 section 8.3.117). The eight colours of old, whose
// values are the user's own scheme.
static const struct {
    const char *plain, *colored;
} styles[TOP_STYLE_COUNT] = {
    [TOP_PLAIN] = {"\033[m", "\033[m"},
    [TOP_STRONG] = {"\033[0;1m", "\033[0;1m"},
    [TOP_DIM] = {"\033[m", "\033[0;2m"},
    [TOP_HEAD] = {"\033[0;7m", "\033[0;30;46m"},
    [TOP_SORTED] = {"\033[0;1;7m", "\033[0;30;42m"},
    [TOP_GOOD] = {"\033[m", "\033[0;32m"},
    [TOP_WARN] = {"\033[0;1m", "\033[0;33m"},
    [TOP_BAD] = {"\033[0;7m", "\033[0;1;31m"},
    [TOP_BAR] = {"\033[m", "\033[0;36m"},
};

char *top_screen_room(struct top_screen *screen, size_t count) {
    screen->bytes = top_grow(screen->bytes, &screen->capacity, screen->length + count, 1);
    return screen->bytes + screen->length;
}

static void add(struct top_screen *screen, const char *bytes, size_t count) {
    memcpy(top_screen_room(screen, count), bytes, count);
    screen->length += count;
}

void top_screen_raw(struct top_screen *screen, const char *text) {
    add(screen, text, strlen(text));
}

// What ASCII has for the few other glyphs that are used.
static char ascii_of(uint16_t code) {
    static const char eighths[] = ".:-=+*##";  // U+2581 to U+2588, rising
    if (code < 0x80) {
        return (char)code;
    }
    if (code >= 0x2581 && code <= 0x2588) {
        return eighths[code - 0x2581];
    }
    if (code >= 0x2589 && code <= 0x258f) {
        return code <= 0x258c ? '#' : '|';  // half a column or more, or less
    }
    return '?';
}

static void add_glyph(struct top_screen *screen, uint16_t code) {
    char bytes[3];
    size_t count = 0;
    if (code < 0x80 || !screen->way.has_utf8) {
        bytes[count++] = ascii_of(code);
    } else if (code < 0x800) {
        bytes[count++] = (char)(0xc0 | code >> 6);
        bytes[count++] = (char)(0x80 | (code & 0x3f));
    } else {
        bytes[count++] = (char)(0xe0 | code >> 12);
        bytes[count++] = (char)(0x80 | (code >> 6 & 0x3f));
        bytes[count++] = (char)(0x80 | (code & 0x3f));
    }
    add(screen, bytes, count);
}

// Without the blanks at the end that look like nothing.
static unsigned visible_columns(const struct top_page *page, const struct top_glyph *glyphs,
                                bool has_styles) {
    unsigned columns = page->width;
    while (columns > 0 && glyphs[columns - 1].code == ' ' &&
           (!has_styles ||
            (glyphs[columns - 1].style != TOP_HEAD && glyphs[columns - 1].style != TOP_SORTED))) {
        columns--;
    }
    return columns;
}

void top_screen_begin(struct top_screen *screen) {
    screen->length = 0;
    screen->row = 0;
    top_screen_raw(screen, "\033[?2026h");
}

void top_screen_line(struct top_screen *screen, const struct top_page *page, unsigned index) {
    const struct top_glyph *glyphs = top_page_glyphs(page, index);
    unsigned columns = visible_columns(page, glyphs, true);
    enum top_style style = TOP_PLAIN;
    char address[ADDRESS_BYTES];
    snprintf(address, sizeof(address), "\033[%u;1H\033[m", ++screen->row);
    top_screen_raw(screen, address);
    for (unsigned i = 0; i < columns; i++) {
        if (glyphs[i].style != style) {
            style = glyphs[i].style;
            top_screen_raw(screen,
                           screen->way.has_colors ? styles[style].colored : styles[style].plain);
        }
        add_glyph(screen, glyphs[i].code);
    }
    // A row that is full leaves the cursor on its last column, which must not be wiped.
    if (columns < page->width) {
        top_screen_raw(screen, "\033[m\033[K");
    }
}

void top_screen_end(struct top_screen *screen, unsigned height) {
    char address[ADDRESS_BYTES];
    top_screen_raw(screen, "\033[m");
    if (screen->row < height) {
        snprintf(address, sizeof(address), "\033[%u;1H\033[J", screen->row + 1);
        top_screen_raw(screen, address);
    }
    top_screen_raw(screen, "\033[?2026l");
}

void top_screen_text(struct top_screen *screen, const struct top_page *page) {
    for (unsigned line = 0; line < page->line_count; line++) {
        const struct top_glyph *glyphs = top_page_glyphs(page, line);
        unsigned columns = visible_columns(page, glyphs, false);
        for (unsigned i = 0; i < columns; i++) {
            add_glyph(screen, glyphs[i].code);
        }
        add(screen, "\n", 1);
    }
}

void top_screen_deinit(struct top_screen *screen) {
    free(screen->bytes);
    *screen = (struct top_screen){0};
}
