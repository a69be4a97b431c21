// The chunked transfer coding, both ways (RFC 9112 section 7.1).
//
// The decoder is fed body bytes as they come and says which of them are data; it keeps a few words
// of state and copies nothing. Strict: CRLF only, sizes of at most 16 digits and below 2^63, no
// space but in quoted strings and trailer values; extensions and trailers are checked and dropped.
// Bytes spent on anything but data are bounded (many tiny chunks, long extensions).
#ifndef CV_HTTP_CHUNKED_H
#define CV_HTTP_CHUNKED_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/span.h"

#define CV_CHUNKED_TRAILER_BYTES_MAX 8192u
#define CV_CHUNKED_EXTENSION_BYTES_MAX 1024u  // Of one chunk.

enum cv_chunked_result {
    CV_CHUNKED_DATA,     // `data` holds body bytes; call again with what is left of the input.
    CV_CHUNKED_PARTIAL,  // All input is used up; more must come.
    CV_CHUNKED_DONE,     // The last chunk and the trailer section are read.
    CV_CHUNKED_REFUSED,  // Not a chunked body: 400 and close.
};

struct cv_chunked {
    uint64_t chunk_left;      // Data bytes of the current chunk still to come.
    uint64_t data_bytes;      // Body bytes found so far.
    uint64_t overhead_bytes;  // Everything else read so far.
    uint32_t line_bytes;      // Of the current extension or the trailer section.
    uint8_t state;
    uint8_t digits;
};

void cv_chunked_init(struct cv_chunked *decoder);

// Reads from `input` up to the end of the next run of data. Sets `*used` to the input bytes
// consumed (data included) and `*data` to the run of body bytes, empty unless the result is DATA.
CV_MUST_USE enum cv_chunked_result cv_chunked_feed(struct cv_chunked *decoder, struct cv_span input,
                                                   size_t *used, struct cv_span *data);

// Data bytes still to come of a chunk whose size line was read to its end, else 0.
uint64_t cv_chunked_announced(const struct cv_chunked *decoder);

#define CV_CHUNKED_PREFIX_BYTES_MAX 18u  // 16 hex digits and CRLF.

// Writes the line that goes before a chunk of `bytes` (> 0) bytes; returns its length. The chunk's
// data is followed by CRLF.
size_t cv_chunked_write_prefix(char out[CV_CHUNKED_PREFIX_BYTES_MAX], uint64_t bytes);

#endif
