// The configuration file: `key = value` lines. Blank lines are skipped; '#' at the start of a line
// or behind white space begins a comment. Keys and values are trimmed; a value may be empty.
#ifndef CV_CLI_CONFIG_H
#define CV_CLI_CONFIG_H

#include <stddef.h>

#include "base/compiler.h"

#define CV_CONFIG_LINE_BYTES_MAX 1024u
#define CV_CONFIG_LINES_MAX 10000u

// Takes one line's key and value. Returns 0, or -EINVAL with a sentence in `reason`.
typedef int (*cv_config_fn)(void *context, const char *key, const char *value, char *reason,
                            size_t reason_bytes);

// Reads the file and calls `set` for each key in order. Returns 0, or a negative errno value with
// `FILE:LINE: reason` (or `FILE: reason` when it cannot be read) in `message`.
CV_MUST_USE int cv_config_read(const char *path, cv_config_fn set, void *context, char *message,
                               size_t message_bytes);

#endif
