// Ownership is a count (`holders`): any call of the application may answer, and answering may end
// the exchange and with it this record, so every function that calls out holds it meanwhile.
//
// Small bodies are handed over where they were received; a body or head that must outlast the call
// is moved into the request's memory first, so a waiting request holds no receive buffer.
#include "serve/exchange.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "http/head.h"
#include "metrics/counter.h"
#include "serve/http1.h"
#include "serve/refusal.h"

// Bodies up to this size are copied behind their head: cheaper than one more vector and a release.
#define COPY_BYTES_MAX 4096u
// Answers per unread request byte, roughly: the room one output block should have.
#define OUTPUT_PER_UNREAD 4u

_Static_assert(COPY_BYTES_MAX <= CV_HEAD_USUAL_LENGTH_MAX, "a body that is copied is usual");
_Static_assert(CV_CLOCK_LINE_BYTES == CV_HEAD_DATE_LINE_BYTES, "the clock writes it");

static const struct cv_sink_ops sink_ops;

static struct cv_exchange *of(struct cv_sink *sink) {
    return CV_CONTAINER_OF(sink, struct cv_exchange, sink);
}

static void hold(struct cv_exchange *exchange) {
    exchange->holders++;
}

static void clear_body(struct cv_exchange *exchange) {
    memset(&exchange->body_bytes, 0,
           offsetof(struct cv_exchange, body_left) - offsetof(struct cv_exchange, body_bytes));
}

// Of a request that ran and had no body of its own: the next one of the delivery gets the record.
static inline void destroy_plain(struct cv_exchange *exchange, struct cv_http1 *http1) {
    cv_request_deinit(&exchange->request);
    http1->spare = exchange;
}

static CV_NOINLINE void destroy(struct cv_exchange *exchange) {
    cv_request_deinit(&exchange->request);
    if (CV_UNLIKELY(exchange->body.data != NULL)) {
        cv_buffer_clear(&exchange->body, exchange->pool);
    }
    cv_pool_release(exchange->pool, exchange, sizeof(*exchange));
}

static inline void release(struct cv_exchange *exchange) {
    CV_ASSERT(exchange->holders > 0);
    if (--exchange->holders == 0) {
        destroy(exchange);
    }
}

static void release_reference(void *context) {
    release(context);
}

static inline void leave_connection(struct cv_exchange *exchange) {
    if (exchange->conn != NULL && exchange->conn->protocol == exchange) {
        exchange->conn->protocol = NULL;
    }
    if (exchange->is_current) {
        exchange->is_current = false;
        release(exchange);
    }
}

struct cv_exchange *cv_exchange_create(struct cv_http1 *http1, struct cv_conn *conn) {
    struct cv_exchange *exchange = http1->spare;
    if (CV_LIKELY(exchange != NULL)) {
        http1->spare = NULL;
    } else {
        struct cv_pool *pool = conn->net->pool;
        exchange = cv_pool_acquire(pool, sizeof(*exchange));
        if (exchange == NULL) {
            return NULL;
        }
        exchange->sink.ops = &sink_ops;
        exchange->conn = conn;
        exchange->pool = pool;
        cv_request_init(&exchange->request, http1->app, &exchange->sink, &exchange->head);
    }
    // What stands behind is set up when it is needed.
    memset(&exchange->holders, 0,
           offsetof(struct cv_exchange, lent_end) - offsetof(struct cv_exchange, holders));
    return exchange;
}

void cv_exchange_cancel(struct cv_exchange *exchange) {
    cv_pool_release(exchange->pool, exchange, sizeof(*exchange));
}

void cv_exchange_drop_spare(struct cv_http1 *http1, struct cv_conn *conn) {
    cv_pool_release(conn->net->pool, http1->spare, sizeof(*http1->spare));
    http1->spare = NULL;
}

// The end of an exchange.
// May what is left of the body be read and dropped, so that the connection can go on?
static bool is_discardable(const struct cv_exchange *exchange) {
    return exchange->is_body_over || (!exchange->head.chunked && !exchange->owes_continue &&
                                      exchange->body_left <= CV_EXCHANGE_DISCARD_BYTES_MAX);
}

