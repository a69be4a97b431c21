// A terminal taken and given back, on a pty whose other end the test holds.
#include "top/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/top_world.h"

#define NS_PER_MS 1000000u

static struct {
    pid_t child;
    int master, slave;
    struct termios before;
    char text[4096];  // What the child wrote.
} pty;

// Runs `function` in a child whose terminal the pty is; its status is what `function` returns.
static void run_on_pty(int (*function)(void)) {
    struct winsize size = {.ws_row = 33, .ws_col = 101};
    assert_int_equal(openpty(&pty.master, &pty.slave, NULL, NULL, &size), 0);
    assert_int_equal(tcgetattr(pty.slave, &pty.before), 0);
    pty.child = fork();
    assert_true(pty.child >= 0);
    if (pty.child == 0) {
        close(pty.master);
        // Whoever runs the tests in the background has some of them ignored.
        for (int number = 1; number < NSIG; number++) {
            signal(number, SIG_DFL);
        }
        setsid();
        ioctl(pty.slave, TIOCSCTTY, 0);
        dup2(pty.slave, STDIN_FILENO);
        dup2(pty.slave, STDOUT_FILENO);
        exit(function());
    }
}

static void read_until(const char *part) {
    size_t used = strlen(pty.text);
    while (strstr(pty.text, part) == NULL) {
        ssize_t got = read(pty.master, pty.text + used, sizeof(pty.text) - 1 - used);
        if (got <= 0) {
            fail_msg("no %s in %s", part + 1, pty.text);
        }
        used += (size_t)got;
        pty.text[used] = '\0';
    }
}

// The child's status, and that it left the terminal as it was.
static int status_of_end(void) {
    struct termios after;
    int status;
    read_until("\033[?1049l");
    assert_non_null(strstr(pty.text, "\033[?25h"));
    assert_int_equal(waitpid(pty.child, &status, 0), pty.child);
    assert_int_equal(tcgetattr(pty.slave, &after), 0);
    assert_int_equal(after.c_lflag, pty.before.c_lflag);
    assert_int_equal(after.c_iflag, pty.before.c_iflag);
    return status;
}

static int begin(void **state) {
    (void)state;
    memset(&pty, 0, sizeof(pty));
    return 0;
}

static int end(void **state) {
    (void)state;
    close(pty.master);
    close(pty.slave);
    return 0;
}

// Echoes keys in capitals until a dot comes.
static int echo_keys(void) {
    if (top_terminal_open() != 0) {
        return 90;
    }
    for (;;) {
        char keys[8];
        size_t count;
        unsigned events = top_terminal_wait(0, keys, sizeof(keys), &count);
        for (size_t i = 0; (events & TOP_EVENT_KEYS) != 0 && i < count; i++) {
            if (keys[i] == '.') {
                return 7;  // Restored by exit(3) alone.
            }
            char echo[] = {'<', keys[i], '>'};
            if (!top_terminal_write(echo, sizeof(echo))) {
                return 91;
            }
        }
    }
}

static void test_terminal_gives_keys_one_by_one_without_echo(void **state) {
    struct termios raw;
    (void)state;
    run_on_pty(echo_keys);
    read_until("\033[?1049h");
    read_until("\033[2J");
    assert_int_equal(tcgetattr(pty.slave, &raw), 0);
    assert_int_equal(raw.c_lflag & (tcflag_t)(ICANON | ECHO), 0);
    assert_int_equal(write(pty.master, "a", 1), 1);
    read_until("<a>");
    assert_null(strstr(pty.text, "a<a>"));
    assert_int_equal(write(pty.master, "b.", 2), 2);
    int status = status_of_end();
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

static void test_terminal_is_given_back_by_signals(void **state) {
    static const int signals[] = {SIGTERM, SIGINT, SIGSEGV, SIGABRT, SIGUSR1};
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(signals); i++) {
        run_on_pty(echo_keys);
        read_until("\033[2J");
        assert_int_equal(kill(pty.child, signals[i]), 0);
        int status = status_of_end();
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), signals[i]);
        end(state);
        begin(state);
    }
}

