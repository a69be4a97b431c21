// The JSON reader: small objects into a struct, a large text value by value, doubles.
//
// Floors: for objects, the pass that finds where strings stop, alone; for the large text, the same
// pass over all of it. Whoever reads with vectors does at least that.
#include <stdlib.h>

#include <covet/json.h>

#include "bench.h"
#include "items.h"
#include "json_texts.h"
#include "json/index.h"

// An arena: memory handed out by moving a position.
static struct arena {
    _Alignas(16) char memory[1u << 20];
    size_t used;
} arena;

static void *arena_alloc(void *context, size_t bytes) {
    struct arena *from = context;
    size_t rounded = (bytes + 15) & ~(size_t)15;
    void *block = from->memory + from->used;

    if (rounded > sizeof(from->memory) - from->used)
        return NULL;
    from->used += rounded;
    return block;
}

static struct covet_json_memory arena_memory(void) {
    arena.used = 0;
    return (struct covet_json_memory){arena_alloc, &arena, sizeof(arena.memory)};
}

static uint32_t order[ITEM_COUNT];

static void shuffle(void *context) {
    (void)context;
    bench_shuffle(order, ITEM_COUNT);
}

static void fail(const char *what) {
    bench_skip("covet", what);
    abort();
}

static void parse_items(void *context, uint32_t count) {
    (void)context;
    for (uint32_t i = 0; i < count; i++) {
        struct covet_json_memory memory = arena_memory();
        struct item item;

        if (covet_json_parse(items_description, &item, items_json[order[i % ITEM_COUNT]],
                             ITEM_BYTES, &memory, 0, NULL) != 0)
            fail("an item was refused");
        bench_clobber(&item);
    }
}

static void index_items(void *context, uint32_t count) {
    uint64_t stops[ITEM_BYTES / 64 + 1];

    (void)context;
    for (uint32_t i = 0; i < count; i++) {
        bench_keep(cv_index_chosen.fill(items_json[order[i % ITEM_COUNT]], ITEM_BYTES, stops));
        bench_clobber(stops);
    }
}

struct text {
    char **data;
    size_t *bytes;
};

// Touches every value once.
static uint64_t walk(const char *data, size_t bytes) {
    struct covet_json_memory memory = arena_memory();
    struct covet_json_reader reader;
    struct covet_json_value value;
    uint64_t sum = 0;
    double numbers = 0;

    covet_json_open(&reader, data, bytes, &memory);
    while (covet_json_next(&reader, &value) > COVET_JSON_DONE) {
        switch (value.kind) {
        case COVET_JSON_STRING:
            sum += value.text.length;
            break;
        case COVET_JSON_BOOL:
            sum += value.boolean;
            break;
        case COVET_JSON_INT:
        case COVET_JSON_UINT:
            sum += value.uint64;
            break;
        case COVET_JSON_DOUBLE:
            numbers += value.number;
            break;
        default:
            sum++;
        }
    }
    if (covet_json_close(&reader, NULL) != 0)
        fail("a text was refused");
    return sum + (uint64_t)numbers;
}

static void walk_text(void *context, uint32_t count) {
    const struct text *text = context;

    for (uint32_t i = 0; i < count; i++)
        bench_keep(walk(*text->data, *text->bytes));
}

static void walk_doubles(void *context, uint32_t count) {
    (void)context;
    for (uint32_t i = 0; i < count; i += JSON_DOUBLE_COUNT)
        bench_keep(walk(json_doubles, json_doubles_bytes));
}

static void index_text(void *context, uint32_t count) {
    const struct text *text = context;
    static uint64_t stops[1u << 16];

    for (uint32_t i = 0; i < count; i++) {
        bench_keep(cv_index_chosen.fill(*text->data, *text->bytes, stops));
        bench_clobber(stops);
    }
}

void bench_json_parse(void) {
    static struct text large = {&json_large, &json_large_bytes};
    static struct text pretty = {&json_large_pretty, &json_large_pretty_bytes};

    items_init();
    json_texts_make();
    shuffle(NULL);
    bench_add(&(struct bench){"json_parse/item_167", "covet", ITEM_BYTES, ITEM_COUNT, parse_items,
                              shuffle, NULL});
    bench_add(&(struct bench){"json_parse/item_167", "floor", ITEM_BYTES, ITEM_COUNT, index_items,
                              shuffle, NULL});
    bench_add(
        &(struct bench){"json_parse/large", "covet", json_large_bytes, 1, walk_text, NULL, &large});
    bench_add(&(struct bench){"json_parse/large", "floor", json_large_bytes, 1, index_text, NULL,
                              &large});
    bench_add(&(struct bench){"json_parse/pretty", "covet", json_large_pretty_bytes, 1, walk_text,
                              NULL, &pretty});
    bench_add(&(struct bench){"json_parse/pretty", "floor", json_large_pretty_bytes, 1, index_text,
                              NULL, &pretty});
    bench_add(&(struct bench){"json_parse/double", "covet", json_doubles_bytes / JSON_DOUBLE_COUNT,
                              JSON_DOUBLE_COUNT, walk_doubles, NULL, NULL});
}
