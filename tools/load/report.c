// Numbers are made text by a few helpers, each of which has one way to say a kind of thing, so that
// columns line up and JSON stays JSON: no number here can be NaN or infinite, every text is
// escaped.
#include "load/report.h"

#include <covet/app.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/compiler.h"
#include "load/fleet.h"
#include "json/utf8.h"

static const char *const error_names[LOAD_ERROR_COUNT] = {
    [LOAD_ERROR_CONNECT] = "connect", [LOAD_ERROR_RECEIVE] = "receive",
    [LOAD_ERROR_SEND] = "send",       [LOAD_ERROR_CUT] = "cut",
    [LOAD_ERROR_MESSAGE] = "message", [LOAD_ERROR_TIMEOUT] = "timeout",
    [LOAD_ERROR_STATUS] = "status",
};

static const struct {
    const char *name;  // In the table.
    const char *key;   // In JSON.
    double fraction;
} percentiles[] = {
    {"p50", "p50", 0.5},  {"p75", "p75", 0.75},      {"p90", "p90", 0.9},
    {"p99", "p99", 0.99}, {"p99.9", "p99_9", 0.999}, {"p99.99", "p99_99", 0.9999},
};

static double seconds_of(const struct load_result *result) {
    return result->ended_ns > result->began_ns ? (double)(result->ended_ns - result->began_ns) / 1e9
                                               : 0;
}

static double per(double amount, double unit) {
    return unit > 0 ? amount / unit : 0;
}

static uint64_t rounded(double value) {
    return (uint64_t)(value + 0.5);
}

static double rate_of(const struct load_result *result) {
    return per((double)result->tally.answers, seconds_of(result));
}

static double served_rate_of(const struct load_result *result) {
    return per((double)result->tally.status[2], seconds_of(result));
}

static double shed_rate_of(const struct load_result *result) {
    return per((double)result->tally.shed, seconds_of(result));
}

static double mean_ns(const struct load_histogram *latency) {
    return per((double)latency->sum_ns, (double)latency->count);
}

static uint64_t error_sum(const struct load_result *result) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < LOAD_ERROR_COUNT; i++) {
        sum += result->errors[i];
    }
    return sum;
}

static double core_share(const struct load_result *result) {
    return CV_MAX(result->lane_busy, result->core_busy);
}

static bool is_full(const struct load_result *result) {
    return core_share(result) >= LOAD_REPORT_FULL;
}

bool load_report_is_bottleneck(const struct load_result *result, double server_busy) {
    return is_full(result) && server_busy >= 0 &&
           CV_MAX(server_busy, result->server_core_busy) < LOAD_REPORT_SERVER_ROOM;
}

// A number made text.
struct text {
    char data[64];
};

// With commas: 1,234,567.
static struct text count_text(uint64_t count) {
    struct text digits, text;
    size_t length = (size_t)snprintf(digits.data, sizeof(digits.data), "%" PRIu64, count);
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0) {
            text.data[used++] = ',';
        }
        text.data[used++] = digits.data[i];
    }
    text.data[used] = '\0';
    return text;
}

// Three digits that count, in the unit that fits: 12.3 us.
static struct text scaled_text(double value, double step, const char *const units[]) {
    struct text text;
    while (value >= step * 0.9995 && units[1] != NULL) {
        value /= step;
        units++;
    }
    int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
    snprintf(text.data, sizeof(text.data), "%.*f %s", decimals, value, units[0]);
    return text;
}

static struct text time_text(double ns) {
    static const char *const units[] = {"us", "ms", "s", NULL};
    return scaled_text(ns / 1e3, 1e3, units);
}

static struct text bytes_text(double bytes) {
    static const char *const units[] = {"kB", "MB", "GB", "TB", NULL};
    struct text text;
    if (bytes < 999.5) {
        snprintf(text.data, sizeof(text.data), "%.0f B", bytes);
        return text;
    }
    return scaled_text(bytes / 1e3, 1e3, units);
}

static const char *plural(uint64_t count) {
    return count == 1 ? "" : "s";
}

