// Dates beside the C library's calendar, and the cached clock on clocks that the test sets.
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/compiler.h"

#define NS_PER_S 1000000000ull

static struct {
    bool on;
    uint64_t monotonic_ns;
    uint64_t realtime_ns;
    unsigned monotonic_reads;
    unsigned realtime_reads;
    unsigned pauses;  // Behind so many readings of the true clock.
} fake;

int __real_clock_gettime(clockid_t id, struct timespec *time);
int __wrap_clock_gettime(clockid_t id, struct timespec *time);

static void wait_ms(long ms) {
    struct timespec time = {.tv_nsec = ms * 1000000};
    (void)nanosleep(&time, NULL);
}

int __wrap_clock_gettime(clockid_t id, struct timespec *time) {
    if (!fake.on) {
        int error = __real_clock_gettime(id, time);
        // The machine stands still.
        if (id == CLOCK_MONOTONIC && fake.pauses > 0) {
            fake.pauses--;
            wait_ms(100);
        }
        return error;
    }
    uint64_t ns = id == CLOCK_MONOTONIC ? fake.monotonic_ns : fake.realtime_ns;

    if (id == CLOCK_MONOTONIC)
        fake.monotonic_reads++;
    else
        fake.realtime_reads++;
    time->tv_sec = (time_t)(ns / NS_PER_S);
    time->tv_nsec = (long)(ns % NS_PER_S);
    return 0;
}

static void pass_ns(uint64_t ns) {
    fake.monotonic_ns += ns;
    fake.realtime_ns += ns;
}

static int use_fake_clocks(void **state) {
    (void)state;
    memset(&fake, 0, sizeof(fake));
    fake.on = true;
    fake.monotonic_ns = 5 * NS_PER_S;
    fake.realtime_ns = 784111777ull * NS_PER_S;  // RFC 9110 section 5.6.7 has this moment.
    return 0;
}

static int use_real_clocks(void **state) {
    (void)state;
    fake.on = false;
    return 0;
}

static void test_clock_formats_known_moments(void **state) {
    static const struct {
        int64_t realtime_s;
        const char *date;
        const char *clf;
        const char *iso;
    } cases[] = {
        {784111777, "Sun, 06 Nov 1994 08:49:37 GMT", "06/Nov/1994:08:49:37 +0000",
         "1994-11-06T08:49:37.000Z"},
        {0, "Thu, 01 Jan 1970 00:00:00 GMT", "01/Jan/1970:00:00:00 +0000",
         "1970-01-01T00:00:00.000Z"},
        {-1, "Wed, 31 Dec 1969 23:59:59 GMT", "31/Dec/1969:23:59:59 +0000",
         "1969-12-31T23:59:59.000Z"},
        {951782400, "Tue, 29 Feb 2000 00:00:00 GMT", "29/Feb/2000:00:00:00 +0000",
         "2000-02-29T00:00:00.000Z"},
        {1709251199, "Thu, 29 Feb 2024 23:59:59 GMT", "29/Feb/2024:23:59:59 +0000",
         "2024-02-29T23:59:59.000Z"},
        {2147483647, "Tue, 19 Jan 2038 03:14:07 GMT", "19/Jan/2038:03:14:07 +0000",
         "2038-01-19T03:14:07.000Z"},
        {2147483648, "Tue, 19 Jan 2038 03:14:08 GMT", "19/Jan/2038:03:14:08 +0000",
         "2038-01-19T03:14:08.000Z"},
        {4107542400, "Mon, 01 Mar 2100 00:00:00 GMT", "01/Mar/2100:00:00:00 +0000",
         "2100-03-01T00:00:00.000Z"},
        {253402300799, "Fri, 31 Dec 9999 23:59:59 GMT", "31/Dec/9999:23:59:59 +0000",
         "9999-12-31T23:59:59.000Z"},
        {253402300800, "Fri, 31 Dec 9999 23:59:59 GMT", "31/Dec/9999:23:59:59 +0000",
         "9999-12-31T23:59:59.000Z"},
        {-62167219201, "Sat, 01 Jan 0000 00:00:00 GMT", "01/Jan/0000:00:00:00 +0000",
         "0000-01-01T00:00:00.000Z"},
    };

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        char date[CV_CLOCK_DATE_BYTES + 1];
        char clf[CV_CLOCK_CLF_BYTES + 1];
        char iso[CV_CLOCK_ISO_BYTES + 1];

        cv_clock_format_date(date, cases[i].realtime_s);
        cv_clock_format_clf(clf, cases[i].realtime_s);
        cv_clock_format_iso(iso, cases[i].realtime_s * 1000);
        assert_string_equal(date, cases[i].date);
        assert_string_equal(clf, cases[i].clf);
        assert_string_equal(iso, cases[i].iso);
    }
}

