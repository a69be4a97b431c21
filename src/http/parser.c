// One pass over a head: the bytes become two rows of bits (http/scan), and this file walks from set
// bit to set bit. Every step reads what the line needs next and nothing else:
//
//   Accept: text/html CR LF
//         ^           ^
//         |           first control byte behind the colon: must be a CR, and LF must follow
//         first byte that is no token byte: must be the colon, and not stand first
//
// The first wrong byte decides, whatever follows it, and a byte is judged from those before it
// alone. So a head gives the same answer however it is cut: PARTIAL until its first wrong byte or
// its end is there. What needs the whole head is judged at its end (http/framing).
#include "http/parser.h"

#include "base/assert.h"
#include "http/framing.h"
#include "http/headers.h"
#include "http/scan.h"

#define EMPTY_LINES_MAX 8u  // Before the request line; senders that add any add one.

// Method and the empty lines lie in the first word of the index.
_Static_assert(CV_PARSER_METHOD_BYTES_MAX < 64, "a method lies in the first word");
_Static_assert(CV_PARSER_HEAD_BYTES_MAX <= CV_SCAN_BYTES_MAX, "the index covers a head");
_Static_assert(CV_FIELD_KNOWN_COUNT <= 32, "a bit for each known field");

struct reading {
    const char *text;    // From the request line on: empty lines are behind us.
    uint32_t available;  // Bytes at `text` that may be read.
    uint32_t at;         // The next byte to read.
    uint32_t skipped;    // Bytes of the empty lines: what makes a place in `text` an offset.
    unsigned repeated;   // Bit k: known field k came more than once.
    const struct cv_parser_limits *limits;
    struct cv_parser_head *head;
    struct cv_scan_index index;  // Of `text`. Never written beyond what the head needs.
};

CV_COLD static enum cv_parser_result refuse(struct cv_parser_head *head,
                                            enum cv_parser_refusal refusal) {
    head->refusal = refusal;
    return CV_PARSER_REFUSED;
}

static struct cv_parser_slice slice(const struct reading *reading, uint32_t from, uint32_t to) {
    return (struct cv_parser_slice){.offset = (uint16_t)(reading->skipped + from),
                                    .length = (uint16_t)(to - from)};
}

// The first set bit at or behind `from`, which is at most `available`.
static inline uint32_t next_set(const uint64_t *words, uint32_t from) {
    uint32_t word = from / 64;
    uint64_t bits = words[word] & ~UINT64_C(0) << from % 64;

    while (bits == 0)
        bits = words[++word];
    return word * 64 + (uint32_t)__builtin_ctzll(bits);
}

static bool next_is(const struct reading *reading, char byte) {
    return reading->at < reading->available && reading->text[reading->at] == byte;
}

// Sets `text` behind the empty lines.
static enum cv_parser_result skip_empty_lines(struct reading *reading) {
    while (next_is(reading, '\r')) {
        if (reading->at == 2 * EMPTY_LINES_MAX)
            return refuse(reading->head, CV_PARSER_BAD_REQUEST_LINE);
        reading->at++;
        if (reading->at == reading->available)
            return CV_PARSER_PARTIAL;
        if (!next_is(reading, '\n'))
            return refuse(reading->head, CV_PARSER_BAD_LINE_END);
        reading->at++;
    }
    reading->skipped = reading->at;
    reading->text += reading->at;
    reading->available -= reading->at;
    reading->at = 0;
    return CV_PARSER_DONE;
}

// method SP
static enum cv_parser_result take_method(struct reading *reading) {
    uint32_t end = next_set(reading->index.not_token, 0);

    if (end > CV_PARSER_METHOD_BYTES_MAX)
        return reading->available > CV_PARSER_METHOD_BYTES_MAX
                   ? refuse(reading->head, CV_PARSER_METHOD_TOO_LONG)
                   : CV_PARSER_PARTIAL;
    if (end >= reading->available)
        return CV_PARSER_PARTIAL;
    if (CV_UNLIKELY(reading->text[end] != ' ' || end == 0))
        return refuse(reading->head, reading->text[end] == '\n' ? CV_PARSER_BAD_LINE_END
                                                                : CV_PARSER_BAD_REQUEST_LINE);
    reading->head->method_text = slice(reading, 0, end);
    reading->head->method = cv_parser_method(cv_span_make(reading->text, end));
    reading->at = end + 1;
    return CV_PARSER_DONE;
}

