// The request parser as the server calls it, beside a floor that finds where lines and names end
// and judges nothing.
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "http/parser.h"
#include "http_inputs.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

static const struct cv_parser_limits limits = {
    .head_bytes_max = 32768, .target_bytes_max = 8192, .fields_max = CV_PARSER_FIELDS_MAX};

static void run_covet(void *context, uint32_t count) {
    const struct bench_http_input *input = context;
    static struct cv_parser_head head;

    for (uint32_t i = 0; i < count; i++) {
        const char *data = input->variant[input->order[i % BENCH_HTTP_ORDER]];

        if (cv_parser_feed(data, input->bytes, &limits, &head) != CV_PARSER_DONE) {
            fprintf(stderr, "bench: %s: %s\n", input->name, cv_parser_reason(head.refusal));
            exit(1);
        }
        bench_clobber(&head);
    }
}

#ifdef __x86_64__
#define AVX2 __attribute__((target("avx2,bmi,bmi2,popcnt,lzcnt")))

// Bits of the bytes that end a name or a line, or that no head may hold: ':' and all controls. One
// look-up per nibble; a byte is in the set when its row and its column share a bit.
AVX2 static inline uint32_t classify_32(const char *data) {
    const __m256i rows =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(1, 1, 0, 2, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0));
    const __m256i columns =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 1, 1, 1, 1, 5));
    __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)data);
    __m256i high = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(0x0f));
    __m256i common =
        _mm256_and_si256(_mm256_shuffle_epi8(rows, high), _mm256_shuffle_epi8(columns, bytes));

    return (uint32_t)_mm256_movemask_epi8(_mm256_cmpgt_epi8(common, _mm256_setzero_si256()));
}

// The last block is read from the end backwards: nothing behind the input is touched.
AVX2 static inline uint64_t classify(const char *data, uint32_t from, uint32_t length) {
    uint32_t rest = length - from;

    if (rest >= 64)
        return classify_32(data + from) | (uint64_t)classify_32(data + from + 32) << 32;
    if (rest > 32)
        return classify_32(data + from) | (uint64_t)classify_32(data + length - 32) << (rest - 32);
    return classify_32(data + length - 32) >> (32 - rest);
}

// Two places at a time without asking how many there are; what is too much is overwritten.
AVX2 static uint32_t run_floor_once(const char *data, uint32_t length, uint16_t *places) {
    uint32_t count = 0;

    for (uint32_t from = 0; from < length; from += 64) {
        uint64_t bits = classify(data, from, length);
        uint16_t *out = places + count;

        count += (uint32_t)_mm_popcnt_u64(bits);
        do {
            for (uint32_t k = 0; k < 2; k++) {
                *out++ = (uint16_t)(from + (uint32_t)_tzcnt_u64(bits));
                bits = _blsr_u64(bits);
            }
        } while (bits != 0);
    }
    return count;
}

static void run_floor(void *context, uint32_t count) {
    const struct bench_http_input *input = context;
    static uint16_t places[4096];

    for (uint32_t i = 0; i < count; i++) {
        const char *data = input->variant[input->order[i % BENCH_HTTP_ORDER]];

        bench_keep(run_floor_once(data, input->bytes, places));
        bench_clobber(places);
    }
}
#endif

void bench_http(void) {
    struct bench_http_input *inputs = bench_http_inputs();

    for (uint32_t i = 0; i < BENCH_HTTP_SIZES; i++) {
        struct bench bench = {
            .name = inputs[i].name,
            .impl = "covet",
            .bytes = inputs[i].bytes,
            .multiple = BENCH_HTTP_ORDER,
            .run = run_covet,
            .prepare = bench_http_shuffle,
            .context = &inputs[i],
        };

        bench_add(&bench);
#ifdef __x86_64__
        if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2")) {
            bench.impl = "floor";
            bench.run = run_floor;
            bench_add(&bench);
        }
#endif
    }
}