// Has a body of a known length come, whose end was not told?
static inline bool is_fed(const struct cv_exchange *exchange) {
    return !exchange->is_body_over && !exchange->head.chunked && exchange->body_left == 0;
}

static CV_NOINLINE void end_connection(struct cv_exchange *exchange) {
    struct cv_conn *conn = exchange->conn;
    bool asked_for = !exchange->head.keep_alive && exchange->is_body_over;
    conn->protocol = NULL;
    cv_conn_finish(conn,
                   conn->net->draining                         ? COVET_COUNTER_CLOSED_DRAIN
                   : conn->net->ends_connections && !asked_for ? COVET_COUNTER_CLOSED_OVERLOAD
                                                               : COVET_COUNTER_CLOSED_SERVER,
                   !asked_for);
    leave_connection(exchange);
}

static void end(struct cv_exchange *exchange) {
    struct cv_conn *conn = exchange->conn;
    if (CV_UNLIKELY(conn == NULL)) {
        leave_connection(exchange);
        return;
    }
    cv_conn_flush(conn);
    if (CV_UNLIKELY(is_fed(exchange))) {
        // It paused at the last piece, and answers without having heard that it was the last one.
        exchange->is_body_over = true;
    }
    if (CV_UNLIKELY(exchange->is_closing)) {
        end_connection(exchange);
        return;
    }
    if (CV_LIKELY(exchange->is_body_over)) {
        leave_connection(exchange);
    } else {
        cv_conn_set_read_timeout(conn, conn->net->limits->body_grace_ms);
    }
    cv_http1_go_on(conn);
}

// The answer is complete. From inside a call of the application the end must wait for its return.
static inline void finish(struct cv_exchange *exchange, struct cv_conn *conn, struct cv_net *net) {
    CV_ASSERT(!exchange->is_answered);
    exchange->is_answered = true;
    if (conn != NULL) {
        struct cv_http1 *http1 = net->protocol;
        cv_counter_add(net->stats, COVET_COUNTER_REQUESTS, 1);
        if (CV_UNLIKELY(http1->access.enabled)) {
            cv_access_write(&http1->access, net->clock, cv_conn_peer(conn), &exchange->head,
                            exchange->request.base, exchange->status, exchange->sent_bytes);
        }
    }
    if (!exchange->is_busy) {
        end(exchange);
    }
}

static void finish_unusual(struct cv_exchange *exchange) {
    struct cv_conn *conn = exchange->conn;
    finish(exchange, conn, conn == NULL ? NULL : conn->net);
}

void cv_exchange_abandon(struct cv_exchange *exchange) {
    hold(exchange);
    if (exchange->conn != NULL) {
        exchange->conn->protocol = NULL;
        exchange->conn = NULL;
    }
    if (exchange->is_started && !exchange->is_answered) {
        cv_request_aborted(&exchange->request);
    }
    // A handler that has not finished keeps the record: its last call comes through the sink.
    if (!exchange->is_started || exchange->is_answered) {
        if (!exchange->is_busy) {
            leave_connection(exchange);
        }
    }
    release(exchange);
}

static void refuse(struct cv_exchange *exchange, uint16_t status, const char *reason,
                   enum covet_counter counter) {
    struct cv_conn *conn = exchange->conn;
    bool can_answer = !exchange->is_streaming && !exchange->is_answered;
    struct cv_refusal refusal = {
        .status = status,
        .reason = reason,
        .counter = counter,
        .head = &exchange->head,
        .base = exchange->request.base,
    };
    hold(exchange);
    if (can_answer) {
        cv_refusal_send(conn, &refusal);
    } else {
        cv_conn_close(conn, counter);
    }
    if (exchange->conn != NULL) {
        cv_exchange_abandon(exchange);
    }
    release(exchange);
}

static void refuse_for_memory(struct cv_exchange *exchange) {
    refuse(exchange, 503, "out of memory", COVET_COUNTER_CLOSED_LIMIT);
}

