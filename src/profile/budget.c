// Budgets: reading and judging. What cannot be measured is never within: an absent profiler or a
// load that did not come must not pass a test.
#include "profile/budget.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/span.h"
#include "profile/measure.h"

#define LINE_BYTES 256u
#define NUMBER_MAX 1e15
#define REQUESTS_PER_CONNECTION_MIN 10u

enum section { SECTION_NONE, SECTION_LOAD, SECTION_PER_1000, SECTION_ABSOLUTE, SECTION_COUNT };

static const char *const section_names[] = {
    [SECTION_LOAD] = "load",
    [SECTION_PER_1000] = "per_1000_requests",
    [SECTION_ABSOLUTE] = "absolute",
};

// Keys of [load], each of which is given once.
enum { KEY_REQUESTS = 1, KEY_CONNECTIONS = 2, KEY_KEEPALIVE = 4, KEY_SECONDS = 8 };

struct reading {
    struct cv_budget *budget;
    enum section section;
    unsigned sections_seen;  // one bit each
    unsigned keys_seen;
    char reason[160];
};

CV_COLD CV_PRINTF(2, 3) static int refuse(struct reading *reading, const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(reading->reason, sizeof(reading->reason), format, arguments);
    va_end(arguments);
    return -EINVAL;
}

static bool is_number(struct cv_span text) {
    unsigned points = 0;

    for (size_t i = 0; i < text.length; i++) {
        bool is_inside = i > 0 && i + 1 < text.length;
        char c = text.data[i];

        if (isdigit((unsigned char)c))
            continue;
        // Between two digits only, a point once.
        if (!is_inside || (c != '_' && c != '.') || !isdigit((unsigned char)text.data[i - 1]) ||
            !isdigit((unsigned char)text.data[i + 1]))
            return false;
        points += c == '.';
    }
    return text.length > 0 && points <= 1;
}

static int read_number(struct reading *reading, struct cv_span text, double *number) {
    char digits[LINE_BYTES];
    size_t length = 0;

    if (!is_number(text))
        return refuse(reading, "'%.*s' is no number of digits", (int)text.length, text.data);
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] != '_')
            digits[length++] = text.data[i];
    }
    digits[length] = '\0';
    double value = strtod(digits, NULL);
    if (value > NUMBER_MAX)
        return refuse(reading, "%s is too large", digits);
    *number = value;
    return 0;
}

static int read_count(struct reading *reading, struct cv_span text, uint64_t *count) {
    double number;
    int result = read_number(reading, text, &number);

    if (result != 0)
        return result;
    if (number < 1 || number != (double)(uint64_t)number)
        return refuse(reading, "%.*s is no whole number from 1", (int)text.length, text.data);
    *count = (uint64_t)number;
    return 0;
}

static int read_bool(struct reading *reading, struct cv_span text, bool *value) {
    bool is_true = cv_span_equal(text, CV_SPAN("true"));

    if (!is_true && !cv_span_equal(text, CV_SPAN("false")))
        return refuse(reading, "'%.*s' is not true or false", (int)text.length, text.data);
    *value = is_true;
    return 0;
}

static int once(struct reading *reading, unsigned key, const char *name) {
    if ((reading->keys_seen & key) != 0)
        return refuse(reading, "%s is given twice", name);
    reading->keys_seen |= key;
    return 0;
}

static int set_load(struct reading *reading, const char *key, struct cv_span value) {
    struct cv_budget *budget = reading->budget;
    int result;

    if (strcmp(key, "requests") == 0) {
        result = once(reading, KEY_REQUESTS, key);
        return result != 0 ? result : read_count(reading, value, &budget->requests_min);
    }
    if (strcmp(key, "connections") == 0) {
        result = once(reading, KEY_CONNECTIONS, key);
        return result != 0 ? result : read_count(reading, value, &budget->connections_min);
    }
    if (strcmp(key, "keepalive") == 0) {
        result = once(reading, KEY_KEEPALIVE, key);
        return result != 0 ? result : read_bool(reading, value, &budget->is_keepalive);
    }
    if (strcmp(key, "seconds") != 0)
        return refuse(reading, "[load] has no %s; it has requests, connections, keepalive, seconds",
                      key);
    result = once(reading, KEY_SECONDS, key);
    if (result == 0)
        result = read_number(reading, value, &budget->seconds);
    if (result == 0 && (budget->seconds <= 0 || budget->seconds > CV_WINDOW_SECONDS_MAX))
        result = refuse(reading, "seconds are above 0 and up to %.0f", CV_WINDOW_SECONDS_MAX);
    return result;
}

