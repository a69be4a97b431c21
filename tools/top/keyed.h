// Finding an entry in a snapshot's lists.
#ifndef TOP_KEYED_H
#define TOP_KEYED_H

#include <stddef.h>
#include <stdint.h>

// The entry with this key in a list of entries that each begin with a key of two 32-bit numbers, in
// ascending order of both. NULL when there is none.
const void *top_keyed_find(const void *list, size_t count, size_t entry_bytes, uint32_t first,
                           uint32_t second);

#endif
