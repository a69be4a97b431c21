// Runs the micro-benchmarks, prints a table and writes bench.json.
//
// A batch takes about BATCH_NS, short enough that most batches are not interrupted, long enough
// that reading the clock costs nothing. The implementations of one name run in turn, batch by
// batch. Cycles are estimated from a chain of dependent additions measured between the batches,
// since a virtual machine may have no cycle counter.
#include "bench.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BENCHES_MAX 128u
#define BATCHES_MAX 4096u
#define BATCH_NS 50000.0
#define CHAIN_ADDITIONS 20000u

struct measured {
    struct bench bench;
    uint32_t count;  // Operations per batch.
    uint32_t sample_count;
    double samples[BATCHES_MAX];  // Nanoseconds per operation.
};

static struct measured *measured;
static uint32_t measured_count;
static double cycle_ns = 1e9;  // The fastest chain seen.
static uint64_t random_state = 0x9e3779b97f4a7c15u;

void bench_add(const struct bench *bench) {
    if (measured_count == BENCHES_MAX) {
        fprintf(stderr, "bench: more than %u benchmarks\n", BENCHES_MAX);
        exit(1);
    }
    measured[measured_count++].bench = *bench;
}

void bench_skip(const char *impl, const char *why) {
    printf("skipped: %s: %s\n", impl, why);
}

// xorshift64*
uint64_t bench_random(void) {
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 0x2545f4914f6cdd1du;
}

void bench_shuffle(uint32_t *order, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        order[i] = i;
    for (uint32_t i = count; i > 1; i--) {
        uint32_t other = (uint32_t)(bench_random() % i);
        uint32_t kept = order[i - 1];

        order[i - 1] = order[other];
        order[other] = kept;
    }
}

