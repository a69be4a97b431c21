/* Borrowed bytes and the words the other headers share. */
#ifndef COVET_SPAN_H
#define COVET_SPAN_H

#include <stddef.h>

#if defined(__GNUC__)
#define COVET_EXPORT __attribute__((visibility("default")))
#else
#define COVET_EXPORT
#endif

/* Bytes that belong to somebody else. They need not end in NUL; print them with printf("%.*s",
 * (int)span.length, span.data). `data` is NULL where there is nothing at all, as opposed to an
 * empty value. The function that returns a span says how long it lives. */
struct covet_span {
    const char *data;
    size_t length;
};

#endif
