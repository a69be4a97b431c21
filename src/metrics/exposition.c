// The families of the counter table come first, in its order; the table keeps the members of a
// family together, as the format demands. Then come the histogram and the facts about the process.
#include "metrics/exposition.h"

#include <inttypes.h>

#include "metrics/histogram.h"

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

static struct cv_span family_name(const struct counter_row *row) {
    return cv_span_make(row->text, strcspn(row->text, "{"));
}

// One counter of every worker.
static void put_row(struct cv_openmetrics *out, const struct cv_stats *stats,
                    enum covet_counter counter) {
    const struct counter_row *row = &counter_rows[counter];
    struct cv_span name = family_name(row);
    // Between the braces, or nothing.
    struct cv_span labels = cv_span_of(row->text + name.length);

    if (labels.length > 0)
        labels = cv_span_make(labels.data + 1, labels.length - 2);
    for (uint32_t i = 0; i < stats->worker_count; i++) {
        cv_openmetrics_line(out, "covet_%.*s%s{%.*s%sworker=\"%" PRIu32 "\"} %" PRIu64,
                            (int)name.length, name.data, row->kind == COUNTER ? "_total" : "",
                            (int)labels.length, labels.data, labels.length > 0 ? "," : "", i,
                            cv_counter_read(cv_stats_worker(stats, i), counter));
    }
}

static void put_counters(struct cv_openmetrics *out, const struct cv_stats *stats) {
    struct cv_span family = {NULL, 0};

    for (uint32_t i = 0; i < COVET_COUNTER_COUNT; i++) {
        const struct counter_row *row = &counter_rows[i];

        if (!cv_span_equal(family, family_name(row))) {
            family = family_name(row);
            cv_openmetrics_family(out, family, row->kind == COUNTER ? "counter" : "gauge",
                                  row->help);
        }
        put_row(out, stats, (enum covet_counter)i);
    }
}

static void put_histogram(struct cv_openmetrics *out, uint32_t worker,
                          const struct covet_histogram *histogram) {
    uint64_t count = 0;

    for (uint32_t i = 0; i < COVET_HISTOGRAM_BUCKETS - 1; i++) {
        uint64_t end_ns = cv_histogram_bucket_end_ns(i);

        count += histogram->bucket[i];
        cv_openmetrics_line(out,
                            "covet_handler_seconds_bucket{worker=\"%" PRIu32
                            "\",le=\"" CV_OPENMETRICS_SECONDS "\"} %" PRIu64,
                            worker, CV_OPENMETRICS_SECONDS_OF(end_ns), count);
    }
    cv_openmetrics_line(out,
                        "covet_handler_seconds_bucket{worker=\"%" PRIu32 "\",le=\"+Inf\"} %" PRIu64,
                        worker, histogram->count);
    cv_openmetrics_line(out, "covet_handler_seconds_count{worker=\"%" PRIu32 "\"} %" PRIu64, worker,
                        histogram->count);
    cv_openmetrics_line(out,
                        "covet_handler_seconds_sum{worker=\"%" PRIu32 "\"} " CV_OPENMETRICS_SECONDS,
                        worker, CV_OPENMETRICS_SECONDS_OF(histogram->sum_ns));
}

static void put_histograms(struct cv_openmetrics *out, const struct cv_stats *stats) {
    cv_openmetrics_family(out, CV_SPAN("handler_seconds"), "histogram", "Time spent in handlers");
    for (uint32_t i = 0; i < stats->worker_count; i++) {
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
static uint32_t put_worker_uptimes(struct cv_openmetrics *out, const struct cv_stats *stats,
                                   uint64_t now_ns) {
    uint32_t running = 0;

    cv_openmetrics_family(out, CV_SPAN("worker_uptime_seconds"), "gauge",
                          "Time since the worker's thread started, 0 while it is not running");
    for (uint32_t i = 0; i < stats->worker_count; i++) {
        const struct covet_stats_worker *worker = cv_stats_worker(stats, i);
        uint64_t uptime_ns = 0;

        if (__atomic_load_n(&worker->thread_id, __ATOMIC_ACQUIRE) != 0) {
            uptime_ns = elapsed_ns(__atomic_load_n(&worker->start_ns, __ATOMIC_RELAXED), now_ns);
            running++;
        }
        cv_openmetrics_line(
            out, "covet_worker_uptime_seconds{worker=\"%" PRIu32 "\"} " CV_OPENMETRICS_SECONDS, i,
            CV_OPENMETRICS_SECONDS_OF(uptime_ns));
    }
    return running;
}

static void put_process(struct cv_openmetrics *out, const struct cv_stats *stats,
                        const char *version, uint64_t now_ns) {
    const struct covet_stats_header *header = stats->header;
    uint32_t running = put_worker_uptimes(out, stats, now_ns);
    uint64_t uptime_ns = elapsed_ns(header->start_ns, now_ns);

    cv_openmetrics_family(out, CV_SPAN("workers"), "gauge", "Workers running");
    cv_openmetrics_line(out, "covet_workers %" PRIu32, running);
    cv_openmetrics_family(out, CV_SPAN("uptime_seconds"), "gauge", "Time since covet was started");
    cv_openmetrics_line(out, "covet_uptime_seconds " CV_OPENMETRICS_SECONDS,
                        CV_OPENMETRICS_SECONDS_OF(uptime_ns));
    cv_openmetrics_family(out, CV_SPAN("server_starts"), "counter",
                          "Server processes started since covet was started");
    cv_openmetrics_line(out, "covet_server_starts_total %" PRIu32,
                        __atomic_load_n(&header->server_starts, __ATOMIC_RELAXED));
    cv_openmetrics_family(out, CV_SPAN("build"), "info", "The program that answers");
    cv_openmetrics_line(out, "covet_build_info{version=\"%s\",abi=\"%" PRIu32 "\"} 1", version,
                        header->abi_version);
}

int cv_exposition_write(const struct cv_stats *stats, const char *version, uint64_t now_ns,
                        cv_openmetrics_fn write, void *context) {
    struct cv_openmetrics out = {.write = write, .context = context};

    put_counters(&out, stats);
    put_histograms(&out, stats);
    put_process(&out, stats, version, now_ns);
    return cv_openmetrics_finish(&out);
}
