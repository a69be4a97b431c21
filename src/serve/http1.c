// The connection's side of HTTP/1.1. Between requests nothing but the connection record is held. A
// head that is not whole yet stays among the connection's unread bytes, under one deadline counted
// from its first byte; beside them a few bytes remember how far it was read, so that a head in many
// pieces costs no more than one in few.
//
// The connection's `protocol` is the exchange that is current, or that memory while the flag
// HALF_HEAD is set.
#include "serve/http1.h"

#include "base/assert.h"
#include "metrics/counter.h"
#include "serve/exchange.h"
#include "serve/refusal.h"

#define IDLE_SLACK_MS 100u  // So much of the time of an idle connection may be its answer's.

enum protocol_flag {
    IN_HEAD = 1 << 0,      // The header deadline runs: since the accept, or a first byte.
    HAS_BYTES = 1 << 1,    // Of that head, at least one.
    OUTPUT_FULL = 1 << 2,  // Paused until the client has read more of its answers.
    HALF_HEAD = 1 << 3,    // `protocol` is a struct cv_parser_progress, owned.
    IDLE = 1 << 4,         // The idle deadline runs, since the last request was over.
};

static struct cv_exchange *exchange_of(const struct cv_conn *conn) {
    return (conn->protocol_flags & HALF_HEAD) != 0 ? NULL : conn->protocol;
}

static struct cv_parser_progress *progress_of(const struct cv_conn *conn) {
    return (conn->protocol_flags & HALF_HEAD) != 0 ? conn->protocol : NULL;
}

// Without memory for it the head is simply read from its start again.
static void keep_progress(struct cv_conn *conn) {
    struct cv_parser_progress *progress = cv_pool_acquire(conn->net->pool, sizeof(*progress));

    if (progress == NULL)
        return;
    *progress = (struct cv_parser_progress){0};
    conn->protocol = progress;
    conn->protocol_flags |= HALF_HEAD;
}

static void drop_progress(struct cv_conn *conn) {
    struct cv_parser_progress *progress = progress_of(conn);

    if (CV_LIKELY(progress == NULL))
        return;
    cv_pool_release(conn->net->pool, progress, sizeof(*progress));
    conn->protocol = NULL;
    conn->protocol_flags &= (uint8_t)~HALF_HEAD;
}

// A drain gives connections without a request less time than they have otherwise.
static uint32_t unless_draining(const struct cv_conn *conn, uint32_t timeout_ms) {
    return conn->net->draining ? cv_http1_of(conn)->drain_idle_ms : timeout_ms;
}

static void on_open(struct cv_conn *conn) {
    conn->protocol_flags = IN_HEAD;
    cv_conn_set_read_timeout(conn, unless_draining(conn, conn->net->limits->header_timeout_ms));
}

static void await_head(struct cv_conn *conn) {
    if ((conn->protocol_flags & IN_HEAD) == 0) {
        conn->protocol_flags |= IN_HEAD;
        cv_conn_set_read_timeout(conn, conn->net->limits->header_timeout_ms);
    }
    conn->protocol_flags |= HAS_BYTES;
}

static struct cv_parser_limits parser_limits(const struct cv_limits *limits) {
    return (struct cv_parser_limits){
        .head_bytes_max = limits->head_bytes_max,
        .target_bytes_max = limits->target_bytes_max,
        .fields_max = limits->fields_max,
    };
}

static void refuse_head(struct cv_conn *conn, enum cv_parser_refusal refusal) {
    struct cv_refusal answer = {
        .status = cv_parser_status(refusal),
        .reason = cv_parser_reason(refusal),
        .counter = COVET_COUNTER_CLOSED_ERROR,
    };
    cv_counter_add(conn->net->stats, cv_refusal_counter(refusal), 1);
    cv_refusal_send(conn, &answer);
}

// Empty lines before a request are no part of it (RFC 9112 section 2.2): who sends nothing else is
// idle, and no less long for it. The parser bounds them.
static bool is_empty_lines(const uint8_t *data, size_t length) {
    size_t at = 0;
    while (at < length && (data[at] == '\r' || data[at] == '\n')) {
        at++;
    }
    return at == length;
}

// The head is whole, and not every request is heard now. Returns the bytes used of one that is not,
// else 0.
static CV_NOINLINE size_t turn_down(struct cv_exchange *exchange, const uint8_t *data,
                                    size_t length) {
    size_t head_bytes = exchange->head.head_bytes;
    if (cv_overload_admits(&cv_http1_of(exchange->conn)->overload)) {
        return 0;
    }
    return head_bytes + cv_exchange_turn_down(exchange, (const char *)data, data + head_bytes,
                                              length - head_bytes);
}

