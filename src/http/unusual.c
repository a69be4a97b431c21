// The first wrong byte decides, whatever follows it, and a byte is judged from those before it
// alone. So a head gives the same answer however it is cut: PARTIAL until its first wrong byte or
// its end is there. What needs the whole head is judged at its end (http/framing).
#include "http/unusual.h"

#include <string.h>

#include "http/headers.h"

#define EMPTY_LINES_MAX 8u  // Before the request line; senders that add any add one.

static enum cv_parser_result refuse(struct cv_parser_head *head, enum cv_parser_refusal refusal) {
    head->refusal = refusal;
    return CV_PARSER_REFUSED;
}

static struct cv_parser_slice slice(size_t from, size_t to) {
    return (struct cv_parser_slice){.offset = (uint16_t)from, .length = (uint16_t)(to - from)};
}

static bool is_at(struct cv_scan_text text, size_t at, char byte) {
    return at < text.length && text.data[at] == byte;
}

enum cv_parser_result cv_unusual_start(struct cv_scan_text text, struct cv_parser_head *head) {
    size_t at = 0;

    for (; is_at(text, at, '\r'); at += 2) {
        if (at == 2 * EMPTY_LINES_MAX)
            return refuse(head, CV_PARSER_BAD_REQUEST_LINE);
        if (at + 1 == text.length)
            return CV_PARSER_PARTIAL;
        if (!is_at(text, at + 1, '\n'))
            return refuse(head, CV_PARSER_BAD_LINE_END);
    }
    head->head_bytes = (uint32_t)at;
    return CV_PARSER_DONE;
}

enum cv_parser_result cv_unusual_method(struct cv_scan_text text, struct cv_parser_head *head,
                                        size_t at) {
    const char *method = text.data + at;
    size_t available = text.length - at;
    size_t bytes = 0;

    while (bytes < available && cv_scan_is(method[bytes], CV_SCAN_TOKEN)) {
        if (++bytes > CV_PARSER_METHOD_BYTES_MAX)
            return refuse(head, CV_PARSER_METHOD_TOO_LONG);
    }
    if (bytes == available)
        return CV_PARSER_PARTIAL;
    if (method[bytes] != ' ' || bytes == 0)
        return refuse(head,
                      method[bytes] == '\n' ? CV_PARSER_BAD_LINE_END : CV_PARSER_BAD_REQUEST_LINE);
    head->method_text = slice(at, at + bytes);
    head->method = cv_parser_method(cv_span_make(method, bytes));
    head->head_bytes = (uint32_t)(at + bytes + 1);
    return CV_PARSER_DONE;
}

// host ":" port, both given (RFC 9110 section 7.2, RFC 9112 section 3.2.3).
static bool is_authority_form(struct cv_span target) {
    size_t host_bytes = target.length;

    while (host_bytes > 0 && target.data[host_bytes - 1] >= '0' &&
           target.data[host_bytes - 1] <= '9')
        host_bytes--;
    return host_bytes > 0 && host_bytes < target.length && target.data[host_bytes - 1] == ':' &&
           cv_headers_is_host(target);
}

// "http://" authority [path] ["?" query], `query` being the place of the '?' or the target's end.
static bool read_absolute_form(const char *data, struct cv_parser_head *head, size_t begin,
                               size_t query, size_t end) {
    struct cv_span target = cv_span_make(data + begin, end - begin);
    size_t host = 0;

    if (target.length > 7 && cv_span_equal_nocase(cv_span_make(target.data, 7), CV_SPAN("http://")))
        host = begin + 7;
    else if (target.length > 8 &&
             cv_span_equal_nocase(cv_span_make(target.data, 8), CV_SPAN("https://")))
        host = begin + 8;
    else
        return false;
    const char *slash = memchr(data + host, '/', query - host);
    size_t path = slash == NULL ? query : (size_t)(slash - data);
    head->authority = slice(host, path);
    head->path = slice(path, query);
    return path > host && cv_headers_is_host(cv_span_make(data + host, path - host));
}

// Finds the form of the target and its parts (RFC 9112 section 3.2); false when it has none.
static bool read_target(const char *data, struct cv_parser_head *head, size_t begin, size_t query,
                        size_t end) {
    head->target = slice(begin, end);
    head->path = slice(begin, begin);
    head->authority = slice(begin, begin);
    head->query = query == end ? slice(end, end) : slice(query + 1, end);
    if (head->method == CV_METHOD_CONNECT) {
        head->target_form = CV_TARGET_AUTHORITY;
        head->authority = head->target;
        return is_authority_form(cv_span_make(data + begin, end - begin));
    }
    if (data[begin] == '/') {
        head->target_form = CV_TARGET_ORIGIN;
        head->path = slice(begin, query);
        return true;
    }
    if (data[begin] == '*') {
        head->target_form = CV_TARGET_ASTERISK;
        return end == begin + 1 && head->method == CV_METHOD_OPTIONS;
    }
    head->target_form = CV_TARGET_ABSOLUTE;
    return read_absolute_form(data, head, begin, query, end);
}

