// The half-close and lingering that follow keep a reset from overtaking the answer (RFC 9112
// section 9.6); a client that was too slow gets none, its time is over.
#include "serve/refusal.h"

#include <string.h>

#include "base/assert.h"
#include "http/head.h"
#include "metrics/counter.h"
#include "serve/http1.h"

#define BODY_BYTES_MAX 160u

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

void cv_refusal_send(struct cv_conn *conn, const struct cv_refusal *refusal) {
    struct cv_net *net = conn->net;
    struct cv_http1 *http1 = cv_http1_of(conn);
    struct cv_outq *outq = cv_conn_output(conn);
    char body[BODY_BYTES_MAX];
    size_t body_bytes = write_body(body, refusal);
    bool is_head = refusal->head != NULL && refusal->head->method == CV_METHOD_HEAD;
    struct cv_head head = {
        .status = refusal->status,
        .content_type = CV_SPAN("text/plain"),
        .date = cv_clock_date(net->clock),
        .fields = refusal->status == 503 ? CV_SPAN("Retry-After: 1\r\n") : (struct cv_span){0},
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
    cv_counter_add(net->stats, COVET_COUNTER_REQUESTS, 1);
    cv_counter_add(net->stats, COVET_COUNTER_RESPONSES_1XX + refusal->status / 100 - 1, 1);
    if (http1->access.enabled) {
        cv_access_write(&http1->access, net->clock, cv_conn_peer(conn), refusal->head,
                        refusal->base, refusal->status, body_bytes);
    }
    cv_conn_finish(conn, refusal->counter, refusal->status != 408);
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