static void test_clock_iso_shows_milliseconds_on_both_sides_of_the_epoch(void **state) {
    char iso[CV_CLOCK_ISO_BYTES + 1];

    (void)state;
    cv_clock_format_iso(iso, 7);
    assert_string_equal(iso, "1970-01-01T00:00:00.007Z");
    cv_clock_format_iso(iso, -1);
    assert_string_equal(iso, "1969-12-31T23:59:59.999Z");
    cv_clock_format_iso(iso, INT64_MAX);
    assert_int_equal(strlen(iso), CV_CLOCK_ISO_BYTES);
    cv_clock_format_iso(iso, INT64_MIN);
    assert_int_equal(strlen(iso), CV_CLOCK_ISO_BYTES);
}

static void check_like_libc(int64_t realtime_s) {
    char date[CV_CLOCK_DATE_BYTES + 1];
    char expected[64];
    time_t moment = (time_t)realtime_s;
    struct tm parts;

    assert_non_null(gmtime_r(&moment, &parts));
    // Not %Y: the C library does not pad years below 1000.
    char format[64];
    snprintf(format, sizeof(format), "%%a, %%d %%b %04d %%H:%%M:%%S GMT", parts.tm_year + 1900);
    strftime(expected, sizeof(expected), format, &parts);
    cv_clock_format_date(date, realtime_s);
    assert_string_equal(date, expected);
}

static void test_clock_date_agrees_with_libc_on_every_day_of_800_years(void **state) {
    (void)state;
    for (int64_t day = -250 * 366; day < 550 * 366; day++)
        check_like_libc(day * 86400 + (day * 7919 % 86400 + 86400) % 86400);
}

static void test_clock_date_agrees_with_libc_around_every_century(void **state) {
    (void)state;
    for (int64_t century = 0; century < 100; century++) {
        int64_t near = -62167219200 + century * 36524 * 86400;

        for (int64_t day = -3; day <= 90; day++) {
            if (near + day * 86400 >= -62167219200)
                check_like_libc(near + day * 86400 + 86399);
        }
    }
}

static void test_clock_update_reads_one_clock_between_checks(void **state) {
    struct cv_clock clock;

    (void)state;
    cv_clock_init(&clock);
    assert_int_equal(clock.now_ns, 5 * NS_PER_S);
    assert_int_equal(clock.now_ms, 5000);
    fake.monotonic_reads = 0;
    fake.realtime_reads = 0;
    for (int i = 0; i < 10000; i++) {
        pass_ns(100000);  // 1 s in all.
        cv_clock_update(&clock);
    }
    // Once, where the processor's counter is in use, its rate is taken.
    assert_in_range(fake.monotonic_reads, 10000, 10003);
    assert_in_range(fake.realtime_reads, 10, 12);
}

static void test_clock_date_changes_with_the_second(void **state) {
    struct cv_clock clock;

    (void)state;
    fake.realtime_ns += 999999999;
    cv_clock_init(&clock);
    assert_true(cv_span_equal(cv_clock_date(&clock), CV_SPAN("Sun, 06 Nov 1994 08:49:37 GMT")));
    pass_ns(1);
    cv_clock_update(&clock);
    assert_true(cv_span_equal(cv_clock_date(&clock), CV_SPAN("Sun, 06 Nov 1994 08:49:38 GMT")));
    assert_int_equal(clock.realtime_s, 784111778);
    pass_ns(3600 * NS_PER_S);
    cv_clock_update(&clock);
    assert_true(cv_span_equal(cv_clock_date(&clock), CV_SPAN("Sun, 06 Nov 1994 09:49:38 GMT")));
}

static void test_clock_date_is_never_a_second_off(void **state) {
    struct cv_clock clock;
    uint64_t seed = 1;

    (void)state;
    cv_clock_init(&clock);
    for (int i = 0; i < 200000; i++) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        pass_ns((seed >> 33) % 30000000);
        cv_clock_update(&clock);
        assert_int_equal(clock.realtime_s, fake.realtime_ns / NS_PER_S);
        assert_int_equal(clock.now_ms, fake.monotonic_ns / 1000000);
    }
}

static void test_clock_follows_a_step_of_the_system_time(void **state) {
    struct cv_clock clock;

    (void)state;
    cv_clock_init(&clock);
    fake.realtime_ns -= 500 * NS_PER_S;
    for (int i = 0; i < 100; i++) {
        pass_ns(1000000);
        cv_clock_update(&clock);
    }
    assert_int_equal(clock.realtime_s, 784111777 - 500);
}

static void test_clock_set_shows_what_it_was_given(void **state) {
    struct cv_clock clock;

    (void)state;
    cv_clock_set(&clock, 1234567890, 951782400);
    assert_int_equal(clock.now_ns, 1234567890);
    assert_int_equal(clock.now_ms, 1234);
    assert_int_equal(clock.realtime_s, 951782400);
    assert_true(cv_span_equal(cv_clock_date(&clock), CV_SPAN("Tue, 29 Feb 2000 00:00:00 GMT")));
    assert_int_equal(fake.monotonic_reads + fake.realtime_reads, 0);
}

