// JSON text from structs. The floor is what a template compiled for one struct could do: fragments
// of a fixed size, texts of a fixed size without a look at them (they have room behind), prices and
// scores as whole numbers of the smallest unit, since it does not print doubles at all.
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <covet/json.h>

#include "bench.h"
#include "items.h"
#include "json/number.h"

#if __has_include(<jansson.h>)
#include <jansson.h>
#define HAS_JANSSON 1
#endif

#define MESSAGE_COUNT 64u
#define NUMBER_COUNT 1024u
#define OUT_BYTES 1024u
// Longer than a batch, so that no order comes twice in it.
#define ORDER_COUNT 8192u

struct message {
    struct covet_span message;
};

COVET_JSON(message_json, struct message, COVET_JSON_FIELD(struct message, message));

// What the floor is given in place of doubles.
struct fixed {
    uint32_t price_cents;
    uint32_t score_tenths;
};

static struct message messages[MESSAGE_COUNT];
static struct fixed fixed[ITEM_COUNT];
static double doubles[NUMBER_COUNT];
static double prices[NUMBER_COUNT];
static uint64_t integers[NUMBER_COUNT];
static uint32_t order[ORDER_COUNT];
static char out[OUT_BYTES];

static void shuffle(void *context) {
    (void)context;
    for (uint32_t i = 0; i < ORDER_COUNT; i += NUMBER_COUNT)
        bench_shuffle(order + i, NUMBER_COUNT);
}

// covet.

static size_t write_struct(const struct covet_json *description, const void *value) {
    struct covet_json_writer writer;
    struct covet_span text = {NULL, 0};

    covet_json_writer_init(&writer, out, sizeof(out), NULL, NULL);
    covet_json_write_struct(&writer, description, value);
    covet_json_writer_finish(&writer, &text);
    return text.length;
}

static void covet_message(void *context, uint32_t count) {
    (void)context;
    for (uint32_t i = 0; i < count; i++)
        bench_keep(write_struct(&message_json, &messages[order[i % ORDER_COUNT] % MESSAGE_COUNT]));
}

static void covet_item(void *context, uint32_t count) {
    (void)context;
    for (uint32_t i = 0; i < count; i++)
        bench_keep(write_struct(items_description, &items[order[i % ORDER_COUNT] % ITEM_COUNT]));
}

static void covet_double(void *context, uint32_t count) {
    const double *values = context;

    for (uint32_t i = 0; i < count; i++)
        bench_keep((uint64_t)(cv_number_write_double(out, values[order[i % ORDER_COUNT]]) - out));
}

static void covet_int(void *context, uint32_t count) {
    const uint64_t *values = context;

    for (uint32_t i = 0; i < count; i++)
        bench_keep((uint64_t)(cv_number_write_uint64(out, values[order[i % ORDER_COUNT]]) - out));
}

// The floor.

static char pairs[200];

static char *put_number(char *at, uint32_t value) {
    if (value < 100) {
        memcpy(at, pairs + 2 * value + (value < 10), 2);
        return at + 1 + (value >= 10);
    }
    if (value < 10000) {
        at = put_number(at, value / 100);
        memcpy(at, pairs + 2 * (value % 100), 2);
        return at + 2;
    }
    at = put_number(at, value / 10000);
    memcpy(at, pairs + 2 * (value / 100 % 100), 2);
    memcpy(at + 2, pairs + 2 * (value % 100), 2);
    return at + 4;
}

#define PUT(literal) (memcpy(at, literal "                ", 16), at += sizeof(literal) - 1)

static inline char *put_text(char *at, struct covet_span text) {
    memcpy(at, text.data, ITEM_TEXT_ROOM);
    return at + text.length;
}

static void floor_message(void *context, uint32_t count) {
    (void)context;
    for (uint32_t i = 0; i < count; i++) {
        char *at = out;

        PUT("{\"message\":\"");
        at = put_text(at, messages[order[i % ORDER_COUNT] % MESSAGE_COUNT].message);
        PUT("\"}");
        bench_clobber(out);
        bench_keep((uint64_t)(at - out));
    }
}

static char *floor_item_write(char *at, const struct item *item, const struct fixed *numbers) {
    PUT("{\"id\":");
    at = put_number(at, (uint32_t)item->id);
    PUT(",\"name\":\"");
    at = put_text(at, item->name);
    PUT("\",\"category\":\"");
    at = put_text(at, item->category);
    PUT("\",\"price\":");
    at = put_number(at, numbers->price_cents);
    PUT(",\"quantity\":");
    at = put_number(at, item->quantity);
    PUT(",\"active\":");
    memcpy(at, item->active ? "true    " : "false   ", 8);
    at += item->active ? 4 : 5;
    PUT(",\"tags\":[\"");
    for (size_t i = 0; i < item->tag_count; i++) {
        at = put_text(at, item->tags[i]);
        PUT("\",\"");
    }
    at -= 2;
    PUT("],\"rating\":");
    PUT("{\"score\":");
    at = put_number(at, numbers->score_tenths);
    PUT(",\"count\":");
    at = put_number(at, item->rating.count);
    PUT("}}");
    return at;
}

