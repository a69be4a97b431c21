// The small API object that writers and readers are measured with: 167 bytes of JSON, whatever its
// values.
//
//     {"id":31415,"name":"Copper Garden Lamp","category":"outdoor","price":149.95,"quantity":12,
//      "active":true,"tags":["solar","warm"],"rating":{"score":4.7,"count":381}}
#ifndef ITEMS_H
#define ITEMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#include <covet/json.h>

#define ITEM_BYTES 167u
#define ITEM_COUNT 64u
#define ITEM_TAGS_MAX 3u
// What a copy of a fixed size may read of every text here.
#define ITEM_TEXT_ROOM 32u

struct item_rating {
    double score;
    uint32_t count;
};

struct item {
    int64_t id;
    struct covet_span name;
    struct covet_span category;
    double price;
    uint32_t quantity;
    bool active;
    struct covet_span *tags;
    size_t tag_count;
    struct item_rating rating;
};

// ITEM_COUNT of them, the same in every run; lengths of all texts and numbers vary, the sum does
// not.
extern struct item items[ITEM_COUNT];
// Their JSON, each ITEM_BYTES long.
extern char items_json[ITEM_COUNT][ITEM_BYTES];
// struct item, for covet.
extern const struct covet_json *const items_description;

// Fills all of them; again: no effect.
void items_init(void);

#ifdef __cplusplus
}
#endif

#endif
