// Log lines as they leave: one write each, in shape, and with no way for text to forge another.
#include "base/log.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

static char captured[4 * CV_LOG_LINE_BYTES_MAX];
static size_t captured_length;
static unsigned writes;

static bool is_full;

ssize_t __wrap_cv_nowait_write(int fd, const void *data, size_t bytes);

ssize_t __wrap_cv_nowait_write(int fd, const void *data, size_t bytes) {
    assert_int_equal(fd, STDERR_FILENO);
    errno = EPIPE;
    if (is_full) {
        return -EAGAIN;
    }
    assert_true(captured_length + bytes < sizeof(captured));
    memcpy(captured + captured_length, data, bytes);
    captured_length += bytes;
    captured[captured_length] = '\0';
    writes++;
    return -EPIPE;
}

static int clear_captured(void **state) {
    (void)state;
    captured_length = 0;
    captured[0] = '\0';
    writes = 0;
    is_full = false;
    cv_log_set_level(CV_LOG_INFO);
    return 0;
}

#define TIME_BYTES (sizeof("time=2026-11-23T15:04:05.123Z ") - 1)

static void check_time(const char *line) {
    static const char shape[] = "time=0000-00-00T00:00:00.000Z ";

    for (size_t i = 0; i < TIME_BYTES; i++) {
        if (shape[i] == '0')
            assert_in_range(line[i], '0', '9');
        else
            assert_int_equal(line[i], shape[i]);
    }
}

static void test_log_line_has_time_level_event_and_fields(void **state) {
    (void)state;
    cv_log(CV_LOG_WARN, "cores_missing", "missing=%s count=%d", "4-7", 4);
    assert_int_equal(writes, 1);
    check_time(captured);
    assert_string_equal(captured + TIME_BYTES,
                        "level=warn event=cores_missing missing=4-7 count=4\n");
}

static void test_log_counts_the_lines_that_a_full_reader_missed(void **state) {
    (void)state;
    is_full = true;
    for (int i = 0; i < 3; i++) {
        cv_log(CV_LOG_INFO, "missed", "i=%d", i);
    }
    assert_int_equal(writes, 0);
    is_full = false;
    cv_log(CV_LOG_INFO, "seen", "%s", "");
    assert_int_equal(writes, 2);
    const char *second = strchr(captured, '\n') + 1;
    check_time(second);
    assert_string_equal(second + TIME_BYTES, "level=warn event=log_lost lines=3\n");
    cv_log(CV_LOG_INFO, "seen", "%s", "");
    assert_int_equal(writes, 3);  // Once is enough.
}

static void test_log_line_without_fields_ends_after_the_event(void **state) {
    (void)state;
    cv_log(CV_LOG_INFO, "ready", "%s", "");
    assert_string_equal(captured + TIME_BYTES, "level=info event=ready\n");
}

static void test_log_writes_only_levels_that_are_enabled(void **state) {
    (void)state;
    for (int set = CV_LOG_ERROR; set <= CV_LOG_DEBUG; set++) {
        cv_log_set_level((enum cv_log_level)set);
        for (int level = CV_LOG_ERROR; level <= CV_LOG_DEBUG; level++) {
            clear_captured(NULL);
            cv_log_set_level((enum cv_log_level)set);
            cv_log((enum cv_log_level)level, "x", "a=%d", 1);
            assert_int_equal(writes, level <= set);
            assert_int_equal(cv_log_enabled((enum cv_log_level)level), level <= set);
        }
    }
}

static void test_log_replaces_bytes_that_could_forge_a_line(void **state) {
    (void)state;
    cv_log(CV_LOG_INFO, "x", "a=%s", "1\nlevel=error\r\x1b[31m\x7f\xc3\xa4\x9b");
    assert_string_equal(captured + TIME_BYTES, "level=info event=x a=1?level=error??[31m????\n");
}

static void test_log_cuts_a_long_line_at_the_limit(void **state) {
    char text[2 * CV_LOG_LINE_BYTES_MAX];

    (void)state;
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    cv_log(CV_LOG_INFO, "x", "a=%s", text);
    assert_int_equal(writes, 1);
    assert_int_equal(captured_length, CV_LOG_LINE_BYTES_MAX);
    assert_string_equal(captured + captured_length - 5, "a...\n");
}