// host ":" port, both given (RFC 9110 section 7.2, RFC 9112 section 3.2.3).
static bool is_authority_form(struct cv_span target) {
    size_t host_bytes = target.length;

    while (host_bytes > 0 && target.data[host_bytes - 1] >= '0' &&
           target.data[host_bytes - 1] <= '9')
        host_bytes--;
    return host_bytes > 0 && host_bytes < target.length && target.data[host_bytes - 1] == ':' &&
           cv_headers_is_host(target);
}

// "http://" authority [path] ["?" query], `query` being the place of the '?' or the target's end.
static bool read_absolute_form(struct reading *reading, uint32_t begin, uint32_t query,
                               uint32_t end) {
    struct cv_span target = cv_span_make(reading->text + begin, end - begin);
    uint32_t host = 0;

    if (target.length > 7 && cv_span_equal_nocase(cv_span_make(target.data, 7), CV_SPAN("http://")))
        host = begin + 7;
    else if (target.length > 8 &&
             cv_span_equal_nocase(cv_span_make(target.data, 8), CV_SPAN("https://")))
        host = begin + 8;
    else
        return false;
    const char *slash = memchr(reading->text + host, '/', query - host);
    uint32_t path = slash == NULL ? query : (uint32_t)(slash - reading->text);
    reading->head->authority = slice(reading, host, path);
    reading->head->path = slice(reading, path, query);
    return path > host && cv_headers_is_host(cv_span_make(reading->text + host, path - host));
}

// Finds the form of the target and its parts (RFC 9112 section 3.2); false when it has none. A
// target holds `query` as its '?' or, without one, its end.
static bool read_target(struct reading *reading, uint32_t begin, uint32_t query, uint32_t end) {
    struct cv_parser_head *head = reading->head;
    char first = reading->text[begin];

    head->path = slice(reading, begin, begin);
    head->authority = slice(reading, begin, begin);
    head->query = query == end ? slice(reading, end, end) : slice(reading, query + 1, end);
    if (head->method == CV_METHOD_CONNECT) {
        head->target_form = CV_TARGET_AUTHORITY;
        head->authority = head->target;
        return is_authority_form(cv_span_make(reading->text + begin, end - begin));
    }
    if (CV_LIKELY(first == '/')) {
        head->target_form = CV_TARGET_ORIGIN;
        head->path = slice(reading, begin, query);
        return true;
    }
    if (first == '*') {
        head->target_form = CV_TARGET_ASTERISK;
        return end == begin + 1 && head->method == CV_METHOD_OPTIONS;
    }
    head->target_form = CV_TARGET_ABSOLUTE;
    return read_absolute_form(reading, begin, query, end);
}

// What a target that is no CONNECT's begins with.
static bool may_begin_target(char first) {
    return first == '/' || first == '*' || (first | 0x20) == 'h';
}

// request-target SP
static enum cv_parser_result take_target(struct reading *reading) {
    struct cv_parser_head *head = reading->head;
    uint32_t begin = reading->at;
    uint32_t room = reading->available - begin;
    uint32_t bytes_max = reading->limits->target_bytes_max;
    size_t query;

    if (room == 0)
        return CV_PARSER_PARTIAL;
    uint32_t length = (uint32_t)cv_scan_chosen.target(reading->text + begin, room, &query);
    uint32_t end = begin + length;
    if (CV_UNLIKELY(length > 0 && head->method != CV_METHOD_CONNECT &&
                    !may_begin_target(reading->text[begin])))
        return refuse(head, CV_PARSER_BAD_TARGET);
    if (CV_UNLIKELY(length > bytes_max))
        return refuse(head, CV_PARSER_TARGET_TOO_LONG);
    if (end == reading->available)
        return CV_PARSER_PARTIAL;
    if (CV_UNLIKELY(reading->text[end] != ' ')) {
        bool line_end = reading->text[end] == '\r' || reading->text[end] == '\n';
        return refuse(head, line_end ? CV_PARSER_BAD_REQUEST_LINE : CV_PARSER_BAD_TARGET);
    }
    if (CV_UNLIKELY(length == 0))
        return refuse(head, CV_PARSER_BAD_REQUEST_LINE);
    head->target = slice(reading, begin, end);
    if (!read_target(reading, begin, begin + (uint32_t)query, end))
        return refuse(head, CV_PARSER_BAD_TARGET);
    reading->at = end + 1;
    return CV_PARSER_DONE;
}