// Running.
// Moves what the request refers to out of the receive buffer. Without memory for that the request
// says nothing any more, and false is returned; a client that is still there was told so.
static bool keep(struct cv_exchange *exchange) {
    struct covet_request *request = &exchange->request;
    if (exchange->is_kept) {
        return true;
    }
    exchange->is_kept = true;
    char *head =
        cv_arena_copy(&request->arena, cv_span_make(request->base, exchange->head.head_bytes));
    if (head != NULL && request->body.length > 0) {
        request->body.data = cv_arena_copy(&request->arena, request->body);
    }
    if (head != NULL && (request->body.length == 0 || request->body.data != NULL)) {
        cv_request_rebase(request, head);
        return true;
    }
    cv_parser_forget(&exchange->head);
    cv_request_forget(request);
    if (exchange->conn != NULL) {
        refuse_for_memory(exchange);
    }
    return false;
}

static inline void after_call(struct cv_exchange *exchange) {
    exchange->is_busy = false;
    if (CV_LIKELY(exchange->is_answered)) {
        end(exchange);
    } else if (keep(exchange) && exchange->conn != NULL && exchange->is_body_over) {
        cv_conn_set_read_timeout(exchange->conn, exchange->conn->net->limits->body_grace_ms);
    }
}

static CV_NOINLINE void run(struct cv_exchange *exchange) {
    exchange->is_started = true;
    exchange->is_busy = true;
    cv_request_run(&exchange->request);
    after_call(exchange);
}

// The whole life of nearly every request: without a body, answered when its handler returns, and
// then nobody's but ours.
static inline void run_without_body(struct cv_exchange *exchange, struct cv_http1 *http1) {
    struct cv_conn *conn;
    exchange->is_started = true;
    exchange->is_busy = true;
    cv_request_run(&exchange->request);
    conn = exchange->conn;
    if (CV_LIKELY(exchange->is_answered && exchange->holders == 2 && conn != NULL &&
                  !exchange->is_closing)) {
        conn->protocol = NULL;
        cv_conn_flush(conn);
        destroy_plain(exchange, http1);
        return;
    }
    clear_body(exchange);
    cv_request_pin(&exchange->request);
    after_call(exchange);
    release(exchange);
}

static void deliver(struct cv_exchange *exchange, struct cv_span data, bool last) {
    exchange->is_busy = true;
    cv_request_body(&exchange->request, data, last);
    after_call(exchange);
}

static void send_continue(struct cv_exchange *exchange) {
    struct cv_conn *conn = exchange->conn;
    struct cv_outq *outq = cv_conn_output(conn);
    exchange->owes_continue = false;
    if (outq == NULL ||
        cv_outq_copy(outq, exchange->pool, CV_SPAN("HTTP/1.1 100 Continue\r\n\r\n")) != 0) {
        cv_conn_close(conn, COVET_COUNTER_CLOSED_LIMIT);
        return;
    }
    cv_counter_add(conn->net->stats, COVET_COUNTER_RESPONSES_1XX, 1);
    cv_conn_flush(conn);
}

// The body is wanted: asks for it where the client waits to be asked, and watches how fast it
// comes.
static void expect_body(struct cv_exchange *exchange) {
    if (exchange->conn == NULL || exchange->is_body_over || exchange->is_answered) {
        return;
    }
    exchange->window_bytes = 0;
    cv_conn_set_read_timeout(exchange->conn, exchange->conn->net->limits->body_grace_ms);
    if (exchange->owes_continue && !exchange->request.body_paused && !exchange->is_streaming) {
        send_continue(exchange);
    }
}

static void complete_body(struct cv_exchange *exchange) {
    exchange->is_body_over = true;
    cv_conn_set_read_timeout(exchange->conn, 0);
    if (exchange->is_answered) {
        end(exchange);
    } else if (exchange->is_body_streamed) {
        deliver(exchange, (struct cv_span){0}, true);
    } else {
        exchange->request.body = cv_buffer_span(&exchange->body);
        run(exchange);
    }
}

static bool is_held_up(const struct cv_exchange *exchange) {
    return exchange->request.body_paused && !exchange->is_answered;
}

// Nothing of it is to be kept: the record serves the next request of the delivery.
static void leave_unused(struct cv_exchange *exchange) {
    cv_http1_of(exchange->conn)->spare = exchange;
}