static void print_title(FILE *out, const struct load_options *options,
                        const struct load_result *result) {
    fprintf(out, "%s\n", options->url);
    fprintf(out, "  %s connection%s on %u thread%s, ", count_text(options->connections).data,
            plural(options->connections), options->threads, plural(options->threads));
    if (options->idle > 0) {
        fprintf(out, "%s idle, ", count_text(options->idle).data);
    }
    if (options->depth > 1) {
        fprintf(out, "depth %u, ", options->depth);
    }
    if (options->requests.count > 1) {
        fprintf(out, "%u requests in turn, ", options->requests.count);
    }
    if (options->rate > 0) {
        fprintf(out, "%.10g requests/s asked for, ", options->rate);
    }
    fprintf(out, "%.2f s\n\n", seconds_of(result));
}

static void print_amounts(FILE *out, const struct load_result *result) {
    double seconds = seconds_of(result);
    const struct {
        const char *name;
        struct text sum, rate;
        bool is_left_out;
    } lines[] = {
        {"answers", count_text(result->tally.answers), count_text(rounded(rate_of(result))), false},
        {"served", count_text(result->tally.status[2]), count_text(rounded(served_rate_of(result))),
         result->tally.shed == 0},
        {"shed", count_text(result->tally.shed), count_text(rounded(shed_rate_of(result))),
         result->tally.shed == 0},
        {"received", bytes_text((double)result->bytes_received),
         bytes_text(per((double)result->bytes_received, seconds)), false},
        {"sent", bytes_text((double)result->bytes_sent),
         bytes_text(per((double)result->bytes_sent, seconds)), false},
        {"connects", count_text(result->connects),
         count_text(rounded(per((double)result->connects, seconds))), false},
    };
    for (size_t i = 0; i < CV_ARRAY_COUNT(lines); i++) {
        if (!lines[i].is_left_out) {
            fprintf(out, "  %-10s %16s %14s/s\n", lines[i].name, lines[i].sum.data,
                    lines[i].rate.data);
        }
    }
}

static double minimum_ns(const struct load_histogram *latency) {
    return (double)latency->min_ns;
}

static double maximum_ns(const struct load_histogram *latency) {
    return (double)latency->max_ns;
}

// What a latency table has in one line: each histogram's column.
struct columns {
    const struct load_histogram *latency[3];
    unsigned count;
};

static void print_times(FILE *out, const struct columns *columns, const char *name,
                        double (*ns_of)(const struct load_histogram *), double fraction) {
    fprintf(out, "    %-7s", name);
    for (unsigned i = 0; i < columns->count; i++) {
        const struct load_histogram *latency = columns->latency[i];
        double ns = ns_of != NULL ? ns_of(latency) : (double)load_histogram_at(latency, fraction);
        fprintf(out, " %12s", latency->count > 0 ? time_text(ns).data : "none");
    }
    fputc('\n', out);
}

// Where a server sheds load its refusals are the fast ones, and an average of both tells of
// neither.
static void print_latency(FILE *out, const struct load_options *options,
                          const struct load_result *result) {
    const struct columns columns = {
        .latency = {&result->latency, &result->latency_of[LOAD_KIND_SERVED],
                    &result->latency_of[LOAD_KIND_SHED]},
        .count = result->tally.shed > 0 ? 3 : 1,
    };
    fprintf(out, "\n  latency%s\n",
            options->rate > 0 ? ", from the time each request was meant to be sent" : "");
    if (result->latency.count == 0) {
        fputs("    none was measured\n", out);
        return;
    }
    if (columns.count > 1) {
        fprintf(out, "    %-7s %12s %12s %12s\n", "", "all", "served", "shed");
    }
    print_times(out, &columns, "min", minimum_ns, 0);
    print_times(out, &columns, "mean", mean_ns, 0);
    for (size_t i = 0; i < CV_ARRAY_COUNT(percentiles); i++) {
        print_times(out, &columns, percentiles[i].name, NULL, percentiles[i].fraction);
    }
    print_times(out, &columns, "max", maximum_ns, 0);
    fputc('\n', out);
}

// "name count, name count", or "none".
struct listing {
    FILE *out;
    bool is_begun;
};

