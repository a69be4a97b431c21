// Micro-benchmarks: the harness behind `make bench`.
//
// A file bench_<subject>.c describes what it measures with bench_add, several implementations under
// one name; the harness runs the implementations of a name in turn, many short batches each, so
// that the machine's drift meets all of them alike, and reports minimum and median per operation.
#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bench {
    const char *name;   // "http_parse/chrome_717"; static text, as `impl`
    const char *impl;   // "covet", "floor", or the peer's name
    uint64_t bytes;     // Input or output bytes per operation; 0: no throughput is shown.
    uint32_t multiple;  // Counts are multiples of it, one pass over the inputs say; 0 means 1.
    // Does `count` operations on inputs whose order it shuffled beforehand, and hands what they
    // found to bench_keep.
    void (*run)(void *context, uint32_t count);
    // Untimed, before every batch; may be NULL. Shuffle here.
    void (*prepare)(void *context);
    void *context;
};

// Copies `bench`. The order of calls is the order of the table.
void bench_add(const struct bench *bench);

// A visible line for an implementation that cannot run here.
void bench_skip(const char *impl, const char *why);

// A result that the compiler must not drop.
static inline void bench_keep(uint64_t value) {
    __asm__ volatile("" : : "r"(value) : "memory");
}

// Memory that the compiler must take as changed.
static inline void bench_clobber(void *memory) {
    __asm__ volatile("" : : "r"(memory) : "memory");
}

// The same sequence in every run.
uint64_t bench_random(void);

// Puts `count` indexes 0..count-1 in a random order.
void bench_shuffle(uint32_t *order, uint32_t count);

// One per bench_<subject>.c or peer_<name>.*; those that are not linked are skipped.
void bench_http(void) __attribute__((weak));
void bench_route(void) __attribute__((weak));
void bench_mem(void) __attribute__((weak));
void bench_json_write(void) __attribute__((weak));
void bench_json_parse(void) __attribute__((weak));
void bench_conn(void) __attribute__((weak));
void bench_http_parser(void) __attribute__((weak));
void bench_rapidjson(void) __attribute__((weak));
void bench_simdjson(void) __attribute__((weak));
void bench_jansson(void) __attribute__((weak));

#ifdef __cplusplus
}
#endif

#endif