// The answer is given; what is left of the body comes and is dropped.
static size_t drop_body(struct cv_exchange *exchange, const char *base, const uint8_t *data,
                        size_t length) {
    struct cv_conn *conn = exchange->conn;
    cv_request_begin(&exchange->request, base);
    clear_body(exchange);
    exchange->is_current = true;
    exchange->is_answered = true;
    exchange->holders = 1;
    conn->protocol = exchange;
    cv_conn_set_read_timeout(conn, conn->net->limits->body_grace_ms);
    return cv_exchange_feed(exchange, data, length);
}

size_t cv_exchange_turn_down(struct cv_exchange *exchange, const char *base, const uint8_t *data,
                             size_t length) {
    struct cv_conn *conn = exchange->conn;
    const struct cv_parser_head *head = &exchange->head;
    exchange->body_left = head->content_length;
    exchange->is_body_over = !head->chunked && head->content_length <= length;
    exchange->owes_continue = head->expect_continue && !exchange->is_body_over;
    // An HTTP/1.0 client would have to be told that the connection stays.
    bool close = !head->keep_alive || head->version_minor == 0 || conn->net->ends_connections ||
                 head->method == CV_METHOD_CONNECT || !is_discardable(exchange);
    if (!cv_refusal_put_busy(conn, head, base, close)) {
        leave_unused(exchange);
        cv_conn_close(conn, COVET_COUNTER_CLOSED_LIMIT);
        return 0;
    }
    if (close) {
        leave_unused(exchange);
        cv_conn_finish(conn, COVET_COUNTER_CLOSED_OVERLOAD,
                       head->keep_alive || !exchange->is_body_over);
        return 0;
    }
    cv_conn_flush(conn);
    if (!exchange->is_body_over) {
        return drop_body(exchange, base, data, length);
    }
    leave_unused(exchange);
    return (size_t)head->content_length;
}

static size_t start_streamed(struct cv_exchange *exchange, const uint8_t *data, size_t length) {
    run(exchange);
    if (exchange->conn == NULL || !exchange->is_current) {
        return 0;
    }
    if (exchange->is_body_over) {
        if (is_held_up(exchange)) {
            exchange->is_body_over = false;
            cv_conn_pause(exchange->conn);
        } else if (!exchange->is_answered) {
            deliver(exchange, (struct cv_span){0}, true);
        }
        return 0;
    }
    exchange->owes_continue = exchange->owes_continue && length == 0;
    expect_body(exchange);
    return exchange->conn == NULL ? 0 : cv_exchange_feed(exchange, data, length);
}

static size_t start_whole(struct cv_exchange *exchange, const uint8_t *data, size_t length) {
    struct covet_request *request = &exchange->request;
    if (!exchange->head.chunked && length >= exchange->body_left) {
        size_t used = (size_t)exchange->body_left;
        request->body = cv_span_make((const char *)data, used);
        exchange->body_left = 0;
        exchange->is_body_over = true;
        run(exchange);
        return used;
    }
    exchange->owes_continue = exchange->owes_continue && length == 0;
    if (!keep(exchange)) {
        return 0;
    }
    expect_body(exchange);
    return exchange->conn == NULL ? 0 : cv_exchange_feed(exchange, data, length);
}

size_t cv_exchange_start(struct cv_exchange *exchange, struct cv_http1 *http1, const char *base,
                         const uint8_t *data, size_t length) {
    struct cv_conn *conn = exchange->conn;
    const struct cv_parser_head *head = &exchange->head;
    size_t used = 0;
    conn->protocol = exchange;
    exchange->lent_end = (const char *)data + length;
    exchange->is_current = true;
    exchange->holders = 2;  // Being current, and this call.
    cv_request_begin(&exchange->request, base);
    enum cv_request_plan plan = cv_request_route(&exchange->request);
    exchange->is_body_over = !head->chunked && head->content_length == 0;
    if (CV_LIKELY(exchange->is_body_over && plan == CV_REQUEST_BODY_WHOLE)) {
        run_without_body(exchange, http1);
        return 0;
    }
    clear_body(exchange);
    exchange->is_body_streamed = plan == CV_REQUEST_BODY_STREAM;
    exchange->body_left = head->content_length;
    exchange->body_bytes_max = cv_request_body_bytes_max(&exchange->request);
    exchange->owes_continue = head->expect_continue && !exchange->is_body_over;
    if (head->chunked) {
        cv_chunked_init(&exchange->chunked);
    }
    cv_request_pin(&exchange->request);
    if (CV_UNLIKELY(head->content_length > exchange->body_bytes_max)) {
        refuse(exchange, 413, "the body is too large", COVET_COUNTER_CLOSED_ERROR);
    } else if (exchange->is_body_streamed) {
        used = start_streamed(exchange, data, length);
    } else {
        used = start_whole(exchange, data, length);
    }
    release(exchange);
    return used;
}