static void list_count(struct listing *listing, const char *name, uint64_t count) {
    if (count > 0) {
        fprintf(listing->out, "%s%s %s", listing->is_begun ? ", " : "", name,
                count_text(count).data);
        listing->is_begun = true;
    }
}

static void list_end(const struct listing *listing) {
    fputs(listing->is_begun ? "\n" : "none\n", listing->out);
}

static void print_outcome(FILE *out, const struct load_result *result) {
    static const char *const classes[] = {"", "1xx", "2xx", "3xx", "4xx", "5xx"};
    struct listing listing = {.out = out};
    fputs("  status     ", out);
    for (unsigned i = 1; i < CV_ARRAY_COUNT(classes); i++) {
        list_count(&listing, classes[i], result->tally.status[i]);
    }
    list_end(&listing);
    listing.is_begun = false;
    fputs("  errors     ", out);
    for (unsigned i = 0; i < LOAD_ERROR_COUNT; i++) {
        list_count(&listing, error_names[i], result->errors[i]);
    }
    list_end(&listing);
}

static void print_cpu(FILE *out, const struct load_result *result, double server_busy) {
    fprintf(out, "  CPU        generator %.0f %% of a core", 100 * result->lane_busy);
    if (server_busy >= 0) {
        fprintf(out, ", server %.0f %% (busiest threads)", 100 * server_busy);
    }
    fputc('\n', out);
}

static void print_warnings(FILE *out, const struct load_result *result, double server_busy) {
    struct text others = {""};
    if (core_share(result) - result->lane_busy > 0.05) {
        snprintf(others.data, sizeof(others.data),
                 ", %.0f %% of it with others' work and interrupts",
                 100 * (core_share(result) - result->lane_busy));
    }
    if (load_report_is_bottleneck(result, server_busy)) {
        fprintf(
            out,
            "\nwarning: the generator is the bottleneck: its core is full (%.0f %%%s), the server "
            "has room (%.0f %%); give it more cores (-t, --cores)\n",
            100 * core_share(result), others.data, 100 * server_busy);
    } else if (is_full(result) && server_busy < 0) {
        fprintf(out,
                "\nnote: the generator's core is full (%.0f %%%s), and the server's cannot be seen "
                "from here: one of them set the pace\n",
                100 * core_share(result), others.data);
    }
    if (result->late > 0) {
        fprintf(out, "\nwarning: fell behind: %s request%s (%.2f %%) sent over 1 ms late",
                count_text(result->late).data, plural(result->late),
                100 * per((double)result->late,
                          (double)result->requests_sent + (double)result->unsent));
        if (result->unsent > 0) {
            fprintf(out, " or never (%s)", count_text(result->unsent).data);
        }
        fputs("; latency counts from the intended time all the same\n", out);
    }
}

void load_report_text(FILE *out, const struct load_options *options,
                      const struct load_result *result, double server_busy) {
    print_title(out, options, result);
    print_amounts(out, result);
    print_latency(out, options, result);
    print_outcome(out, result);
    print_cpu(out, result, server_busy);
    print_warnings(out, result, server_busy);
}

// A JSON string. Bytes that are no UTF-8 are taken for Latin-1, so that each is still told apart.
static void put_string(FILE *out, const char *text) {
    bool is_utf8 = cv_utf8_valid(text, strlen(text));
    fputc('"', out);
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\') {
            fprintf(out, "\\%c", byte);
        } else if (byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !is_utf8)) {
            fprintf(out, "\\u%04x", byte);
        } else {
            fputc(byte, out);
        }
    }
    fputc('"', out);
}

static void put_number(FILE *out, double value) {
    fprintf(out, "%.3f", isfinite(value) ? value : 0);
}

static void put_latency(FILE *out, const char *key, double ns, bool is_known) {
    fprintf(out, "\"%s\":", key);
    if (is_known) {
        put_number(out, ns / 1e3);
    } else {
        fputs("null", out);
    }
}

