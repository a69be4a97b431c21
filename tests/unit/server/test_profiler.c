// The profiler's line. This program is its own covet-prof: under that name, found in PATH, it does
// what the variable FAKE says.
#include "server/profiler.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct cv_profiler profiler;
static char directory[32];
static char link_path[64];
static char log_path[64];
static char logged[4096];
static int saved_stderr;

// The other side.

static int say_what_is_open(const char *level) {
    char text[256];
    char standard[2][16] = {"", ""};
    int more = 0;
    for (int fd = 4; fd < 200; fd++) {
        more += fcntl(fd, F_GETFD) >= 0;
    }
    for (int fd = 0; fd < 2; fd++) {
        char path[32];
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        if (readlink(path, standard[fd], sizeof(standard[fd]) - 1) < 0) {
            return 1;
        }
    }
    int length = snprintf(text, sizeof(text), "on level=%s in=%s out=%s more=%d", level,
                          standard[0], standard[1], more);
    return write(3, text, (size_t)length) == length ? 0 : 1;
}

static int say_targets(void) {
    struct covet_profile_target target;
    while (recv(3, &target, sizeof(target), 0) == (ssize_t)sizeof(target)) {
        if (target.server_pid == 0) {
            if (write(3, "ok", 2) != 2) {
                return 1;
            }
            continue;
        }
        char text[256];
        int length = snprintf(text, sizeof(text), "on server=%u port=%u stats=%s",
                              target.server_pid, target.port[0], target.stats_path);
        if (write(3, text, (size_t)length) != length) {
            return 1;
        }
    }
    return 0;
}

static int say(const char *text) {
    return write(3, text, strlen(text)) > 0 ? 0 : 1;
}

static int fake(char **argv) {
    const char *what = getenv("FAKE");
    bool is_called_right = strcmp(argv[1], "--control") == 0 && strcmp(argv[2], "3") == 0 &&
                           strcmp(argv[3], "--level") == 0;
    if (what == NULL || !is_called_right) {
        return 2;
    }
    if (strcmp(what, "open") == 0) {
        return say_what_is_open(argv[4]);
    }
    if (strcmp(what, "targets") == 0) {
        return say_targets();
    }
    if (strcmp(what, "off") == 0) {
        return say("off reason=\"no rights\" remedy=\"sudo\"") != 0 ? 1 : 77;
    }
    if (strcmp(what, "wait") == 0) {
        char byte;
        return read(3, &byte, 1) == 0 ? 0 : 1;
    }
    if (strcmp(what, "die") == 0) {
        say("on level=1");
        raise(SIGKILL);
    }
    return 3;
}

// This side.

