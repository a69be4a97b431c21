// libhttp-parser as Debian packages it, with the least its callbacks can do: keep the spans.
#include "bench.h"

#if __has_include(<http_parser.h>)

#include <http_parser.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "http_inputs.h"

struct found {
    uint32_t count;
    bool done;
    const char *at[256];
    size_t length[256];
};

static int on_span(http_parser *parser, const char *at, size_t length) {
    struct found *found = parser->data;

    found->at[found->count] = at;
    found->length[found->count++] = length;
    return 0;
}

static int on_head(http_parser *parser) {
    struct found *found = parser->data;

    found->done = true;
    http_parser_pause(parser, 1);  // The body is not part of what is measured.
    return 0;
}

static void run(void *context, uint32_t count) {
    const struct bench_http_input *input = context;
    static struct found found;
    static http_parser_settings settings;

    http_parser_settings_init(&settings);
    settings.on_url = on_span;
    settings.on_header_field = on_span;
    settings.on_header_value = on_span;
    settings.on_headers_complete = on_head;
    for (uint32_t i = 0; i < count; i++) {
        http_parser parser;

        found.count = 0;
        found.done = false;
        http_parser_init(&parser, HTTP_REQUEST);
        parser.data = &found;
        http_parser_execute(&parser, &settings, input->variant[input->order[i % BENCH_HTTP_ORDER]],
                            input->bytes);
        if (!found.done) {
            fprintf(stderr, "bench: http-parser: %s\n",
                    http_errno_name(HTTP_PARSER_ERRNO(&parser)));
            exit(1);
        }
        bench_clobber(&found);
    }
}

void bench_http_parser(void) {
    struct bench_http_input *inputs = bench_http_inputs();

    for (uint32_t i = 0; i < BENCH_HTTP_SIZES; i++)
        bench_add(&(struct bench){
            .name = inputs[i].name,
            .impl = "http-parser",
            .bytes = inputs[i].bytes,
            .multiple = BENCH_HTTP_ORDER,
            .run = run,
            .prepare = bench_http_shuffle,
            .context = &inputs[i],
        });
}

#else

void bench_http_parser(void) {
    bench_skip("http-parser", "http_parser.h is not installed (libhttp-parser-dev)");
}

#endif