// Takes one request off the front of `data`. Returns the bytes used, 0 when there is no whole head
// or the connection ends here.
static size_t take_request(struct cv_http1 *http1, struct cv_conn *conn,
                           const struct cv_parser_limits *limits, const uint8_t *data,
                           size_t length) {
    struct cv_exchange *exchange = cv_exchange_create(http1, conn);
    if (CV_UNLIKELY(exchange == NULL)) {
        struct cv_refusal answer = {503, "out of memory", COVET_COUNTER_CLOSED_LIMIT, NULL, NULL};
        cv_refusal_send(conn, &answer);
        return 0;
    }
    struct cv_parser_progress *progress = progress_of(conn);
    enum cv_parser_result result =
        CV_LIKELY(progress == NULL)
            ? cv_parser_feed((const char *)data, length, limits, &exchange->head)
            : cv_parser_resume((const char *)data, length, limits, &exchange->head, progress);
    if (CV_UNLIKELY(result == CV_PARSER_PARTIAL)) {
        cv_exchange_cancel(exchange);
        if (is_empty_lines(data, length)) {
            return 0;
        }
        if (progress == NULL)
            keep_progress(conn);
        await_head(conn);
        return 0;
    }
    if (CV_UNLIKELY(progress != NULL))
        drop_progress(conn);
    if (CV_UNLIKELY(result == CV_PARSER_REFUSED)) {
        enum cv_parser_refusal refusal = exchange->head.refusal;
        cv_exchange_cancel(exchange);
        refuse_head(conn, refusal);
        return 0;
    }
    size_t head_bytes = exchange->head.head_bytes;
    conn->protocol_flags &= (uint8_t) ~(IN_HEAD | HAS_BYTES | IDLE);
    http1->unread_bytes = (uint32_t)(length - head_bytes);
    if (CV_UNLIKELY(http1->overload.refuses)) {
        size_t used = turn_down(exchange, data, length);
        if (used > 0) {
            return used;
        }
    }
    return head_bytes + cv_exchange_start(exchange, http1, (const char *)data, data + head_bytes,
                                          length - head_bytes);
}

// Between two requests, once per delivery: until then the deadline of the request before holds.
static void await_request(struct cv_conn *conn) {
    if (exchange_of(conn) == NULL && (conn->protocol_flags & (IN_HEAD | IDLE)) == 0) {
        conn->protocol_flags |= IDLE;
        cv_conn_set_read_timeout(conn, unless_draining(conn, conn->net->limits->idle_timeout_ms));
    }
}

void cv_http1_go_on(struct cv_conn *conn) {
    if ((conn->flags & CV_CONN_DELIVERING) == 0) {
        await_request(conn);
    }
    cv_conn_resume(conn);
}

static size_t on_input(struct cv_conn *conn, const uint8_t *data, size_t length) {
    struct cv_http1 *http1 = cv_http1_of(conn);
    const struct cv_limits *limits = conn->net->limits;
    const struct cv_parser_limits head_limits = parser_limits(limits);
    const uint8_t *at = data, *end = data + length;
    uint32_t requests = 0;
    cv_context_begin_delivery(http1->env);
    while (at < end && conn->state == CV_CONN_OPEN) {
        struct cv_exchange *exchange = exchange_of(conn);
        size_t step;
        if (CV_UNLIKELY(exchange != NULL && exchange->is_body_over)) {
            // Its answer is still to come; what follows waits for it.
            cv_conn_pause(conn);
            break;
        }
        if (CV_UNLIKELY(exchange != NULL)) {
            step = cv_exchange_feed(exchange, at, (size_t)(end - at));
        } else if (cv_conn_queued(conn) >= limits->output_bytes_max) {
            conn->protocol_flags |= OUTPUT_FULL;
            cv_conn_pause(conn);
            break;
        } else if (requests++ == limits->pipeline_max) {
            cv_conn_yield(conn);
            break;
        } else {
            step = take_request(http1, conn, &head_limits, at, (size_t)(end - at));
        }
        if (step == 0) {
            break;
        }
        at += step;
    }
    cv_exchange_drop_spare(http1, conn);
    cv_context_end_delivery(http1->env);
    if (conn->state != CV_CONN_OPEN) {
        // Behind a refused request, or the last one of a connection, no byte means anything.
        return length;
    }
    await_request(conn);
    return (size_t)(at - data);
}

