// Log lines. A line is short enough for a stack buffer and is written by a single call, which is
// what keeps lines of different threads and processes apart without a lock. A write that fails or
// is short is not repeated, and one that would wait (a full pipe that nobody reads) is not made:
// waiting here would stop a worker. Lines lost so are counted, and the count is a line of its own
// once there is room again.
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/nowait.h"

static const char *const level_names[] = {
    [CV_LOG_ERROR] = "error",
    [CV_LOG_WARN] = "warn",
    [CV_LOG_INFO] = "info",
    [CV_LOG_DEBUG] = "debug",
};

static enum cv_log_level level_max = CV_LOG_INFO;
static uint64_t lost_count;  // Lines since the last one that says how many; any thread.

void cv_log_set_level(enum cv_log_level level) {
    __atomic_store_n(&level_max, level, __ATOMIC_RELAXED);
}

bool cv_log_enabled(enum cv_log_level level) {
    return level <= __atomic_load_n(&level_max, __ATOMIC_RELAXED);
}

bool cv_log_level_parse(struct cv_span text, enum cv_log_level *level) {
    for (size_t i = 0; i < CV_ARRAY_COUNT(level_names); i++) {
        if (cv_span_equal(text, cv_span_of(level_names[i]))) {
            *level = (enum cv_log_level)i;
            return true;
        }
    }
    return false;
}

// What snprintf returned, as the bytes that are now in a buffer of `room` bytes.
static size_t written(int result, size_t room) {
    if (result < 0 || room == 0)
        return 0;
    return CV_MIN((size_t)result, room - 1);
}

static void replace_control_bytes(char *text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (text[i] < ' ' || text[i] > '~')
            text[i] = '?';
    }
}

static bool put(const char *line, size_t length) {
    return cv_nowait_write(STDERR_FILENO, line, length) != -EAGAIN;
}

static void count_lost(uint64_t lines) {
    __atomic_add_fetch(&lost_count, lines, __ATOMIC_RELAXED);
}

static void tell_lost(const char *time) {
    char line[128];
    if (CV_LIKELY(__atomic_load_n(&lost_count, __ATOMIC_RELAXED) == 0)) {
        return;
    }
    uint64_t lines = __atomic_exchange_n(&lost_count, 0, __ATOMIC_RELAXED);
    int length = snprintf(line, sizeof(line), "time=%s level=warn event=log_lost lines=%llu\n",
                          time, (unsigned long long)lines);
    if (lines > 0 && !put(line, (size_t)length)) {
        count_lost(lines);
    }
}

void cv_log(enum cv_log_level level, const char *event, const char *format, ...) {
    char line[CV_LOG_LINE_BYTES_MAX + 1];  // One more for the NUL that becomes the newline.
    size_t room = CV_LOG_LINE_BYTES_MAX;
    int saved_errno = errno;
    char time[CV_CLOCK_ISO_BYTES + 1];
    va_list fields;

    if (!cv_log_enabled(level))
        return;
    cv_clock_format_iso(time, cv_clock_realtime_ms());
    size_t length = written(
        snprintf(line, room, "time=%s level=%s event=%s ", time, level_names[level], event), room);
    errno = saved_errno;  // For %m.
    va_start(fields, format);
    int fields_length = vsnprintf(line + length, room - length, format, fields);
    va_end(fields);

    bool cut = fields_length >= 0 && (size_t)fields_length >= room - length;
    length += written(fields_length, room - length);
    if (cut)
        memcpy(line + length - 3, "...", 3);
    while (length > 0 && line[length - 1] == ' ')
        length--;
    replace_control_bytes(line, length);
    line[length++] = '\n';
    if (put(line, length)) {
        tell_lost(time);
    } else {
        count_lost(1);
    }
    errno = saved_errno;
}

// The letter that stands for `byte` behind a backslash; 0 when there is none.
static char escape_letter(char byte) {
    switch (byte) {
    case '"':
    case '\\':
        return byte;
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return 0;
    }
}

// Writes the escaped form of `byte` and returns its length, at most 4.
static size_t escape(char out[4], char byte) {
    static const char hex[] = "0123456789abcdef";
    char letter = escape_letter(byte);

    if (letter == 0 && byte >= ' ' && byte <= '~') {
        out[0] = byte;
        return 1;
    }
    out[0] = '\\';
    out[1] = letter != 0 ? letter : 'x';
    out[2] = hex[(unsigned char)byte >> 4];
    out[3] = hex[(unsigned char)byte & 15];
    return letter != 0 ? 2 : 4;
}

const char *cv_log_quote(char *out, size_t out_bytes, struct cv_span text) {
    static const char cut_end[] = "...\"";
    size_t length = 0;
    size_t cut_length = 1;  // Where the text may end and leave room for `cut_end`.

    CV_ASSERT(out_bytes >= CV_LOG_QUOTE_BYTES_MIN);
    out[length++] = '"';
    for (size_t i = 0; i < text.length; i++) {
        char bytes[4];
        size_t count = escape(bytes, text.data[i]);

        if (length + count + 2 > out_bytes) {
            memcpy(out + cut_length, cut_end, sizeof(cut_end));
            return out;
        }
        memcpy(out + length, bytes, count);
        length += count;
        if (length + sizeof(cut_end) <= out_bytes)
            cut_length = length;
    }
    out[length++] = '"';
    out[length] = '\0';
    return out;
}