// The body.
static bool is_reading(const struct cv_exchange *exchange) {
    return exchange->conn != NULL && exchange->is_current && !exchange->is_body_over &&
           exchange->conn->state == CV_CONN_OPEN;
}

// Room for the body as announced, but no more than sixteen times what its first piece brought: so
// it is moved rarely, and a client that announces much holds little until it sends.
static int append(struct cv_exchange *exchange, struct cv_span data) {
    struct cv_buffer *body = &exchange->body;
    if (body->data == NULL) {
        uint64_t announced = exchange->head.chunked ? 0 : exchange->body_left;
        size_t room = data.length + (size_t)CV_MIN(announced, (uint64_t)data.length * 15);
        if (cv_buffer_reserve(body, exchange->pool, room) != 0) {
            return -ENOMEM;
        }
    }
    return cv_buffer_append(body, exchange->pool, data.data, data.length);
}

static void take(struct cv_exchange *exchange, struct cv_span data) {
    exchange->body_bytes += data.length;
    exchange->window_bytes += (uint32_t)data.length;
    if (exchange->is_answered) {
        return;
    }
    if (exchange->body_bytes > exchange->body_bytes_max) {
        refuse(exchange, 413, "the body is too large", COVET_COUNTER_CLOSED_ERROR);
    } else if (exchange->is_body_streamed) {
        deliver(exchange, data, false);
    } else if (data.length > 0 && append(exchange, data) != 0) {
        refuse_for_memory(exchange);
    }
}

// A chunk that will be too much is refused when its size is read, not when its bytes are.
static void refuse_announced(struct cv_exchange *exchange) {
    if (is_reading(exchange) && !exchange->is_answered &&
        cv_chunked_announced(&exchange->chunked) >
            exchange->body_bytes_max - exchange->body_bytes) {
        refuse(exchange, 413, "the body is too large", COVET_COUNTER_CLOSED_ERROR);
    }
}

static size_t feed_chunked(struct cv_exchange *exchange, struct cv_span input) {
    size_t used = 0;
    struct cv_span data;
    switch (cv_chunked_feed(&exchange->chunked, input, &used, &data)) {
    case CV_CHUNKED_DATA:
        take(exchange, data);
        refuse_announced(exchange);
        break;
    case CV_CHUNKED_PARTIAL:
        refuse_announced(exchange);
        break;
    case CV_CHUNKED_DONE:
        complete_body(exchange);
        break;
    case CV_CHUNKED_REFUSED:
        cv_counter_add(exchange->conn->net->stats, COVET_COUNTER_PARSE_CHUNK, 1);
        refuse(exchange, 400, "the chunked body is malformed", COVET_COUNTER_CLOSED_ERROR);
        break;
    }
    return used;
}

static size_t feed_length(struct cv_exchange *exchange, struct cv_span input) {
    size_t used = (size_t)CV_MIN((uint64_t)input.length, exchange->body_left);
    exchange->body_left -= used;
    take(exchange, cv_span_make(input.data, used));
    if (exchange->body_left == 0 && is_reading(exchange)) {
        if (is_held_up(exchange)) {
            // It paused at the last piece, and is told that it was the last one when it goes on.
            cv_conn_pause(exchange->conn);
        } else {
            complete_body(exchange);
        }
    }
    return used;
}

size_t cv_exchange_feed(struct cv_exchange *exchange, const uint8_t *data, size_t length) {
    size_t used = 0;
    hold(exchange);
    while (used < length && is_reading(exchange)) {
        struct cv_span rest = cv_span_make((const char *)data + used, length - used);
        if (is_held_up(exchange)) {
            cv_conn_pause(exchange->conn);
            break;
        }
        used += exchange->head.chunked ? feed_chunked(exchange, rest) : feed_length(exchange, rest);
    }
    release(exchange);
    return used;
}

