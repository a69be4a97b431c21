// Reports: JSON that stays JSON, text of known results, who is the bottleneck.
#include "load/report.h"

#include <covet/app.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "load/fleet.h"
#include "support/json_reference.h"

static struct load_options options;
static struct load_result result;
static char *printed;  // Owned.

static int set_up(void **state) {
    (void)state;
    options = (struct load_options){
        .threads = 2, .connections = 64, .depth = 1, .url = "http://h/", .command = "covet-load x"};
    memset(&result, 0, sizeof(result));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    free(printed);
    printed = NULL;
    return 0;
}

// A run of 2 s: 2,000 answers, each after 10 us to 20 ms.
static void fill_result(void) {
    result.tally = (struct load_tally){.answers = 2000, .status = {0, 3, 1990, 0, 7, 3}};
    result.requests_sent = 2001;
    result.connects = 64;
    result.bytes_received = 260000;
    result.bytes_sent = 70035;
    result.errors[LOAD_ERROR_STATUS] = 10;
    result.errors[LOAD_ERROR_TIMEOUT] = 1;
    result.enters = 500;
    result.began_ns = 5000000000;
    result.ended_ns = 7000000000;
    result.lane_busy = 0.5;
    result.core_busy = 0.75;
    for (uint64_t i = 1; i <= 2000; i++) {
        enum load_kind kind = i <= 1990 ? LOAD_KIND_SERVED : LOAD_KIND_OTHER;
        load_histogram_record(&result.latency, i * 10000, 1);
        load_histogram_record(&result.latency_of[kind], i * 10000, 1);
    }
}

typedef void (*print_fn)(FILE *out, const struct load_options *options,
                         const struct load_result *result, double server_busy);

static const char *print(print_fn report, double server_busy) {
    size_t bytes;
    free(printed);
    printed = NULL;
    FILE *out = open_memstream(&printed, &bytes);
    assert_non_null(out);
    report(out, &options, &result, server_busy);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(bytes, strlen(printed));
    return printed;
}

static void check_has(const char *text, const char *part) {
    if (strstr(text, part) == NULL) {
        fail_msg("no '%s' in:\n%s", part, text);
    }
}

static void test_report_json_has_every_key(void **state) {
    (void)state;
    fill_result();
    assert_string_equal(
        print(load_report_json, 0.25),
        "{\"requests\":2000,\"requests_per_s\":1000.000,\"errors\":11,\"errors_by_kind\":{"
        "\"connect\":0,\"receive\":0,\"send\":0,\"cut\":0,\"message\":0,\"timeout\":1,"
        "\"status\":10},\"status\":{\"1xx\":3,\"2xx\":1990,\"3xx\":0,\"4xx\":7,\"5xx\":3},"
        "\"bytes_received\":260000,\"bytes_sent\":70035,\"bytes_per_s\":130000.000,"
        "\"seconds\":2.000,\"connections\":64,\"connects\":64,\"latency_us\":{\"min\":10.000,"
        "\"mean\":10005.000,\"p50\":9994.240,\"p75\":14974.976,\"p90\":18022.400,"
        "\"p99\":19857.408,\"p99_9\":19988.480,\"p99_99\":20000.000,\"max\":20000.000},"
        "\"served\":{\"requests\":1990,\"requests_per_s\":995.000,\"latency_us\":{\"min\":10.000,"
        "\"mean\":9955.000,\"p50\":9928.704,\"p75\":14909.440,\"p90\":17891.328,"
        "\"p99\":19726.336,\"p99_9\":19857.408,\"p99_99\":19900.000,\"max\":19900.000}},"
        "\"shed\":{\"requests\":0,\"requests_per_s\":0.000,\"latency_us\":{\"min\":null,"
        "\"mean\":null,\"p50\":null,\"p75\":null,\"p90\":null,\"p99\":null,\"p99_9\":null,"
        "\"p99_99\":null,\"max\":null}},"
        "\"cpu_share\":0.500,\"core_share\":0.750,\"server_cpu_share\":0.250,\"generator_is_"
        "bottleneck\":false,"
        "\"late\":0,\"enters\":500,\"enters_per_request\":0.250,\"command\":\"covet-load x\","
        "\"version\":\"" COVET_VERSION "\"}\n");
}

// By the grammar, read by a reader of its own.
static bool is_json(const char *text) {
    struct t_json_dump dump = {0};
    bool is_fine = t_json_reference(text, strlen(text), &dump);
    free(dump.data);
    return is_fine;
}

static void test_report_json_of_nothing_has_nulls_and_zeros(void **state) {
    const char *text;
    (void)state;
    text = print(load_report_json, -1);
    check_has(text, "\"requests_per_s\":0.000,");
    check_has(text, "\"seconds\":0.000,");
    check_has(text, "\"latency_us\":{\"min\":null,\"mean\":null,\"p50\":null,\"p75\":null,"
                    "\"p90\":null,\"p99\":null,\"p99_9\":null,\"p99_99\":null,\"max\":null}");
    check_has(text, "\"server_cpu_share\":null,");
    check_has(text, "\"enters_per_request\":0.000,");
    assert_true(is_json(text));
}