static int add_limit(struct reading *reading, const char *key, struct cv_span value) {
    struct cv_budget *budget = reading->budget;
    struct cv_budget_limit limit = {.is_absolute = reading->section == SECTION_ABSOLUTE};

    if (!cv_measure_exists(key))
        return refuse(reading, "there is no measure %s", key);
    for (size_t i = 0; i < budget->limit_count; i++) {
        if (strcmp(budget->limits[i].name, key) == 0 &&
            budget->limits[i].is_absolute == limit.is_absolute)
            return refuse(reading, "%s is given twice", key);
    }
    if (budget->limit_count == CV_BUDGET_LIMITS_MAX)
        return refuse(reading, "more than %u limits", CV_BUDGET_LIMITS_MAX);
    int result = read_number(reading, value, &limit.allowed);
    if (result == 0) {
        snprintf(limit.name, sizeof(limit.name), "%s", key);
        budget->limits[budget->limit_count++] = limit;
    }
    return result;
}

static int take_section(struct reading *reading, struct cv_span line) {
    struct cv_span name = cv_span_trim(cv_span_make(line.data + 1, line.length - 2));

    if (line.data[line.length - 1] != ']')
        return refuse(reading, "a section's name ends in ]");
    for (enum section i = SECTION_LOAD; i < SECTION_COUNT; i++) {
        if (!cv_span_equal(name, cv_span_of(section_names[i])))
            continue;
        if ((reading->sections_seen >> i & 1) != 0)
            return refuse(reading, "[%s] is there twice", section_names[i]);
        reading->sections_seen |= 1u << i;
        reading->section = i;
        return 0;
    }
    return refuse(reading,
                  "there is no section [%.*s]; there are load, per_1000_requests, absolute",
                  (int)name.length, name.data);
}

static int take_line(struct reading *reading, struct cv_span line) {
    const char *comment = memchr(line.data, '#', line.length);
    char key[CV_BUDGET_NAME_BYTES];

    // No value here is a text, so a '#' always begins a comment.
    if (comment != NULL)
        line.length = (size_t)(comment - line.data);
    line = cv_span_trim(line);
    if (line.length == 0)
        return 0;
    if (line.data[0] == '[' && line.length > 1)
        return take_section(reading, line);
    const char *equals = memchr(line.data, '=', line.length);
    if (equals == NULL)
        return refuse(reading, "neither [section] nor name = number");
    struct cv_span name = cv_span_trim(cv_span_make(line.data, (size_t)(equals - line.data)));
    struct cv_span value =
        cv_span_trim(cv_span_make(equals + 1, line.length - (size_t)(equals + 1 - line.data)));
    if (name.length == 0 || name.length >= sizeof(key))
        return refuse(reading, "there is no measure '%.*s'", (int)CV_MIN(name.length, 60),
                      name.data);
    memcpy(key, name.data, name.length);
    key[name.length] = '\0';
    if (reading->section == SECTION_NONE)
        return refuse(reading, "%s stands before the first [section]", key);
    return reading->section == SECTION_LOAD ? set_load(reading, key, value)
                                            : add_limit(reading, key, value);
}

static int read_lines(struct reading *reading, FILE *file, unsigned *number) {
    char line[LINE_BYTES];

    while (fgets(line, sizeof(line), file) != NULL) {
        size_t length = strcspn(line, "\r\n");

        ++*number;
        if (length == sizeof(line) - 1)
            return refuse(reading, "a line of more than %u bytes", LINE_BYTES - 2);
        int result = take_line(reading, cv_span_make(line, length));
        if (result != 0)
            return result;
    }
    return ferror(file) ? -EIO : 0;
}

