// Framing is judged once the whole head is there, field by field, and every doubt is a refusal: two
// readers of one message must not disagree about where it ends.
//
// Transfer-Encoding is read more strictly than a list has to be. Empty members and parameters are
// refused as well, since senders of honest requests write neither.
#include "http/framing.h"

#include "http/headers.h"

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

// Setting bit 5 makes letters lower-case. It maps no other byte to a letter, and to '-' only CR,
// which names and values do not hold: so equal words mean equal text. Loads overlap where lengths
// are odd.
enum cv_known_field cv_framing_compare(const char *name, uint32_t name_bytes) {
    switch (name_bytes) {
    case 4:
        if (lower_4(name) == lower_4("host"))
            return CV_FIELD_HOST;
        break;
    case 6:
        if (lower_4(name) == lower_4("cook") && lower_4(name + 2) == lower_4("okie"))
            return CV_FIELD_COOKIE;
        if (lower_4(name) == lower_4("expe") && lower_4(name + 2) == lower_4("pect")) {
            return CV_FIELD_EXPECT;
        }
        break;
    case 7:
        if (lower_4(name) == lower_4("upgr") && lower_4(name + 3) == lower_4("rade"))
            return CV_FIELD_UPGRADE;
        break;
    case 10:
        if (lower_8(name) == lower_8("connecti") && lower_4(name + 6) == lower_4("tion"))
            return CV_FIELD_CONNECTION;
        break;
    case 12:
        if (lower_8(name) == lower_8("content-") && lower_4(name + 8) == lower_4("type"))
            return CV_FIELD_CONTENT_TYPE;
        break;
    case 14:
        if (lower_8(name) == lower_8("content-") && lower_8(name + 6) == lower_8("t-length"))
            return CV_FIELD_CONTENT_LENGTH;
        break;
    case 17:
        if (lower_8(name) == lower_8("transfer") && lower_8(name + 8) == lower_8("-encodin") &&
            lower_4(name + 13) == lower_4("ding")) {
            return CV_FIELD_TRANSFER_ENCODING;
        }
        break;
    default:
        break;
    }
    return CV_FIELD_KNOWN_COUNT;
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
                             enum cv_known_field known, unsigned repeated) {
    uint32_t first = head->known[known];

    return (struct lines){
        .data = data,
        .head = head,
        .known = known,
        .index = first,
        .end = (repeated & 1u << known) != 0 ? head->field_count : first + 1,
    };
}

static bool next_line(struct lines *lines, struct cv_span *value) {
    while (lines->index < lines->end) {
        const struct cv_parser_field *field = &lines->head->field[lines->index++];
        const char *name = lines->data + field->name.offset;

        if (cv_framing_known(name, field->name.length) == lines->known) {
            *value = cv_parser_span(lines->data, field->value);
            return true;
        }
    }
    return false;
}

static bool has(const struct cv_parser_head *head, enum cv_known_field known) {
    return head->known[known] != CV_PARSER_NO_FIELD;
}

static struct cv_parser_slice value_of(const struct cv_parser_head *head,
                                       enum cv_known_field known) {
    return head->field[head->known[known]].value;
}

static enum cv_parser_refusal judge_host(const char *data, struct cv_parser_head *head,
                                         unsigned repeated) {
    if (!has(head, CV_FIELD_HOST))
        return head->version_minor == 0 ? CV_PARSER_OK : CV_PARSER_BAD_HOST;
    struct cv_parser_slice host = value_of(head, CV_FIELD_HOST);
    if ((repeated & 1u << CV_FIELD_HOST) != 0 || !cv_headers_is_host(cv_parser_span(data, host)))
        return CV_PARSER_BAD_HOST;
    if (head->target_form == CV_TARGET_ORIGIN || head->target_form == CV_TARGET_ASTERISK) {
        head->authority = host;
    }
    return CV_PARSER_OK;
}

static enum cv_parser_refusal judge_content_length(const char *data, struct cv_parser_head *head,
                                                   unsigned repeated) {
    struct cv_parser_slice value = value_of(head, CV_FIELD_CONTENT_LENGTH);
    if ((repeated & 1u << CV_FIELD_CONTENT_LENGTH) != 0 || value.length > 19 ||
        !cv_span_to_uint64(cv_parser_span(data, value), INT64_MAX, &head->content_length)) {
        return CV_PARSER_BAD_CONTENT_LENGTH;
    }
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

static enum cv_parser_refusal judge_transfer_encoding(const char *data, struct cv_parser_head *head,
                                                      unsigned repeated) {
    struct lines lines = lines_of(data, head, CV_FIELD_TRANSFER_ENCODING, repeated);
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

static enum cv_parser_refusal judge_connection(const char *data, struct cv_parser_head *head,
                                               unsigned repeated) {
    struct lines lines = lines_of(data, head, CV_FIELD_CONNECTION, repeated);
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

static enum cv_parser_refusal judge_upgrade(const char *data, struct cv_parser_head *head,
                                            unsigned repeated) {
    struct lines lines = lines_of(data, head, CV_FIELD_UPGRADE, repeated);
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

static enum cv_parser_refusal judge_expect(const char *data, struct cv_parser_head *head,
                                           unsigned repeated) {
    struct lines lines = lines_of(data, head, CV_FIELD_EXPECT, repeated);
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

enum cv_parser_refusal cv_framing_judge(const char *data, struct cv_parser_head *head,
                                        unsigned repeated) {
    head->content_length = 0;
    head->has_content_length = false;
    head->chunked = false;
    head->keep_alive = head->version_minor > 0;
    head->expect_continue = false;
    head->upgrade = false;
    enum cv_parser_refusal refusal = judge_host(data, head, repeated);
    if (refusal == CV_PARSER_OK && has(head, CV_FIELD_CONTENT_LENGTH)) {
        refusal = judge_content_length(data, head, repeated);
    }
    if (refusal == CV_PARSER_OK && has(head, CV_FIELD_TRANSFER_ENCODING))
        refusal = judge_transfer_encoding(data, head, repeated);
    if (refusal == CV_PARSER_OK && has(head, CV_FIELD_CONNECTION)) {
        refusal = judge_connection(data, head, repeated);
    }
    if (refusal == CV_PARSER_OK && has(head, CV_FIELD_UPGRADE))
        refusal = judge_upgrade(data, head, repeated);
    // HTTP/1.0 expectations are ignored (RFC 9110 section 10.1.1).
    if (refusal == CV_PARSER_OK && has(head, CV_FIELD_EXPECT) && head->version_minor > 0)
        refusal = judge_expect(data, head, repeated);
    return refusal;
}
