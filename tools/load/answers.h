// What comes back: where each answer ends (RFC 9112 section 6.3) and what it says.
//
// Slow path: the head is parsed, the body measured by Content-Length, chunked coding or the end of
// the connection; 1xx heads are skipped; 204, 304 and answers to HEAD have no body. Fast path: an
// answer that begins like the last fully parsed one of the same request and has its head end in the
// same place ends in the same place. Every `LOAD_VERIFY_EVERY`th answer takes the slow path all the
// same, and a change of shape is found there at the latest.
#ifndef LOAD_ANSWERS_H
#define LOAD_ANSWERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOAD_VERIFY_EVERY 64u
#define LOAD_HEAD_BYTES_MAX 16384u

struct load_requests;

// What one thread has counted; owned by that thread.
struct load_tally {
    uint64_t answers;     // Complete final answers.
    uint64_t status[6];   // By the first digit, 1 to 5; 1xx are no answers but are counted.
    uint64_t body_bytes;  // Of complete and incomplete answers, without chunk framing.
    uint64_t verified;    // Answers that took the slow path.
};

// The shape of the answers to one request, learned from the answers. Zeroed at first.
struct load_shape {
    char begins[16];
    uint32_t head_bytes, answer_bytes;  // Both 0 while nothing is known.
};

// One connection's place in its answers. Zeroed at first, and for every new connection.
struct load_reader {
    uint64_t body_left;
    uint32_t request_index;  // Of the request whose answer comes next.
    uint32_t until_verify;
    uint8_t state;
    bool closing;  // The last complete answer said that the connection ends with it.
    /* ... */
};

// Reads `data` as far as at most `answers_max` (the requests still owed) answers go. Returns the
// number of answers completed, or -EBADMSG when the bytes are no answer, or more answers come than
// were asked for. All of `data` is used up unless `reader->closing` was set on the way.
int load_reader_feed(struct load_reader *reader, const struct load_requests *requests,
                     struct load_shape *shapes, const char *data, size_t bytes,
                     unsigned answers_max, struct load_tally *tally);

// The peer has ended the connection: returns 1 when that completes an answer, 0 when none was under
// way, -EPIPE when one was cut.
int load_reader_end(struct load_reader *reader, struct load_tally *tally);

#endif
