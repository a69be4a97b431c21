// The table is made from the names before main, so that no name is written twice. The multiplier of
// the hash was searched for: it gives every name a slot of its own, which is asserted here.
#include "http/known.h"

#include "base/assert.h"

static const char *const names[CV_FIELD_KNOWN_COUNT] = {
    [CV_FIELD_HOST] = "host",
    [CV_FIELD_CONTENT_LENGTH] = "content-length",
    [CV_FIELD_TRANSFER_ENCODING] = "transfer-encoding",
    [CV_FIELD_CONNECTION] = "connection",
    [CV_FIELD_EXPECT] = "expect",
    [CV_FIELD_UPGRADE] = "upgrade",
    [CV_FIELD_CONTENT_TYPE] = "content-type",
    [CV_FIELD_COOKIE] = "cookie",
    [CV_FIELD_USER_AGENT] = "user-agent",
    [CV_FIELD_ACCEPT] = "accept",
    [CV_FIELD_ACCEPT_ENCODING] = "accept-encoding",
    [CV_FIELD_ACCEPT_LANGUAGE] = "accept-language",
    [CV_FIELD_AUTHORIZATION] = "authorization",
    [CV_FIELD_RANGE] = "range",
    [CV_FIELD_IF_RANGE] = "if-range",
    [CV_FIELD_IF_MATCH] = "if-match",
    [CV_FIELD_IF_NONE_MATCH] = "if-none-match",
    [CV_FIELD_IF_MODIFIED_SINCE] = "if-modified-since",
    [CV_FIELD_IF_UNMODIFIED_SINCE] = "if-unmodified-since",
    [CV_FIELD_ORIGIN] = "origin",
    [CV_FIELD_REFERER] = "referer",
    [CV_FIELD_CACHE_CONTROL] = "cache-control",
    [CV_FIELD_CONTENT_ENCODING] = "content-encoding",
    [CV_FIELD_SEC_WEBSOCKET_KEY] = "sec-websocket-key",
    [CV_FIELD_SEC_WEBSOCKET_VERSION] = "sec-websocket-version",
    [CV_FIELD_SEC_WEBSOCKET_PROTOCOL] = "sec-websocket-protocol",
    [CV_FIELD_SEC_WEBSOCKET_EXTENSIONS] = "sec-websocket-extensions",
    [CV_FIELD_X_FORWARDED_FOR] = "x-forwarded-for",
    [CV_FIELD_FORWARDED] = "forwarded",
    [CV_FIELD_TRACEPARENT] = "traceparent",
    [CV_FIELD_ACCESS_CONTROL_REQUEST_METHOD] = "access-control-request-method",
};

struct cv_known_table cv_known_table;

static uint32_t hash_of(struct cv_span name) {
    uint32_t last;

    memcpy(&last, name.data + name.length - sizeof(last), sizeof(last));
    return cv_known_hash(last, (uint32_t)name.length);
}

static void fill_name(struct cv_known_name *entry, struct cv_span name) {
    size_t bytes = CV_MIN(name.length, sizeof(entry->text));
    size_t first = sizeof(entry->text) - bytes;

    memset(entry, 0xff, sizeof(*entry));
    if (first > 0) {
        entry->text[first - 1] = '\n';
        entry->fold[first - 1] = 0;
    }
    for (size_t i = 0; i < bytes; i++) {
        char byte = name.data[name.length - bytes + i];

        entry->text[first + i] = byte;
        entry->fold[first + i] = byte == '-' ? 0 : 0x20;
    }
}

__attribute__((constructor)) static void fill_table(void) {
    struct cv_known_name *none = &cv_known_table.name[CV_FIELD_KNOWN_COUNT];

    memset(cv_known_table.slot, CV_FIELD_KNOWN_COUNT, sizeof(cv_known_table.slot));
    // Sixteen bytes of 0xff: there is always an LF before a name or a token byte in it.
    memset(none->text, 0xff, sizeof(none->text));
    memset(none->fold, 0, sizeof(none->fold));
    for (size_t known = 0; known < CV_FIELD_KNOWN_COUNT; known++) {
        struct cv_span name = cv_span_of(names[known]);
        uint8_t *slot = &cv_known_table.slot[hash_of(name)];

        CV_ASSERT(*slot == CV_FIELD_KNOWN_COUNT);
        *slot = (uint8_t)known;
        fill_name(&cv_known_table.name[known], name);
    }
}

bool cv_known_is(enum cv_known_field known, const char *name, uint32_t name_bytes) {
    return known < CV_FIELD_KNOWN_COUNT &&
           cv_span_equal_nocase(cv_span_make(name, name_bytes), cv_known_text(known));
}

enum cv_known_field cv_known_find(struct cv_span name) {
    if (name.length < 4 || name.length > UINT16_MAX)
        return CV_FIELD_KNOWN_COUNT;
    enum cv_known_field known = (enum cv_known_field)cv_known_table.slot[hash_of(name)];
    return cv_known_is(known, name.data, (uint32_t)name.length) ? known : CV_FIELD_KNOWN_COUNT;
}

struct cv_span cv_known_text(enum cv_known_field known) {
    CV_ASSERT(known < CV_FIELD_KNOWN_COUNT);
    return cv_span_of(names[known]);
}
