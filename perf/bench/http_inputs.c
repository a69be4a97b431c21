// Every request is put together from field lines in a random order (Host first, as clients send
// it) and then filled up to its size in the value that varies most in real life: a session cookie,
// a token, the path.
#include "http_inputs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define LINES_MAX 48u

struct shape {
    const char *name;
    uint32_t bytes;
    const char *method;
    const char *path;  // Variants take it from some byte on.
    const char *lines[LINES_MAX];
    const char *filled;  // The line that takes the rest of the room.
};

static const char *const hosts[] = {"www.example.com", "localhost:8080", "api.example.org",
                                    "127.0.0.1:8000",  "example.net",    "shop.example.co.uk"};

static const struct shape shapes[BENCH_HTTP_SIZES] = {
    {.name = "http_parse/get_49", .bytes = 49, .method = "GET"},
    {
        .name = "http_parse/chrome_717",
        .bytes = 717,
        .method = "GET",
        .path = "/articles/2024/11/a-long-title-of-something-to-read?ref=newsletter&page=2",
        .lines = {"Connection: keep-alive", "Cache-Control: max-age=0",
                  "sec-ch-ua: \"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\"",
                  "sec-ch-ua-mobile: ?0", "sec-ch-ua-platform: \"Linux\"",
                  "Upgrade-Insecure-Requests: 1",
                  ("User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like "
                   "Gecko) Chrome/130.0.0.0 Safari/537.36"),
                  "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                  "Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document",
                  "Accept-Encoding: gzip, deflate, br, zstd", "Accept-Language: en-US,en;q=0.9"},
        .filled = "Cookie: theme=dark; session=",
    },
    {
        .name = "http_parse/post_233",
        .bytes = 233,
        .method = "POST",
        .path = "/api/v2/orders/1047/items?notify=false",
        .lines = {"Content-Type: application/json", "Content-Length: 1274", "Accept: */*",
                  "User-Agent: client/4.2.1", "Connection: keep-alive"},
        .filled = "Authorization: Bearer ",
    },
    {
        .name = "http_parse/forty_2416",
        .bytes = 2416,
        .method = "GET",
        .path = "/api/v1/search/documents?q=io_uring&sort=-date&limit=50&offset=150",
        .lines =
            {"Connection: keep-alive",
             ("User-Agent: Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 "
              "(KHTML, like Gecko) Version/17.6 Safari/605.1.15"),
             "Accept: application/json, text/plain, */*",
             "Accept-Encoding: gzip, deflate, br",
             "Accept-Language: de-DE,de;q=0.9,en;q=0.8",
             "Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMDQ3In0.c2lnbmF0dXJl",
             "Cache-Control: no-cache",
             "Pragma: no-cache",
             "DNT: 1",
             "Priority: u=1, i",
             "Origin: https://app.example.com",
             "Referer: https://app.example.com/search?q=io_uring",
             "If-None-Match: W/\"5f3c-18c2a9\"",
             "If-Modified-Since: Tue, 12 Nov 2024 08:15:30 GMT",
             "X-Forwarded-For: 203.0.113.17, 198.51.100.4",
             "X-Forwarded-Proto: https",
             "X-Forwarded-Host: app.example.com",
             "X-Forwarded-Port: 443",
             "X-Real-IP: 203.0.113.17",
             "X-Request-ID: 3f0c6d1e-7d52-4a90-b0f5-1c8e5f3ab917",
             "X-Correlation-ID: 9b1f0f4e",
             "Via: 1.1 edge-17.example.net",
             "Forwarded: for=203.0.113.17;proto=https",
             "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
             "tracestate: vendor=t61rcWkgMzE",
             "baggage: userId=1047,tier=gold",
             "X-Client-Version: 2024.11.3",
             "X-Device-ID: 7c1b2f6e4d",
             "X-Tenant: example",
             "X-Api-Key: 0f8fad5bd9cb469fa16570867728950e",
             "X-Csrf-Token: iYTt7oSk",
             "X-Feature-Flags: new-nav,dark-mode,fast-search",
             "X-Timezone: Europe/Berlin",
             "X-Region: eu-central-1",
             "Sec-Fetch-Site: same-site",
             "Sec-Fetch-Mode: cors",
             "Sec-Fetch-Dest: empty",
             "Sec-GPC: 1"},
        .filled = "Cookie: consent=all; theme=dark; session=",
    },
};

