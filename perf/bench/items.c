// Makes the objects: everything at random but the name, which takes what is left of 167 bytes.
#include "items.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define NAME_BYTES_MIN 8u
#define NAME_BYTES_MAX 30u

struct item items[ITEM_COUNT];
char items_json[ITEM_COUNT][ITEM_BYTES];

COVET_JSON(rating_json, struct item_rating, COVET_JSON_FIELD(struct item_rating, score),
           COVET_JSON_FIELD(struct item_rating, count));

COVET_JSON(item_json, struct item, COVET_JSON_FIELD(struct item, id),
           COVET_JSON_FIELD(struct item, name), COVET_JSON_FIELD(struct item, category),
           COVET_JSON_FIELD(struct item, price), COVET_JSON_FIELD(struct item, quantity),
           COVET_JSON_FIELD(struct item, active), COVET_JSON_ARRAY(struct item, tags, tag_count),
           COVET_JSON_OBJECT(struct item, rating, rating_json));

const struct covet_json *const items_description = &item_json;

static uint64_t below(uint64_t count) {
    return bench_random() % count;
}

// A text of `length` letters and spaces (at most ITEM_TEXT_ROOM), with that much room behind it.
static struct covet_span make_text(size_t length) {
    char *text = calloc(1, 2 * ITEM_TEXT_ROOM);

    if (text == NULL)
        abort();
    for (size_t i = 0; i < length; i++)
        text[i] = (char)(i % 7 == 6 && i + 1 < length ? ' ' : 'a' + below(26));
    return (struct covet_span){text, length};
}

// 1 to `digits_max` digits, each length as likely.
static uint32_t number(unsigned digits_max) {
    uint32_t first = 1;

    for (uint64_t digits = below(digits_max); digits > 0; digits--)
        first *= 10;
    return first + (uint32_t)below(first * 9);
}

static size_t print(const struct item *item, char *out, size_t bytes) {
    size_t length = (size_t)snprintf(
        out, bytes,
        "{\"id\":%lld,\"name\":\"%.*s\",\"category\":\"%.*s\",\"price\":%.15g,\"quantity\":%u,"
        "\"active\":%s,\"tags\":[",
        (long long)item->id, (int)item->name.length, item->name.data, (int)item->category.length,
        item->category.data, item->price, item->quantity, item->active ? "true" : "false");

    for (size_t i = 0; i < item->tag_count; i++)
        length += (size_t)snprintf(out + length, bytes - length, "%s\"%.*s\"", i == 0 ? "" : ",",
                                   (int)item->tags[i].length, item->tags[i].data);
    return length + (size_t)snprintf(out + length, bytes - length,
                                     "],\"rating\":{\"score\":%.15g,\"count\":%u}}",
                                     item->rating.score, item->rating.count);
}

// All but the name. Texts are not freed: they live as long as the program.
static void make_rest(struct item *item) {
    *item = (struct item){
        .id = number(6),
        .category = make_text(5 + below(10)),
        .price = number(5) / 100.0,
        .quantity = number(3),
        .active = below(2) != 0,
        .tags = calloc(ITEM_TAGS_MAX, sizeof(*item->tags)),
        .tag_count = 1 + below(ITEM_TAGS_MAX),
        .rating = {.score = (double)(10 + below(40)) / 10, .count = number(4)},
    };
    if (item->tags == NULL)
        abort();
    for (size_t i = 0; i < item->tag_count; i++)
        item->tags[i] = make_text(3 + below(7));
}

static void make(struct item *item, char *json) {
    char text[2 * ITEM_BYTES];
    size_t length;

    do {
        make_rest(item);
        length = print(item, text, sizeof(text));
    } while (length + NAME_BYTES_MIN > ITEM_BYTES || length + NAME_BYTES_MAX < ITEM_BYTES);
    item->name = make_text(ITEM_BYTES - length);
    print(item, text, sizeof(text));
    memcpy(json, text, ITEM_BYTES);
}

void items_init(void) {
    if (items[0].id != 0)
        return;
    for (size_t i = 0; i < ITEM_COUNT; i++)
        make(&items[i], items_json[i]);
}