static void put_latencies(FILE *out, const struct load_histogram *latency) {
    bool is_known = latency->count > 0;
    fputs(",\"latency_us\":{", out);
    put_latency(out, "min", (double)latency->min_ns, is_known);
    fputc(',', out);
    put_latency(out, "mean", mean_ns(latency), is_known);
    for (size_t i = 0; i < CV_ARRAY_COUNT(percentiles); i++) {
        fputc(',', out);
        put_latency(out, percentiles[i].key,
                    (double)load_histogram_at(latency, percentiles[i].fraction), is_known);
    }
    fputc(',', out);
    put_latency(out, "max", (double)latency->max_ns, is_known);
    fputc('}', out);
}

static void put_errors(FILE *out, const struct load_result *result) {
    fprintf(out, ",\"errors\":%" PRIu64 ",\"errors_by_kind\":{", error_sum(result));
    for (unsigned i = 0; i < LOAD_ERROR_COUNT; i++) {
        fprintf(out, "%s\"%s\":%" PRIu64, i == 0 ? "" : ",", error_names[i], result->errors[i]);
    }
    fputs("},\"status\":{", out);
    for (unsigned i = 1; i < CV_ARRAY_COUNT(result->tally.status); i++) {
        fprintf(out, "%s\"%uxx\":%" PRIu64, i == 1 ? "" : ",", i, result->tally.status[i]);
    }
    fputc('}', out);
}

// The answers of one kind, which are what `latency_us` of all is made of.
static void put_kind(FILE *out, const char *key, uint64_t answers, double rate,
                     const struct load_histogram *latency) {
    fprintf(out, ",\"%s\":{\"requests\":%" PRIu64 ",\"requests_per_s\":", key, answers);
    put_number(out, rate);
    put_latencies(out, latency);
    fputc('}', out);
}

static void put_field(FILE *out, const char *key, double value) {
    fprintf(out, ",\"%s\":", key);
    put_number(out, value);
}

static void put_count(FILE *out, const char *key, uint64_t count) {
    fprintf(out, ",\"%s\":%" PRIu64, key, count);
}

void load_report_json(FILE *out, const struct load_options *options,
                      const struct load_result *result, double server_busy) {
    double seconds = seconds_of(result);
    fprintf(out, "{\"requests\":%" PRIu64, result->tally.answers);
    put_field(out, "requests_per_s", rate_of(result));
    put_errors(out, result);
    put_count(out, "bytes_received", result->bytes_received);
    put_count(out, "bytes_sent", result->bytes_sent);
    put_field(out, "bytes_per_s", per((double)result->bytes_received, seconds));
    put_field(out, "seconds", seconds);
    put_count(out, "connections", options->connections);
    put_count(out, "connects", result->connects);
    put_latencies(out, &result->latency);
    put_kind(out, "served", result->tally.status[2], served_rate_of(result),
             &result->latency_of[LOAD_KIND_SERVED]);
    put_kind(out, "shed", result->tally.shed, shed_rate_of(result),
             &result->latency_of[LOAD_KIND_SHED]);
    put_field(out, "cpu_share", result->lane_busy);
    put_field(out, "core_share", core_share(result));
    if (server_busy >= 0) {
        put_field(out, "server_cpu_share", server_busy);
    } else {
        fputs(",\"server_cpu_share\":null", out);
    }
    fprintf(out, ",\"generator_is_bottleneck\":%s",
            load_report_is_bottleneck(result, server_busy) ? "true" : "false");
    put_count(out, "late", result->late);
    put_count(out, "enters", result->enters);
    put_field(out, "enters_per_request",
              per((double)result->enters, (double)result->tally.answers));
    fputs(",\"command\":", out);
    put_string(out, options->command);
    fputs(",\"version\":\"" COVET_VERSION "\"}\n", out);
}

void load_report_progress(FILE *out, struct load_progress *before,
                          const struct load_progress *now) {
    double seconds = now->seconds - before->seconds;
    double rate = per((double)(now->answers - before->answers), seconds);
    fprintf(out, "\r%7.1f s %14s answers/s %16s answers %10s errors %8s open\033[K", now->seconds,
            count_text(rounded(rate)).data, count_text(now->answers).data,
            count_text(now->errors).data, count_text(now->open).data);
    fflush(out);
    *before = *now;
}

void load_report_progress_end(FILE *out) {
    fputs("\r\033[K", out);
    fflush(out);
}
