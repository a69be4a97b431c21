// Texts made up from the harness's fixed sequence of random numbers, so that every run and every
// implementation reads the same bytes.
#include "json_texts.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define LARGE_BYTES 600000u
#define TEXT_BYTES_MAX (4u << 20)

char *json_large;
size_t json_large_bytes;
char *json_large_pretty;
size_t json_large_pretty_bytes;
char *json_doubles;
size_t json_doubles_bytes;

struct text {
    char *data;
    size_t bytes;
};

// A sequence of its own: the harness's moves on with every shuffle.
static uint64_t random_state = 0x2545f4914f6cdd1du;

static uint64_t random_64(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static unsigned below(unsigned limit) {
    return (unsigned)(random_64() >> 33) % limit;
}

static void *allocate(size_t bytes) {
    void *memory = calloc(1, bytes);

    if (memory == NULL)
        abort();
    return memory;
}

__attribute__((format(printf, 2, 3))) static void put(struct text *text, const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    int bytes =
        vsnprintf(text->data + text->bytes, TEXT_BYTES_MAX - text->bytes, format, arguments);
    va_end(arguments);
    if (bytes < 0 || (size_t)bytes >= TEXT_BYTES_MAX - text->bytes)
        abort();
    text->bytes += (size_t)bytes;
}

static const char *const words[] = {
    "the",
    "of",
    "morning",
    "coffee",
    "release",
    "finally",
    "kernel",
    "ring",
    "for",
    "we",
    "measured",
    "again",
    "and",
    "it",
    "is",
    "faster",
    "than",
    "a",
    "photo",
    "from",
    "harbour",
    "today",
    "train",
    "late",
    "everyone",
    "who",
    "came",
    "thanks",
    "to",
    "see",
    "you",
    "next",
    "year",
    "at",
    "conference",
    "in",
    "Lisbon",
    "queue",
    "empty",
    "at last",
    "\\\"quoted\\\"",
    "one\\ntwo",
    "R\\u00e9sum\\u00e9",
    "#covet",
    "@someone",
    "100%",
    "it's",
    "C\\/C++",
};
static const char *const other_words[] = {
    "für",  "Übung",  "straße",     "été",    "naïve",      "mañana",     "東京", "は",
    "今日", "とても", "暑い",       "Привет", "мир",        "как",        "дела", "Ελλάδα",
    "😀",    "🚀",      "こんにちは", "世界",   "ありがとう", "ございます",
};

#define PICK(table) (table)[below(sizeof(table) / sizeof((table)[0]))]

// Every fifth text is in other scripts, as it is in the world.
static void put_sentence(struct text *text, unsigned word_count) {
    bool other = below(5) == 0;

    for (unsigned i = 0; i < word_count; i++)
        put(text, "%s%s", i == 0 ? "" : " ",
            other && below(4) != 0 ? PICK(other_words) : PICK(words));
}

static void put_url(struct text *text, const char *host) {
    put(text, below(8) == 0 ? "\"https:\\/\\/%s\\/%llx.jpg\"" : "\"https://%s/%llx.jpg\"", host,
        (unsigned long long)random_64());
}

static void put_date(struct text *text) {
    put(text, "\"Sun Aug %02u %02u:%02u:%02u +0000 2025\"", 1 + below(31), below(24), below(60),
        below(60));
}

static const char *truth(void) {
    return below(4) == 0 ? "true" : "false";
}

static void put_user(struct text *text) {
    unsigned id = 1000 + below(2000000000);

    put(text, "{\"id\":%u,\"id_str\":\"%u\",\"name\":\"", id, id);
    put_sentence(text, 2);
    put(text, "\",\"screen_name\":\"user_%u\",\"location\":\"", below(100000));
    put_sentence(text, below(3));
    put(text, "\",\"description\":\"");
    put_sentence(text, below(20));
    put(text, "\",\"url\":");
    if (below(2) == 0)
        put(text, "null");
    else
        put_url(text, "example.org");
    put(text, ",\"protected\":%s,\"followers_count\":%u,\"friends_count\":%u,\"listed_count\":%u",
        truth(), below(100000), below(3000), below(100));
    put(text, ",\"created_at\":");
    put_date(text);
    put(text, ",\"favourites_count\":%u,\"utc_offset\":%s,\"time_zone\":%s,\"verified\":%s,",
        below(10000), below(2) == 0 ? "null" : "32400", below(2) == 0 ? "null" : "\"Tokyo\"",
        truth());
    put(text, "\"statuses_count\":%u,\"lang\":\"%s\",\"profile_background_color\":\"%06X\",",
        below(200000), below(2) == 0 ? "en" : "ja", below(1u << 24));
    put(text, "\"profile_image_url_https\":");
    put_url(text, "images.example.net/profile");
    put(text, ",\"profile_banner_url\":");
    put_url(text, "images.example.net/banner");
    put(text, ",\"default_profile\":%s,\"following\":%s,\"notifications\":%s}", truth(), truth(),
        truth());
}

static void put_indices(struct text *text) {
    unsigned first = below(120);

    put(text, "\"indices\":[%u,%u]}", first, first + 1 + below(20));
}

static void put_entities(struct text *text) {
    unsigned hashtags = below(3), urls = below(2), mentions = below(3);

    put(text, "{\"hashtags\":[");
    for (unsigned i = 0; i < hashtags; i++) {
        put(text, "%s{\"text\":\"%s\",", i == 0 ? "" : ",", below(2) == 0 ? "covet" : "東京");
        put_indices(text);
    }
    put(text, "],\"symbols\":[],\"urls\":[");
    for (unsigned i = 0; i < urls; i++) {
        put(text, "{\"url\":");
        put_url(text, "sho.rt");
        put(text, ",\"expanded_url\":");
        put_url(text, "news.example.com/2025");
        put(text, ",\"display_url\":\"news.example.com/2\\u2026\",");
        put_indices(text);
    }
    put(text, "],\"user_mentions\":[");
    for (unsigned i = 0; i < mentions; i++) {
        put(text, "%s{\"screen_name\":\"user_%u\",\"name\":\"", i == 0 ? "" : ",", below(100000));
        put_sentence(text, 2);
        put(text, "\",\"id\":%u,", below(2000000000));
        put_indices(text);
    }
    put(text, "]}");
}

static void put_status(struct text *text) {
    uint64_t id = UINT64_C(505874000000000000) + random_64() % 1000000000000;

    put(text,
        "{\"metadata\":{\"result_type\":\"recent\",\"iso_language_code\":\"en\"},\"created_at\":");
    put_date(text);
    put(text, ",\"id\":%llu,\"id_str\":\"%llu\",\"text\":\"", (unsigned long long)id,
        (unsigned long long)id);
    put_sentence(text, 4 + below(20));
    put(text,
        "\",\"source\":\"<a href=\\\"http://example.com/app\\\" rel=\\\"nofollow\\\">App</a>\","
        "\"truncated\":%s,\"in_reply_to_status_id\":null,\"user\":",
        truth());
    put_user(text);
    put(text, ",\"geo\":");
    if (below(3) == 0)
        put(text, "{\"type\":\"Point\",\"coordinates\":[%d.%07u,%d.%06u]}", (int)below(180) - 90,
            below(10000000), (int)below(360) - 180, below(1000000));
    else
        put(text, "null");
    put(text, ",\"place\":null,\"contributors\":null,\"retweet_count\":%u,\"favorite_count\":%u,",
        below(1000), below(500));
    put(text, "\"score\":%.17g,\"entities\":", (double)(random_64() >> 11) * 0x1p-53);
    put_entities(text);
    put(text, ",\"favorited\":%s,\"retweeted\":%s,\"lang\":\"ja\"}", truth(), truth());
}

static void put_page(struct text *text) {
    put(text, "{\"statuses\":[");
    for (bool first = true; text->bytes < LARGE_BYTES; first = false) {
        if (!first)
            put(text, ",");
        put_status(text);
    }
    put(text, "],\"search_metadata\":{\"completed_in\":0.087,\"max_id\":505874924095815681,"
              "\"query\":\"%%E4%%B8%%80\",\"count\":100,\"since_id\":0}}");
}

static void put_line(struct text *text, unsigned depth) {
    put(text, "\n%*s", 2 * (int)depth, "");
}

static void put_pretty(struct text *text, const char *from, size_t bytes) {
    unsigned depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < bytes; i++) {
        char byte = from[i];

        if (in_string && byte == '\\') {
            put(text, "%.2s", from + i++);
            continue;
        }
        in_string = in_string != (byte == '"');
        if (!in_string && (byte == '}' || byte == ']') && from[i - 1] != '{' && from[i - 1] != '[')
            put_line(text, depth - 1);
        put(text, "%c", byte);
        if (in_string)
            continue;
        if (byte == '}' || byte == ']')
            depth--;
        if (byte == '{' || byte == '[')
            depth++;
        if (byte == ',' ||
            ((byte == '{' || byte == '[') && from[i + 1] != '}' && from[i + 1] != ']'))
            put_line(text, depth);
        if (byte == ':')
            put(text, " ");
    }
}

