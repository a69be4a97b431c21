// Budget files: what is read, what is refused and where, and verdicts.
#include "profile/budget.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/covet-budget-XXXXXX";
static struct cv_budget budget;
static char message[256];

static int make_file(void **state) {
    int fd = mkstemp(path);

    (void)state;
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state) {
    (void)state;
    return unlink(path);
}

static int read_text(const char *text) {
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    message[0] = '\0';
    return cv_budget_read(&budget, path, message, sizeof(message));
}

static void test_budget_is_read_with_comments_and_spaces(void **state) {
    (void)state;
    assert_int_equal(read_text("# the whole of it\n"
                               "[load]\n"
                               "requests = 100_000   # at least\n"
                               "connections=64\n"
                               "keepalive = true\n"
                               "\tseconds = 2.5\r\n"
                               "\n"
                               "[ per_1000_requests ]\n"
                               "syscalls = 300\n"
                               "read=0\n"
                               "context_switches = 50.25\n"
                               "[absolute]\n"
                               "tcp_retransmit = 0\n"
                               "syscalls = 1_000_000"),
                     0);
    assert_int_equal(budget.requests_min, 100000);
    assert_int_equal(budget.connections_min, 64);
    assert_true(budget.is_keepalive);
    assert_true(budget.seconds == 2.5);
    assert_int_equal(budget.limit_count, 5);
    assert_string_equal(budget.limits[0].name, "syscalls");
    assert_false(budget.limits[0].is_absolute);
    assert_true(budget.limits[2].allowed == 50.25);
    assert_true(budget.limits[4].is_absolute);
    assert_true(budget.limits[4].allowed == 1000000);
}

static void test_budget_asks_for_one_request_unless_told(void **state) {
    (void)state;
    assert_int_equal(read_text("[absolute]\nread = 0\n"), 0);
    assert_int_equal(budget.requests_min, 1);
    assert_int_equal(budget.connections_min, 0);
    assert_false(budget.is_keepalive);
    assert_true(budget.seconds == 0);
}

static void test_budget_mistakes_are_named_with_their_line(void **state) {
    static const struct {
        const char *text;
        unsigned line;
        const char *reason;
    } cases[] = {
        {"[absolute]\nspeed = 1\n", 2, "there is no measure speed"},
        {"[absolute]\nconnections_open = 1\n", 2, "there is no measure connections_open"},
        {"[load]\nspeed = 1\n", 2, "[load] has no speed"},
        {"[limits]\n", 1, "there is no section [limits]"},
        {"read = 1\n", 1, "read stands before the first [section]"},
        {"[absolute]\nread\n", 2, "neither [section] nor name = number"},
        {"[absolute\nread = 1\n", 1, "a section's name ends in ]"},
        {"[absolute]\nread = -1\n", 2, "'-1' is no number"},
        {"[absolute]\nread = 1e3\n", 2, "'1e3' is no number"},
        {"[absolute]\nread = 1.2.3\n", 2, "'1.2.3' is no number"},
        {"[absolute]\nread = 1__0\n", 2, "'1__0' is no number"},
        {"[absolute]\nread = _1\n", 2, "'_1' is no number"},
        {"[absolute]\nread = .5\n", 2, "'.5' is no number"},
        {"[absolute]\nread = 5.\n", 2, "'5.' is no number"},
        {"[absolute]\nread = nan\n", 2, "'nan' is no number"},
        {"[absolute]\nread =\n", 2, "'' is no number"},
        {"[absolute]\nread = 9999999999999999\n", 2, "is too large"},
        {"[absolute]\n = 1\n", 2, "there is no measure ''"},
        {"[absolute]\nread = 1\nread = 2\n", 3, "read is given twice"},
        {"[absolute]\nread = 1\n[absolute]\n", 3, "[absolute] is there twice"},
        {"[load]\nrequests = 1\nrequests = 2\n", 3, "requests is given twice"},
        {"[load]\nrequests = 0\n", 2, "no whole number from 1"},
        {"[load]\nconnections = 1.5\n", 2, "no whole number from 1"},
        {"[load]\nkeepalive = yes\n", 2, "'yes' is not true or false"},
        {"[load]\nseconds = 0\n", 2, "seconds are above 0"},
        {"[load]\nseconds = 86401\n", 2, "seconds are above 0"},
    };
    char place[64];

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        budget.limit_count = 77;
        assert_int_equal(read_text(cases[i].text), -EINVAL);
        snprintf(place, sizeof(place), "%s:%u: ", path, cases[i].line);
        assert_memory_equal(message, place, strlen(place));
        assert_non_null(strstr(message, cases[i].reason));
        assert_int_equal(budget.limit_count, 77);
    }
}

