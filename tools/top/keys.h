// What a terminal sends, as keys.
#ifndef TOP_KEYS_H
#define TOP_KEYS_H

#include <stddef.h>

#include "base/compiler.h"

enum top_key {
    // Printable ASCII stands for itself, so do '\t' and '\f' (^L).
    TOP_KEY_NONE = 0,
    TOP_KEY_ESCAPE = 27,
    TOP_KEY_UP = 256,
    TOP_KEY_DOWN,
    TOP_KEY_LEFT,
    TOP_KEY_RIGHT,
    TOP_KEY_PAGE_UP,
    TOP_KEY_PAGE_DOWN,
    TOP_KEY_HOME,
    TOP_KEY_END,
    TOP_KEY_BACK_TAB,
};

#define TOP_KEYS_SEQUENCE_MAX 16u

// A sequence that has begun and not ended; zeroed at first.
struct top_keys {
    char sequence[TOP_KEYS_SEQUENCE_MAX];
    unsigned length;
};

// Takes one byte. Returns the key it completes, or TOP_KEY_NONE. Sequences that mean nothing here
// are swallowed whole, so that none of their letters acts as a key.
int top_keys_feed(struct top_keys *keys, char byte);

// Nothing has come for a while: returns TOP_KEY_ESCAPE when a lone escape waits, and drops what is
// incomplete.
int top_keys_flush(struct top_keys *keys);

#endif
