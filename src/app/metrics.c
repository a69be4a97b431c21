// The exposition is gathered in a buffer of the worker's pool, since its length must be known
// first.
#include <covet/metrics.h>

#include <covet/app.h>

#include "app/request.h"
#include "base/clock.h"
#include "mem/buffer.h"
#include "metrics/exposition.h"

struct gathering {
    struct cv_buffer buffer;
    struct cv_pool *pool;
};

static int gather(void *context, struct cv_span text) {
    struct gathering *gathering = context;

    return cv_buffer_append(&gathering->buffer, gathering->pool, text.data, text.length);
}

int covet_metrics_respond(struct covet_response *response) {
    struct cv_env *env = cv_response_request(response)->worker->env;
    struct gathering gathering = {.pool = env->pool};
    int result = cv_exposition_write(env->all_stats, COVET_VERSION, cv_clock_monotonic_ns(), gather,
                                     &gathering);

    if (result == 0) {
        struct cv_span text = cv_buffer_span(&gathering.buffer);

        result =
            covet_response_bytes(response, CV_OPENMETRICS_CONTENT_TYPE, text.data, text.length);
    } else {
        result = covet_response_error(response, 500);
    }
    cv_buffer_clear(&gathering.buffer, gathering.pool);
    return result;
}
