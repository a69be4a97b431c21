// The OpenMetrics text, parsed back line by line: families, types, units and every value.
#include "metrics/exposition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "metrics/histogram.h"

#define WORKERS 3u
#define FAMILIES_MAX 64u
#define NAME_BYTES 128u

static struct cv_stats stats;
static char text[1 << 17];
static size_t text_length;
static int calls;
static int refuse_from_call;

static int take_text(void *context, struct cv_span piece) {
    assert_ptr_equal(context, &stats);
    assert_in_range(piece.length, 1, 1024);
    if (++calls >= refuse_from_call)
        return -7;
    assert_true(text_length + piece.length < sizeof(text));
    memcpy(text + text_length, piece.data, piece.length);
    text_length += piece.length;
    text[text_length] = '\0';
    return 0;
}

static uint64_t counter_value(uint32_t worker, uint32_t counter) {
    return (uint64_t)counter * 1000 + worker + (counter == 0 ? 18446744073709551000ull : 0);
}

static int write_exposition(void **state) {
    (void)state;
    text_length = 0;
    calls = 0;
    refuse_from_call = 1 << 30;
    if (cv_stats_create(&stats, NULL, WORKERS) != 0)
        return -1;
    stats.header->start_ns = 1000000000;
    stats.header->server_starts = 5;
    for (uint32_t i = 0; i < WORKERS; i++) {
        struct covet_stats_worker *worker = cv_stats_worker(&stats, i);

        cv_counter_begin(worker, i == 2 ? 0 : 100 + i, i, 2000000000);
        for (uint32_t counter = 0; counter < COVET_COUNTER_COUNT; counter++)
            cv_counter_set(worker, (enum covet_counter)counter, counter_value(i, counter));
    }
    cv_histogram_record(&cv_stats_worker(&stats, 1)->handler_time, 256);
    cv_histogram_record(&cv_stats_worker(&stats, 1)->handler_time, 257);
    cv_histogram_record(&cv_stats_worker(&stats, 1)->handler_time, 3000000000);
    return cv_exposition_write(&stats, "1.2.3", 62500000000, take_text, &stats);
}

static int close_stats(void **state) {
    (void)state;
    cv_stats_close(&stats);
    return 0;
}

// How often `line` is a whole line of the text.
static unsigned count_lines(const char *line) {
    size_t length = strlen(line);
    unsigned count = 0;

    for (const char *at = text; (at = strstr(at, line)) != NULL; at += length)
        count += (at == text || at[-1] == '\n') && at[length] == '\n';
    return count;
}

static void check_line(const char *format, ...) CV_PRINTF(1, 2);

static void check_line(const char *format, ...) {
    char line[256];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    if (count_lines(line) != 1)
        fail_msg("%u lines are: %s", count_lines(line), line);
}

struct family {
    char name[NAME_BYTES];
    char type[NAME_BYTES];
    bool has_help;
    bool has_unit;
    unsigned samples;
};

static struct family families[FAMILIES_MAX];
static size_t family_count;

static bool ends_with(const char *name, const char *end) {
    return strlen(name) >= strlen(end) && strcmp(name + strlen(name) - strlen(end), end) == 0;
}

// "# WORD name value"
static void parse_metadata(const char *line) {
    char word[NAME_BYTES];
    char name[NAME_BYTES];
    char value[256];

    assert_int_equal(sscanf(line, "# %127s %127s %255[^\n]", word, name, value), 3);
    if (strcmp(word, "TYPE") == 0) {
        for (size_t i = 0; i < family_count; i++)
            assert_string_not_equal(families[i].name, name);
        assert_true(family_count < FAMILIES_MAX);
        struct family *family = &families[family_count++];
        *family = (struct family){.samples = 0};
        snprintf(family->name, sizeof(family->name), "%s", name);
        snprintf(family->type, sizeof(family->type), "%.100s", value);
        return;
    }
    assert_true(family_count > 0);
    struct family *family = &families[family_count - 1];
    assert_string_equal(family->name, name);
    assert_int_equal(family->samples, 0);
    if (strcmp(word, "HELP") == 0) {
        assert_false(family->has_help);
        family->has_help = true;
    } else {
        char end[NAME_BYTES + 1];

        assert_string_equal(word, "UNIT");
        snprintf(end, sizeof(end), "_%.100s", value);
        assert_true(ends_with(name, end));
        family->has_unit = true;
    }
}

