// Status, fields and whole answers; streams are in stream.c, which shares finishing with this file.
//
// One rule keeps what an application says from becoming protocol: every field passes
// cv_lines_append or is refused, and a response with a refused field is not sent, but a 500 in its
// place. Every way to finish reads what it still needs before it calls the sink, since the request
// may be gone after that.
#include "app/response.h"

#include <errno.h>
#include <stdio.h>

#include "app/middleware.h"
#include "app/request.h"
#include "base/assert.h"
#include "base/log.h"
#include "http/headers.h"

#define NOTHING ((struct cv_span){0})
#define TEXT_TYPE CV_SPAN("text/plain; charset=utf-8")
#define ERROR_TYPE CV_SPAN("text/plain")
#define JSON_TYPE CV_SPAN("application/json")
#define FAILURE_TEXT CV_SPAN("500 Internal Server Error\n")
#define ERROR_TEXT_BYTES 80u

struct covet_request *cv_response_request(struct covet_response *response) {
    return CV_CONTAINER_OF(response, struct covet_request, response);
}

// The way out.

static bool is_head_open(const struct covet_response *response) {
    return response->state == CV_RESPONSE_OPEN || response->state == CV_RESPONSE_LEAVING;
}

bool cv_response_leave(struct covet_response *response) {
    struct covet_request *request = cv_response_request(response);

    response->state = CV_RESPONSE_LEAVING;
    if (request->entered > 0)
        cv_middleware_leave(request);
    return !response->refused;
}

static bool has_content(uint16_t status) {
    return status == 200 || (cv_head_allows_body(status) && status != 205);
}

bool cv_response_has_body(struct covet_response *response) {
    return cv_response_request(response)->head->method != CV_METHOD_HEAD &&
           has_content(response->head.status);
}

// Returns whether such an answer has content.
static inline bool fill_head(struct covet_response *response, struct cv_span type,
                             uint64_t length) {
    struct cv_head *head = &response->head;

    if (head->content_type.length == 0)
        head->content_type = type;
    head->fields = cv_lines_span(&response->fields);
    head->content_length = length;
    head->body = CV_HEAD_LENGTH;
    if (CV_LIKELY(has_content(head->status)))
        return true;
    // 205 announces that there is nothing (RFC 9110 section 15.3.6); 204 and 304 do not.
    head->content_type = NOTHING;
    if (head->status == 205)
        head->content_length = 0;
    else
        head->body = CV_HEAD_NONE;
    return false;
}

void cv_response_fill_head(struct covet_response *response, struct cv_span type, uint64_t length) {
    (void)fill_head(response, type, length);
}

int cv_response_finish(struct covet_response *response) {
    struct covet_request *request = cv_response_request(response);

    response->state = CV_RESPONSE_SENT;
    request->state = CV_REQUEST_FINISHED;
    return request->aborted ? -ECONNRESET : 0;
}

// Sends head and body of a response whose way out is over.
static CV_ALWAYS_INLINE int send(struct covet_response *response, struct cv_span type,
                                 struct cv_span body, enum cv_body_lifetime lifetime) {
    struct covet_request *request = cv_response_request(response);
    struct cv_sink *sink = request->sink;
    bool has_content = fill_head(response, type, body.length);
    int result = cv_response_finish(response);

    if (CV_UNLIKELY(!has_content || request->head->method == CV_METHOD_HEAD))
        body = NOTHING;
    sink->ops->answer(sink, &response->head, body, lifetime);
    return result;
}

CV_COLD int cv_response_send_refused(struct covet_response *response) {
    response->head.status = 500;
    response->fields = (struct cv_lines){0};
    response->head.content_type = NOTHING;
    send(response, ERROR_TYPE, FAILURE_TEXT, CV_BODY_REQUEST);
    return -EBADMSG;
}

// With middleware on the way out, or a refused field.
static CV_NOINLINE int answer_unusual(struct covet_response *response, struct cv_span type,
                                      struct cv_span body, enum cv_body_lifetime lifetime) {
    if (!cv_response_leave(response))
        return cv_response_send_refused(response);
    return send(response, type, body, lifetime);
}

static int answer(struct covet_response *response, struct cv_span type, struct cv_span body,
                  enum cv_body_lifetime lifetime) {
    if (response->state != CV_RESPONSE_OPEN)
        return -EALREADY;
    if (CV_UNLIKELY(cv_response_request(response)->entered > 0 || response->refused))
        return answer_unusual(response, type, body, lifetime);
    return send(response, type, body, lifetime);
}

int cv_response_fail(struct covet_response *response) {
    response->refused = true;
    return answer(response, NOTHING, NOTHING, CV_BODY_COPY);
}

static int answer_error(struct covet_response *response, uint16_t status) {
    struct cv_span reason = cv_head_reason(status);
    char text[ERROR_TEXT_BYTES];
    int length;

    if (response->state != CV_RESPONSE_OPEN)
        return -EALREADY;
    response->head.status = status;
    length = snprintf(text, sizeof(text), "%u %.*s\n", status, (int)reason.length, reason.data);
    CV_ASSERT(length > 0 && (size_t)length < sizeof(text));
    return answer(response, ERROR_TYPE, cv_span_make(text, (size_t)length), CV_BODY_COPY);
}

void cv_response_send_error(struct covet_response *response, uint16_t status) {
    answer_error(response, status);
}

void cv_response_send_allow(struct covet_response *response, uint16_t status, uint16_t methods) {
    struct covet_request *request = cv_response_request(response);
    char text[CV_ROUTER_ALLOW_BYTES_MAX];

    if (cv_lines_append(&response->fields, &request->arena, CV_SPAN("Allow"),
                        cv_router_allow_text(methods, text)) != 0)
        response->refused = true;
    response->head.status = status;
    if (status == 204)
        answer(response, NOTHING, NOTHING, CV_BODY_COPY);
    else
        answer_error(response, status);
}

