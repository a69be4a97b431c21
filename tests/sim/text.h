// Text without printf, which would be a third of what a short request costs here.
#ifndef SIM_TEXT_H
#define SIM_TEXT_H

#include <stdint.h>
#include <string.h>

// Both write from `at` on, where there is room, and return where they stopped: a NUL is there.
static inline char *sim_text_put(char *at, const char *text) {
    return stpcpy(at, text);
}

static inline char *sim_text_number(char *at, uint64_t value, uint32_t base) {
    char digits[20];
    uint32_t count = 0;
    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value > 0);
    while (count > 0) {
        *at++ = digits[--count];
    }
    *at = '\0';
    return at;
}

#endif
