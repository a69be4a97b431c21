// The terminal as covet-top needs it: raw keys, the alternate screen, its size, and all of it given
// back however the program ends. One per process.
#ifndef TOP_TERMINAL_H
#define TOP_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

enum top_event {
    TOP_EVENT_TIME = 0,    // the deadline has come
    TOP_EVENT_KEYS = 1,    // bytes have been read
    TOP_EVENT_DRAW = 2,    // the size changed, or the program was stopped and goes on
    TOP_EVENT_HANGUP = 4,  // the terminal is gone
};

// Takes the terminal that standard output is. Keys come from standard input, where that is a
// terminal, else from the controlling terminal, else there are none. From now on every exit
// restores it: exit(3), and every signal that ends a process and can be caught, after which the
// process still dies of that signal. Ctrl-Z stops the program with the terminal restored. Returns
// 0, or -errno with everything as it was.
CV_MUST_USE int top_terminal_open(void);

// Gives the terminal back. No effect when it is not taken.
void top_terminal_close(void);

// Waits until CLOCK_MONOTONIC is at `deadline_ns` (0: for ever), or something happens. Returns a
// set of top_event; `*count` bytes of `keys` are those that have come.
unsigned top_terminal_wait(uint64_t deadline_ns, char *keys, size_t keys_max, size_t *count);

// Columns and rows; 80 and 24 where the terminal does not know.
void top_terminal_size(unsigned *width, unsigned *height);

// Writes all of it: in one write, unless the terminal takes less. Returns false when it is gone.
CV_MUST_USE bool top_terminal_write(const char *bytes, size_t count);

#endif