static struct bench_http_input inputs[BENCH_HTTP_SIZES];

static void die(const char *what) {
    fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

static void add(char *out, uint32_t room, uint32_t *length, const char *text, size_t bytes) {
    if (*length + bytes > room)
        die("a request does not fit its size");
    memcpy(out + *length, text, bytes);
    *length += (uint32_t)bytes;
}

static void add_text(char *out, uint32_t room, uint32_t *length, const char *text) {
    add(out, room, length, text, strlen(text));
}

// A request line and Host in 49 bytes: what the host leaves is the path's.
static void make_small(char *out, uint32_t bytes, uint32_t which) {
    static const char path[] = "/api/users/1047/posts/12";
    const char *host = hosts[which % (sizeof(hosts) / sizeof(hosts[0]))];
    uint32_t path_bytes =
        bytes - (uint32_t)strlen("GET  HTTP/1.1\r\nHost: \r\n\r\n") - (uint32_t)strlen(host);

    snprintf(out, bytes + 1, "GET %.*s HTTP/1.1\r\nHost: %s\r\n\r\n", (int)path_bytes, path, host);
}

static void make(const struct shape *shape, char *out, uint32_t which) {
    static const char fill[] = "0123456789abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    uint32_t order[LINES_MAX], line_count = 0, length = 0;
    uint32_t rest = 0, room = shape->bytes;

    while (line_count < LINES_MAX && shape->lines[line_count] != NULL)
        rest += (uint32_t)strlen(shape->lines[line_count++]) + 2;
    bench_shuffle(order, line_count + 1);
    add_text(out, room, &length, shape->method);
    add_text(out, room, &length, " ");
    add(out, room, &length, shape->path, strlen(shape->path) - which * 2);
    add_text(out, room, &length, " HTTP/1.1\r\nHost: ");
    add_text(out, room, &length, hosts[which % (sizeof(hosts) / sizeof(hosts[0]))]);
    add_text(out, room, &length, "\r\n");
    rest += length + (uint32_t)strlen(shape->filled) + 4;
    if (rest >= room)
        die("a request has no room to fill");
    for (uint32_t i = 0; i <= line_count; i++) {
        if (order[i] < line_count) {
            add_text(out, room, &length, shape->lines[order[i]]);
        } else {
            add_text(out, room, &length, shape->filled);
            for (uint32_t filled = rest; filled < room; filled++)
                add(out, room, &length, &fill[bench_random() % (sizeof(fill) - 1)], 1);
        }
        add_text(out, room, &length, "\r\n");
    }
    add_text(out, room, &length, "\r\n");
}

struct bench_http_input *bench_http_inputs(void) {
    if (inputs[0].name != NULL)
        return inputs;
    for (uint32_t i = 0; i < BENCH_HTTP_SIZES; i++) {
        inputs[i].name = shapes[i].name;
        inputs[i].bytes = shapes[i].bytes;
        for (uint32_t which = 0; which < BENCH_HTTP_VARIANTS; which++) {
            char text[4096];
            char *copy = malloc(shapes[i].bytes);

            if (copy == NULL)
                die("out of memory");
            if (shapes[i].path == NULL)
                make_small(text, shapes[i].bytes, which);
            else
                make(&shapes[i], text, which);
            inputs[i].variant[which] = memcpy(copy, text, shapes[i].bytes);
        }
        bench_http_shuffle(&inputs[i]);
    }
    return inputs;
}

void bench_http_shuffle(void *input) {
    struct bench_http_input *one = input;

    bench_shuffle(one->order, BENCH_HTTP_ORDER);
    for (uint32_t i = 0; i < BENCH_HTTP_ORDER; i++)
        one->order[i] %= BENCH_HTTP_VARIANTS;
}