static bool is_digit(char byte) {
    return byte >= '0' && byte <= '9';
}

// HTTP-version CRLF, byte by byte.
CV_COLD static enum cv_parser_result take_unusual_version(struct reading *reading) {
    static const char form[10] = "HTTP/d.d\r\n";
    const char *text = reading->text + reading->at;
    uint32_t room = reading->available - reading->at;

    for (uint32_t i = 0; i < sizeof(form); i++) {
        if (i >= room)
            return CV_PARSER_PARTIAL;
        if (form[i] == 'd' ? is_digit(text[i]) : text[i] == form[i])
            continue;
        return refuse(reading->head,
                      i == 9 || text[i] == '\n' ? CV_PARSER_BAD_LINE_END : CV_PARSER_BAD_VERSION);
    }
    if (text[5] != '1')
        return refuse(reading->head, CV_PARSER_VERSION_UNSUPPORTED);
    reading->head->version_minor = (uint8_t)(text[7] - '0');
    reading->at += (uint32_t)sizeof(form);
    return CV_PARSER_DONE;
}

static enum cv_parser_result take_version(struct reading *reading) {
    if (CV_LIKELY(reading->available - reading->at >= 10 &&
                  memcmp(reading->text + reading->at, "HTTP/1.1\r\n", 10) == 0)) {
        reading->head->version_minor = 1;
        reading->at += 10;
        return CV_PARSER_DONE;
    }
    return take_unusual_version(reading);
}

// Why no field and not the head's end begins at `at`.
CV_COLD static enum cv_parser_result explain_name(struct reading *reading, uint32_t at) {
    uint32_t end = next_set(reading->index.not_token, at);
    uint32_t length = end - at;

    if (at >= reading->available)
        return CV_PARSER_PARTIAL;
    char first = reading->text[at];
    if (length == 0 && (first == ' ' || first == '\t'))
        return refuse(reading->head, CV_PARSER_FOLDED_FIELD);
    if (length == 0)
        return refuse(reading->head,
                      first == '\n' ? CV_PARSER_BAD_LINE_END : CV_PARSER_BAD_FIELD_NAME);
    if (reading->head->field_count == reading->limits->fields_max)
        return refuse(reading->head, CV_PARSER_TOO_MANY_FIELDS);
    if (length > CV_PARSER_NAME_BYTES_MAX)
        return refuse(reading->head, CV_PARSER_FIELD_NAME_TOO_LONG);
    if (end >= reading->available)
        return CV_PARSER_PARTIAL;
    return refuse(reading->head, CV_PARSER_BAD_FIELD_NAME);
}

// Why the line whose first control byte is at `end` does not end there.
CV_COLD static enum cv_parser_result explain_line_end(struct reading *reading, uint32_t end) {
    if (end >= reading->available)
        return CV_PARSER_PARTIAL;
    if (reading->text[end] == '\r' && end + 1 == reading->available)
        return CV_PARSER_PARTIAL;
    if (reading->text[end] == '\r' || reading->text[end] == '\n')
        return refuse(reading->head, CV_PARSER_BAD_LINE_END);
    return refuse(reading->head, CV_PARSER_BAD_FIELD_VALUE);
}

static inline bool ends_line(const struct reading *reading, uint32_t end) {
    return end + 1 < reading->available && memcmp(reading->text + end, "\r\n", 2) == 0;
}

static bool is_blank(char byte) {
    return byte == ' ' || byte == '\t';
}

