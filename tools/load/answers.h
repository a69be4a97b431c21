// What comes back: where each answer ends (RFC 9112 section 6.3) and what it says.
//
// Slow path: the head is read byte by byte, the body measured by Content-Length, chunked coding or
// the end of the connection; 1xx heads are skipped; 204, 304 and answers to HEAD have no body.
// Fast path: where an answer ends follows from its bytes alone, so an answer whose bytes are those
// of one that took the slow path - all of its head, and of a chunked answer all - ends where that
// one did. Nothing is left to likelihood: an answer with another byte anywhere in its head, such as
// a new Date, takes the slow path and is what the next ones are compared with. Every
// LOAD_VERIFY_EVERY-th answer of a connection takes it all the same.
#ifndef LOAD_ANSWERS_H
#define LOAD_ANSWERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/chunked.h"

#define LOAD_VERIFY_EVERY 64u
#define LOAD_HEAD_BYTES_MAX 16384u  // Of one head; longer is no answer.
#define LOAD_SHAPE_BYTES 992u       // Longer heads always take the slow path.

struct load_requests;

// What an answer is to whoever asks how a server fares under load.
enum load_kind {
    LOAD_KIND_SERVED,  // 2xx.
    LOAD_KIND_SHED,    // 503: the server has too much to do.
    LOAD_KIND_OTHER,
    LOAD_KIND_COUNT,
};

// What one thread has counted; owned by that thread.
struct load_tally {
    uint64_t answers;     // Complete final answers.
    uint64_t status[6];   // By the first digit, 1 to 5; 1xx are no answers but are counted.
    uint64_t shed;        // Of them, 503.
    uint64_t body_bytes;  // Of complete and incomplete answers, without chunk framing.
    uint64_t verified;    // Complete answers whose head took the slow path.
};

// The answer to one request that was last seen whole; one for each request and thread. Zeroed at
// first.
struct load_shape {
    uint64_t rest_bytes;  // Of the body, behind `bytes`.
    uint64_t body_bytes;  // All of the body, without chunk framing.
    uint16_t same_bytes;  // That must be found again; 0 while nothing is known.
    uint16_t status;
    char bytes[LOAD_SHAPE_BYTES];
};

// One connection's place in its answers. Zeroed at first, and for every new connection; then
// `request_index` is set to that of its first request. The rest is for answers.c.
struct load_reader {
    uint32_t request_index;  // Of the request whose answer comes next.
    bool closing;            // The last complete answer said that the connection ends with it.
    uint8_t state;
    uint8_t flags;
    uint8_t field;       // Which field the line is.
    uint8_t word_bytes;  // In `word`.
    uint8_t until_verify;
    uint16_t status;
    uint32_t head_bytes;  // Of this head, so far.
    union {
        char word[18];              // In a head: the name or the member being read.
        struct cv_chunked chunked;  // In a chunked body.
    };
    uint64_t body_left;  // Content-Length, and what of it is still to come.
};

// Reads `data`, the answers to at most `answers_max` requests (those still owed). `shapes` has
// `requests->count` entries; `kinds` has room for `answers_max` and gets the enum load_kind of each
// answer completed, in order, also of those before an error. Returns the number of answers
// completed, or -EBADMSG when the bytes are no answer, or more come than were asked for; answers
// completed before that are in the tally. All of `data` is used up. What follows an answer that set
// `closing` is ignored.
int load_reader_feed(struct load_reader *reader, const struct load_requests *requests,
                     struct load_shape *shapes, const char *data, size_t bytes,
                     unsigned answers_max, struct load_tally *tally, uint8_t *kinds);

// The peer has ended the connection: returns 1 when that completes an answer, whose kind goes to
// `*kind`, 0 when none was under way, -EPIPE when one was cut.
int load_reader_end(struct load_reader *reader, struct load_tally *tally, uint8_t *kind);

#endif
