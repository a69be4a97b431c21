// RapidJSON: its Writer into a buffer that is reused, fed straight from the structs; no tree.
#include "bench.h"

extern "C" void bench_rapidjson_parse(void) __attribute__((weak));

#if __has_include(<rapidjson/writer.h>)

#include <cstring>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include "items.h"

namespace {

constexpr uint32_t order_count = 8192;
constexpr uint32_t double_count = 1024;

uint32_t order[order_count];
double doubles[double_count];
rapidjson::StringBuffer buffer;

using json_writer = rapidjson::Writer<rapidjson::StringBuffer>;

void shuffle(void *) {
    for (uint32_t i = 0; i < order_count; i += double_count)
        bench_shuffle(order + i, double_count);
}

void text(json_writer &writer, const covet_span &span) {
    writer.String(span.data, static_cast<rapidjson::SizeType>(span.length));
}

void write_item(json_writer &writer, const item &item) {
    writer.StartObject();
    writer.Key("id");
    writer.Int64(item.id);
    writer.Key("name");
    text(writer, item.name);
    writer.Key("category");
    text(writer, item.category);
    writer.Key("price");
    writer.Double(item.price);
    writer.Key("quantity");
    writer.Uint(item.quantity);
    writer.Key("active");
    writer.Bool(item.active);
    writer.Key("tags");
    writer.StartArray();
    for (size_t i = 0; i < item.tag_count; i++)
        text(writer, item.tags[i]);
    writer.EndArray();
    writer.Key("rating");
    writer.StartObject();
    writer.Key("score");
    writer.Double(item.rating.score);
    writer.Key("count");
    writer.Uint(item.rating.count);
    writer.EndObject();
    writer.EndObject();
}

void run_item(void *, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        buffer.Clear();
        json_writer writer(buffer);
        write_item(writer, items[order[i % order_count] % ITEM_COUNT]);
        bench_keep(buffer.GetSize());
    }
}

void run_message(void *, uint32_t count) {
    static const char message[] = "Hello, World! Hello, World! 1234";

    for (uint32_t i = 0; i < count; i++) {
        buffer.Clear();
        json_writer writer(buffer);
        writer.StartObject();
        writer.Key("message");
        text(writer, covet_span{message, 13 - 5 + order[i % order_count] % 64 % 11});
        writer.EndObject();
        bench_keep(buffer.GetSize());
    }
}

void run_double(void *, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        buffer.Clear();
        json_writer writer(buffer);
        writer.Double(doubles[order[i % order_count]]);
        bench_keep(buffer.GetSize());
    }
}

void add(const char *name, uint64_t bytes, void (*run)(void *, uint32_t)) {
    bench bench = {};

    bench.name = name;
    bench.impl = "rapidjson";
    bench.bytes = bytes;
    bench.run = run;
    bench.prepare = shuffle;
    bench_add(&bench);
}

void bench_rapidjson_write() {
    items_init();
    for (double &value : doubles) {
        uint64_t bits = bench_random();

        if ((bits >> 52 & 0x7ff) == 0x7ff)
            bits ^= UINT64_C(1) << 62;
        std::memcpy(&value, &bits, sizeof(bits));
    }
    add("json_write/item_167", ITEM_BYTES, run_item);
    add("json_write/message_27", 27, run_message);
    add("json_write/double", 0, run_double);
}

}  // namespace

extern "C" void bench_rapidjson(void) {
    bench_rapidjson_write();
    if (bench_rapidjson_parse != nullptr)
        bench_rapidjson_parse();
}

#else

extern "C" void bench_rapidjson(void) {
    bench_skip("rapidjson", "rapidjson/writer.h is not installed (scripts/install-deps --perf)");
}

#endif