static void add_field(struct reading *reading, uint32_t at, uint32_t colon, uint32_t end) {
    struct cv_parser_head *head = reading->head;
    const char *text = reading->text;
    enum cv_known_field known = cv_framing_known(text + at, colon - at);
    uint32_t begin = colon + 1;

    while (begin < end && is_blank(text[begin]))
        begin++;
    while (end > begin && is_blank(text[end - 1]))
        end--;
    if (known != CV_FIELD_KNOWN_COUNT) {
        if (head->known[known] == CV_PARSER_NO_FIELD)
            head->known[known] = head->field_count;
        else
            reading->repeated |= 1u << known;
    }
    head->field[head->field_count++] = (struct cv_parser_field){
        .name = slice(reading, at, colon), .value = slice(reading, begin, end)};
}

// *(field-name ":" OWS field-value OWS CRLF) CRLF
static enum cv_parser_result take_fields(struct reading *reading) {
    struct cv_parser_head *head = reading->head;
    uint32_t fields_max = reading->limits->fields_max;
    uint32_t available = reading->available;
    const char *text = reading->text;
    uint32_t at = reading->at;

    memset(head->known, CV_PARSER_NO_FIELD, sizeof(head->known));
    head->field_count = 0;
    for (;;) {
        uint32_t colon = next_set(reading->index.not_token, at);
        uint32_t name_bytes = colon - at;

        if (colon >= available || text[colon] != ':' || name_bytes == 0 ||
            name_bytes > CV_PARSER_NAME_BYTES_MAX || head->field_count == fields_max)
            break;
        uint32_t end = next_set(reading->index.control, colon + 1);
        if (CV_UNLIKELY(!ends_line(reading, end)))
            return explain_line_end(reading, end);
        add_field(reading, at, colon, end);
        at = end + 2;
    }
    if (CV_UNLIKELY(at >= available || text[at] != '\r'))
        return explain_name(reading, at);
    if (CV_UNLIKELY(!ends_line(reading, at)))
        return explain_line_end(reading, at);
    head->head_bytes = reading->skipped + at + 2;
    return CV_PARSER_DONE;
}

// Takes all there is of the head. `*in_target` says that the target's end was not there.
static enum cv_parser_result take_head(struct reading *reading, bool *in_target) {
    enum cv_parser_result result = skip_empty_lines(reading);

    if (result != CV_PARSER_DONE)
        return result;
    cv_scan_chosen.index(reading->text, reading->available, &reading->index);
    result = take_method(reading);
    if (result != CV_PARSER_DONE)
        return result;
    *in_target = true;
    result = take_target(reading);
    if (result != CV_PARSER_DONE)
        return result;
    *in_target = false;
    result = take_version(reading);
    if (result != CV_PARSER_DONE)
        return result;
    return take_fields(reading);
}

enum cv_parser_result cv_parser_feed(const char *data, size_t length,
                                     const struct cv_parser_limits *limits,
                                     struct cv_parser_head *head) {
    struct reading reading;
    bool in_target = false;

    CV_ASSERT(limits->head_bytes_max <= CV_PARSER_HEAD_BYTES_MAX);
    CV_ASSERT(limits->fields_max <= CV_PARSER_FIELDS_MAX);
    reading.text = data;
    reading.available = (uint32_t)CV_MIN(length, limits->head_bytes_max);
    reading.at = 0;
    reading.skipped = 0;
    reading.repeated = 0;
    reading.limits = limits;
    reading.head = head;
    head->refusal = CV_PARSER_OK;
    enum cv_parser_result result = take_head(&reading, &in_target);
    if (result == CV_PARSER_PARTIAL && length >= limits->head_bytes_max)
        return refuse(head, in_target ? CV_PARSER_TARGET_TOO_LONG : CV_PARSER_HEAD_TOO_LARGE);
    if (result != CV_PARSER_DONE)
        return result;
    enum cv_parser_refusal refusal = cv_framing_judge(data, head, reading.repeated);
    return refusal == CV_PARSER_OK ? CV_PARSER_DONE : refuse(head, refusal);
}

void cv_parser_forget(struct cv_parser_head *head) {
    struct cv_parser_slice nothing = {0, 0};

    head->method_text = nothing;
    head->target = nothing;
    head->path = nothing;
    head->query = nothing;
    head->authority = nothing;
    head->field_count = 0;
    memset(head->known, CV_PARSER_NO_FIELD, sizeof(head->known));
}