static void test_budget_without_a_limit_is_none(void **state) {
    (void)state;
    assert_int_equal(read_text("[load]\nrequests = 5\n"), -EINVAL);
    assert_non_null(strstr(message, "it sets no limit"));
    assert_int_equal(read_text(""), -EINVAL);
}

static void test_budget_line_and_limits_are_bounded(void **state) {
    char text[8192];
    size_t length;

    (void)state;
    snprintf(text, sizeof(text), "[absolute]\n%0300d", 1);
    assert_int_equal(read_text(text), -EINVAL);
    assert_non_null(strstr(message, ":2: a line of more than"));
    // All system calls there are: more than fit.
    length = (size_t)snprintf(text, sizeof(text), "[absolute]\n");
    static const char *const names[] = {
#define NAME(name, number) #name,
        COVET_SYSCALLS(NAME)
#undef NAME
    };
    for (size_t i = 0; i <= CV_BUDGET_LIMITS_MAX; i++)
        length += (size_t)snprintf(text + length, sizeof(text) - length, "%s = 1\n", names[i]);
    assert_int_equal(read_text(text), -EINVAL);
    assert_non_null(strstr(message, "more than 64 limits"));
}

static void test_budget_that_cannot_be_read_is_named(void **state) {
    (void)state;
    assert_int_equal(cv_budget_read(&budget, "/nowhere/x.toml", message, sizeof(message)), -ENOENT);
    assert_string_equal(message, "/nowhere/x.toml: No such file or directory");
    assert_int_equal(cv_budget_read(&budget, "/tmp", message, sizeof(message)), -EIO);
}

// A second of 2000 requests at level 2: 400 system calls, of them 100 writes.
static struct cv_snapshot_worker worker;
static struct cv_snapshot_syscall calls[2];
static struct cv_snapshot change;
static const struct cv_window_peak peak = {.connections_open = 10};

static void measure(uint32_t level) {
    worker = (struct cv_snapshot_worker){.has_proc = true, .has_bpf = level > 0};
    worker.counter[COVET_COUNTER_REQUESTS] = 2000;
    worker.counter[COVET_COUNTER_ENTERS] = 300;
    worker.voluntary_switches = 20;
    worker.bpf.syscalls = 400;
    worker.bpf.io_uring_enters = 300;
    calls[0] = (struct cv_snapshot_syscall){{0, SYS_write}, {.count = 100}};
    calls[1] = (struct cv_snapshot_syscall){{0, SYS_io_uring_enter}, {.count = 300}};
    change = (struct cv_snapshot){.interval_ns = 1000000000,
                                  .has_bpf = level > 0,
                                  .info.level = level,
                                  .worker_count = 1,
                                  .workers = &worker};
    if (level >= 2) {
        change.syscalls = calls;
        change.syscall_count = 2;
    }
}

static enum cv_budget_verdict judge(const char *text, struct cv_budget_line *lines) {
    assert_int_equal(read_text(text), 0);
    return cv_budget_judge(&budget, &change, &peak, lines, message, sizeof(message));
}

static void test_budget_is_kept_up_to_its_limits(void **state) {
    struct cv_budget_line lines[CV_BUDGET_LIMITS_MAX];

    (void)state;
    measure(2);
    assert_int_equal(judge("[load]\nrequests = 2000\nconnections = 10\nkeepalive = true\n"
                           "[per_1000_requests]\nsyscalls = 200\nother_syscalls = 50\nread = 0\n"
                           "context_switches = 10\n[absolute]\nwrite = 100\n",
                           lines),
                     CV_BUDGET_WITHIN);
    assert_string_equal(message, "");
    assert_true(lines[0].measured == 200);
    assert_true(lines[1].measured == 50);
    assert_true(lines[4].measured == 100);
}

