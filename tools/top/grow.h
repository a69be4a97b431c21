// Memory that only grows, for what is rebuilt at every frame.
#ifndef TOP_GROW_H
#define TOP_GROW_H

#include <stddef.h>

// Room for at least `count` things of `bytes` each behind `memory` (NULL: none yet), whose capacity
// is `*capacity` things. Returns the memory, moved perhaps. Without memory the program ends with
// a line and status 1; what is registered with atexit(3) restores the terminal.
void *top_grow(void *memory, size_t *capacity, size_t count, size_t bytes);

#endif
