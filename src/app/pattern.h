// Route patterns (<covet/app.h> describes them), checked and brought into the form they are sorted
// and compiled in.
#ifndef CV_APP_PATTERN_H
#define CV_APP_PATTERN_H

#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

#define CV_PATTERN_PARAMS_MAX 16u
#define CV_PATTERN_SEGMENTS_MAX 64u
#define CV_PATTERN_BYTES_MAX 1023u
#define CV_PATTERN_NAME_BYTES_MAX 63u

// In a key a parameter is this byte, which no text may hold and which sorts behind all others, and
// one that says which kind.
#define CV_PATTERN_PARAM '\xff'
enum cv_pattern_kind {
    CV_PATTERN_INT = 'i',
    CV_PATTERN_NAME = 'n',
    CV_PATTERN_REST = 'r',
};

struct cv_pattern {
    // The pattern with every parameter cut down to its kind, "/users/*i/*r" for
    // "/users/{id:int}/{rest...}" if * stands for the byte above: two patterns match the same paths
    // when their keys are equal. It ends in NUL, and no key holds another one.
    char key[CV_PATTERN_BYTES_MAX + 1];
    uint32_t key_bytes;
    uint32_t param_count;
    struct cv_span param_name[CV_PATTERN_PARAMS_MAX];  // Into the text.
};

// Reads `text`. Returns NULL, or what is wrong with it (static text).
const char *cv_pattern_parse(struct cv_pattern *pattern, const char *text);

#endif
