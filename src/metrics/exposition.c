// OpenMetrics 1.0 text. The families of the counter table come first, in its order; the table keeps
// the members of a family together, as the format demands. Then come the histogram and the facts
// about the process. Numbers are rendered as integers, and times as seconds with nine decimals, so
// nothing is rounded and no locale has a say.
#include "metrics/exposition.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "metrics/histogram.h"

#define PIECE_BYTES_MAX 1024u
#define LINE_BYTES_MAX 256u
#define NS_PER_S ((uint64_t)1000000000)

#define SECONDS_FORMAT "%" PRIu64 ".%09" PRIu64
#define SECONDS_ARGUMENTS(ns) (ns) / NS_PER_S, (ns) % NS_PER_S

enum kind { COUNTER, GAUGE };

struct counter_row {
    const char *text;  // family, or family{label="value"}
    const char *help;
    enum kind kind;
};

static const struct counter_row counter_rows[COVET_COUNTER_COUNT] = {
#define COUNTER_ROW(name, text, kind, help) [COVET_COUNTER_##name] = {text, help, kind},
    COVET_COUNTERS(COUNTER_ROW)
#undef COUNTER_ROW
};

// Lines are collected here; after the first refusal by `write` nothing more happens.
struct output {
    cv_exposition_fn write;
    void *context;
    int result;
    size_t length;
    char piece[PIECE_BYTES_MAX];
};

static void flush(struct output *out) {
    if (out->result == 0 && out->length > 0)
        out->result = out->write(out->context, cv_span_make(out->piece, out->length));
    out->length = 0;
}

static void put_line(struct output *out, const char *format, ...) CV_PRINTF(2, 3);

static void put_line(struct output *out, const char *format, ...) {
    va_list arguments;

    if (PIECE_BYTES_MAX - out->length < LINE_BYTES_MAX)
        flush(out);
    va_start(arguments, format);
    int length = vsnprintf(out->piece + out->length, LINE_BYTES_MAX, format, arguments);
    va_end(arguments);
    CV_ASSERT(length >= 0 && (size_t)length < LINE_BYTES_MAX);
    out->length += (size_t)length;
    out->piece[out->length++] = '\n';
}

static bool ends_with(struct cv_span text, struct cv_span end) {
    return text.length >= end.length &&
           cv_span_equal(cv_span_make(text.data + text.length - end.length, end.length), end);
}

// The lines before a family's samples. A unit is part of the name, so the name tells it.
static void put_family(struct output *out, struct cv_span name, const char *type,
                       const char *help) {
    int length = (int)name.length;

    put_line(out, "# TYPE covet_%.*s %s", length, name.data, type);
    if (ends_with(name, CV_SPAN("_bytes")))
        put_line(out, "# UNIT covet_%.*s bytes", length, name.data);
    else if (ends_with(name, CV_SPAN("_seconds")))
        put_line(out, "# UNIT covet_%.*s seconds", length, name.data);
    put_line(out, "# HELP covet_%.*s %s", length, name.data, help);
}

static struct cv_span family_name(const struct counter_row *row) {
    return cv_span_make(row->text, strcspn(row->text, "{"));
}

// One counter of every worker.
static void put_row(struct output *out, const struct cv_stats *stats, enum covet_counter counter) {
    const struct counter_row *row = &counter_rows[counter];
    struct cv_span name = family_name(row);
    // Between the braces, or nothing.
    struct cv_span labels = cv_span_of(row->text + name.length);

    if (labels.length > 0)
        labels = cv_span_make(labels.data + 1, labels.length - 2);
    for (uint32_t i = 0; i < stats->header->worker_count; i++) {
        put_line(out, "covet_%.*s%s{%.*s%sworker=\"%" PRIu32 "\"} %" PRIu64, (int)name.length,
                 name.data, row->kind == COUNTER ? "_total" : "", (int)labels.length, labels.data,
                 labels.length > 0 ? "," : "", i,
                 cv_counter_read(cv_stats_worker(stats, i), counter));
    }
}

static void put_counters(struct output *out, const struct cv_stats *stats) {
    struct cv_span family = {NULL, 0};

    for (uint32_t i = 0; i < COVET_COUNTER_COUNT; i++) {
        const struct counter_row *row = &counter_rows[i];

        if (!cv_span_equal(family, family_name(row))) {
            family = family_name(row);
            put_family(out, family, row->kind == COUNTER ? "counter" : "gauge", row->help);
        }
        put_row(out, stats, (enum covet_counter)i);
    }
}

