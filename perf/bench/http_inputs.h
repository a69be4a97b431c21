// The requests that the parser benchmarks read: four sizes, sixteen of each that differ in path,
// values and the order of their fields, all of exactly the size their name says.
#ifndef BENCH_HTTP_INPUTS_H
#define BENCH_HTTP_INPUTS_H

#include <stdint.h>

#define BENCH_HTTP_SIZES 4u
#define BENCH_HTTP_VARIANTS 16u
#define BENCH_HTTP_ORDER 1024u  // Requests of one pass, a multiple of BENCH_HTTP_VARIANTS.

struct bench_http_input {
    const char *name;                          // "http_parse/get_49" and so on
    uint32_t bytes;                            // Of each variant.
    const char *variant[BENCH_HTTP_VARIANTS];  // owned; exactly `bytes` of memory each
    uint32_t order[BENCH_HTTP_ORDER];          // What one pass reads; see bench_http_shuffle.
};

// The four, made at the first call; `count` of them is BENCH_HTTP_SIZES.
struct bench_http_input *bench_http_inputs(void);

// `prepare` of every implementation: a new order, each variant equally often.
void bench_http_shuffle(void *input);

#endif