static void check_suffix(const struct family *family, const char *suffix) {
    if (strcmp(family->type, "counter") == 0)
        assert_string_equal(suffix, "_total");
    else if (strcmp(family->type, "gauge") == 0)
        assert_string_equal(suffix, "");
    else if (strcmp(family->type, "info") == 0)
        assert_string_equal(suffix, "_info");
    else if (strcmp(family->type, "histogram") == 0)
        assert_true(strcmp(suffix, "_bucket") == 0 || strcmp(suffix, "_count") == 0 ||
                    strcmp(suffix, "_sum") == 0);
    else
        fail_msg("type %s", family->type);
}

// Checks {name="value",...} and returns what follows it.
static const char *skip_labels(const char *at) {
    if (*at != '{')
        return at;
    do {
        size_t name = strspn(++at, "abcdefghijklmnopqrstuvwxyz_");

        assert_true(name > 0);
        at += name;
        assert_memory_equal(at, "=\"", 2);
        at += 2;
        at += strcspn(at, "\"\\\n");
        assert_int_equal(*at++, '"');
    } while (*at == ',');
    assert_int_equal(*at, '}');
    return at + 1;
}

// "name{labels} number"
static void parse_sample(const char *line) {
    assert_true(family_count > 0);
    struct family *family = &families[family_count - 1];
    size_t length = strspn(line, "abcdefghijklmnopqrstuvwxyz_");
    size_t base = strlen(family->name);
    char suffix[NAME_BYTES];

    assert_true(length >= base && length - base < sizeof(suffix));
    assert_memory_equal(line, family->name, base);
    memcpy(suffix, line + base, length - base);
    suffix[length - base] = '\0';
    check_suffix(family, suffix);
    const char *at = skip_labels(line + length);
    assert_int_equal(*at++, ' ');
    size_t number = strspn(at, "0123456789.");
    assert_true(number > 0);
    assert_int_equal(at[number], '\n');
    family->samples++;
}

static void parse_text(void) {
    const char *line = text;

    family_count = 0;
    while (strcmp(line, "# EOF\n") != 0) {
        if (*line == '#')
            parse_metadata(line);
        else
            parse_sample(line);
        line = strchr(line, '\n');
        assert_non_null(line++);
    }
}

static void test_exposition_groups_samples_by_family(void **state) {
    (void)state;
    parse_text();
    assert_true(family_count > 15);
    for (size_t i = 0; i < family_count; i++) {
        const char *name = families[i].name;

        assert_true(families[i].has_help);
        assert_int_equal(families[i].has_unit,
                         ends_with(name, "_bytes") || ends_with(name, "_seconds"));
        assert_true(families[i].samples > 0);
    }
}

static void test_exposition_shows_every_counter_of_every_worker(void **state) {
    static const char *const names[] = {
#define COUNTER_NAME(name, text, kind, help) #kind text,
        COVET_COUNTERS(COUNTER_NAME)
#undef COUNTER_NAME
    };

    (void)state;
    for (uint32_t counter = 0; counter < COVET_COUNTER_COUNT; counter++) {
        bool gauge = names[counter][0] == 'G';
        const char *name = names[counter] + strlen(gauge ? "GAUGE" : "COUNTER");
        const char *brace = strchr(name, '{');

        for (uint32_t worker = 0; worker < WORKERS; worker++) {
            unsigned long value = counter_value(worker, counter);

            if (brace == NULL)
                check_line("covet_%s%s{worker=\"%u\"} %lu", name, gauge ? "" : "_total", worker,
                           value);
            else
                check_line("covet_%.*s%s{%.*s,worker=\"%u\"} %lu", (int)(brace - name), name,
                           gauge ? "" : "_total", (int)strlen(brace) - 2, brace + 1, worker, value);
        }
    }
    check_line("# TYPE covet_parse_errors counter");
    check_line("# TYPE covet_connections_open gauge");
    check_line("# UNIT covet_received_bytes bytes");
    check_line("covet_received_bytes_total{worker=\"0\"} %lu",
               (unsigned long)counter_value(0, COVET_COUNTER_RECEIVED_BYTES));
}