// Is what came in the window that ends now enough?
static bool is_fast_enough(const struct cv_exchange *exchange) {
    const struct cv_limits *limits = exchange->conn->net->limits;
    uint64_t wanted = (uint64_t)limits->body_rate_min * limits->body_grace_ms / 1000;
    return exchange->window_bytes >= CV_MAX(wanted, (uint64_t)1);
}

void cv_exchange_on_read_timeout(struct cv_exchange *exchange) {
    bool is_ours_to_act = exchange->is_body_over || is_held_up(exchange);
    if (is_ours_to_act || !exchange->is_past_grace || is_fast_enough(exchange)) {
        exchange->is_past_grace = exchange->is_past_grace || !is_ours_to_act;
        exchange->window_bytes = 0;
        // A client that waits for us may take its time, but has it left?
        cv_conn_look_again(exchange->conn);
        cv_conn_set_read_timeout(exchange->conn, exchange->conn->net->limits->body_grace_ms);
        return;
    }
    refuse(exchange, 408, "the body came too slowly", COVET_COUNTER_CLOSED_BODY);
}

void cv_exchange_on_half_close(struct cv_exchange *exchange) {
    if (exchange->is_started && !exchange->is_answered && !exchange->is_busy) {
        hold(exchange);
        exchange->is_busy = true;
        cv_request_half_closed(&exchange->request);
        after_call(exchange);
        release(exchange);
    }
}

void cv_exchange_on_output(struct cv_exchange *exchange) {
    if (exchange->is_above_water &&
        cv_conn_queued(exchange->conn) <= CV_SINK_HIGH_WATER_BYTES / 2) {
        exchange->is_above_water = false;
        hold(exchange);
        exchange->is_busy = true;
        cv_request_drained(&exchange->request);
        after_call(exchange);
        release(exchange);
    }
}

// The sink.
static void fill_head(struct cv_exchange *exchange, struct cv_head *head) {
    struct cv_net *net = exchange->conn->net;
    const struct cv_parser_head *request = &exchange->head;
    exchange->status = head->status;
    // Behind a CONNECT come bytes of the tunnel that was refused, not requests.
    exchange->is_closing = !request->keep_alive || net->ends_connections ||
                           !is_discardable(exchange) || request->method == CV_METHOD_CONNECT;
    if (head->body == CV_HEAD_CHUNKED) {
        exchange->is_chunked_out = request->version_minor > 0;
        if (!exchange->is_chunked_out) {
            // HTTP/1.0 knows no chunks: the end of the connection is the end of the body.
            head->body = CV_HEAD_NONE;
            exchange->is_closing = true;
        }
    }
    head->date = cv_clock_date(net->clock);
    head->close = exchange->is_closing;
    head->keep_alive = !exchange->is_closing && request->version_minor == 0;
    cv_counter_add(net->stats, COVET_COUNTER_RESPONSES_1XX + head->status / 100 - 1, 1);
}

static void give_up(struct cv_exchange *exchange) {
    cv_conn_close(exchange->conn, COVET_COUNTER_CLOSED_LIMIT);
}

// Writes the head, with `body` behind it in the same block. False when memory is exhausted.
static bool write_head(struct cv_exchange *exchange, struct cv_outq *outq,
                       const struct cv_head *head, struct cv_span body) {
    size_t bytes = cv_head_bytes_max(head) + body.length;
    size_t expected = bytes + cv_http1_of(exchange->conn)->unread_bytes * OUTPUT_PER_UNREAD;
    char *out = outq == NULL ? NULL : cv_outq_reserve(outq, exchange->pool, bytes, expected);
    if (out == NULL) {
        return false;
    }
    char *end = cv_span_put(out + cv_head_write(out, head), body);
    cv_outq_commit(outq, (size_t)(end - out));
    return true;
}

// Copied once into one piece, a long body needs no second copy on its way out.
static bool is_for_one_piece(struct cv_exchange *exchange, size_t bytes) {
    return bytes >= exchange->conn->net->zero_copy_min &&
           bytes >= cv_conn_zero_copy_min(exchange->conn);
}

