// Framing is judged once the whole head is there, field by field, and every doubt is a refusal: two
// readers of one message must not disagree about where it ends.
//
// Transfer-Encoding is read more strictly than a list has to be. Empty members and parameters are
// refused as well, since senders of honest requests write neither.
#include "http/framing.h"

#include "http/headers.h"
#include "http/known.h"

static inline uint32_t lower_4(const char *bytes) {
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
    return word | 0x20202020u;
}

static inline uint64_t lower_8(const char *bytes) {
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return word | UINT64_C(0x2020202020202020);
}

// The lines of one known field, in order. Most come once, so only a repeated one is searched for.
struct lines {
    const char *data;
    const struct cv_parser_head *head;
    enum cv_known_field known;
    uint32_t index;  // The next field to look at.
    uint32_t end;
};

static struct lines lines_of(const char *data, const struct cv_parser_head *head,
                             enum cv_known_field known) {
    uint32_t first = head->known[known];

    return (struct lines){
        .data = data,
        .head = head,
        .known = known,
        .index = first,
        .end = (head->repeated & 1u << known) != 0 ? head->field_count : first + 1,
    };
}

static bool next_line(struct lines *lines, struct cv_span *value) {
    while (lines->index < lines->end) {
        const struct cv_parser_field *field = &lines->head->field[lines->index++];
        const char *name = lines->data + field->name.offset;

        if (cv_known_is(lines->known, name, field->name.length)) {
            *value = cv_parser_span(lines->data, field->value);
            return true;
        }
    }
    return false;
}

static bool has(const struct cv_parser_head *head, enum cv_known_field known) {
    return (head->seen & 1u << known) != 0;
}

static struct cv_parser_slice value_of(const struct cv_parser_head *head,
                                       enum cv_known_field known) {
    return head->field[head->known[known]].value;
}

static bool is_repeated(const struct cv_parser_head *head, enum cv_known_field known) {
    return (head->repeated & 1u << known) != 0;
}

static enum cv_parser_refusal judge_host(const char *data, struct cv_parser_head *head) {
    if (!has(head, CV_FIELD_HOST))
        return head->version_minor == 0 ? CV_PARSER_OK : CV_PARSER_BAD_HOST;
    struct cv_parser_slice host = value_of(head, CV_FIELD_HOST);
    if (is_repeated(head, CV_FIELD_HOST) || !cv_headers_is_host(cv_parser_span(data, host)))
        return CV_PARSER_BAD_HOST;
    if (head->target_form == CV_TARGET_ORIGIN || head->target_form == CV_TARGET_ASTERISK)
        head->authority = host;
    return CV_PARSER_OK;
}

static enum cv_parser_refusal judge_content_length(const char *data, struct cv_parser_head *head) {
    struct cv_parser_slice value = value_of(head, CV_FIELD_CONTENT_LENGTH);

    if (is_repeated(head, CV_FIELD_CONTENT_LENGTH) || value.length > 19 ||
        !cv_span_to_uint64(cv_parser_span(data, value), INT64_MAX, &head->content_length))
        return CV_PARSER_BAD_CONTENT_LENGTH;
    head->has_content_length = true;
    return CV_PARSER_OK;
}

struct codings {
    bool chunked;  // The last one read was `chunked`.
    bool unknown;  // One that is not ours was read.
};

// Reads the codings of one line; false for an empty member, no token, or any coding after chunked.
static bool read_codings(struct cv_span line, struct codings *codings) {
    for (;;) {
        const char *comma =
            line.length == 0 ? NULL : (const char *)memchr(line.data, ',', line.length);
        size_t bytes = comma == NULL ? line.length : (size_t)(comma - line.data);
        struct cv_span coding = cv_span_trim(cv_span_make(line.data, bytes));
        if (codings->chunked || !cv_headers_is_token(coding))
            return false;
        if (cv_span_equal_nocase(coding, CV_SPAN("chunked"))) {
            codings->chunked = true;
        } else {
            codings->unknown = true;
        }
        if (comma == NULL)
            return true;
        line = cv_span_make(comma + 1, line.length - bytes - 1);
    }
}

