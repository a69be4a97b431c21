// jansson as the distribution packages it: a tree, from which values are taken.
#include "bench.h"

#if __has_include(<jansson.h>)

#include <jansson.h>
#include <stdlib.h>

#include "items.h"
#include "json_texts.h"

static uint32_t order[ITEM_COUNT];

static void shuffle(void *context) {
    (void)context;
    bench_shuffle(order, ITEM_COUNT);
}

static json_t *load(const char *data, size_t bytes) {
    json_error_t error;
    json_t *root = json_loadb(data, bytes, 0, &error);

    if (root == NULL)
        abort();
    return root;
}

static struct covet_span text_of(const json_t *value) {
    return (struct covet_span){json_string_value(value), json_string_length(value)};
}

// Texts live as long as the tree, so the struct is used before it is given back.
static void parse_items(void *context, uint32_t count) {
    (void)context;
    for (uint32_t i = 0; i < count; i++) {
        json_t *root = load(items_json[order[i % ITEM_COUNT]], ITEM_BYTES);
        json_t *array = json_object_get(root, "tags"), *rating = json_object_get(root, "rating");
        struct covet_span tags[ITEM_TAGS_MAX];
        struct item item = {
            .id = json_integer_value(json_object_get(root, "id")),
            .name = text_of(json_object_get(root, "name")),
            .category = text_of(json_object_get(root, "category")),
            .price = json_number_value(json_object_get(root, "price")),
            .quantity = (uint32_t)json_integer_value(json_object_get(root, "quantity")),
            .active = json_is_true(json_object_get(root, "active")),
            .tags = tags,
            .tag_count = json_array_size(array),
            .rating = {json_number_value(json_object_get(rating, "score")),
                       (uint32_t)json_integer_value(json_object_get(rating, "count"))},
        };

        for (size_t j = 0; j < item.tag_count && j < ITEM_TAGS_MAX; j++)
            tags[j] = text_of(json_array_get(array, j));
        bench_clobber(&item);
        json_decref(root);
    }
}

static void parse_large(void *context, uint32_t count) {
    (void)context;
    for (uint32_t i = 0; i < count; i++) {
        json_t *root = load(json_large, json_large_bytes);

        bench_keep(json_object_size(root));
        json_decref(root);
    }
}

void bench_jansson(void) {
    items_init();
    json_texts_make();
    shuffle(NULL);
    bench_add(&(struct bench){"json_parse/item_167", "jansson", ITEM_BYTES, ITEM_COUNT, parse_items,
                              shuffle, NULL});
    bench_add(&(struct bench){"json_parse/large", "jansson", json_large_bytes, 1, parse_large, NULL,
                              NULL});
}

#else

void bench_jansson(void) {
    bench_skip("jansson", "jansson.h is not installed (libjansson-dev)");
}

#endif