static int set_up(void **state) {
    (void)state;
    profiler = CV_PROFILER_NONE;
    strcpy(directory, "/tmp/covet-test-XXXXXX");
    if (mkdtemp(directory) == NULL) {
        return -1;
    }
    snprintf(link_path, sizeof(link_path), "%s/covet-prof", directory);
    snprintf(log_path, sizeof(log_path), "%s/log", directory);
    char self[512];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (length < 0) {
        return -1;
    }
    self[length] = '\0';
    int fd = open(log_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    saved_stderr = dup(STDERR_FILENO);
    dup2(fd, STDERR_FILENO);
    close(fd);
    setenv("PATH", directory, 1);
    return symlink(self, link_path);
}

static int tear_down(void **state) {
    (void)state;
    cv_profiler_close(&profiler);
    while (waitpid(-1, NULL, 0) > 0) {
    }
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    unlink(link_path);
    unlink(log_path);
    return rmdir(directory);
}

static void start_fake(const char *what, uint32_t level) {
    setenv("FAKE", what, 1);
    cv_profiler_set_level(&profiler, level);
}

// What has been logged so far.
static const char *log_text(void) {
    int fd = open(log_path, O_RDONLY | O_CLOEXEC);
    ssize_t length = read(fd, logged, sizeof(logged) - 1);
    close(fd);
    logged[length > 0 ? length : 0] = '\0';
    return logged;
}

static int count_of(const char *text) {
    int count = 0;
    for (const char *at = log_text(); (at = strstr(at, text)) != NULL; at++) {
        count++;
    }
    return count;
}

static void run_until(const char *text) {
    while (strstr(log_text(), text) == NULL) {
        struct pollfd poll_fd = {.fd = profiler.fd, .events = cv_profiler_events(&profiler)};
        if (poll(&poll_fd, 1, 10000) != 1) {
            fail_msg("'%s' is not in the log: %s", text, logged);
        }
        cv_profiler_run(&profiler);
    }
}

static void reap(void) {
    int status;
    pid_t pid = profiler.pid;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(cv_profiler_reap(&profiler, pid, status));
    assert_int_equal(profiler.fd, -1);
}

static void test_profiler_gets_its_line_and_nothing_else(void **state) {
    (void)state;
    int other = dup(STDERR_FILENO);  // Without close-on-exec, as a careless parent leaves them.
    start_fake("open", 2);
    close(other);
    run_until("event=profile level=2 in=/dev/null out=/dev/null more=0");
    reap();
}

static void test_profiler_is_told_each_target_and_its_answers_are_logged(void **state) {
    (void)state;
    struct covet_profile_target target = {
        .abi_version = COVET_ABI_VERSION, .port = {8000}, .stats_path = "/run/x/stats"};
    start_fake("targets", 1);
    for (uint32_t pid = 100; pid < 103; pid++) {
        char expected[80];
        target.server_pid = pid;
        cv_profiler_tell(&profiler, &target);
        snprintf(expected, sizeof(expected), "event=profile server=%u port=8000 stats=/run/x/stats",
                 pid);
        assert_false(profiler.has_answered);
        run_until(expected);
        assert_true(profiler.has_answered);
    }
    target.server_pid = 0;
    cv_profiler_tell(&profiler, &target);
    while (!profiler.has_answered) {
        struct pollfd poll_fd = {.fd = profiler.fd, .events = POLLIN};
        assert_int_equal(poll(&poll_fd, 1, 10000), 1);
        cv_profiler_run(&profiler);
    }
    assert_int_equal(count_of("event="), 3);  // "ok" is no news.
    cv_profiler_close(&profiler);             // The end of its line is its own end.
}

// A profiler that reads nothing costs nothing: the last target alone waits for it.
static void test_profiler_that_hangs_is_not_waited_for(void **state) {
    (void)state;
    int pair[2];
    struct covet_profile_target target = {.abi_version = COVET_ABI_VERSION};
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    cv_profiler_adopt(&profiler, pair[0]);
    while (!profiler.is_unsent) {
        target.server_pid++;
        cv_profiler_tell(&profiler, &target);
        assert_true(target.server_pid < 1000000);
    }
    assert_true(cv_profiler_events(&profiler) & POLLOUT);
    target.server_pid++;
    cv_profiler_tell(&profiler, &target);

    struct covet_profile_target got = {0};
    uint32_t count = 0;
    while (recv(pair[1], &got, sizeof(got), MSG_DONTWAIT) == (ssize_t)sizeof(got)) {
        assert_int_equal(got.server_pid, ++count);
        cv_profiler_run(&profiler);
        if (!profiler.is_unsent) {
            break;
        }
    }
    assert_false(cv_profiler_events(&profiler) & POLLOUT);
    while (recv(pair[1], &got, sizeof(got), MSG_DONTWAIT) == (ssize_t)sizeof(got)) {
    }
    assert_int_equal(got.server_pid, target.server_pid);
    close(pair[1]);
}

static void test_profiler_that_cannot_measure_says_one_line(void **state) {
    (void)state;
    start_fake("off", 2);
    run_until("event=profile_off reason=\"no rights\" remedy=\"sudo\"");
    reap();
    assert_int_equal(count_of("event="), 1);
}

// The target it leaves unread turns into an error that comes before its words (unix(7)).
static void test_profiler_that_does_not_listen_is_heard_all_the_same(void **state) {
    (void)state;
    struct covet_profile_target target = {.abi_version = COVET_ABI_VERSION};
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    cv_profiler_adopt(&profiler, pair[0]);
    cv_profiler_tell(&profiler, &target);
    assert_int_equal(write(pair[1], "off reason=\"no\"", 15), 15);
    close(pair[1]);
    cv_profiler_run(&profiler);
    assert_int_equal(profiler.fd, -1);
    assert_int_equal(count_of("event=profile_off reason=\"no\""), 1);
    assert_int_equal(count_of("event="), 1);
}

static void test_profiler_that_dies_is_logged_once(void **state) {
    (void)state;
    start_fake("die", 2);
    reap();  // With what it said before, though nobody has read it yet.
    assert_int_equal(count_of("event=profile level=1"), 1);
    assert_int_equal(count_of("died of signal 9"), 1);
    cv_profiler_run(&profiler);
    assert_int_equal(count_of("event="), 2);
}

static void test_profiler_that_cannot_run_is_logged_once(void **state) {
    (void)state;
    assert_int_equal(unlink(link_path), 0);
    int fd = open(link_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);  // Not a program.
    assert_int_equal(write(fd, "\177ELF", 4), 4);
    close(fd);
    start_fake("open", 2);
    reap();
    assert_int_equal(count_of("ended with exit code 127"), 1);
    assert_int_equal(count_of("event="), 1);
}

static void test_profiler_that_is_not_installed_is_one_info_line(void **state) {
    (void)state;
    assert_int_equal(unlink(link_path), 0);
    start_fake("open", 2);
    assert_int_equal(profiler.fd, -1);
    assert_int_equal(count_of("level=info event=profile_off reason=\"covet-prof is neither"), 1);
}

static void test_profiler_is_not_taken_from_the_current_directory(void **state) {
    (void)state;
    char before[512];
    assert_non_null(getcwd(before, sizeof(before)));
    assert_int_equal(chdir(directory), 0);
    setenv("PATH", ":.::", 1);
    start_fake("open", 2);
    assert_int_equal(profiler.fd, -1);
    assert_int_equal(chdir(before), 0);
}

static void test_profiler_of_the_same_level_stays_and_another_replaces_it(void **state) {
    (void)state;
    start_fake("wait", 1);
    pid_t first = profiler.pid;
    cv_profiler_set_level(&profiler, 1);
    assert_int_equal(profiler.pid, first);
    cv_profiler_set_level(&profiler, 3);
    assert_true(profiler.pid > 0 && profiler.pid != first);
    int status;
    assert_int_equal(waitpid(first, &status, 0), first);  // By the end of its line.
    assert_false(cv_profiler_reap(&profiler, first, status));
    cv_profiler_set_level(&profiler, 0);
    assert_int_equal(profiler.fd, -1);
    assert_int_equal(count_of("event="), 0);
}

static void test_profiler_that_started_us_is_kept_and_missed_once(void **state) {
    (void)state;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    cv_profiler_adopt(&profiler, pair[0]);
    assert_true(cv_profiler_is_adopted(&profiler));
    cv_profiler_set_level(&profiler, 2);
    assert_int_equal(profiler.fd, pair[0]);
    assert_int_equal(write(pair[1], "on level=3", 10), 10);
    close(pair[1]);
    cv_profiler_run(&profiler);
    assert_int_equal(profiler.fd, -1);
    cv_profiler_run(&profiler);
    assert_int_equal(count_of("event=profile level=3"), 1);
    assert_int_equal(count_of("has ended"), 1);
}

int main(int argc, char **argv) {
    const char *name = strrchr(argv[0], '/');
    if (argc > 1 && strcmp(name != NULL ? name + 1 : argv[0], "covet-prof") == 0) {
        return fake(argv);
    }
#define WITH_FAKE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_FAKE(test_profiler_gets_its_line_and_nothing_else),
        WITH_FAKE(test_profiler_is_told_each_target_and_its_answers_are_logged),
        WITH_FAKE(test_profiler_that_hangs_is_not_waited_for),
        WITH_FAKE(test_profiler_that_cannot_measure_says_one_line),
        WITH_FAKE(test_profiler_that_does_not_listen_is_heard_all_the_same),
        WITH_FAKE(test_profiler_that_dies_is_logged_once),
        WITH_FAKE(test_profiler_that_cannot_run_is_logged_once),
        WITH_FAKE(test_profiler_that_is_not_installed_is_one_info_line),
        WITH_FAKE(test_profiler_is_not_taken_from_the_current_directory),
        WITH_FAKE(test_profiler_of_the_same_level_stays_and_another_replaces_it),
        WITH_FAKE(test_profiler_that_started_us_is_kept_and_missed_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