uint32_t cv_http1_silent_ms(const struct cv_conn *conn) {
    const struct cv_net *net = conn->net;
    bool waits = conn->protocol == NULL && (conn->protocol_flags & (IN_HEAD | IDLE)) != 0 &&
                 (conn->protocol_flags & HAS_BYTES) == 0 && conn->read_deadline != 0 &&
                 !cv_conn_has_output(conn);
    if (!waits) {
        return 0;
    }
    uint32_t granted_ms = (conn->protocol_flags & IDLE) != 0 ? net->limits->idle_timeout_ms
                                                             : net->limits->header_timeout_ms;
    uint32_t left_ms = conn->read_deadline - (uint32_t)net->clock->now_ms;
    return left_ms < granted_ms ? granted_ms - left_ms : 0;
}

static void on_half_close(struct cv_conn *conn) {
    struct cv_exchange *exchange = exchange_of(conn);
    if (exchange != NULL) {
        cv_exchange_on_half_close(exchange);
    }
}

static void on_end(struct cv_conn *conn) {
    struct cv_exchange *exchange = exchange_of(conn);
    if (exchange == NULL) {
        // All requests are answered; a half head goes unanswered, since its sender knows.
        cv_conn_finish(conn, COVET_COUNTER_CLOSED_CLIENT, false);
    } else if (!exchange->is_body_over) {
        cv_conn_close(conn, COVET_COUNTER_CLOSED_CLIENT);
    }
}

// Its last answer took long to read: only now that all of it is sent is it idle.
static void idle_anew(struct cv_conn *conn) {
    uint32_t idle_ms = unless_draining(conn, conn->net->limits->idle_timeout_ms);
    // It may be over already: timers share wake-ups.
    int32_t left_ms = (int32_t)(conn->read_deadline - (uint32_t)conn->net->clock->now_ms);
    uint32_t slack_ms = CV_MIN(idle_ms / 8, IDLE_SLACK_MS);
    if (conn->read_deadline != 0 && left_ms < (int32_t)(idle_ms - slack_ms)) {
        cv_conn_set_read_timeout(conn, idle_ms);
    }
}

static void on_output(struct cv_conn *conn) {
    const struct cv_limits *limits = conn->net->limits;
    struct cv_exchange *exchange = exchange_of(conn);
    if (exchange != NULL) {
        cv_exchange_on_output(exchange);
    } else if ((conn->protocol_flags & OUTPUT_FULL) != 0 &&
               cv_conn_queued(conn) <= limits->output_bytes_max / 2) {
        conn->protocol_flags &= (uint8_t)~OUTPUT_FULL;
        cv_conn_resume(conn);
    } else if ((conn->protocol_flags & (IDLE | IN_HEAD)) == IDLE && !cv_conn_has_output(conn)) {
        idle_anew(conn);
    }
}

static void on_read_timeout(struct cv_conn *conn) {
    const struct cv_limits *limits = conn->net->limits;
    struct cv_exchange *exchange = exchange_of(conn);
    if (exchange != NULL) {
        cv_exchange_on_read_timeout(exchange);
    } else if ((conn->protocol_flags & HAS_BYTES) != 0) {
        drop_progress(conn);
        struct cv_refusal answer = {408, "the request head came too slowly",
                                    COVET_COUNTER_CLOSED_HEADER, NULL, NULL};
        cv_refusal_send(conn, &answer);
    } else if (cv_conn_has_output(conn)) {
        // Not idle: it still reads its last answer, which has a deadline of its own.
        cv_conn_set_read_timeout(conn, limits->idle_timeout_ms);
    } else {
        cv_conn_close(conn, conn->net->draining                     ? COVET_COUNTER_CLOSED_DRAIN
                            : (conn->protocol_flags & IN_HEAD) != 0 ? COVET_COUNTER_CLOSED_HEADER
                                                                    : COVET_COUNTER_CLOSED_IDLE);
    }
}

static void on_drain(struct cv_conn *conn) {
    if (exchange_of(conn) == NULL && (conn->protocol_flags & HAS_BYTES) == 0) {
        conn->protocol_flags &= (uint8_t)~IN_HEAD;
        cv_conn_set_read_timeout(conn, cv_http1_of(conn)->drain_idle_ms);
    }
}

static void on_close(struct cv_conn *conn) {
    struct cv_exchange *exchange = exchange_of(conn);
    drop_progress(conn);
    if (exchange != NULL) {
        cv_exchange_abandon(exchange);
    }
}

const struct cv_conn_ops cv_http1_ops = {
    .on_open = on_open,
    .on_input = on_input,
    .on_half_close = on_half_close,
    .on_end = on_end,
    .on_output = on_output,
    .on_read_timeout = on_read_timeout,
    .on_drain = on_drain,
    .on_close = on_close,
};
