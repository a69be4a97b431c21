// Pages as bytes: one frame of a terminal, or plain text.
#ifndef TOP_SCREEN_H
#define TOP_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

#include "top/page.h"

// How glyphs and styles are written.
struct top_screen_way {
    bool has_colors;
    bool has_utf8;  // else ASCII stands for bars and dots
};

struct top_screen {
    struct top_screen_way way;
    char *bytes;  // owned; what is to be written
    size_t length;
    size_t capacity;
    unsigned row;  // lines so far
};

// Begins a frame at the upper left corner. A zeroed screen with its `way` set may begin.
void top_screen_begin(struct top_screen *screen);

// Adds line `index` of `page`, with its styles, and wipes the rest of that row.
void top_screen_line(struct top_screen *screen, const struct top_page *page, unsigned index);

// Ends the frame of a terminal with `height` rows: wipes those below. The bytes are the whole
// frame, for one write.
void top_screen_end(struct top_screen *screen, unsigned height);

// Adds a whole page as plain text: no styles, no blanks at the ends of lines.
void top_screen_text(struct top_screen *screen, const struct top_page *page);

// Adds text as it is.
void top_screen_raw(struct top_screen *screen, const char *text);

// Room for `count` more bytes at the end, borrowed until anything else is added. Whoever fills it
// adds to `length`.
char *top_screen_room(struct top_screen *screen, size_t count);

void top_screen_deinit(struct top_screen *screen);

#endif
