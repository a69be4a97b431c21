// HTTP/1.1 request heads: bytes in, offsets out (RFC 9112, RFC 9110).
//
// The parser reads the head in place and never writes to it. What it finds is kept as offsets from
// the first byte of the head, so the caller may move the bytes and hand the same result on. It
// reads no byte outside [data, data + length), does no I/O, takes no memory and holds no state
// between calls but what the caller keeps for it in a struct cv_parser_progress.
#ifndef CV_HTTP_PARSER_H
#define CV_HTTP_PARSER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/span.h"

#define CV_PARSER_FIELDS_MAX 100u        // Room in struct cv_parser_head.
#define CV_PARSER_HEAD_BYTES_MAX 65535u  // Offsets are 16 bits wide.
#define CV_PARSER_METHOD_BYTES_MAX 16u   // A longer method: 501.
#define CV_PARSER_NAME_BYTES_MAX 256u    // A longer field name: 431.

enum cv_parser_result {
    CV_PARSER_DONE,     // `head` is complete.
    CV_PARSER_PARTIAL,  // Right so far; call again with more bytes.
    CV_PARSER_REFUSED,  // Never right, whatever follows: see `head->refusal`.
};

// Why a head was refused. cv_parser_status gives the one table from refusal to status code.
enum cv_parser_refusal {
    CV_PARSER_OK = 0,
    CV_PARSER_BAD_REQUEST_LINE,       // 400
    CV_PARSER_METHOD_TOO_LONG,        // 501
    CV_PARSER_BAD_TARGET,             // 400
    CV_PARSER_TARGET_TOO_LONG,        // 414
    CV_PARSER_BAD_VERSION,            // 400: not HTTP-version at all
    CV_PARSER_VERSION_UNSUPPORTED,    // 505: a well-formed version other than 1.x
    CV_PARSER_BAD_FIELD_NAME,         // 400: space before the colon, no colon, not a token
    CV_PARSER_BAD_FIELD_VALUE,        // 400: a control byte; HTAB is none here
    CV_PARSER_BAD_LINE_END,           // 400: bare LF, bare CR, wherever a line may end
    CV_PARSER_FOLDED_FIELD,           // 400: obs-fold
    CV_PARSER_HEAD_TOO_LARGE,         // 431
    CV_PARSER_TOO_MANY_FIELDS,        // 431
    CV_PARSER_FIELD_NAME_TOO_LONG,    // 431
    CV_PARSER_BAD_HOST,               // 400: missing in HTTP/1.1, repeated, or not host[:port]
    CV_PARSER_BAD_CONTENT_LENGTH,     // 400: not digits, out of range, repeated, a list
    CV_PARSER_BAD_TRANSFER_ENCODING,  // 400: with Content-Length, in HTTP/1.0, chunked not last or
                                      // twice
    CV_PARSER_UNKNOWN_CODING,         // 501: a transfer coding other than chunked
    CV_PARSER_UNKNOWN_EXPECTATION,    // 417
    CV_PARSER_BAD_CONNECTION,         // 400: Connection or Upgrade not a list of tokens
    CV_PARSER_REFUSAL_COUNT
};

enum cv_method {          // Bits, so that a set of methods fits a word.
    CV_METHOD_OTHER = 0,  // A valid token that is none of these.
    CV_METHOD_GET = 1 << 0,
    CV_METHOD_HEAD = 1 << 1,
    CV_METHOD_POST = 1 << 2,
    CV_METHOD_PUT = 1 << 3,
    CV_METHOD_DELETE = 1 << 4,
    CV_METHOD_OPTIONS = 1 << 5,
    CV_METHOD_PATCH = 1 << 6,
    CV_METHOD_TRACE = 1 << 7,
    CV_METHOD_CONNECT = 1 << 8,
};

enum cv_target_form {     // RFC 9112 section 3.2.
    CV_TARGET_ORIGIN,     // /path?query
    CV_TARGET_ABSOLUTE,   // http://authority/path?query, https too: `path` and `query` are set
    CV_TARGET_ASTERISK,   // OPTIONS *
    CV_TARGET_AUTHORITY,  // CONNECT host:port
};

struct cv_parser_slice {  // Offsets from the first byte of the head.
    uint16_t offset;
    uint16_t length;
};

struct cv_parser_field {
    struct cv_parser_slice name;
    struct cv_parser_slice value;  // Without the white space around it.
};