static double now_ns(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void measure_cycle(void) {
    double start = now_ns();
    uint64_t value = 1;

    for (uint32_t i = 0; i < CHAIN_ADDITIONS; i++)
        __asm__ volatile("add $1, %0" : "+r"(value));
    double per_addition = (now_ns() - start) / CHAIN_ADDITIONS;
    if (per_addition < cycle_ns)
        cycle_ns = per_addition;
}

static double run_batch(struct measured *one) {
    if (one->bench.prepare != NULL)
        one->bench.prepare(one->bench.context);
    double start = now_ns();

    one->bench.run(one->bench.context, one->count);
    return (now_ns() - start) / one->count;
}

// Finds the number of operations that fill a batch; warms everything up on the way.
static void calibrate(struct measured *one) {
    uint32_t multiple = one->bench.multiple == 0 ? 1 : one->bench.multiple;

    one->count = multiple;
    (void)run_batch(one);  // First touches would look like a batch that is long enough.
    for (;;) {
        double per_operation = run_batch(one);

        if (per_operation * one->count >= BATCH_NS / 2 || one->count > UINT32_MAX / 4)
            break;
        double wanted = BATCH_NS / (per_operation > 0.01 ? per_operation : 0.01);
        uint32_t next = wanted > 4.0 * one->count ? 4 * one->count : (uint32_t)wanted;
        next = (next + multiple - 1) / multiple * multiple;
        if (next <= one->count)
            break;
        one->count = next;
    }
}

static void run_group(uint32_t first, uint32_t end, uint32_t batches) {
    for (uint32_t i = first; i < end; i++)
        calibrate(&measured[i]);
    for (uint32_t batch = 0; batch < batches; batch++) {
        for (uint32_t i = first; i < end; i++) {
            struct measured *one = &measured[i];

            one->samples[one->sample_count++] = run_batch(one);
        }
        if (batch % 16 == 0)
            measure_cycle();
    }
}

static int compare_doubles(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

static const struct measured *find(const char *name, const char *impl) {
    for (uint32_t i = 0; i < measured_count; i++)
        if (strcmp(measured[i].bench.name, name) == 0 && strcmp(measured[i].bench.impl, impl) == 0)
            return &measured[i];
    return NULL;
}

static double minimum(const struct measured *one) {
    return one->samples[0];
}

static double median(const struct measured *one) {
    return one->samples[one->sample_count / 2];
}

static void print_row(const struct measured *one) {
    const struct measured *covet = find(one->bench.name, "covet");

    printf("%-28s %-14s %10.2f %10.2f", one->bench.name, one->bench.impl, minimum(one),
           median(one));
    if (covet != NULL && covet != one)
        printf(" %11.2f", median(covet) / median(one));
    else
        printf(" %11s", "");
    if (one->bench.bytes > 0)
        printf(" %8.2f %8.2f", (double)one->bench.bytes / minimum(one),
               (double)one->bench.bytes / minimum(one) * cycle_ns);
    printf("\n");
}

static void print_table(void) {
    printf("%-28s %-14s %10s %10s %11s %8s %8s\n", "name", "impl", "ns min", "ns median",
           "covet / it", "GB/s", "B/cycle");
    for (uint32_t i = 0; i < measured_count; i++) {
        if (i > 0 && strcmp(measured[i - 1].bench.name, measured[i].bench.name) != 0)
            printf("\n");
        print_row(&measured[i]);
    }
    printf("\n\"covet / it\" compares medians of the same run. One cycle took %.3f ns.\n",
           cycle_ns);
}

static void write_row(FILE *file, const struct measured *one, bool last) {
    const struct measured *floor = find(one->bench.name, "floor");

    fprintf(file, "    {\"name\":\"%s\",\"impl\":\"%s\",\"ns_min\":%.3f,\"ns_median\":%.3f",
            one->bench.name, one->bench.impl, minimum(one), median(one));
    if (one->bench.bytes > 0)
        fprintf(file, ",\"gb_per_s\":%.3f,\"bytes_per_cycle\":%.3f",
                (double)one->bench.bytes / minimum(one),
                (double)one->bench.bytes / minimum(one) * cycle_ns);
    if (floor != NULL && floor != one)
        fprintf(file, ",\"floor_ratio\":%.3f", median(one) / median(floor));
    fprintf(file, "}%s\n", last ? "" : ",");
}

static int write_json(const char *path) {
    FILE *file = fopen(path, "w");

    if (file == NULL) {
        fprintf(stderr, "bench: %s: %s\n", path, strerror(errno));
        return 1;
    }
    fprintf(file, "{\n  \"cycle_ns\":%.4f,\n  \"results\":[\n", cycle_ns);
    for (uint32_t i = 0; i < measured_count; i++)
        write_row(file, &measured[i], i + 1 == measured_count);
    fprintf(file, "  ]\n}\n");
    if (fclose(file) != 0) {
        fprintf(stderr, "bench: %s: %s\n", path, strerror(errno));
        return 1;
    }
    return 0;
}

static void add_all(void) {
    static void (*const subjects[])(void) = {
        bench_http,    bench_http_parser, bench_route,    bench_mem,       bench_json_write,
        bench_jansson, bench_json_parse,  bench_simdjson, bench_rapidjson, bench_conn,
    };

    for (uint32_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++)
        if (subjects[i] != NULL)
            subjects[i]();
}

// The implementations of one name stand together, in the order they came, ours first.
static int compare_names(const void *left, const void *right) {
    const struct measured *a = left, *b = right;
    int order = strcmp(a->bench.name, b->bench.name);

    if (order != 0)
        return order;
    bool a_ours = strcmp(a->bench.impl, "covet") == 0, b_ours = strcmp(b->bench.impl, "covet") == 0;
    return a_ours != b_ours ? b_ours - a_ours : strcmp(a->bench.impl, b->bench.impl);
}

static void keep_only(const char *word) {
    uint32_t kept = 0;

    for (uint32_t i = 0; i < measured_count; i++)
        if (strstr(measured[i].bench.name, word) != NULL)
            measured[kept++] = measured[i];
    measured_count = kept;
}

int main(int argc, char **argv) {
    const char *word = argc > 1 ? argv[1] : "";
    const char *path = argc > 2 ? argv[2] : NULL;
    uint32_t batches = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 400;

    if (batches == 0 || batches > BATCHES_MAX || argc > 4) {
        fprintf(stderr, "usage: bench [WORD [JSON-FILE [BATCHES]]]\n");
        return 2;
    }
    measured = calloc(BENCHES_MAX, sizeof(*measured));
    if (measured == NULL)
        return 1;
    add_all();
    keep_only(word);
    qsort(measured, measured_count, sizeof(*measured), compare_names);
    for (uint32_t first = 0, end = 0; first < measured_count; first = end) {
        while (end < measured_count &&
               strcmp(measured[first].bench.name, measured[end].bench.name) == 0)
            end++;
        run_group(first, end, batches);
    }
    for (uint32_t i = 0; i < measured_count; i++)
        qsort(measured[i].samples, measured[i].sample_count, sizeof(double), compare_doubles);
    print_table();
    return path == NULL || *path == '\0' ? 0 : write_json(path);
}