static bool write_body(struct cv_exchange *exchange, struct cv_outq *outq, struct cv_span body,
                       enum cv_body_lifetime lifetime) {
    if (lifetime == CV_BODY_COPY && is_for_one_piece(exchange, body.length)) {
        body.data = cv_arena_copy(&exchange->request.arena, body);
        if (body.data == NULL) {
            return false;
        }
    } else if (lifetime == CV_BODY_COPY) {
        return cv_outq_copy(outq, exchange->pool, body) == 0;
    }
    // Bytes of the request that were not moved yet are lent for this call only.
    if (!exchange->is_kept && body.data >= exchange->request.base &&
        body.data < exchange->lent_end) {
        return cv_outq_copy(outq, exchange->pool, body) == 0;
    }
    if (cv_outq_reference(outq, exchange->pool, body, release_reference, exchange) != 0) {
        return false;
    }
    hold(exchange);
    return true;
}

// Does an answer go out whole and at once, on a connection that goes on, with nothing in its head
// but what cv_head_put_usual writes?
static inline bool is_usual(const struct cv_exchange *exchange, const struct cv_net *net,
                            const struct cv_head *head) {
    const struct cv_parser_head *request = &exchange->head;
    return head->status == 200 && head->body == CV_HEAD_LENGTH && head->fields.length == 0 &&
           head->content_type.length > 0 && head->content_length <= COPY_BYTES_MAX &&
           request->keep_alive && request->version_minor > 0 &&
           request->method != CV_METHOD_CONNECT && exchange->is_body_over && !net->ends_connections;
}

// Room for an answer and those that follow, as if all that is unread were requests like this one.
static CV_NOINLINE char *reserve_block(const struct cv_exchange *exchange, struct cv_net *net,
                                       struct cv_outq *outq, size_t bytes) {
    struct cv_http1 *http1 = net->protocol;
    size_t more = http1->unread_bytes / exchange->head.head_bytes;
    return cv_outq_reserve(outq, net->pool, bytes, bytes + more * bytes);
}

// The same as answer_unusual, for most answers in one go. False, with nothing done, for all others
// and when memory is exhausted.
static inline bool answer_usual(struct cv_exchange *exchange, struct cv_conn *conn,
                                struct cv_net *net, const struct cv_head *head,
                                struct cv_span body) {
    struct cv_outq *outq = cv_conn_output(conn);
    if (CV_UNLIKELY(!is_usual(exchange, net, head) || outq == NULL)) {
        return false;
    }
    size_t bytes = CV_HEAD_USUAL_BYTES_MAX + head->content_type.length + body.length;
    char *out = cv_outq_room(outq, bytes);
    if (CV_UNLIKELY(out == NULL)) {
        out = reserve_block(exchange, net, outq, bytes);
        if (out == NULL) {
            return false;
        }
    }
    char *end = cv_head_put_usual(out, head->content_length, head->content_type,
                                  cv_clock_date_line(net->clock));
    end = cv_span_put(end, body);
    // The next answer's place.
    __builtin_prefetch(end + CV_CACHE_LINE_BYTES, 1);
    __builtin_prefetch(end + 2 * CV_CACHE_LINE_BYTES, 1);
    cv_outq_commit(outq, (size_t)(end - out));
    exchange->status = 200;
    exchange->sent_bytes = body.length;
    cv_counter_add(net->stats, COVET_COUNTER_RESPONSES_2XX, 1);
    return true;
}

static CV_NOINLINE void answer_unusual(struct cv_exchange *exchange, struct cv_head *head,
                                       struct cv_span body, enum cv_body_lifetime lifetime) {
    struct cv_outq *outq = cv_conn_output(exchange->conn);
    bool together = body.length <= COPY_BYTES_MAX;
    fill_head(exchange, head);
    exchange->sent_bytes = body.length;
    if (!write_head(exchange, outq, head, together ? body : (struct cv_span){0}) ||
        (!together && !write_body(exchange, outq, body, lifetime))) {
        give_up(exchange);
    }
}

