// simdjson as the distribution packages it: on demand for everything, and its tree for the large
// text. Texts have the padding it wants, parsers are kept.
#include "bench.h"

#if __has_include(<simdjson.h>)

#include <cstdlib>
#include <cstring>
#include <simdjson.h>
#include <string_view>

#include "items.h"
#include "json_texts.h"

namespace {

namespace ondemand = simdjson::ondemand;

struct found_item {
    int64_t id;
    std::string_view name, category;
    double price;
    int64_t quantity;
    bool active;
    std::string_view tags[8];
    size_t tag_count;
    double score;
    int64_t count;
};

uint32_t order[ITEM_COUNT];
char padded[ITEM_COUNT][ITEM_BYTES + JSON_PADDING];

void shuffle(void *) {
    bench_shuffle(order, ITEM_COUNT);
}

// Keys in the order they are written, which is what on demand is best at.
bool read_item(ondemand::parser &parser, const char *data, found_item &out) {
    ondemand::document document;
    ondemand::object object, rating;
    ondemand::array tags;

    if (parser.iterate(data, ITEM_BYTES, ITEM_BYTES + JSON_PADDING).get(document) ||
        document.get_object().get(object) || object.find_field("id").get(out.id) ||
        object.find_field("name").get(out.name) ||
        object.find_field("category").get(out.category) ||
        object.find_field("price").get(out.price) ||
        object.find_field("quantity").get(out.quantity) ||
        object.find_field("active").get(out.active) || object.find_field("tags").get(tags))
        return false;
    out.tag_count = 0;
    for (auto tag : tags)
        if (out.tag_count == 8 || tag.get(out.tags[out.tag_count++]))
            return false;
    return !object.find_field("rating").get(rating) && !rating.find_field("score").get(out.score) &&
           !rating.find_field("count").get(out.count);
}

void parse_items(void *, uint32_t count) {
    static ondemand::parser parser;

    for (uint32_t i = 0; i < count; i++) {
        found_item one;

        if (!read_item(parser, padded[order[i % ITEM_COUNT]], one))
            abort();
        bench_clobber(&one);
    }
}

struct found {
    uint64_t sum = 0;
    double numbers = 0;
};

template <class Value> void walk(Value &&value, found &found) {
    switch (value.type().value()) {
    case ondemand::json_type::object:
        for (auto field : value.get_object()) {
            found.sum += std::string_view(field.unescaped_key()).size();
            walk(field.value(), found);
        }
        break;
    case ondemand::json_type::array:
        for (auto element : value.get_array())
            walk(element, found);
        break;
    case ondemand::json_type::string:
        found.sum += std::string_view(value.get_string()).size();
        break;
    case ondemand::json_type::number: {
        ondemand::number number = value.get_number();

        if (number.is_double())
            found.numbers += number.get_double();
        else if (number.is_int64())
            found.sum += uint64_t(number.get_int64());
        else
            found.sum += number.get_uint64();
        break;
    }
    case ondemand::json_type::boolean:
        found.sum += bool(value.get_bool());
        break;
    case ondemand::json_type::null:
        found.sum += value.is_null();
        break;
    }
}

struct text {
    char **data;
    size_t *bytes;
};

void walk_text(void *context, uint32_t count) {
    static ondemand::parser parser;
    auto *text = static_cast<struct text *>(context);

    for (uint32_t i = 0; i < count; i++) {
        found found;
        ondemand::document document =
            parser.iterate(*text->data, *text->bytes, *text->bytes + JSON_PADDING);

        walk(document, found);
        bench_keep(found.sum + uint64_t(found.numbers));
    }
}

void walk_doubles(void *, uint32_t count) {
    static text doubles = {&json_doubles, &json_doubles_bytes};
    walk_text(&doubles, count / JSON_DOUBLE_COUNT);
}

void parse_tree(void *context, uint32_t count) {
    static simdjson::dom::parser parser;
    auto *text = static_cast<struct text *>(context);

    for (uint32_t i = 0; i < count; i++) {
        simdjson::dom::element element;

        if (parser.parse(*text->data, *text->bytes, false).get(element))
            abort();
        bench_keep(element.is_object());
    }
}

}  // namespace

void bench_simdjson(void) {
    static text large = {&json_large, &json_large_bytes};
    static text pretty = {&json_large_pretty, &json_large_pretty_bytes};

    items_init();
    json_texts_make();
    for (uint32_t i = 0; i < ITEM_COUNT; i++)
        std::memcpy(padded[i], items_json[i], ITEM_BYTES);
    shuffle(nullptr);
    auto add = [](const char *name, const char *impl, size_t bytes, uint32_t multiple,
                  void (*run)(void *, uint32_t), void (*prepare)(void *), void *context) {
        bench one = {name, impl, bytes, multiple, run, prepare, context};
        bench_add(&one);
    };
    add("json_parse/item_167", "simdjson", ITEM_BYTES, ITEM_COUNT, parse_items, shuffle, nullptr);
    add("json_parse/large", "simdjson", json_large_bytes, 1, walk_text, nullptr, &large);
    add("json_parse/large", "simdjson-dom", json_large_bytes, 1, parse_tree, nullptr, &large);
    add("json_parse/pretty", "simdjson", json_large_pretty_bytes, 1, walk_text, nullptr, &pretty);
    add("json_parse/pretty", "simdjson-dom", json_large_pretty_bytes, 1, parse_tree, nullptr,
        &pretty);
    add("json_parse/double", "simdjson", json_doubles_bytes / JSON_DOUBLE_COUNT, JSON_DOUBLE_COUNT,
        walk_doubles, nullptr, nullptr);
}

#else

void bench_simdjson(void) {
    bench_skip("simdjson", "simdjson.h is not installed (libsimdjson-dev)");
}

#endif
