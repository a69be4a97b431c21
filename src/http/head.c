// Response heads from whole pieces: status lines are constants, numbers are written two digits at a
// time, and the rest is copied. One table holds status lines and, inside them, the reason phrases.
// The end of a line is written with the name of the next field, in one move.
#include "http/head.h"

#include "base/assert.h"
#include "base/compiler.h"

#define LINE(status, reason) [status - 100] = CV_SPAN("HTTP/1.1 " #status " " reason)
#define REASON_OFFSET (sizeof("HTTP/1.1 200 ") - 1)
#define DATE_BYTES 29u  // IMF-fixdate, RFC 9110 section 5.6.7.

// The registered ones: RFC 9110 section 15 and the registry it set up.
static const struct cv_span status_lines[] = {
    LINE(100, "Continue"),
    LINE(101, "Switching Protocols"),
    LINE(102, "Processing"),
    LINE(103, "Early Hints"),
    LINE(200, "OK"),
    LINE(201, "Created"),
    LINE(202, "Accepted"),
    LINE(203, "Non-Authoritative Information"),
    LINE(204, "No Content"),
    LINE(205, "Reset Content"),
    LINE(206, "Partial Content"),
    LINE(207, "Multi-Status"),
    LINE(208, "Already Reported"),
    LINE(226, "IM Used"),
    LINE(300, "Multiple Choices"),
    LINE(301, "Moved Permanently"),
    LINE(302, "Found"),
    LINE(303, "See Other"),
    LINE(304, "Not Modified"),
    LINE(305, "Use Proxy"),
    LINE(307, "Temporary Redirect"),
    LINE(308, "Permanent Redirect"),
    LINE(400, "Bad Request"),
    LINE(401, "Unauthorized"),
    LINE(402, "Payment Required"),
    LINE(403, "Forbidden"),
    LINE(404, "Not Found"),
    LINE(405, "Method Not Allowed"),
    LINE(406, "Not Acceptable"),
    LINE(407, "Proxy Authentication Required"),
    LINE(408, "Request Timeout"),
    LINE(409, "Conflict"),
    LINE(410, "Gone"),
    LINE(411, "Length Required"),
    LINE(412, "Precondition Failed"),
    LINE(413, "Content Too Large"),
    LINE(414, "URI Too Long"),
    LINE(415, "Unsupported Media Type"),
    LINE(416, "Range Not Satisfiable"),
    LINE(417, "Expectation Failed"),
    LINE(421, "Misdirected Request"),
    LINE(422, "Unprocessable Content"),
    LINE(423, "Locked"),
    LINE(424, "Failed Dependency"),
    LINE(425, "Too Early"),
    LINE(426, "Upgrade Required"),
    LINE(428, "Precondition Required"),
    LINE(429, "Too Many Requests"),
    LINE(431, "Request Header Fields Too Large"),
    LINE(451, "Unavailable For Legal Reasons"),
    LINE(500, "Internal Server Error"),
    LINE(501, "Not Implemented"),
    LINE(502, "Bad Gateway"),
    LINE(503, "Service Unavailable"),
    LINE(504, "Gateway Timeout"),
    LINE(505, "HTTP Version Not Supported"),
    LINE(506, "Variant Also Negotiates"),
    LINE(507, "Insufficient Storage"),
    LINE(508, "Loop Detected"),
    LINE(511, "Network Authentication Required"),
};

static struct cv_span known_line(uint16_t status) {
    unsigned index = status - 100u;

    return index < CV_ARRAY_COUNT(status_lines) ? status_lines[index] : cv_span_make(NULL, 0);
}

struct cv_span cv_head_reason(uint16_t status) {
    struct cv_span line = known_line(status);

    if (line.length == 0)
        return CV_SPAN("Unknown");
    return cv_span_make(line.data + REASON_OFFSET, line.length - REASON_OFFSET);
}

bool cv_head_allows_body(uint16_t status) {
    return status >= 200 && status != 204 && status != 304;
}

size_t cv_head_bytes_max(const struct cv_head *head) {
    return CV_HEAD_FIXED_BYTES_MAX + head->content_type.length + head->fields.length;
}

const char cv_head_pairs[201] =
    "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
    "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
    "8081828384858687888990919293949596979899";

CV_NOINLINE char *cv_head_put_long_decimal(char *out, uint64_t value) {
    char digits[20];
    char *first = digits + sizeof(digits);

    while (value >= 100) {
        first -= 2;
        memcpy(first, cv_head_pairs + value % 100 * 2, 2);
        value /= 100;
    }
    if (value >= 10) {
        first -= 2;
        memcpy(first, cv_head_pairs + value * 2, 2);
    } else {
        *--first = (char)('0' + value);
    }
    return cv_span_put(out, cv_span_make(first, (size_t)(digits + sizeof(digits) - first)));
}

static char *put_status_line(char *out, uint16_t status) {
    struct cv_span line = known_line(status);

    if (line.length != 0)
        return cv_span_put(out, line);
    out = CV_HEAD_PUT(out, "HTTP/1.1 ");
    out = cv_head_put_decimal(out, status);
    return CV_HEAD_PUT(out, " Unknown");
}

size_t cv_head_write(char *out, const struct cv_head *head) {
    char *at;

    CV_DEBUG_ASSERT(head->status >= 100 && head->status <= 999);
    CV_DEBUG_ASSERT(head->date.length == 0 || head->date.length == DATE_BYTES);
    at = put_status_line(out, head->status);
    if (head->body == CV_HEAD_LENGTH) {
        at = CV_HEAD_PUT(at, "\r\nContent-Length: ");
        at = cv_head_put_decimal(at, head->content_length);
    } else if (head->body == CV_HEAD_CHUNKED) {
        at = CV_HEAD_PUT(at, "\r\nTransfer-Encoding: chunked");
    }
    if (head->content_type.length != 0) {
        at = CV_HEAD_PUT(at, "\r\nContent-Type: ");
        at = cv_span_put(at, head->content_type);
    }
    if (head->date.length != 0) {
        at = CV_HEAD_PUT(at, "\r\nDate: ");
        at = (char *)memcpy(at, head->date.data, DATE_BYTES) + DATE_BYTES;
    }
    if (head->close)
        at = CV_HEAD_PUT(at, "\r\nConnection: close");
    else if (head->keep_alive)
        at = CV_HEAD_PUT(at, "\r\nConnection: keep-alive");
    at = CV_HEAD_PUT(at, "\r\n");
    if (head->fields.length != 0)
        at = cv_span_put(at, head->fields);
    at = CV_HEAD_PUT(at, "\r\n");
    return (size_t)(at - out);
}