static void test_log_keeps_a_line_that_just_fits_whole(void **state) {
    char text[CV_LOG_LINE_BYTES_MAX];
    size_t room = CV_LOG_LINE_BYTES_MAX - TIME_BYTES - strlen("level=info event=x a=\n");

    (void)state;
    for (size_t extra = 0; extra < 2; extra++) {
        clear_captured(NULL);
        memset(text, 'a', room + extra);
        text[room + extra] = '\0';
        cv_log(CV_LOG_INFO, "x", "a=%s", text);
        assert_int_equal(captured_length, CV_LOG_LINE_BYTES_MAX);
        assert_string_equal(captured + captured_length - 5, extra == 0 ? "aaaa\n" : "a...\n");
    }
}

static void test_log_leaves_errno_alone_and_offers_it_to_the_format(void **state) {
    (void)state;
    errno = ENOENT;
    cv_log(CV_LOG_INFO, "x", "error=%m");
    assert_int_equal(errno, ENOENT);
    assert_non_null(strstr(captured, "error=No such file or directory\n"));
}

static void test_log_level_parse_knows_four_words(void **state) {
    static const char *const words[] = {"error", "warn", "info", "debug"};
    static const char *const others[] = {"", "Error", "warning", "infos", "inf", "debug ", "3"};
    enum cv_log_level level = CV_LOG_ERROR;

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(words); i++) {
        assert_true(cv_log_level_parse(cv_span_of(words[i]), &level));
        assert_int_equal(level, i);
    }
    for (size_t i = 0; i < CV_ARRAY_COUNT(others); i++) {
        assert_false(cv_log_level_parse(cv_span_of(others[i]), &level));
        assert_int_equal(level, CV_LOG_DEBUG);
    }
}

static void test_log_quote_escapes_all_but_printable_ascii(void **state) {
    static const struct {
        struct cv_span input;
        const char *expected;
    } cases[] = {
        {{"", 0}, "\"\""},
        {{NULL, 0}, "\"\""},
        {{"GET /a b", 8}, "\"GET /a b\""},
        {{"a\" event=\"b", 11}, "\"a\\\" event=\\\"b\""},
        {{"back\\slash\\", 11}, "\"back\\\\slash\\\\\""},
        {{"1\n2\r3\t4", 7}, "\"1\\n2\\r3\\t4\""},
        {{"\0\x01\x1b\x7f\x80\xff", 6}, "\"\\x00\\x01\\x1b\\x7f\\x80\\xff\""},
    };

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        char out[128];

        assert_ptr_equal(cv_log_quote(out, sizeof(out), cases[i].input), out);
        assert_string_equal(out, cases[i].expected);
    }
}

static void test_log_quote_cuts_between_escapes_and_marks_it(void **state) {
    static const char text[] = "ab\n\x01"
                               "cd\"";
    static const char whole[] = "\"ab\\n\\x01cd\\\"\"";
    // Where the escaped text may be cut, counted with the first quote.
    static const size_t ends[] = {1, 2, 3, 5, 9, 10, 11, 13};

    (void)state;
    for (size_t room = CV_LOG_QUOTE_BYTES_MIN; room <= sizeof(whole) + 4; room++) {
        char out[64];

        memset(out, '#', sizeof(out));
        cv_log_quote(out, room, CV_SPAN(text));
        assert_int_equal(out[room], '#');
        if (room >= sizeof(whole)) {
            assert_string_equal(out, whole);
            continue;
        }
        char expected[64];
        size_t kept = 1;
        for (size_t i = 0; i < CV_ARRAY_COUNT(ends); i++) {
            if (ends[i] + sizeof("...\"") <= room)
                kept = ends[i];
        }
        snprintf(expected, sizeof(expected), "%.*s...\"", (int)kept, whole);
        assert_string_equal(out, expected);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_log_line_has_time_level_event_and_fields, clear_captured),
        cmocka_unit_test_setup(test_log_counts_the_lines_that_a_full_reader_missed, clear_captured),
        cmocka_unit_test_setup(test_log_line_without_fields_ends_after_the_event, clear_captured),
        cmocka_unit_test_setup(test_log_writes_only_levels_that_are_enabled, clear_captured),
        cmocka_unit_test_setup(test_log_replaces_bytes_that_could_forge_a_line, clear_captured),
        cmocka_unit_test_setup(test_log_cuts_a_long_line_at_the_limit, clear_captured),
        cmocka_unit_test_setup(test_log_keeps_a_line_that_just_fits_whole, clear_captured),
        cmocka_unit_test_setup(test_log_leaves_errno_alone_and_offers_it_to_the_format,
                               clear_captured),
        cmocka_unit_test(test_log_level_parse_knows_four_words),
        cmocka_unit_test(test_log_quote_escapes_all_but_printable_ascii),
        cmocka_unit_test(test_log_quote_cuts_between_escapes_and_marks_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