static void put_doubles(struct text *text) {
    for (unsigned i = 0; i < JSON_DOUBLE_COUNT; i++) {
        // Shares of one, coordinates, prices; every eighth of any size.
        double share = (double)(random_64() >> 11) * 0x1p-53;
        char mark = i == 0 ? '[' : ',';

        if (i % 8 == 7)
            put(text, "%c%.17ge%d", mark, share, (int)below(600) - 300);
        else if (i % 2 == 0)
            put(text, "%c%.16g", mark, share);
        else
            put(text, "%c%.*f", mark, i % 4 == 1 ? 6 : 2, share * 180);
    }
    put(text, "]");
}

static char *keep(const struct text *text, size_t *bytes) {
    char *copy = allocate(text->bytes + JSON_PADDING);

    memcpy(copy, text->data, text->bytes);
    *bytes = text->bytes;
    text->data[0] = '\0';
    return copy;
}

void json_texts_make(void) {
    struct text text = {NULL, 0};

    if (json_large != NULL)
        return;
    text.data = allocate(TEXT_BYTES_MAX);
    text.bytes = 0;
    put_page(&text);
    json_large = keep(&text, &json_large_bytes);
    text.bytes = 0;
    put_pretty(&text, json_large, json_large_bytes);
    json_large_pretty = keep(&text, &json_large_pretty_bytes);
    text.bytes = 0;
    put_doubles(&text);
    json_doubles = keep(&text, &json_doubles_bytes);
    free(text.data);
}