int cv_budget_read(struct cv_budget *budget, const char *path, char *message,
                   size_t message_bytes) {
    struct cv_budget read = {.requests_min = 1};
    struct reading reading = {.budget = &read};
    unsigned number = 0;
    FILE *file = fopen(path, "re");

    if (file == NULL) {
        int error = errno;
        snprintf(message, message_bytes, "%s: %s", path, strerror(error));
        return -error;
    }
    int result = read_lines(&reading, file, &number);
    fclose(file);
    if (result == -EINVAL) {
        snprintf(message, message_bytes, "%s:%u: %s", path, number, reading.reason);
    } else if (result != 0) {
        snprintf(message, message_bytes, "%s: %s", path, strerror(-result));
    } else if (read.limit_count == 0) {
        snprintf(message, message_bytes, "%s: it sets no limit", path);
        result = -EINVAL;
    } else {
        *budget = read;
    }
    return result;
}

static bool has_load(const struct cv_budget *budget, const struct cv_snapshot_worker *total,
                     const struct cv_window_peak *peak, char *message, size_t message_bytes) {
    uint64_t requests = total->counter[COVET_COUNTER_REQUESTS];
    uint64_t accepted = total->counter[COVET_COUNTER_CONNECTIONS_ACCEPTED];

    message[0] = '\0';
    if (requests < budget->requests_min)
        snprintf(message, message_bytes, "%" PRIu64 " requests came, the budget asks for %" PRIu64,
                 requests, budget->requests_min);
    else if (peak->connections_open < budget->connections_min)
        snprintf(message, message_bytes,
                 "%" PRIu64 " connections were open, the budget asks for %" PRIu64,
                 peak->connections_open, budget->connections_min);
    else if (budget->is_keepalive && accepted > requests / REQUESTS_PER_CONNECTION_MIN)
        snprintf(message, message_bytes,
                 "%" PRIu64 " connections for %" PRIu64 " requests are no keep-alive load",
                 accepted, requests);
    return message[0] == '\0';
}

static struct cv_budget_line judge(const struct cv_budget_limit *limit,
                                   const struct cv_snapshot *change,
                                   const struct cv_snapshot_worker *total) {
    uint64_t requests = total->counter[COVET_COUNTER_REQUESTS];
    struct cv_budget_line line = {.verdict = CV_BUDGET_UNMEASURED};
    struct cv_measure measure;

    if (cv_measure_read(&measure, change, total, limit->name) == CV_MEASURE_OK) {
        line.measured = limit->is_absolute ? (double)measure.count
                                           : cv_measure_per_1000(measure.count, requests);
        line.verdict = line.measured <= limit->allowed ? CV_BUDGET_WITHIN : CV_BUDGET_OVER;
    }
    line.level_needed = measure.level_needed;
    return line;
}

enum cv_budget_verdict cv_budget_judge(const struct cv_budget *budget,
                                       const struct cv_snapshot *change,
                                       const struct cv_window_peak *peak,
                                       struct cv_budget_line lines[CV_BUDGET_LIMITS_MAX],
                                       char *message, size_t message_bytes) {
    enum cv_budget_verdict verdict = CV_BUDGET_WITHIN;
    struct cv_snapshot_worker total;

    cv_snapshot_total(change, &total);
    bool is_loaded = has_load(budget, &total, peak, message, message_bytes);
    for (size_t i = 0; i < budget->limit_count; i++) {
        lines[i] = judge(&budget->limits[i], change, &total);
        if (lines[i].verdict == CV_BUDGET_OVER)
            verdict = CV_BUDGET_OVER;
        else if (lines[i].verdict == CV_BUDGET_UNMEASURED && verdict == CV_BUDGET_WITHIN)
            verdict = CV_BUDGET_UNMEASURED;
    }
    return is_loaded ? verdict : CV_BUDGET_UNMEASURED;
}