// Fields that are found while the head is read: `known` has a place for each. The server itself
// acts on the first six.
enum cv_known_field {
    CV_FIELD_HOST,
    CV_FIELD_CONTENT_LENGTH,
    CV_FIELD_TRANSFER_ENCODING,
    CV_FIELD_CONNECTION,
    CV_FIELD_EXPECT,
    CV_FIELD_UPGRADE,
    CV_FIELD_CONTENT_TYPE,
    CV_FIELD_COOKIE,
    CV_FIELD_USER_AGENT,
    CV_FIELD_ACCEPT,
    CV_FIELD_ACCEPT_ENCODING,
    CV_FIELD_ACCEPT_LANGUAGE,
    CV_FIELD_AUTHORIZATION,
    CV_FIELD_RANGE,
    CV_FIELD_IF_RANGE,
    CV_FIELD_IF_MATCH,
    CV_FIELD_IF_NONE_MATCH,
    CV_FIELD_IF_MODIFIED_SINCE,
    CV_FIELD_IF_UNMODIFIED_SINCE,
    CV_FIELD_ORIGIN,
    CV_FIELD_REFERER,
    CV_FIELD_CACHE_CONTROL,
    CV_FIELD_CONTENT_ENCODING,
    CV_FIELD_SEC_WEBSOCKET_KEY,
    CV_FIELD_SEC_WEBSOCKET_VERSION,
    CV_FIELD_SEC_WEBSOCKET_PROTOCOL,
    CV_FIELD_SEC_WEBSOCKET_EXTENSIONS,
    CV_FIELD_X_FORWARDED_FOR,
    CV_FIELD_FORWARDED,
    CV_FIELD_TRACEPARENT,
    CV_FIELD_ACCESS_CONTROL_REQUEST_METHOD,
    CV_FIELD_KNOWN_COUNT
};
#define CV_PARSER_NO_FIELD 0xffu

struct cv_parser_limits {
    uint32_t head_bytes_max;  // The whole head, at most CV_PARSER_HEAD_BYTES_MAX.
    uint32_t target_bytes_max;
    uint32_t fields_max;  // At most CV_PARSER_FIELDS_MAX.
};

struct cv_parser_head {
    uint32_t head_bytes;  // From the first byte given to the one behind the empty line.
    enum cv_parser_refusal refusal;
    uint16_t method;        // One enum cv_method bit.
    uint8_t version_minor;  // Of HTTP/1.x.
    uint8_t target_form;    // enum cv_target_form.
    struct cv_parser_slice method_text;
    struct cv_parser_slice target;     // As sent.
    struct cv_parser_slice path;       // Of origin and absolute form, else empty. An absolute form
                                       // without a path leaves it empty too; it means "/" then.
    struct cv_parser_slice query;      // Without '?'; length 0 when there is none.
    struct cv_parser_slice authority;  // The target's if its form has one, else the Host's value.
    uint64_t content_length;           // 0 when absent.
    bool has_content_length;
    bool chunked;
    bool keep_alive;       // RFC 9112 section 9.3, from version and Connection.
    bool expect_continue;  // Expect: 100-continue, HTTP/1.1 or later only.
    bool upgrade;          // Connection lists upgrade and an Upgrade field is there.
    uint8_t field_count;
    uint32_t seen;      // Bit k: known field k is there.
    uint32_t repeated;  // Bit k: it is there more than once; `known` has the first.
    uint8_t known[CV_FIELD_KNOWN_COUNT + 1];  // Index into `field` or CV_PARSER_NO_FIELD; the last
                                              // one is scratch.
    struct cv_parser_field field[CV_PARSER_FIELDS_MAX];  // Only the first field_count are written.
};

// Parses one request head at the start of `data`. Empty lines (CRLF) before the request line are
// skipped (RFC 9112 section 2.2), at most 8 of them, and counted into `head_bytes`. DONE: every
// member is set. REFUSED: only `refusal` is. PARTIAL: nothing is promised. A wrong byte, or a head
// that cannot fit `limits` any more, is refused without waiting for the head's end; the first wrong
// byte decides, and what only the whole head can show comes last. So the answer is the same however
// a head is cut.
CV_MUST_USE enum cv_parser_result cv_parser_feed(const char *data, size_t length,
                                                 const struct cv_parser_limits *limits,
                                                 struct cv_parser_head *head);

// What is known of a head that is not whole yet. The caller keeps it from call to call, beside the
// bytes and not instead of them; all zero before the first. Its members are the parser's.
struct cv_parser_progress {
    uint32_t scanned;  // Bytes that will not be looked at again before the end is there.
    uint32_t at;       // Where the target or the line begins that is being read.
    uint16_t mark[2];  // Of that line, found in what is scanned.
    uint16_t method;
    uint8_t mark_count;
    uint8_t stage;
    uint8_t field_count;
    uint8_t carry;
};

// cv_parser_feed for a head that comes in pieces: `data` holds what it held at the call before,
// here or elsewhere, and more. The answer is that of cv_parser_feed, but bytes that were found
// right are not read again until the end is there; then the head is read once as a whole. So the
// work for a head is linear in its bytes however it is cut.
CV_MUST_USE enum cv_parser_result cv_parser_resume(const char *data, size_t length,
                                                   const struct cv_parser_limits *limits,
                                                   struct cv_parser_head *head,
                                                   struct cv_parser_progress *progress);

// Takes every span and field out of a head, so that it refers to no byte any more.
void cv_parser_forget(struct cv_parser_head *head);

static inline struct cv_span cv_parser_span(const char *data, struct cv_parser_slice slice) {
    return cv_span_make(data + slice.offset, slice.length);
}

// The status code that answers a refusal.
uint16_t cv_parser_status(enum cv_parser_refusal refusal);

// A few words for people, e.g. "space before the colon of a field".
const char *cv_parser_reason(enum cv_parser_refusal refusal);

// "GET" and so on for one bit; NULL for CV_METHOD_OTHER.
const char *cv_parser_method_name(uint16_t method);

// The bit of a method name; CV_METHOD_OTHER when it is none of ours. Case-sensitive (RFC 9110 9.1).
uint16_t cv_parser_method(struct cv_span name);

#endif
