// The server's own log: one line per event on standard error, `key=value` separated by spaces.
//
//   time=2026-11-23T15:04:05.123Z level=info event=listening address=127.0.0.1:8000 cores=0-3
//
// Any thread may log at any time: a line is built on the caller's stack and leaves in one write, so
// there is no lock and lines are not mixed. Nobody ever waits here: while standard error takes
// nothing, lines are dropped, and `event=log_lost lines=N` says so afterwards. `errno` is unchanged
// by every call. (Access logs are not written here.)
#ifndef CV_BASE_LOG_H
#define CV_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/span.h"

#define CV_LOG_LINE_BYTES_MAX 1024u  // With the newline; a longer line is cut and ends in "...".
#define CV_LOG_QUOTE_BYTES_MIN 6u

enum cv_log_level { CV_LOG_ERROR, CV_LOG_WARN, CV_LOG_INFO, CV_LOG_DEBUG };

// Lines above this level are not written. Starts as CV_LOG_INFO.
void cv_log_set_level(enum cv_log_level level);

// Whether a line of this level would be written, to save the work of preparing it.
bool cv_log_enabled(enum cv_log_level level);

// Reads "error", "warn", "info" or "debug". Returns false, with `*level` unchanged, for other text.
bool cv_log_level_parse(struct cv_span text, enum cv_log_level *level);

// Writes one line. `event` is a plain word; `format` gives the `key=value` fields. Control bytes,
// and bytes above 126, are replaced by '?'. Text from outside goes through cv_log_quote first.
void cv_log(enum cv_log_level level, const char *event, const char *format, ...) CV_PRINTF(3, 4);

// Writes `text` to `out` between quotes, with quotes, backslashes and all but printable ASCII
// escaped (\" \\ \n \r \t \xNN), so it can end neither the value nor the line. What does not fit
// is cut, and "..." stands before the last quote. Always ends in NUL and returns `out`; `out_bytes`
// is at least CV_LOG_QUOTE_BYTES_MIN.
const char *cv_log_quote(char *out, size_t out_bytes, struct cv_span text);

#endif
