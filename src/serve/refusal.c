// The half-close and lingering that follow keep a reset from overtaking the answer (RFC 9112
// section 9.6); a client that was too slow gets none, its time is over.
#include "serve/refusal.h"

#include <string.h>

#include "base/assert.h"
#include "http/head.h"
#include "metrics/counter.h"
#include "serve/http1.h"

#define BODY_BYTES_MAX 160u
#define RETRY_BYTES_MAX 32u

#define BUSY_HEAD \
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 36\r\nContent-Type: text/plain\r\n" \
    "Retry-After: "
#define BUSY_CLOSE "\r\nConnection: close"
#define BUSY_BODY "503 Service Unavailable: overloaded\n"
// Retry-After has at most five digits.
#define BUSY_BYTES_MAX \
    (sizeof(BUSY_HEAD) + 5 + sizeof(BUSY_CLOSE) + CV_CLOCK_LINE_BYTES + sizeof(BUSY_BODY))

_Static_assert(sizeof(BUSY_BODY) - 1 == 36, "as its head says");

static size_t write_body(char out[BODY_BYTES_MAX], const struct cv_refusal *refusal) {
    struct cv_span name = cv_head_reason(refusal->status);
    struct cv_span reason = cv_span_of(refusal->reason);
    char *at = out;
    CV_ASSERT(name.length + reason.length + 8 <= BODY_BYTES_MAX);
    *at++ = (char)('0' + refusal->status / 100);
    *at++ = (char)('0' + refusal->status / 10 % 10);
    *at++ = (char)('0' + refusal->status % 10);
    *at++ = ' ';
    at = mempcpy(at, name.data, name.length);
    at = mempcpy(at, ": ", 2);
    at = mempcpy(at, reason.data, reason.length);
    *at++ = '\n';
    return (size_t)(at - out);
}

static struct cv_span write_retry(char out[RETRY_BYTES_MAX], const struct cv_limits *limits) {
    char *end = CV_HEAD_PUT(out, "Retry-After: ");
    end = cv_head_put_decimal(end, limits->retry_after_s);
    end = CV_HEAD_PUT(end, "\r\n");
    return cv_span_make(out, (size_t)(end - out));
}

static void record(struct cv_conn *conn, uint16_t status, const struct cv_parser_head *head,
                   const char *base, size_t body_bytes) {
    struct cv_net *net = conn->net;
    struct cv_http1 *http1 = cv_http1_of(conn);
    cv_counter_add(net->stats, COVET_COUNTER_REQUESTS, 1);
    cv_counter_add(net->stats, COVET_COUNTER_RESPONSES_1XX + status / 100 - 1, 1);
    if (http1->access.enabled) {
        cv_access_write(&http1->access, net->clock, cv_conn_peer(conn), head, base, status,
                        body_bytes);
    }
}

void cv_refusal_send(struct cv_conn *conn, const struct cv_refusal *refusal) {
    struct cv_net *net = conn->net;
    struct cv_outq *outq = cv_conn_output(conn);
    char body[BODY_BYTES_MAX];
    char retry[RETRY_BYTES_MAX];
    size_t body_bytes = write_body(body, refusal);
    bool is_head = refusal->head != NULL && refusal->head->method == CV_METHOD_HEAD;
    struct cv_head head = {
        .status = refusal->status,
        .content_type = CV_SPAN("text/plain"),
        .date = cv_clock_date(net->clock),
        .fields = refusal->status == 503 ? write_retry(retry, net->limits) : (struct cv_span){0},
        .content_length = body_bytes,
        .body = CV_HEAD_LENGTH,
        .close = true,
    };
    size_t bytes = cv_head_bytes_max(&head) + body_bytes;
    char *out = outq == NULL ? NULL : cv_outq_reserve(outq, net->pool, bytes, 0);
    if (out == NULL) {
        cv_conn_close(conn, refusal->counter);
        return;
    }
    size_t head_bytes = cv_head_write(out, &head);
    if (!is_head) {
        memcpy(out + head_bytes, body, body_bytes);
    }
    cv_outq_commit(outq, head_bytes + (is_head ? 0 : body_bytes));
    record(conn, refusal->status, refusal->head, refusal->base, body_bytes);
    cv_conn_finish(conn, refusal->counter, refusal->status != 408);
}

bool cv_refusal_put_busy(struct cv_conn *conn, const struct cv_parser_head *head, const char *base,
                         bool close) {
    struct cv_net *net = conn->net;
    struct cv_outq *outq = cv_conn_output(conn);
    // As if all that is unread were requests like this one.
    size_t more = cv_http1_of(conn)->unread_bytes / head->head_bytes;
    char *out = outq == NULL
                    ? NULL
                    : cv_outq_reserve(outq, net->pool, BUSY_BYTES_MAX, (more + 1) * BUSY_BYTES_MAX);
    if (out == NULL) {
        return false;
    }
    size_t body_bytes = head->method == CV_METHOD_HEAD ? 0 : sizeof(BUSY_BODY) - 1;
    char *end = CV_HEAD_PUT(out, BUSY_HEAD);
    end = cv_head_put_decimal(end, net->limits->retry_after_s);
    if (close) {
        end = CV_HEAD_PUT(end, BUSY_CLOSE);
    }
    end = mempcpy(end, cv_clock_date_line(net->clock), CV_CLOCK_LINE_BYTES);
    end = mempcpy(end, BUSY_BODY, body_bytes);
    cv_outq_commit(outq, (size_t)(end - out));
    record(conn, 503, head, base, body_bytes);
    return true;
}

enum covet_counter cv_refusal_counter(enum cv_parser_refusal refusal) {
    switch (refusal) {
    case CV_PARSER_BAD_REQUEST_LINE:
    case CV_PARSER_METHOD_TOO_LONG:
        return COVET_COUNTER_PARSE_REQUEST_LINE;
    case CV_PARSER_BAD_TARGET:
        return COVET_COUNTER_PARSE_TARGET;
    case CV_PARSER_BAD_VERSION:
    case CV_PARSER_VERSION_UNSUPPORTED:
        return COVET_COUNTER_PARSE_VERSION;
    case CV_PARSER_BAD_HOST:
        return COVET_COUNTER_PARSE_HOST;
    case CV_PARSER_BAD_CONTENT_LENGTH:
    case CV_PARSER_BAD_TRANSFER_ENCODING:
    case CV_PARSER_UNKNOWN_CODING:
        return COVET_COUNTER_PARSE_FRAMING;
    case CV_PARSER_TARGET_TOO_LONG:
    case CV_PARSER_HEAD_TOO_LARGE:
    case CV_PARSER_TOO_MANY_FIELDS:
    case CV_PARSER_FIELD_NAME_TOO_LONG:
        return COVET_COUNTER_PARSE_LIMIT;
    default:
        return COVET_COUNTER_PARSE_FIELD;
    }
}
