// The way in, and what is known about refusals and methods. The head itself is read by http/walk.h
// in the variant that http/scan has chosen.
#include "http/parser.h"

#include "base/assert.h"
#include "http/scan.h"

enum cv_parser_result cv_parser_feed(const char *data, size_t length,
                                     const struct cv_parser_limits *limits,
                                     struct cv_parser_head *head) {
    return cv_scan_chosen.feed(data, length, limits, head);
}

enum cv_parser_result cv_parser_resume(const char *data, size_t length,
                                       const struct cv_parser_limits *limits,
                                       struct cv_parser_head *head,
                                       struct cv_parser_progress *progress) {
    return cv_scan_chosen.resume(data, length, limits, head, progress);
}

void cv_parser_forget(struct cv_parser_head *head) {
    struct cv_parser_slice nothing = {0, 0};

    head->method_text = nothing;
    head->target = nothing;
    head->path = nothing;
    head->query = nothing;
    head->authority = nothing;
    head->field_count = 0;
    head->seen = 0;
    head->repeated = 0;
    memset(head->known, CV_PARSER_NO_FIELD, sizeof(head->known));
}

static const struct {
    uint16_t status;
    const char *reason;
} refusals[CV_PARSER_REFUSAL_COUNT] = {
    [CV_PARSER_OK] = {200, "no error"},
    [CV_PARSER_BAD_REQUEST_LINE] = {400, "the request line is not method, target and version"},
    [CV_PARSER_METHOD_TOO_LONG] = {501, "the method is too long"},
    [CV_PARSER_BAD_TARGET] = {400, "the request target has none of the four forms"},
    [CV_PARSER_TARGET_TOO_LONG] = {414, "the request target is too long"},
    [CV_PARSER_BAD_VERSION] = {400, "the request line does not end in an HTTP version"},
    [CV_PARSER_VERSION_UNSUPPORTED] = {505, "only HTTP/1.x is spoken here"},
    [CV_PARSER_BAD_FIELD_NAME] = {400, "a field name is not a token followed by a colon"},
    [CV_PARSER_BAD_FIELD_VALUE] = {400, "a field value holds a control byte"},
    [CV_PARSER_BAD_LINE_END] = {400, "a line does not end in CR LF"},
    [CV_PARSER_FOLDED_FIELD] = {400, "a field line begins with white space"},
    [CV_PARSER_HEAD_TOO_LARGE] = {431, "the head is too large"},
    [CV_PARSER_TOO_MANY_FIELDS] = {431, "there are too many fields"},
    [CV_PARSER_FIELD_NAME_TOO_LONG] = {431, "a field name is too long"},
    [CV_PARSER_BAD_HOST] = {400, "there is not exactly one Host field with host[:port]"},
    [CV_PARSER_BAD_CONTENT_LENGTH] = {400, "Content-Length is not one number"},
    [CV_PARSER_BAD_TRANSFER_ENCODING] = {400, "Transfer-Encoding does not say where the body ends"},
    [CV_PARSER_UNKNOWN_CODING] = {501, "only the transfer coding chunked is spoken here"},
    [CV_PARSER_UNKNOWN_EXPECTATION] = {417, "only 100-continue can be expected"},
    [CV_PARSER_BAD_CONNECTION] = {400, "Connection or Upgrade is not a list of tokens"},
};

uint16_t cv_parser_status(enum cv_parser_refusal refusal) {
    CV_ASSERT((unsigned)refusal < CV_PARSER_REFUSAL_COUNT);
    return refusals[refusal].status;
}

const char *cv_parser_reason(enum cv_parser_refusal refusal) {
    CV_ASSERT((unsigned)refusal < CV_PARSER_REFUSAL_COUNT);
    return refusals[refusal].reason;
}

const char *cv_parser_method_name(uint16_t method) {
    static const char *const names[] = {"GET",     "HEAD",  "POST",  "PUT",    "DELETE",
                                        "OPTIONS", "PATCH", "TRACE", "CONNECT"};
    unsigned bit = (unsigned)__builtin_ctz(method | 1u << CV_ARRAY_COUNT(names));

    return bit < CV_ARRAY_COUNT(names) ? names[bit] : NULL;
}

// The comparisons become one or two word compares.
uint16_t cv_parser_method(struct cv_span name) {
    switch (name.length) {
    case 3:
        if (memcmp(name.data, "GET", 3) == 0)
            return CV_METHOD_GET;
        return memcmp(name.data, "PUT", 3) == 0 ? CV_METHOD_PUT : CV_METHOD_OTHER;
    case 4:
        if (memcmp(name.data, "POST", 4) == 0)
            return CV_METHOD_POST;
        return memcmp(name.data, "HEAD", 4) == 0 ? CV_METHOD_HEAD : CV_METHOD_OTHER;
    case 5:
        if (memcmp(name.data, "PATCH", 5) == 0)
            return CV_METHOD_PATCH;
        return memcmp(name.data, "TRACE", 5) == 0 ? CV_METHOD_TRACE : CV_METHOD_OTHER;
    case 6:
        return memcmp(name.data, "DELETE", 6) == 0 ? CV_METHOD_DELETE : CV_METHOD_OTHER;
    case 7:
        if (memcmp(name.data, "OPTIONS", 7) == 0)
            return CV_METHOD_OPTIONS;
        return memcmp(name.data, "CONNECT", 7) == 0 ? CV_METHOD_CONNECT : CV_METHOD_OTHER;
    default:
        return CV_METHOD_OTHER;
    }
}
