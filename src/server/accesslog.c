// Lines leave in the longest runs there are. A reader that is awake looks again every 20 ms and
// goes to sleep after two looks at nothing, so a busy worker has to wake it rarely, an idle one
// never.
//
// A regular file takes every write at once. Anything else (a pipe to a log daemon) may be full, and
// is never waited for, because this thread also hears the supervisor. What is written may then end
// within a line: no other queue writes before that line is over. Where its rest is lost (a full
// disk), the file's next line begins behind a newline of our own.
#include "server/accesslog.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/nowait.h"
#include "base/shortage.h"

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

static void report(struct cv_accesslog *log) {
    cv_log(CV_LOG_ERROR, "access_log_failed", "lost_lines=%llu reason=\"%s%s\"",
           (unsigned long long)log->lost_lines, strerror(-log->lost_error),
           cv_shortage_remedy(log->lost_error));
    log->lost_lines = 0;
}

void cv_accesslog_deinit(struct cv_accesslog *log) {
    if (log->lost_lines > 0) {
        report(log);
    }
    for (uint32_t i = 0; i < log->queue_count; i++) {
        cv_logqueue_destroy(log->queue[i]);
    }
    if (log->fd >= 0) {
        close(log->fd);
    }
    *log = (struct cv_accesslog){.fd = -1};
}

static ssize_t write_some(const struct cv_accesslog *log, struct cv_span bytes) {
    if (!log->is_regular) {
        return cv_nowait_write(log->fd, bytes.data, CV_MIN(bytes.length, (size_t)PIPE_BUF));
    }
    ssize_t written = write(log->fd, bytes.data, bytes.length);
    return written < 0 ? -errno : written;
}

static bool ends_line(struct cv_span bytes) {
    return bytes.data[bytes.length - 1] == '\n';
}

// Drops the first bytes of a queue, and what follows of the last line among them.
static void drop(struct cv_accesslog *log, uint32_t index, struct cv_span bytes) {
    uint64_t lines = 0;
    for (size_t i = 0; i < bytes.length; i++) {
        lines += bytes.data[i] == '\n';
    }
    log->lost_lines += lines;
    cv_logqueue_drop(log->queue[index], bytes.length, lines);
    log->skips[index] = !ends_line(bytes);
    if (log->unfinished == index + 1) {
        log->unfinished = 0;
        log->is_torn = true;
    }
}

static struct cv_span first_line(struct cv_span bytes) {
    const char *end = memchr(bytes.data, '\n', bytes.length);
    return end == NULL ? bytes : cv_span_make(bytes.data, (size_t)(end + 1 - bytes.data));
}

// Writes some of a queue. Returns 0 or -errno.
static int put(struct cv_accesslog *log, uint32_t index, struct cv_span ready) {
    ssize_t written = log->is_torn ? write_some(log, CV_SPAN("\n")) : 0;
    if (written >= 0) {
        log->is_torn = false;
        written = write_some(log, ready);
    }
    if (written <= 0) {
        return written < 0 ? (int)written : NO_ROOM;
    }
    log->unfinished = ends_line(cv_span_make(ready.data, (size_t)written)) ? 0 : index + 1;
    cv_logqueue_consume(log->queue[index], (size_t)written);
    return 0;
}

static void drain_queue(struct cv_accesslog *log, uint32_t index) {
    struct cv_span ready;
    while ((ready = cv_logqueue_peek(log->queue[index])).length > 0) {
        if (log->fd < 0) {
            cv_logqueue_consume(log->queue[index], ready.length);
        } else if (log->skips[index]) {
            drop(log, index, first_line(ready));
        } else {
            int error = put(log, index, ready);
            if (error == NO_ROOM) {
                return;
            }
            if (error != 0 && error != -EINTR) {
                log->lost_error = error;
                drop(log, index, ready);
            }
        }
    }
}

static bool drain_all(struct cv_accesslog *log) {
    bool was_ready = false;
    if (log->unfinished > 0) {
        drain_queue(log, log->unfinished - 1);
    }
    for (uint32_t i = 0; i < log->queue_count; i++) {
        was_ready |= cv_logqueue_peek(log->queue[i]).length > 0;
        if (log->unfinished == 0) {
            drain_queue(log, i);
        }
    }
    return was_ready;
}

void cv_accesslog_set_fd(struct cv_accesslog *log, int fd_taken) {
    drain_all(log);
    if (log->unfinished > 0) {
        log->skips[log->unfinished - 1] = true;  // The new file shall begin with a whole line.
        log->lost_error = -EPIPE;
    }
    log->unfinished = 0;
    log->is_torn = false;
    if (log->fd >= 0) {
        close(log->fd);
    }
    use_fd(log, fd_taken);
}

bool cv_accesslog_run(struct cv_accesslog *log, uint64_t now_ns) {
    bool was_ready = drain_all(log);
    if (log->lost_lines > 0 && now_ns >= log->report_at_ns) {
        report(log);
        log->report_at_ns = now_ns + REPORT_INTERVAL_NS;
    }
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