static void test_clock_lowers_a_timeout_to_the_nearest_deadline(void **state) {
    static const struct {
        int before;
        uint64_t now_ns, deadline_ns;
        int after;
    } cases[] = {
        {-1, 0, UINT64_MAX, -1},   {7, 0, UINT64_MAX, 7},
        {-1, 5000000, 4000000, 0}, {-1, 5000000, 5000000, 0},
        {-1, 5000000, 5000001, 1}, {-1, 0, 3000000, 3},
        {-1, 0, 3000001, 4},       {3, 0, 9000000, 3},
        {9, 0, 3000000, 3},        {-1, 0, UINT64_MAX - 1, INT32_MAX},
    };

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        int timeout_ms = cases[i].before;

        cv_clock_lower_timeout(&timeout_ms, cases[i].now_ns, cases[i].deadline_ns);
        assert_int_equal(timeout_ms, cases[i].after);
    }
}

static void test_clock_real_clocks_run_forward(void **state) {
    struct cv_clock clock;
    uint64_t before_ns = cv_clock_monotonic_ns();

    (void)state;
    cv_clock_init(&clock);
    assert_true(clock.now_ns >= before_ns);
    assert_true(cv_clock_monotonic_ns() >= clock.now_ns);
    int64_t apart_s = (int64_t)time(NULL) - clock.realtime_s;
    assert_true(apart_s >= -1 && apart_s <= 1);
    assert_true(cv_clock_realtime_ms() / 1000 >= clock.realtime_s);
}

static void assert_ticks_are_true(const struct cv_clock *clock, long ms, uint64_t least_ns) {
    uint64_t before_ns = cv_clock_monotonic_ns();
    uint64_t ticks = cv_clock_ticks(clock);
    wait_ms(ms);
    ticks = cv_clock_ticks(clock) - ticks;
    uint64_t passed_ns = cv_clock_monotonic_ns() - before_ns;
    // Less by the two readings around it, and as much as an interruption there may take.
    assert_true(cv_clock_ticks_to_ns(clock, ticks) <= passed_ns + passed_ns / 50);
    assert_true(cv_clock_ticks_to_ns(clock, ticks) >= least_ns);
}

// Whether the processor has a counter to use or not.
static void test_clock_ticks_tell_the_time_that_passed(void **state) {
    struct cv_clock clock;

    (void)state;
    cv_clock_init(&clock);
    for (int i = 0; i < 24; i++) {
        assert_ticks_are_true(&clock, 50, 45000000);
        cv_clock_update(&clock);
    }
}

static void test_clock_ticks_stay_true_when_the_machine_stands_still(void **state) {
    (void)state;
    for (unsigned at_end = 0; at_end <= 1; at_end++) {
        struct cv_clock clock;

        fake.pauses = !at_end;
        cv_clock_init(&clock);
        uint64_t rated_ns = clock.rated_ns;
        for (int i = 0; i < 10 && clock.rated_ns == rated_ns; i++) {
            wait_ms(250);
            fake.pauses = at_end;
            cv_clock_update(&clock);
        }
        assert_ticks_are_true(&clock, 500, 490000000);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock_formats_known_moments),
        cmocka_unit_test(test_clock_iso_shows_milliseconds_on_both_sides_of_the_epoch),
        cmocka_unit_test(test_clock_date_agrees_with_libc_on_every_day_of_800_years),
        cmocka_unit_test(test_clock_date_agrees_with_libc_around_every_century),
        cmocka_unit_test_setup_teardown(test_clock_update_reads_one_clock_between_checks,
                                        use_fake_clocks, use_real_clocks),
        cmocka_unit_test_setup_teardown(test_clock_date_changes_with_the_second, use_fake_clocks,
                                        use_real_clocks),
        cmocka_unit_test_setup_teardown(test_clock_date_is_never_a_second_off, use_fake_clocks,
                                        use_real_clocks),
        cmocka_unit_test_setup_teardown(test_clock_follows_a_step_of_the_system_time,
                                        use_fake_clocks, use_real_clocks),
        cmocka_unit_test_setup_teardown(test_clock_set_shows_what_it_was_given, use_fake_clocks,
                                        use_real_clocks),
        cmocka_unit_test(test_clock_lowers_a_timeout_to_the_nearest_deadline),
        cmocka_unit_test(test_clock_real_clocks_run_forward),
        cmocka_unit_test(test_clock_ticks_tell_the_time_that_passed),
        cmocka_unit_test(test_clock_ticks_stay_true_when_the_machine_stands_still),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
