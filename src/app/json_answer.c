// Answers written as JSON straight into the request's memory, where they stay until they are sent.
#include <errno.h>

#include <covet/json.h>

#include "app/request.h"
#include "app/response.h"
#include "base/compiler.h"

// A first guess at an object's texts and arrays. What is left over is small change for an arena;
// what is missing costs a copy.
#define TEXT_BYTES 384u

static void *alloc(void *request, size_t bytes) {
    return covet_request_alloc(request, bytes);
}

void covet_json_writer_init_request(struct covet_json_writer *writer,
                                    struct covet_request *request) {
    covet_json_writer_init(writer, NULL, 0, alloc, request);
}

static const char *why(int error) {
    switch (error) {
    case -EILSEQ:
        return "a text is not UTF-8";
    case -EDOM:
        return "a number is not finite";
    case -ELOOP:
        return "it is nested too deep";
    case -ENOMEM:
        return "no memory";
    case -EINVAL:
        return "a call out of place";
    default:
        return "no room";
    }
}

static int refuse(struct covet_response *response, const char *reason, const char *member) {
    cv_context_complain(cv_response_request(response)->worker, "json_refused",
                        "why=\"%s\" member=%s", reason, member == NULL ? "-" : member);
    return cv_response_fail(response);
}

int covet_response_json_writer(struct covet_response *response, struct covet_json_writer *writer) {
    struct covet_span text;
    int error;

    if (response->state != CV_RESPONSE_OPEN)
        return -EALREADY;
    error = covet_json_writer_finish(writer, &text);
    if (error != 0)
        return refuse(response, why(error), NULL);
    return covet_response_body(response, "application/json", text.data, text.length, COVET_REQUEST);
}

int covet_response_json_struct(struct covet_response *response,
                               const struct covet_json *description, const void *value) {
    struct covet_request *request = cv_response_request(response);
    struct covet_json_writer writer;
    size_t bytes = description->written_max + TEXT_BYTES;
    const char *member;
    const char *mistake = covet_json_error(description, &member);

    if (response->state != CV_RESPONSE_OPEN)
        return -EALREADY;
    if (mistake != NULL)
        return refuse(response, mistake, member);
    // Without memory the writer finds that out itself.
    char *memory = covet_request_alloc(request, bytes);
    covet_json_writer_init(&writer, memory, memory == NULL ? 0 : bytes, alloc, request);
    (void)covet_json_write_struct(&writer, description, value);
    return covet_response_json_writer(response, &writer);
}