static void put_histogram(struct output *out, uint32_t worker,
                          const struct covet_histogram *histogram) {
    uint64_t count = 0;

    for (uint32_t i = 0; i < COVET_HISTOGRAM_BUCKETS - 1; i++) {
        uint64_t end_ns = cv_histogram_bucket_end_ns(i);

        count += histogram->bucket[i];
        put_line(out,
                 "covet_handler_seconds_bucket{worker=\"%" PRIu32 "\",le=\"" SECONDS_FORMAT
                 "\"} %" PRIu64,
                 worker, SECONDS_ARGUMENTS(end_ns), count);
    }
    put_line(out, "covet_handler_seconds_bucket{worker=\"%" PRIu32 "\",le=\"+Inf\"} %" PRIu64,
             worker, histogram->count);
    put_line(out, "covet_handler_seconds_count{worker=\"%" PRIu32 "\"} %" PRIu64, worker,
             histogram->count);
    put_line(out, "covet_handler_seconds_sum{worker=\"%" PRIu32 "\"} " SECONDS_FORMAT, worker,
             SECONDS_ARGUMENTS(histogram->sum_ns));
}

static void put_histograms(struct output *out, const struct cv_stats *stats) {
    put_family(out, CV_SPAN("handler_seconds"), "histogram", "Time spent in handlers");
    for (uint32_t i = 0; i < stats->header->worker_count; i++) {
        struct covet_histogram copy;

        cv_histogram_read(&cv_stats_worker(stats, i)->handler_time, &copy);
        put_histogram(out, i, &copy);
    }
}

// Time from `start_ns` to `now_ns`; another thread may have started after `now_ns` was read.
static uint64_t elapsed_ns(uint64_t start_ns, uint64_t now_ns) {
    return now_ns > start_ns ? now_ns - start_ns : 0;
}

// How long each worker's thread has been running. Returns how many do.
static uint32_t put_worker_uptimes(struct output *out, const struct cv_stats *stats,
                                   uint64_t now_ns) {
    uint32_t running = 0;

    put_family(out, CV_SPAN("worker_uptime_seconds"), "gauge",
               "Time since the worker's thread started, 0 while it is not running");
    for (uint32_t i = 0; i < stats->header->worker_count; i++) {
        const struct covet_stats_worker *worker = cv_stats_worker(stats, i);
        uint64_t uptime_ns = 0;

        if (__atomic_load_n(&worker->thread_id, __ATOMIC_ACQUIRE) != 0) {
            uptime_ns = elapsed_ns(__atomic_load_n(&worker->start_ns, __ATOMIC_RELAXED), now_ns);
            running++;
        }
        put_line(out, "covet_worker_uptime_seconds{worker=\"%" PRIu32 "\"} " SECONDS_FORMAT, i,
                 SECONDS_ARGUMENTS(uptime_ns));
    }
    return running;
}

static void put_process(struct output *out, const struct cv_stats *stats, const char *version,
                        uint64_t now_ns) {
    const struct covet_stats_header *header = stats->header;
    uint32_t running = put_worker_uptimes(out, stats, now_ns);
    uint64_t uptime_ns = elapsed_ns(header->start_ns, now_ns);

    put_family(out, CV_SPAN("workers"), "gauge", "Workers running");
    put_line(out, "covet_workers %" PRIu32, running);
    put_family(out, CV_SPAN("uptime_seconds"), "gauge", "Time since covet was started");
    put_line(out, "covet_uptime_seconds " SECONDS_FORMAT, SECONDS_ARGUMENTS(uptime_ns));
    put_family(out, CV_SPAN("server_starts"), "counter",
               "Server processes started since covet was started");
    put_line(out, "covet_server_starts_total %" PRIu32,
             __atomic_load_n(&header->server_starts, __ATOMIC_RELAXED));
    put_family(out, CV_SPAN("build"), "info", "The program that answers");
    put_line(out, "covet_build_info{version=\"%s\",abi=\"%" PRIu32 "\"} 1", version,
             header->abi_version);
}

int cv_exposition_write(const struct cv_stats *stats, const char *version, uint64_t now_ns,
                        cv_exposition_fn write, void *context) {
    struct output out = {.write = write, .context = context};

    put_counters(&out, stats);
    put_histograms(&out, stats);
    put_process(&out, stats, version, now_ns);
    put_line(&out, "# EOF");
    flush(&out);
    return out.result;
}