static void test_report_json_is_json_whatever_is_measured(void **state) {
    static const double values[] = {0, 0.95, 1, -1, (double)NAN, (double)INFINITY, 1e300};
    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        set_up(NULL);
        if (i % 2 == 0) {
            fill_result();
        }
        result.lane_busy = values[i];
        result.latency.sum_ns = UINT64_MAX;
        result.began_ns = UINT64_MAX - i;
        assert_true(is_json(print(load_report_json, values[i])));
    }
}

static void test_report_json_escapes_the_command(void **state) {
    static const struct {
        const char *command, *expected;
    } cases[] = {
        {"", "\"command\":\"\","},
        {"a \"b\" \\c", "\"command\":\"a \\\"b\\\" \\\\c\","},
        {"\t\n\x01\x1f\x7f", "\"command\":\"\\u0009\\u000a\\u0001\\u001f\\u007f\","},
        {"\xc3\xa4\xf0\x9f\x98\x80", "\"command\":\"\xc3\xa4\xf0\x9f\x98\x80\","},
        {"\xc3\xa4\xff", "\"command\":\"\\u00c3\\u00a4\\u00ff\","},
        {"\xed\xa0\x80", "\"command\":\"\\u00ed\\u00a0\\u0080\","},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        options.command = cases[i].command;
        const char *text = print(load_report_json, 0);
        check_has(text, cases[i].expected);
        assert_true(is_json(text));
    }
}

static void test_report_text_says_it_to_people(void **state) {
    (void)state;
    fill_result();
    assert_string_equal(print(load_report_text, 0.25),
                        "http://h/\n"
                        "  64 connections on 2 threads, 2.00 s\n"
                        "\n"
                        "  answers               2,000          1,000/s\n"
                        "  received             260 kB         130 kB/s\n"
                        "  sent                70.0 kB        35.0 kB/s\n"
                        "  connects                 64             32/s\n"
                        "\n"
                        "  latency\n"
                        "    min          10.0 us\n"
                        "    mean         10.0 ms\n"
                        "    p50          9.99 ms\n"
                        "    p75          15.0 ms\n"
                        "    p90          18.0 ms\n"
                        "    p99          19.9 ms\n"
                        "    p99.9        20.0 ms\n"
                        "    p99.99       20.0 ms\n"
                        "    max          20.0 ms\n"
                        "\n"
                        "  status     1xx 3, 2xx 1,990, 4xx 7, 5xx 3\n"
                        "  errors     timeout 1, status 10\n"
                        "  CPU        generator 50 % of a core, server 25 % (busiest threads)\n");
}

static void test_report_text_tells_served_from_shed_where_there_is_any(void **state) {
    (void)state;
    fill_result();
    result.tally.shed = 3;
    load_histogram_record(&result.latency_of[LOAD_KIND_SHED], 1000, 3);
    const char *text = print(load_report_text, 0.25);
    check_has(text, "  answers               2,000          1,000/s\n"
                    "  served                1,990            995/s\n"
                    "  shed                      3              2/s\n"
                    "  received");
    check_has(text, "                     all       served         shed\n"
                    "    min          10.0 us      10.0 us      1.00 us\n");
    check_has(text, "    max          20.0 ms      19.9 ms      1.00 us\n");
    memset(&result.latency_of[LOAD_KIND_SERVED], 0, sizeof(result.latency_of[0]));
    check_has(print(load_report_text, 0.25),
              "    max          20.0 ms         none      1.00 us\n");
    check_has(print(load_report_json, 0.25),
              "\"shed\":{\"requests\":3,\"requests_per_s\":1.500,\"latency_us\":{\"min\":1.000,");
}

static void test_report_text_names_what_was_asked_for(void **state) {
    (void)state;
    options.threads = options.connections = 1;
    options.depth = 16;
    options.idle = 10000;
    options.rate = 12500.5;
    options.requests.count = 3;
    const char *text = print(load_report_text, -1);
    check_has(text, "  1 connection on 1 thread, 10,000 idle, depth 16, 3 requests in turn, "
                    "12500.5 requests/s asked for, 0.00 s\n");
    check_has(text, "latency, from the time each request was meant to be sent\n"
                    "    none was measured\n");
    check_has(text, "  status     none\n  errors     none\n  CPU        generator 0 % of a core\n");
}

