// What is sent: every request written out once, in the order it is sent, so that any run of them is
// one span of memory and one send.
//
//   block: | r0 | r1 | r2 | r0 | r1 | ...       `count` requests, then the first `depth` ones again
//          ^    ^offsets[1]
//          offsets[0]
//
// Bodies are written out with their requests. An upload is another thing: only its head is in the
// block, its body is `stream_bytes` bytes taken round and round from `stream`.
#ifndef LOAD_REQUESTS_H
#define LOAD_REQUESTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOAD_DEPTH_MAX 1024u
#define LOAD_REQUEST_COUNT_MAX 4096u
#define LOAD_FIELD_COUNT_MAX 64u                   // Of one request.
#define LOAD_BLOCK_BYTES_MAX (256u * 1024 * 1024)  // All requests written out; more is refused.
#define LOAD_STREAM_BYTES (1024u * 1024)

struct load_requests {
    unsigned count;         // Different requests; they are sent in this order, again and again.
    unsigned depth;         // Sent in one run at most.
    const char *block;      // Owned.
    const size_t *offsets;  // Owned; `count + depth + 1` of them: where the k-th request begins.
    const bool *head_only;  // Owned; `count` of them: HEAD, so its answer has no body.
    const char *stream;     // Owned; LOAD_STREAM_BYTES, or NULL.
    uint64_t stream_bytes;  // Body bytes that follow each head from `stream`; `depth` is 1 then.
};

// How one request is described: by options, or by a line of a request file.
struct load_request_source {
    const char *method;  // NULL: POST when there is a body, else GET.
    const char *path;    // Origin-form target, begins with '/'; "*" for OPTIONS.
    const char *host;    // The Host field's value.
    const char *const
        *fields;  // `field_count` times "Name: value"; one named Host replaces `host`.
    unsigned field_count;
    const char *body;  // May be NULL.
    size_t body_bytes;
    uint64_t stream_bytes;  // Body from the stream instead; `body` is NULL then.
};

// Writes out one request, sent over and over. Content-Length is added where there is a body or the
// method expects one (POST, PUT, PATCH). Returns 0; -EINVAL when a part cannot be sent as it is
// (RFC 9110 section 5, RFC 9112 section 3), -E2BIG above LOAD_BLOCK_BYTES_MAX, or -ENOMEM. `*why`
// then says what is wrong, until the next call.
int load_requests_from_source(struct load_requests *requests,
                              const struct load_request_source *source, unsigned depth,
                              const char **why);

// Reads a request file, at most LOAD_REQUEST_COUNT_MAX requests:
//
//   # Empty lines and lines that begin with '#' mean nothing.
//   GET /                                 [METHOD] PATH [BODY | @FILE]
//   /api/users/7
//   POST /echo {"a": 1}
//     Content-Type: application/json      indented: a field of the request above
//   PUT /blobs/1 @blob.bin                a file beside the request file
//
// Host, fields and, for lines without one, the method come from `base`; a field of the request
// replaces the one of that name in `base`. A body is what follows the blanks behind the path, to
// the end of the line. Returns as above, or -errno of a file; `*why` names file and line.
int load_requests_from_file(struct load_requests *requests, const char *name,
                            const struct load_request_source *base, unsigned depth,
                            const char **why);

void load_requests_deinit(struct load_requests *requests);

// The `run` (1..depth) requests from the `index`-th (below `count`) on, as one span.
static inline size_t load_requests_span(const struct load_requests *requests, unsigned index,
                                        unsigned run, const char **data) {
    *data = requests->block + requests->offsets[index];
    return requests->offsets[index + run] - requests->offsets[index];
}

#endif
