// Streamed answers (<covet/response.h>). What was announced is kept: a stream that is too long is
// refused and one that ends too early cuts the connection, so that no client takes a part for the
// whole.
//
// A stream whose body is not to be sent (HEAD, 204, 205, 304) runs like any other for the handler,
// but the sink sees one answer without a body, at the end: only then is the request free to go.
#include <errno.h>

#include "app/request.h"
#include "app/response.h"

_Static_assert(COVET_HIGH_WATER_BYTES == CV_SINK_HIGH_WATER_BYTES, "one mark, documented");

int covet_response_begin(struct covet_response *response, const char *type, uint64_t length) {
    struct covet_request *request = cv_response_request(response);
    if (response->state != CV_RESPONSE_OPEN)
        return -EALREADY;
    struct cv_span type_span = cv_response_take_type(response, type);
    if (!cv_response_leave(response))
        return cv_response_send_refused(response);
    response->state = CV_RESPONSE_STREAM;
    response->length_known = length != COVET_LENGTH_UNKNOWN;
    response->length = length;
    response->written = 0;
    response->queued = 0;
    response->bodiless = !cv_response_has_body(response);
    if (response->bodiless) {
        char *copy = cv_arena_copy(&request->arena, type_span);

        if (copy == NULL) {
            cv_response_complain(response, CV_SPAN("Content-Type"), cv_response_why(-ENOMEM));
            return cv_response_send_refused(response);
        }
        if (response->head.content_type.length == 0)
            response->head.content_type = cv_span_make(copy, type_span.length);
    } else {
        cv_response_fill_head(response, type_span, length);
        if (!response->length_known)
            response->head.body = CV_HEAD_CHUNKED;
        request->in_sink = true;
        request->sink->ops->begin(request->sink, &response->head);
        request->in_sink = false;
    }
    return request->aborted ? -ECONNRESET : 0;
}

static int check_stream(const struct covet_response *response) {
    if (response->state == CV_RESPONSE_STREAM)
        return 0;
    return response->state == CV_RESPONSE_SENT ? -EALREADY : -EINVAL;
}

static void queue(struct covet_request *request, struct cv_span data) {
    request->in_sink = true;
    request->response.queued = request->sink->ops->write(request->sink, data);
    request->in_sink = false;
}

static bool is_queue_full(struct covet_request *request) {
    if (request->response.queued <= COVET_QUEUE_BYTES_MAX)
        return false;
    queue(request, (struct cv_span){0});
    return request->response.queued > COVET_QUEUE_BYTES_MAX;
}

int64_t covet_response_write(struct covet_response *response, const void *data, size_t length) {
    struct covet_request *request = cv_response_request(response);
    int error = check_stream(response);

    if (error != 0)
        return error;
    if (data == NULL && length > 0)
        return -EINVAL;
    if (request->aborted)
        return -ECONNRESET;
    if (response->length_known && length > response->length - response->written)
        return -EMSGSIZE;
    if (response->bodiless) {
        response->written += length;
        return 0;
    }
    if (is_queue_full(request))
        return -EAGAIN;
    response->written += length;
    queue(request, cv_span_make(data, length));
    return request->aborted ? -ECONNRESET : (int64_t)response->queued;
}

void covet_response_on_drain(struct covet_response *response, covet_drain_fn on_drain,
                             void *context) {
    struct covet_request *request = cv_response_request(response);

    request->on_drain = on_drain;
    request->on_drain_context = context;
}

int covet_response_trailer(struct covet_response *response, const char *name, const char *value) {
    struct covet_request *request = cv_response_request(response);
    struct cv_span name_span;
    int error;

    if (name == NULL || value == NULL)
        return -EINVAL;
    if (response->state == CV_RESPONSE_SENT)
        return -EALREADY;
    name_span = cv_span_of(name);
    if (cv_lines_is_forbidden_trailer(name_span)) {
        cv_response_complain(response, name_span, "it means nothing behind a body");
        return -EBADMSG;
    }
    error = cv_lines_append(&response->trailers, &request->arena, name_span,
                            cv_span_trim(cv_span_of(value)));
    if (error != 0) {
        cv_response_complain(response, name_span, cv_response_why(error));
        return -EBADMSG;
    }
    return 0;
}

static int end_bodiless(struct covet_response *response, struct cv_sink *sink) {
    struct cv_head *head = &response->head;
    int result;

    cv_response_fill_head(response, (struct cv_span){0}, response->length);
    if (!response->length_known && head->body == CV_HEAD_LENGTH && head->status != 205)
        head->body = CV_HEAD_NONE;
    result = cv_response_finish(response);
    sink->ops->answer(sink, head, (struct cv_span){0}, CV_BODY_COPY);
    return result;
}

int covet_response_end(struct covet_response *response) {
    struct covet_request *request = cv_response_request(response);
    struct cv_sink *sink = request->sink;
    int result = check_stream(response);

    if (result != 0)
        return result;
    if (response->bodiless)
        return end_bodiless(response, sink);
    if (response->length_known && response->written < response->length) {
        bool aborted = request->aborted;

        if (!aborted)
            cv_context_complain(request->worker, "stream_short", "announced=%llu written=%llu",
                                (unsigned long long)response->length,
                                (unsigned long long)response->written);
        cv_response_finish(response);
        sink->ops->abort(sink);
        return aborted ? -ECONNRESET : -EPROTO;
    }
    struct cv_span trailers = cv_lines_span(&response->trailers);
    result = cv_response_finish(response);
    sink->ops->end(sink, trailers);
    return result;
}

int covet_response_cancel(struct covet_response *response) {
    struct cv_sink *sink = cv_response_request(response)->sink;
    int result;

    if (response->state == CV_RESPONSE_SENT || response->state == CV_RESPONSE_LEAVING)
        return -EALREADY;
    result = cv_response_finish(response);
    sink->ops->abort(sink);
    return result;
}
