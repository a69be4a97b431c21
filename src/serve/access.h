// The access log of one worker: a line per answered request in the combined log format, handed on
// as it is finished. Formatting takes no memory; a line nobody has room for is counted by the
// taker.
#ifndef CV_SERVE_ACCESS_H
#define CV_SERVE_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/peer.h"
#include "base/span.h"
#include "http/parser.h"

#define CV_ACCESS_LINE_BYTES_MAX 2048u

struct cv_access {
    bool enabled;
    void (*put)(void *context, struct cv_span line);  // Takes a whole line, borrowed for the call.
    void *context;
    int64_t shown_s;  // The moment `moment` shows.
    char moment[CV_CLOCK_CLF_BYTES + 1];
};

// Writes the line of one answer. `head` and `base` may be NULL for a request that was not
// understood.
void cv_access_write(struct cv_access *access, const struct cv_clock *clock,
                     const struct cv_peer *peer, const struct cv_parser_head *head,
                     const char *base, uint16_t status, uint64_t body_bytes);

// An address as text, with NUL; "-" where there is none.
#define CV_ACCESS_PEER_BYTES 46u
void cv_access_format_peer(char out[CV_ACCESS_PEER_BYTES], const struct cv_peer *peer);

#endif