static int wait_for_size(void) {
    unsigned width, height;
    char keys[8];
    size_t count;
    if (top_terminal_open() != 0) {
        return 90;
    }
    top_terminal_size(&width, &height);
    if (width != 101 || height != 33 || !top_terminal_write("ready", 5)) {
        return 91;
    }
    if (top_terminal_wait(0, keys, sizeof(keys), &count) != TOP_EVENT_DRAW || count != 0) {
        return 92;
    }
    top_terminal_size(&width, &height);
    top_terminal_close();
    return width == 60 && height == 10 ? 7 : 93;
}

static void test_terminal_tells_of_a_new_size(void **state) {
    struct winsize size = {.ws_row = 10, .ws_col = 60};
    (void)state;
    run_on_pty(wait_for_size);
    read_until("ready");
    assert_int_equal(ioctl(pty.master, TIOCSWINSZ, &size), 0);
    int status = status_of_end();
    assert_int_equal(WEXITSTATUS(status), 7);
}

static int wait_for_time(void) {
    char keys[8];
    size_t count;
    uint64_t start_ns = cv_clock_monotonic_ns();
    if (top_terminal_open() != 0) {
        return 90;
    }
    unsigned events = top_terminal_wait(start_ns + 30 * NS_PER_MS, keys, sizeof(keys), &count);
    if (events != TOP_EVENT_TIME || cv_clock_monotonic_ns() < start_ns + 30 * NS_PER_MS) {
        return 91;
    }
    // A deadline that is over already is no wait.
    return top_terminal_wait(1, keys, sizeof(keys), &count) == TOP_EVENT_TIME ? 7 : 92;
}

static void test_terminal_waits_until_a_deadline(void **state) {
    (void)state;
    run_on_pty(wait_for_time);
    int status = status_of_end();
    assert_int_equal(WEXITSTATUS(status), 7);
}

static int wait_for_hangup(void) {
    char keys[8];
    size_t count;
    signal(SIGHUP, SIG_IGN);  // As nohup(1) does.
    if (top_terminal_open() != 0) {
        return 90;
    }
    for (;;) {
        unsigned events = top_terminal_wait(0, keys, sizeof(keys), &count);
        if ((events & TOP_EVENT_HANGUP) != 0) {
            break;
        }
    }
    // A master being closed ends readers first and refuses writers a moment later.
    uint64_t deadline_ns = cv_clock_monotonic_ns() + 10000 * NS_PER_MS;
    while (top_terminal_write("x", 1)) {
        if (cv_clock_monotonic_ns() > deadline_ns) {
            return 91;
        }
        poll(NULL, 0, 1);
    }
    return 7;
}

static void test_terminal_that_is_gone_ends_the_wait(void **state) {
    int status;
    (void)state;
    run_on_pty(wait_for_hangup);
    read_until("\033[2J");
    close(pty.master);
    assert_int_equal(waitpid(pty.child, &status, 0), pty.child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

static int open_without_terminal(void) {
    int null = open("/dev/null", O_RDWR);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    signal(SIGHUP, SIG_IGN);  // Comes to whoever leads the session of a terminal that is given up.
    ioctl(pty.slave, TIOCNOTTY);
    return -top_terminal_open();
}

static void test_terminal_that_is_none_is_refused(void **state) {
    int status;
    (void)state;
    run_on_pty(open_without_terminal);
    assert_int_equal(waitpid(pty.child, &status, 0), pty.child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), ENOTTY);
}

#define TERMINAL_TEST(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TERMINAL_TEST(test_terminal_gives_keys_one_by_one_without_echo),
        TERMINAL_TEST(test_terminal_is_given_back_by_signals),
        TERMINAL_TEST(test_terminal_tells_of_a_new_size),
        TERMINAL_TEST(test_terminal_waits_until_a_deadline),
        TERMINAL_TEST(test_terminal_that_is_gone_ends_the_wait),
        TERMINAL_TEST(test_terminal_that_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