static void floor_item(void *context, uint32_t count) {
    (void)context;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t which = order[i % ORDER_COUNT] % ITEM_COUNT;

        bench_keep((uint64_t)(floor_item_write(out, &items[which], &fixed[which]) - out));
        bench_clobber(out);
    }
}

// jansson: the tree is built beforehand, so this is the printing alone.

#ifdef HAS_JANSSON
static json_t *jansson_items[ITEM_COUNT];
static json_t *jansson_messages[MESSAGE_COUNT];

static json_t *jansson_text(struct covet_span text) {
    return json_stringn(text.data, text.length);
}

static json_t *jansson_item(const struct item *item) {
    json_t *tags = json_array();

    for (size_t i = 0; i < item->tag_count; i++)
        json_array_append_new(tags, jansson_text(item->tags[i]));
    return json_pack("{s:I, s:o, s:o, s:f, s:i, s:b, s:o, s:{s:f, s:i}}", "id",
                     (json_int_t)item->id, "name", jansson_text(item->name), "category",
                     jansson_text(item->category), "price", item->price, "quantity",
                     (int)item->quantity, "active", (int)item->active, "tags", tags, "rating",
                     "score", item->rating.score, "count", (int)item->rating.count);
}

static void jansson_write(void *context, uint32_t count) {
    json_t **values = context;

    for (uint32_t i = 0; i < count; i++)
        bench_keep(json_dumpb(values[order[i % ORDER_COUNT] % 64], out, sizeof(out), JSON_COMPACT));
}

static void fill_jansson(void) {
    for (uint32_t i = 0; i < ITEM_COUNT; i++) {
        jansson_items[i] = jansson_item(&items[i]);
        jansson_messages[i] = json_pack("{s:o}", "message", jansson_text(messages[i].message));
    }
}
#endif

static void printf_double(void *context, uint32_t count) {
    const double *values = context;

    for (uint32_t i = 0; i < count; i++)
        bench_keep((uint64_t)snprintf(out, sizeof(out), "%.17g", values[order[i % ORDER_COUNT]]));
}

static void printf_int(void *context, uint32_t count) {
    const uint64_t *values = context;

    for (uint32_t i = 0; i < count; i++)
        bench_keep((uint64_t)snprintf(out, sizeof(out), "%llu",
                                      (unsigned long long)values[order[i % ORDER_COUNT]]));
}

static void fill(void) {
    static const char text[] = "Hello, World! Hello, World! 1234";

    items_init();
    for (uint32_t i = 0; i < 100; i++) {
        pairs[2 * i] = (char)('0' + i / 10);
        pairs[2 * i + 1] = (char)('0' + i % 10);
    }
    // 13 bytes like "Hello, World!" on average.
    for (uint32_t i = 0; i < MESSAGE_COUNT; i++)
        messages[i].message = (struct covet_span){text, 13 - 5 + i % 11};
    for (uint32_t i = 0; i < ITEM_COUNT; i++) {
        fixed[i].price_cents = (uint32_t)(items[i].price * 100 + 0.5);
        fixed[i].score_tenths = (uint32_t)(items[i].rating.score * 10 + 0.5);
        if (write_struct(items_description, &items[i]) != ITEM_BYTES ||
            memcmp(out, items_json[i], ITEM_BYTES) != 0) {
            fprintf(stderr, "bench: covet wrote %.200s\n", out);
            exit(1);
        }
    }
    for (uint32_t i = 0; i < NUMBER_COUNT; i++) {
        uint64_t bits = bench_random();

        if ((bits >> 52 & 0x7ff) == 0x7ff)
            bits ^= UINT64_C(1) << 62;
        memcpy(&doubles[i], &bits, sizeof(bits));
        prices[i] = (double)(bench_random() % 1000000) / 100;
        integers[i] = bench_random() >> bench_random() % 64;
    }
}

static void add(const char *name, const char *impl, uint64_t bytes, void (*run)(void *, uint32_t),
                void *context) {
    struct bench bench = {
        .name = name,
        .impl = impl,
        .bytes = bytes,
        .run = run,
        .prepare = shuffle,
        .context = context,
    };

    bench_add(&bench);
}

void bench_json_write(void) {
    fill();
    add("json_write/message_27", "covet", 27, covet_message, NULL);
    add("json_write/message_27", "floor", 27, floor_message, NULL);
    add("json_write/item_167", "covet", ITEM_BYTES, covet_item, NULL);
    add("json_write/item_167", "floor", ITEM_BYTES, floor_item, NULL);
#ifdef HAS_JANSSON
    fill_jansson();
    add("json_write/message_27", "jansson", 27, jansson_write, jansson_messages);
    add("json_write/item_167", "jansson", ITEM_BYTES, jansson_write, jansson_items);
#else
    bench_skip("jansson", "jansson.h is not installed (scripts/install-deps --perf)");
#endif
    add("json_write/double", "covet", 0, covet_double, doubles);
    add("json_write/double", "printf", 0, printf_double, doubles);
    add("json_write/price", "covet", 0, covet_double, prices);
    add("json_write/price", "printf", 0, printf_double, prices);
    add("json_write/int", "covet", 0, covet_int, integers);
    add("json_write/int", "printf", 0, printf_int, integers);
}