static enum cv_parser_refusal judge_transfer_encoding(const char *data,
                                                      struct cv_parser_head *head) {
    struct lines lines = lines_of(data, head, CV_FIELD_TRANSFER_ENCODING);
    if (head->version_minor == 0 || has(head, CV_FIELD_CONTENT_LENGTH))
        return CV_PARSER_BAD_TRANSFER_ENCODING;
    struct codings codings = {false, false};
    struct cv_span line;
    while (next_line(&lines, &line)) {
        if (!read_codings(line, &codings))
            return CV_PARSER_BAD_TRANSFER_ENCODING;
    }
    head->chunked = true;
    return codings.unknown ? CV_PARSER_UNKNOWN_CODING : CV_PARSER_OK;
}

// What nearly every Connection field says.
static bool is_keep_alive(struct cv_span line) {
    return line.length == 10 && lower_8(line.data) == lower_8("keep-ali") &&
           lower_4(line.data + 6) == lower_4("live");
}

static enum cv_parser_refusal judge_connection(const char *data, struct cv_parser_head *head) {
    struct lines lines = lines_of(data, head, CV_FIELD_CONNECTION);
    bool close = false;
    bool keep_alive = false;
    bool upgrade = false;
    struct cv_span line;
    struct cv_span option;
    while (next_line(&lines, &line)) {
        if (is_keep_alive(line)) {
            keep_alive = true;
            continue;
        }
        while (cv_headers_next_member(&line, &option)) {
            if (!cv_headers_is_token(option))
                return CV_PARSER_BAD_CONNECTION;
            close |= cv_span_equal_nocase(option, CV_SPAN("close"));
            keep_alive |= cv_span_equal_nocase(option, CV_SPAN("keep-alive"));
            upgrade |= cv_span_equal_nocase(option, CV_SPAN("upgrade"));
        }
    }
    head->keep_alive = !close && (head->version_minor > 0 || keep_alive);
    // HTTP/1.0 senders do not know Upgrade (RFC 9110 section 7.8).
    head->upgrade = upgrade && head->version_minor > 0 && has(head, CV_FIELD_UPGRADE);
    return CV_PARSER_OK;
}

// protocol = token ["/" token]
static bool is_protocol(struct cv_span text) {
    const char *slash = memchr(text.data, '/', text.length);
    if (slash == NULL)
        return cv_headers_is_token(text);
    size_t name_bytes = (size_t)(slash - text.data);
    return cv_headers_is_token(cv_span_make(text.data, name_bytes)) &&
           cv_headers_is_token(cv_span_make(slash + 1, text.length - name_bytes - 1));
}

static enum cv_parser_refusal judge_upgrade(const char *data, struct cv_parser_head *head) {
    struct lines lines = lines_of(data, head, CV_FIELD_UPGRADE);
    struct cv_span line;
    struct cv_span protocol;
    while (next_line(&lines, &line)) {
        while (cv_headers_next_member(&line, &protocol)) {
            if (!is_protocol(protocol))
                return CV_PARSER_BAD_CONNECTION;
        }
    }
    return CV_PARSER_OK;
}

static enum cv_parser_refusal judge_expect(const char *data, struct cv_parser_head *head) {
    struct lines lines = lines_of(data, head, CV_FIELD_EXPECT);
    struct cv_span line;
    struct cv_span expectation;
    while (next_line(&lines, &line)) {
        while (cv_headers_next_member(&line, &expectation)) {
            if (!cv_span_equal_nocase(expectation, CV_SPAN("100-continue")))
                return CV_PARSER_UNKNOWN_EXPECTATION;
            head->expect_continue = true;
        }
    }
    return CV_PARSER_OK;
}