static void test_budget_is_exceeded_by_one_limit(void **state) {
    struct cv_budget_line lines[CV_BUDGET_LIMITS_MAX];

    (void)state;
    measure(2);
    assert_int_equal(judge("[per_1000_requests]\nsyscalls = 200\nwrite = 49.9\n", lines),
                     CV_BUDGET_OVER);
    assert_int_equal(lines[0].verdict, CV_BUDGET_WITHIN);
    assert_int_equal(lines[1].verdict, CV_BUDGET_OVER);
}

static void test_budget_is_never_kept_by_absence(void **state) {
    struct cv_budget_line lines[CV_BUDGET_LIMITS_MAX];

    (void)state;
    measure(0);
    // The server counts its own enters, the rest needs a profiler.
    assert_int_equal(judge("[per_1000_requests]\nio_uring_enter = 150\nread = 0\n", lines),
                     CV_BUDGET_UNMEASURED);
    assert_int_equal(lines[0].verdict, CV_BUDGET_WITHIN);
    assert_int_equal(lines[1].verdict, CV_BUDGET_UNMEASURED);
    assert_int_equal(lines[1].level_needed, 2);
    measure(1);
    assert_int_equal(judge("[absolute]\ntcp_retransmit = 0\n", lines), CV_BUDGET_WITHIN);
    assert_int_equal(judge("[absolute]\nsyscalls = 0\n", lines), CV_BUDGET_UNMEASURED);
    // Known to be over, whatever else is unknown.
    assert_int_equal(judge("[absolute]\nsyscalls = 0\nrequests = 1\n", lines), CV_BUDGET_OVER);
    worker.has_proc = false;
    assert_int_equal(judge("[absolute]\ncontext_switches = 100\n", lines), CV_BUDGET_UNMEASURED);
    assert_int_equal(judge("[absolute]\naccept_drops = 0\n", lines), CV_BUDGET_UNMEASURED);
}

static void test_budget_without_its_load_is_not_judged(void **state) {
    static const struct {
        const char *load;
        const char *reason;
    } cases[] = {
        {"requests = 2001", "2000 requests came, the budget asks for 2001"},
        {"connections = 11", "10 connections were open, the budget asks for 11"},
        {"keepalive = true", "201 connections for 2000 requests are no keep-alive load"},
    };
    struct cv_budget_line lines[CV_BUDGET_LIMITS_MAX];
    char text[128];

    (void)state;
    measure(2);
    worker.counter[COVET_COUNTER_CONNECTIONS_ACCEPTED] = 201;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        // Neither a limit that is kept nor one that is not.
        snprintf(text, sizeof(text), "[load]\n%s\n[absolute]\nread = 0\n", cases[i].load);
        assert_int_equal(judge(text, lines), CV_BUDGET_UNMEASURED);
        assert_string_equal(message, cases[i].reason);
        snprintf(text, sizeof(text), "[load]\n%s\n[absolute]\nwrite = 0\n", cases[i].load);
        assert_int_equal(judge(text, lines), CV_BUDGET_UNMEASURED);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_budget_is_read_with_comments_and_spaces),
        cmocka_unit_test(test_budget_asks_for_one_request_unless_told),
        cmocka_unit_test(test_budget_mistakes_are_named_with_their_line),
        cmocka_unit_test(test_budget_without_a_limit_is_none),
        cmocka_unit_test(test_budget_line_and_limits_are_bounded),
        cmocka_unit_test(test_budget_that_cannot_be_read_is_named),
        cmocka_unit_test(test_budget_is_kept_up_to_its_limits),
        cmocka_unit_test(test_budget_is_exceeded_by_one_limit),
        cmocka_unit_test(test_budget_is_never_kept_by_absence),
        cmocka_unit_test(test_budget_without_its_load_is_not_judged),
    };

    return cmocka_run_group_tests(tests, make_file, remove_file);
}
