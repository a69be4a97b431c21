// RapidJSON's reading half, called by bench_rapidjson when both are linked: a tree, from which
// values are taken.
#include "bench.h"

extern "C" void bench_rapidjson_parse(void);

#if __has_include(<rapidjson/document.h>)

#include <cstdlib>
#include <rapidjson/document.h>
#include <string_view>

#include "items.h"
#include "json_texts.h"

namespace {

using rapidjson::Value;

// Its recommended form for many small texts: memory kept from one to the next.
using Allocator = rapidjson::MemoryPoolAllocator<>;
using Document = rapidjson::GenericDocument<rapidjson::UTF8<>, Allocator, Allocator>;

constexpr unsigned flags =
    rapidjson::kParseValidateEncodingFlag | rapidjson::kParseFullPrecisionFlag;

uint32_t order[ITEM_COUNT];
char value_memory[65536], stack_memory[65536];

void shuffle(void *) {
    bench_shuffle(order, ITEM_COUNT);
}

covet_span text_of(const Value &value) {
    return {value.GetString(), value.GetStringLength()};
}

void read_item(const Value &root, item &out, covet_span *tags) {
    const Value &rating = root["rating"];

    out.id = root["id"].GetInt64();
    out.name = text_of(root["name"]);
    out.category = text_of(root["category"]);
    out.price = root["price"].GetDouble();
    out.quantity = root["quantity"].GetUint();
    out.active = root["active"].GetBool();
    out.tags = tags;
    out.tag_count = 0;
    for (const Value &tag : root["tags"].GetArray())
        tags[out.tag_count++] = text_of(tag);
    out.rating.score = rating["score"].GetDouble();
    out.rating.count = rating["count"].GetUint();
}

void parse_items(void *, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        Allocator values(value_memory, sizeof(value_memory));
        Allocator stack(stack_memory, sizeof(stack_memory));
        Document document(&values, 1024, &stack);
        covet_span tags[ITEM_TAGS_MAX];
        item one;

        document.Parse<flags>(items_json[order[i % ITEM_COUNT]], ITEM_BYTES);
        if (document.HasParseError())
            abort();
        read_item(document, one, tags);
        bench_clobber(&one);
    }
}

void parse_large(void *, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        rapidjson::Document document;

        document.Parse<flags>(json_large, json_large_bytes);
        if (document.HasParseError())
            abort();
        bench_keep(document.MemberCount());
    }
}

}  // namespace

void bench_rapidjson_parse(void) {
    items_init();
    json_texts_make();
    shuffle(nullptr);
    bench item = {"json_parse/item_167", "rapidjson", ITEM_BYTES, ITEM_COUNT,
                  parse_items,           shuffle,     nullptr};
    bench large = {"json_parse/large", "rapidjson", json_large_bytes, 1,
                   parse_large,        nullptr,     nullptr};
    bench_add(&item);
    bench_add(&large);
}

#else

void bench_rapidjson_parse(void) {
}

#endif