CV_NOINLINE static enum cv_parser_refusal judge(const char *data, struct cv_parser_head *head) {
    enum cv_parser_refusal refusal = judge_host(data, head);

    if (refusal == CV_PARSER_OK && has(head, CV_FIELD_CONTENT_LENGTH))
        refusal = judge_content_length(data, head);
    if (refusal == CV_PARSER_OK && has(head, CV_FIELD_TRANSFER_ENCODING))
        refusal = judge_transfer_encoding(data, head);
    if (refusal == CV_PARSER_OK && has(head, CV_FIELD_CONNECTION))
        refusal = judge_connection(data, head);
    if (refusal == CV_PARSER_OK && has(head, CV_FIELD_UPGRADE))
        refusal = judge_upgrade(data, head);
    // HTTP/1.0 expectations are ignored (RFC 9110 section 10.1.1).
    if (refusal == CV_PARSER_OK && has(head, CV_FIELD_EXPECT) && head->version_minor > 0)
        refusal = judge_expect(data, head);
    return refusal;
}

// One to eight digits. A request line is in front of them, so loading eight bytes up to their end
// reads nothing strange.
static inline bool read_short_number(const char *data, struct cv_parser_slice value,
                                     uint64_t *number) {
    uint64_t word;

    if (value.length - 1u > 7)
        return false;
    memcpy(&word, data + value.offset + value.length - sizeof(word), sizeof(word));
    // Zeros take the place of what is before the first digit.
    unsigned strange_bits = 64 - 8u * value.length;
    word = (word >> strange_bits << strange_bits) |
           (UINT64_C(0x3030303030303030) & ((UINT64_C(1) << strange_bits) - 1));
    uint64_t above = (word + UINT64_C(0x0606060606060606)) & UINT64_C(0xf0f0f0f0f0f0f0f0);
    if (((word & UINT64_C(0xf0f0f0f0f0f0f0f0)) | above >> 4) != UINT64_C(0x3333333333333333))
        return false;
    // Pairs, then fours, then all eight: the first byte is the highest digit.
    word = (word & UINT64_C(0x0f0f0f0f0f0f0f0f)) * 2561 >> 8;
    word = (word & UINT64_C(0x00ff00ff00ff00ff)) * 6553601 >> 16;
    *number = (word & UINT64_C(0x0000ffff0000ffff)) * UINT64_C(42949672960001) >> 32;
    return true;
}

#define BIT(field) (1u << CV_FIELD_##field)

// What most heads say: a Host, perhaps a short Content-Length, perhaps that the connection is kept,
// and none of it twice. Sets what differs from the usual answer.
static inline bool is_usual(const char *data, struct cv_parser_head *head, bool is_host) {
    const unsigned rare = BIT(TRANSFER_ENCODING) | BIT(UPGRADE) | BIT(EXPECT);

    if ((head->seen & (rare | BIT(HOST))) != BIT(HOST) || head->repeated != 0 ||
        head->version_minor == 0 || head->target_form != CV_TARGET_ORIGIN)
        return false;
    struct cv_parser_slice host = value_of(head, CV_FIELD_HOST);
    if (!is_host && !cv_headers_is_host(cv_parser_span(data, host)))
        return false;
    head->authority = host;
    if (has(head, CV_FIELD_CONNECTION) &&
        !is_keep_alive(cv_parser_span(data, value_of(head, CV_FIELD_CONNECTION))))
        return false;
    head->has_content_length = has(head, CV_FIELD_CONTENT_LENGTH);
    return !head->has_content_length ||
           read_short_number(data, value_of(head, CV_FIELD_CONTENT_LENGTH), &head->content_length);
}

enum cv_parser_result cv_framing_judge(const char *data, struct cv_parser_head *head,
                                       bool is_host) {
    head->content_length = 0;
    head->has_content_length = false;
    head->chunked = false;
    head->keep_alive = head->version_minor > 0;
    head->expect_continue = false;
    head->upgrade = false;
    head->refusal = CV_PARSER_OK;
    if (CV_LIKELY(is_usual(data, head, is_host)))
        return CV_PARSER_DONE;
    head->refusal = judge(data, head);
    return head->refusal == CV_PARSER_OK ? CV_PARSER_DONE : CV_PARSER_REFUSED;
}