void cv_response_send_failure(struct covet_response *response) {
    if (response->state != CV_RESPONSE_OPEN || answer_error(response, 500) == -EALREADY)
        covet_response_cancel(response);
}

// Fields.

CV_COLD void cv_response_complain(struct covet_response *response, struct cv_span name,
                                  const char *why) {
    char quoted[128];

    cv_context_complain(cv_response_request(response)->worker, "field_refused",
                        "name=%s why=\"%s\"", cv_log_quote(quoted, sizeof(quoted), name), why);
}

static CV_COLD int refuse(struct covet_response *response, struct cv_span name, const char *why) {
    response->refused = true;
    cv_response_complain(response, name, why);
    return -EBADMSG;
}

const char *cv_response_why(int error) {
    switch (error) {
    case -EBADMSG:
        return "its name or value cannot be sent";
    case -E2BIG:
        return "too many bytes of fields";
    default:
        return "no memory";
    }
}

static int set_content_type(struct covet_response *response, struct cv_span name,
                            struct cv_span value) {
    char *copy;

    if (!cv_headers_is_value(value) || value.length == 0)
        return refuse(response, name, cv_response_why(-EBADMSG));
    if (value.length > CV_LINES_BYTES_MAX)
        return refuse(response, name, cv_response_why(-E2BIG));
    copy = cv_arena_copy(&cv_response_request(response)->arena, value);
    if (copy == NULL)
        return refuse(response, name, cv_response_why(-ENOMEM));
    response->head.content_type = cv_span_make(copy, value.length);
    return 0;
}

static int add_field(struct covet_response *response, struct cv_span name, struct cv_span value) {
    int error;

    if (!is_head_open(response))
        return -EALREADY;
    value = cv_span_trim(value);
    if (cv_lines_is_owned(name))
        return refuse(response, name, "the server writes it");
    if (cv_span_equal_nocase(name, CV_SPAN("content-type")))
        return set_content_type(response, name, value);
    error = cv_lines_append(&response->fields, &cv_response_request(response)->arena, name, value);
    return error == 0 ? 0 : refuse(response, name, cv_response_why(error));
}

int covet_response_header(struct covet_response *response, const char *name, const char *value) {
    if (name == NULL || value == NULL)
        return -EINVAL;
    return add_field(response, cv_span_of(name), cv_span_of(value));
}

int covet_response_header_span(struct covet_response *response, const char *name,
                               struct covet_span value) {
    if (name == NULL || (value.data == NULL && value.length > 0))
        return -EINVAL;
    return add_field(response, cv_span_of(name), cv_span_make(value.data, value.length));
}

int covet_response_status(struct covet_response *response, int status) {
    if (status < 200 || status > 599)
        return -EINVAL;
    if (!is_head_open(response))
        return -EALREADY;
    response->head.status = (uint16_t)status;
    return 0;
}

int covet_response_get_status(const struct covet_response *response) {
    return response->head.status;
}

// Answers.

static inline struct cv_span take_type(struct covet_response *response, const char *type) {
    size_t length = type == NULL ? 0 : cv_headers_value_length(type);

    if (CV_LIKELY(length != SIZE_MAX))
        return cv_span_make(type, length);
    refuse(response, CV_SPAN("Content-Type"), cv_response_why(-EBADMSG));
    return NOTHING;
}

struct cv_span cv_response_take_type(struct covet_response *response, const char *type) {
    return take_type(response, type);
}

int covet_response_body(struct covet_response *response, const char *type, const void *data,
                        size_t length, enum covet_lifetime lifetime) {
    if ((data == NULL && length > 0) || (unsigned)lifetime > COVET_REQUEST)
        return -EINVAL;
    if (response->state != CV_RESPONSE_OPEN)
        return -EALREADY;
    // A type that cannot be sent is refused; answering then sends the 500.
    return answer(response, take_type(response, type), cv_span_make(data, length),
                  lifetime == COVET_COPY ? CV_BODY_COPY : CV_BODY_REQUEST);
}

int covet_response_bytes(struct covet_response *response, const char *type, const void *data,
                         size_t length) {
    return covet_response_body(response, type, data, length, COVET_COPY);
}

int covet_response_text(struct covet_response *response, const char *text) {
    return text == NULL ? -EINVAL : answer(response, TEXT_TYPE, cv_span_of(text), CV_BODY_COPY);
}

int covet_response_json(struct covet_response *response, const char *json) {
    return json == NULL ? -EINVAL : answer(response, JSON_TYPE, cv_span_of(json), CV_BODY_COPY);
}

int covet_response_empty(struct covet_response *response) {
    if (response->state != CV_RESPONSE_OPEN)
        return -EALREADY;
    if (response->head.status == 200)
        response->head.status = 204;
    return answer(response, NOTHING, NOTHING, CV_BODY_COPY);
}

int covet_response_error(struct covet_response *response, int status) {
    return status < 400 || status > 599 ? -EINVAL : answer_error(response, (uint16_t)status);
}

int covet_response_redirect(struct covet_response *response, int status, const char *location) {
    bool is_redirect =
        status == 301 || status == 302 || status == 303 || status == 307 || status == 308;

    if (!is_redirect || location == NULL)
        return -EINVAL;
    if (response->state != CV_RESPONSE_OPEN)
        return -EALREADY;
    response->head.status = (uint16_t)status;
    add_field(response, CV_SPAN("Location"), cv_span_of(location));
    return answer(response, NOTHING, NOTHING, CV_BODY_COPY);
}