static void answer(struct cv_sink *sink, struct cv_head *head, struct cv_span body,
                   enum cv_body_lifetime lifetime) {
    struct cv_exchange *exchange = of(sink);
    struct cv_conn *conn = exchange->conn;
    struct cv_net *net = conn == NULL ? NULL : conn->net;
    if (CV_LIKELY(net != NULL && answer_usual(exchange, conn, net, head, body))) {
        finish(exchange, conn, net);
        return;
    }
    if (conn != NULL) {
        answer_unusual(exchange, head, body, lifetime);
    }
    finish_unusual(exchange);
}

static void begin(struct cv_sink *sink, struct cv_head *head) {
    struct cv_exchange *exchange = of(sink);
    if (exchange->conn != NULL && exchange->owes_continue && exchange->request.on_body != NULL) {
        // Behind the head of the answer it would be too late (RFC 9110 section 15.2).
        send_continue(exchange);
    }
    exchange->is_streaming = true;
    if (exchange->conn != NULL) {
        fill_head(exchange, head);
        if (!write_head(exchange, cv_conn_output(exchange->conn), head, (struct cv_span){0})) {
            give_up(exchange);
            return;
        }
        cv_conn_flush(exchange->conn);
    }
}

static size_t write_stream(struct cv_sink *sink, struct cv_span data) {
    struct cv_exchange *exchange = of(sink);
    if (exchange->conn == NULL) {
        return 0;
    }
    if (data.length > 0) {
        struct cv_outq *outq = cv_conn_output(exchange->conn);
        struct cv_pool *pool = exchange->pool;
        char prefix[CV_CHUNKED_PREFIX_BYTES_MAX];
        struct cv_span before = {0}, behind = {0};
        if (exchange->is_chunked_out) {
            before = cv_span_make(prefix, cv_chunked_write_prefix(prefix, data.length));
            behind = CV_SPAN("\r\n");
        }
        if (outq == NULL || cv_outq_copy(outq, pool, before) != 0 ||
            cv_outq_copy(outq, pool, data) != 0 || cv_outq_copy(outq, pool, behind) != 0) {
            give_up(exchange);
            return 0;
        }
        exchange->sent_bytes += data.length;
        cv_conn_flush(exchange->conn);
    }
    size_t queued = cv_conn_queued(exchange->conn);
    exchange->is_above_water = exchange->is_above_water || queued > CV_SINK_HIGH_WATER_BYTES;
    return queued;
}

static void end_stream(struct cv_sink *sink, struct cv_span trailers) {
    struct cv_exchange *exchange = of(sink);
    if (exchange->conn != NULL && exchange->is_chunked_out) {
        struct cv_outq *outq = cv_conn_output(exchange->conn);
        struct cv_pool *pool = exchange->pool;
        if (outq == NULL || cv_outq_copy(outq, pool, CV_SPAN("0\r\n")) != 0 ||
            cv_outq_copy(outq, pool, trailers) != 0 ||
            cv_outq_copy(outq, pool, CV_SPAN("\r\n")) != 0) {
            give_up(exchange);
        }
    }
    finish_unusual(exchange);
}

static void abort_answer(struct cv_sink *sink) {
    struct cv_exchange *exchange = of(sink);
    hold(exchange);
    exchange->is_answered = true;
    if (exchange->conn != NULL) {
        cv_conn_close(exchange->conn, COVET_COUNTER_CLOSED_SERVER);
    }
    if (!exchange->is_busy) {
        leave_connection(exchange);
    }
    release(exchange);
}

static void pause_body(struct cv_sink *sink, bool paused) {
    struct cv_exchange *exchange = of(sink);
    if (exchange->conn != NULL && !paused && !exchange->is_body_over) {
        hold(exchange);
        if (is_fed(exchange)) {
            complete_body(exchange);
        } else {
            expect_body(exchange);
        }
        if (exchange->conn != NULL) {
            cv_conn_resume(exchange->conn);
        }
        release(exchange);
    }
}

static const struct cv_peer *peer(struct cv_sink *sink) {
    static const struct cv_peer unknown = {.family = CV_PEER_UNKNOWN};
    struct cv_exchange *exchange = of(sink);
    return exchange->conn != NULL ? cv_conn_peer(exchange->conn) : &unknown;
}

static const struct cv_sink_ops sink_ops = {
    .answer = answer,
    .begin = begin,
    .write = write_stream,
    .end = end_stream,
    .abort = abort_answer,
    .pause_body = pause_body,
    .peer = peer,
};
