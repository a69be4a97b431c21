// One answer in the making: what <covet/response.h> shows to handlers, part of struct
// covet_request.
//
//     OPEN --answer--> SENT          OPEN --begin--> STREAM --end--> SENT
//
// and from each of them cancel leads to SENT. LEAVING stands between, while middleware runs on the
// way out: it may set fields but not answer.
#ifndef CV_APP_RESPONSE_H
#define CV_APP_RESPONSE_H

#include <stdbool.h>
#include <stdint.h>

#include <covet/response.h>

#include "app/lines.h"
#include "base/compiler.h"
#include "base/span.h"
#include "http/head.h"

enum cv_response_state {
    CV_RESPONSE_OPEN,
    CV_RESPONSE_LEAVING,
    CV_RESPONSE_STREAM,
    CV_RESPONSE_SENT,
};

struct covet_response {
    uint8_t state;        // enum cv_response_state
    bool refused;         // A field was refused: a 500 will be sent.
    bool bodiless;        // A stream without body (HEAD, 204): answered at its end.
    bool length_known;    // A stream with a length announced.
    struct cv_head head;  // Status and type as the application sets them; the rest when it is sent.
    struct cv_lines fields;
    struct cv_lines trailers;
    uint64_t length;   // Of a stream, as announced.
    uint64_t written;  // Of it, so far.
    uint64_t queued;   // On the connection, after the last write.
};

// What else there is of it is set when it is sent.
static inline void cv_response_init(struct covet_response *response) {
    response->state = CV_RESPONSE_OPEN;
    response->refused = false;
    response->head.status = 200;
    response->head.content_type = (struct cv_span){0};
    response->fields = (struct cv_lines){0};
    response->trailers = (struct cv_lines){0};
}

struct covet_request;

// Answers with `status` and its name as text/plain, keeping the fields set so far.
void cv_response_send_error(struct covet_response *response, uint16_t status);

// Answers 204 (an automatic OPTIONS) or 405, both with Allow.
void cv_response_send_allow(struct covet_response *response, uint16_t status, uint16_t methods);

// Gives up what the handler left undone: a 500 when nothing was sent yet, else the connection is
// cut.
void cv_response_send_failure(struct covet_response *response);

// The steps of sending, which whole and streamed answers share, in this order:

// Runs middleware on the way out. False when a field was refused: go on with
// cv_response_send_refused.
CV_MUST_USE bool cv_response_leave(struct covet_response *response);

// Sends a 500 without any of the fields and finishes the request. Returns -EBADMSG.
int cv_response_send_refused(struct covet_response *response);

// The same for a response whose answer could not be made: runs the way out first.
int cv_response_fail(struct covet_response *response);

// Completes the head as far as the application layer knows it. `type` stands back behind one that
// came as a field.
void cv_response_fill_head(struct covet_response *response, struct cv_span type, uint64_t length);

// Is a body sent, with this status to this method?
bool cv_response_has_body(struct covet_response *response);

// Marks the request as finished; the last sink operation follows, then nothing. Returns 0, or
// -ECONNRESET when the client has left.
int cv_response_finish(struct covet_response *response);

// A Content-Type from the application, empty for NULL. One that cannot be sent refuses the
// response.
struct cv_span cv_response_take_type(struct covet_response *response, const char *type);

// Logs that a field was refused, with its name.
void cv_response_complain(struct covet_response *response, struct cv_span name, const char *why);

// What an error of cv_lines_append means, in words.
const char *cv_response_why(int error);

// The request it is part of.
struct covet_request *cv_response_request(struct covet_response *response);

#endif
