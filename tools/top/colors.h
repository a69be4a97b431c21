// What the terminal can show.
#ifndef TOP_COLORS_H
#define TOP_COLORS_H

#include <stdbool.h>
#include <stddef.h>

// Whether to use colours: the terminal named `term` has at least eight by its terminfo entry (or,
// where there is none, `colorterm` says so), and NO_COLOR (https://no-color.org) is not set. Each
// may be NULL, as of getenv(3).
bool top_colors_wanted(const char *term, const char *colorterm, const char *no_color);

// Reads max_colors out of a compiled entry (term(5)): 0 when it is none, or has none.
int top_colors_in_entry(const unsigned char *entry, size_t bytes);

// Whether the locale's character set is UTF-8. Reads the environment; calls setlocale(3).
bool top_colors_has_utf8(void);

#endif
