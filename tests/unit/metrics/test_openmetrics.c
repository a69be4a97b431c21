// Lines and families of OpenMetrics text, and the pieces they come in.
#include "metrics/openmetrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char text[1 << 16];
static size_t text_length;
static int pieces;
static int refuse_from_piece;

static int take_text(void *context, struct cv_span piece) {
    assert_ptr_equal(context, text);
    assert_in_range(piece.length, 1, CV_OPENMETRICS_PIECE_BYTES_MAX);
    if (++pieces >= refuse_from_piece) {
        return -7;
    }
    memcpy(text + text_length, piece.data, piece.length);
    text_length += piece.length;
    text[text_length] = '\0';
    return 0;
}

static struct cv_openmetrics begin(void) {
    text_length = 0;
    pieces = 0;
    refuse_from_piece = 1 << 30;
    return (struct cv_openmetrics){.write = take_text, .context = text};
}

static void test_openmetrics_ends_in_eof(void **state) {
    (void)state;
    struct cv_openmetrics out = begin();
    assert_int_equal(cv_openmetrics_finish(&out), 0);
    assert_string_equal(text, "# EOF\n");
}

static void test_openmetrics_tells_the_unit_by_the_name(void **state) {
    (void)state;
    static const struct {
        const char *name;
        const char *lines;
    } cases[] = {
        {"x", "# TYPE covet_x gauge\n# HELP covet_x h\n# EOF\n"},
        {"x_bytes",
         "# TYPE covet_x_bytes gauge\n# UNIT covet_x_bytes bytes\n# HELP covet_x_bytes h\n# EOF\n"},
        {"x_seconds", "# TYPE covet_x_seconds gauge\n# UNIT covet_x_seconds seconds\n"
                      "# HELP covet_x_seconds h\n# EOF\n"},
        {"bytes_x", "# TYPE covet_bytes_x gauge\n# HELP covet_bytes_x h\n# EOF\n"},
        {"bytes", "# TYPE covet_bytes gauge\n# HELP covet_bytes h\n# EOF\n"},
    };
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        struct cv_openmetrics out = begin();
        cv_openmetrics_family(&out, cv_span_of(cases[i].name), "gauge", "h");
        assert_int_equal(cv_openmetrics_finish(&out), 0);
        assert_string_equal(text, cases[i].lines);
    }
}

static void test_openmetrics_shows_nanoseconds_as_seconds(void **state) {
    (void)state;
    static const struct {
        uint64_t ns;
        const char *line;
    } cases[] = {
        {0, "0.000000000\n# EOF\n"},
        {1, "0.000000001\n# EOF\n"},
        {1234567890, "1.234567890\n# EOF\n"},
        {UINT64_MAX, "18446744073.709551615\n# EOF\n"},
    };
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        struct cv_openmetrics out = begin();
        cv_openmetrics_line(&out, CV_OPENMETRICS_SECONDS, CV_OPENMETRICS_SECONDS_OF(cases[i].ns));
        assert_int_equal(cv_openmetrics_finish(&out), 0);
        assert_string_equal(text, cases[i].line);
    }
}

static void test_openmetrics_cuts_no_line_at_the_end_of_a_piece(void **state) {
    (void)state;
    struct cv_openmetrics out = begin();
    char line[CV_OPENMETRICS_LINE_BYTES_MAX];
    memset(line, 'l', sizeof(line));
    for (int i = 0; i < 200; i++) {
        cv_openmetrics_line(&out, "%.*s", i, line);
    }
    assert_int_equal(cv_openmetrics_finish(&out), 0);
    const char *at = text;
    for (int i = 0; i < 200; i++) {
        assert_int_equal(strcspn(at, "\n"), i);
        at += i + 1;
    }
    assert_string_equal(at, "# EOF\n");
    assert_true(pieces > 10);
}

static void test_openmetrics_stops_at_the_first_refusal(void **state) {
    (void)state;
    struct cv_openmetrics out = begin();
    refuse_from_piece = 3;
    for (int i = 0; i < 1000; i++) {
        cv_openmetrics_line(&out, "some text of a line that is not short %d", i);
    }
    assert_int_equal(cv_openmetrics_finish(&out), -7);
    assert_int_equal(pieces, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_openmetrics_ends_in_eof),
        cmocka_unit_test(test_openmetrics_tells_the_unit_by_the_name),
        cmocka_unit_test(test_openmetrics_shows_nanoseconds_as_seconds),
        cmocka_unit_test(test_openmetrics_cuts_no_line_at_the_end_of_a_piece),
        cmocka_unit_test(test_openmetrics_stops_at_the_first_refusal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
