// Lines leave in the longest runs there are. A reader that is awake looks again every 20 ms and
// goes to sleep after two looks at nothing, so a busy worker has to wake it rarely, an idle one
// never.
//
// A regular file takes every write at once. Anything else (a pipe to a log daemon) may be full: it
// is asked first and given at most PIPE_BUF bytes, which then do not block (pipe(7)), because this
// thread also answers signals.
#include "server/accesslog.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

#define IDLE_ROUNDS_MAX 2u
#define REPORT_INTERVAL_NS (60ull * 1000 * 1000 * 1000)
#define NO_ROOM (-EAGAIN)

static void use_fd(struct cv_accesslog *log, int fd) {
    struct stat status;
    log->fd = fd;
    log->is_regular = fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

int cv_accesslog_init(struct cv_accesslog *log, int fd_taken, uint32_t worker_count) {
    *log = (struct cv_accesslog){0};
    use_fd(log, fd_taken);
    for (uint32_t i = 0; i < worker_count; i++) {
        log->queue[i] = cv_logqueue_create();
        if (log->queue[i] == NULL) {
            cv_accesslog_deinit(log);
            return -ENOMEM;
        }
        log->queue_count++;
    }
    return 0;
}

void cv_accesslog_deinit(struct cv_accesslog *log) {
    for (uint32_t i = 0; i < log->queue_count; i++) {
        cv_logqueue_destroy(log->queue[i]);
    }
    if (log->fd >= 0) {
        close(log->fd);
    }
    *log = (struct cv_accesslog){.fd = -1};
}

// Writes some of `bytes`. Returns how many, or -errno.
static ssize_t write_some(const struct cv_accesslog *log, struct cv_span bytes) {
    size_t most = bytes.length;
    if (!log->is_regular) {
        struct pollfd room = {.fd = log->fd, .events = POLLOUT};
        if (poll(&room, 1, 0) == 0) {
            return NO_ROOM;
        }
        most = CV_MIN(most, (size_t)PIPE_BUF);
    }
    ssize_t written = write(log->fd, bytes.data, most);
    return written < 0 ? -errno : written;
}

static void drain_queue(struct cv_accesslog *log, struct cv_logqueue *queue) {
    for (;;) {
        struct cv_span ready = cv_logqueue_peek(queue);
        if (ready.length == 0) {
            return;
        }
        ssize_t written = log->fd < 0 ? (ssize_t)ready.length : write_some(log, ready);
        if (written == NO_ROOM) {
            return;
        }
        if (written == -EINTR) {
            continue;
        }
        if (written < 0) {
            log->lost_error = (int)written;
            log->lost_bytes += ready.length;
            written = (ssize_t)ready.length;
        }
        cv_logqueue_consume(queue, (size_t)written);
    }
}

static void report(struct cv_accesslog *log, uint64_t now_ns) {
    if (log->lost_bytes > 0 && now_ns >= log->report_at_ns) {
        cv_log(CV_LOG_ERROR, "access_log_failed", "lost_bytes=%llu reason=\"%s\"",
               (unsigned long long)log->lost_bytes, strerror(-log->lost_error));
        log->lost_bytes = 0;
        log->report_at_ns = now_ns + REPORT_INTERVAL_NS;
    }
}

static bool drain_all(struct cv_accesslog *log) {
    bool was_ready = false;
    for (uint32_t i = 0; i < log->queue_count; i++) {
        was_ready |= cv_logqueue_peek(log->queue[i]).length > 0;
        drain_queue(log, log->queue[i]);
    }
    return was_ready;
}

void cv_accesslog_set_fd(struct cv_accesslog *log, int fd_taken) {
    drain_all(log);
    if (log->fd >= 0) {
        close(log->fd);
    }
    use_fd(log, fd_taken);
}

bool cv_accesslog_run(struct cv_accesslog *log, uint64_t now_ns) {
    bool was_ready = drain_all(log);
    report(log, now_ns);
    log->idle_rounds = was_ready ? 0 : log->idle_rounds + 1;
    if (log->idle_rounds < IDLE_ROUNDS_MAX) {
        return true;
    }
    bool is_asleep = true;
    for (uint32_t i = 0; i < log->queue_count; i++) {
        is_asleep &= cv_logqueue_sleep(log->queue[i]);
    }
    log->idle_rounds = 0;
    return !is_asleep;
}