static void test_exposition_histogram_is_cumulative_in_seconds(void **state) {
    (void)state;
    check_line("# TYPE covet_handler_seconds histogram");
    check_line("# UNIT covet_handler_seconds seconds");
    check_line("covet_handler_seconds_bucket{worker=\"0\",le=\"0.000000256\"} 0");
    check_line("covet_handler_seconds_bucket{worker=\"1\",le=\"0.000000256\"} 1");
    check_line("covet_handler_seconds_bucket{worker=\"1\",le=\"0.000000512\"} 2");
    check_line("covet_handler_seconds_bucket{worker=\"1\",le=\"1.073741824\"} 2");
    check_line("covet_handler_seconds_bucket{worker=\"1\",le=\"+Inf\"} 3");
    check_line("covet_handler_seconds_count{worker=\"1\"} 3");
    check_line("covet_handler_seconds_sum{worker=\"1\"} 3.000000513");

    unsigned buckets = 0;
    for (const char *at = text; (at = strstr(at, "_bucket{worker=\"1\"")) != NULL; at++)
        buckets++;
    assert_int_equal(buckets, COVET_HISTOGRAM_BUCKETS);
}

static void test_exposition_shows_the_process(void **state) {
    (void)state;
    check_line("covet_uptime_seconds 61.500000000");
    check_line("covet_worker_uptime_seconds{worker=\"0\"} 60.500000000");
    check_line("covet_worker_uptime_seconds{worker=\"2\"} 0.000000000");
    check_line("covet_workers 2");
    check_line("covet_server_starts_total 5");
    check_line("# TYPE covet_build info");
    check_line("covet_build_info{version=\"1.2.3\",abi=\"%u\"} 1", COVET_ABI_VERSION);
}

static void test_exposition_ends_with_eof(void **state) {
    (void)state;
    assert_string_equal(text + text_length - 7, "\n# EOF\n");
    check_line("# EOF");
}

static void test_exposition_never_shows_a_time_below_zero(void **state) {
    (void)state;
    text_length = 0;
    assert_int_equal(cv_exposition_write(&stats, "1", 5, take_text, &stats), 0);
    check_line("covet_uptime_seconds 0.000000000");
    check_line("covet_worker_uptime_seconds{worker=\"0\"} 0.000000000");
}

static void test_exposition_takes_the_largest_pages(void **state) {
    struct cv_stats many;
    static char longest_version[65];

    (void)state;
    memset(longest_version, 'v', 64);
    assert_int_equal(cv_stats_create(&many, NULL, 20), 0);
    for (uint32_t i = 0; i < 20; i++) {
        memset(cv_stats_worker(&many, i), 0xff, sizeof(struct covet_stats_worker));
    }
    text_length = 0;
    assert_int_equal(cv_exposition_write(&many, longest_version, UINT64_MAX, take_text, &stats), 0);
    parse_text();
    check_line("covet_requests_total{worker=\"19\"} 18446744073709551615");
    cv_stats_close(&many);
}

static void test_exposition_stops_when_the_sink_refuses(void **state) {
    (void)state;
    for (int refused = 1; refused <= 3; refused++) {
        calls = 0;
        text_length = 0;
        refuse_from_call = refused;
        assert_int_equal(cv_exposition_write(&stats, "1", 5, take_text, &stats), -7);
        assert_int_equal(calls, refused);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_exposition_groups_samples_by_family, write_exposition,
                                        close_stats),
        cmocka_unit_test_setup_teardown(test_exposition_shows_every_counter_of_every_worker,
                                        write_exposition, close_stats),
        cmocka_unit_test_setup_teardown(test_exposition_histogram_is_cumulative_in_seconds,
                                        write_exposition, close_stats),
        cmocka_unit_test_setup_teardown(test_exposition_shows_the_process, write_exposition,
                                        close_stats),
        cmocka_unit_test_setup_teardown(test_exposition_ends_with_eof, write_exposition,
                                        close_stats),
        cmocka_unit_test_setup_teardown(test_exposition_never_shows_a_time_below_zero,
                                        write_exposition, close_stats),
        cmocka_unit_test_setup_teardown(test_exposition_takes_the_largest_pages, write_exposition,
                                        close_stats),
        cmocka_unit_test_setup_teardown(test_exposition_stops_when_the_sink_refuses,
                                        write_exposition, close_stats),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
