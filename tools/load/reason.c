// One text at a time: the first reason ends the program.
#include "load/reason.h"

#include <stdarg.h>
#include <stdio.h>

static char text[LOAD_REASON_BYTES];

int load_reason_give(const char **why, int error, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    *why = text;
    return error;
}
