// Answers the server gives by itself to what it does not accept: a short text, Connection: close,
// the end of the connection. Nothing after the refused bytes is read as a request. Only who is
// refused because the server is busy may ask again on the same connection.
#ifndef CV_SERVE_REFUSAL_H
#define CV_SERVE_REFUSAL_H

#include <covet/abi.h>
#include <stdbool.h>
#include <stdint.h>

#include "http/parser.h"
#include "net/conn.h"

struct cv_refusal {
    uint16_t status;
    const char *reason;                 // A few words, static.
    enum covet_counter counter;         // Why the connection closes: COVET_COUNTER_CLOSED_*.
    const struct cv_parser_head *head;  // For the access log; NULL when there is none.
    const char *base;
};

// Queues the answer behind those of earlier requests and finishes the connection.
void cv_refusal_send(struct cv_conn *conn, const struct cv_refusal *refusal);

// Queues 503 with Retry-After, from bytes prepared, behind the answers to earlier requests. Writes
// the log line and counts; whether the connection ends with it (`close`) is the caller's to do.
// False when memory is exhausted: nothing was queued.
CV_MUST_USE bool cv_refusal_put_busy(struct cv_conn *conn, const struct cv_parser_head *head,
                                     const char *base, bool close);

// The counter of a parser's refusal: one of COVET_COUNTER_PARSE_*.
enum covet_counter cv_refusal_counter(enum cv_parser_refusal refusal);

#endif
