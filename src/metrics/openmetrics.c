// A line is formatted in place behind the others, for which the piece keeps room for one more.
#include "metrics/openmetrics.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/assert.h"

static void flush(struct cv_openmetrics *out) {
    if (out->result == 0 && out->length > 0)
        out->result = out->write(out->context, cv_span_make(out->piece, out->length));
    out->length = 0;
}

void cv_openmetrics_line(struct cv_openmetrics *out, const char *format, ...) {
    va_list arguments;

    if (CV_OPENMETRICS_PIECE_BYTES_MAX - out->length < CV_OPENMETRICS_LINE_BYTES_MAX)
        flush(out);
    va_start(arguments, format);
    int length =
        vsnprintf(out->piece + out->length, CV_OPENMETRICS_LINE_BYTES_MAX, format, arguments);
    va_end(arguments);
    CV_ASSERT(length >= 0 && (size_t)length < CV_OPENMETRICS_LINE_BYTES_MAX);
    out->length += (size_t)length;
    out->piece[out->length++] = '\n';
}

static bool ends_with(struct cv_span text, struct cv_span end) {
    return text.length >= end.length &&
           cv_span_equal(cv_span_make(text.data + text.length - end.length, end.length), end);
}

void cv_openmetrics_family(struct cv_openmetrics *out, struct cv_span name, const char *type,
                           const char *help) {
    int length = (int)name.length;

    cv_openmetrics_line(out, "# TYPE covet_%.*s %s", length, name.data, type);
    if (ends_with(name, CV_SPAN("_bytes")))
        cv_openmetrics_line(out, "# UNIT covet_%.*s bytes", length, name.data);
    else if (ends_with(name, CV_SPAN("_seconds")))
        cv_openmetrics_line(out, "# UNIT covet_%.*s seconds", length, name.data);
    cv_openmetrics_line(out, "# HELP covet_%.*s %s", length, name.data, help);
}

int cv_openmetrics_finish(struct cv_openmetrics *out) {
    cv_openmetrics_line(out, "# EOF");
    flush(out);
    return out->result;
}