// What a target that is no CONNECT's begins with.
static bool may_begin_target(char first) {
    return first == '/' || first == '*' || (first | 0x20) == 'h';
}

static bool is_digit(char byte) {
    return byte >= '0' && byte <= '9';
}

static enum cv_parser_result take_version(struct cv_scan_text text, struct cv_parser_head *head,
                                          size_t at) {
    static const char form[] = "HTTP/d.d\r\n";
    enum { FORM_BYTES = sizeof(form) - 1 };
    const char *version = text.data + at;
    size_t available = text.length - at;

    for (uint32_t i = 0; i < FORM_BYTES; i++) {
        if (i >= available)
            return CV_PARSER_PARTIAL;
        if (form[i] == 'd' ? is_digit(version[i]) : version[i] == form[i])
            continue;
        return refuse(head, i == 9 || version[i] == '\n' ? CV_PARSER_BAD_LINE_END
                                                         : CV_PARSER_BAD_VERSION);
    }
    if (version[5] != '1')
        return refuse(head, CV_PARSER_VERSION_UNSUPPORTED);
    head->version_minor = (uint8_t)(version[7] - '0');
    head->head_bytes = (uint32_t)(at + FORM_BYTES);
    return CV_PARSER_DONE;
}

enum cv_parser_result cv_unusual_target(struct cv_scan_text text,
                                        const struct cv_parser_limits *limits,
                                        struct cv_parser_head *head, size_t begin,
                                        struct cv_scan_target target) {
    size_t end = target.end;
    size_t bytes = end - begin;

    if (bytes > 0 && head->method != CV_METHOD_CONNECT && !may_begin_target(text.data[begin]))
        return refuse(head, CV_PARSER_BAD_TARGET);
    if (bytes > limits->target_bytes_max)
        return refuse(head, CV_PARSER_TARGET_TOO_LONG);
    if (end == text.length) {
        head->refusal = CV_PARSER_TARGET_TOO_LONG;
        return CV_PARSER_PARTIAL;
    }
    if (text.data[end] != ' ') {
        bool line_end = text.data[end] == '\r' || text.data[end] == '\n';
        return refuse(head, line_end ? CV_PARSER_BAD_REQUEST_LINE : CV_PARSER_BAD_TARGET);
    }
    if (bytes == 0)
        return refuse(head, CV_PARSER_BAD_REQUEST_LINE);
    if (!read_target(text.data, head, begin, target.query, end))
        return refuse(head, CV_PARSER_BAD_TARGET);
    return take_version(text, head, end + 1);
}

// Why the line whose first control byte is at `end` does not end there.
static enum cv_parser_result explain_end(struct cv_scan_text text, struct cv_parser_head *head,
                                         size_t end) {
    if (end >= text.length || (text.data[end] == '\r' && end + 1 == text.length))
        return CV_PARSER_PARTIAL;
    if (text.data[end] == '\r' || text.data[end] == '\n')
        return refuse(head, CV_PARSER_BAD_LINE_END);
    return refuse(head, CV_PARSER_BAD_FIELD_VALUE);
}

enum cv_parser_result cv_unusual_line(struct cv_scan_text text,
                                      const struct cv_parser_limits *limits,
                                      struct cv_parser_head *head, const uint16_t mark[2]) {
    size_t at = head->head_bytes;
    size_t last = text.length - 1;

    if (at == text.length)
        return CV_PARSER_PARTIAL;
    size_t colon = CV_MIN(mark[0], last);
    size_t end = mark[1];
    if (end == text.length && cv_scan_is(text.data[last], CV_SCAN_CONTROL))
        end = last;
    if (text.data[at] == '\r')
        return explain_end(text, head, at);
    while (colon < text.length && cv_scan_is(text.data[colon], CV_SCAN_TOKEN))
        colon++;
    size_t bytes = colon - at;
    if (bytes == 0 && (text.data[at] == ' ' || text.data[at] == '\t'))
        return refuse(head, CV_PARSER_FOLDED_FIELD);
    if (bytes == 0)
        return refuse(head,
                      text.data[at] == '\n' ? CV_PARSER_BAD_LINE_END : CV_PARSER_BAD_FIELD_NAME);
    if (head->field_count == limits->fields_max)
        return refuse(head, CV_PARSER_TOO_MANY_FIELDS);
    if (bytes > CV_PARSER_NAME_BYTES_MAX)
        return refuse(head, CV_PARSER_FIELD_NAME_TOO_LONG);
    if (colon == text.length)
        return CV_PARSER_PARTIAL;
    if (text.data[colon] != ':')
        return refuse(head, CV_PARSER_BAD_FIELD_NAME);
    return explain_end(text, head, end);
}