static const struct {
    uint16_t status;
    const char *reason;
} refusals[CV_PARSER_REFUSAL_COUNT] = {
    [CV_PARSER_OK] = {200, "no error"},
    [CV_PARSER_BAD_REQUEST_LINE] = {400, "the request line is not method, target and version"},
    [CV_PARSER_METHOD_TOO_LONG] = {501, "the method is too long"},
    [CV_PARSER_BAD_TARGET] = {400, "the request target has none of the four forms"},
    [CV_PARSER_TARGET_TOO_LONG] = {414, "the request target is too long"},
    [CV_PARSER_BAD_VERSION] = {400, "the request line does not end in an HTTP version"},
    [CV_PARSER_VERSION_UNSUPPORTED] = {505, "only HTTP/1.x is spoken here"},
    [CV_PARSER_BAD_FIELD_NAME] = {400, "a field name is not a token followed by a colon"},
    [CV_PARSER_BAD_FIELD_VALUE] = {400, "a field value holds a control byte"},
    [CV_PARSER_BAD_LINE_END] = {400, "a line does not end in CR LF"},
    [CV_PARSER_FOLDED_FIELD] = {400, "a field line begins with white space"},
    [CV_PARSER_HEAD_TOO_LARGE] = {431, "the head is too large"},
    [CV_PARSER_TOO_MANY_FIELDS] = {431, "there are too many fields"},
    [CV_PARSER_FIELD_NAME_TOO_LONG] = {431, "a field name is too long"},
    [CV_PARSER_BAD_HOST] = {400, "there is not exactly one Host field with host[:port]"},
    [CV_PARSER_BAD_CONTENT_LENGTH] = {400, "Content-Length is not one number"},
    [CV_PARSER_BAD_TRANSFER_ENCODING] = {400, "Transfer-Encoding does not say where the body ends"},
    [CV_PARSER_UNKNOWN_CODING] = {501, "only the transfer coding chunked is spoken here"},
    [CV_PARSER_UNKNOWN_EXPECTATION] = {417, "only 100-continue can be expected"},
    [CV_PARSER_BAD_CONNECTION] = {400, "Connection or Upgrade is not a list of tokens"},
};

uint16_t cv_parser_status(enum cv_parser_refusal refusal) {
    CV_ASSERT((unsigned)refusal < CV_PARSER_REFUSAL_COUNT);
    return refusals[refusal].status;
}

const char *cv_parser_reason(enum cv_parser_refusal refusal) {
    CV_ASSERT((unsigned)refusal < CV_PARSER_REFUSAL_COUNT);
    return refusals[refusal].reason;
}

const char *cv_parser_method_name(uint16_t method) {
    static const char *const names[] = {"GET",     "HEAD",  "POST",  "PUT",    "DELETE",
                                        "OPTIONS", "PATCH", "TRACE", "CONNECT"};
    unsigned bit = (unsigned)__builtin_ctz(method | 1u << CV_ARRAY_COUNT(names));

    return bit < CV_ARRAY_COUNT(names) ? names[bit] : NULL;
}

// The comparisons become one or two word compares.
uint16_t cv_parser_method(struct cv_span name) {
    switch (name.length) {
    case 3:
        if (memcmp(name.data, "GET", 3) == 0)
            return CV_METHOD_GET;
        return memcmp(name.data, "PUT", 3) == 0 ? CV_METHOD_PUT : CV_METHOD_OTHER;
    case 4:
        if (memcmp(name.data, "POST", 4) == 0)
            return CV_METHOD_POST;
        return memcmp(name.data, "HEAD", 4) == 0 ? CV_METHOD_HEAD : CV_METHOD_OTHER;
    case 5:
        if (memcmp(name.data, "PATCH", 5) == 0)
            return CV_METHOD_PATCH;
        return memcmp(name.data, "TRACE", 5) == 0 ? CV_METHOD_TRACE : CV_METHOD_OTHER;
    case 6:
        return memcmp(name.data, "DELETE", 6) == 0 ? CV_METHOD_DELETE : CV_METHOD_OTHER;
    case 7:
        if (memcmp(name.data, "OPTIONS", 7) == 0)
            return CV_METHOD_OPTIONS;
        return memcmp(name.data, "CONNECT", 7) == 0 ? CV_METHOD_CONNECT : CV_METHOD_OTHER;
    default:
        return CV_METHOD_OTHER;
    }
}
