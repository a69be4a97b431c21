// Signals come in two kinds. Those that end the process have a handler that restores the terminal
// and lets the signal do what it does, so a crash, a kill and a Ctrl-C take the same short way at
// any moment, even while a frame is being written to a terminal that does not read. Those that only
// concern the picture (SIGWINCH, SIGTSTP, SIGCONT) are blocked and read from a descriptor beside
// the keys.
#include "top/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"

// Alternate screen, no cursor, lines cut at the edge in place of wrapped (DEC private modes 1049,
// 25, 7), and back. Terminals without an alternate screen are at least left clean.
#define TEXT_ENTER "\033[?1049h\033[?25l\033[?7l\033[H\033[2J"
#define TEXT_LEAVE "\033[?2026l\033[m\033[H\033[2J\033[?7h\033[?25h\033[?1049l"

static const int ending[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGSEGV, SIGBUS, SIGFPE,  SIGILL,
                             SIGABRT, SIGPIPE, SIGALRM, SIGUSR1, SIGUSR2, SIGSYS, SIGXCPU, SIGXFSZ};

static struct {
    volatile sig_atomic_t is_taken;
    int key_fd;  // -1: none
    int signal_fd;
    int mode_fd;  // whose modes are changed
    struct termios before, raw;
    sigset_t picture;
} terminal = {.key_fd = -1, .signal_fd = -1};

// Safe in a signal handler: write(2), tcsetattr(3) and fcntl(2) are (signal-safety(7)).
static void give_back(void) {
    if (!terminal.is_taken) {
        return;
    }
    terminal.is_taken = 0;
    // A terminal that does not read must not keep us.
    int flags = fcntl(STDOUT_FILENO, F_GETFL);
    fcntl(STDOUT_FILENO, F_SETFL, flags | O_NONBLOCK);
    (void)!write(STDOUT_FILENO, TEXT_LEAVE, sizeof(TEXT_LEAVE) - 1);
    fcntl(STDOUT_FILENO, F_SETFL, flags);
    tcsetattr(terminal.mode_fd, TCSANOW, &terminal.before);
}

static void take(void) {
    bool is_new = !terminal.is_taken;
    terminal.is_taken = 1;  // Before anything changes: a signal may end us at any line.
    tcsetattr(terminal.mode_fd, TCSANOW, &terminal.raw);
    if (is_new) {
        (void)!top_terminal_write(TEXT_ENTER, sizeof(TEXT_ENTER) - 1);
    }
}

// SA_RESETHAND has put back what the signal does; it comes when the handler returns and it is
// unblocked.
static void on_ending(int signal_number) {
    int saved = errno;
    give_back();
    raise(signal_number);
    errno = saved;
}

static void handle_signals(void) {
    struct sigaction action = {.sa_handler = on_ending, .sa_flags = (int)SA_RESETHAND};
    sigfillset(&action.sa_mask);
    for (size_t i = 0; i < CV_ARRAY_COUNT(ending); i++) {
        struct sigaction old;
        // What a parent has told us to ignore (nohup) stays ignored.
        if (sigaction(ending[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) {
            sigaction(ending[i], &action, NULL);
        }
    }
}

static void find_keys(void) {
    terminal.key_fd = isatty(STDIN_FILENO) ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                                           : open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY);
    terminal.mode_fd = terminal.key_fd >= 0 ? terminal.key_fd : STDOUT_FILENO;
}

int top_terminal_open(void) {
    find_keys();
    if (tcgetattr(terminal.mode_fd, &terminal.before) != 0) {
        return -errno;
    }
    terminal.raw = terminal.before;
    // Signals stay the terminal's business. Without flow control, Ctrl-S stops nothing.
    terminal.raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    terminal.raw.c_iflag &= ~(tcflag_t)IXON;
    terminal.raw.c_cc[VMIN] = 1;
    terminal.raw.c_cc[VTIME] = 0;
    sigemptyset(&terminal.picture);
    sigaddset(&terminal.picture, SIGWINCH);
    sigaddset(&terminal.picture, SIGTSTP);
    sigaddset(&terminal.picture, SIGCONT);
    terminal.signal_fd = signalfd(-1, &terminal.picture, SFD_CLOEXEC | SFD_NONBLOCK);
    if (terminal.signal_fd < 0) {
        return -errno;
    }
    sigprocmask(SIG_BLOCK, &terminal.picture, NULL);
    handle_signals();
    atexit(give_back);
    take();
    return 0;
}

void top_terminal_close(void) {
    give_back();
}

// As if Ctrl-Z had its usual effect, with the terminal restored meanwhile.
static void stop(void) {
    sigset_t stop_alone;
    sigemptyset(&stop_alone);
    sigaddset(&stop_alone, SIGTSTP);
    give_back();
    raise(SIGTSTP);
    sigprocmask(SIG_UNBLOCK, &stop_alone, NULL);  // Stops here, and goes on here.
    sigprocmask(SIG_BLOCK, &stop_alone, NULL);
    take();
}

static void read_signals(void) {
    struct signalfd_siginfo info;
    while (read(terminal.signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGTSTP) {
            stop();
        } else if (info.ssi_signo == SIGCONT) {
            take();  // Somebody may have changed the modes meanwhile.
        }
    }
}

static int timeout_ms(uint64_t deadline_ns) {
    int left_ms = -1;
    if (deadline_ns != 0) {
        cv_clock_lower_timeout(&left_ms, cv_clock_monotonic_ns(), deadline_ns);
    }
    return left_ms;
}

unsigned top_terminal_wait(uint64_t deadline_ns, char *keys, size_t keys_max, size_t *count) {
    struct pollfd fds[] = {
        {.fd = terminal.signal_fd, .events = POLLIN},
        {.fd = terminal.key_fd, .events = POLLIN},  // Below 0 it is left out.
    };
    unsigned events = 0;
    *count = 0;
    if (poll(fds, CV_ARRAY_COUNT(fds), timeout_ms(deadline_ns)) <= 0) {
        return events;
    }
    if (fds[0].revents != 0) {
        read_signals();
        events |= TOP_EVENT_DRAW;
    }
    if (fds[1].revents != 0) {
        ssize_t got = read(terminal.key_fd, keys, keys_max);
        if (got > 0) {
            *count = (size_t)got;
            events |= TOP_EVENT_KEYS;
        } else if (got == 0 || (errno != EINTR && errno != EAGAIN)) {
            events |= TOP_EVENT_HANGUP;
        }
    }
    return events;
}

void top_terminal_size(unsigned *width, unsigned *height) {
    struct winsize size = {0};
    bool is_known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
    *width = is_known && size.ws_col > 0 ? size.ws_col : 80;
    *height = is_known && size.ws_row > 0 ? size.ws_row : 24;
}

bool top_terminal_write(const char *bytes, size_t count) {
    while (count > 0) {
        ssize_t written = write(STDOUT_FILENO, bytes, count);
        if (written < 0 && errno != EINTR) {
            return false;
        }
        bytes += written > 0 ? written : 0;
        count -= written > 0 ? (size_t)written : 0;
    }
    return true;
}
