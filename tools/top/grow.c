// A dashboard without memory for a frame has nothing to show, so nobody above handles it.
#include "top/grow.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/compiler.h"

void *top_grow(void *memory, size_t *capacity, size_t count, size_t bytes) {
    if (count <= *capacity) {
        return memory;
    }
    size_t larger = CV_MAX(count, *capacity * 2);
    void *grown = reallocarray(memory, larger, bytes);
    if (grown == NULL) {
        fputs("covet-top: no memory\n", stderr);
        exit(1);
    }
    *capacity = larger;
    return grown;
}
