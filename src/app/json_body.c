// A request's body read into a struct, and the answers to bodies that cannot be.
#include <errno.h>

#include <covet/json.h>

#include "app/request.h"
#include "app/response.h"
#include "base/compiler.h"
#include "base/span.h"

static void *alloc(void *request, size_t bytes) {
    return covet_request_alloc(request, bytes);
}

// application/json, or a type whose structured syntax suffix says so (RFC 6839 section 3.1).
// Parameters mean nothing here: RFC 8259 section 11 defines none.
static bool is_json(struct covet_span type) {
    const char *end = type.length == 0 ? NULL : memchr(type.data, ';', type.length);
    struct cv_span name = cv_span_make(type.data, type.length);
    struct cv_span suffix;

    if (end != NULL)
        name.length = (size_t)(end - type.data);
    name = cv_span_trim(name);
    suffix = CV_SPAN("+json");
    if (name.length > suffix.length &&
        cv_span_equal_nocase(cv_span_make(name.data + name.length - suffix.length, suffix.length),
                             suffix))
        return true;
    return cv_span_equal_nocase(name, CV_SPAN("application/json"));
}

static int status_of(int error) {
    switch (error) {
    case -ENOTSUP:
        return 415;
    case -EBADMSG:
        return 400;
    case -EDOM:
        return 422;
    case -E2BIG:
        return 413;
    default:
        return 500;
    }
}

static void write_place(struct covet_json_writer *writer,
                        const struct covet_json_failure *failure) {
    if (failure->error != -EBADMSG && failure->error != -EDOM && failure->error != -E2BIG)
        return;
    (void)covet_json_write_key(writer, "offset");
    (void)covet_json_write_uint(writer, failure->offset);
    (void)covet_json_write_key(writer, "line");
    (void)covet_json_write_uint(writer, failure->line);
    (void)covet_json_write_key(writer, "column");
    (void)covet_json_write_uint(writer, failure->column);
    if (failure->path[0] != '\0') {
        (void)covet_json_write_key(writer, "path");
        (void)covet_json_write_text(writer, failure->path);
    }
}

// Answers with what is wrong; returns the error.
static int refuse(struct covet_request *request, const struct covet_json_failure *failure) {
    struct covet_response *response = covet_request_response(request);
    struct covet_json_writer writer;

    (void)covet_response_status(response, status_of(failure->error));
    covet_json_writer_init_request(&writer, request);
    (void)covet_json_write_object_begin(&writer);
    (void)covet_json_write_key(&writer, "error");
    (void)covet_json_write_object_begin(&writer);
    (void)covet_json_write_key(&writer, "message");
    (void)covet_json_write_text(&writer, failure->reason);
    write_place(&writer, failure);
    (void)covet_json_write_object_end(&writer);
    (void)covet_json_write_object_end(&writer);
    (void)covet_response_json_writer(response, &writer);
    return failure->error;
}

static int refuse_type(struct covet_request *request) {
    return refuse(request, &(struct covet_json_failure){
                               .error = -ENOTSUP,
                               .reason = "the Content-Type must be application/json",
                           });
}

static int refuse_description(struct covet_request *request, const char *reason) {
    cv_context_complain(request->worker, "json_description", "why=\"%s\"", reason);
    return refuse(request, &(struct covet_json_failure){
                               .error = -EINVAL,
                               .reason = "the server cannot read this",
                           });
}

int covet_request_json(struct covet_request *request, const struct covet_json *description,
                       void *target) {
    struct covet_span body = covet_request_body(request);
    struct covet_json_memory memory = {alloc, request, COVET_JSON_BODY_MEMORY_MAX};
    struct covet_json_failure failure;

    if (request->response.state != CV_RESPONSE_OPEN)
        return -EALREADY;
    if (!is_json(covet_request_header(request, "Content-Type")))
        return refuse_type(request);
    if (covet_json_parse(description, target, body.data == NULL ? "" : body.data, body.length,
                         &memory, 0, &failure) == 0)
        return 0;
    return failure.error == -EINVAL ? refuse_description(request, failure.reason)
                                    : refuse(request, &failure);
}