static void test_report_text_has_times_and_sizes_of_three_digits(void **state) {
    static const struct {
        uint64_t ns;
        const char *expected;
    } cases[] = {
        {0, "max          0.00 us"},
        {1, "max          0.00 us"},
        {9994, "max          9.99 us"},
        {9996, "max          10.0 us"},
        {99940, "max          99.9 us"},
        {99960, "max           100 us"},
        {999400, "max           999 us"},
        {999600, "max          1.00 ms"},
        {999600000, "max           1.00 s"},
        {1500000000, "max           1.50 s"},
        {UINT64_C(100000000000), "max            100 s"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(&result, 0, sizeof(result));
        load_histogram_record(&result.latency, cases[i].ns, 1);
        result.bytes_sent = cases[i].ns;
        check_has(print(load_report_text, -1), cases[i].expected);
    }
    check_has(printed, "sent                 100 GB");
    result.bytes_sent = 999;
    check_has(print(load_report_text, -1), "sent                  999 B");
    result.bytes_sent = UINT64_MAX;
    check_has(print(load_report_text, -1), "sent            18446744 TB");
}

static void test_report_finds_the_bottleneck(void **state) {
    static const struct {
        double lane, server;
        bool is_bottleneck, is_unknown;
        double core, server_core;  // With what they waited for others.
    } cases[] = {
        {0.94, 0.5, false, false, 0, 0},   {0.95, 0.5, true, false, 0, 0},
        {1, 0.89, true, false, 0, 0},      {1, 0.90, false, false, 0, 0},
        {1, 1, false, false, 0, 0},        {1, 0, true, false, 0, 0},
        {1, -1, false, true, 0, -1},       {0.94, -1, false, false, 0, -1},
        {0.5, 1, false, false, 0, 1},      {0.5, 0.3, true, false, 0.96, 0.4},
        {0.5, 0.3, false, false, 0.94, 0}, {0.5, 0.5, false, false, 1, 0.99},
        {0.5, -1, false, true, 1, -1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        result.lane_busy = cases[i].lane;
        result.core_busy = cases[i].core;
        result.server_core_busy = cases[i].server_core;
        assert_int_equal(load_report_is_bottleneck(&result, cases[i].server),
                         cases[i].is_bottleneck);
        const char *text = print(load_report_text, cases[i].server);
        assert_int_equal(strstr(text, "warning: the generator is the bottleneck") != NULL,
                         cases[i].is_bottleneck);
        assert_int_equal(strstr(text, "note: the generator's core is full") != NULL,
                         cases[i].is_unknown);
        check_has(print(load_report_json, cases[i].server),
                  cases[i].is_bottleneck ? "\"generator_is_bottleneck\":true"
                                         : "\"generator_is_bottleneck\":false");
    }
}

static void test_report_says_how_much_of_a_full_core_others_had(void **state) {
    (void)state;
    result.lane_busy = 0.4;
    result.core_busy = 0.97;
    check_has(print(load_report_text, 0.2), "its core is full (97 %, 57 % of it with others' work "
                                            "and interrupts), the server has room (20 %)");
    check_has(print(load_report_text, -1),
              "core is full (97 %, 57 % of it with others' work and interrupts), and");
    result.lane_busy = 0.96;
    check_has(print(load_report_text, 0.2), "its core is full (97 %), the server");
}

static void test_report_says_that_an_open_loop_fell_behind(void **state) {
    (void)state;
    options.rate = 100;
    result.requests_sent = 4000;
    result.late = 1;
    check_has(print(load_report_text, 0.5), "warning: fell behind: 1 request (0.03 %) sent");
    result.late = 2000;
    check_has(print(load_report_text, 0.5),
              "warning: fell behind: 2,000 requests (50.00 %) sent over 1 ms late;");
    result.unsent = 4000;
    result.late = 6000;
    check_has(print(load_report_text, 0.5),
              "6,000 requests (75.00 %) sent over 1 ms late or never (4,000);");
}

static void print_progress(struct load_progress *before, const struct load_progress *now) {
    size_t bytes;
    free(printed);
    printed = NULL;
    FILE *stream = open_memstream(&printed, &bytes);
    assert_non_null(stream);
    load_report_progress(stream, before, now);
    fclose(stream);
}

static void test_report_progress_gives_the_rate_since_the_last_line(void **state) {
    struct load_progress before = {0};
    struct load_progress now = {.seconds = 0.5, .answers = 1000, .errors = 2, .open = 64};
    (void)state;
    print_progress(&before, &now);
    assert_string_equal(printed, "\r    0.5 s          2,000 answers/s            1,000 answers"
                                 "          2 errors       64 open\033[K");
    now = (struct load_progress){.seconds = 1, .answers = 1000, .errors = 3, .open = 63};
    print_progress(&before, &now);
    check_has(printed, "     0 answers/s            1,000 answers          3 errors");
    assert_true(before.seconds == 1);
    // Twice at the same time.
    print_progress(&before, &now);
    check_has(printed, "     0 answers/s ");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_report_json_has_every_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_report_json_of_nothing_has_nulls_and_zeros, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_report_json_is_json_whatever_is_measured, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_report_json_escapes_the_command, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_report_text_says_it_to_people, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_report_text_tells_served_from_shed_where_there_is_any,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_report_text_names_what_was_asked_for, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_report_text_has_times_and_sizes_of_three_digits,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_report_finds_the_bottleneck, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_report_says_how_much_of_a_full_core_others_had, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_report_says_that_an_open_loop_fell_behind, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_report_progress_gives_the_rate_since_the_last_line,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
