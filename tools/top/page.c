// One array of glyphs, line after line. Bars are drawn with the block elements of Unicode.
#include "top/page.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "top/grow.h"

#define FULL_BLOCK 0x2588u  // Left eighths are behind it: 0x2589 seven eighths ... 0x258f one.
#define TEXT_BYTES 512u

void top_page_begin(struct top_page *page, unsigned width) {
    CV_ASSERT(width <= TOP_PAGE_WIDTH_MAX);
    page->width = width;
    page->line_count = 0;
    page->frozen = 0;
}

void top_page_deinit(struct top_page *page) {
    free(page->glyphs);
    *page = (struct top_page){0};
}

void top_page_line(struct top_page *page) {
    size_t used = (size_t)page->line_count * page->width;
    page->glyphs =
        top_grow(page->glyphs, &page->capacity, used + page->width, sizeof(*page->glyphs));
    for (unsigned i = 0; i < page->width; i++) {
        page->glyphs[used + i] = (struct top_glyph){.code = ' ', .style = TOP_PLAIN};
    }
    page->line_count++;
}

static struct top_glyph *last_line(const struct top_page *page) {
    CV_ASSERT(page->line_count > 0);
    return page->glyphs + (size_t)(page->line_count - 1) * page->width;
}

void top_page_glyph(struct top_page *page, unsigned column, enum top_style style, uint16_t code) {
    if (column < page->width) {
        last_line(page)[column] = (struct top_glyph){.code = code, .style = (uint8_t)style};
    }
}

// The next character of UTF-8 text, '?' for what is none or cannot be shown in one column.
static uint16_t take_character(const char **text) {
    const unsigned char *at = (const unsigned char *)*text;
    *text += 1;
    if (at[0] < 0x80) {
        return at[0] >= ' ' && at[0] != 0x7f ? at[0] : '?';
    }
    if (at[0] >= 0xc2 && at[0] < 0xe0 && (at[1] & 0xc0) == 0x80) {
        *text += 1;
        unsigned code = (at[0] & 0x1fu) << 6 | (at[1] & 0x3fu);
        return code >= 0xa0 ? (uint16_t)code : '?';
    }
    if (at[0] >= 0xe0 && at[0] < 0xf0 && (at[1] & 0xc0) == 0x80 && (at[2] & 0xc0) == 0x80) {
        *text += 2;
        unsigned code = (at[0] & 0xfu) << 12 | (at[1] & 0x3fu) << 6 | (at[2] & 0x3fu);
        return code >= 0x800 && (code < 0xd800 || code > 0xdfff) ? (uint16_t)code : '?';
    }
    return '?';
}

unsigned top_page_put(struct top_page *page, unsigned column, enum top_style style,
                      const char *text) {
    while (*text != '\0' && column < page->width) {
        top_page_glyph(page, column++, style, take_character(&text));
    }
    return CV_MIN(column, page->width);
}

unsigned top_page_print(struct top_page *page, unsigned column, enum top_style style,
                        const char *format, ...) {
    char text[TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return top_page_put(page, column, style, text);
}

static unsigned columns_of(const char *text) {
    unsigned columns = 0;
    while (*text != '\0') {
        take_character(&text);
        columns++;
    }
    return columns;
}

void top_page_put_right(struct top_page *page, unsigned column_end, enum top_style style,
                        const char *text) {
    unsigned columns = columns_of(text);
    top_page_put(page, column_end - CV_MIN(columns, column_end), style, text);
}

void top_page_fill(struct top_page *page, unsigned column, enum top_style style) {
    for (; column < page->width; column++) {
        last_line(page)[column].style = (uint8_t)style;
    }
}

void top_page_bar(struct top_page *page, unsigned column, unsigned width, double share) {
    unsigned eighths = (unsigned)(CV_MIN(CV_MAX(share, 0.0), 1.0) * width * 8 + 0.5);
    if (share > 0 && eighths == 0) {
        eighths = 1;
    }
    for (; eighths >= 8; eighths -= 8) {
        top_page_glyph(page, column++, TOP_BAR, FULL_BLOCK);
    }
    if (eighths > 0) {
        top_page_glyph(page, column, TOP_BAR, (uint16_t)(FULL_BLOCK + 8 - eighths));
    }
}

const struct top_glyph *top_page_glyphs(const struct top_page *page, unsigned index) {
    CV_ASSERT(index < page->line_count);
    return page->glyphs + (size_t)index * page->width;
}
