// The end of a process that found its own state broken: one log line, then abort.
#include "base/assert.h"

#include <stdlib.h>

#include "base/log.h"

void cv_assert_fail(const char *condition, const char *file, int line) {
    char quoted[256];

    cv_log(CV_LOG_ERROR, "assertion_failed", "condition=%s file=%s line=%d",
           cv_log_quote(quoted, sizeof(quoted), cv_span_of(condition)), file, line);
    abort();
}
