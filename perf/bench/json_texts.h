// What the JSON readers are measured with; the same texts for every implementation.
#ifndef JSON_TEXTS_H
#define JSON_TEXTS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define JSON_DOUBLE_COUNT 256u

// A page of a social service's API: an object with "statuses", an array of objects with nested
// users, entities and places; about 600 kB without white space.
extern char *json_large;
extern size_t json_large_bytes;
// The same with line ends and indents of two.
extern char *json_large_pretty;
extern size_t json_large_pretty_bytes;

// An array of doubles in their shortest form.
extern char *json_doubles;
extern size_t json_doubles_bytes;

// Readable behind every text: what simdjson asks for.
#define JSON_PADDING 64u

// Makes the texts; again: no effect.
void json_texts_make(void);

#ifdef __cplusplus
}
#endif

#endif
